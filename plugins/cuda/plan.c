#include "plugins/cuda/plan.h"

#include "core/model/quant-types.h"

#define MATRICES_PER_LAYER 11
#define VECTORS_PER_LAYER 22
#define GLOBALS 10
#define VECTOR_ALIGN UINT64_C(256)

/* Rows first .. first + n_rows of a tensor that must have the shape dims. Of a vector, a row
 * is an element (n_cols 1). */
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

/* All experts of a layer, one below the other. */
static struct part tall(int32_t index, uint64_t n_cols, uint64_t rows, uint64_t n, const char *what)
{
    return (struct part){index, n_cols, rows * n, 0, {n_cols, rows, n}, what};
}

static int plan_add(struct plan *p, const struct part *w, struct plan_entry **out, struct orcd_error *err)
{
    if (p->n == p->capacity)
        return cuda_error(err, ORCD_E_INTERNAL, "the load plan is full at %s", w->what);
    struct plan_entry *e = &p->entries[p->n];
    struct orcd_tensor t;
    const int rc = source_tensor(&p->source, w->index, &t, err);
    if (rc)
        return rc;
    if (t.dims[0] != w->dims[0] || t.dims[1] != w->dims[1] || t.dims[2] != w->dims[2] || t.dims[3] != 1)
        return cuda_error(err, ORCD_E_INVALID, "tensor %s is %llu x %llu x %llu, %s needs %llu x %llu x %llu",
            t.name, (unsigned long long)t.dims[0], (unsigned long long)t.dims[1],
            (unsigned long long)t.dims[2], w->what, (unsigned long long)w->dims[0],
            (unsigned long long)w->dims[1], (unsigned long long)w->dims[2]);
    const struct quant_type *type = quant_type_find(t.type);
    uint64_t rows, elements; /* of the whole tensor */
    if (!type || __builtin_mul_overflow(t.dims[1], t.dims[2], &rows) ||
        __builtin_mul_overflow(t.dims[0], rows, &elements) || t.dims[0] % type->block_elems ||
        w->n_cols * w->n_rows % type->block_elems || w->n_cols * w->first % type->block_elems ||
        quant_type_bytes(type, elements) != t.bytes)
        return cuda_error(err, ORCD_E_INVALID, "tensor %s: type %u and %llu bytes do not fit its shape",
            t.name, (unsigned)t.type, (unsigned long long)t.bytes);
    /* The part lies in the tensor, whose bytes are known. */
    t.offset += quant_type_bytes(type, w->n_cols * w->first);
    t.bytes = quant_type_bytes(type, w->n_cols * w->n_rows);
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
        return cuda_error(err, ORCD_E_INVALID, "the weights are too large");
    return 0;
}

static int plan_matrix(struct plan *p, struct ck_matrix *out, const struct part *w, struct orcd_error *err)
{
    if (w->index < 0)
        return cuda_error(err, ORCD_E_INVALID, "the model has no %s", w->what);
    struct plan_entry *e;
    const int rc = plan_add(p, w, &e, err);
    if (rc)
        return rc;
    struct ck_layout layout;
    const struct orcd_tensor *t = &e->tensor;
    if (!ck_matrix_layout(t->type, e->n_rows, e->n_cols, &layout))
        return cuda_error(err, ORCD_E_UNSUPPORTED, "tensor %s: %llu x %llu of type %s is not done here",
            t->name, (unsigned long long)e->n_cols, (unsigned long long)e->n_rows,
            quant_type_find(t->type)->name);
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
        return cuda_error(err, ORCD_E_INVALID, "%s is too large", w->what);
    const int rc = plan_add(p, w, out, err);
    if (rc)
        return rc;
    const struct orcd_tensor *t = &(*out)->tensor;
    const struct quant_type *type = quant_type_find(t->type);
    if (!type->dequantize || type->block_elems != 1)
        return cuda_error(err, ORCD_E_UNSUPPORTED, "tensor %s has type %s", t->name, type->name);
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
    const struct part w = vector(source_global(&p->source, role), n, what);
    struct plan_entry *e;
    const int rc = plan_floats(p, &w, &e, err);
    if (rc || !e)
        return rc;
    *out = e->host = cuda_new(p->host, n, sizeof(float));
    return *out ? 0 : cuda_error(err, ORCD_E_NOMEM, "no memory for %s", what);
}

