/* From the queue into a slot, and out of it again. Engine thread only. */
#include "engine/engine-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "metrics.h"

/* Leading tokens that the slot's KV and the prompt share; the prompt's last token is
 * always computed, for its logits. */
static uint32_t shared_prefix(const struct slot *s, const struct request *r)
{
    uint32_t max = s->n_history < r->n_tokens - 1 ? s->n_history : r->n_tokens - 1;
    uint32_t n = 0;
    while (n < max && s->history[n] == r->tokens[n])
        n++;
    return n;
}

static bool is_idle(const struct slot *s)
{
    return !s->job;
}

/* The idle slot with the longest shared prefix; among equals an empty one, then the
 * one used least recently. NULL: none is idle. */
static struct slot *slot_choose(struct engine *e, const struct request *r, uint32_t *shared)
{
    struct slot *best = NULL;
    uint32_t best_shared = 0;
    for (uint32_t i = 0; i < e->params.n_slots; i++) {
        struct slot *s = &e->slots[i];
        if (!is_idle(s))
            continue;
        uint32_t n = shared_prefix(s, r);
        bool better =
            !best || n > best_shared ||
            (n == best_shared && best->n_history && (!s->n_history || s->last_used_ns < best->last_used_ns));
        if (better) {
            best = s;
            best_shared = n;
        }
    }
    *shared = best_shared;
    return best;
}

/* Calls outside a step can hang as well; health sees it by `pending_since_ns`. With a
 * step in flight it is set already. */
static bool calling(struct engine *e)
{
    uint64_t none = 0;
    return atomic_compare_exchange_strong(&e->pending_since_ns, &none, clock_mono_ns());
}

static void called(struct engine *e, bool began)
{
    if (began)
        atomic_store(&e->pending_since_ns, 0);
}

static void slot_close(struct engine *e, struct slot *s)
{
    if (s->open && backend_seq_close(e->backend, s->id, NULL))
        log_debug("closing sequence %u failed", s->id);
    s->open = false;
    s->n_history = 0;
    predict_slot_holds(e, s);
}

static bool slot_evict_except(struct engine *e, const struct slot *keep)
{
    struct slot *oldest = NULL;
    for (uint32_t i = 0; i < e->params.n_slots; i++) {
        struct slot *s = &e->slots[i];
        if (s != keep && is_idle(s) && s->open && (!oldest || s->last_used_ns < oldest->last_used_ns))
            oldest = s;
    }
    if (!oldest)
        return false;
    slot_close(e, oldest);
    return true;
}

/* Opens or rewinds the slot's sequence to the shared prefix and reserves all the KV
 * that the job can need; idle prefixes make room, the oldest first. */
static int slot_prepare(
    struct engine *e, struct slot *s, const struct request *r, uint32_t shared, struct orcd_error *err)
{
    uint32_t need = r->n_tokens + r->max_tokens - 1; /* the last token is never fed */
    int rc = 0;
    if (s->open && shared < s->n_history) {
        uint32_t kept;
        rc = backend_seq_trim(e->backend, s->id, shared, &kept, err);
        if (rc)
            return rc;
        s->n_history = kept;
    }
    do {
        rc = s->open ? backend_seq_reserve(e->backend, s->id, need, err)
                     : backend_seq_open(e->backend, s->id, need, err);
    } while (rc == ORCD_E_OUT_OF_KV && slot_evict_except(e, s));
    if (!rc && !s->open) {
        s->open = true;
        s->n_history = 0;
    }
    return rc;
}

/* Takes the job off the queue; false: it ended meanwhile. */
static bool take(struct engine *e, struct job *j)
{
    pthread_mutex_lock(&e->lock);
    bool queued = j->queued;
    if (queued) {
        queue_remove(&e->queue, j);
        atomic_store(&e->queue_depth, e->queue.n);
        atomic_fetch_add(&e->slots_busy, 1);
    }
    pthread_mutex_unlock(&e->lock);
    return queued;
}

