#include "health.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "config.h"
#include "json/out.h"
#include "metrics.h"

enum health_phase { PHASE_LOADING, PHASE_READY };

enum fact {
    FACT_MODEL,
    FACT_MODEL_REF,
    FACT_PLUGIN,
    FACT_PLUGIN_VERSION,
    FACT_DEVICE,
    FACT_QUANT_KIND,
    FACT_TOKENIZER_KIND,
    FACT_MEMORY_ARCHITECTURE,
    FACT_SM,
    FACT_RUNTIME_VERSION,
    FACT_COUNT
};

struct facts {
    char *text[FACT_COUNT]; /* NULL: unknown */
    uint32_t vocab_size, context_length;
};

/*
 * The thread writes, any thread reads: separate atomics, each valid by itself. `lock` guards
 * the thread's wake-up and the backend pointer, not the cache; it is not held during device
 * calls.
 */
struct health {
    struct health_params params;
    struct engine *engine;
    atomic_int phase;
    atomic_bool draining;
    _Atomic double progress;
    _Atomic(struct facts *) facts; /* set once */

    atomic_uint_fast64_t checked_ns; /* monotonic; 0: never */
    atomic_uint_fast64_t asked_ns; /* when the query of the device that has not returned yet began; 0: none */
    atomic_uint_fast64_t used_bytes, total_bytes;
    atomic_bool has_memory, lost_residency, device_lost;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, ended;
    bool stop, has_ended;
    struct backend *backend;
    uint64_t residency_due_ns;
    const char *reason;           /* as logged last, NULL: not unhealthy; only health_watch() */
    uint64_t busy_ns, busy_at_ns; /* the plugin's device-busy time, and when it was read; 0: not yet */
};

/* The share of the time since the last refresh in which the device was busy, as the plugin
 * reports it. */
static void publish_utilization(struct health *h, struct backend *b)
{
    struct orcd_stats stats = {.size = sizeof(stats)};
    backend_stats(b, &stats);
    uint64_t now = clock_mono_ns();
    if (h->busy_at_ns && now > h->busy_at_ns && stats.device_busy_ns >= h->busy_ns) {
        double share = (double)(stats.device_busy_ns - h->busy_ns) / (double)(now - h->busy_at_ns);
        metric_set(MG_DEVICE_UTILIZATION, share < 1 ? share : 1);
        metric_set(MG_STREAM_UTILIZATION, share < 1 ? share : 1);
    }
    h->busy_ns = stats.device_busy_ns;
    h->busy_at_ns = now;
}

static void publish_memory(struct health *h, struct backend *b)
{
    struct orcd_memory memory = {.size = sizeof(memory)};
    struct orcd_error err = ORCD_ERROR_INIT;
    int rc = backend_memory(b, &memory, &err);
    if (rc) {
        if (rc == ORCD_E_DEVICE_LOST)
            atomic_store(&h->device_lost, true);
        log_debug("health: memory query failed: %s", err.msg);
        return;
    }
    atomic_store(&h->used_bytes, memory.ours_bytes);
    atomic_store(&h->total_bytes, memory.total_bytes);
    atomic_store(&h->has_memory, true);
    const struct orcd_model_info *info = backend_model(b);
    struct engine_state state;
    engine_state(h->engine, &state);
    double weights = info ? (double)info->weight_bytes : 0, kv = 0;
    if (info)
        kv = (double)info->kv_bytes_per_token * (double)state.kv_tokens_total;
    double other = (double)memory.ours_bytes - weights - kv;
    metric_set(MG_VRAM_WEIGHTS, weights);
    metric_set(MG_VRAM_KV, kv);
    metric_set(MG_VRAM_OTHER, other > 0 ? other : 0);
    metric_set(MG_VRAM_TOTAL, (double)memory.total_bytes);
}

static void check_residency(struct health *h, struct backend *b)
{
    struct orcd_residency r = {.size = sizeof(r)};
    int rc = backend_residency(b, &r, NULL);
    if (rc == ORCD_E_DEVICE_LOST || (!rc && r.device_lost))
        atomic_store(&h->device_lost, true);
    if (rc)
        return; /* the plugin has no such query, or cannot answer it now */
    bool lost = r.resident_bytes < r.expected_bytes || r.host_pointers;
    if (lost && !atomic_load(&h->lost_residency))
        log_error("weights are no longer resident: %llu of %llu bytes, %llu host pointers",
            (unsigned long long)r.resident_bytes, (unsigned long long)r.expected_bytes,
            (unsigned long long)r.host_pointers);
    atomic_store(&h->lost_residency, lost);
}

