#include "plugins/cpu/plan.h"

#include "core/model/quant-types.h"

#define MATRICES_PER_LAYER 8
#define VECTORS_PER_LAYER 22
#define GLOBALS 10

/* Rows first .. first + n_rows of a tensor that must have the shape dims, as they lie in the
 * file: fused matrices and experts are parts of a larger one. Of a vector, a row is an
 * element (n_cols 1). */
struct part {
    int32_t index;
    uint64_t n_cols, n_rows, first;
    uint64_t dims[3];
    const char *what;
};

static struct part whole(int32_t index, uint64_t n_cols, uint64_t n_rows, const char *what)
{
    return (struct part){index, n_cols, n_rows, 0, {n_cols, n_rows, 1}, what};
}

static struct part vector(int32_t index, uint64_t n, const char *what)
{
    return (struct part){index, 1, n, 0, {n, 1, 1}, what};
}

static struct plan_entry *plan_add(struct plan *p, const struct part *w, struct orcd_error *err)
{
    if (p->n == p->capacity) {
        cpu_error(err, ORCD_E_INTERNAL, "the load plan is full at %s", w->what);
        return NULL;
    }
    struct plan_entry *e = &p->entries[p->n];
    struct orcd_tensor t;
    if (source_tensor(&p->source, w->index, &t, err))
        return NULL;
    if (t.dims[0] != w->dims[0] || t.dims[1] != w->dims[1] || t.dims[2] != w->dims[2] || t.dims[3] != 1) {
        cpu_error(err, ORCD_E_INVALID, "tensor %s is %llu x %llu x %llu, %s needs %llu x %llu x %llu", t.name,
            (unsigned long long)t.dims[0], (unsigned long long)t.dims[1], (unsigned long long)t.dims[2],
            w->what, (unsigned long long)w->dims[0], (unsigned long long)w->dims[1],
            (unsigned long long)w->dims[2]);
        return NULL;
    }
    const struct quant_type *type = quant_type_find(t.type);
    uint64_t rows, elements; /* of the whole tensor */
    if (!type || __builtin_mul_overflow(t.dims[1], t.dims[2], &rows) ||
        __builtin_mul_overflow(t.dims[0], rows, &elements) || t.dims[0] % type->block_elems ||
        w->n_cols * w->n_rows % type->block_elems || w->n_cols * w->first % type->block_elems ||
        quant_type_bytes(type, elements) != t.bytes) {
        cpu_error(err, ORCD_E_INVALID, "tensor %s: type %u and %llu bytes do not fit its shape", t.name,
            (unsigned)t.type, (unsigned long long)t.bytes);
        return NULL;
    }
    /* The part lies in the tensor, whose bytes are known. */
    t.offset += quant_type_bytes(type, w->n_cols * w->first);
    t.bytes = quant_type_bytes(type, w->n_cols * w->n_rows);
    e->tensor = t;
    e->n_cols = (uint32_t)w->n_cols;
    e->n_rows = (uint32_t)w->n_rows;
    return e;
}

