/* The jobs of a generation: they are created, submitted to the engine, ended and logged
 * together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/generation.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/direct.h"
#include "http/keys.h"

bool choices_new(struct generation *g, uint32_t n)
{
    g->choices = calloc(n, sizeof(*g->choices));
    if (!g->choices) {
        http_error_set(&g->x->error, API_OUT_OF_MEMORY, "out of memory");
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        g->choices[i].g = g;
        g->choices[i].index = i;
    }
    g->n_choices = n;
    return true;
}

void choices_free(struct generation *g)
{
    for (uint32_t i = 0; i < g->n_choices; i++) {
        request_release(&g->choices[i].request);
        free(g->choices[i].echo);
    }
    free(g->choices);
}

const char *choice_phase(const struct job_end *end)
{
    static const char *const phases[] = {"queue", "prefill", "decode", "done"};
    return phases[end->phase];
}

/* One line per job; it never contains the prompt or a key. */
static void choice_log(struct choice *c)
{
    static const char *const finishes[] = {"none", "stop", "length", "stop_sequence", "deadline"};
    const struct job *j = c->job;
    if (!j || c->logged)
        return;
    c->logged = true;
    const struct job_end *e = &j->end;
    const struct api_key *key = c->g->x->key;
    uint32_t delivered = atomic_load(&j->delivered);
    uint64_t admitted = atomic_load(&j->admitted_ns), now = clock_mono_ns();
    double slack =
        j->request.deadline_ns ? ((double)j->request.deadline_ns - (double)now) / (double)NS_PER_MS : 0;
    double predicted = (double)(j->predicted_end_ns - j->request.arrived_ns) / (double)NS_PER_MS;
    log_event(ORCD_LOG_INFO, "job ended", LOG_T("job_id", j->request.job_id),
        LOG_T("correlation_id", j->request.correlation_id),
        LOG_T("outcome", e->code ? api_code_name(e->code) : finishes[e->finish]),
        LOG_T("phase", choice_phase(e)),
        LOG_F("queue_ms", (double)((admitted ? admitted : now) - j->request.arrived_ns) / (double)NS_PER_MS),
        LOG_F("ttft_ms", e->ttft_ms),
        LOG_F("duration_ms", (double)(now - j->request.arrived_ns) / (double)NS_PER_MS),
        LOG_T("client", c->g->peer), LOG_T("route", c->g->x->route->path),
        key ? LOG_T("key", key->name) : LOG_NONE, LOG_T("model", api_model(c->g->x)->ref),
        LOG_I("tokens_in", j->request.n_tokens), LOG_I("tokens", e->tokens_out),
        LOG_I("wasted", e->tokens_out > delivered ? e->tokens_out - delivered : 0),
        j->request.deadline_ns ? LOG_F("deadline_slack_ms", slack) : LOG_NONE,
        j->predicted_end_ns ? LOG_F("predicted_ms", predicted) : LOG_NONE, NULL);
}

/* --- what the engine calls -------------------------------------------------------------- */

static void job_ready(struct job *job, bool may_send_now)
{
    struct choice *c = job->consumer;
    /* An answer in one piece needs no wake-up for each token. The other choices are not read
     * here: the loop may still be submitting them. */
    if (!job_ended(job) &&
        !(job->request.stream && atomic_load_explicit(&job->has_started, memory_order_acquire)))
        return;
    exchange_notify(c->g->x, may_send_now);
}

static void job_release(void *consumer)
{
    struct choice *c = consumer;
    choice_log(c); /* if the client left before its job ended */
    exchange_unref(c->g->x);
}

/* --- submitting -------------------------------------------------------------------------- */

static bool make_job(struct choice *c, const struct api_model *m)
{
    struct exchange *x = c->g->x;
    struct request *r = &c->request;
    struct orcd_error err = ORCD_ERROR_INIT;
    _Static_assert(sizeof(r->correlation_id) == sizeof(x->correlation_id), "one length for both");
    memcpy(r->correlation_id, x->correlation_id, sizeof(r->correlation_id));
    r->owner = x->owner;
    if (x->key) {
        r->max_running = x->key->max_running;
        r->max_queued = x->key->max_queued;
    }
    r->stream = c->g->stream;
    r->arrived_ns = x->arrived_ns;
    r->deadline_ns = x->deadline_ns;
    r->deadline_clamped = x->deadline_clamped;
    if (job_new(&c->job, r, m->tokenizer, &err)) {
        http_error_set(&x->error, API_INTERNAL, "%.200s", err.msg);
        return false;
    }
    /* After a successful submit the engine uses the job too, so everything that it may call
     * is set before. */
    c->job->consumer = c;
    c->job->ready = job_ready;
    exchange_ref(x);
    c->job->release = job_release;
    return true;
}

