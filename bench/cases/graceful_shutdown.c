/*
 * The time from SIGTERM to the terminal event of a job and to the end of the process: idle, in decode,
 * in prefill, with a client that does not read, with a plugin that hangs.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "lib/ask.h"
#include "lib/bench.h"

#define PATIENCE_MS 60000
#define DRAIN_MS 200
#define FILL_MS 700 /* for a stream that nobody reads to fill every buffer on its way */
#define GRACE_MS 5000.0
#define DRAIN "shutdown.drain_ms=200"

struct variant {
    const char *name;
    const char *const *settings;        /* of ours */
    uint32_t prompt_tokens, max_tokens; /* 0: no job */
    uint32_t after_tokens;              /* SIGTERM when so many came; 0: in prefill */
    bool deaf;                          /* the client stops reading */
    bool hung;                          /* the plugin never answers */
    bool mock_only;
};

static const struct variant variants[] = {
    {.name = "idle", .settings = (const char *const[]){DRAIN, NULL}},
    {.name = "in decode",
        .settings = (const char *const[]){DRAIN, "plugin.options.token_ms=10", NULL},
        .prompt_tokens = 8,
        .max_tokens = 3000,
        .after_tokens = 5},
    {.name = "in prefill",
        .settings = (const char *const[]){DRAIN, "plugin.options.prefill_us_per_token=2000", NULL},
        .prompt_tokens = 3000,
        .max_tokens = 100},
    {.name = "the client does not read",
        .settings = (const char *const[]){DRAIN, "model.context=32768", NULL},
        .prompt_tokens = 8,
        .max_tokens = 30000,
        .after_tokens = 5,
        .deaf = true,
        .mock_only = true},
    {.name = "the plugin hangs",
        .settings = (const char *const[]){DRAIN, "plugin.options.token_ms=10",
            "plugin.options.fault=wait.hang@10!", NULL},
        .prompt_tokens = 8,
        .max_tokens = 3000,
        .after_tokens = 3,
        .hung = true,
        .mock_only = true},
};

/* Waits for the end of the process beside the load. */
struct watch {
    struct target *target;
    uint64_t exited_ns;
    int rc, status;
};

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    w->rc = target_wait_exit(w->target, PATIENCE_MS, &w->exited_ns, &w->status, NULL);
    return NULL;
}

struct sight {
    uint64_t began_ns, terminal_ns, exited_ns;
    int status;
    char code[40];
};

/* The job's stream is where the variant wants it. */
static int reach(const struct variant *v, struct ask *a, struct orcd_error *err)
{
    bool ok = v->after_tokens ? ask_until(a, ASK_TOKEN, v->after_tokens, PATIENCE_MS)
                              : ask_until(a, ASK_HEAD, 0, PATIENCE_MS);
    if (!ok)
        return error_set(err, ORCD_E_BUSY, "the job did not start: %s", a->code);
    if (v->deaf) {
        load_call_read(a->call, false);
        ask_pass(a->load, clock_mono_ns() + FILL_MS * NS_PER_MS);
    }
    return 0;
}

/* Other plugins have none of the mock's options. */
static void choose_settings(const struct variant *v, bool mock, const char **out, size_t size)
{
    size_t n = 0;
    for (const char *const *s = v->settings; *s && n + 1 < size; s++)
        if (mock || strncmp(*s, "plugin.options.", 15))
            out[n++] = *s;
    out[n] = NULL;
}

static int shut_down(
    const struct bench_run *b, const struct variant *v, struct sight *seen, struct orcd_error *err)
{
    bool ours = b->target->plugin != NULL, mock = ours && strcmp(b->target->plugin, "mock") == 0;
    const char *settings[8];
    struct target_params p = {.settings = ours ? settings : NULL, .model = mock ? NULL : b->model};
    struct target_prompt prompt = {.job_id = "job",
        .n_tokens = v->prompt_tokens,
        .salt = b->seed,
        .max_tokens = v->max_tokens,
        .stream = true,
        .params = v->deaf ? "\"logprobs\":20" : NULL};
    struct ask a = {0};
    struct watch w = {0};
    struct load *l = NULL;
    pthread_t thread;
    choose_settings(v, mock, settings, ARRAY_LEN(settings));
    int rc = target_start(&w.target, b->target, &p, err);
    if (rc)
        return rc;
    rc = load_new(&l, err);
    if (!rc && v->max_tokens) {
        rc = ask_job(&a, l, w.target, &prompt, NULL, err);
        rc = rc ? rc : reach(v, &a, err);
    }
    if (!rc && pthread_create(&thread, NULL, watch_main, &w))
        rc = error_set(err, ORCD_E_NOMEM, "cannot start a thread");
    if (!rc) {
        seen->began_ns = clock_mono_ns();
        kill(target_pid(w.target), SIGTERM);
        if (v->max_tokens && !v->deaf)
            ask_until(&a, ASK_DONE, 0, PATIENCE_MS);
        pthread_join(thread, NULL);
        rc = w.rc ? error_set(err, ORCD_E_BUSY, "the server did not end") : 0;
        seen->terminal_ns = a.end_ns;
        seen->exited_ns = w.exited_ns;
        seen->status = w.status;
        snprintf(seen->code, sizeof(seen->code), "%s", a.code);
    }
    load_free(l);
    target_stop(w.target);
    return rc;
}

