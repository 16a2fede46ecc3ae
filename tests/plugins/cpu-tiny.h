/* Small models with random weights, of any shape that a family allows. */
#ifndef ORCD_TESTS_CPU_TINY_H
#define ORCD_TESTS_CPU_TINY_H

#include <stdbool.h>
#include <stdint.h>

struct tiny {
    const char *arch; /* one that orcd runs */
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab;
    const char *type;      /* of matrices; one whose rows do not fit it becomes Q8_0, else F16 */
    const char *embd_type; /* NULL: type */
    bool untied, rope_freqs, biases;
    float rope_base;   /* 0: 10000 */
    float rope_factor; /* linear scaling; 0: none */
    float yarn;        /* factor of YaRN from a context of 64; 0: none */
    bool long_rope;    /* factors of rope frequencies, for contexts up to 256 and longer ones */
    uint32_t window;   /* sliding window; 0: none */
    uint32_t period;   /* the last of so many layers has none; 0: not said */
    uint32_t n_experts, n_experts_used; /* 0: none; each n_ff wide */
    uint32_t n_ff_shared;               /* qwen2moe: of the expert that all tokens share */
    uint32_t rope_dims;                 /* 0: head_dim */
    float attn_cap, logit_cap;          /* gemma2, gemma3; 0: not said */
};

/* Writes it to a temporary file whose path the caller unlinks and frees. */
char *tiny_write(const struct tiny *t);

/* n token ids, always the same ones for a seed. */
void tiny_tokens(const struct tiny *t, uint32_t seed, int32_t *tokens, uint32_t n);

uint32_t tiny_random(uint64_t *state);

#endif