/* What the job asks of a sampler, for a plugin that has one. */
static void device_sampler(const struct request *r, struct orcd_sampler *out, int32_t *ids, float *values)
{
    const struct sample_params *p = &r->sampling;
    bool counts = p->frequency_penalty != 0 || p->presence_penalty != 0;
    bool repetition = p->repetition_penalty != 1 && p->repeat_last_n;
    *out = (struct orcd_sampler){
        .size = sizeof(*out),
        .required_features = (p->top_k ? ORCD_S_TOP_K : 0) | (p->top_p < 1 ? ORCD_S_TOP_P : 0) |
                             (p->min_p > 0 ? ORCD_S_MIN_P : 0) | (p->typical_p < 1 ? ORCD_S_TYPICAL : 0) |
                             (repetition ? ORCD_S_REPETITION : 0) | (counts ? ORCD_S_COUNTS : 0) |
                             (p->n_bias ? ORCD_S_BIAS : 0),
        .seed = p->seed,
        .temperature = p->temperature,
        .top_p = p->top_p,
        .min_p = p->min_p,
        .typical_p = p->typical_p,
        .top_k = p->top_k,
        .repeat_last_n = p->repeat_last_n,
        .repetition_penalty = p->repetition_penalty,
        .frequency_penalty = p->frequency_penalty,
        .presence_penalty = p->presence_penalty,
        .n_bias = p->n_bias,
        .bias_ids = ids,
        .bias_values = values,
        .history = r->tokens,
        .n_history = r->n_tokens,
    };
    for (uint32_t i = 0; i < p->n_bias; i++) {
        ids[i] = p->bias[i].id;
        values[i] = p->bias[i].value;
    }
}

/* Whether the plugin samples for this job; it says which rules it has. Probabilities
 * come of the logits, so who wants those gets them sampled here. */
static bool samples_on_device(struct engine *e, const struct slot *s, const struct request *r)
{
    int32_t ids[SAMPLE_MAX_BIAS];
    float values[SAMPLE_MAX_BIAS];
    struct orcd_sampler sampler;
    if (r->sampling.want_logprob || r->sampling.n_logprobs || !backend_plugin(e->backend)->seq_sampler)
        return false;
    device_sampler(r, &sampler, ids, values);
    return backend_seq_sampler(e->backend, s->id, &sampler, NULL) == 0;
}

static void slot_begin(struct engine *e, struct slot *s, struct job *j)
{
    const struct request *r = &j->request;
    uint64_t now = clock_mono_ns();
    struct orcd_error err = ORCD_ERROR_INIT;
    s->job = job_ref(j);
    s->next_token = -1;
    s->chained = false;
    s->n_fed = s->n_history;
    s->n_sampled = s->n_text = s->n_top = s->n_held = s->unchecked = s->n_dropped = 0;
    s->checked_ns = now;
    s->seen_ns = 0;
    outtext_begin(&s->text, e->tokenizer, r);
    metric_add(MC_PROMPT_TOKENS, r->n_tokens);
    metric_add(MC_PREFIX_QUERIES, r->n_tokens);
    metric_add(MC_PREFIX_HITS, s->n_history);
    j->started = (struct job_started){
        .started_real_ns = clock_real_ns(),
        .queue_ms = (double)(now - r->arrived_ns) / NS_PER_MS,
        .cached_tokens = s->n_history,
    };
    atomic_store(&j->slot, s->id);
    predict_slot(e, s);
    predict_slot_holds(e, s);
    int queued = JOB_QUEUED; /* it may be JOB_DONE by now */
    atomic_compare_exchange_strong(&j->phase, &queued, JOB_PREFILL);
    atomic_store(&j->admitted_ns, now);
    atomic_store_explicit(&j->has_started, true, memory_order_release);
    bool began = calling(e);
    s->on_device = samples_on_device(e, s, r);
    called(e, began);
    if (!s->on_device && sampler_begin(s->sampler, &r->sampling, r->tokens, r->n_tokens, &err))
        engine_finish(e, j, API_INTERNAL, FINISH_NONE, "%s", err.msg);
    else if (j->ready)
        j->ready(j, false);
}

