/*
 * The contents of a plan: several threads read pieces into pinned buffers, copy them to the device
 * and have them taken apart into planes there. Each thread has a stream and two buffers, so that
 * it reads one while the other is under way.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/model/quant-types.h"
#include "plugins/cuda/plan.h"

#define SLOTS 2
#define PROGRESS_BYTES (UINT64_C(16) << 20)

struct slot {
    void *pinned, *staged; /* of buffer_bytes; host and device */
    struct simt_event *free;
};

struct loader;

struct reader {
    struct loader *loader;
    pthread_t thread;
    bool runs;
    struct simt_stream *stream;
    struct slot slots[SLOTS];
    uint64_t turn;
};

struct loader {
    struct plan *plan;
    struct orcd_device *device;
    struct orcd_file *files;
    struct reader *readers;
    uint32_t n_readers;
    uint64_t buffer_bytes;
    pthread_mutex_t lock; /* guards entry, block and error */
    uint32_t entry;
    uint64_t block;
    struct orcd_error error; /* the first */
    atomic_bool stop;
    _Atomic uint64_t done_bytes;
    uint64_t reported_bytes; /* the caller's thread alone */
};

struct piece {
    const struct plan_entry *e;
    uint64_t first, n; /* blocks of the file */
    uint32_t block_bytes;
};

static void fail(struct loader *l, const struct orcd_error *err)
{
    pthread_mutex_lock(&l->lock);
    if (l->error.code == 0)
        l->error = *err;
    pthread_mutex_unlock(&l->lock);
    atomic_store(&l->stop, true);
}

