/*
 * What a layer is made of: which rows of which tensors, and the shape that each must have. One interpretation
 * of a family for all plugins that compute.
 *
 * Pure functions of a source: nothing is kept, nothing is freed, any thread may call them (the loader does).
 *
 * Order of calls: source_layer() of the layer, parts_of_layer() with what it gave, then part_tensor() of each
 * part that the plugin takes.
 */
#ifndef ORCD_COMMON_PARTS_H
#define ORCD_COMMON_PARTS_H

#include "plugins/common/source.h"

/* Rows first .. first + n_rows of a tensor that must have the shape dims, as they lie in the
 * file: fused matrices and experts are parts of a larger one. Of a vector, a row is an
 * element (n_cols 1). */
struct part {
    int32_t index; /* of the tensor; -1: there is none */
    uint64_t n_cols, n_rows, first;
    uint64_t dims[3];
    const char *what;
};

struct part part_matrix(int32_t index, uint64_t n_cols, uint64_t n_rows, const char *what);
struct part part_vector(int32_t index, uint64_t n, const char *what);
/* Matrix e of n that lie one below the other in `all`. */
struct part part_expert(const struct part *all, uint64_t e, uint64_t n);

/* The part as a tensor of its own, offset and bytes are the part's; its tensor's shape and
 * type are checked. INVALID. */
int part_tensor(
    const struct source *v, const struct part *w, struct orcd_tensor *out, struct orcd_error *err);

struct layer_parts {
    struct part q, k, v, out;
    struct part q_bias, k_bias, v_bias, out_bias, q_norm, k_norm, sinks;
    struct part attn_norm, attn_norm_bias, attn_post_norm;
    struct part ffn_norm, ffn_norm_bias, ffn_post_norm;
    /* without experts; up_bias is none where gate and up are one tensor */
    struct part gate, up, down, gate_bias, up_bias, down_bias;
    /* with them: matrices and biases of all, one below the other */
    struct part router, router_bias;
    struct part gate_exps, up_exps, down_exps, gate_exps_bias, up_exps_bias, down_exps_bias;
    struct part shared_router, shared_gate, shared_up, shared_down;
};

/* Layer i, of which s is what source_layer() gave. INVALID: a vector is missing that it
 * cannot do without; matrices are not looked at. */
int parts_of_layer(const struct source *v, uint32_t i, const struct orcd_layer *s, struct layer_parts *out,
    struct orcd_error *err);

#endif
