#include "plugins/cuda/plan.h"

#include "core/model/quant-types.h"

#define MATRICES_PER_LAYER 11
#define VECTORS_PER_LAYER 22
#define GLOBALS 10
#define VECTOR_ALIGN UINT64_C(256)

static int plan_add(struct plan *p, const struct part *w, struct plan_entry **out, struct orcd_error *err)
{
    if (p->n == p->capacity)
        return plugin_error(err, ORCD_E_INTERNAL, "the load plan is full at %s", w->what);
    struct plan_entry *e = &p->entries[p->n];
    struct orcd_tensor t;
    const int rc = part_tensor(&p->source, w, &t, err);
    if (rc)
        return rc;
    *e = (struct plan_entry){.tensor = t, .n_cols = w->n_cols, .n_rows = w->n_rows};
    p->n++;
    p->file_bytes += t.bytes;
    *out = e;
    return 0;
}

/* Takes bytes of the device's memory for e. */
static int plan_place(struct plan *p, struct plan_entry *e, uint64_t bytes, struct orcd_error *err)
{
    e->at = p->bytes;
    if (__builtin_add_overflow(p->bytes, bytes, &p->bytes) || p->bytes > PTRDIFF_MAX)
        return plugin_error(err, ORCD_E_INVALID, "the weights are too large");
    return 0;
}

static int plan_matrix(struct plan *p, struct ck_matrix *out, const struct part *w, struct orcd_error *err)
{
    if (w->index < 0)
        return plugin_error(err, ORCD_E_INVALID, "the model has no %s", w->what);
    struct plan_entry *e;
    const int rc = plan_add(p, w, &e, err);
    if (rc)
        return rc;
    struct ck_layout layout;
    const struct orcd_tensor *t = &e->tensor;
    if (!ck_matrix_layout(t->type, e->n_rows, e->n_cols, &layout))
        return plugin_error(err, ORCD_E_UNSUPPORTED,
            "tensor %s: %llu x %llu of type %s is not supported by this plugin", t->name,
            (unsigned long long)e->n_cols, (unsigned long long)e->n_rows, quant_type_find(t->type)->name);
    e->matrix = out;
    *out = (struct ck_matrix){.type = t->type, .n_rows = (uint32_t)e->n_rows, .n_cols = (uint32_t)e->n_cols};
    return plan_place(p, e, layout.bytes, err);
}

/* A vector that the model may lack stays NULL. */
static int plan_floats(struct plan *p, const struct part *w, struct plan_entry **out, struct orcd_error *err)
{
    *out = NULL;
    if (w->index < 0)
        return 0;
    if (w->n_rows > UINT32_MAX)
        return plugin_error(err, ORCD_E_INVALID, "%s is too large", w->what);
    const int rc = plan_add(p, w, out, err);
    if (rc)
        return rc;
    const struct orcd_tensor *t = &(*out)->tensor;
    const struct quant_type *type = quant_type_find(t->type);
    if (!type->dequantize || type->block_elems != 1)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "tensor %s has type %s", t->name, type->name);
    return 0;
}

static int plan_vector(struct plan *p, const float **out, const struct part *w, struct orcd_error *err)
{
    struct plan_entry *e;
    const int rc = plan_floats(p, w, &e, err);
    if (rc || !e)
        return rc;
    e->vector = out;
    return plan_place(
        p, e, (w->n_rows * sizeof(float) + VECTOR_ALIGN - 1) / VECTOR_ALIGN * VECTOR_ALIGN, err);
}

/* Floats for the host's own use. */
static int plan_host(struct plan *p, float **out, enum orcd_global_role role, uint64_t n, const char *what,
    struct orcd_error *err)
{
    const struct part w = part_vector(source_global(&p->source, role), n, what);
    struct plan_entry *e;
    const int rc = plan_floats(p, &w, &e, err);
    if (rc || !e)
        return rc;
    *out = e->host = plugin_alloc(p->host, n, sizeof(float));
    return *out ? 0 : plugin_error(err, ORCD_E_NOMEM, "no memory for %s", what);
}

