/*
 * A client disconnects, in every way and in every phase: the time from just before its close(), reset
 * or half-close until the slot is free. The slot is free when the head of the answer to the waiting
 * job arrives. With a mock that notices an abort at once the time is the server's own; a mock that
 * checks every 5 ms behaves like a device.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cases/slot.h"
#include "lib/echo.h"

#define PATIENCE_MS 60000

enum leave { CLOSE, RESET, HALF_CLOSE };

#define AT_ONCE                                                                                              \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        "plugin.options.token_ms=10", "plugin.options.prefill_us_per_token=1000", NULL                       \
    }
#define LOOKS                                                                                                \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        "plugin.options.token_ms=10", "plugin.options.prefill_us_per_token=1000",                            \
            "plugin.options.look_ms=5", NULL                                                                 \
    }
#define DECODE .prompt_tokens = 8, .max_tokens = 3000, .phase_ms = 10
#define PREFILL .prefill = true, .prompt_tokens = 3000, .max_tokens = 100, .phase_ms = 20

static const struct variant {
    const char *name;
    enum leave how;
    struct slot_params params;
    double bar_ms;
    enum bench_statistic bar_of;
} mock_variants[] = {
    {"close in decode", CLOSE, {.settings = AT_ONCE, DECODE}, 1, BENCH_P95},
    {"reset in decode", RESET, {.settings = AT_ONCE, DECODE}, 1, BENCH_P95},
    {"close in prefill", CLOSE, {.settings = AT_ONCE, PREFILL}, 1, BENCH_P95},
    {"reset in prefill", RESET, {.settings = AT_ONCE, PREFILL}, 1, BENCH_P95},
    {"close, answer in one piece, decode", CLOSE, {.settings = AT_ONCE, .whole = true, DECODE}, 1, BENCH_P95},
    {"half-close, answer in one piece, prefill", HALF_CLOSE, {.settings = AT_ONCE, .whole = true, PREFILL}, 1,
        BENCH_P95},
    {"close in decode, the plugin looks every 5 ms", CLOSE, {.settings = LOOKS, DECODE}, 15, BENCH_P95},
    {"close in decode beside 3 streams", CLOSE,
        {.settings = (const char *const[]){"plugin.options.token_ms=10", "model.context=32768", NULL},
            .beside = 3,
            DECODE},
        15, BENCH_P95},
    {"close in prefill, the plugin looks every 5 ms", CLOSE, {.settings = LOOKS, PREFILL}, 20, BENCH_P99},
};
/* Any server with one slot: what its steps take is part of the figure. */
static const struct variant model_variants[] = {
    {"close in decode", CLOSE, {.prompt_tokens = 8, .max_tokens = 1000, .phase_ms = 20}, 0, BENCH_P95},
    {"close in prefill", CLOSE, {.prefill = true, .prompt_tokens = 3000, .max_tokens = 16, .phase_ms = 50}, 0,
        BENCH_P95},
};

static uint64_t leave(struct ask *a, enum leave how)
{
    if (how != HALF_CLOSE)
        return ask_close(a, how == RESET ? LOAD_RESET : LOAD_CLOSE);
    uint64_t now = clock_mono_ns();
    load_call_half_close(a->call);
    return now;
}

static int sample(
    struct slot *s, const struct variant *v, struct bench_measure *freed, struct orcd_error *err)
{
    int rc = slot_ready(s, err);
    if (rc)
        return rc;
    uint64_t left_ns = leave(slot_holder(s), v->how), free_ns;
    rc = slot_freed(s, &free_ns, err);
    if (rc)
        return rc;
    bench_add(freed, free_ns > left_ns ? (double)(free_ns - left_ns) / 1e6 : 0);
    if (v->how == HALF_CLOSE && !ask_until(slot_holder(s), ASK_DONE, 0, PATIENCE_MS))
        return error_set(err, ORCD_E_BUSY, "a half-closed connection stayed open");
    slot_pass(s);
    return 0;
}

static int run_variant(const struct bench_run *b, struct bench_result *r, const struct variant *v,
    struct bench_measure *detection, size_t n, struct orcd_error *err)
{
    struct slot s;
    struct bench_measure *freed = bench_measure_new(r, b->target->name, "slot_free", v->name, "ms");
    bench_bar(freed, BENCH_P95, 100, "specification");
    if (v->bar_ms > 0)
        bench_bar(freed, v->bar_of, v->bar_ms, "bar");
    int rc = slot_start(&s, b, &v->params, err);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = sample(&s, v, freed, err);
        bench_progress(b, v->name, (double)(i + 1) / (double)n);
    }
    char *text = !rc && detection ? target_metrics(s.target) : NULL;
    if (text)
        slot_add_histogram(detection, "", text, "orcd_client_disconnect_detection_ms");
    free(text);
    slot_stop(&s);
    return rc;
}

