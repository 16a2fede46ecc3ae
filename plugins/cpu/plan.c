#include "plugins/cpu/plan.h"

#include "core/model/quant-types.h"

#define MATRICES_PER_LAYER 8
#define VECTORS_PER_LAYER 22
#define GLOBALS 10

static int plan_add(struct plan *p, const struct part *w, struct plan_entry **out, struct orcd_error *err)
{
    if (p->n == p->capacity)
        return plugin_error(err, ORCD_E_INTERNAL, "the load plan is full at %s", w->what);
    struct plan_entry *e = &p->entries[p->n];
    const int rc = part_tensor(&p->source, w, &e->tensor, err);
    if (rc)
        return rc;
    e->n_cols = (uint32_t)w->n_cols;
    e->n_rows = (uint32_t)w->n_rows;
    *out = e;
    return 0;
}

static int plan_matrix(struct plan *p, struct cpu_matrix *out, const struct part *w, struct orcd_error *err)
{
    if (w->index < 0)
        return plugin_error(err, ORCD_E_INVALID, "the model has no %s", w->what);
    if (w->n_cols > UINT32_MAX || w->n_rows > UINT32_MAX)
        return plugin_error(err, ORCD_E_INVALID, "%s is too large", w->what);
    struct plan_entry *e;
    const int rc = plan_add(p, w, &e, err);
    if (rc)
        return rc;
    const struct orcd_tensor *t = &e->tensor;
    if (!cpu_type_supported(t->type))
        return plugin_error(err, ORCD_E_UNSUPPORTED,
            "tensor %s has type %s, which the cpu plugin does not do", t->name,
            quant_type_find(t->type)->name);
    uint64_t bytes = cpu_matrix_bytes(t->type, e->n_rows, e->n_cols);
    if (bytes == 0)
        return plugin_error(err, ORCD_E_INVALID, "tensor %s: %u x %u does not fit type %s", t->name,
            (unsigned)e->n_cols, (unsigned)e->n_rows, quant_type_find(t->type)->name);
    e->matrix = out;
    e->at = p->packed_bytes;
    if (__builtin_add_overflow(p->packed_bytes, bytes, &p->packed_bytes) || p->packed_bytes > PTRDIFF_MAX)
        return plugin_error(err, ORCD_E_INVALID, "the weights are too large");
    p->file_bytes += t->bytes;
    p->n++;
    *out = (struct cpu_matrix){.type = t->type, .n_rows = e->n_rows, .n_cols = e->n_cols};
    return 0;
}

/* A vector that the model may lack stays NULL. */
static int plan_vector(struct plan *p, const float **out, const struct part *w, struct orcd_error *err)
{
    if (w->index < 0)
        return 0;
    if (w->n_rows > UINT32_MAX)
        return plugin_error(err, ORCD_E_INVALID, "%s is too large", w->what);
    struct plan_entry *e;
    const int rc = plan_add(p, w, &e, err);
    if (rc)
        return rc;
    if (!quant_type_find(e->tensor.type)->dequantize)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "tensor %s has type %s", e->tensor.name,
            quant_type_find(e->tensor.type)->name);
    e->vector = out;
    e->at = p->vector_bytes;
    e->n_cols = e->n_rows;
    e->n_rows = 1;
    p->vector_bytes += (w->n_rows * sizeof(float) + 63) / 64 * 64; /* each below 2^35, few vectors */
    p->file_bytes += e->tensor.bytes;
    p->n++;
    return 0;
}

/* What becomes of a layer's parts, in tables that end with NULL; no table is an empty one. */
struct matrix_part {
    struct cpu_matrix *out;
    const struct part *part;
};
struct vector_part {
    const float **out;
    const struct part *part;
};

static int plan_parts(
    struct plan *p, const struct matrix_part *m, const struct vector_part *v, struct orcd_error *err)
{
    int rc = 0;
    for (; m && m->out && rc == 0; m++)
        rc = plan_matrix(p, m->out, m->part, err);
    for (; v && v->out && rc == 0; v++)
        rc = plan_vector(p, v->out, v->part, err);
    return rc;
}