/* Queries, keys and values: three tensors, or parts of one. */
static int plan_qkv(struct plan *p, struct cuda_layer *l, const struct orcd_layer *s, uint64_t q, uint64_t k,
    uint64_t v, struct orcd_error *err)
{
    static const char *const what[] = {"query matrix", "key matrix", "value matrix"};
    static const char *const bias_what[] = {"query bias", "key bias", "value bias"};
    const uint32_t role[] = {ORCD_L_Q, ORCD_L_K, ORCD_L_V}, bias[] = {ORCD_L_Q_B, ORCD_L_K_B, ORCD_L_V_B};
    struct ck_matrix *const out[] = {&l->q, &l->k, &l->v};
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
static int plan_dense(
    struct plan *p, struct cuda_layer *l, const struct orcd_layer *s, struct orcd_error *err)
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
    w = vector(s->tensor[ORCD_L_DOWN_B], embd, "down bias");
    if (rc == 0)
        rc = plan_vector(p, &l->down_bias, &w, err);
    w = vector(s->tensor[ORCD_L_UP_B], ff, "up bias");
    return rc == 0 && !fused ? plan_vector(p, &l->up_bias, &w, err) : rc;
}

/* The expert that all tokens share, beside the others. */
static int plan_shared(
    struct plan *p, struct cuda_layer *l, const struct orcd_layer *s, struct orcd_error *err)
{
    const uint64_t embd = p->model->hp.n_embd, ff = p->model->hp.n_ff_shared;
    struct part w = whole(s->tensor[ORCD_L_SHARED_GATE], embd, ff, "shared gate matrix");
    int rc = plan_matrix(p, &l->shared_gate, &w, err);
    w = whole(s->tensor[ORCD_L_SHARED_UP], embd, ff, "shared up matrix");
    if (rc == 0)
        rc = plan_matrix(p, &l->shared_up, &w, err);
    w = whole(s->tensor[ORCD_L_SHARED_DOWN], ff, embd, "shared down matrix");
    if (rc == 0)
        rc = plan_matrix(p, &l->shared_down, &w, err);
    w = vector(s->tensor[ORCD_L_SHARED_ROUTER], embd, "shared expert's router");
    if (rc == 0 && w.index < 0)
        rc = cuda_error(err, ORCD_E_INVALID, "the model has no %s", w.what);
    return rc == 0 ? plan_vector(p, &l->shared_router, &w, err) : rc;
}

static int plan_experts(
    struct plan *p, struct cuda_layer *l, const struct orcd_layer *s, struct orcd_error *err)
{
    const struct orcd_hparams *hp = &p->model->hp;
    const uint64_t embd = hp->n_embd, ff = hp->n_ff_expert, n = hp->n_experts;
    const struct {
        struct ck_matrix *out;
        struct part part;
    } matrices[] = {
        {&l->router, whole(s->tensor[ORCD_L_ROUTER], embd, n, "router")},
        {&l->gate, tall(s->tensor[ORCD_L_GATE_EXPS], embd, ff, n, "experts' gates")},
        {&l->up, tall(s->tensor[ORCD_L_UP_EXPS], embd, ff, n, "experts' up matrices")},
        {&l->down, tall(s->tensor[ORCD_L_DOWN_EXPS], ff, embd, n, "experts' down matrices")},
    };
    const struct {
        const float **out;
        struct part part;
    } biases[] = {
        {&l->router_bias, vector(s->tensor[ORCD_L_ROUTER_B], n, "router bias")},
        {&l->gate_bias, {s->tensor[ORCD_L_GATE_EXPS_B], 1, ff * n, 0, {ff, n, 1}, "experts' gate biases"}},
        {&l->up_bias, {s->tensor[ORCD_L_UP_EXPS_B], 1, ff * n, 0, {ff, n, 1}, "experts' up biases"}},
        {&l->down_bias,
            {s->tensor[ORCD_L_DOWN_EXPS_B], 1, embd * n, 0, {embd, n, 1}, "experts' down biases"}},
    };
    int rc = 0;
    for (int i = 0; i < 4 && rc == 0; i++) {
        const uint64_t before = p->bytes;
        rc = plan_matrix(p, matrices[i].out, &matrices[i].part, err);
        if (i > 0)
            p->model->expert_bytes += p->bytes - before;
    }
    for (int i = 0; i < 4 && rc == 0; i++)
        rc = plan_vector(p, biases[i].out, &biases[i].part, err);
    l->has_experts = true;
    return rc == 0 && hp->n_ff_shared ? plan_shared(p, l, s, err) : rc;
}

