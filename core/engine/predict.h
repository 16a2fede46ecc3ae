/*
 * Whether a job can keep its deadline: the learnt rates, the jobs in the slots and those in the queue,
 * run ahead of time (simulate.h). See "Prediction" in docs/engine.md.
 *
 * It knows no engine and no slots: the engine thread reports what other threads may know of them, and
 * predict_init() is given what else it looks at.
 *
 * Life cycle: predict_init() before any other call; predict_release() after the last, also of a predictor
 * that is all zeros.
 *
 * Threads: each call says who makes it. `lock` guards the scratch memory, so that predictions are made
 * one at a time. It is taken before the registry's lock, and never by the engine thread.
 *
 * Order of calls for one job: predict_admit() if it has a deadline, before it is listed;
 * predict_arrived() once it was; predict_is_doomed() when it could get a slot; predict_slot() and
 * predict_slot_holds() while it has one; predict_first_token(); predict_ended() once.
 */
#ifndef ORCD_ENGINE_PREDICT_H
#define ORCD_ENGINE_PREDICT_H

#include <pthread.h>

#include "engine/job.h"
#include "engine/reuse.h"
#include "engine/simulate.h"

struct engine_params;
struct engine_refusal;
struct registry;

/* What other threads may know of a slot. The engine thread writes it; the numbers may be
 * of different steps, or, for an instant, of two jobs. */
struct predict_slot {
    atomic_uint prompt_left;         /* 0: it decodes */
    atomic_uint sampled, max_tokens; /* max_tokens 0: idle */
    atomic_bool exact;               /* nothing but max_tokens ends the answer */
    atomic_uint_fast64_t rank_ns, deadline_ns;
    struct reuse_marks holds; /* or will, when its job is done */
};

/* A job that was accepted. What comes next is expected to look like what came last. */
struct predict_arrival {
    uint64_t at_ns, budget_ns; /* arrival; to its rank in the queue */
    struct sim_job job;
    bool deadline;
};
#define PREDICT_ARRIVALS 256

struct predictor {
    /* Constant. */
    const struct engine_params *params;
    const struct rates *rates;
    struct registry *registry;
    const atomic_uint_fast64_t *pending_since_ns; /* of engine-internal.h */
    uint32_t stride;                              /* of reuse.h */

    pthread_mutex_t lock;
    struct sim_scratch scratch;
    double probe_credit;
    struct predict_arrival arrivals[PREDICT_ARRIVALS]; /* ring */
    uint32_t n_arrivals;

    struct predict_slot *slots;
    atomic_uint in_flight; /* steps, while the engine works */
    _Atomic double margin; /* for the error of predictions: this part of a job's reserve is added to one */
};

/* What it is given outlives the predictor; params are set, the rest may be still empty. 0, or -1: out of
 * memory. */
int predict_init(struct predictor *p, const struct engine_params *params, const struct rates *rates,
    struct registry *registry, const atomic_uint_fast64_t *pending_since_ns);
void predict_release(struct predictor *p);

/* --- any thread, without a lock ---------------------------------------------------------- */

/* The job has a deadline. API_OK, or DEADLINE_EXCEEDED with what was predicted. */
enum api_code predict_admit(struct predictor *p, struct job *j, struct engine_refusal *refusal);
/* A job was accepted, with or without a deadline. */
void predict_arrived(struct predictor *p, const struct job *j);
/* The job ended: the margin learns of it. */
void predict_ended(struct predictor *p, const struct job *j);

/* --- the engine thread ------------------------------------------------------------------- */

/* The slot got a job, or computed a step for it; NULL: it lost its job. */
void predict_slot(
    struct predictor *p, uint32_t slot, const struct job *j, uint32_t n_history, uint32_t n_sampled);
/* What the slot's KV holds, or will hold when its job is done, is other than before. */
void predict_slot_holds(struct predictor *p, uint32_t slot, const int32_t *tokens, uint32_t n);
/* So many steps have begun or are about to, whose results predict_slot() has not told yet. */
void predict_in_flight(struct predictor *p, uint32_t n_steps);
/* A job at the head of the queue, of whose prompt `cached` tokens need not be computed, is sure to be
 * late. */
bool predict_is_doomed(struct predictor *p, const struct job *j, uint32_t cached);
void predict_first_token(const struct job *j, uint64_t now);

#endif
