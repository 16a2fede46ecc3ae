/*
 * Models: a plan of what every role needs is made and checked first (plan.c), so that the need is
 * known before anything is allocated; then the weights are taken and filled (load.c).
 */
#include <string.h>

#include "plugins/common/rope-freqs.h"
#include "plugins/cuda/plan.h"

/* Rows of float matrices are padded with zeros. */
static int weights_make(struct plan *p, struct orcd_model *m, struct orcd_error *err)
{
    struct orcd_device *d = m->device;
    void *weights = NULL;
    const int rc = cuda_alloc(d, p->bytes, &weights, "weights", err);
    if (rc)
        return rc;
    m->weights = weights;
    m->weight_bytes = p->bytes;
    struct simt_stream *stream = NULL;
    enum simt_status status = simt_stream_create(&stream, 0);
    if (status == SIMT_OK)
        status = simt_memset_async(weights, 0, p->bytes, stream);
    if (status == SIMT_OK)
        status = simt_stream_sync(stream);
    simt_stream_destroy(stream);
    if (status != SIMT_OK)
        return cuda_failed(d, status, err, "clearing the weights");
    for (uint32_t i = 0; i < p->n; i++) {
        const struct plan_entry *e = &p->entries[i];
        if (e->matrix)
            ck_matrix_place(
                e->matrix, e->matrix->type, e->matrix->n_rows, e->matrix->n_cols, m->weights + e->at);
        else if (e->vector)
            *e->vector = (const float *)(const void *)(m->weights + e->at);
    }
    return 0;
}

static int frequencies(
    struct plan *p, struct orcd_model *m, const float *factors, double **out, struct orcd_error *err)
{
    *out = plugin_alloc(p->host, m->hp.rope_dims / 2, sizeof(double));
    if (!*out)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for rope frequencies");
    return rope_freqs(&m->hp, p->rope_freqs, factors, *out, err);
}

static int rope_make(struct plan *p, struct orcd_model *m, struct orcd_error *err)
{
    m->rope_magnitude = 1;
    if (m->hp.rope == ORCD_ROPE_NONE)
        return 0;
    int rc = rope_magnitude(&m->hp, &m->rope_magnitude, err);
    if (rc == 0)
        rc = frequencies(p, m, p->rope_short, &m->inv_freq, err);
    if (rc == 0 && p->rope_long)
        rc = frequencies(p, m, p->rope_long, &m->inv_freq_long, err);
    if (rc || m->hp.rope_base_local <= 0)
        return rc;
    m->inv_freq_local = plugin_alloc(p->host, m->hp.rope_dims / 2, sizeof(double));
    if (!m->inv_freq_local)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for rope frequencies");
    return rope_freqs_local(&m->hp, m->inv_freq_local, err);
}

static double seconds(const struct plan *p, uint64_t since)
{
    return (double)(p->host->now_ns() - since) / 1e9;
}

static int model_build(struct plan *p, struct orcd_model *m, struct orcd_error *err)
{
    struct orcd_device *d = m->device;
    const uint64_t start = p->host->now_ns();
    m->hp = p->source.hp;
    m->layers = plugin_alloc(p->host, m->hp.n_layers, sizeof(*m->layers));
    if (!m->layers)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for %u layers", (unsigned)m->hp.n_layers);
    int rc = plan_make(p, err);
    if (rc)
        return rc;
    rc = cuda_need(d, p->bytes + load_staging_bytes(d), "weights", err);
    if (rc == 0)
        rc = weights_make(p, m, err);
    const double planned = seconds(p, start);
    if (rc == 0)
        rc = load_run(p, err);
    const double read = seconds(p, start) - planned;
    if (rc == 0)
        rc = rope_make(p, m, err);
    if (rc)
        return rc;
    if (m->output.n_rows == 0)
        m->output = m->token_embd;
    cuda_log(d, ORCD_LOG_INFO,
        "weights: %llu bytes of files, %llu on the device; planned and allocated in %.3f s, read, copied and "
        "repacked in %.3f s (%.2f GB/s), %u threads",
        (unsigned long long)p->file_bytes, (unsigned long long)p->bytes, planned, read,
        (double)p->file_bytes / 1e9 / (read > 0 ? read : 1e-9), (unsigned)d->options.load_threads);
    return cuda_need(d, 0, "nothing", err); /* notes what is free now */
}

int cuda_model_load(struct orcd_device *d, const struct orcd_model_source *source, struct orcd_model **out,
    struct orcd_error *err)
{
    struct plan p = {.host = d->host};
    int rc = cuda_enter(d, err);
    if (rc == 0)
        rc = source_init(&p.source, source, err);
    if (rc)
        return rc;
    struct orcd_model *m = plugin_alloc(d->host, 1, sizeof(*m));
    if (!m)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for a model");
    m->device = d;
    p.model = m;
    rc = model_build(&p, m, err);
    plan_release(&p);
    if (rc) {
        cuda_model_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void cuda_model_free(struct orcd_model *m)
{
    if (!m)
        return;
    const struct orcd_host *host = m->device->host;
    simt_device_use(m->device->info.index);
    cuda_release(m->device, m->weights, m->weight_bytes);
    plugin_free(host, m->inv_freq);
    plugin_free(host, m->inv_freq_long);
    plugin_free(host, m->inv_freq_local);
    plugin_free(host, m->layers);
    plugin_free(host, m);
}

int cuda_residency(struct orcd_model *m, struct orcd_residency *out, struct orcd_error *err)
{
    struct orcd_device *d = m->device;
    struct orcd_residency own = {.expected_bytes = m->weight_bytes};
    struct orcd_error why = {.size = sizeof(why)};
    int rc = cuda_enter(d, &why);
    /* First and last byte: they are one allocation. */
    for (int i = 0; i < 2 && rc == 0; i++) {
        enum simt_where where = SIMT_WHERE_UNKNOWN;
        int device = -1;
        const enum simt_status status =
            simt_pointer_where(i ? m->weights + m->weight_bytes - 1 : m->weights, &where, &device);
        if (status != SIMT_OK)
            rc = cuda_failed(d, status, &why, "asking where the weights are");
        else if (where == SIMT_WHERE_DEVICE && device == d->info.index)
            own.resident_bytes = i ? m->weight_bytes : 0;
        else
            own.host_pointers++;
    }
    if (rc && rc != ORCD_E_DEVICE_LOST)
        return plugin_error(err, rc, "%s", why.msg);
    own.device_lost = rc != 0;
    if (own.host_pointers || own.device_lost)
        own.resident_bytes = 0;
    own.size = out->size < sizeof(own) ? out->size : sizeof(own);
    memcpy(out, &own, own.size);
    return 0;
}
