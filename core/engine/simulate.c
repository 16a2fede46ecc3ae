#include "engine/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SURE 0.95 /* a job is assumed to need at least this part of its predicted time */

int sim_scratch_init(struct sim_scratch *s, uint32_t n_jobs)
{
    memset(s, 0, sizeof(*s));
    if (n_jobs > SIM_MAX_JOBS)
        return -1;
    s->n_jobs = n_jobs;
    s->jobs = calloc(n_jobs, sizeof(*s->jobs));
    s->left = calloc(n_jobs, sizeof(*s->left));
    s->decoding = calloc(n_jobs, sizeof(*s->decoding));
    s->prefilling = calloc(n_jobs, sizeof(*s->prefilling));
    s->waiting = calloc(n_jobs, sizeof(*s->waiting));
    s->through = calloc(n_jobs, sizeof(*s->through));
    return s->jobs && s->left && s->decoding && s->prefilling && s->waiting && s->through ? 0 : -1;
}

void sim_scratch_release(struct sim_scratch *s)
{
    free(s->jobs);
    free(s->left);
    free(s->decoding);
    free(s->prefilling);
    free(s->waiting);
    free(s->through);
    memset(s, 0, sizeof(*s));
}

/* --- heaps: smallest key first, ties by job; both are in one number, which is cheap to compare --- */

#define MOST_KEY (UINT64_MAX >> SIM_JOB_BITS)

static uint64_t key_of(uint64_t item)
{
    return item >> SIM_JOB_BITS;
}

static uint32_t job_of(uint64_t item)
{
    return (uint32_t)(item & (SIM_MAX_JOBS - 1));
}

static void heap_push(uint64_t *h, uint32_t *n, uint64_t key, uint32_t job)
{
    uint64_t item = (key < MOST_KEY ? key : MOST_KEY) << SIM_JOB_BITS | job;
    uint32_t i = (*n)++;
    for (; i > 0 && item < h[(i - 1) / 2]; i = (i - 1) / 2)
        h[i] = h[(i - 1) / 2];
    h[i] = item;
}

/* The hole moves down to a leaf, then the last item moves up from there, which is rarely far. */
static uint32_t heap_pop(uint64_t *h, uint32_t *n)
{
    uint64_t top = h[0], last = h[--*n];
    uint32_t i = 0, child = 1;
    for (; child + 1 < *n; child = 2 * i + 1) {
        child += h[child + 1] < h[child];
        h[i] = h[child];
        i = child;
    }
    if (child < *n) {
        h[i] = h[child];
        i = child;
    }
    for (; i > 0 && last < h[(i - 1) / 2]; i = (i - 1) / 2)
        h[i] = h[(i - 1) / 2];
    h[i] = last;
    return job_of(top);
}

/* --- the run ------------------------------------------------------------------------- */

struct sim {
    const struct sim_params *p;
    struct sim_scratch *s;
    struct sim_times *out;
    double now;
    uint64_t steps;     /* steps with decode rows that ended so far */
    uint64_t base_rank; /* the smallest rank of all jobs */
    uint32_t n_decoding, n_prefilling, n_waiting;
    uint32_t next, n_next, later, n_jobs; /* next and end of the queued jobs; of the expected ones */
    uint32_t in_flight;
    uint32_t budget[CURVE_BUCKETS]; /* prompt tokens beside decode rows, by their bucket; 0: not known yet */
    bool done;
};

/* Job i decodes from now on: its first token was sampled in this step. */
static void decode(struct sim *m, uint32_t i, uint32_t tokens)
{
    const struct sim_job *j = &m->s->jobs[i];
    if (i != m->p->job && j->deadline_ns < INFINITY) {
        double room = (j->deadline_ns - m->now) / rates_step_ns(m->p->rates, m->n_decoding + 1, 0);
        double most = room > 1 ? ceil(room) : 1;
        if (most < tokens)
            tokens = (uint32_t)most;
    }
    heap_push(m->s->decoding, &m->n_decoding, m->steps + tokens, i);
}

