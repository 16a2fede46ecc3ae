#include "plugins/common/parts.h"

#include "core/model/quant-types.h"

struct part part_matrix(int32_t index, uint64_t n_cols, uint64_t n_rows, const char *what)
{
    return (struct part){index, n_cols, n_rows, 0, {n_cols, n_rows, 1}, what};
}

struct part part_vector(int32_t index, uint64_t n, const char *what)
{
    return (struct part){index, 1, n, 0, {n, 1, 1}, what};
}

/* n matrices of one tensor, one below the other. */
static struct part matrices(int32_t index, uint64_t n_cols, uint64_t rows, uint64_t n, const char *what)
{
    return (struct part){index, n_cols, rows * n, 0, {n_cols, rows, n}, what};
}

/* The same of vectors. */
static struct part vectors(int32_t index, uint64_t length, uint64_t n, const char *what)
{
    return (struct part){index, 1, length * n, 0, {length, n, 1}, what};
}

/* Rows of a matrix of `of` rows. */
static struct part rows(
    int32_t index, uint64_t n_cols, uint64_t first, uint64_t n_rows, uint64_t of, const char *what)
{
    return (struct part){index, n_cols, n_rows, first, {n_cols, of, 1}, what};
}

struct part part_expert(const struct part *all, uint64_t e, uint64_t n)
{
    struct part w = *all;
    w.n_rows = all->n_rows / n;
    w.first = e * w.n_rows;
    return w;
}

int part_tensor(const struct source *v, const struct part *w, struct orcd_tensor *out, struct orcd_error *err)
{
    struct orcd_tensor t;
    const int rc = source_tensor(v, w->index, &t, err);
    if (rc)
        return rc;
    if (t.dims[0] != w->dims[0] || t.dims[1] != w->dims[1] || t.dims[2] != w->dims[2] || t.dims[3] != 1)
        return plugin_error(err, ORCD_E_INVALID,
            "tensor %s is %llu x %llu x %llu, %s needs %llu x %llu x %llu", t.name,
            (unsigned long long)t.dims[0], (unsigned long long)t.dims[1], (unsigned long long)t.dims[2],
            w->what, (unsigned long long)w->dims[0], (unsigned long long)w->dims[1],
            (unsigned long long)w->dims[2]);
    const struct quant_type *type = quant_type_find(t.type);
    uint64_t n_rows, elements; /* of the whole tensor */
    if (!type || __builtin_mul_overflow(t.dims[1], t.dims[2], &n_rows) ||
        __builtin_mul_overflow(t.dims[0], n_rows, &elements) || t.dims[0] % type->block_elems ||
        w->n_cols * w->n_rows % type->block_elems || w->n_cols * w->first % type->block_elems ||
        quant_type_bytes(type, elements) != t.bytes)
        return plugin_error(err, ORCD_E_INVALID, "tensor %s: type %u and %llu bytes do not fit its shape",
            t.name, (unsigned)t.type, (unsigned long long)t.bytes);
    /* The part lies in the tensor, whose bytes are known. */
    t.offset += quant_type_bytes(type, w->n_cols * w->first);
    t.bytes = quant_type_bytes(type, w->n_cols * w->n_rows);
    *out = t;
    return 0;
}

/* Queries, keys and values: three tensors, or parts of one. */
static void parts_of_qkv(const struct orcd_hparams *hp, const struct orcd_layer *s, struct layer_parts *w)
{
    const int32_t *t = s->tensor, fused = t[ORCD_L_QKV], fused_bias = t[ORCD_L_QKV_B];
    const uint64_t embd = hp->n_embd, q = (uint64_t)s->n_heads * hp->head_dim_k,
                   k = (uint64_t)s->n_kv_heads * hp->head_dim_k, v = (uint64_t)s->n_kv_heads * hp->head_dim_v;
    const struct {
        struct part *matrix, *bias;
        int32_t index, bias_index;
        uint64_t n_rows, first;
        const char *what, *bias_what;
    } each[] = {
        {&w->q, &w->q_bias, t[ORCD_L_Q], t[ORCD_L_Q_B], q, 0, "query matrix", "query bias"},
        {&w->k, &w->k_bias, t[ORCD_L_K], t[ORCD_L_K_B], k, q, "key matrix", "key bias"},
        {&w->v, &w->v_bias, t[ORCD_L_V], t[ORCD_L_V_B], v, q + k, "value matrix", "value bias"},
    };
    for (int i = 0; i < 3; i++) {
        const uint64_t n = each[i].n_rows, first = each[i].first, all = q + k + v;
        *each[i].matrix = fused >= 0 ? rows(fused, embd, first, n, all, each[i].what)
                                     : part_matrix(each[i].index, embd, n, each[i].what);
        *each[i].bias = part_vector(each[i].bias_index, n, each[i].bias_what);
        if (fused_bias >= 0)
            *each[i].bias = (struct part){fused_bias, 1, n, first, {all, 1, 1}, each[i].bias_what};
    }
}

