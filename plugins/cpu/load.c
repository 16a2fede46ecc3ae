/*
 * Model load: a plan of what every role needs is made and checked first (plan.c), so that
 * the memory is known; then all threads read the files and pack panels.
 *
 * Files are read, not mapped: what is read lies in the thread's own cache when it is packed,
 * no page is entered into a table for one use, and a file that was cut short is an error
 * that can be told.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "core/model/quant-types.h"
#include "plugins/cpu/plan.h"

/* Bytes that a thread takes at a time: often enough to notice a stop. */
#define LOAD_PIECE_BYTES (UINT64_C(4) << 20)
/* Bytes that it reads at a time. With what becomes of them, they should fit its cache. */
#define LOAD_READ_BYTES (UINT64_C(64) << 10)
#define PROGRESS_BYTES (UINT64_C(8) << 20)

static uint64_t panel_bytes(const struct plan_entry *e)
{
    return e->tensor.bytes / e->n_rows * CPU_PANEL_ROWS;
}

/* A buffer holds one panel, or one vector, of any entry. */
static int buffers_new(struct plan *p, struct orcd_error *err)
{
    struct orcd_device *d = p->model->device;
    uint64_t bytes = LOAD_READ_BYTES, all;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct plan_entry *e = &p->entries[i];
        const uint64_t least = e->matrix ? panel_bytes(e) : e->tensor.bytes;
        bytes = least > bytes ? least : bytes;
    }
    p->buffer_bytes = (bytes + 63) / 64 * 64;
    if (__builtin_mul_overflow(p->buffer_bytes, pool_size(d->pool), &all) ||
        mapping_new(&p->buffers, p->host, all, false, &d->ours_bytes))
        return plugin_error(err, ORCD_E_NOMEM, "no memory for %u read buffers of %llu bytes",
            (unsigned)pool_size(d->pool), (unsigned long long)p->buffer_bytes);
    return 0;
}