static bool is_dropped(const struct sim *m, uint32_t i)
{
    const struct sim_job *j = &m->s->jobs[i];
    if (i == m->p->job || !(j->deadline_ns < INFINITY))
        return false;
    double left = j->deadline_ns - m->now;
    bool others = m->n_waiting || m->next < m->n_next;
    uint32_t busy = others && m->n_decoding + m->n_prefilling + 1 >= m->p->n_slots ? m->p->n_slots : 0;
    return !(left > 0) ||
           (j->least && sim_is_doomed(m->p->rates, m->p->max_batch_tokens, busy, j->prompt, j->least, left));
}

static uint64_t rank(const struct sim *m, uint32_t i)
{
    return m->s->jobs[i].rank_ns - m->base_rank;
}

static bool has_free_slot(const struct sim *m)
{
    return m->n_decoding + m->n_prefilling < m->p->n_slots;
}

/* Takes the most urgent waiting job. False: none waits. */
static bool next_waiting(struct sim *m, uint32_t *i)
{
    const struct sim_job *jobs = m->s->jobs;
    while (m->later < m->n_jobs && jobs[m->later].arrives_ns <= m->now) {
        heap_push(m->s->waiting, &m->n_waiting, rank(m, m->later), m->later);
        m->later++;
    }
    if (m->n_waiting && (m->next == m->n_next || key_of(m->s->waiting[0]) < rank(m, m->next))) {
        *i = heap_pop(m->s->waiting, &m->n_waiting);
        return true;
    }
    *i = m->next;
    m->next += m->next < m->n_next;
    return *i < m->n_next;
}

static void admit(struct sim *m)
{
    uint32_t i;
    while (has_free_slot(m) && next_waiting(m, &i)) {
        if (is_dropped(m, i))
            continue;
        if (i == m->p->job)
            m->out->slot_ns = m->now;
        heap_push(m->s->prefilling, &m->n_prefilling, rank(m, i), i);
    }
}

static uint32_t budget(struct sim *m)
{
    const struct sim_params *p = m->p;
    uint32_t room = p->max_batch_tokens > m->n_decoding ? p->max_batch_tokens - m->n_decoding : 0;
    room = rates_whole(p->rates, room);
    if (!m->n_decoding)
        return room;
    uint32_t *budget = &m->budget[curve_bucket(m->n_decoding)];
    if (!*budget)
        *budget = rates_budget(p->rates, m->n_decoding, p->slice_ns);
    return room < *budget ? room : *budget;
}

static double step_ns(const struct sim *m, uint32_t n_prefill)
{
    return rates_step_ns(m->p->rates, m->n_decoding, n_prefill);
}

/* Simulates all the steps before the one in which a prompt or an answer ends. */
static void run_ahead(struct sim *m, uint32_t room)
{
    double n = m->n_decoding ? (double)(key_of(m->s->decoding[0]) - m->steps) - 1 : INFINITY;
    double ns = step_ns(m, m->n_prefilling ? room : 0);
    uint32_t *left = m->n_prefilling ? &m->s->left[job_of(m->s->prefilling[0])] : NULL;
    if (left)
        n = fmin(n, room ? (*left - 1) / room : INFINITY);
    if (has_free_slot(m) && m->later < m->n_jobs) /* that job joins the step after its arrival */
        n = fmin(n, ceil((m->s->jobs[m->later].arrives_ns - m->now) / ns) - 1);
    if (!(n > 0))
        return;
    if (left)
        *left -= (uint32_t)n * room;
    m->now += n * ns;
    m->steps += m->n_decoding ? (uint64_t)n : 0;
}