/* One plain process that sees a connection end and answers on another at once. */
static int run_echo(const struct bench_run *b, struct bench_result *r, struct bench_measure **out, size_t n,
    struct orcd_error *err)
{
    struct echo_pattern pattern = {.n_streams = 1, .interval_ns = 10 * NS_PER_MS, .groups = 1};
    struct bench_measure *m = bench_measure_new(r, "echo", "close_to_answer", "", "ms");
    struct slot s = {.random = b->seed};
    struct ask holder = {0}, next = {.keep = true};
    struct echo *e = NULL;
    int rc = echo_start(&e, &pattern, err);
    rc = rc ? rc : load_new(&s.load, err);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = ask_url(&holder, s.load, echo_url(e), "POST", "/", "{}", err);
        rc = rc ? rc : ask_url(&next, s.load, echo_url(e), "GET", "/wait", NULL, err);
        if (rc)
            break;
        bool streams = ask_until(&holder, ASK_TOKEN, 2, PATIENCE_MS);
        ask_pass(s.load, clock_mono_ns() + (uint64_t)(slot_random(&s) * 10e6));
        uint64_t left_ns = ask_close(&holder, LOAD_CLOSE);
        if (!streams || !ask_until(&next, ASK_DONE, 0, PATIENCE_MS))
            rc = error_set(err, ORCD_E_BUSY, "the echo server did not answer");
        else
            bench_add(m, next.head_ns > left_ns ? (double)(next.head_ns - left_ns) / 1e6 : 0);
    }
    load_free(s.load);
    echo_stop(e);
    *out = m;
    return rc;
}

/* --- in the queue: no slot becomes free, but health says how many wait ------------------- */

static int queue_is_empty(struct slot *s, uint64_t *at_ns, struct orcd_error *err)
{
    uint64_t until = clock_mono_ns() + PATIENCE_MS * NS_PER_MS;
    s->side.keep = true;
    for (;;) {
        int rc = ask_path(&s->side, s->load, s->target, "GET", "/health", NULL, err);
        if (rc)
            return rc;
        if (!ask_until(&s->side, ASK_DONE, 0, PATIENCE_MS))
            return error_set(err, ORCD_E_BUSY, "/health did not answer");
        if (strstr(s->side.body, "\"queue_depth\":0,"))
            break;
        if (clock_mono_ns() >= until)
            return error_set(err, ORCD_E_BUSY, "a queued job stayed queued after its client left");
    }
    *at_ns = s->side.head_ns;
    return 0;
}

static int run_queued(const struct bench_run *b, struct bench_result *r, enum leave how, const char *variant,
    struct bench_measure *detection, size_t n, struct orcd_error *err)
{
    const struct slot_params params = {.settings = AT_ONCE, DECODE};
    struct bench_measure *gone = bench_measure_new(r, b->target->name, "out_of_queue", variant, "ms");
    struct slot s;
    bench_bar(gone, BENCH_P95, 100, "specification");
    bench_bar(gone, BENCH_P95, 1, "bar");
    int rc = slot_start(&s, b, &params, err);
    uint64_t at_ns;
    if (!rc)
        rc = queue_is_empty(&s, &at_ns, err); /* opens the connection */
    for (size_t i = 0; i < n && !rc; i++) {
        rc = slot_ready(&s, err);
        if (rc)
            break;
        uint64_t left_ns = leave(slot_waiting(&s), how);
        rc = queue_is_empty(&s, &at_ns, err);
        if (rc)
            break;
        bench_add(gone, at_ns > left_ns ? (double)(at_ns - left_ns) / 1e6 : 0);
        if (how == HALF_CLOSE)
            ask_until(slot_waiting(&s), ASK_DONE, 0, PATIENCE_MS);
        ask_reset(slot_waiting(&s));
        bench_progress(b, variant, (double)(i + 1) / (double)n);
    }
    char *text = !rc ? target_metrics(s.target) : NULL;
    if (text)
        slot_add_histogram(detection, "", text, "orcd_client_disconnect_detection_ms");
    free(text);
    slot_stop(&s);
    return rc;
}

static int run_mock(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    struct bench_measure *detection =
        bench_measure_new(r, b->target->name, "server_detection", "its own histogram, upper bounds", "ms");
    size_t n = bench_count(b, 40, 500);
    bench_bar(detection, BENCH_P99, 1, "bar");
    struct bench_measure *echo = NULL;
    int rc = run_echo(b, r, &echo, n, err);
    if (!rc)
        rc = run_queued(b, r, CLOSE, "close in the queue", detection, n, err);
    if (!rc)
        rc = run_queued(b, r, RESET, "reset in the queue", detection, n, err);
    if (!rc)
        rc = run_queued(b, r, HALF_CLOSE, "half-close in the queue", detection, n, err);
    for (size_t i = 0; i < sizeof(mock_variants) / sizeof(mock_variants[0]) && !rc; i++)
        rc = run_variant(b, r, &mock_variants[i], detection, n, err);
    for (struct bench_measure *m = r->measures; m; m = m->next)
        if (m != echo)
            m->echo = echo;
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    if (b->target->plugin && strcmp(b->target->plugin, "mock") == 0)
        return run_mock(b, r, err);
    int rc = 0;
    for (size_t i = 0; i < sizeof(model_variants) / sizeof(model_variants[0]) && !rc; i++)
        rc = run_variant(b, r, &model_variants[i], NULL, bench_count(b, 5, 30), err);
    return rc;
}

const struct bench_case bench_client_disconnect_detection = {
    "client_disconnect_detection", "close() to slot free", BENCH_PEERS | BENCH_NAMED, run};