/* What becomes of a layer's parts, in tables that end with NULL; no table is an empty one. */
struct matrix_part {
    struct ck_matrix *out;
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
    struct plan *p, struct cuda_layer *l, const struct layer_parts *w, struct orcd_error *err)
{
    const struct matrix_part matrices[] = {
        {&l->gate, &w->gate}, {&l->up, &w->up}, {&l->down, &w->down}, {NULL, NULL}};
    const struct vector_part vectors[] = {{&l->gate_bias, &w->gate_bias}, {&l->down_bias, &w->down_bias},
        {&l->up_bias, &w->up_bias}, {NULL, NULL}};
    const bool gated = p->model->hp.activation != ORCD_ACT_GELU;
    return plan_parts(p, matrices + (gated ? 0 : 1), vectors, err);
}

/* The expert that all tokens share, beside the others. */
static int plan_shared(
    struct plan *p, struct cuda_layer *l, const struct layer_parts *w, struct orcd_error *err)
{
    const struct matrix_part matrices[] = {{&l->shared_gate, &w->shared_gate}, {&l->shared_up, &w->shared_up},
        {&l->shared_down, &w->shared_down}, {NULL, NULL}};
    const struct vector_part vectors[] = {{&l->shared_router, &w->shared_router}, {NULL, NULL}};
    return plan_parts(p, matrices, vectors, err);
}

/* All of a kind are one matrix here. */
static int plan_experts(
    struct plan *p, struct cuda_layer *l, const struct layer_parts *w, struct orcd_error *err)
{
    const struct matrix_part matrices[] = {
        {&l->gate, &w->gate_exps}, {&l->up, &w->up_exps}, {&l->down, &w->down_exps}, {NULL, NULL}};
    const struct vector_part biases[] = {{&l->router_bias, &w->router_bias},
        {&l->gate_bias, &w->gate_exps_bias}, {&l->up_bias, &w->up_exps_bias},
        {&l->down_bias, &w->down_exps_bias}, {NULL, NULL}};
    int rc = plan_matrix(p, &l->router, &w->router, err);
    const uint64_t before = p->bytes;
    rc = rc ? rc : plan_parts(p, matrices, NULL, err);
    p->model->expert_bytes += p->bytes - before;
    rc = rc ? rc : plan_parts(p, NULL, biases, err);
    l->has_experts = true;
    return rc == 0 && p->model->hp.n_ff_shared ? plan_shared(p, l, w, err) : rc;
}

static void note_largest(uint32_t *largest, uint32_t n)
{
    if (n > *largest)
        *largest = n;
}

/* Scratch in which the tensor cores' FP16 copy of w lies; none for what is FP16 as it is. */
static void note_expanded(struct orcd_model *m, const struct ck_matrix *w)
{
    const uint64_t n = (uint64_t)w->n_rows * ((w->n_cols + UINT64_C(7)) / 8 * 8);
    if (w->type != ORCD_TYPE_F16 && n > m->largest_expanded)
        m->largest_expanded = n;
}

static int plan_layer(struct plan *p, uint32_t i, struct orcd_error *err)
{
    struct orcd_model *m = p->model;
    struct cuda_layer *l = &m->layers[i];
    struct orcd_layer s;
    int rc = source_layer(&p->source, i, &s, err);
    if (rc)
        return rc;
    l->n_heads = s.n_heads;
    l->n_kv_heads = s.n_kv_heads;
    l->n_ff = m->hp.n_experts ? m->hp.n_ff_expert : s.n_ff;
    l->window = s.window;
    note_largest(&m->max_heads, s.n_heads);
    note_largest(&m->max_kv_heads, s.n_kv_heads);
    note_largest(&m->max_ff, l->n_ff);
    note_largest(&m->max_ff, m->hp.n_ff_shared);

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
        {&l->attn_post_norm, &w.attn_post_norm}, {&l->ffn_post_norm, &w.ffn_post_norm}, {NULL, NULL}};
    rc = plan_parts(p, attention, vectors, err);
    if (rc == 0)
        rc = m->hp.n_experts ? plan_experts(p, l, &w, err) : plan_dense(p, l, &w, err);
    if (rc)
        return rc;
    if (l->has_experts && l->ffn_post_norm)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "layer %u: a norm behind experts", (unsigned)i);
    const struct ck_matrix *const expanded[] = {&l->q, &l->k, &l->v, &l->out, &l->gate, &l->up, &l->down};
    for (int j = 0; j < (l->has_experts ? 4 : 7); j++)
        note_expanded(m, expanded[j]);
    return 0;
}

