/* bench-sampler [VOCABULARY]: measures one draw with common settings. Prints the best of 40 draws from
 * Gaussian logits with three tokens raised above them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sample/sampler.h"

static const struct {
    const char *name;
    float temperature, top_p, min_p, typical_p, repetition;
    uint32_t top_k, logprobs;
} settings[] = {
    {"greedy", 0, 1, 0, 1, 1, 0, 0},
    {"greedy, 5 logprobs", 0, 1, 0, 1, 1, 0, 5},
    {"temperature 1", 1, 1, 0, 1, 1, 0, 0},
    {"top-k 40", 0.8f, 1, 0, 1, 1, 40, 0},
    {"top-k 40, top-p 0.95, min-p 0.05", 0.8f, 0.95f, 0.05f, 1, 1, 40, 0},
    {"repetition 1.1, top-k 40, top-p 0.95", 0.8f, 0.95f, 0, 1, 1.1f, 40, 0},
    {"min-p 0.05", 1, 1, 0.05f, 1, 1, 0, 0},
    {"top-p 0.9", 1, 0.9f, 0, 1, 1, 0, 0},
    {"top-p 0.9, temperature 2 (flat)", 2, 0.9f, 0, 1, 1, 0, 0},
    {"typical 0.9", 1, 1, 0, 0.9f, 1, 0, 0},
    {"top-k 50000", 1, 1, 0, 1, 1, 50000, 0},
};

static float gauss(uint64_t i)
{
    double a = ((double)sampler_uniform(1, 2 * i) + 1e-9), b = (double)sampler_uniform(1, 2 * i + 1);
    return (float)(3 * sqrt(-2 * log(a)) * cos(6.283185307 * b));
}

int main(int argc, char **argv)
{
    uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 151936;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct sampler *s;
    if (n < 1000 || sampler_new(&s, n, &err)) {
        fprintf(stderr, "bench-sampler: %s\n", n < 1000 ? "VOCABULARY must be at least 1000" : err.msg);
        return 1;
    }
    float *logits = malloc(n * sizeof(*logits));
    if (!logits)
        return 1;
    for (uint32_t i = 0; i < n; i++)
        logits[i] = gauss(i);
    logits[777] = 18;
    logits[900] = 17;
    logits[950] = 16;
    for (size_t k = 0; k < sizeof(settings) / sizeof(settings[0]); k++) {
        struct sample_params p;
        struct sample_result r;
        sample_params_default(&p);
        p.temperature = settings[k].temperature;
        p.top_p = settings[k].top_p;
        p.min_p = settings[k].min_p;
        p.typical_p = settings[k].typical_p;
        p.repetition_penalty = settings[k].repetition;
        p.repeat_last_n = 64;
        p.top_k = settings[k].top_k;
        p.n_logprobs = settings[k].logprobs;
        p.seed = 42;
        uint64_t best = UINT64_MAX;
        int rc = sampler_begin(s, &p, NULL, 0, &err);
        for (uint64_t j = 0; rc == 0 && j < 40; j++) {
            uint64_t from = clock_mono_ns();
            rc = sampler_draw(s, logits, j, &r, &err);
            uint64_t took = clock_mono_ns() - from;
            best = took < best ? took : best;
        }
        if (rc) {
            fprintf(stderr, "bench-sampler: %s\n", err.msg);
            return 1;
        }
        printf("%-40s %8.1f us\n", settings[k].name, (double)best / 1e3);
    }
    free(logits);
    sampler_free(s);
    return 0;
}
