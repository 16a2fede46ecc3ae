/* What the files of the oracle share. */
#ifndef ORCD_TESTS_ORACLE_INTERNAL_H
#define ORCD_TESTS_ORACLE_INTERNAL_H

#include <stdbool.h>

#include "tests/oracle/oracle.h"

struct layer {
    float *attn_norm, *q, *q_bias, *k, *k_bias, *v, *v_bias, *q_norm, *k_norm, *out, *out_bias;
    float *ffn_norm, *gate, *gate_bias, *up, *up_bias, *down, *down_bias;
    size_t heads, kv_heads, ff;
};

struct oracle {
    size_t n_layers, embd, vocab, head_k, head_v, rope_dims;
    double eps, rope_base, rope_factor;
    bool neox;
    float *token_embd, *output, *output_norm, *rope_freqs;
    bool tied;
    struct layer *layers;
};

/* y[n][rows] = x[n][cols] W^T + bias for W[rows][cols]; bias may be NULL. */
void oracle_matmul(
    double *y, const double *x, const float *w, const float *bias, size_t n, size_t rows, size_t cols);

void *oracle_alloc(size_t n, size_t size); /* zeroed; ends the process on failure */

#endif
