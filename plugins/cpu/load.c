/*
 * Model load: a plan of what every role needs is made and checked first (plan.c), so that
 * the memory is known; then all threads pack panels from the mapped file.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/model/quant-types.h"
#include "plugins/cpu/plan.h"

/* Bytes that a thread packs at a time: often enough to notice a stop. */
#define LOAD_PIECE_BYTES (UINT64_C(4) << 20)
#define PROGRESS_BYTES (UINT64_C(8) << 20)

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

static int model_build(struct plan *p, struct orcd_model *m, struct orcd_error *err)
{
    const struct orcd_host *host = p->host;
    struct orcd_device *d = m->device;
    m->hp = p->source.hp;
    const uint64_t n_layers = m->hp.n_layers, n_files = p->source.s.n_files;
    m->layers = cpu_new(host, n_layers, sizeof(*m->layers));
    m->n_kv_heads = cpu_new(host, n_layers, sizeof(*m->n_kv_heads));
    const uint64_t capacity = plan_capacity(&m->hp);
    p->capacity = capacity > UINT32_MAX ? UINT32_MAX : (uint32_t)capacity;
    p->entries = cpu_new(host, p->capacity, sizeof(*p->entries));
    if (m->hp.n_experts) {
        m->experts = cpu_new(host, n_layers * m->hp.n_experts, sizeof(*m->experts));
        if (!m->experts)
            return cpu_error(err, ORCD_E_NOMEM, "no memory for %u experts", (unsigned)m->hp.n_experts);
    }
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
    return cpu_rope_make(m, p->rope_freqs, p->rope_long, p->rope_short, err);
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
    cpu_free(host, m->rope.inv_freq);
    cpu_free(host, m->rope_long.inv_freq);
    cpu_free(host, m->experts);
    cpu_free(host, m->n_kv_heads);
    cpu_free(host, m->layers);
    cpu_free(host, m);
}
