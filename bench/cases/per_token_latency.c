/*
 * The time between the token events of a stream, and the time from when a token is ready (sampled,
 * by the time stamp that it carries) to the client's recv(): all of it, its part until the kernel has
 * the packet, and its part in which the client wakes up and reads.
 *
 * A step produces the tokens of all running streams at one instant, so "one instant" is the natural
 * pattern of 300 slots. For streams that are spread in time, each step has one row
 * (model.max_step_rows): the streams take turns, and each gets a token every interval, evenly spread.
 *
 * An echo server sends the same pattern to the same client in the same run. Rounds of one second take
 * turns, so that both see the same machine.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "lib/bench.h"
#include "lib/echo.h"
#include "lib/fleet.h"

struct pattern {
    const char *variant;
    unsigned n_streams;
    double interval_ms; /* between tokens of one stream */
    bool spread;
};

static const struct pattern patterns[] = {
    {"1 stream", 1, 5, false},
    {"50 streams, spread", 50, 20, true},
    {"300 streams, spread", 300, 30, true},
    {"50 streams, one instant", 50, 20, false},
    {"300 streams, one instant", 300, 40, false},
};

struct sink {
    struct bench_measure *between, *all, *server, *client;
};

static double us(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e3 : 0;
}

static void on_token(void *arg, const struct fleet_token *t)
{
    const struct sink *s = arg;
    const struct load_event *e = t->event;
    if (t->before_ns && s->between)
        bench_add(s->between, us(t->before_ns, e->recv_ns) / 1e3);
    if (!e->sampled_ns)
        return;
    if (s->all)
        bench_add(s->all, us(e->sampled_ns, e->recv_ns));
    if (s->server) {
        bench_add(s->server, us(e->sampled_ns, e->kernel_ns));
        bench_add(s->client, us(e->kernel_ns, e->recv_ns));
    }
}

#define ROUND_MS 1000

static void next_round(const struct sink *s)
{
    struct bench_measure *const m[] = {s->between, s->all, s->server, s->client};
    for (size_t i = 0; i < ARRAY_LEN(m); i++)
        if (m[i])
            bench_round(m[i]);
}

/* Round `number` of one of the two. */
static int drive(const struct bench_run *b, const struct target *t, const char *url, const struct pattern *p,
    uint64_t number, struct sink *sink, struct orcd_error *err)
{
    struct fleet_spec spec = {.target = t,
        .url = url,
        .n_streams = p->n_streams,
        .prompt_tokens = 8,
        .max_tokens = 30000,
        .salt = b->seed + number * UINT64_C(1000000007),
        .timestamps = true,
        .token = on_token,
        .arg = sink};
    struct load *l;
    struct fleet *f = NULL;
    int rc = load_new(&l, err);
    if (rc)
        return rc;
    next_round(sink);
    rc = fleet_start(&f, l, &spec, err);
    if (rc == 0)
        rc = fleet_run(f, 200 * NS_PER_MS, ROUND_MS * NS_PER_MS, err);
    fleet_stop(f);
    load_free(l);
    return rc;
}

static int run_pattern(
    const struct bench_run *b, struct bench_result *r, const struct pattern *p, struct orcd_error *err)
{
    const char *name = b->target->name;
    char slots[32], token_ms[64], batch[48], rows[32];
    snprintf(slots, sizeof(slots), "model.slots=%u", p->n_streams);
    snprintf(token_ms, sizeof(token_ms), "plugin.options.token_ms=%.6f",
        p->spread ? p->interval_ms / p->n_streams : p->interval_ms);
    snprintf(batch, sizeof(batch), "model.max_batch_tokens=%u", p->n_streams > 512 ? p->n_streams : 512);
    snprintf(rows, sizeof(rows), "model.max_step_rows=%u", p->spread ? 1u : 0u);
    const char *const settings[] = {slots, token_ms, batch, p->spread ? rows : "model.context=32768",
        "model.context=32768", "queue.capacity=1024", "log.level=warn", "plugin.options.memory_mb=65536",
        "http.max_connections=2048", NULL};
    struct target_params params = {.settings = settings};
    struct target *t;
    struct sink sink = {.between = bench_measure_new(r, name, "between_tokens", p->variant, "ms"),
        .all = bench_measure_new(r, name, "ready_to_recv", p->variant, "us"),
        .server = bench_measure_new(r, name, "ready_to_kernel", p->variant, "us"),
        .client = bench_measure_new(r, name, "kernel_to_recv", p->variant, "us")};
    bench_bar(sink.between, BENCH_P95, 50, "specification");
    if (p->spread || p->n_streams == 1) {
        bench_bar(sink.all, BENCH_MEDIAN, 60, "bar");
        bench_bar(sink.all, BENCH_P99, 250, "bar");
    } else {
        bench_bar(sink.all, BENCH_P99, 8.0 * p->n_streams, "bar");
    }
    struct echo_pattern pattern = {.n_streams = p->n_streams,
        .interval_ns = (uint64_t)(p->interval_ms * 1e6),
        .groups = p->spread ? p->n_streams : 1};
    struct sink plain = {.all = bench_measure_new(r, "echo", "ready_to_recv", p->variant, "us")};
    struct echo *e;
    sink.all->echo = plain.all;
    int rc = echo_start(&e, &pattern, err);
    if (rc)
        return rc;
    rc = target_start(&t, b->target, &params, err);
    if (rc) {
        echo_stop(e);
        return rc;
    }
    size_t rounds = bench_count(b, 2, 15);
    for (size_t i = 0; i < rounds && rc == 0; i++) {
        rc = drive(b, t, NULL, p, i, &sink, err);
        rc = rc ? rc : drive(b, NULL, echo_url(e), p, i, &plain, err);
    }
    target_stop(t);
    echo_stop(e);
    return rc;
}

/* One stream of a model: between tokens only. */
static int run_model(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    struct sink sink = {.between = bench_measure_new(r, b->target->name, "between_tokens", "1 stream", "ms")};
    struct target_params params = {.model = b->model};
    struct fleet_spec spec = {.n_streams = 1,
        .prompt_tokens = 40,
        .max_tokens = 256,
        .salt = b->seed,
        .token = on_token,
        .arg = &sink};
    struct target *t;
    struct load *l;
    struct fleet *f = NULL;
    int rc = target_start(&t, b->target, &params, err);
    if (rc)
        return rc;
    spec.target = t;
    rc = load_new(&l, err);
    if (rc == 0) {
        rc = fleet_start(&f, l, &spec, err);
        rc = rc ? rc : fleet_run(f, NS_PER_S, bench_count(b, 5000, 30000) * NS_PER_MS, err);
        fleet_stop(f);
        load_free(l);
    }
    target_stop(t);
    if (b->target->plugin)
        bench_bar(sink.between, BENCH_P95, 50, "specification");
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    size_t n = sizeof(patterns) / sizeof(patterns[0]);
    if (!b->target->plugin || strcmp(b->target->plugin, "mock"))
        return run_model(b, r, err);
    for (size_t i = 0; i < n; i++) {
        bench_progress(b, "per_token_latency", (double)i / (double)n);
        int rc = run_pattern(b, r, &patterns[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

const struct bench_case bench_per_token_latency = {"per_token_latency",
    "time between token events; from token ready to the client's recv()", BENCH_PEERS | BENCH_NAMED, run};
