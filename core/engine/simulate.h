/*
 * The slots and the queue run ahead of time, by the learnt rates: when a job would get its slot, its
 * first token, its end. Pure computation, O((slots + queue) log slots): equal steps are taken at once, up
 * to the one in which a prompt or an answer ends.
 *
 * What it mirrors: jobs take free slots in the order of the queue; a step has a row of every decoding
 * job, and prompt tokens of the most urgent others up to the budget; the step that computes the last
 * prompt token gives the first token.
 *
 * Life cycle: sim_scratch_init() makes the memory once, sim_scratch_release() frees it; a run keeps
 * nothing between calls.
 * Threads: any thread; a scratch is used by one thread at a time (the predictor's lock sees to that).
 * Order of calls: fill scratch->jobs, then sim_run(). sim_alone() and sim_is_doomed() need no scratch.
 */
#ifndef ORCD_ENGINE_SIMULATE_H
#define ORCD_ENGINE_SIMULATE_H

#include "engine/rates.h"

struct sim_job {
    double arrives_ns;  /* from now; 0: it is here. Only of those that come later */
    uint64_t rank_ns;   /* of the queue */
    double deadline_ns; /* from now; INFINITY: none. It ends its job */
    uint32_t prompt;    /* tokens still to be computed; 0: it decodes */
    uint32_t tokens;    /* still to be sampled, at least 1 */
    uint32_t least;     /* a job is dropped when it would get a slot if not even these can
                           come in time: sim_is_doomed(); 0: never */
};

/* Memory for n_jobs, at most SIM_MAX_JOBS, made once. */
#define SIM_JOB_BITS 16
#define SIM_MAX_JOBS (UINT32_C(1) << SIM_JOB_BITS)
struct sim_scratch {
    uint32_t n_jobs;
    struct sim_job *jobs;
    uint32_t *left;                            /* prompt tokens */
    uint64_t *decoding, *prefilling, *waiting; /* heaps: a key, then the job in SIM_JOB_BITS */
    uint32_t *through;                         /* prompts that end in one step */
};
int sim_scratch_init(struct sim_scratch *s, uint32_t n_jobs); /* 0, or -1: out of memory, too many */
void sim_scratch_release(struct sim_scratch *s);

struct sim_params {
    const struct rates_view *rates;
    uint32_t n_slots, max_batch_tokens;
    double slice_ns;
    /* Steps whose results the jobs below do not show yet, and for how long they have run:
     * nobody can join them. */
    uint32_t in_flight;
    double elapsed_ns;
    /* In scratch->jobs: first those in slots, then those in the queue, the next one first,
     * then those that are expected later, in the order of their arrival. */
    uint32_t n_running, n_queued, n_later;
    uint32_t job; /* whose times are asked for: index in jobs; never dropped */
};

struct sim_times {
    double slot_ns, first_ns, end_ns; /* from now */
};
void sim_run(const struct sim_params *p, struct sim_scratch *s, struct sim_times *out);

/* ns of a job that has all slots for itself, from its slot to the first token, and to
 * the end of `tokens` tokens. */
void sim_alone(const struct rates_view *rates, uint32_t max_batch_tokens, uint32_t prompt, uint32_t tokens,
    double *first_ns, double *end_ns);
/* A job is late even if it gets a slot now, and were its rates a little better than they
 * are. busy: slots in use with its own, while others wait for one, so that steps are as
 * they were of late; 0 or 1: it has nobody beside it. */
bool sim_is_doomed(const struct rates_view *rates, uint32_t max_batch_tokens, uint32_t busy, uint32_t prompt,
    uint32_t tokens, double left_ns);

#endif
