/*
 * POST /v2/cancel, over an open connection, for the job that holds the slot: the time until the 202,
 * until the job's terminal event, and until the slot is free. The slot is free when the head of the
 * answer to the waiting job arrives.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cases/slot.h"

#define PATIENCE_MS 60000

struct variant {
    const char *name;
    struct slot_params params;
    double bar_ms; /* of the slot */
    enum bench_statistic bar_of;
};

static const struct variant mock_variants[] = {
    {"decode, 10 ms a token",
        {.settings = (const char *const[]){"plugin.options.token_ms=10", "plugin.options.look_ms=5", NULL},
            .prompt_tokens = 8,
            .max_tokens = 3000,
            .phase_ms = 10},
        15, BENCH_P95},
    {"decode beside 3 streams, 10 ms a token",
        {.settings = (const char *const[]){"plugin.options.token_ms=10", "model.context=32768", NULL},
            .prompt_tokens = 8,
            .max_tokens = 3000,
            .beside = 3,
            .phase_ms = 10},
        15, BENCH_P95},
    {"prefill, the plugin looks every 5 ms",
        {.settings = (const char *const[]){"plugin.options.token_ms=10", "plugin.options.look_ms=5",
             "plugin.options.prefill_us_per_token=1000", NULL},
            .prefill = true,
            .prompt_tokens = 3000,
            .max_tokens = 100,
            .phase_ms = 20},
        20, BENCH_P99},
};
/* Of a model: what its plugin takes for a step is part of the figure. */
static const struct variant model_variants[] = {
    {"decode", {.prompt_tokens = 8, .max_tokens = 3000, .phase_ms = 20}, 0, BENCH_P95},
    {"prefill", {.prefill = true, .prompt_tokens = 3000, .max_tokens = 100, .phase_ms = 100}, 0, BENCH_P95},
};

/* What one cancel looked like, for the time line; nanoseconds. */
struct sight {
    uint64_t token_ns[ASK_TOKENS];
    uint32_t n_tokens;
    uint64_t sent_ns, accepted_ns, terminal_ns, free_ns, next_ns;
};

static int cancel(struct slot *s, struct ask *c, struct sight *seen, struct orcd_error *err)
{
    struct ask *a = slot_holder(s), *next = slot_waiting(s);
    char body[80];
    snprintf(body, sizeof(body), "{\"job_id\":\"%s\"}", a->job_id);
    int rc = ask_path(c, s->load, s->target, "POST", "/v2/cancel", body, err);
    if (rc)
        return rc;
    if (!ask_until(next, ASK_HEAD, 0, PATIENCE_MS) || !ask_until(a, ASK_END, 0, PATIENCE_MS) ||
        !ask_until(c, ASK_DONE, 0, PATIENCE_MS))
        return error_set(err, ORCD_E_BUSY, "a cancel did not end its job");
    if (c->status != 202 || strcmp(a->code, "CANCELLED") != 0 || next->status != 200)
        return error_set(err, ORCD_E_INTERNAL,
            "a cancel got status %d, its job ended with '%s', the next job got status %d", c->status, a->code,
            next->status);
    memcpy(seen->token_ns, a->token_ns, sizeof(seen->token_ns));
    seen->n_tokens = a->n_tokens;
    seen->sent_ns = c->sent_ns;
    seen->accepted_ns = c->head_ns;
    seen->terminal_ns = a->end_ns;
    seen->free_ns = next->head_ns;
    if (!ask_until(a, ASK_DONE, 0, PATIENCE_MS))
        return error_set(err, ORCD_E_BUSY, "a cancelled stream stayed open");
    return 0;
}

static int by_free_time(const void *a, const void *b)
{
    const struct sight *x = a, *y = b;
    uint64_t dx = x->free_ns - x->sent_ns, dy = y->free_ns - y->sent_ns;
    return (dx > dy) - (dx < dy);
}

static void span(struct bench_plot *p, const char *name, const struct sight *k, uint64_t from, uint64_t to)
{
    bench_point(bench_series_new(p, name), ((double)from - (double)k->sent_ns) / 1e6,
        ((double)to - (double)k->sent_ns) / 1e6);
}