/* The feed-forward part of a layer without experts. */
static void parts_of_dense(const struct source *v, const struct orcd_layer *s, struct layer_parts *w)
{
    const int32_t *t = s->tensor;
    const uint64_t embd = v->hp.n_embd, ff = s->n_ff;
    w->gate = part_matrix(t[ORCD_L_GATE], embd, ff, "gate matrix");
    w->up = part_matrix(t[ORCD_L_UP], embd, ff, "up matrix");
    w->down = part_matrix(t[ORCD_L_DOWN], ff, embd, "down matrix");
    w->gate_bias = part_vector(t[ORCD_L_GATE_B], ff, "gate bias");
    w->up_bias = part_vector(t[ORCD_L_UP_B], ff, "up bias");
    w->down_bias = part_vector(t[ORCD_L_DOWN_B], embd, "down bias");
    if (v->s.required_features & ORCD_F_FUSED_GATE) {
        w->gate = rows(t[ORCD_L_UP], embd, 0, ff, 2 * ff, w->gate.what);
        w->up = rows(t[ORCD_L_UP], embd, ff, ff, 2 * ff, w->up.what);
        w->up_bias.index = -1;
    }
}

static void parts_of_experts(const struct orcd_hparams *hp, const struct orcd_layer *s, struct layer_parts *w)
{
    const int32_t *t = s->tensor;
    const uint64_t embd = hp->n_embd, ff = hp->n_ff_expert, n = hp->n_experts, shared = hp->n_ff_shared;
    w->router = part_matrix(t[ORCD_L_ROUTER], embd, n, "router");
    w->router_bias = part_vector(t[ORCD_L_ROUTER_B], n, "router bias");
    w->gate_exps = matrices(t[ORCD_L_GATE_EXPS], embd, ff, n, "experts' gates");
    w->up_exps = matrices(t[ORCD_L_UP_EXPS], embd, ff, n, "experts' up matrices");
    w->down_exps = matrices(t[ORCD_L_DOWN_EXPS], ff, embd, n, "experts' down matrices");
    w->gate_exps_bias = vectors(t[ORCD_L_GATE_EXPS_B], ff, n, "experts' gate biases");
    w->up_exps_bias = vectors(t[ORCD_L_UP_EXPS_B], ff, n, "experts' up biases");
    w->down_exps_bias = vectors(t[ORCD_L_DOWN_EXPS_B], embd, n, "experts' down biases");
    w->shared_router = part_vector(t[ORCD_L_SHARED_ROUTER], embd, "shared expert's router");
    w->shared_gate = part_matrix(t[ORCD_L_SHARED_GATE], embd, shared, "shared gate matrix");
    w->shared_up = part_matrix(t[ORCD_L_SHARED_UP], embd, shared, "shared up matrix");
    w->shared_down = part_matrix(t[ORCD_L_SHARED_DOWN], shared, embd, "shared down matrix");
}

int parts_of_layer(const struct source *v, uint32_t i, const struct orcd_layer *s, struct layer_parts *out,
    struct orcd_error *err)
{
    const struct orcd_hparams *hp = &v->hp;
    const int32_t *t = s->tensor;
    const uint64_t embd = hp->n_embd, dk = hp->head_dim_k;
    struct layer_parts w = {
        .out =
            part_matrix(t[ORCD_L_ATTN_OUT], (uint64_t)s->n_heads * hp->head_dim_v, embd, "attention output"),
        .out_bias = part_vector(t[ORCD_L_ATTN_OUT_B], embd, "attention output bias"),
        .q_norm = part_vector(t[ORCD_L_Q_NORM], dk, "query norm"),
        .k_norm = part_vector(t[ORCD_L_K_NORM], dk, "key norm"),
        .sinks = part_vector(t[ORCD_L_SINKS], s->n_heads, "attention sinks"),
        .attn_norm = part_vector(t[ORCD_L_ATTN_NORM], embd, "attention norm"),
        .attn_norm_bias = part_vector(t[ORCD_L_ATTN_NORM_B], embd, "attention norm's bias"),
        .attn_post_norm = part_vector(t[ORCD_L_ATTN_POST_NORM], embd, "norm behind attention"),
        .ffn_norm = part_vector(t[ORCD_L_FFN_NORM], embd, "feed-forward norm"),
        .ffn_norm_bias = part_vector(t[ORCD_L_FFN_NORM_B], embd, "feed-forward norm's bias"),
        .ffn_post_norm = part_vector(t[ORCD_L_FFN_POST_NORM], embd, "norm behind feed-forward"),
    };
    parts_of_qkv(hp, s, &w);
    parts_of_dense(v, s, &w);
    parts_of_experts(hp, s, &w);
    const bool post = v->s.required_features & ORCD_F_POST_NORMS;
    const struct part *const required[] = {
        &w.attn_norm, &w.ffn_norm, post ? &w.attn_post_norm : NULL, post ? &w.ffn_post_norm : NULL};
    for (int j = 0; j < 4; j++)
        if (required[j] && required[j]->index < 0)
            return plugin_error(err, ORCD_E_INVALID, "layer %u has no %s", (unsigned)i, required[j]->what);
    if (hp->n_experts && hp->n_ff_shared && w.shared_router.index < 0)
        return plugin_error(err, ORCD_E_INVALID, "the model has no %s", w.shared_router.what);
    *out = w;
    return 0;
}