static int plan_vectors(
    struct plan *p, struct cuda_layer *l, uint32_t i, const struct orcd_layer *s, struct orcd_error *err)
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
        {&l->attn_post_norm, ORCD_L_ATTN_POST_NORM, hp->n_embd, "norm behind attention", post},
        {&l->ffn_post_norm, ORCD_L_FFN_POST_NORM, hp->n_embd, "norm behind feed-forward", post},
    };
    int rc = 0;
    for (size_t j = 0; j < sizeof(vectors) / sizeof(vectors[0]) && rc == 0; j++) {
        const struct part w = vector(s->tensor[vectors[j].role], vectors[j].n, vectors[j].what);
        if (vectors[j].required && w.index < 0)
            rc = cuda_error(err, ORCD_E_INVALID, "layer %u has no %s", (unsigned)i, w.what);
        else
            rc = plan_vector(p, vectors[j].out, &w, err);
    }
    if (rc == 0 && l->has_experts && l->ffn_post_norm)
        return cuda_error(err, ORCD_E_UNSUPPORTED, "layer %u: a norm behind experts", (unsigned)i);
    return rc;
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

    const uint64_t embd = m->hp.n_embd, dk = m->hp.head_dim_k, dv = m->hp.head_dim_v;
    const struct part out = whole(s.tensor[ORCD_L_ATTN_OUT], s.n_heads * dv, embd, "attention output");
    rc = plan_qkv(p, l, &s, s.n_heads * dk, s.n_kv_heads * dk, s.n_kv_heads * dv, err);
    if (rc == 0)
        rc = plan_matrix(p, &l->out, &out, err);
    if (rc == 0)
        rc = m->hp.n_experts ? plan_experts(p, l, &s, err) : plan_dense(p, l, &s, err);
    if (rc)
        return rc;
    const struct ck_matrix *const expanded[] = {&l->q, &l->k, &l->v, &l->out, &l->gate, &l->up, &l->down};
    for (int j = 0; j < (l->has_experts ? 4 : 7); j++)
        note_expanded(m, expanded[j]);
    return plan_vectors(p, l, i, &s, err);
}

static int plan_rope(struct plan *p, struct orcd_error *err)
{
    const uint64_t n = p->model->hp.rope_dims / 2;
    int rc = plan_host(p, &p->rope_freqs, ORCD_G_ROPE_FREQS, n, "rope frequencies", err);
    if (rc || p->model->hp.rope_scaling != ORCD_SCALING_LONGROPE)
        return rc;
    if (source_global(&p->source, ORCD_G_ROPE_LONG) < 0 || source_global(&p->source, ORCD_G_ROPE_SHORT) < 0)
        return cuda_error(err, ORCD_E_INVALID, "the model lacks factors of its rope frequencies");
    rc = plan_host(p, &p->rope_long, ORCD_G_ROPE_LONG, n, "rope factors", err);
    return rc == 0 ? plan_host(p, &p->rope_short, ORCD_G_ROPE_SHORT, n, "rope factors", err) : rc;
}

static int plan_globals(struct plan *p, struct orcd_error *err)
{
    struct orcd_model *m = p->model;
    const struct orcd_hparams *hp = &m->hp;
    const int32_t embd = source_global(&p->source, ORCD_G_TOKEN_EMBD);
    const int32_t output = source_global(&p->source, ORCD_G_OUTPUT);
    struct part w = whole(embd, hp->n_embd, hp->n_vocab, "token embedding");
    int rc = plan_matrix(p, &m->token_embd, &w, err);
    w = whole(output, hp->n_embd, hp->n_vocab, "output matrix");
    if (rc == 0 && output != embd)
        rc = plan_matrix(p, &m->output, &w, err);
    w = whole(
        source_global(&p->source, ORCD_G_POSITION_EMBD), hp->n_embd, hp->n_ctx_train, "position embedding");
    if (rc == 0 && p->source.s.required_features & ORCD_F_POSITION_EMBD)
        rc = plan_matrix(p, &m->position_embd, &w, err);
    w = vector(source_global(&p->source, ORCD_G_OUTPUT_NORM), hp->n_embd, "output norm");
    if (rc == 0 && w.index < 0)
        rc = cuda_error(err, ORCD_E_INVALID, "the model has no output norm");
    if (rc == 0)
        rc = plan_vector(p, &m->output_norm, &w, err);
    w = vector(source_global(&p->source, ORCD_G_OUTPUT_NORM_B), hp->n_embd, "output norm's bias");
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
        return cuda_error(err, ORCD_E_UNSUPPORTED, "%u of %u experts a token; at most %u of %u are done",
            (unsigned)hp->n_experts_used, (unsigned)hp->n_experts, CK_MAX_USED, CK_MAX_EXPERTS);
    p->capacity = (uint32_t)most; /* layers are at most 2^20 */
    p->entries = cuda_new(p->host, most, sizeof(*p->entries));
    if (!p->entries)
        return cuda_error(err, ORCD_E_NOMEM, "no memory for the plan of %u layers", (unsigned)hp->n_layers);
    int rc = 0;
    for (uint32_t i = 0; i < hp->n_layers && rc == 0; i++)
        rc = plan_layer(p, i, err);
    return rc == 0 ? plan_globals(p, err) : rc;
}

void plan_release(struct plan *p)
{
    cuda_drop(p->host, p->rope_freqs);
    cuda_drop(p->host, p->rope_long);
    cuda_drop(p->host, p->rope_short);
    cuda_drop(p->host, p->entries);
}