static void *health_main(void *arg)
{
    struct health *h = arg;
    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        struct backend *b = h->backend;
        pthread_mutex_unlock(&h->lock);
        uint64_t now = clock_mono_ns();
        if (b) {
            atomic_store(&h->asked_ns, now);
            publish_utilization(h, b); /* first, since the next call may wait for the device */
            publish_memory(h, b);
            if (now >= h->residency_due_ns) {
                check_residency(h, b);
                h->residency_due_ns = now + h->params.residency_ms * NS_PER_MS;
            }
        }
        atomic_store(&h->asked_ns, 0);
        atomic_store(&h->checked_ns, clock_mono_ns());
        struct timespec until = clock_timespec(now + h->params.refresh_ms * NS_PER_MS);
        pthread_mutex_lock(&h->lock);
        if (!h->stop && h->backend == b)
            pthread_cond_timedwait(&h->wake, &h->lock, &until);
    }
    h->has_ended = true;
    pthread_cond_broadcast(&h->ended);
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

int health_start(
    struct health **out, const struct health_params *params, struct engine *engine, struct orcd_error *err)
{
    struct health *h = calloc(1, sizeof(*h));
    if (!h)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the health cache");
    h->params = *params;
    h->engine = engine;
    pthread_mutex_init(&h->lock, NULL);
    clock_cond_init(&h->wake);
    clock_cond_init(&h->ended);
    if (pthread_create(&h->thread, NULL, health_main, h)) {
        h->has_ended = true;
        health_free(h);
        return error_set(err, ORCD_E_NOMEM, "cannot start the health thread");
    }
    *out = h;
    return 0;
}

void health_set_progress(struct health *h, double fraction)
{
    atomic_store(&h->progress, fraction < 0 ? 0 : fraction > 1 ? 1 : fraction);
}

static void facts_free(struct facts *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < ARRAY_LEN(f->text); i++)
        free(f->text[i]);
    free(f);
}

