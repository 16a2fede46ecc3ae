#include "engine/predict.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/registry.h"
#include "metrics.h"

/* After this time without a step the rates are too old: the next job is accepted without a prediction. */
#define STALE_NS (60 * NS_PER_S)
/* The margin moves so that this share of the jobs that were admitted end late. */
#define LATE_SHARE 0.03
#define MARGIN_GAIN 0.1
#define MARGIN_FIRST 0.2
#define MARGIN_LEAST (-0.2)
#define MARGIN_MOST 1.0
#define LONGEST 2.0 /* the largest weight of a job: at most this many average jobs */
#define QUEUED 1024 /* at most this many queued jobs are simulated */
#define GROUP 64    /* expected arrivals are spread evenly in groups of this size */

int predict_init(struct predictor *p, const struct engine_params *params, const struct rates *rates,
    struct registry *registry, const atomic_uint_fast64_t *pending_since_ns)
{
    p->params = params;
    p->rates = rates;
    p->registry = registry;
    p->pending_since_ns = pending_since_ns;
    pthread_mutex_init(&p->lock, NULL);
    atomic_store(&p->margin, MARGIN_FIRST);
    p->stride = reuse_stride(params->n_ctx);
    p->slots = calloc(params->n_slots, sizeof(*p->slots));
    uint32_t queued = params->queue_capacity < QUEUED ? params->queue_capacity : QUEUED;
    uint32_t n_jobs = params->n_slots + queued + 1 + PREDICT_ARRIVALS;
    return p->slots && !sim_scratch_init(&p->scratch, n_jobs) ? 0 : -1;
}

void predict_release(struct predictor *p)
{
    free(p->slots);
    sim_scratch_release(&p->scratch);
    pthread_mutex_destroy(&p->lock);
}

/* --- slots ----------------------------------------------------------------------------- */

/* True: the answer has max_tokens tokens, because nothing else ends it. */
static bool is_exact(const struct request *r)
{
    return r->prompt_only || (r->ignore_eos && r->n_stop == 0 && r->n_stop_ids == 0);
}

void predict_slot(
    struct predictor *p, uint32_t slot, const struct job *j, uint32_t n_history, uint32_t n_sampled)
{
    struct predict_slot *v = &p->slots[slot];
    if (!j) {
        atomic_store_explicit(&v->max_tokens, 0, memory_order_relaxed);
        return;
    }
    const struct request *r = &j->request;
    uint32_t left = n_sampled || n_history >= r->n_tokens ? 0 : r->n_tokens - n_history;
    atomic_store_explicit(&v->prompt_left, left, memory_order_relaxed);
    atomic_store_explicit(&v->sampled, n_sampled, memory_order_relaxed);
    atomic_store_explicit(&v->exact, is_exact(r), memory_order_relaxed);
    atomic_store_explicit(&v->rank_ns, j->rank_ns, memory_order_relaxed);
    atomic_store_explicit(&v->deadline_ns, r->deadline_ns, memory_order_relaxed);
    atomic_store_explicit(&v->max_tokens, r->max_tokens, memory_order_relaxed);
}

void predict_slot_holds(struct predictor *p, uint32_t slot, const int32_t *tokens, uint32_t n)
{
    reuse_set(&p->slots[slot].holds, p->stride, tokens, n);
}

void predict_in_flight(struct predictor *p, uint32_t n_steps)
{
    atomic_store_explicit(&p->in_flight, n_steps, memory_order_relaxed);
}

static double until(uint64_t deadline_ns, uint64_t now)
{
    return deadline_ns ? (double)deadline_ns - (double)now : INFINITY;
}

static uint32_t snapshot_slots(
    const struct predictor *p, const struct lengths_view *lengths, uint64_t now, struct sim_job *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->params->n_slots; i++) {
        const struct predict_slot *v = &p->slots[i];
        uint32_t max = atomic_load_explicit(&v->max_tokens, memory_order_relaxed);
        uint32_t sampled = atomic_load_explicit(&v->sampled, memory_order_relaxed);
        if (!max)
            continue;
        sampled = sampled < max ? sampled : max - 1; /* its last token is about to be published */
        bool exact = atomic_load_explicit(&v->exact, memory_order_relaxed);
        out[n++] = (struct sim_job){
            .rank_ns = atomic_load_explicit(&v->rank_ns, memory_order_relaxed),
            .deadline_ns = until(atomic_load_explicit(&v->deadline_ns, memory_order_relaxed), now),
            .prompt = atomic_load_explicit(&v->prompt_left, memory_order_relaxed),
            .tokens = (exact ? max : lengths_median(lengths, sampled, max)) - sampled,
        };
    }
    return n;
}

/* --- the queue, with the new job in its place ------------------------------------------ */

/* The usual lengths of an answer that has not begun yet. */
struct usual {
    uint32_t median, least;
};

