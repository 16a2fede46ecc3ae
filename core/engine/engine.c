#include "engine/engine-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "engine/admit.h"
#include "engine/device.h"
#include "engine/reap.h"
#include "engine/step.h"
#include "engine/timer.h"
#include "metrics.h"

int engine_new(struct engine **out, const struct engine_params *params, struct orcd_error *err)
{
    struct engine *e = calloc(1, sizeof(*e));
    if (!e)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the engine");
    e->params = *params;
    e->rates.max_rows = params->max_step_rows;
    e->next_ticket = 1;
    if (registry_init(&e->registry, params->n_slots, params->queue_capacity) ||
        predict_init(&e->predict, &e->params, &e->rates, &e->registry, &e->pending_since_ns)) {
        engine_free(e);
        return error_set(err, ORCD_E_NOMEM, "out of memory for the engine");
    }
    *out = e;
    return 0;
}

void engine_on_flush(struct engine *e, void (*fn)(void *arg), void *arg)
{
    e->flush = fn;
    e->flush_arg = arg;
}

bool engine_turn(struct engine *e)
{
    uint64_t n_wakes = registry_wakes(&e->registry);
    engine_reap(e);
    engine_admit(e);
    engine_flush(e); /* the heads of answers are sent before their prompts are submitted */
    if (e->n_steps == 0)
        step_submit(e);
    engine_flush(e);
    if (e->n_steps == 0)
        return false;
    if (e->n_steps < e->max_steps && step_can_follow(e)) {
        uint64_t due_ns = e->steps[e->first_step].n_decode ? pace_due_ns(&e->pace) : 0;
        if (clock_mono_ns() < due_ns) {
            registry_listen(&e->registry, due_ns, n_wakes);
            return true; /* look again */
        }
        step_submit(e);
    }
    step_collect(e);
    return true;
}

bool engine_turned(struct engine *e)
{
    return registry_turned(&e->registry);
}

static void *engine_main(void *arg)
{
    struct engine *e = arg;
    thread_wakes_early();
    while (engine_turn(e) || registry_wait_work(&e->registry, device_probe_due(e)))
        step_probe(e);
    return NULL;
}

int engine_prepare(
    struct engine *e, struct backend *backend, const struct tokenizer *t, struct orcd_error *err)
{
    const struct orcd_model_info *info = backend_model(backend);
    e->backend = backend;
    e->tokenizer = t;
    if (info->max_batch_tokens && e->params.max_batch_tokens > info->max_batch_tokens)
        e->params.max_batch_tokens = info->max_batch_tokens;
    /* A step cannot have more, so neither can a slice of it. */
    e->rates.granule = info->prefill_granule < e->params.max_batch_tokens ? info->prefill_granule
                                                                          : e->params.max_batch_tokens;
    if (e->params.max_batch_tokens < e->params.n_slots)
        return error_set(err, ORCD_E_INVALID,
            "max_batch_tokens is %u; it must be at least the number of slots, %u", e->params.max_batch_tokens,
            e->params.n_slots);
    int rc = slots_new(e, err);
    e->max_steps = backend_plugin(backend)->max_inflight > 1 ? ENGINE_MAX_STEPS : 1;
    for (uint32_t i = 0; i < e->max_steps && !rc; i++)
        if (step_init(&e->steps[i], e->params.n_slots, e->params.max_batch_tokens))
            rc = error_set(
                err, ORCD_E_NOMEM, "out of memory for a step of %u tokens", e->params.max_batch_tokens);
    if (!rc)
        rc = engine_warm_up(e, err);
    return rc;
}

int engine_start(struct engine *e, struct backend *backend, const struct tokenizer *t, struct orcd_error *err)
{
    int rc = engine_prepare(e, backend, t, err);
    if (rc)
        return rc;
    if (pthread_create(&e->thread, NULL, engine_main, e))
        return error_set(err, ORCD_E_NOMEM, "cannot start the engine thread");
    if (pthread_create(&e->timer, NULL, engine_timer_main, e)) {
        registry_stop(&e->registry);
        pthread_join(e->thread, NULL);
        return error_set(err, ORCD_E_NOMEM, "cannot start the engine's timer thread");
    }
    e->started = true;
    atomic_store(&e->ready, true);
    return 0;
}

static enum api_code refuse(struct engine_refusal *r, enum api_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    r->code = code;
    vsnprintf(r->message, sizeof(r->message), fmt, args);
    va_end(args);
    return code;
}