void health_set_ready(struct health *h, const struct health_facts *facts, struct backend *backend)
{
    const char *const text[FACT_COUNT] = {facts->model, facts->model_ref, facts->plugin,
        facts->plugin_version, facts->device, facts->quant_kind, facts->tokenizer_kind,
        facts->memory_architecture, facts->sm, facts->runtime_version};
    struct facts *f = calloc(1, sizeof(*f));
    if (f) {
        for (size_t i = 0; i < FACT_COUNT; i++)
            f->text[i] = text[i] && *text[i] ? strdup(text[i]) : NULL;
        f->vocab_size = facts->vocab_size;
        f->context_length = facts->context_length;
    }
    struct facts *none = NULL;
    if (!atomic_compare_exchange_strong(&h->facts, &none, f))
        facts_free(f);
    atomic_store(&h->progress, 1);
    atomic_store(&h->phase, PHASE_READY);
    pthread_mutex_lock(&h->lock);
    h->backend = backend;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

void health_set_draining(struct health *h)
{
    atomic_store(&h->draining, true);
}

bool health_stop(struct health *h, uint64_t timeout_ms)
{
    struct timespec until = clock_timespec(clock_mono_ns() + timeout_ms * NS_PER_MS);
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_signal(&h->wake);
    int rc = 0;
    while (!h->has_ended && !rc)
        rc = pthread_cond_timedwait(&h->ended, &h->lock, &until);
    bool ended = h->has_ended;
    pthread_mutex_unlock(&h->lock);
    if (ended && h->thread) {
        pthread_join(h->thread, NULL);
        h->thread = 0;
    }
    return ended;
}

void health_free(struct health *h)
{
    if (!h)
        return;
    if (h->thread && !health_stop(h, 1000))
        return; /* the thread hangs in a device call: its memory must outlive it */
    facts_free(atomic_load(&h->facts));
    pthread_cond_destroy(&h->wake);
    pthread_cond_destroy(&h->ended);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

double health_age_s(const struct health *h)
{
    uint64_t checked = atomic_load(&h->checked_ns), now = clock_mono_ns();
    return checked && now > checked ? (double)(now - checked) / (double)NS_PER_S : 0;
}

uint64_t health_memory_used(const struct health *h)
{
    return atomic_load(&h->used_bytes);
}

/* A step is in flight or due, and no step has ended for stall_ms: the device hangs although
 * the process is alive. */
static bool is_stalled(const struct health *h, const struct engine_state *e, uint64_t now)
{
    if (!e->work_pending || !h->params.stall_ms)
        return false;
    uint64_t since = max_u64(e->last_step_ns, e->pending_since_ns);
    return since && now > since && now - since > h->params.stall_ms * NS_PER_MS;
}

/* A query of the device's memory or weights hangs. */
static bool is_silent(const struct health *h, uint64_t now)
{
    uint64_t asked = atomic_load(&h->asked_ns);
    return asked && h->params.stall_ms && now > asked && now - asked > h->params.stall_ms * NS_PER_MS;
}

static const char *status_of(
    const struct health *h, const struct engine_state *e, uint64_t now, const char **why)
{
    int phase = atomic_load(&h->phase);
    *why = NULL;
    if (e->device_lost || atomic_load(&h->device_lost))
        *why = "the device is lost";
    else if (phase == PHASE_READY && atomic_load(&h->lost_residency))
        *why = "weights are no longer resident";
    else if (phase == PHASE_READY && is_stalled(h, e, now))
        *why = "the device does not answer";
    else if (phase == PHASE_READY && is_silent(h, now))
        *why = "a query of the device does not return";
    else if (h->params.max_failures && e->failed_in_row >= h->params.max_failures)
        *why = "the device fails every job";
    if (*why)
        return "unhealthy";
    if (e->draining || atomic_load(&h->draining))
        return "draining";
    return phase == PHASE_READY ? "healthy" : "loading";
}

void health_watch(struct health *h)
{
    struct engine_state e = {0};
    const char *why, *before = h->reason;
    engine_state(h->engine, &e);
    const char *status = status_of(h, &e, clock_mono_ns(), &why);
    h->reason = why;
    if (why && why != before)
        log_event(ORCD_LOG_WARN, "unhealthy", LOG_T("reason", why), (struct log_field *)NULL);
    else if (before && !why)
        log_event(ORCD_LOG_INFO, "no longer unhealthy", LOG_T("status", status), LOG_T("reason_was", before),
            (struct log_field *)NULL);
}

static void ms_ago(struct json_out *o, const char *key, uint64_t then, uint64_t now)
{
    if (then)
        json_out_u64(o, key, now > then ? (now - then) / NS_PER_MS : 0);
    else
        json_out_null(o, key);
}

static void count_or_null(struct json_out *o, const char *key, uint64_t v)
{
    if (v)
        json_out_u64(o, key, v);
    else
        json_out_null(o, key);
}

int health_render(const struct health *h, enum health_probe probe, char *buf, size_t size, size_t *n)
{
    static const struct facts unknown;
    const struct facts *f = atomic_load(&h->facts);
    struct engine_state e;
    memset(&e, 0, sizeof(e));
    engine_state(h->engine, &e);
    uint64_t now = clock_mono_ns();
    const char *why, *status = status_of(h, &e, now, &why);
    bool ready = strcmp(status, "healthy") == 0, known = f != NULL;
    bool has_memory = atomic_load(&h->has_memory);
    f = f ? f : &unknown;
    struct json_out o;
    json_out_fixed(&o, buf, size);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "status", status);
    if (why)
        json_out_text(&o, "reason", why);
    json_out_text(&o, "model", f->text[FACT_MODEL]);
    json_out_text(&o, "model_ref", f->text[FACT_MODEL_REF]);
    json_out_text(&o, "plugin", f->text[FACT_PLUGIN]);
    json_out_text(&o, "plugin_version", f->text[FACT_PLUGIN_VERSION]);
    json_out_text(&o, "device", f->text[FACT_DEVICE]);
    json_out_bool(&o, "resident", known && !atomic_load(&h->lost_residency));
    json_out_text(&o, "quant_kind", f->text[FACT_QUANT_KIND]);
    if (has_memory) {
        json_out_u64(&o, "memory_bytes_used", atomic_load(&h->used_bytes));
        json_out_u64(&o, "memory_bytes_total", atomic_load(&h->total_bytes));
        json_out_u64(&o, "vram_bytes_used", atomic_load(&h->used_bytes));
        json_out_u64(&o, "vram_bytes_total", atomic_load(&h->total_bytes));
    } else {
        json_out_null(&o, "memory_bytes_used");
        json_out_null(&o, "memory_bytes_total");
        json_out_null(&o, "vram_bytes_used");
        json_out_null(&o, "vram_bytes_total");
    }
    json_out_text(&o, "tokenizer_kind", f->text[FACT_TOKENIZER_KIND]);
    count_or_null(&o, "vocab_size", f->vocab_size);
    count_or_null(&o, "context_length", f->context_length);
    json_out_open(&o, "slots", '{');
    json_out_u64(&o, "total", e.slots_total);
    json_out_u64(&o, "busy", e.slots_busy);
    json_out_close(&o, '}');
    json_out_u64(&o, "queue_depth", e.queue_depth);
    json_out_open(&o, "capabilities", '[');
    json_out_text(&o, NULL, "text-gen");
    json_out_close(&o, ']');
    json_out_text(&o, "protocol", "sse");
    json_out_text(&o, "memory_architecture", f->text[FACT_MEMORY_ARCHITECTURE]);
    json_out_u64(&o, "uptime_seconds", clock_process_ns() / NS_PER_S);
    ms_ago(&o, "checked_ms_ago", atomic_load(&h->checked_ns), now);
    ms_ago(&o, "last_step_ms_ago", e.last_step_ns, now);
    json_out_f64(&o, "load_progress", atomic_load(&h->progress), 3);
    json_out_text(&o, "sm", f->text[FACT_SM]);
    json_out_text(&o, "cuda_runtime_version", f->text[FACT_RUNTIME_VERSION]);
    json_out_text(&o, "version", PACKAGE_VERSION);
    json_out_close(&o, '}');
    json_out_raw(&o, "\n", 1);
    if (!json_out_take(&o, n)) {
        *n = 0;
        return 500;
    }
    return probe == HEALTH_LIVE || ready ? 200 : 503;
}
