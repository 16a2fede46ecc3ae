/*
 * The reference sampler: what orcd means by temperature, top-k and the rest. A
 * plugin that samples on its device gives the same token for the same logits up to
 * rounding of the logits. Definitions with sources: docs/sampling.md.
 *
 * Order: bias, penalties, temperature, top-k, typical, top-p, min-p, draw.
 * One sampler per sequence; owned by the engine thread. No allocation after
 * sampler_new.
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
    struct sample_bias *bias; /* malloc'ed, owned by whoever owns the params; NULL */
    uint32_t n_bias;
};

/* Everything off, temperature 1. */
void sample_params_default(struct sample_params *p);

struct sample_result {
    int32_t id;
    /* Natural logarithms under the model's own distribution (softmax of the raw
     * logits), best first. Filled when asked for. */
    float logprob;
    uint32_t n_top;
    int32_t top_ids[SAMPLE_MAX_LOGPROBS];
    float top_logprobs[SAMPLE_MAX_LOGPROBS];
};

struct sampler;

/* One for a vocabulary of n_vocab tokens; reused for many sequences. */
int sampler_new(struct sampler **out, uint32_t n_vocab, struct orcd_error *err);
void sampler_free(struct sampler *s);
/* Begins a sequence. params is borrowed until the next begin. The prompt counts for
 * the repetition window. */
int sampler_begin(struct sampler *s, const struct sample_params *params, const int32_t *prompt,
    size_t n_prompt, struct orcd_error *err);
/* Draws the token at `position` of the sequence (0 = first prompt token) and
 * remembers it. NaN counts as -inf; all of them NaN or -inf is ORCD_E_DEVICE.
 * logits[n_vocab] is not changed. */
int sampler_draw(struct sampler *s, const float *logits, uint64_t position, struct sample_result *result,
    struct orcd_error *err);

/* How many ids the last draw chose among, and those, ascending, valid until the next
 * call; 0: the whole vocabulary, or the draw was greedy. */
size_t sampler_kept(const struct sampler *s, const int32_t **ids);

/* Remembers a token of the output that somebody else drew: the plugin, say. Ids outside
 * the vocabulary are ignored. */
void sampler_accept(struct sampler *s, int32_t id);

/* Philox4x32-10 with key = seed and counter = position: uniform in [0, 1), 24 bits. */
float sampler_uniform(uint64_t seed, uint64_t position);

#endif
