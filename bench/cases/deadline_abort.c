/*
 * Jobs whose deadlines pass in the queue, in prefill, in decode, and while the plugin hangs: the time
 * from the deadline to their terminal event, which must never come before the deadline. Deadlines are
 * absolute, with nanoseconds, so that the client knows the exact time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "lib/ask.h"
#include "lib/bench.h"

#define PATIENCE_MS 60000
#define SLOTS 8

struct variant {
    const char *name;
    const char *const *settings;
    const char *params;
    uint32_t prompt_tokens;
    bool queued, partial;
};

#define SHARED "model.slots=8", "deadlines.min_remaining_ms=0", "deadlines.admission=off"
#define SETTINGS(...)                                                                                        \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        SHARED, __VA_ARGS__, NULL                                                                            \
    }
#define PARTIAL "\"on_deadline\":\"partial\""

static const struct variant variants[] = {
    {"in the queue", SETTINGS("plugin.options.token_ms=10"), NULL, 8, true, false},
    {"in prefill",
        SETTINGS("model.max_batch_tokens=32", "plugin.options.token_ms=10",
            "plugin.options.prefill_us_per_token=500"),
        NULL, 3000, false, false},
    {"in decode, 10 ms a token", SETTINGS("plugin.options.token_ms=10"), NULL, 8, false, false},
    {"in decode, partial answers, 10 ms a token", SETTINGS("plugin.options.token_ms=10"), PARTIAL, 8, false,
        true},
    {"the plugin hangs", SETTINGS("plugin.options.fault=wait.hang@8!", "plugin.options.hang_ms=400"), NULL, 8,
        false, false},
    {"the plugin hangs, partial answers",
        SETTINGS("plugin.options.fault=wait.hang@8!", "plugin.options.hang_ms=400"), PARTIAL, 8, false, true},
};

struct deadline {
    char header[80];
    uint64_t mono_ns;
};

static void deadline_in(struct deadline *d, uint64_t ns)
{
    int64_t offset = clock_real_offset_ns();
    d->mono_ns = clock_mono_ns() + ns;
    uint64_t real = d->mono_ns + (uint64_t)offset;
    time_t s = (time_t)(real / NS_PER_S);
    struct tm tm;
    char day[24];
    gmtime_r(&s, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(d->header, sizeof(d->header), "X-Deadline: %s.%09uZ\r\n", day, (unsigned)(real % NS_PER_S));
}

struct rig {
    const struct bench_run *b;
    const struct variant *v;
    struct target *target;
    struct load *load;
    struct ask holders[SLOTS]; /* of the slots, where the others are to wait */
    struct ask jobs[SLOTS];
    struct deadline deadlines[SLOTS];
    struct bench_measure *late, *early;
    uint64_t random;
    unsigned serial;
    size_t n_caught; /* jobs that were where the variant wants them */
};

static uint64_t random_below(struct rig *g, uint64_t n)
{
    g->random = g->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (g->random >> 33) % n;
}

static int begin(struct rig *g, struct ask *a, uint32_t prompt_tokens, const char *params,
    const char *headers, struct orcd_error *err)
{
    char id[32];
    snprintf(id, sizeof(id), "deadline-%u", ++g->serial);
    struct target_prompt p = {.job_id = id,
        .n_tokens = prompt_tokens,
        .salt = g->b->seed + g->serial,
        .max_tokens = 1000,
        .stream = true,
        .params = params};
    return ask_job(a, g->load, g->target, &p, headers, err);
}

static int hold_slots(struct rig *g, struct orcd_error *err)
{
    for (int i = 0; i < SLOTS; i++) {
        int rc = begin(g, &g->holders[i], 8, NULL, NULL, err);
        if (rc)
            return rc;
        if (!ask_until(&g->holders[i], ASK_TOKEN, 1, PATIENCE_MS))
            return error_set(err, ORCD_E_BUSY, "a job did not get a slot");
    }
    return 0;
}

/* A job that has no slot yet is answered by a plain 504. */
static uint64_t ended_ns(const struct ask *a)
{
    return a->status == 504 ? a->head_ns : a->end_ns;
}