static void error_of_refusal(struct exchange *x, const struct engine_refusal *r)
{
    http_error_set(&x->error, r->code, "%s", r->message);
    x->error.retry_after_s = r->retry_after_s;
    if (r->predicted)
        snprintf(x->error.details, sizeof(x->error.details),
            "{\"predicted_ms\":%.0f,\"remaining_ms\":%.0f,\"queue_ms\":%.0f,\"prefill_ms\":%.0f,"
            "\"decode_ms\":%.0f,\"margin_ms\":%.0f}",
            r->predicted_ms, r->remaining_ms, r->queue_ms, r->prefill_ms, r->decode_ms, r->margin_ms);
}

/* choices[from..] were not submitted: frees their jobs, of which nothing is logged. */
static void forget_from(struct generation *g, uint32_t from)
{
    for (uint32_t i = from; i < g->n_choices; i++) {
        struct choice *c = &g->choices[i];
        struct job *j = c->job;
        c->logged = true;
        c->job = NULL;
        job_unref(j); /* j may be NULL */
    }
}

void choices_abort(struct generation *g, enum abort_reason reason, uint64_t noticed_ns)
{
    for (uint32_t i = 0; i < g->n_choices; i++) {
        struct job *j = g->choices[i].job;
        if (j && !job_ended(j))
            engine_job_abort_noticed(api_of(g->x)->params.engine, j, reason, noticed_ns);
    }
}

/* The first n choices were submitted, but the request is refused: takes them back as if they had never been
 * there. One that has a slot by now is aborted. */
static void withdraw(struct generation *g, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct choice *c = &g->choices[i];
        if (!engine_withdraw(api_of(g->x)->params.engine, c->job))
            continue;
        c->logged = true;
        job_unref(c->job);
        c->job = NULL;
    }
    choices_abort(g, ABORT_CANCEL, clock_mono_ns());
}

void choices_submit(struct generation *g)
{
    struct exchange *x = g->x;
    const struct api_model *m = api_model(x);
    struct engine_refusal refusal;
    if (!m || !exchange_takes_work(x))
        return;
    for (uint32_t i = 0; i < g->n_choices; i++) {
        if (!make_job(&g->choices[i], m)) {
            forget_from(g, 0);
            return;
        }
    }
    if (g->n_choices > 1 && engine_has_room(api_of(x)->params.engine, g->n_choices, &refusal)) {
        error_of_refusal(x, &refusal);
        forget_from(g, 0);
        return;
    }
    for (uint32_t i = 0; i < g->n_choices; i++) {
        if (engine_submit(api_of(x)->params.engine, g->choices[i].job, &refusal) == API_OK)
            continue;
        error_of_refusal(x, &refusal);
        forget_from(g, i);
        withdraw(g, i);
        return;
    }
    exchange_wait(x);
}

const struct choice *choices_failed(const struct generation *g)
{
    for (uint32_t i = 0; i < g->n_choices; i++)
        if (job_ended(g->choices[i].job) && g->choices[i].job->end.code)
            return &g->choices[i];
    return NULL;
}

bool choices_ended(const struct generation *g)
{
    for (uint32_t i = 0; i < g->n_choices; i++)
        if (g->choices[i].job && !job_ended(g->choices[i].job))
            return false;
    return true;
}

void choices_drop(struct generation *g, bool whole)
{
    for (uint32_t i = 0; i < g->n_choices; i++) {
        struct choice *c = &g->choices[i];
        if (!c->job)
            continue;
        if (whole && job_ended(c->job))
            atomic_store(&c->job->delivered, c->job->end.n_published);
        if (job_ended(c->job))
            choice_log(c);
        job_unref(c->job);
    }
}
