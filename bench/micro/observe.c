/* Metrics and health: what each token and each scrape costs. */
#include <stdlib.h>
#include <time.h>

#include "bench/micro.h"
#include "health.h"
#include "metrics.h"

MICRO_SETUP(metric_observe)
{
    (void)model;
    (void)err;
    return 0;
}

MICRO_RUN(metric_observe)
{
    static const double values[] = {3, 30, 55, 80, 120, 90, 700, 45};
    for (uint64_t i = 0; i < n; i++)
        metric_observe(MH_EMISSION, values[i % 8]);
}

MICRO_SETUP(metrics_render)
{
    (void)model;
    (void)err;
    metric_build_info("0.0.0", 1, "mock");
    for (int id = 0; id < MH_COUNT; id++)
        for (int i = 0; i < 100; i++)
            metric_observe((enum metric_histogram)id, 0.01 * i * i);
    return 0;
}

MICRO_RUN(metrics_render)
{
    for (uint64_t i = 0; i < n; i++) {
        size_t size = 0;
        char *text = metric_render(&size);
        if (!text)
            abort();
        micro_sink = size;
        free(text);
    }
}

static struct health *health;

MICRO_SETUP(health_render)
{
    (void)model;
    const struct health_params params = {.refresh_ms = 3600 * 1000, .residency_ms = 3600 * 1000};
    const struct engine_params slots = {.n_slots = 4, .n_ctx = 4096, .queue_capacity = 16};
    const struct health_facts facts = {
        .model = "Demo 1M",
        .model_ref = "demo",
        .plugin = "mock",
        .plugin_version = "0.0.0",
        .device = "mock device 0",
        .quant_kind = "Q4_K_M",
        .tokenizer_kind = "gguf-bpe",
        .memory_architecture = "ram",
        .vocab_size = 32768,
        .context_length = 4096,
    };
    struct engine *engine;
    int rc = engine_new(&engine, &slots, err);
    if (!rc)
        rc = health_start(&health, &params, engine, err);
    if (rc)
        return rc;
    health_set_ready(health, &facts, NULL);
    /* Its thread fills the cache once and goes, so that one thread is left to count. A
     * wait that spins would be counted too. */
    while (health_age_s(health) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (!health_stop(health, 60000))
        return error_set(err, ORCD_E_INTERNAL, "the health thread did not end");
    return 0;
}

MICRO_RUN(health_render)
{
    static char buf[8192];
    for (uint64_t i = 0; i < n; i++) {
        size_t size;
        if (health_render(health, HEALTH_READY, buf, sizeof(buf), &size) == 500)
            abort();
        micro_sink = size;
    }
}