static int check(struct rig *g, const struct ask *a, struct orcd_error *err)
{
    bool queued = a->status == 504, partial = g->v->partial && !queued;
    bool right = partial ? !a->failed && strcmp(a->finish, "deadline") == 0
                         : a->failed && strcmp(a->code, "DEADLINE_EXCEEDED") == 0;
    g->n_caught += queued == g->v->queued;
    if (ended_ns(a) && right)
        return 0;
    return error_set(err, ORCD_E_INTERNAL, "%s: a job ended with status %d, '%s%s', not by its deadline",
        g->v->name, a->status, a->code, a->finish);
}

/* All slots' worth of jobs at once, each with a deadline of its own. */
static int round_of_jobs(struct rig *g, struct orcd_error *err)
{
    int rc = 0;
    for (int i = 0; i < SLOTS && !rc; i++) {
        deadline_in(&g->deadlines[i], (60 + random_below(g, 100)) * NS_PER_MS + random_below(g, NS_PER_MS));
        rc = begin(g, &g->jobs[i], g->v->prompt_tokens, g->v->params, g->deadlines[i].header, err);
    }
    for (int i = 0; i < SLOTS && !rc; i++) {
        struct ask *a = &g->jobs[i];
        if (!ask_until(a, ASK_DONE, 0, PATIENCE_MS))
            return error_set(err, ORCD_E_BUSY, "a job ran past its deadline (status %d)", a->status);
        rc = check(g, a, err);
        if (rc)
            return rc;
        double late_ms = ((double)ended_ns(a) - (double)g->deadlines[i].mono_ns) / 1e6;
        bench_add(g->late, late_ms);
        bench_add(g->early, late_ms < 0 ? -late_ms : 0);
        ask_reset(a);
    }
    return rc;
}

/* No new round before the slots are free: a zombie's slot would make its job wait. */
static int await_idle(struct rig *g, struct orcd_error *err)
{
    static struct ask health;
    uint64_t until = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    do {
        int rc = ask_path(&health, g->load, g->target, "GET", "/health", NULL, err);
        if (rc)
            return rc;
        if (!ask_until(&health, ASK_DONE, 0, PATIENCE_MS) || clock_mono_ns() > until)
            return error_set(err, ORCD_E_BUSY, "the slots stayed busy");
    } while (!strstr(health.body, "\"busy\":0}"));
    return 0;
}

static int run_variant(struct rig *g, struct bench_result *r, size_t n, struct orcd_error *err)
{
    const char *name = g->b->target->name;
    struct target_params tp = {.settings = g->v->settings};
    g->late = bench_measure_new(r, name, "after_deadline", g->v->name, "ms");
    g->early = bench_measure_new(r, name, "before_deadline", g->v->name, "ms");
    bench_bar(g->late, BENCH_P99, 5, "bar");
    bench_bar(g->early, BENCH_MAX, 0, "bar");
    int rc = target_start(&g->target, g->b->target, &tp, err);
    if (!rc)
        rc = load_new(&g->load, err);
    size_t in_round = 0;
    for (size_t i = 0; i < n && !rc; i += SLOTS) {
        if (g->v->queued && in_round++ % 16 == 0) { /* before the holders' answers end */
            for (int k = 0; k < SLOTS; k++)
                ask_close(&g->holders[k], LOAD_CLOSE);
            rc = await_idle(g, err);
            rc = rc ? rc : hold_slots(g, err);
        } else if (!g->v->queued) {
            rc = await_idle(g, err);
        }
        rc = rc ? rc : round_of_jobs(g, err);
        bench_progress(g->b, g->v->name, (double)(i + SLOTS) / (double)n);
    }
    if (!rc && g->n_caught * 4 < n)
        rc = error_set(err, ORCD_E_INTERNAL, "%s: only %zu of %zu jobs were in this phase at their deadline",
            g->v->name, g->n_caught, n);
    load_free(g->load);
    target_stop(g->target);
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]) && !rc; i++) {
        struct rig *g = calloc(1, sizeof(*g));
        if (!g)
            return error_set(err, ORCD_E_NOMEM, "out of memory");
        g->b = b;
        g->v = &variants[i];
        g->random = b->seed;
        rc = run_variant(g, r, bench_count(b, 80, 2000), err);
        free(g);
    }
    return rc;
}

const struct bench_case bench_deadline_abort = {
    "deadline_abort", "delay of the terminal event after the deadline", BENCH_MOCK, run};