static int plan_rope(struct plan *p, struct orcd_error *err)
{
    const uint64_t n = p->model->hp.rope_dims / 2;
    int rc = plan_host(p, &p->rope_freqs, ORCD_G_ROPE_FREQS, n, "rope frequencies", err);
    if (rc || p->model->hp.rope_scaling != ORCD_SCALING_LONGROPE)
        return rc;
    if (source_global(&p->source, ORCD_G_ROPE_LONG) < 0 || source_global(&p->source, ORCD_G_ROPE_SHORT) < 0)
        return plugin_error(err, ORCD_E_INVALID, "the model lacks factors of its rope frequencies");
    rc = plan_host(p, &p->rope_long, ORCD_G_ROPE_LONG, n, "rope factors", err);
    return rc == 0 ? plan_host(p, &p->rope_short, ORCD_G_ROPE_SHORT, n, "rope factors", err) : rc;
}

static int plan_globals(struct plan *p, struct orcd_error *err)
{
    struct orcd_model *m = p->model;
    const struct orcd_hparams *hp = &m->hp;
    const int32_t embd = source_global(&p->source, ORCD_G_TOKEN_EMBD);
    const int32_t output = source_global(&p->source, ORCD_G_OUTPUT);
    struct part w = part_matrix(embd, hp->n_embd, hp->n_vocab, "token embedding");
    int rc = plan_matrix(p, &m->token_embd, &w, err);
    w = part_matrix(output, hp->n_embd, hp->n_vocab, "output matrix");
    if (rc == 0 && output != embd)
        rc = plan_matrix(p, &m->output, &w, err);
    w = part_matrix(
        source_global(&p->source, ORCD_G_POSITION_EMBD), hp->n_embd, hp->n_ctx_train, "position embedding");
    if (rc == 0 && p->source.s.required_features & ORCD_F_POSITION_EMBD)
        rc = plan_matrix(p, &m->position_embd, &w, err);
    w = part_vector(source_global(&p->source, ORCD_G_OUTPUT_NORM), hp->n_embd, "output norm");
    if (rc == 0 && w.index < 0)
        rc = plugin_error(err, ORCD_E_INVALID, "the model has no output norm");
    if (rc == 0)
        rc = plan_vector(p, &m->output_norm, &w, err);
    w = part_vector(source_global(&p->source, ORCD_G_OUTPUT_NORM_B), hp->n_embd, "output norm's bias");
    if (rc == 0)
        rc = plan_vector(p, &m->output_norm_bias, &w, err);
    return rc == 0 && hp->rope != ORCD_ROPE_NONE ? plan_rope(p, err) : rc;
}

int plan_make(struct plan *p, struct orcd_error *err)
{
    struct orcd_model *m = p->model;
    const struct orcd_hparams *hp = &m->hp;
    const uint64_t most = hp->n_layers * (uint64_t)(MATRICES_PER_LAYER + VECTORS_PER_LAYER) + GLOBALS;
    if (hp->n_experts_used > CK_MAX_USED || hp->n_experts > CK_MAX_EXPERTS)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "%u of %u experts a token; at most %u of %u are done",
            (unsigned)hp->n_experts_used, (unsigned)hp->n_experts, CK_MAX_USED, CK_MAX_EXPERTS);
    p->capacity = (uint32_t)most; /* layers are at most 2^20 */
    p->entries = plugin_alloc(p->host, most, sizeof(*p->entries));
    if (!p->entries)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for the plan of %u layers", (unsigned)hp->n_layers);
    int rc = 0;
    for (uint32_t i = 0; i < hp->n_layers && rc == 0; i++)
        rc = plan_layer(p, i, err);
    return rc == 0 ? plan_globals(p, err) : rc;
}

void plan_release(struct plan *p)
{
    plugin_free(p->host, p->rope_freqs);
    plugin_free(p->host, p->rope_long);
    plugin_free(p->host, p->rope_short);
    plugin_free(p->host, p->entries);
}