static struct usual usual_lengths(const struct lengths_view *v)
{
    return (struct usual){lengths_median(v, 0, UINT32_MAX), lengths_least(v, 0, UINT32_MAX)};
}

static uint32_t at_most(uint32_t x, uint32_t limit)
{
    return x < limit ? x : limit;
}

static struct sim_job of_job(
    const struct job *j, uint32_t cached, uint64_t rank_ns, uint64_t now, const struct usual *usual)
{
    const struct request *r = &j->request;
    bool exact = is_exact(r);
    struct sim_job out = {
        .rank_ns = rank_ns,
        .deadline_ns = until(r->deadline_ns, now),
        .prompt = r->n_tokens > cached ? r->n_tokens - cached : 1,
        .tokens = exact ? r->max_tokens : at_most(usual->median, r->max_tokens),
        .least = exact ? r->max_tokens : at_most(usual->least, r->max_tokens),
    };
    if (r->deadline_partial)
        out.least = 1; /* only the first token must be in time */
    return out;
}

struct waiting {
    uint32_t n, at; /* the number of jobs, including the new one; the index of the new one */
    double more;    /* jobs before the new one that were left out, divided by the jobs copied */
};

/* Copies the queue; the lock is held for a few instructions a job. If the queue is longer than QUEUED,
 * only its head and the new job are copied, and the jobs in between are assumed to be like the head. */
static struct waiting snapshot_queue(struct registry *r, const struct sim_job *new, const struct usual *usual,
    uint64_t now, struct sim_job *out)
{
    struct waiting w = {.at = UINT32_MAX};
    pthread_mutex_lock(&r->lock);
    uint32_t n = r->queue.n < QUEUED ? r->queue.n : QUEUED;
    for (uint32_t i = 0; i < n; i++) {
        const struct job *j = r->queue.jobs[r->queue.n - 1 - i];
        if (w.at == UINT32_MAX && j->rank_ns > new->rank_ns) {
            w.at = w.n;
            out[w.n++] = *new;
        }
        out[w.n++] = of_job(j, j->expected_cached, j->rank_ns, now, usual);
    }
    if (w.at == UINT32_MAX) {
        if (n)
            w.more = (double)(queue_ahead(&r->queue, new->rank_ns) - n) / n;
        w.at = w.n;
        out[w.n++] = *new;
    }
    pthread_mutex_unlock(&r->lock);
    return w;
}

/* How many tokens of the prompt the job's future slot is expected to hold. If slots are idle and no job
 * waits, the job gets the best of them; otherwise it may get any slot. */
static uint32_t expect_cached(const struct predictor *p, const struct request *r)
{
    uint64_t hashes[REUSE_MARKS];
    uint32_t stride = p->stride, best = 0, worst = UINT32_MAX;
    uint32_t n = reuse_hashes(stride, r->tokens, r->n_tokens, hashes);
    bool idle = false;
    for (uint32_t i = 0; n && i < p->params->n_slots; i++) {
        const struct predict_slot *v = &p->slots[i];
        uint32_t shared = reuse_shared(&v->holds, stride, hashes, n);
        worst = shared < worst ? shared : worst;
        if (atomic_load_explicit(&v->max_tokens, memory_order_relaxed))
            continue;
        idle = true;
        best = shared > best ? shared : best;
    }
    return !n ? 0 : idle && !atomic_load(&p->registry->queue_depth) ? best : worst;
}

/* --- future arrivals ---------------------------------------------------------------------- */

void predict_arrived(struct predictor *p, const struct job *j)
{
    struct lengths_view lengths;
    if (p->params->admission != ADMISSION_PREDICTIVE)
        return;
    uint64_t now = clock_mono_ns(), rank = queue_rank(&j->request);
    lengths_read(&p->rates->lengths, &lengths);
    struct usual usual = usual_lengths(&lengths);
    struct predict_arrival a = {
        .at_ns = now,
        .budget_ns = rank > now ? rank - now : 0,
        .job = of_job(j, j->expected_cached, rank, now, &usual),
        .deadline = j->request.deadline_ns != 0,
    };
    pthread_mutex_lock(&p->lock);
    p->arrivals[p->n_arrivals % PREDICT_ARRIVALS] = a;
    p->n_arrivals = p->n_arrivals + 1 == UINT32_MAX ? PREDICT_ARRIVALS : p->n_arrivals + 1;
    pthread_mutex_unlock(&p->lock);
}

static const struct predict_arrival *back(const struct predictor *p, uint32_t i)
{
    return &p->arrivals[(p->n_arrivals - 1 - i) % PREDICT_ARRIVALS];
}

static double since(const struct predict_arrival *a, uint64_t now)
{
    return now > a->at_ns ? (double)(now - a->at_ns) : 0;
}

