/*
 * 300 streams of 50 tokens per second each. Each reader has a schedule: a token is due 20 ms after
 * the one before was due or, if that one was early, after it arrived. The lateness of a token is
 * measured against this schedule, so that a pause counts for every token until the stream has caught
 * up, and an early token gains nothing. A step of the device takes 19 ms: a worker that adds less than
 * 1 ms to a step keeps up.
 *
 * Also the processor time that the server's process, with the mock's own work, uses per token, in
 * windows of 500 ms.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/clock.h"
#include "lib/bench.h"
#include "lib/fleet.h"

#define STREAMS 300
#define DUE_NS (20 * NS_PER_MS)

struct reader {
    struct bench_measure *late;
    uint64_t due_ns[STREAMS];
};

static void on_token(void *arg, const struct fleet_token *t)
{
    struct reader *r = arg;
    uint64_t *due = &r->due_ns[t->stream], now = t->event->recv_ns;
    if (*due && t->before_ns)
        bench_add(r->late, now > *due ? (double)(now - *due) / 1e6 : 0);
    *due = (*due && t->before_ns && *due < now ? *due : now) + DUE_NS;
}

static int drive(const struct bench_run *b, struct bench_result *r, struct target *t, struct load *l,
    struct orcd_error *err)
{
    const char *name = b->target->name;
    struct reader reader = {.late = bench_measure_new(r, name, "late", "300 streams x 50 tok/s", "ms")};
    struct bench_measure *cpu = bench_measure_new(r, name, "cpu_per_token", "300 streams x 50 tok/s", "us");
    struct bench_measure *pace = bench_measure_new(r, name, "throughput", "300 streams x 50 tok/s", "tok/s");
    struct fleet_spec spec = {.target = t,
        .n_streams = STREAMS,
        .prompt_tokens = 8,
        .max_tokens = 30000,
        .salt = b->seed,
        .token = on_token,
        .arg = &reader};
    struct fleet *f = NULL;
    pace->higher_is_better = true;
    bench_bar(reader.late, BENCH_P999, 20, "bar");
    bench_bar(cpu, BENCH_MEDIAN, 40, "bar");
    int rc = fleet_start(&f, l, &spec, err);
    rc = rc ? rc : fleet_run(f, 500 * NS_PER_MS, 0, err);
    size_t n = bench_count(b, 8, 60);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        uint64_t from = clock_mono_ns(), cpu_from = target_cpu_ns(t), tokens = fleet_tokens(f);
        rc = fleet_go_on(f, 500 * NS_PER_MS, err);
        uint64_t cpu_ns = target_cpu_ns(t) - cpu_from, passed = clock_mono_ns() - from;
        tokens = fleet_tokens(f) - tokens;
        if (rc == 0 && tokens) {
            bench_add(cpu, (double)cpu_ns / 1e3 / (double)tokens);
            bench_add(pace, (double)tokens * 1e9 / (double)passed);
        }
        bench_progress(b, "streams", (double)i / (double)n);
    }
    fleet_stop(f);
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    static const char *const settings[] = {"model.slots=300", "queue.capacity=300", "model.context=32768",
        "plugin.options.token_ms=19", "plugin.options.memory_mb=65536", "http.max_connections=2048",
        "log.level=warn", NULL};
    struct target_params params = {.settings = settings};
    struct target *t;
    struct load *l;
    int rc = target_start(&t, b->target, &params, err);
    if (rc)
        return rc;
    rc = load_new(&l, err);
    if (rc == 0) {
        rc = drive(b, r, t, l, err);
        load_free(l);
    }
    target_stop(t);
    return rc;
}

const struct bench_case bench_streams = {
    "streams", "300 streams x 50 tokens/s: lateness against the schedule, processor time", BENCH_MOCK, run};
