/* The device, the model and the context of a backend: opens, queries and closes them. */
#include "plugin/backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Calls a slot of the plugin's table. */
#define CALL(b, slot, ...) ((b)->plugin->table.slot(__VA_ARGS__))

int backend_enter(struct backend *b, struct orcd_error *err)
{
    PLUGIN_RULE(!atomic_exchange(&b->owner_busy, true), "OWNER calls overlap");
    if (!atomic_load_explicit(&b->lost, memory_order_relaxed))
        return 0;
    backend_leave(b);
    return error_set(err, ORCD_E_DEVICE_LOST, "the device is lost");
}

void backend_leave(struct backend *b)
{
    (void)b;
    PLUGIN_RULE(atomic_exchange(&b->owner_busy, false), "an OWNER call ended twice");
}

int backend_answer(
    struct backend *b, const char *what, int32_t rc, struct orcd_error *theirs, struct orcd_error *err)
{
    rc = plugin_answer(b->plugin, what, rc, theirs, err);
    if (rc == ORCD_E_DEVICE_LOST)
        atomic_store_explicit(&b->lost, true, memory_order_relaxed);
    return rc;
}

int backend_bad_answer(struct backend *b, const char *what, const char *why, struct orcd_error *err)
{
    return error_set(err, ORCD_E_INTERNAL, "plugin %s: %s %s", b->plugin->table.name, what, why);
}

/* ------------------------------------------------------------------- device */

static int device_open(struct backend *b, uint32_t index, struct orcd_error *err)
{
    struct orcd_error theirs = ORCD_ERROR_INIT;
    uint32_t count = 0;
    int rc = backend_answer(b, "device_count", CALL(b, device_count, &count, &theirs), &theirs, err);
    if (rc)
        return rc;
    if (index >= count)
        return error_set(err, ORCD_E_NOT_FOUND, "plugin %s has no device %u; it has %u devices",
            b->plugin->table.name, index, count);
    b->device_info.size = sizeof(b->device_info);
    rc =
        backend_answer(b, "device_info", CALL(b, device_info, index, &b->device_info, &theirs), &theirs, err);
    if (rc)
        return rc;
    b->device_info.size = sizeof(b->device_info);
    plugin_clean_field(b->device_info.name, sizeof(b->device_info.name));
    plugin_clean_field(b->device_info.driver, sizeof(b->device_info.driver));
    plugin_clean_field(b->device_info.runtime, sizeof(b->device_info.runtime));
    struct orcd_device *device = NULL;
    rc = backend_answer(b, "device_open", CALL(b, device_open, index, &device, &theirs), &theirs, err);
    if (rc)
        return rc;
    if (!device)
        return backend_bad_answer(b, "device_open", "returned no device", err);
    atomic_store_explicit(&b->device, device, memory_order_release);
    return 0;
}

int backend_open_device(struct backend **out, struct plugin *p, uint32_t device_index, struct orcd_error *err)
{
    if (!p->started)
        return error_set(err, ORCD_E_INTERNAL, "plugin %s was not started", p->table.name);
    struct backend *b = calloc(1, sizeof(*b));
    if (!b)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    b->plugin = p;
    int rc = device_open(b, device_index, err);
    if (rc) {
        free(b);
        return rc;
    }
    *out = b;
    return 0;
}

/* -------------------------------------------------------------------- model */

static int model_info(struct backend *b, struct orcd_model *model, struct orcd_error *err)
{
    struct orcd_error theirs = ORCD_ERROR_INIT;
    struct orcd_model_info info = {.size = sizeof(info)};
    int rc = backend_answer(b, "model_info", CALL(b, model_info, model, &info, &theirs), &theirs, err);
    if (rc)
        return rc;
    info.size = sizeof(info);
    if (info.n_vocab == 0 || info.n_vocab > PLUGIN_MAX_VOCAB || info.max_sequences == 0 ||
        info.max_batch_tokens == 0 || info.n_ctx == 0)
        return backend_bad_answer(
            b, "model_info", "returned a limit of 0 or an invalid vocabulary size", err);
    b->model_info = info;
    return 0;
}

