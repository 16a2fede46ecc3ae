/*
 * Whether a job can keep its deadline: the learnt rates, the jobs in the slots and those
 * in the queue, run ahead of time (simulate.h). See "Prediction" in docs/engine.md.
 */
#ifndef ORCD_ENGINE_PREDICT_H
#define ORCD_ENGINE_PREDICT_H

#include <pthread.h>

#include "engine/job.h"
#include "engine/reuse.h"
#include "engine/simulate.h"

struct engine;
struct slot;
struct engine_refusal;

/* What other threads may know of a slot. Written by the engine thread; the numbers may be
 * of different steps, or, for an instant, of two jobs. */
struct predict_slot {
    atomic_uint prompt_left;         /* 0: it decodes */
    atomic_uint sampled, max_tokens; /* max_tokens 0: idle */
    atomic_bool exact;               /* nothing but max_tokens ends the answer */
    atomic_uint_fast64_t rank_ns, deadline_ns;
    struct reuse_marks holds; /* or will, when its job is done */
};

/* A job that was taken. What comes next is expected to look like what came last. */
struct predict_arrival {
    uint64_t at_ns, budget_ns; /* arrival; to its rank in the queue */
    struct sim_job job;
    bool deadline;
};
#define PREDICT_ARRIVALS 256

/* Jobs of a deadline go through one at a time: `lock` guards the scratch memory. It is
 * taken before the engine's lock, and never by the engine thread. */
struct predictor {
    pthread_mutex_t lock;
    struct sim_scratch scratch;
    double probe_credit;
    struct predict_arrival arrivals[PREDICT_ARRIVALS]; /* ring */
    uint32_t n_arrivals;

    struct predict_slot *slots;
    uint32_t stride;       /* of reuse.h */
    atomic_uint in_flight; /* steps, while the engine works */
    _Atomic double margin; /* for the error of predictions: this part of a job's reserve is added to one */
};

/* params are set; before any other call. NOMEM. */
int predict_init(struct engine *e);
void predict_release(struct engine *e); /* also of a predictor that is all zeros */

/* A job was taken, with or without a deadline. Any thread, without a lock. */
void predict_arrived(struct engine *e, const struct job *j);
/* The job has a deadline. API_OK, or DEADLINE_EXCEEDED with what was predicted. Any
 * thread, without a lock; the job is not in the queue yet. */
enum api_code predict_admit(struct engine *e, struct job *j, struct engine_refusal *refusal);
/* The job ended: the margin learns of it. Any thread. */
void predict_ended(struct engine *e, const struct job *j);

/* Engine thread. */
/* The slot got a job, lost it, or computed a step. */
void predict_slot(struct engine *e, const struct slot *s);
void predict_slots(struct engine *e);
/* What its KV holds is other than before: a job's prompt is to come, or a job is over. */
void predict_slot_holds(struct engine *e, const struct slot *s);
/* A job at the head of the queue, of whose prompt `cached` tokens need not be computed,
 * is sure to be late. */
bool predict_is_doomed(struct engine *e, const struct job *j, uint32_t cached);
void predict_first_token(const struct job *j, uint64_t now);

#endif
