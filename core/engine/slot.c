#include "engine/slot.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/end.h"
#include "engine/engine-internal.h"
#include "metrics.h"

int slots_new(struct engine *e, struct orcd_error *err)
{
    e->slots = calloc(e->params.n_slots, sizeof(*e->slots));
    if (!e->slots)
        return error_set(err, ORCD_E_NOMEM, "out of memory for %u slots", e->params.n_slots);
    for (uint32_t i = 0; i < e->params.n_slots; i++) {
        struct slot *s = &e->slots[i];
        s->id = i;
        s->next_token = -1;
        s->history = malloc((size_t)e->params.n_ctx * sizeof(*s->history));
        if (!s->history)
            return error_set(err, ORCD_E_NOMEM, "out of memory for a slot of %u tokens", e->params.n_ctx);
        int rc = sampler_new(&s->sampler, backend_model(e->backend)->n_vocab, err);
        if (!rc)
            rc = outtext_init(&s->text, e->tokenizer, err);
        if (rc)
            return rc;
    }
    return 0;
}

void slots_free(struct engine *e)
{
    for (uint32_t i = 0; e->slots && i < e->params.n_slots; i++) {
        free(e->slots[i].history);
        sampler_free(e->slots[i].sampler);
        outtext_release(&e->slots[i].text);
    }
    free(e->slots);
}

/* --- reports to the predictor ------------------------------------------------------------ */

void slot_report(struct engine *e, const struct slot *s)
{
    predict_slot(&e->predict, s->id, s->job, s->n_history, s->n_sampled);
}

/* Reports the tokens that the slot's KV holds, or will hold when its job is done. */
static void report_prefix(struct engine *e, const struct slot *s)
{
    const struct request *r = s->job ? &s->job->request : NULL;
    predict_slot_holds(&e->predict, s->id, r ? r->tokens : s->history, r ? r->n_tokens : s->n_history);
}

/* --- the sequence ------------------------------------------------------------------------ */

/* Calls outside a step can hang, too; `pending_since_ns` shows that to the health check. With a step in
 * flight it is set already. */
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

void slot_close(struct engine *e, struct slot *s)
{
    if (s->open && backend_seq_close(e->backend, s->id, NULL))
        log_debug("closing sequence %u failed", s->id);
    s->open = false;
    s->n_history = 0;
    report_prefix(e, s);
}

static bool evict_except(struct engine *e, const struct slot *keep)
{
    struct slot *oldest = NULL;
    for (uint32_t i = 0; i < e->params.n_slots; i++) {
        struct slot *s = &e->slots[i];
        if (s != keep && !s->job && s->open && (!oldest || s->last_used_ns < oldest->last_used_ns))
            oldest = s;
    }
    if (!oldest)
        return false;
    slot_close(e, oldest);
    return true;
}

static int open_sequence(
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
    } while (rc == ORCD_E_OUT_OF_KV && evict_except(e, s));
    if (!rc && !s->open) {
        s->open = true;
        s->n_history = 0;
    }
    return rc;
}

int slot_open(
    struct engine *e, struct slot *s, const struct request *r, uint32_t shared, struct orcd_error *err)
{
    bool began = calling(e);
    int rc = open_sequence(e, s, r, shared, err);
    called(e, began);
    return rc;
}

/* --- its job ------------------------------------------------------------------------------ */

/* The job's sampling parameters, for a plugin that samples on its device. */
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

/* Whether the plugin samples for this job: it accepts the sampler if it supports all of its rules. A job
 * that wants probabilities is sampled on the host, because they are computed from the logits. */
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

void slot_begin(struct engine *e, struct slot *s, struct job *j)
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
    slot_report(e, s);
    report_prefix(e, s);
    int queued = JOB_QUEUED; /* it may be JOB_DONE by now */
    atomic_compare_exchange_strong(&j->phase, &queued, JOB_PREFILL);
    atomic_store(&j->admitted_ns, now);
    atomic_store_explicit(&j->has_started, true, memory_order_release);
    bool began = calling(e);
    s->on_device = samples_on_device(e, s, r);
    called(e, began);
    if (!s->on_device && sampler_begin(s->sampler, &r->sampling, r->tokens, r->n_tokens, &err))
        engine_end_job(e, j, API_INTERNAL, FINISH_NONE, "%s", err.msg);
    else if (j->ready)
        j->ready(j, false);
}

void slot_doom(struct engine *e, struct slot *s)
{
    if (s->rows_in_flight)
        backend_abort(e->backend, atomic_load(&s->job->ticket), &s->id, 1);
}

void slot_release(struct engine *e, struct slot *s)
{
    struct job *j = s->job;
    j->n_generated = s->n_sampled + s->n_dropped;
    if (j->end.code == API_OK && j->end.finish == FINISH_STOP)
        j->n_generated--; /* the end-of-generation token was not wasted */
    rates_learn_length(&e->rates, s->n_sampled,
        j->end.code == API_OK && (j->end.finish == FINISH_STOP || j->end.finish == FINISH_STOP_SEQUENCE));
    atomic_store(&j->slot, UINT32_MAX);
    s->job = NULL;
    slot_report(e, s);
    report_prefix(e, s);
    s->next_token = -1;
    s->last_used_ns = clock_mono_ns();
    bool began = calling(e);
    /* The prefix stays; KV that was reserved beyond it is released. */
    if (s->open && s->n_history == 0)
        slot_close(e, s);
    else if (s->open && backend_seq_reserve(e->backend, s->id, s->n_history, NULL))
        log_debug("shrinking sequence %u failed", s->id);
    called(e, began);
    engine_count_stopped(j, s->seen_ns);
    metric_add(MC_GENERATION_TOKENS, s->n_dropped);
    job_unref(j); /* before registry_slot_freed(): when the engine is idle, nothing of the job is left */
    registry_slot_freed(&e->registry);
}