static void admission_failed(
    struct engine *e, struct slot *s, struct job *j, int rc, const struct orcd_error *err)
{
    if (rc == ORCD_E_OUT_OF_KV || rc == ORCD_E_DEVICE_MEMORY) {
        engine_finish(e, j, API_VRAM_OOM, FINISH_NONE, "no room for %u tokens: %.100s",
            j->request.n_tokens + j->request.max_tokens, err->msg);
        return;
    }
    engine_finish(e, j, API_BACKEND_ERROR, FINISH_NONE, "%.140s", err->msg);
    slot_close(e, s);
}

/* A job that is late, or is sure to be, is not worth a slot. */
static bool drop_late(struct engine *e, struct job *j, uint32_t shared)
{
    uint64_t deadline = j->request.deadline_ns;
    if (!deadline)
        return false;
    if (clock_mono_ns() >= deadline) {
        engine_job_abort(e, j, ABORT_DEADLINE);
        return true;
    }
    if (!predict_is_doomed(e, j, shared))
        return false;
    engine_finish(e, j, API_DEADLINE_EXCEEDED, FINISH_NONE, "the deadline cannot be met any more");
    return true;
}

void engine_admit(struct engine *e)
{
    for (;;) {
        pthread_mutex_lock(&e->lock);
        struct job *j = queue_peek(&e->queue);
        if (j)
            job_ref(j);
        pthread_mutex_unlock(&e->lock);
        if (!j)
            return;
        struct orcd_error err = ORCD_ERROR_INIT;
        uint32_t shared;
        struct slot *s = slot_choose(e, &j->request, &shared);
        bool wait = !s;
        if (s && drop_late(e, j, shared)) {
            /* It ended; the next one. */
        } else if (s) {
            bool began = calling(e);
            int rc = slot_prepare(e, s, &j->request, shared, &err);
            called(e, began);
            if (!rc && take(e, j))
                slot_begin(e, s, j);
            else if (rc == ORCD_E_OUT_OF_KV && atomic_load(&e->slots_busy))
                wait = true; /* a running job will leave room */
            else if (rc)
                admission_failed(e, s, j, rc, &err);
        }
        job_unref(j);
        if (wait)
            return;
    }
}

void slot_release(struct engine *e, struct slot *s)
{
    struct job *j = s->job;
    j->n_generated = s->n_sampled + s->n_dropped;
    if (j->end.code == API_OK && j->end.finish == FINISH_STOP)
        j->n_generated--; /* the end-of-generation token served its purpose */
    rates_learn_length(&e->rates, s->n_sampled,
        j->end.code == API_OK && (j->end.finish == FINISH_STOP || j->end.finish == FINISH_STOP_SEQUENCE));
    atomic_store(&j->slot, UINT32_MAX);
    s->job = NULL;
    predict_slot(e, s);
    predict_slot_holds(e, s);
    s->next_token = -1;
    s->last_used_ns = clock_mono_ns();
    bool began = calling(e);
    /* The prefix stays; what it had reserved beyond is given back. */
    if (s->open && s->n_history == 0)
        slot_close(e, s);
    else if (s->open && backend_seq_reserve(e->backend, s->id, s->n_history, NULL))
        log_debug("shrinking sequence %u failed", s->id);
    called(e, began);
    engine_count_stopped(j, s->seen_ns);
    metric_add(MC_GENERATION_TOKENS, s->n_dropped);
    job_unref(j); /* before the engine says that it is idle: nothing of the job is left then */
    pthread_mutex_lock(&e->lock);
    atomic_fetch_sub(&e->slots_busy, 1);
    pthread_cond_broadcast(&e->idle);
    pthread_mutex_unlock(&e->lock);
}
