/*
 * The reference sampler: it defines temperature, top-k and the other rules of orcd. A plugin that samples
 * on its device returns the same token for the same logits, up to rounding of the logits. Definitions with
 * sources: docs/sampling.md.
 *
 * Order of the rules: bias, penalties, temperature, top-k, typical, top-p, min-p, draw.
 *
 * Life cycle: sampler_new() allocates, sampler_free() frees; in between one sampler is used for one
 * sequence after the other. Only sampler_begin() may allocate more, for a longer repetition window.
 * Threads: a sampler belongs to one thread at a time; in the worker, the engine thread owns all of them.
 * Order of calls: sampler_new(); for each sequence sampler_begin(), then sampler_draw() or
 * sampler_accept() for each token; sampler_free().
 */
#ifndef ORCD_SAMPLE_SAMPLER_H
#define ORCD_SAMPLE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SAMPLE_MAX_BIAS 1024
#define SAMPLE_MAX_LOGPROBS 20

struct sample_bias {
    int32_t id;
    float value; /* added to the logit; finite, -100 .. 100 */
};

struct sample_params {
    float temperature;                         /* 0 .. 2; 0: greedy */
    float top_p;                               /* 0 .. 1; 1: off */
    float min_p;                               /* 0 .. 1; 0: off */
    float typical_p;                           /* 0 .. 1; 1: off */
    uint32_t top_k;                            /* 0: off */
    float repetition_penalty;                  /* (0, 2]; 1: off */
    uint32_t repeat_last_n;                    /* window over prompt and output; 0: off */
    float frequency_penalty, presence_penalty; /* -2 .. 2, over output only; 0: off */
    uint64_t seed;
    uint32_t n_logprobs;      /* 0 .. SAMPLE_MAX_LOGPROBS */
    bool want_logprob;        /* report the sampled token's logprob */
    struct sample_bias *bias; /* malloc'ed, owned by the owner of the params; NULL: none */
    uint32_t n_bias;
};

/* All rules off, temperature 1. */
void sample_params_default(struct sample_params *p);

struct sample_result {
    int32_t id;
    /* Natural logarithms under the model's own distribution (softmax of the raw logits), best first.
     * Filled in if the params request them. */
    float logprob;
    uint32_t n_top;
    int32_t top_ids[SAMPLE_MAX_LOGPROBS];
    float top_logprobs[SAMPLE_MAX_LOGPROBS];
};

struct sampler;

/* A sampler for a vocabulary of n_vocab tokens. */
int sampler_new(struct sampler **out, uint32_t n_vocab, struct orcd_error *err);
void sampler_free(struct sampler *s);
/* Begins a sequence. params is borrowed until the next call of sampler_begin(). The prompt counts for the
 * repetition window. */
int sampler_begin(struct sampler *s, const struct sample_params *params, const int32_t *prompt,
    size_t n_prompt, struct orcd_error *err);
/* Draws the token at `position` of the sequence (0 = first prompt token) and remembers it. A NaN counts
 * as -inf; if all logits are NaN or -inf, the error is ORCD_E_DEVICE. logits[n_vocab] is not changed. */
int sampler_draw(struct sampler *s, const float *logits, uint64_t position, struct sample_result *result,
    struct orcd_error *err);

/* The number of ids that the last draw chose from; 0: it chose from the whole vocabulary, or the draw was
 * greedy. *ids has these ids, ascending, valid until the next call. */
size_t sampler_kept(const struct sampler *s, const int32_t **ids);

/* Remembers a token of the output that was drawn elsewhere, for example by the plugin. Ids outside the
 * vocabulary are ignored. */
void sampler_accept(struct sampler *s, int32_t id);

/* Philox4x32-10 with key = seed and counter = position: uniform in [0, 1), 24 bits. Pure, any thread. */
float sampler_uniform(uint64_t seed, uint64_t position);

#endif
