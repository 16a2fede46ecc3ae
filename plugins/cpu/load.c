/*
 * Model load: a plan of what every role needs is made and checked first, so that the
 * memory is known; then all threads pack panels from the mapped file.
 */
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/model/quant-types.h"
#include "plugins/cpu/cpu.h"
#include "plugins/cpu/source.h"

/* Bytes that a thread packs at a time: often enough to notice a stop. */
#define LOAD_PIECE_BYTES (UINT64_C(4) << 20)
#define PROGRESS_BYTES (UINT64_C(8) << 20)
#define MATRICES_PER_LAYER 7
#define VECTORS_PER_LAYER 11

struct plan_entry {
    struct orcd_tensor tensor;
    struct cpu_matrix *matrix; /* one of the two */
    const float **vector;
    uint64_t at; /* in packed, or in vectors */
    uint32_t n_rows, n_cols;
};

struct plan {
    struct source source;
    struct orcd_model *model;
    const struct orcd_host *host;
    struct plan_entry *entries;
    uint32_t n, capacity;
    uint64_t packed_bytes, vector_bytes, file_bytes;
    const char **maps;   /* by file */
    uint64_t *map_bytes; /* of those that we mapped ourselves; 0: the host's */
    const float *rope_freqs;
    /* packing: threads take pieces, numbered over all entries */
    const struct cpu_kernels *kernels;
    _Atomic uint32_t entry, panel; /* entry: the one being given out */
    pthread_mutex_t lock;          /* guards entry and panel */
    _Atomic uint64_t done_bytes;
    uint64_t reported_bytes; /* thread 0 alone */
    atomic_bool stop;
};

static struct plan_entry *plan_add(
    struct plan *p, int32_t index, uint64_t n_cols, uint64_t n_rows, const char *what, struct orcd_error *err)
{
    if (p->n == p->capacity) {
        cpu_error(err, ORCD_E_INTERNAL, "the load plan is full at %s", what);
        return NULL;
    }
    struct plan_entry *e = &p->entries[p->n];
    if (source_tensor(&p->source, index, &e->tensor, err))
        return NULL;
    const struct orcd_tensor *t = &e->tensor;
    if (t->dims[0] != n_cols || t->dims[1] != n_rows || t->dims[2] != 1 || t->dims[3] != 1) {
        cpu_error(err, ORCD_E_INVALID, "tensor %s is %llu x %llu, %s needs %llu x %llu", t->name,
            (unsigned long long)t->dims[0], (unsigned long long)t->dims[1], what, (unsigned long long)n_cols,
            (unsigned long long)n_rows);
        return NULL;
    }
    const struct quant_type *type = quant_type_find(t->type);
    uint64_t elements = n_cols * n_rows; /* both below 2^40 */
    if (!type || n_cols % type->block_elems || quant_type_bytes(type, elements) != t->bytes) {
        cpu_error(err, ORCD_E_INVALID, "tensor %s: type %u and %llu bytes do not fit its shape", t->name,
            (unsigned)t->type, (unsigned long long)t->bytes);
        return NULL;
    }
    e->n_cols = (uint32_t)n_cols;
    e->n_rows = (uint32_t)n_rows;
    return e;
}

