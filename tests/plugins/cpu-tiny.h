/* Small models with random weights, of any shape that a family allows. */
#ifndef ORCD_TESTS_CPU_TINY_H
#define ORCD_TESTS_CPU_TINY_H

#include <stdbool.h>
#include <stdint.h>

struct tiny {
    const char *arch; /* llama, qwen2, qwen3 */
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab;
    const char *type;      /* of matrices; one whose rows do not fit it becomes Q8_0, else F16 */
    const char *embd_type; /* NULL: type */
    bool untied, rope_freqs, biases;
    float rope_factor;  /* linear scaling; 0: none */
    uint32_t rope_dims; /* 0: head_dim */
};

/* Writes it to a temporary file whose path the caller unlinks and frees. */
char *tiny_write(const struct tiny *t);

/* n token ids, always the same ones for a seed. */
void tiny_tokens(const struct tiny *t, uint32_t seed, int32_t *tokens, uint32_t n);

uint32_t tiny_random(uint64_t *state);

#endif