/* The cancel whose slot took the median time. */
static void draw(struct bench_result *r, const char *variant, const struct sight *k)
{
    char title[96];
    snprintf(title, sizeof(title), "One cancel: %s", variant);
    struct bench_plot *p =
        bench_plot_new(r, BENCH_TIMELINE, title, "milliseconds since the cancel was sent", "");
    uint32_t n = k->n_tokens < 8 ? k->n_tokens : 8;
    if (n > 1) {
        struct bench_series *steps = bench_series_new(p, "the job's tokens");
        for (uint32_t i = k->n_tokens - n; i + 1 < k->n_tokens; i++)
            bench_point(steps, ((double)k->token_ns[i % ASK_TOKENS] - (double)k->sent_ns) / 1e6,
                ((double)k->token_ns[(i + 1) % ASK_TOKENS] - (double)k->sent_ns) / 1e6);
    }
    span(p, "cancel sent, 202 received", k, k->sent_ns, k->accepted_ns);
    span(p, "... the job's terminal event", k, k->sent_ns, k->terminal_ns);
    span(p, "... the slot is free", k, k->sent_ns, k->free_ns);
    if (k->next_ns)
        span(p, "the next job's first token", k, k->free_ns, k->next_ns);
}

static int run_variant(const struct bench_run *b, struct bench_result *r, const struct variant *v, size_t n,
    struct orcd_error *err)
{
    const char *name = b->target->name;
    struct slot s;
    struct ask c = {.keep = true};
    struct sight *seen = calloc(n, sizeof(*seen));
    int rc = seen ? slot_start(&s, b, &v->params, err) : error_set(err, ORCD_E_NOMEM, "out of memory");
    if (!seen)
        return rc;
    struct bench_measure *accepted = bench_measure_new(r, name, "accepted", v->name, "ms");
    struct bench_measure *terminal = bench_measure_new(r, name, "terminal_event", v->name, "ms");
    struct bench_measure *freed = bench_measure_new(r, name, "slot_free", v->name, "ms");
    bench_bar(freed, BENCH_P95, 200, "specification");
    if (v->bar_ms > 0)
        bench_bar(freed, v->bar_of, v->bar_ms, "bar");
    if (!rc)
        rc = ask_path(&c, s.load, s.target, "GET", "/health/live", NULL, err);
    if (!rc && !ask_until(&c, ASK_DONE, 0, PATIENCE_MS))
        rc = error_set(err, ORCD_E_BUSY, "the first request was not answered");
    for (size_t i = 0; i < n && !rc; i++) {
        rc = slot_ready(&s, err);
        rc = rc ? rc : cancel(&s, &c, &seen[i], err);
        if (rc)
            break;
        bench_add(accepted, (double)(seen[i].accepted_ns - seen[i].sent_ns) / 1e6);
        bench_add(terminal, (double)(seen[i].terminal_ns - seen[i].sent_ns) / 1e6);
        bench_add(freed, (double)(seen[i].free_ns - seen[i].sent_ns) / 1e6);
        slot_pass(&s);
        if (!v->params.prefill && ask_until(slot_holder(&s), ASK_TOKEN, 1, PATIENCE_MS))
            seen[i].next_ns = slot_holder(&s)->first_ns;
        bench_progress(b, v->name, (double)(i + 1) / (double)n);
    }
    if (!rc) {
        qsort(seen, n, sizeof(*seen), by_free_time);
        draw(r, v->name, &seen[n / 2]);
    }
    free(seen);
    slot_stop(&s);
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    bool mock = strcmp(b->target->plugin, "mock") == 0;
    const struct variant *v = mock ? mock_variants : model_variants;
    size_t n_variants = mock ? sizeof(mock_variants) / sizeof(*v) : sizeof(model_variants) / sizeof(*v);
    size_t n = mock ? bench_count(b, 60, 1000) : bench_count(b, 8, 60);
    int rc = 0;
    for (size_t i = 0; i < n_variants && !rc; i++)
        rc = run_variant(b, r, &v[i], n, err);
    return rc;
}

const struct bench_case bench_cancellation_latency = {
    "cancellation_latency", "POST /v2/cancel to slot free", BENCH_NAMED, run};