int backend_load(struct backend *b, const struct orcd_model_source *source, struct orcd_error *err)
{
    if (atomic_load_explicit(&b->model, memory_order_relaxed))
        return error_set(err, ORCD_E_INTERNAL, "a model has already been loaded");
    if (!source && b->plugin->table.flags & ORCD_PLUGIN_NEEDS_MODEL)
        return error_set(err, ORCD_E_INVALID, "plugin %s needs a model file", b->plugin->table.name);
    int rc = backend_enter(b, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    struct orcd_model *model = NULL;
    rc = CALL(b, model_load, atomic_load_explicit(&b->device, memory_order_relaxed),
        b->plugin->table.flags & ORCD_PLUGIN_NEEDS_MODEL ? source : NULL, &model, &theirs);
    rc = backend_answer(b, "model_load", rc, &theirs, err);
    if (rc == 0 && !model)
        rc = backend_bad_answer(b, "model_load", "returned no model", err);
    if (rc == 0) {
        rc = model_info(b, model, err);
        if (rc)
            CALL(b, model_free, model);
        else
            atomic_store_explicit(&b->model, model, memory_order_release);
    }
    backend_leave(b);
    return rc;
}

/* ------------------------------------------------------------------ context */

static int steps_init(struct backend *b, struct orcd_error *err)
{
    const struct orcd_ctx_params *p = &b->params;
    b->len = calloc(p->n_sequences, sizeof(*b->len));
    b->in_flight = calloc(p->n_sequences, sizeof(*b->in_flight));
    b->fed = calloc(p->n_sequences, sizeof(*b->fed));
    b->checked = calloc(p->n_sequences, sizeof(*b->checked));
    b->open = calloc(p->n_sequences, sizeof(*b->open));
    bool ok = b->len && b->in_flight && b->fed && b->checked && b->open;
    for (size_t i = 0; i < PLUGIN_MAX_INFLIGHT; i++) {
        b->steps[i].rows = calloc(p->max_batch_rows, sizeof(*b->steps[i].rows));
        ok = ok && b->steps[i].rows;
    }
    return ok ? 0 : error_set(err, ORCD_E_NOMEM, "out of memory for %u sequences", p->n_sequences);
}

static void steps_free(struct backend *b)
{
    free(b->len);
    free(b->in_flight);
    free(b->fed);
    free(b->checked);
    free(b->open);
    b->len = b->in_flight = b->fed = NULL;
    b->checked = NULL;
    b->open = NULL;
    for (size_t i = 0; i < PLUGIN_MAX_INFLIGHT; i++) {
        free(b->steps[i].rows);
        b->steps[i].rows = NULL;
    }
}

int backend_new_context(struct backend *b, const struct orcd_ctx_params *params, struct orcd_error *err)
{
    struct orcd_model *model = atomic_load_explicit(&b->model, memory_order_relaxed);
    if (!model || atomic_load_explicit(&b->ctx, memory_order_relaxed))
        return error_set(err, ORCD_E_INTERNAL, "a context needs a model, and a backend has only one context");
    if (params->n_sequences == 0 || params->n_sequences > b->model_info.max_sequences || params->n_ctx == 0 ||
        params->max_batch_tokens == 0 || params->max_batch_tokens > b->model_info.max_batch_tokens ||
        params->max_batch_rows == 0 || params->max_batch_rows > params->n_sequences ||
        params->max_logits == 0)
        return error_set(err, ORCD_E_INVALID,
            "plugin %s does not support a context of %u sequences and %u tokens per step; its limits are %u "
            "and %u",
            b->plugin->table.name, params->n_sequences, params->max_batch_tokens, b->model_info.max_sequences,
            b->model_info.max_batch_tokens);
    int rc = backend_enter(b, err);
    if (rc)
        return rc;
    b->params = *params;
    rc = steps_init(b, err);
    if (rc == 0) {
        struct orcd_error theirs = ORCD_ERROR_INIT;
        struct orcd_ctx *ctx = NULL;
        rc = backend_answer(b, "ctx_new", CALL(b, ctx_new, model, params, &ctx, &theirs), &theirs, err);
        if (rc == 0 && !ctx)
            rc = backend_bad_answer(b, "ctx_new", "returned no context", err);
        if (rc == 0)
            atomic_store_explicit(&b->ctx, ctx, memory_order_release);
    }
    if (rc)
        steps_free(b);
    backend_leave(b);
    return rc;
}

void backend_close(struct backend *b)
{
    if (!b)
        return;
    PLUGIN_RULE(!atomic_load(&b->owner_busy), "backend_close during an OWNER call");
    struct orcd_ctx *ctx = atomic_exchange(&b->ctx, NULL);
    struct orcd_model *model = atomic_exchange(&b->model, NULL);
    struct orcd_device *device = atomic_exchange(&b->device, NULL);
    if (ctx)
        CALL(b, ctx_free, ctx);
    if (model)
        CALL(b, model_free, model);
    if (device)
        CALL(b, device_close, device);
    steps_free(b);
    free(b);
}

const struct orcd_plugin *backend_plugin(const struct backend *b)
{
    return &b->plugin->table;
}

const struct orcd_device_info *backend_device(const struct backend *b)
{
    return &b->device_info;
}

const struct orcd_model_info *backend_model(const struct backend *b)
{
    return &b->model_info;
}

/* ------------------------------------------------------------- ANY and HEALTH */

void backend_abort(struct backend *b, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs)
{
    struct orcd_ctx *ctx = atomic_load_explicit(&b->ctx, memory_order_acquire);
    if (!ctx || atomic_load_explicit(&b->lost, memory_order_relaxed))
        return;
    for (uint32_t i = 0; i < n_seqs; i++)
        if (seqs[i] >= b->params.n_sequences)
            return;
    CALL(b, abort, ctx, ticket, seqs, n_seqs);
}

void backend_stats(struct backend *b, struct orcd_stats *stats)
{
    struct orcd_device *device = atomic_load_explicit(&b->device, memory_order_acquire);
    struct orcd_stats theirs = {.size = sizeof(theirs)};
    if (device && !atomic_load_explicit(&b->lost, memory_order_relaxed))
        CALL(b, stats, device, &theirs);
    theirs.size = sizeof(theirs);
    *stats = theirs;
}

/* Only one thread makes HEALTH calls, one at a time. */
static int health_enter(struct backend *b, struct orcd_error *err)
{
    PLUGIN_RULE(!atomic_exchange(&b->health_busy, true), "HEALTH calls overlap");
#ifdef ORCD_DEBUG
    if (!b->health_known) {
        b->health_thread = pthread_self();
        b->health_known = true;
    }
    PLUGIN_RULE(pthread_equal(b->health_thread, pthread_self()), "HEALTH calls from two threads");
#endif
    if (!atomic_load_explicit(&b->lost, memory_order_relaxed))
        return 0;
    atomic_store(&b->health_busy, false);
    return error_set(err, ORCD_E_DEVICE_LOST, "the device is lost");
}

int backend_memory(struct backend *b, struct orcd_memory *memory, struct orcd_error *err)
{
    struct orcd_device *device = atomic_load_explicit(&b->device, memory_order_acquire);
    int rc = health_enter(b, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    struct orcd_memory m = {.size = sizeof(m)};
    rc = backend_answer(b, "device_memory", CALL(b, device_memory, device, &m, &theirs), &theirs, err);
    if (rc == 0 && (m.free_bytes > m.total_bytes || m.ours_bytes > m.total_bytes))
        rc = backend_bad_answer(b, "device_memory", "returned more memory than the device has", err);
    atomic_store(&b->health_busy, false);
    m.size = sizeof(m);
    if (rc == 0)
        *memory = m;
    return rc;
}

int backend_residency(struct backend *b, struct orcd_residency *residency, struct orcd_error *err)
{
    struct orcd_model *model = atomic_load_explicit(&b->model, memory_order_acquire);
    if (!b->plugin->table.residency)
        return error_set(
            err, ORCD_E_UNSUPPORTED, "residency is not supported by plugin %s", b->plugin->table.name);
    if (!model)
        return error_set(err, ORCD_E_NOT_FOUND, "no model is loaded");
    int rc = health_enter(b, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    struct orcd_residency r = {.size = sizeof(r)};
    rc = backend_answer(b, "residency", CALL(b, residency, model, &r, &theirs), &theirs, err);
    if (rc == 0 && r.device_lost > 1)
        rc = backend_bad_answer(b, "residency", "returned an unknown device_lost", err);
    atomic_store(&b->health_busy, false);
    r.size = sizeof(r);
    if (rc == 0)
        *residency = r;
    return rc;
}