static int plan_dense(
    struct plan *p, struct cpu_layer *l, const struct layer_parts *w, struct orcd_error *err)
{
    const struct matrix_part matrices[] = {
        {&l->gate, &w->gate}, {&l->up, &w->up}, {&l->down, &w->down}, {NULL, NULL}};
    const struct vector_part vectors[] = {
        {&l->gate_bias, &w->gate_bias}, {&l->up_bias, &w->up_bias}, {NULL, NULL}};
    const bool gated = p->model->hp.activation != ORCD_ACT_GELU;
    return plan_parts(p, matrices + (gated ? 0 : 1), vectors, err);
}

/* The expert that all tokens share, beside the others. */
static int plan_shared(
    struct plan *p, struct cpu_layer *l, const struct layer_parts *w, struct orcd_error *err)
{
    const struct matrix_part matrices[] = {
        {&l->gate, &w->shared_gate}, {&l->up, &w->shared_up}, {&l->down, &w->shared_down}, {NULL, NULL}};
    const struct vector_part vectors[] = {{&l->shared_router, &w->shared_router}, {NULL, NULL}};
    return plan_parts(p, matrices, vectors, err);
}

static int plan_experts(
    struct plan *p, struct cpu_layer *l, const struct layer_parts *w, struct orcd_error *err)
{
    const uint64_t n = p->model->hp.n_experts;
    const struct vector_part biases[] = {{&l->router_bias, &w->router_bias},
        {&l->gate_bias, &w->gate_exps_bias}, {&l->up_bias, &w->up_exps_bias},
        {&l->expert_down_bias, &w->down_exps_bias}, {NULL, NULL}};
    int rc = plan_matrix(p, &l->router, &w->router, err);
    const uint64_t before = p->packed_bytes;
    for (uint64_t e = 0; e < n && rc == 0; e++) {
        struct cpu_expert *x = &l->experts[e];
        const struct part gate = part_expert(&w->gate_exps, e, n), up = part_expert(&w->up_exps, e, n),
                          down = part_expert(&w->down_exps, e, n);
        const struct matrix_part matrices[] = {
            {&x->gate, &gate}, {&x->up, &up}, {&x->down, &down}, {NULL, NULL}};
        rc = plan_parts(p, matrices, NULL, err);
    }
    p->model->expert_bytes += p->packed_bytes - before;
    if (rc == 0)
        rc = plan_parts(p, NULL, biases, err);
    return rc == 0 && p->model->hp.n_ff_shared ? plan_shared(p, l, w, err) : rc;
}

static void note_largest(uint32_t *largest, uint32_t n)
{
    if (n > *largest)
        *largest = n;
}

static int plan_layer(struct plan *p, uint32_t i, struct orcd_error *err)
{
    struct orcd_model *m = p->model;
    struct cpu_layer *l = &m->layers[i];
    struct orcd_layer s;
    int rc = source_layer(&p->source, i, &s, err);
    if (rc)
        return rc;
    l->n_heads = s.n_heads;
    l->n_kv_heads = m->n_kv_heads[i] = s.n_kv_heads;
    l->n_ff = m->hp.n_experts ? m->hp.n_ff_expert : s.n_ff;
    l->window = s.window;
    if (m->experts)
        l->experts = m->experts + (uint64_t)i * m->hp.n_experts;
    note_largest(&m->max_heads, s.n_heads);
    note_largest(&m->max_kv_heads, s.n_kv_heads);
    note_largest(&m->max_ff, l->n_ff);

    struct layer_parts w;
    rc = parts_of_layer(&p->source, i, &s, &w, err);
    if (rc)
        return rc;
    const struct matrix_part attention[] = {
        {&l->q, &w.q}, {&l->k, &w.k}, {&l->v, &w.v}, {&l->out, &w.out}, {NULL, NULL}};
    const struct vector_part vectors[] = {{&l->q_bias, &w.q_bias}, {&l->k_bias, &w.k_bias},
        {&l->v_bias, &w.v_bias}, {&l->attn_norm, &w.attn_norm}, {&l->attn_norm_bias, &w.attn_norm_bias},
        {&l->ffn_norm, &w.ffn_norm}, {&l->ffn_norm_bias, &w.ffn_norm_bias}, {&l->q_norm, &w.q_norm},
        {&l->k_norm, &w.k_norm}, {&l->sinks, &w.sinks}, {&l->out_bias, &w.out_bias},
        {&l->down_bias, &w.down_bias}, {&l->attn_post_norm, &w.attn_post_norm},
        {&l->ffn_post_norm, &w.ffn_post_norm}, {NULL, NULL}};
    rc = plan_parts(p, attention, vectors, err);
    if (rc)
        return rc;
    return l->experts ? plan_experts(p, l, &w, err) : plan_dense(p, l, &w, err);
}