/* Computes prompt tokens in one step, most urgent job first. Returns how many prompts end in it. */
static uint32_t prefill(struct sim *m, uint32_t room, uint32_t *n_prefill)
{
    uint32_t through = 0, had = room;
    while (room && m->n_prefilling) {
        uint32_t *left = &m->s->left[job_of(m->s->prefilling[0])], n = *left < room ? *left : room;
        *left -= n;
        room -= n;
        if (*left == 0)
            m->s->through[through++] = heap_pop(m->s->prefilling, &m->n_prefilling);
    }
    *n_prefill = had - room;
    return through;
}

static void ends(struct sim *m, uint32_t i)
{
    if (i != m->p->job)
        return;
    m->out->end_ns = m->now;
    m->done = true;
}

static void step(struct sim *m)
{
    uint32_t n_prefill, room = m->n_prefilling ? budget(m) : 0;
    if (m->in_flight == 0)
        run_ahead(m, room);
    uint32_t through = prefill(m, room, &n_prefill);
    m->now += step_ns(m, n_prefill);
    m->steps += m->n_decoding ? 1 : 0;
    if (m->in_flight && --m->in_flight == 0 && m->now < 0)
        m->now = 0; /* by the rates, this step should have ended already */
    while (m->n_decoding && key_of(m->s->decoding[0]) <= m->steps)
        ends(m, heap_pop(m->s->decoding, &m->n_decoding));
    for (uint32_t k = 0; k < through; k++) {
        uint32_t i = m->s->through[k];
        if (i == m->p->job)
            m->out->first_ns = m->now;
        if (m->s->jobs[i].tokens > 1)
            decode(m, i, m->s->jobs[i].tokens - 1);
        else
            ends(m, i);
    }
}

void sim_run(const struct sim_params *p, struct sim_scratch *s, struct sim_times *out)
{
    struct sim m = {.p = p, .s = s, .out = out};
    memset(out, 0, sizeof(*out));
    m.next = p->n_running;
    m.n_next = m.later = p->n_running + p->n_queued;
    m.n_jobs = m.later + p->n_later;
    m.base_rank = UINT64_MAX;
    for (uint32_t i = 0; i < m.n_jobs; i++) {
        s->left[i] = s->jobs[i].prompt ? s->jobs[i].prompt : 1;
        m.base_rank = s->jobs[i].rank_ns < m.base_rank ? s->jobs[i].rank_ns : m.base_rank;
    }
    if (p->n_running && p->in_flight) {
        m.in_flight = p->in_flight;
        m.now = -p->elapsed_ns;
    }
    for (uint32_t i = 0; i < p->n_running; i++)
        if (s->jobs[i].prompt)
            heap_push(s->prefilling, &m.n_prefilling, rank(&m, i), i);
        else
            decode(&m, i, s->jobs[i].tokens);
    while (!m.done) {
        if (!m.in_flight)
            admit(&m);
        if (!m.n_decoding && !m.n_prefilling) {
            if (!m.in_flight)
                return; /* nothing is left to simulate, and the job was not among it */
            m.in_flight = 0;
            m.now = m.now > 0 ? m.now : 0;
            continue;
        }
        step(&m);
    }
}

void sim_alone(const struct rates_view *rates, uint32_t max_batch_tokens, uint32_t prompt, uint32_t tokens,
    double *first_ns, double *end_ns)
{
    uint32_t most = rates_whole(rates, max_batch_tokens), whole = prompt / most, rest = prompt % most;
    *first_ns = whole * rates_step_ns(rates, 0, most) + rates_step_ns(rates, 0, rest);
    *end_ns = *first_ns + (tokens - 1.0) * rates_step_ns(rates, 1, 0);
}

bool sim_is_doomed(const struct rates_view *rates, uint32_t max_batch_tokens, uint32_t busy, uint32_t prompt,
    uint32_t tokens, double left_ns)
{
    double first, end;
    sim_alone(rates, max_batch_tokens, prompt, tokens, &first, &end);
    if (busy > 1)
        end = first + (tokens - 1.0) * rates_busy_step_ns(rates, busy);
    return SURE * end > left_ns;
}