/* Under the predictor's lock. Mirrors the last arrivals at `now`: a job that arrived t ago is expected
 * again in t, so after a pause another pause of the same length is expected. Within each GROUP they are
 * spread at equal distances, because the exact moments were chance. */
static uint32_t snapshot_later(const struct predictor *p, uint64_t now, struct sim_job *out)
{
    uint32_t n = p->n_arrivals < PREDICT_ARRIVALS ? p->n_arrivals : PREDICT_ARRIVALS;
    double from = 0;
    for (uint32_t first = 0; first < n; first += GROUP) {
        uint32_t many = n - first < GROUP ? n - first : GROUP;
        double to = since(back(p, first + many - 1), now);
        for (uint32_t i = 0; i < many; i++) {
            const struct predict_arrival *a = back(p, first + i);
            double after = from + (to - from) * (i + 0.5) / many;
            struct sim_job *j = &out[first + i];
            *j = a->job;
            j->arrives_ns = after;
            j->rank_ns = now + (uint64_t)after + a->budget_ns;
            j->deadline_ns = a->deadline ? after + (double)a->budget_ns : INFINITY;
        }
        from = to > from ? to : from;
    }
    return n;
}

/* --- a prediction ---------------------------------------------------------------------- */

struct prediction {
    struct sim_times times;
    double alone_first_ns, alone_end_ns;
    double weight; /* of the margin, by the job's length */
};

/* Under the predictor's lock. The time of this job on an idle worker, divided by the mean of the last
 * arrivals: a long job that is late makes many other jobs late. */
static double weigh(
    const struct predictor *p, const struct rates_view *rates, uint32_t max_batch_tokens, double alone_ns)
{
    uint32_t n = p->n_arrivals < PREDICT_ARRIVALS ? p->n_arrivals : PREDICT_ARRIVALS;
    double sum = 0, first, end;
    for (uint32_t i = 0; i < n; i++) {
        const struct sim_job *j = &p->arrivals[i].job;
        sim_alone(rates, max_batch_tokens, j->prompt, j->tokens, &first, &end);
        sum += end;
    }
    return sum > 0 ? fmin(alone_ns * n / sum, LONGEST) : 1;
}

/* Under the predictor's lock. False: too little is known. */
static bool predict(struct predictor *p, const struct job *j, uint64_t now, struct prediction *out)
{
    struct rates_view rates;
    struct lengths_view lengths;
    rates_read(p->rates, &rates);
    uint64_t pending = atomic_load(p->pending_since_ns);
    uint64_t quiet = now > rates.last_ns ? now - rates.last_ns : 0;
    if (!rates.known || quiet > STALE_NS)
        return false;
    lengths_read(&p->rates->lengths, &lengths);
    uint32_t n_running = snapshot_slots(p, &lengths, now, p->scratch.jobs);
    struct usual usual = usual_lengths(&lengths);
    const struct sim_job mine = of_job(j, j->expected_cached, queue_rank(&j->request), now, &usual);
    struct waiting queue = snapshot_queue(p->registry, &mine, &usual, now, p->scratch.jobs + n_running);
    struct sim_params sim = {
        .rates = &rates,
        .n_slots = p->params->n_slots,
        .max_batch_tokens = p->params->max_batch_tokens,
        .slice_ns = (double)(p->params->prefill_slice_ms * NS_PER_MS),
        .in_flight = pending ? atomic_load(&p->in_flight) : 0,
        .elapsed_ns = pending && now > pending ? (double)(now - pending) : 0,
        .n_running = n_running,
        .n_queued = queue.n,
        .n_later = snapshot_later(p, now, p->scratch.jobs + n_running + queue.n),
        .job = n_running + queue.at,
    };
    sim_run(&sim, &p->scratch, &out->times);
    double more_ns = out->times.slot_ns * queue.more;
    out->times.slot_ns += more_ns;
    out->times.first_ns += more_ns;
    out->times.end_ns += more_ns;
    sim_alone(
        &rates, sim.max_batch_tokens, mine.prompt, mine.tokens, &out->alone_first_ns, &out->alone_end_ns);
    out->weight = weigh(p, &rates, sim.max_batch_tokens, out->alone_end_ns);
    return true;
}

static bool is_probe(struct predictor *p)
{
    p->probe_credit += p->params->probe_share;
    if (p->probe_credit < 1)
        return false;
    p->probe_credit -= 1;
    return true;
}