static int plan_global_vector(struct plan *p, const float **out, enum orcd_global_role role, uint64_t n,
    const char *what, struct orcd_error *err)
{
    const struct part w = part_vector(source_global(&p->source, role), n, what);
    return plan_vector(p, out, &w, err);
}

static int plan_rope(struct plan *p, struct orcd_error *err)
{
    const uint64_t n = p->model->hp.rope_dims / 2;
    int rc = plan_global_vector(p, &p->rope_freqs, ORCD_G_ROPE_FREQS, n, "rope frequencies", err);
    if (rc || p->model->hp.rope_scaling != ORCD_SCALING_LONGROPE)
        return rc;
    if (source_global(&p->source, ORCD_G_ROPE_LONG) < 0 || source_global(&p->source, ORCD_G_ROPE_SHORT) < 0)
        return plugin_error(err, ORCD_E_INVALID, "the model lacks factors of its rope frequencies");
    rc = plan_global_vector(p, &p->rope_long, ORCD_G_ROPE_LONG, n, "rope factors", err);
    if (rc == 0)
        rc = plan_global_vector(p, &p->rope_short, ORCD_G_ROPE_SHORT, n, "rope factors", err);
    return rc;
}

uint64_t plan_capacity(const struct orcd_hparams *hp)
{
    return hp->n_layers * (uint64_t)(MATRICES_PER_LAYER + VECTORS_PER_LAYER + 3 * hp->n_experts) + GLOBALS;
}

int plan_make(struct plan *p, struct orcd_error *err)
{
    struct orcd_model *m = p->model;
    const struct orcd_hparams *hp = &m->hp;
    const int32_t embd = source_global(&p->source, ORCD_G_TOKEN_EMBD);
    const int32_t output = source_global(&p->source, ORCD_G_OUTPUT);
    int rc = 0;
    for (uint32_t i = 0; i < hp->n_layers && rc == 0; i++)
        rc = plan_layer(p, i, err);
    struct part w = part_matrix(embd, hp->n_embd, hp->n_vocab, "token embedding");
    if (rc == 0)
        rc = plan_matrix(p, &m->token_embd, &w, err);
    w = part_matrix(output, hp->n_embd, hp->n_vocab, "output matrix");
    if (rc == 0 && output != embd)
        rc = plan_matrix(p, &m->output, &w, err);
    w = part_matrix(
        source_global(&p->source, ORCD_G_POSITION_EMBD), hp->n_embd, hp->n_ctx_train, "position embedding");
    if (rc == 0 && p->source.s.required_features & ORCD_F_POSITION_EMBD)
        rc = plan_matrix(p, &m->position_embd, &w, err);
    if (rc == 0 && source_global(&p->source, ORCD_G_OUTPUT_NORM) < 0)
        rc = plugin_error(err, ORCD_E_INVALID, "the model has no output norm");
    if (rc == 0)
        rc = plan_global_vector(p, &m->output_norm, ORCD_G_OUTPUT_NORM, hp->n_embd, "output norm", err);
    if (rc == 0)
        rc = plan_global_vector(
            p, &m->output_norm_bias, ORCD_G_OUTPUT_NORM_B, hp->n_embd, "output norm's bias", err);
    if (rc == 0 && hp->rope != ORCD_ROPE_NONE)
        rc = plan_rope(p, err);
    return rc;
}