static int plan_matrix(struct plan *p, struct cpu_matrix *out, int32_t index, uint64_t n_cols,
    uint64_t n_rows, const char *what, struct orcd_error *err)
{
    if (index < 0)
        return cpu_error(err, ORCD_E_INVALID, "the model has no %s", what);
    if (n_cols > UINT32_MAX || n_rows > UINT32_MAX)
        return cpu_error(err, ORCD_E_INVALID, "%s is too large", what);
    struct orcd_error local = {.size = sizeof(local)};
    struct plan_entry *e = plan_add(p, index, n_cols, n_rows, what, &local);
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
static int plan_vector(
    struct plan *p, const float **out, int32_t index, uint64_t n, const char *what, struct orcd_error *err)
{
    if (index < 0)
        return 0;
    struct orcd_error local = {.size = sizeof(local)};
    struct plan_entry *e = plan_add(p, index, n, 1, what, &local);
    if (!e)
        return cpu_error(err, local.code, "%s", local.msg);
    if (!quant_type_find(e->tensor.type)->dequantize)
        return cpu_error(err, ORCD_E_UNSUPPORTED, "tensor %s has type %s", e->tensor.name,
            quant_type_find(e->tensor.type)->name);
    e->vector = out;
    e->at = p->vector_bytes;
    p->vector_bytes += (n * sizeof(float) + 63) / 64 * 64; /* n below 2^41, few vectors */
    p->file_bytes += e->tensor.bytes;
    p->n++;
    return 0;
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
    l->n_ff = s.n_ff;
    if (s.n_heads > m->max_heads)
        m->max_heads = s.n_heads;
    if (s.n_kv_heads > m->max_kv_heads)
        m->max_kv_heads = s.n_kv_heads;
    if (s.n_ff > m->max_ff)
        m->max_ff = s.n_ff;

    const uint64_t embd = m->hp.n_embd, ff = s.n_ff, dk = m->hp.head_dim_k, dv = m->hp.head_dim_v;
    const uint64_t q = s.n_heads * dk, k = s.n_kv_heads * dk, v = s.n_kv_heads * dv, att = s.n_heads * dv;
    const struct {
        struct cpu_matrix *out;
        uint32_t role;
        uint64_t n_cols, n_rows;
        const char *what;
    } matrices[MATRICES_PER_LAYER] = {
        {&l->q, ORCD_L_Q, embd, q, "query matrix"},
        {&l->k, ORCD_L_K, embd, k, "key matrix"},
        {&l->v, ORCD_L_V, embd, v, "value matrix"},
        {&l->out, ORCD_L_ATTN_OUT, att, embd, "attention output"},
        {&l->gate, ORCD_L_GATE, embd, ff, "gate matrix"},
        {&l->up, ORCD_L_UP, embd, ff, "up matrix"},
        {&l->down, ORCD_L_DOWN, ff, embd, "down matrix"},
    };
    const struct {
        const float **out;
        uint32_t role;
        uint64_t n;
        const char *what;
        bool required;
    } vectors[VECTORS_PER_LAYER] = {
        {&l->attn_norm, ORCD_L_ATTN_NORM, embd, "attention norm", true},
        {&l->ffn_norm, ORCD_L_FFN_NORM, embd, "feed-forward norm", true},
        {&l->q_norm, ORCD_L_Q_NORM, dk, "query norm", false},
        {&l->k_norm, ORCD_L_K_NORM, dk, "key norm", false},
        {&l->q_bias, ORCD_L_Q_B, q, "query bias", false},
        {&l->k_bias, ORCD_L_K_B, k, "key bias", false},
        {&l->v_bias, ORCD_L_V_B, v, "value bias", false},
        {&l->out_bias, ORCD_L_ATTN_OUT_B, embd, "attention output bias", false},
        {&l->gate_bias, ORCD_L_GATE_B, ff, "gate bias", false},
        {&l->up_bias, ORCD_L_UP_B, ff, "up bias", false},
        {&l->down_bias, ORCD_L_DOWN_B, embd, "down bias", false},
    };
    for (int j = 0; j < MATRICES_PER_LAYER && rc == 0; j++)
        rc = plan_matrix(p, matrices[j].out, s.tensor[matrices[j].role], matrices[j].n_cols,
            matrices[j].n_rows, matrices[j].what, err);
    for (int j = 0; j < VECTORS_PER_LAYER && rc == 0; j++) {
        if (vectors[j].required && s.tensor[vectors[j].role] < 0)
            rc = cpu_error(err, ORCD_E_INVALID, "layer %u has no %s", (unsigned)i, vectors[j].what);
        else
            rc =
                plan_vector(p, vectors[j].out, s.tensor[vectors[j].role], vectors[j].n, vectors[j].what, err);
    }
    return rc;
}

static int plan_make(struct plan *p, struct orcd_error *err)
{
    struct orcd_model *m = p->model;
    const struct orcd_hparams *hp = &m->hp;
    const int32_t embd = source_global(&p->source, ORCD_G_TOKEN_EMBD);
    const int32_t output = source_global(&p->source, ORCD_G_OUTPUT);
    const int32_t norm = source_global(&p->source, ORCD_G_OUTPUT_NORM);
    int rc = 0;
    for (uint32_t i = 0; i < hp->n_layers && rc == 0; i++)
        rc = plan_layer(p, i, err);
    if (rc == 0)
        rc = plan_matrix(p, &m->token_embd, embd, hp->n_embd, hp->n_vocab, "token embedding", err);
    if (rc == 0 && output != embd)
        rc = plan_matrix(p, &m->output, output, hp->n_embd, hp->n_vocab, "output matrix", err);
    if (rc == 0 && norm < 0)
        rc = cpu_error(err, ORCD_E_INVALID, "the model has no output norm");
    if (rc == 0)
        rc = plan_vector(p, &m->output_norm, norm, hp->n_embd, "output norm", err);
    if (rc == 0 && hp->rope != ORCD_ROPE_NONE)
        rc = plan_vector(p, &p->rope_freqs, source_global(&p->source, ORCD_G_ROPE_FREQS), hp->rope_dims / 2,
            "rope frequencies", err);
    return rc;
}

/* Maps the files that the host did not map. */
static int plan_map(struct plan *p, struct orcd_error *err)
{
    for (uint32_t i = 0; i < p->source.s.n_files; i++) {
        struct orcd_file f;
        int rc = source_file(&p->source, i, &f, err);
        if (rc)
            return rc;
        p->maps[i] = f.mapping;
        if (f.mapping || f.bytes == 0)
            continue;
        void *at =
            f.bytes > PTRDIFF_MAX ? MAP_FAILED : mmap(NULL, (size_t)f.bytes, PROT_READ, MAP_PRIVATE, f.fd, 0);
        if (at == MAP_FAILED)
            return cpu_error(err, ORCD_E_IO, "cannot map model file %u", (unsigned)i);
        p->maps[i] = at;
        p->map_bytes[i] = f.bytes;
    }
    return 0;
}

static void plan_release(struct plan *p)
{
    for (uint32_t i = 0; p->map_bytes && i < p->source.s.n_files; i++)
        if (p->map_bytes[i])
            munmap((void *)(uintptr_t)p->maps[i], (size_t)p->map_bytes[i]);
    cpu_free(p->host, p->maps);
    cpu_free(p->host, p->map_bytes);
    cpu_free(p->host, p->entries);
    pthread_mutex_destroy(&p->lock);
}

/* The next piece: panels [*p0, *p1) of a matrix, or a whole vector. NULL: none left. */
static struct plan_entry *piece_next(struct plan *p, uint32_t *p0, uint32_t *p1)
{
    pthread_mutex_lock(&p->lock);
    struct plan_entry *e = p->entry < p->n ? &p->entries[p->entry] : NULL;
    if (e) {
        uint32_t panels = e->matrix ? cpu_matrix_panels(e->n_rows) : 1;
        uint64_t each = e->tensor.bytes / panels + 1;
        uint64_t take = LOAD_PIECE_BYTES / each + 1;
        *p0 = p->panel;
        *p1 = take < panels - p->panel ? p->panel + (uint32_t)take : panels;
        p->panel = *p1;
        if (*p1 == panels) {
            p->entry++;
            p->panel = 0;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return e;
}

static void pack_piece(struct plan *p, const struct plan_entry *e, uint32_t p0, uint32_t p1)
{
    const struct orcd_tensor *t = &e->tensor;
    const char *src = p->maps[t->file] + t->offset;
    if (e->vector) {
        quant_type_find(t->type)->dequantize(src, (float *)((char *)p->model->vectors.p + e->at), e->n_cols);
        return;
    }
    const uint64_t row_bytes = t->bytes / e->n_rows;
    const uint64_t from = (uint64_t)p0 * CPU_PANEL_ROWS * row_bytes;
    const uint64_t to =
        p1 == cpu_matrix_panels(e->n_rows) ? t->bytes : (uint64_t)p1 * CPU_PANEL_ROWS * row_bytes;
    /* One call for many page faults. */
    const uint64_t page = 4096;
    const uintptr_t first = (uintptr_t)(src + from) / page * page;
    madvise((void *)first, (uintptr_t)(src + to) - first, MADV_POPULATE_READ);
    p->kernels->pack(t->type, src, e->n_rows, e->n_cols, p0, p1, (char *)p->model->packed.p + e->at);
}

static void pack_thread(void *arg, uint32_t thread)
{
    struct plan *p = arg;
    const struct orcd_host *host = p->host;
    struct plan_entry *e;
    uint32_t p0 = 0, p1 = 0;
    while (!atomic_load_explicit(&p->stop, memory_order_relaxed) && (e = piece_next(p, &p0, &p1))) {
        pack_piece(p, e, p0, p1);
        const uint32_t panels = e->matrix ? cpu_matrix_panels(e->n_rows) : 1;
        const uint64_t part =
            e->tensor.bytes * (uint64_t)p1 / panels - e->tensor.bytes * (uint64_t)p0 / panels;
        const uint64_t done = atomic_fetch_add(&p->done_bytes, part) + part;
        if (thread != 0 || done - p->reported_bytes < PROGRESS_BYTES)
            continue;
        p->reported_bytes = done;
        if (host->progress && host->progress(done, p->file_bytes))
            atomic_store(&p->stop, true);
    }
}

static int plan_pack(struct plan *p, struct orcd_error *err)
{
    struct orcd_model *m = p->model;
    p->kernels = m->device->kernels;
    if (p->host->progress && p->host->progress(0, p->file_bytes))
        return cpu_error(err, ORCD_E_STOPPED, "the load was stopped");
    pool_run(m->device->pool, pack_thread, p);
    if (atomic_load(&p->stop) || (p->host->progress && p->host->progress(p->file_bytes, p->file_bytes)))
        return cpu_error(err, ORCD_E_STOPPED, "the load was stopped");
    return 0;
}

static int rope_make(struct orcd_model *m, const float *freqs, struct orcd_error *err)
{
    const struct orcd_hparams *hp = &m->hp;
    if (hp->rope == ORCD_ROPE_NONE)
        return 0;
    m->rope_inv_freq = cpu_new(m->device->host, hp->rope_dims / 2, sizeof(double));
    if (!m->rope_inv_freq)
        return cpu_error(err, ORCD_E_NOMEM, "no memory for rope frequencies");
    for (uint32_t i = 0; i < hp->rope_dims / 2; i++) {
        double f = pow((double)hp->rope_base, -2.0 * i / hp->rope_dims) * (double)hp->rope_scale;
        if (freqs)
            f /= (double)freqs[i];
        if (!isfinite(f))
            return cpu_error(err, ORCD_E_INVALID, "rope frequency %u is not a number", (unsigned)i);
        m->rope_inv_freq[i] = f;
    }
    return 0;
}

static int model_build(struct plan *p, struct orcd_model *m, struct orcd_error *err)
{
    const struct orcd_host *host = p->host;
    struct orcd_device *d = m->device;
    m->hp = p->source.hp;
    const uint64_t n_layers = m->hp.n_layers, n_files = p->source.s.n_files;
    m->layers = cpu_new(host, n_layers, sizeof(*m->layers));
    m->n_kv_heads = cpu_new(host, n_layers, sizeof(*m->n_kv_heads));
    p->capacity = (uint32_t)(n_layers * (MATRICES_PER_LAYER + VECTORS_PER_LAYER) + 8);
    p->entries = cpu_new(host, p->capacity, sizeof(*p->entries));
    p->maps = cpu_new(host, n_files, sizeof(*p->maps));
    p->map_bytes = cpu_new(host, n_files, sizeof(*p->map_bytes));
    if (!m->layers || !m->n_kv_heads || !p->entries || !p->maps || !p->map_bytes)
        return cpu_error(err, ORCD_E_NOMEM, "no memory for %u layers", (unsigned)n_layers);
    int rc = plan_make(p, err);
    if (rc == 0)
        rc = plan_map(p, err);
    if (rc)
        return rc;
    if (mapping_new(&m->packed, host, p->packed_bytes, true, &d->ours_bytes) ||
        mapping_new(&m->vectors, host, p->vector_bytes, false, &d->ours_bytes))
        return cpu_error(err, ORCD_E_NOMEM, "no memory for %llu bytes of weights",
            (unsigned long long)(p->packed_bytes + p->vector_bytes));
    m->weight_bytes = p->packed_bytes + p->vector_bytes;
    for (uint32_t i = 0; i < p->n; i++) {
        struct plan_entry *e = &p->entries[i];
        if (e->matrix)
            e->matrix->data = (char *)m->packed.p + e->at;
        else
            *e->vector = (const float *)(const void *)((char *)m->vectors.p + e->at);
    }
    rc = plan_pack(p, err);
    if (rc)
        return rc;
    if (!m->output.data)
        m->output = m->token_embd;
    return rope_make(m, p->rope_freqs, err);
}

int cpu_model_load(struct orcd_device *d, const struct orcd_model_source *source, struct orcd_model **out,
    struct orcd_error *err)
{
    struct plan p = {.host = d->host};
    int rc = source_init(&p.source, source, err);
    if (rc)
        return rc;
    struct orcd_model *m = cpu_new(d->host, 1, sizeof(*m));
    if (!m)
        return cpu_error(err, ORCD_E_NOMEM, "no memory for a model");
    m->device = d;
    p.model = m;
    pthread_mutex_init(&p.lock, NULL);
    rc = model_build(&p, m, err);
    plan_release(&p);
    if (rc) {
        cpu_model_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void cpu_model_free(struct orcd_model *m)
{
    if (!m)
        return;
    const struct orcd_host *host = m->device->host;
    mapping_free(&m->packed);
    mapping_free(&m->vectors);
    cpu_free(host, m->rope_inv_freq);
    cpu_free(host, m->n_kv_heads);
    cpu_free(host, m->layers);
    cpu_free(host, m);
}