static int plan_matrix(struct plan *p, struct cpu_matrix *out, const struct part *w, struct orcd_error *err)
{
    if (w->index < 0)
        return cpu_error(err, ORCD_E_INVALID, "the model has no %s", w->what);
    if (w->n_cols > UINT32_MAX || w->n_rows > UINT32_MAX)
        return cpu_error(err, ORCD_E_INVALID, "%s is too large", w->what);
    struct orcd_error local = {.size = sizeof(local)};
    struct plan_entry *e = plan_add(p, w, &local);
    if (!e)
        return cpu_error(err, local.code, "%s", local.msg);
    const struct orcd_tensor *t = &e->tensor;
    if (!cpu_type_supported(t->type))
        return cpu_error(err, ORCD_E_UNSUPPORTED, "tensor %s has type %s, which the cpu plugin does not do",
            t->name, quant_type_find(t->type)->name);
    uint64_t bytes = cpu_matrix_bytes(t->type, e->n_rows, e->n_cols);
    if (bytes == 0)
        return cpu_error(err, ORCD_E_INVALID, "tensor %s: %u x %u does not fit type %s", t->name,
            (unsigned)e->n_cols, (unsigned)e->n_rows, quant_type_find(t->type)->name);
    e->matrix = out;
    e->at = p->packed_bytes;
    if (__builtin_add_overflow(p->packed_bytes, bytes, &p->packed_bytes) || p->packed_bytes > PTRDIFF_MAX)
        return cpu_error(err, ORCD_E_INVALID, "the weights are too large");
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
        return cpu_error(err, ORCD_E_INVALID, "%s is too large", w->what);
    struct orcd_error local = {.size = sizeof(local)};
    struct plan_entry *e = plan_add(p, w, &local);
    if (!e)
        return cpu_error(err, local.code, "%s", local.msg);
    if (!quant_type_find(e->tensor.type)->dequantize)
        return cpu_error(err, ORCD_E_UNSUPPORTED, "tensor %s has type %s", e->tensor.name,
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

/* Queries, keys and values: three tensors, or parts of one. */
static int plan_qkv(struct plan *p, struct cpu_layer *l, const struct orcd_layer *s, uint64_t q, uint64_t k,
    uint64_t v, struct orcd_error *err)
{
    static const char *const what[] = {"query matrix", "key matrix", "value matrix"};
    static const char *const bias_what[] = {"query bias", "key bias", "value bias"};
    const uint32_t role[] = {ORCD_L_Q, ORCD_L_K, ORCD_L_V}, bias[] = {ORCD_L_Q_B, ORCD_L_K_B, ORCD_L_V_B};
    struct cpu_matrix *const out[] = {&l->q, &l->k, &l->v};
    const float **const bias_out[] = {&l->q_bias, &l->k_bias, &l->v_bias};
    const uint64_t rows[] = {q, k, v}, embd = p->model->hp.n_embd;
    uint64_t first = 0;
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        struct part w = whole(s->tensor[role[i]], embd, rows[i], what[i]);
        if (s->tensor[ORCD_L_QKV] >= 0)
            w = (struct part){s->tensor[ORCD_L_QKV], embd, rows[i], first, {embd, q + k + v, 1}, what[i]};
        rc = plan_matrix(p, out[i], &w, err);
        w = vector(s->tensor[bias[i]], rows[i], bias_what[i]);
        if (s->tensor[ORCD_L_QKV_B] >= 0)
            w = (struct part){s->tensor[ORCD_L_QKV_B], 1, rows[i], first, {q + k + v, 1, 1}, bias_what[i]};
        if (rc == 0)
            rc = plan_vector(p, bias_out[i], &w, err);
        first += rows[i];
    }
    return rc;
}

/* The feed-forward part of a layer without experts. */
static int plan_dense(struct plan *p, struct cpu_layer *l, const struct orcd_layer *s, struct orcd_error *err)
{
    const uint64_t embd = p->model->hp.n_embd, ff = s->n_ff;
    const int32_t up = s->tensor[ORCD_L_UP];
    const bool fused = p->source.s.required_features & ORCD_F_FUSED_GATE;
    struct part w = whole(s->tensor[ORCD_L_GATE], embd, ff, "gate matrix");
    int rc = 0;
    if (fused)
        w = (struct part){up, embd, ff, 0, {embd, 2 * ff, 1}, w.what};
    if (p->model->hp.activation != ORCD_ACT_GELU)
        rc = plan_matrix(p, &l->gate, &w, err);
    w = whole(up, embd, ff, "up matrix");
    if (fused)
        w = (struct part){up, embd, ff, ff, {embd, 2 * ff, 1}, w.what};
    if (rc == 0)
        rc = plan_matrix(p, &l->up, &w, err);
    w = whole(s->tensor[ORCD_L_DOWN], ff, embd, "down matrix");
    if (rc == 0)
        rc = plan_matrix(p, &l->down, &w, err);
    w = vector(s->tensor[ORCD_L_GATE_B], ff, "gate bias");
    if (rc == 0)
        rc = plan_vector(p, &l->gate_bias, &w, err);
    if (fused)
        return rc;
    w = vector(s->tensor[ORCD_L_UP_B], ff, "up bias");
    return rc == 0 ? plan_vector(p, &l->up_bias, &w, err) : rc;
}

/* The expert that all tokens share, beside the others. */
static int plan_shared(
    struct plan *p, struct cpu_layer *l, const struct orcd_layer *s, struct orcd_error *err)
{
    const uint64_t embd = p->model->hp.n_embd, ff = p->model->hp.n_ff_shared;
    struct part w = whole(s->tensor[ORCD_L_SHARED_GATE], embd, ff, "shared gate matrix");
    int rc = plan_matrix(p, &l->gate, &w, err);
    w = whole(s->tensor[ORCD_L_SHARED_UP], embd, ff, "shared up matrix");
    if (rc == 0)
        rc = plan_matrix(p, &l->up, &w, err);
    w = whole(s->tensor[ORCD_L_SHARED_DOWN], ff, embd, "shared down matrix");
    if (rc == 0)
        rc = plan_matrix(p, &l->down, &w, err);
    w = vector(s->tensor[ORCD_L_SHARED_ROUTER], embd, "shared expert's router");
    if (rc == 0 && w.index < 0)
        rc = cpu_error(err, ORCD_E_INVALID, "the model has no %s", w.what);
    return rc == 0 ? plan_vector(p, &l->shared_router, &w, err) : rc;
}

static int plan_experts(
    struct plan *p, struct cpu_layer *l, const struct orcd_layer *s, struct orcd_error *err)
{
    const struct orcd_hparams *hp = &p->model->hp;
    const uint64_t embd = hp->n_embd, ff = hp->n_ff_expert, n = hp->n_experts;
    struct part w = whole(s->tensor[ORCD_L_ROUTER], embd, n, "router");
    int rc = plan_matrix(p, &l->router, &w, err);
    const uint64_t before = p->packed_bytes;
    for (uint64_t e = 0; e < n && rc == 0; e++) {
        struct cpu_expert *x = &l->experts[e];
        w = (struct part){s->tensor[ORCD_L_GATE_EXPS], embd, ff, e * ff, {embd, ff, n}, "experts' gates"};
        rc = plan_matrix(p, &x->gate, &w, err);
        w = (struct part){s->tensor[ORCD_L_UP_EXPS], embd, ff, e * ff, {embd, ff, n}, "experts' up matrices"};
        if (rc == 0)
            rc = plan_matrix(p, &x->up, &w, err);
        w = (struct part){
            s->tensor[ORCD_L_DOWN_EXPS], ff, embd, e * embd, {ff, embd, n}, "experts' down matrices"};
        if (rc == 0)
            rc = plan_matrix(p, &x->down, &w, err);
    }
    p->model->expert_bytes += p->packed_bytes - before;
    w = vector(s->tensor[ORCD_L_ROUTER_B], n, "router bias");
    if (rc == 0)
        rc = plan_vector(p, &l->router_bias, &w, err);
    w = (struct part){s->tensor[ORCD_L_GATE_EXPS_B], 1, ff * n, 0, {ff, n, 1}, "experts' gate biases"};
    if (rc == 0)
        rc = plan_vector(p, &l->gate_bias, &w, err);
    w = (struct part){s->tensor[ORCD_L_UP_EXPS_B], 1, ff * n, 0, {ff, n, 1}, "experts' up biases"};
    if (rc == 0)
        rc = plan_vector(p, &l->up_bias, &w, err);
    w = (struct part){s->tensor[ORCD_L_DOWN_EXPS_B], 1, embd * n, 0, {embd, n, 1}, "experts' down biases"};
    if (rc == 0)
        rc = plan_vector(p, &l->expert_down_bias, &w, err);
    return rc == 0 && hp->n_ff_shared ? plan_shared(p, l, s, err) : rc;
}

static void note_largest(uint32_t *largest, uint32_t n)
{
    if (n > *largest)
        *largest = n;
}

static int plan_vectors(
    struct plan *p, struct cpu_layer *l, uint32_t i, const struct orcd_layer *s, struct orcd_error *err)
{
    const struct orcd_hparams *hp = &p->model->hp;
    const bool post = p->source.s.required_features & ORCD_F_POST_NORMS;
    const struct {
        const float **out;
        uint32_t role;
        uint64_t n;
        const char *what;
        bool required;
    } vectors[] = {
        {&l->attn_norm, ORCD_L_ATTN_NORM, hp->n_embd, "attention norm", true},
        {&l->attn_norm_bias, ORCD_L_ATTN_NORM_B, hp->n_embd, "attention norm's bias", false},
        {&l->ffn_norm, ORCD_L_FFN_NORM, hp->n_embd, "feed-forward norm", true},
        {&l->ffn_norm_bias, ORCD_L_FFN_NORM_B, hp->n_embd, "feed-forward norm's bias", false},
        {&l->q_norm, ORCD_L_Q_NORM, hp->head_dim_k, "query norm", false},
        {&l->k_norm, ORCD_L_K_NORM, hp->head_dim_k, "key norm", false},
        {&l->sinks, ORCD_L_SINKS, s->n_heads, "attention sinks", false},
        {&l->out_bias, ORCD_L_ATTN_OUT_B, hp->n_embd, "attention output bias", false},
        {&l->down_bias, ORCD_L_DOWN_B, hp->n_embd, "down bias", false},
        {&l->attn_post_norm, ORCD_L_ATTN_POST_NORM, hp->n_embd, "norm behind attention", post},
        {&l->ffn_post_norm, ORCD_L_FFN_POST_NORM, hp->n_embd, "norm behind feed-forward", post},
    };
    int rc = 0;
    for (size_t j = 0; j < sizeof(vectors) / sizeof(vectors[0]) && rc == 0; j++) {
        const struct part w = vector(s->tensor[vectors[j].role], vectors[j].n, vectors[j].what);
        if (vectors[j].required && w.index < 0)
            rc = cpu_error(err, ORCD_E_INVALID, "layer %u has no %s", (unsigned)i, w.what);
        else
            rc = plan_vector(p, vectors[j].out, &w, err);
    }
    return rc;
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

    const uint64_t embd = m->hp.n_embd, dk = m->hp.head_dim_k, dv = m->hp.head_dim_v;
    const struct part out = whole(s.tensor[ORCD_L_ATTN_OUT], s.n_heads * dv, embd, "attention output");
    rc = plan_qkv(p, l, &s, s.n_heads * dk, s.n_kv_heads * dk, s.n_kv_heads * dv, err);
    if (rc == 0)
        rc = plan_matrix(p, &l->out, &out, err);
    if (rc == 0)
        rc = l->experts ? plan_experts(p, l, &s, err) : plan_dense(p, l, &s, err);
    return rc == 0 ? plan_vectors(p, l, i, &s, err) : rc;
}

static int plan_global_vector(struct plan *p, const float **out, enum orcd_global_role role, uint64_t n,
    const char *what, struct orcd_error *err)
{
    const struct part w = vector(source_global(&p->source, role), n, what);
    return plan_vector(p, out, &w, err);
}

static int plan_rope(struct plan *p, struct orcd_error *err)
{
    const uint64_t n = p->model->hp.rope_dims / 2;
    int rc = plan_global_vector(p, &p->rope_freqs, ORCD_G_ROPE_FREQS, n, "rope frequencies", err);
    if (rc || p->model->hp.rope_scaling != ORCD_SCALING_LONGROPE)
        return rc;
    if (source_global(&p->source, ORCD_G_ROPE_LONG) < 0 || source_global(&p->source, ORCD_G_ROPE_SHORT) < 0)
        return cpu_error(err, ORCD_E_INVALID, "the model lacks factors of its rope frequencies");
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
    struct part w = whole(embd, hp->n_embd, hp->n_vocab, "token embedding");
    if (rc == 0)
        rc = plan_matrix(p, &m->token_embd, &w, err);
    w = whole(output, hp->n_embd, hp->n_vocab, "output matrix");
    if (rc == 0 && output != embd)
        rc = plan_matrix(p, &m->output, &w, err);
    w = whole(
        source_global(&p->source, ORCD_G_POSITION_EMBD), hp->n_embd, hp->n_ctx_train, "position embedding");
    if (rc == 0 && p->source.s.required_features & ORCD_F_POSITION_EMBD)
        rc = plan_matrix(p, &m->position_embd, &w, err);
    if (rc == 0 && source_global(&p->source, ORCD_G_OUTPUT_NORM) < 0)
        rc = cpu_error(err, ORCD_E_INVALID, "the model has no output norm");
    if (rc == 0)
        rc = plan_global_vector(p, &m->output_norm, ORCD_G_OUTPUT_NORM, hp->n_embd, "output norm", err);
    if (rc == 0)
        rc = plan_global_vector(
            p, &m->output_norm_bias, ORCD_G_OUTPUT_NORM_B, hp->n_embd, "output norm's bias", err);
    if (rc == 0 && hp->rope != ORCD_ROPE_NONE)
        rc = plan_rope(p, err);
    return rc;
}
