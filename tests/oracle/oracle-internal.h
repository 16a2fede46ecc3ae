/* What the files of the oracle share. */
#ifndef ORCD_TESTS_ORACLE_INTERNAL_H
#define ORCD_TESTS_ORACLE_INTERNAL_H

#include <stdbool.h>

#include "tests/oracle/oracle.h"

/* NULL where the model has none. */
struct layer {
    float *attn_norm, *attn_norm_bias, *q, *q_bias, *k, *k_bias, *v, *v_bias, *q_norm, *k_norm, *out,
        *out_bias, *sinks;
    float *ffn_norm, *ffn_norm_bias, *gate, *gate_bias, *up, *up_bias, *down, *down_bias;
    /* With experts gate, up, down and their biases are those of all experts, one after the other. */
    float *router, *router_bias;
    float *attn_post_norm, *ffn_post_norm;
    float *shared_router, *shared_gate, *shared_up, *shared_down;
    size_t heads, kv_heads, ff;
    size_t window; /* a query sees that many keys; 0: all */
};

enum oracle_act { ACT_SILU, ACT_GELU, ACT_OAI, ACT_GELU_GATED };

struct oracle {
    size_t n_layers, embd, vocab, head_k, head_v, rope_dims, context, positions;
    size_t experts, experts_used, shared_ff;
    bool over_all; /* experts are weighed by a softmax over all of them */
    double eps, rope_base, rope_factor;
    double local_base; /* of layers with a window, without scaling; 0: rope_base and scaling */
    double embd_scale, attn_scale;
    double attn_cap, logit_cap;            /* 0: none */
    double yarn_fast, yarn_slow, yarn_ext; /* yarn_ext 0: no YaRN */
    double rope_magnitude;                 /* of cosine and sine */
    size_t original_context;
    bool neox, rotates, layer_norm;
    enum oracle_act act;
    float *token_embd, *output, *output_norm, *output_norm_bias, *position_embd;
    float *rope_freqs, *rope_long, *rope_short;
    bool tied;
    struct layer *layers;
};

/* y[n][rows] = x[n][cols] W^T + bias for W[rows][cols]; bias may be NULL. */
void oracle_matmul(
    double *y, const double *x, const float *w, const float *bias, size_t n, size_t rows, size_t cols);

void *oracle_alloc(size_t n, size_t size); /* zeroed; ends the process on failure */

#endif