static enum api_code check_deadline(struct engine *e, struct job *j, struct engine_refusal *refusal)
{
    const struct request *r = &j->request;
    if (!r->deadline_ns)
        return API_OK;
    uint64_t now = clock_mono_ns();
    uint64_t left_ns = r->deadline_ns > now ? r->deadline_ns - now : 0;
    if (left_ns == 0 || left_ns < e->params.min_remaining_ms * NS_PER_MS) {
        metric_add_labelled(MC_DEADLINE_REJECTIONS, WHEN_ARRIVAL, 1);
        return refuse(refusal, API_DEADLINE_EXCEEDED,
            "%.0f ms are left until the deadline; at least %u ms are needed", (double)left_ns / NS_PER_MS,
            e->params.min_remaining_ms);
    }
    if (e->params.admission != ADMISSION_PREDICTIVE)
        return API_OK;
    return predict_admit(&e->predict, j, refusal);
}

static enum api_code queue_is_full(struct engine *e, struct engine_refusal *refusal)
{
    refusal->retry_after_s = 1;
    return refuse(refusal, API_QUEUE_FULL, "the queue is full: no more than %u jobs may wait",
        e->params.queue_capacity);
}

enum api_code engine_has_room(struct engine *e, uint32_t n, struct engine_refusal *refusal)
{
    memset(refusal, 0, sizeof(*refusal));
    return !atomic_load(&e->ready) || registry_has_room(&e->registry, n) ? API_OK : queue_is_full(e, refusal);
}

bool engine_withdraw(struct engine *e, struct job *job)
{
    bool withdrawn = registry_withdraw(&e->registry, job);
    if (withdrawn)
        job_unref(job); /* the registry's */
    return withdrawn;
}

static enum api_code enqueue(struct engine *e, struct job *j, struct engine_refusal *refusal)
{
    enum api_code code = registry_list(&e->registry, j);
    switch (code) {
    case API_OK:
        return code;
    case API_SHUTTING_DOWN:
        return refuse(refusal, code, "the worker is shutting down");
    case API_DUPLICATE_JOB:
        return refuse(refusal, code, "a job with this id is already queued or running");
    case API_QUEUE_FULL:
        return queue_is_full(e, refusal);
    case API_RATE_LIMITED:
        refusal->retry_after_s = 1;
        return refuse(
            refusal, code, "the limit of %u waiting jobs of this client is reached", j->request.max_queued);
    case API_INTERNAL:
        return refuse(refusal, code, "out of memory");
    default:
        return refuse(refusal, code, "the device is lost; the worker is shutting down");
    }
}

enum api_code engine_submit(struct engine *e, struct job *job, struct engine_refusal *refusal)
{
    const struct request *r = &job->request;
    memset(refusal, 0, sizeof(*refusal));
    if (!atomic_load(&e->ready)) {
        refusal->retry_after_s = 1;
        return refuse(refusal, API_MODEL_LOADING, "the model is still loading");
    }
    /* The last token is never fed, so it needs no room. */
    if (r->n_tokens == 0 || r->max_tokens == 0)
        return refuse(
            refusal, API_INVALID_REQUEST, "prompt must not be empty, and max_tokens must be at least 1");
    if ((uint64_t)r->n_tokens + r->max_tokens > (uint64_t)e->params.n_ctx + 1)
        return refuse(refusal, API_CONTEXT_LENGTH_EXCEEDED,
            "%u prompt tokens and max_tokens %u exceed the context of %u tokens", r->n_tokens, r->max_tokens,
            e->params.n_ctx);
    enum api_code code = check_deadline(e, job, refusal);
    if (code)
        return code;
    code = enqueue(e, job, refusal);
    if (!code)
        predict_arrived(&e->predict, job);
    return code;
}

bool engine_wait_idle(struct engine *e, uint64_t timeout_ms)
{
    return registry_wait_idle(&e->registry, timeout_ms);
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    engine_drain(e);
    engine_abort_all(e, ABORT_SHUTDOWN);
    if (e->started) {
        registry_stop(&e->registry);
        pthread_join(e->thread, NULL);
        pthread_join(e->timer, NULL);
    }
    slots_free(e);
    for (uint32_t i = 0; i < ENGINE_MAX_STEPS; i++)
        step_release(&e->steps[i]);
    registry_release(&e->registry);
    predict_release(&e->predict);
    free(e);
}

void engine_state(const struct engine *e, struct engine_state *out)
{
    uint64_t pending = atomic_load(&e->pending_since_ns);
    *out = (struct engine_state){
        .ready = atomic_load(&e->ready),
        .draining = atomic_load(&e->is_draining),
        .device_lost = atomic_load(&e->device_lost),
        .failed_in_row = atomic_load(&e->failed_in_row),
        .slots_total = e->params.n_slots,
        .slots_busy = atomic_load(&e->registry.slots_busy),
        .queue_depth = atomic_load(&e->registry.queue_depth),
        .last_step_ns = atomic_load(&e->last_step_ns),
        .work_pending = pending != 0,
        .pending_since_ns = pending,
        .kv_tokens_used = atomic_load(&e->kv_tokens_used),
        .kv_tokens_total = (uint64_t)e->params.n_slots * e->params.n_ctx,
        .n_ctx = e->params.n_ctx,
    };
}