struct measures {
    struct bench_measure *exit, *after_drain, *terminal, *delivered, *status;
};

static void make_measures(
    const struct bench_run *b, struct bench_result *r, const struct variant *v, struct measures *m)
{
    const char *t = b->target->name;
    bool ours = b->target->plugin != NULL;
    memset(m, 0, sizeof(*m));
    m->exit = bench_measure_new(r, t, "exit", v->name, "ms");
    if (ours)
        bench_bar(m->exit, BENCH_MAX, GRACE_MS, "specification");
    if (v->max_tokens && !v->deaf) {
        m->terminal = bench_measure_new(r, t, "terminal_event", v->name, "ms");
        m->delivered = bench_measure_new(r, t, "terminal_events_received", v->name, "1");
        m->delivered->higher_is_better = true;
        if (ours)
            bench_bar(m->delivered, BENCH_MIN, 1, "specification");
    }
    if (!ours)
        return;
    if (!v->hung) {
        /* Nothing is left to drain without a job. */
        m->after_drain = bench_measure_new(r, t, "exit_after_drain", v->name, "ms");
        if (!v->deaf)
            bench_bar(m->after_drain, BENCH_P95, 100, "bar");
        m->status = bench_measure_new(r, t, "exits_with_status_0", v->name, "1");
        m->status->higher_is_better = true;
        bench_bar(m->status, BENCH_MIN, 1, "bar");
    }
}

static void take(const struct variant *v, const struct measures *m, const struct sight *k, bool ours)
{
    double took = (double)(k->exited_ns - k->began_ns) / 1e6;
    bench_add(m->exit, took);
    if (m->after_drain)
        bench_add(m->after_drain, took - (v->max_tokens ? DRAIN_MS : 0));
    if (m->status)
        bench_add(m->status, k->status == 0);
    if (!m->delivered)
        return;
    bench_add(m->delivered, k->terminal_ns && (!ours || strcmp(k->code, "SHUTTING_DOWN") == 0));
    if (k->terminal_ns)
        bench_add(m->terminal, (double)(k->terminal_ns - k->began_ns) / 1e6);
}

static void draw(struct bench_plot *p, const struct variant *v, const struct sight *k)
{
    char name[64];
    if (k->terminal_ns) {
        snprintf(name, sizeof(name), "%s: terminal event", v->name);
        bench_point(bench_series_new(p, name), 0, (double)(k->terminal_ns - k->began_ns) / 1e6);
    }
    snprintf(name, sizeof(name), "%s: exit", v->name);
    bench_point(bench_series_new(p, name), 0, (double)(k->exited_ns - k->began_ns) / 1e6);
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    bool ours = b->target->plugin != NULL, mock = ours && strcmp(b->target->plugin, "mock") == 0;
    struct bench_plot *plot = NULL;
    int rc = 0;
    if (b->target->url) {
        snprintf(r->skipped, sizeof(r->skipped),
            "the server was not started by this benchmark, so it is not stopped");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(variants) && !rc; i++) {
        const struct variant *v = &variants[i];
        struct measures m;
        size_t n = v->hung || v->deaf ? bench_count(b, 1, 5)
                   : mock             ? bench_count(b, 10, 100)
                                      : bench_count(b, 2, 10);
        if (v->mock_only && !mock)
            continue;
        make_measures(b, r, v, &m);
        for (size_t k = 0; k < n && !rc; k++) {
            struct sight seen = {0};
            rc = shut_down(b, v, &seen, err);
            if (rc)
                break;
            take(v, &m, &seen, ours);
            if (!plot)
                plot = bench_plot_new(r, BENCH_TIMELINE, "After SIGTERM (jobs may run on for 200 ms)",
                    "milliseconds since SIGTERM", "");
            if (k == 0 && !v->hung && !v->deaf)
                draw(plot, v, &seen);
            bench_progress(b, v->name, (double)(k + 1) / (double)n);
        }
        if (rc)
            error_prefix(err, "%s", v->name);
    }
    return rc;
}

const struct bench_case bench_graceful_shutdown = {
    "graceful_shutdown", "SIGTERM to terminal event and exit", BENCH_PEERS, run};
