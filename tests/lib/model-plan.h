/*
 * A random-weight model as a plan: metadata, tensors with their block types, and how each
 * is filled. Small ones are made in memory for tests; bench/synth-model writes big ones.
 * The same spec and seed give the same bytes always. Out of memory ends the process.
 */
#ifndef ORCD_TESTS_MODEL_PLAN_H
#define ORCD_TESTS_MODEL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/gguf-writer.h"

struct model_spec {
    /* "llama", "qwen2", "qwen3", "phi3", "gpt2", "qwen3moe", "gpt-oss", "qwen2moe", "gemma", "gemma2",
     * "gemma3" */
    const char *family;
    const char *name; /* general.name */
    uint32_t layers, embd, heads, kv_heads;
    uint32_t head_dim; /* 0: embd / heads */
    uint32_t ff, vocab, ctx;
    uint32_t window;                /* sliding window; 0: none */
    uint32_t experts, experts_used; /* each ff wide; 0: none; llama may have some */
    uint32_t shared_ff;             /* qwen2moe: width of the expert that all tokens share; 0: 4 ff */
    float rope_base, eps;
    float rope_factor;     /* of linear scaling (gpt-oss: YaRN, from ctx / factor); 0: none */
    float rope_freqs;      /* llama: factor of a rope_freqs tensor (8: Llama 3.1, 32: 3.2); 0: none */
    bool tied;             /* no output.weight */
    bool biases;           /* llama: all optional biases (qwen2 always has q, k, v) */
    const char *quant;     /* "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "IQ4_NL", "IQ4_XS" and
                            * "MXFP4_MOE" as quantizers mix them, or a block type's name for every matrix */
    const char *tokenizer; /* one of synth-vocab.h */
};

enum plan_fill { PLAN_WEIGHTS, PLAN_NORM, PLAN_BIAS, PLAN_ROPE_FREQS };

struct plan_tensor {
    char name[64];
    uint32_t type, n_dims; /* type: orcd_tensor_type */
    uint64_t dims[3];
    uint64_t offset, bytes; /* in the data */
    enum plan_fill fill;
    float std; /* of the weights */
};

struct model_plan {
    struct model_spec spec;
    struct gguf_writer writer; /* metadata and directory; no data */
    struct plan_tensor *tensors;
    size_t n;
    uint64_t data_bytes; /* without the padding after the last tensor */
};

/* Sizes as published, random weights. NULL: no such preset. "tiny" is for tests. */
const struct model_spec *model_preset(const char *name);
const struct model_spec *model_preset_at(size_t i, const char **name); /* NULL past the end */

bool model_has_experts(const char *family); /* every model of the family */
/* NULL, or what is wrong with the spec. */
const char *model_plan_init(struct model_plan *p, const struct model_spec *spec);
void model_plan_free(struct model_plan *p);

/* Bytes [at, at + n) of tensor i; at and n are multiples of model_plan_unit(). Any thread. */
void model_plan_fill(const struct model_plan *p, size_t i, uint64_t seed, uint64_t at, void *out, size_t n);
/* Bytes that model_plan_fill makes as one: a whole number of blocks, about 64 KiB. */
size_t model_plan_unit(const struct model_plan *p, size_t i);

/* The whole file; the caller frees p. */
struct gw_buf model_plan_finish(const struct model_plan *p, uint64_t seed);
/* Spec to file in one call: NULL, or what went wrong. */
const char *model_spec_write(const struct model_spec *spec, uint64_t seed, const char *path);

#endif
