/* A draw from logits that look like a model's: a few candidates above a broad floor. */
#include <stdlib.h>

#include "bench/micro.h"
#include "sample/sampler.h"

#define VOCAB 32768

static struct sampler *sampler;
static struct sample_params params;
static float *logits;

static int setup(float temperature, uint32_t top_k, float top_p, struct orcd_error *err)
{
    uint64_t state = 5;
    logits = malloc(VOCAB * sizeof(*logits));
    if (!logits)
        return micro_no_memory(err);
    for (int i = 0; i < VOCAB; i++) {
        float x = (float)(micro_random(&state) % 65536) / 65536;
        logits[i] = -4 + 6 * x * x * x + (i % 1021 == 0 ? 8 * x : 0);
    }
    sample_params_default(&params);
    params.temperature = temperature;
    params.top_k = top_k;
    params.top_p = top_p;
    params.seed = 42;
    int rc = sampler_new(&sampler, VOCAB, err);
    return rc ? rc : sampler_begin(sampler, &params, NULL, 0, err);
}

static void run(uint64_t n)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    for (uint64_t i = 0; i < n; i++) {
        struct sample_result r;
        if (sampler_draw(sampler, logits, i, &r, &err))
            abort();
        micro_sink = (uint64_t)r.id;
    }
}

MICRO_SETUP(sampler_greedy)
{
    (void)model;
    return setup(0, 0, 1, err);
}

MICRO_RUN(sampler_greedy)
{
    run(n);
}

MICRO_SETUP(sampler_top)
{
    (void)model;
    return setup(0.8f, 40, 0.9f, err);
}

MICRO_RUN(sampler_top)
{
    run(n);
}