static bool next_piece(struct loader *l, struct piece *out)
{
    const struct plan *p = l->plan;
    pthread_mutex_lock(&l->lock);
    const struct plan_entry *e = l->entry < p->n ? &p->entries[l->entry] : NULL;
    if (e) {
        const uint32_t each = quant_type_find(e->tensor.type)->block_bytes;
        /* Floats of ours are made in the lower half of the buffer and read into the upper. */
        const uint64_t take = l->buffer_bytes / (e->matrix ? each : 2 * sizeof(double));
        const uint64_t left = e->tensor.bytes / each - l->block;
        *out = (struct piece){.e = e, .first = l->block, .n = take < left ? take : left, .block_bytes = each};
        l->block += out->n;
        if (out->n == left) {
            l->entry++;
            l->block = 0;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return e != NULL;
}

/* Bytes of a piece from its file to `to`. */
static int read_piece(struct loader *l, const struct piece *p, void *to, struct orcd_error *err)
{
    const struct orcd_tensor *t = &p->e->tensor;
    const struct orcd_file *f = &l->files[t->file];
    const uint64_t offset = t->offset + p->first * p->block_bytes;
    uint64_t bytes = p->n * p->block_bytes, done = 0;
    if (f->mapping && (l->device->options.load_mapped || f->fd < 0)) {
        memcpy(to, (const char *)f->mapping + offset, bytes);
        return 0;
    }
    while (done < bytes) {
        const ssize_t n = pread(f->fd, (char *)to + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return plugin_error(err, ORCD_E_IO, "reading tensor %s: %s", t->name,
                n < 0 ? strerror(errno) : "its file is cut short");
        done += (uint64_t)n;
    }
    return 0;
}

static int take_matrix(struct reader *r, struct slot *s, const struct piece *p, struct orcd_error *err)
{
    struct loader *l = r->loader;
    const int rc = read_piece(l, p, s->pinned, err);
    if (rc)
        return rc;
    enum simt_status status =
        simt_copy_async(s->staged, s->pinned, p->n * p->block_bytes, SIMT_TO_DEVICE, r->stream);
    if (status == SIMT_OK)
        status = ck_repack(r->stream, p->e->matrix, s->staged, p->first, p->n);
    return status == SIMT_OK ? 0 : cuda_failed(l->device, status, err, "loading weights");
}

static int take_floats(struct reader *r, struct slot *s, const struct piece *p, struct orcd_error *err)
{
    struct loader *l = r->loader;
    float *made = p->e->host ? p->e->host + p->first : s->pinned;
    char *raw = (char *)s->pinned + l->buffer_bytes / 2;
    const int rc = read_piece(l, p, raw, err);
    if (rc)
        return rc;
    quant_type_find(p->e->tensor.type)->dequantize(raw, made, p->n);
    if (p->e->host)
        return 0;
    void *to = l->plan->model->weights + p->e->at + p->first * sizeof(float);
    const enum simt_status status =
        simt_copy_async(to, made, p->n * sizeof(float), SIMT_TO_DEVICE, r->stream);
    return status == SIMT_OK ? 0 : cuda_failed(l->device, status, err, "loading vectors");
}

static int take_piece(struct reader *r, const struct piece *p, struct orcd_error *err)
{
    struct loader *l = r->loader;
    struct slot *s = &r->slots[r->turn++ % SLOTS];
    enum simt_status status = simt_event_sync(s->free);
    if (status != SIMT_OK)
        return cuda_failed(l->device, status, err, "waiting for a copy");
    const int rc = p->e->matrix ? take_matrix(r, s, p, err) : take_floats(r, s, p, err);
    if (rc)
        return rc;
    status = simt_event_record(s->free, r->stream);
    return status == SIMT_OK ? 0 : cuda_failed(l->device, status, err, "noting a copy");
}

static void report(struct loader *l, uint64_t done)
{
    const struct orcd_host *host = l->plan->host;
    if (done - l->reported_bytes < PROGRESS_BYTES)
        return;
    l->reported_bytes = done;
    if (host->progress && host->progress(done, l->plan->file_bytes))
        fail(l, &(struct orcd_error){
                    .size = sizeof(l->error), .code = ORCD_E_STOPPED, .msg = "the load was stopped"});
}

static void read_all(struct reader *r, bool reports)
{
    struct loader *l = r->loader;
    struct orcd_error err = {.size = sizeof(err)};
    struct piece p;
    int rc = cuda_enter(l->device, &err);
    while (rc == 0 && !atomic_load_explicit(&l->stop, memory_order_relaxed) && next_piece(l, &p)) {
        rc = take_piece(r, &p, &err);
        const uint64_t bytes = p.n * p.block_bytes;
        const uint64_t done = atomic_fetch_add(&l->done_bytes, bytes) + bytes;
        if (rc == 0 && reports)
            report(l, done);
    }
    /* Also after a failure: nobody may free what is still being copied. */
    const enum simt_status status = simt_stream_sync(r->stream);
    if (rc == 0 && status != SIMT_OK)
        rc = cuda_failed(l->device, status, &err, "waiting for the weights");
    if (rc)
        fail(l, &err);
}

static void *reader_main(void *arg)
{
    read_all(arg, false);
    return NULL;
}

/* ----------------------------------------------------------------- readers */

static int reader_make(struct loader *l, struct reader *r, struct orcd_error *err)
{
    r->loader = l;
    enum simt_status status = simt_stream_create(&r->stream, 0);
    for (int i = 0; i < SLOTS && status == SIMT_OK; i++) {
        struct slot *s = &r->slots[i];
        status = simt_host_alloc(&s->pinned, l->buffer_bytes);
        if (status == SIMT_OK)
            status = simt_event_create(&s->free, 0);
        if (status != SIMT_OK)
            break;
        const int rc = cuda_alloc(l->device, l->buffer_bytes, &s->staged, "a staging buffer", err);
        if (rc)
            return rc;
    }
    return status == SIMT_OK ? 0 : cuda_failed(l->device, status, err, "making a reading buffer");
}

static void reader_free(struct loader *l, struct reader *r)
{
    simt_stream_destroy(r->stream);
    for (int i = 0; i < SLOTS; i++) {
        simt_event_destroy(r->slots[i].free);
        cuda_release(l->device, r->slots[i].staged, l->buffer_bytes);
        simt_host_free(r->slots[i].pinned);
    }
}

static int readers_make(struct loader *l, struct orcd_error *err)
{
    l->readers = plugin_alloc(l->plan->host, l->n_readers, sizeof(*l->readers));
    if (!l->readers)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for %u readers", (unsigned)l->n_readers);
    int rc = 0;
    for (uint32_t i = 0; i < l->n_readers && rc == 0; i++)
        rc = reader_make(l, &l->readers[i], err);
    return rc;
}

/* The caller is a reader too. A thread that cannot be had is done without. */
static void readers_run(struct loader *l)
{
    for (uint32_t i = 1; i < l->n_readers; i++) {
        struct reader *r = &l->readers[i];
        r->runs = pthread_create(&r->thread, NULL, reader_main, r) == 0;
    }
    read_all(&l->readers[0], true);
    for (uint32_t i = 1; i < l->n_readers; i++)
        if (l->readers[i].runs)
            pthread_join(l->readers[i].thread, NULL);
}

static int files_take(struct loader *l, struct orcd_error *err)
{
    const struct source *s = &l->plan->source;
    l->files = plugin_alloc(l->plan->host, s->s.n_files, sizeof(*l->files));
    if (!l->files)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for %u files", (unsigned)s->s.n_files);
    int rc = 0;
    for (uint32_t i = 0; i < s->s.n_files && rc == 0; i++)
        rc = source_file(s, i, &l->files[i], err);
    return rc;
}

static void loader_release(struct loader *l)
{
    for (uint32_t i = 0; l->readers && i < l->n_readers; i++)
        reader_free(l, &l->readers[i]);
    plugin_free(l->plan->host, l->readers);
    plugin_free(l->plan->host, l->files);
    pthread_mutex_destroy(&l->lock);
}

static int loader_run(struct loader *l, struct orcd_error *err)
{
    const struct orcd_host *host = l->plan->host;
    if (host->progress && host->progress(0, l->plan->file_bytes))
        return plugin_error(err, ORCD_E_STOPPED, "the load was stopped");
    int rc = files_take(l, err);
    if (rc == 0)
        rc = readers_make(l, err);
    if (rc)
        return rc;
    readers_run(l);
    if (l->error.code)
        return plugin_error(err, l->error.code, "%s", l->error.msg);
    if (host->progress && host->progress(l->plan->file_bytes, l->plan->file_bytes))
        return plugin_error(err, ORCD_E_STOPPED, "the load was stopped");
    return 0;
}

uint64_t load_staging_bytes(const struct orcd_device *d)
{
    return SLOTS * (uint64_t)d->options.load_threads * ((uint64_t)d->options.load_buffer_mb << 20);
}

int load_run(struct plan *p, struct orcd_error *err)
{
    struct orcd_device *d = p->model->device;
    struct loader l = {.plan = p,
        .device = d,
        .n_readers = d->options.load_threads,
        .buffer_bytes = (uint64_t)d->options.load_buffer_mb << 20,
        .error = {.size = sizeof(l.error)}};
    pthread_mutex_init(&l.lock, NULL);
    const int rc = loader_run(&l, err);
    loader_release(&l);
    return rc;
}
