/*
 * Predicts whether a job can meet its deadline: it simulates the jobs in the slots and in the queue with
 * the learnt rates (simulate.h). See "Prediction" in docs/engine.md.
 *
 * The predictor does not access the engine or its slots. The engine thread reports to it what other
 * threads may know of the slots, and predict_init() passes the other things that it reads.
 *
 * Life cycle: predict_init() before any other call; predict_release() after the last one. A predictor
 * that is all zeros may be released, too.
 *
 * Threads: the two sections below name the threads. `lock` guards the scratch memory and the arrivals, so
 * predictions are made one at a time. A thread that needs the registry's lock as well takes `lock` first.
 * The engine thread never takes `lock`.
 *
 * Order of calls for one job: predict_admit() before the job is listed, if it has a deadline;
 * predict_arrived() after it was listed; predict_is_doomed() when it could get a slot; predict_slot() and
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

/* What other threads may know of a slot. The engine thread writes it; the numbers that a thread reads
 * may be of different steps or, for an instant, of two jobs. */
struct predict_slot {
    atomic_uint prompt_left;         /* 0: it decodes */
    atomic_uint sampled, max_tokens; /* max_tokens 0: idle */
    atomic_bool exact;               /* nothing but max_tokens ends the answer */
    atomic_uint_fast64_t rank_ns, deadline_ns;
    struct reuse_marks holds; /* the prefix in its KV now, or when its job will be done */
};

/* A job that was accepted. Future arrivals are expected to look like the last ones. */
struct predict_arrival {
    uint64_t at_ns, budget_ns; /* the arrival; from there to its rank in the queue */
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
    atomic_uint in_flight; /* steps in flight, while the engine works */
    _Atomic double margin; /* for the error of predictions: they are raised by margin x alone x weight */
};

/* The arguments must outlive the predictor. params must be set; the rest may still be empty. 0, or -1:
 * out of memory. */
int predict_init(struct predictor *p, const struct engine_params *params, const struct rates *rates,
    struct registry *registry, const atomic_uint_fast64_t *pending_since_ns);
void predict_release(struct predictor *p);

/* --- any thread, without a lock ---------------------------------------------------------- */

/* The job must have a deadline. Returns API_OK, or DEADLINE_EXCEEDED with the prediction in *refusal. */
enum api_code predict_admit(struct predictor *p, struct job *j, struct engine_refusal *refusal);
/* A job was accepted, with or without a deadline. */
void predict_arrived(struct predictor *p, const struct job *j);
/* The job ended: adapts the margin. */
void predict_ended(struct predictor *p, const struct job *j);

/* --- the engine thread ------------------------------------------------------------------- */

/* The slot got the job j, or computed a step for it. NULL: its job is gone. */
void predict_slot(
    struct predictor *p, uint32_t slot, const struct job *j, uint32_t n_history, uint32_t n_sampled);
/* The tokens that the slot's KV holds now, or will hold when its job is done, have changed. */
void predict_slot_holds(struct predictor *p, uint32_t slot, const int32_t *tokens, uint32_t n);
/* n_steps steps have begun, or begin now, whose results predict_slot() has not reported yet. */
void predict_in_flight(struct predictor *p, uint32_t n_steps);
/* True: the job at the head of the queue is certain to be late. `cached` tokens of its prompt need not be
 * computed. */
bool predict_is_doomed(struct predictor *p, const struct job *j, uint32_t cached);
void predict_first_token(const struct job *j, uint64_t now);

#endif