static void refuse(
    struct engine_refusal *out, const struct prediction *p, bool partial, double left_ns, double margin_ns)
{
    const struct sim_times *t = &p->times;
    double needed_ns = partial ? t->first_ns : t->end_ns;
    double alone_ns = partial ? p->alone_first_ns : p->alone_end_ns;
    out->code = API_DEADLINE_EXCEEDED;
    out->predicted = true;
    out->predicted_ms = needed_ns / NS_PER_MS;
    out->remaining_ms = left_ns / NS_PER_MS;
    out->queue_ms = t->slot_ns / NS_PER_MS;
    out->prefill_ms = (t->first_ns - t->slot_ns) / NS_PER_MS;
    out->decode_ms = partial ? 0 : (t->end_ns - t->first_ns) / NS_PER_MS;
    out->margin_ms = margin_ns / NS_PER_MS;
    double wait_s = (needed_ns + margin_ns - left_ns) / NS_PER_S;
    if (alone_ns + margin_ns <= left_ns)
        out->retry_after_s = wait_s < 1 ? 1 : wait_s < 3600 ? (uint32_t)ceil(wait_s) : 3600;
    snprintf(out->message, sizeof(out->message),
        "%s is predicted to take %.0f ms (queue %.0f, prefill %.0f, decode %.0f; margin %+.0f), and the "
        "deadline is in %.0f ms",
        partial ? "the first token" : "the answer", out->predicted_ms, out->queue_ms, out->prefill_ms,
        out->decode_ms, out->margin_ms, out->remaining_ms);
}

enum api_code predict_admit(struct predictor *p, struct job *j, struct engine_refusal *refusal)
{
    const struct request *r = &j->request;
    struct prediction got;
    j->expected_cached = expect_cached(p, r);
    pthread_mutex_lock(&p->lock);
    uint64_t now = clock_mono_ns();
    bool known = predict(p, j, now, &got);
    double left_ns = until(r->deadline_ns, now), needed_ns = 0, margin_ns = 0;
    if (known) {
        needed_ns = r->deadline_partial ? got.times.first_ns : got.times.end_ns;
        margin_ns = (r->deadline_partial ? got.alone_first_ns : got.alone_end_ns) * got.weight *
                    atomic_load(&p->margin);
    }
    bool refused = known && needed_ns + margin_ns > left_ns;
    j->probe = refused && is_probe(p);
    pthread_mutex_unlock(&p->lock);
    if (!known)
        return API_OK;
    if (refused && !j->probe) {
        metric_add_labelled(MC_DEADLINE_REJECTIONS, WHEN_PREDICTED, 1);
        refuse(refusal, &got, r->deadline_partial, left_ns, margin_ns);
        return API_DEADLINE_EXCEEDED;
    }
    j->predicted_first_ns = now + (uint64_t)got.times.first_ns;
    j->predicted_end_ns = now + (uint64_t)got.times.end_ns;
    return API_OK;
}

bool predict_is_doomed(struct predictor *p, const struct job *j, uint32_t cached)
{
    const struct request *r = &j->request;
    struct rates_view rates;
    struct lengths_view lengths;
    if (!r->deadline_ns || j->probe || p->params->admission != ADMISSION_PREDICTIVE)
        return false;
    rates_read(p->rates, &rates);
    uint64_t now = clock_mono_ns();
    if (!rates.known || (now > rates.last_ns && now - rates.last_ns > STALE_NS))
        return false;
    lengths_read(&p->rates->lengths, &lengths);
    struct usual usual = usual_lengths(&lengths);
    struct sim_job s = of_job(j, cached, 0, now, &usual);
    /* The queue includes this job. */
    bool crowded = atomic_load(&p->registry->queue_depth) > 1 &&
                   atomic_load(&p->registry->slots_busy) + 1 >= p->params->n_slots;
    return sim_is_doomed(&rates, p->params->max_batch_tokens, crowded ? p->params->n_slots : 0, s.prompt,
        s.least, s.deadline_ns);
}

/* --- how good the predictions were ------------------------------------------------------- */

void predict_first_token(const struct job *j, uint64_t now)
{
    if (j->predicted_first_ns)
        metric_observe(
            MH_PREDICTION_ERROR, fabs((double)now - (double)j->predicted_first_ns) / (double)NS_PER_S);
}

void predict_ended(struct predictor *p, const struct job *j)
{
    bool late = j->end.code == API_DEADLINE_EXCEEDED;
    if (!j->predicted_end_ns || (!late && j->end.code != API_OK))
        return;
    if (j->probe) {
        metric_add_labelled(MC_PREDICTION_PROBES, late ? PROBE_LATE : PROBE_IN_TIME, 1);
        return;
    }
    double move = MARGIN_GAIN * (late ? 1 - LATE_SHARE : -LATE_SHARE);
    double old = atomic_load(&p->margin), new;
    do {
        new = old + move;
        new = new < MARGIN_LEAST ? MARGIN_LEAST : new > MARGIN_MOST ? MARGIN_MOST : new;
    } while (!atomic_compare_exchange_weak(&p->margin, &old, new));
    metric_set(MG_PREDICTION_MARGIN, new);
}
