/* Process start to listening, to ready, and to the ready callback. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "lib/bench.h"

static double ms(uint64_t from, uint64_t to)
{
    return (double)(to - from) / 1e6;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    const char *name = b->target->name;
    bool mock = b->target->plugin && strcmp(b->target->plugin, "mock") == 0;
    struct bench_measure *listening = bench_measure_new(r, name, "listening", "", "ms");
    struct bench_measure *ready = bench_measure_new(r, name, "ready", "", "ms");
    if (mock)
        bench_bar(ready, BENCH_P95, 30, "bar");
    size_t n = mock ? bench_count(b, 20, 200) : bench_count(b, 3, 10);
    for (size_t i = 0; i < n; i++) {
        struct target *t;
        struct target_params p = {.model = mock ? NULL : b->model};
        struct target_times times;
        int rc = target_start(&t, b->target, &p, err);
        if (rc)
            return rc;
        target_times(t, &times);
        target_stop(t);
        bench_add(listening, ms(times.spawned_ns, times.listening_ns));
        bench_add(ready, ms(times.spawned_ns, times.ready_ns));
        bench_progress(b, "model_loading", (double)i / (double)n);
    }
    return 0;
}

const struct bench_case bench_model_loading = {
    "model_loading", "process start to ready", BENCH_PEERS | BENCH_NAMED, run};