static void plan_release(struct plan *p)
{
    mapping_free(&p->buffers);
    plugin_free(p->host, p->entries);
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

/* Bytes [from, from + bytes) of the tensor. */
static int tensor_read(const struct plan *p, const struct orcd_tensor *t, uint64_t from, uint64_t bytes,
    char *to, struct orcd_error *err)
{
    struct orcd_file f;
    int rc = source_file(&p->source, t->file, &f, err);
    while (rc == 0 && bytes) {
        const ssize_t n = pread(f.fd, to, bytes, (off_t)(t->offset + from));
        if (n > 0) {
            from += (uint64_t)n;
            to += n;
            bytes -= (uint64_t)n;
        } else if (n == 0) {
            rc = plugin_error(err, ORCD_E_IO, "tensor %s: the file was cut short", t->name);
        } else if (errno != EINTR) {
            rc = plugin_error(err, ORCD_E_IO, "tensor %s: %s", t->name, strerror(errno));
        }
    }
    return rc;
}

static int pack_piece(const struct plan *p, const struct plan_entry *e, uint32_t p0, uint32_t p1,
    char *buffer, struct orcd_error *err)
{
    const struct orcd_tensor *t = &e->tensor;
    if (e->vector) {
        const int rc = tensor_read(p, t, 0, t->bytes, buffer, err);
        if (rc == 0)
            quant_type_find(t->type)->dequantize(
                buffer, (float *)((char *)p->model->vectors.p + e->at), e->n_cols);
        return rc;
    }
    const uint64_t each = panel_bytes(e); /* packed as well */
    const uint32_t many = LOAD_READ_BYTES > each ? (uint32_t)(LOAD_READ_BYTES / each) : 1;
    for (uint32_t first = p0; first < p1; first += many) {
        const uint32_t n = p1 - first < many ? p1 - first : many;
        const uint64_t from = first * each, left = t->bytes - from;
        const uint64_t bytes = n * each < left ? n * each : left;
        const int rc = tensor_read(p, t, from, bytes, buffer, err);
        if (rc)
            return rc;
        const uint32_t n_rows = (uint32_t)(bytes / (t->bytes / e->n_rows));
        p->kernels->pack(
            t->type, buffer, n_rows, e->n_cols, 0, n, (char *)p->model->packed.p + e->at + first * each);
    }
    return 0;
}

static void pack_failed(struct plan *p, const struct orcd_error *err)
{
    pthread_mutex_lock(&p->lock);
    if (p->error.code == 0)
        p->error = *err;
    pthread_mutex_unlock(&p->lock);
    atomic_store(&p->stop, true);
}

static void pack_thread(void *arg, uint32_t thread)
{
    struct plan *p = arg;
    const struct orcd_host *host = p->host;
    struct plan_entry *e;
    struct orcd_error err = {.size = sizeof(err)};
    char *buffer = (char *)p->buffers.p + thread * p->buffer_bytes;
    uint32_t p0 = 0, p1 = 0;
    while (!atomic_load_explicit(&p->stop, memory_order_relaxed) && (e = piece_next(p, &p0, &p1))) {
        if (pack_piece(p, e, p0, p1, buffer, &err)) {
            pack_failed(p, &err);
            return;
        }
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
        return plugin_error(err, ORCD_E_STOPPED, "the load was stopped");
    pool_run(m->device->pool, pack_thread, p);
    if (p->error.code)
        return plugin_error(err, p->error.code, "%s", p->error.msg);
    if (atomic_load(&p->stop) || (p->host->progress && p->host->progress(p->file_bytes, p->file_bytes)))
        return plugin_error(err, ORCD_E_STOPPED, "the load was stopped");
    return 0;
}

static int model_build(struct plan *p, struct orcd_model *m, struct orcd_error *err)
{
    const struct orcd_host *host = p->host;
    struct orcd_device *d = m->device;
    m->hp = p->source.hp;
    const uint64_t n_layers = m->hp.n_layers;
    m->layers = plugin_alloc(host, n_layers, sizeof(*m->layers));
    m->n_kv_heads = plugin_alloc(host, n_layers, sizeof(*m->n_kv_heads));
    const uint64_t capacity = plan_capacity(&m->hp);
    p->capacity = capacity > UINT32_MAX ? UINT32_MAX : (uint32_t)capacity;
    p->entries = plugin_alloc(host, p->capacity, sizeof(*p->entries));
    if (m->hp.n_experts) {
        m->experts = plugin_alloc(host, n_layers * m->hp.n_experts, sizeof(*m->experts));
        if (!m->experts)
            return plugin_error(err, ORCD_E_NOMEM, "no memory for %u experts", (unsigned)m->hp.n_experts);
    }
    if (!m->layers || !m->n_kv_heads || !p->entries)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for %u layers", (unsigned)n_layers);
    int rc = plan_make(p, err);
    if (rc == 0)
        rc = buffers_new(p, err);
    if (rc)
        return rc;
    if (mapping_new(&m->packed, host, p->packed_bytes, true, &d->ours_bytes) ||
        mapping_new(&m->vectors, host, p->vector_bytes, false, &d->ours_bytes))
        return plugin_error(err, ORCD_E_NOMEM, "no memory for %llu bytes of weights",
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
    struct plan p = {.host = d->host, .error = {.size = sizeof(p.error)}};
    int rc = source_init(&p.source, source, err);
    if (rc)
        return rc;
    struct orcd_model *m = plugin_alloc(d->host, 1, sizeof(*m));
    if (!m)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for a model");
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
    plugin_free(host, m->rope.inv_freq);
    plugin_free(host, m->rope_long.inv_freq);
    plugin_free(host, m->rope_local.inv_freq);
    plugin_free(host, m->experts);
    plugin_free(host, m->n_kv_heads);
    plugin_free(host, m->layers);
    plugin_free(host, m);
}
