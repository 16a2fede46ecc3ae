/*
 * Simulates the slots and the queue with the learnt rates, to predict when a job will get its slot, its
 * first token and its end. Pure computation in O((slots + queue) log slots): equal steps are simulated at
 * once, up to the step in which a prompt or an answer ends.
 *
 * The simulation follows the engine: jobs get free slots in the order of the queue; a step has one row
 * for each decoding job, and prompt tokens of the most urgent remaining jobs up to the budget; the step
 * that computes the last prompt token gives the first token.
 *
 * Life cycle: sim_scratch_init() allocates memory once, sim_scratch_release() frees it; a run keeps
 * nothing in it between calls.
 * Threads: any thread; only one thread at a time may use a scratch (the predictor's lock ensures that).
 * Order of calls: fill scratch->jobs, then sim_run(). sim_alone() and sim_is_doomed() need no scratch.
 */
#ifndef ORCD_ENGINE_SIMULATE_H
#define ORCD_ENGINE_SIMULATE_H

#include "engine/rates.h"

struct sim_job {
    double arrives_ns;  /* from now, for jobs that arrive later; 0: it has arrived */
    uint64_t rank_ns;   /* in the queue */
    double deadline_ns; /* from now; INFINITY: none. The deadline ends the job */
    uint32_t prompt;    /* prompt tokens still to be computed; 0: it decodes */
    uint32_t tokens;    /* tokens still to be sampled, at least 1 */
    uint32_t least;     /* when the job would get a slot, it is dropped if not even this many tokens
                           can be in time: sim_is_doomed(); 0: never */
};

/* Memory for n_jobs, at most SIM_MAX_JOBS, allocated once. */
#define SIM_JOB_BITS 16
#define SIM_MAX_JOBS (UINT32_C(1) << SIM_JOB_BITS)
struct sim_scratch {
    uint32_t n_jobs;
    struct sim_job *jobs;
    uint32_t *left;                            /* prompt tokens still to be computed */
    uint64_t *decoding, *prefilling, *waiting; /* heaps of a key with the job in its low SIM_JOB_BITS */
    uint32_t *through;                         /* the prompts that end in one step */
};
int sim_scratch_init(struct sim_scratch *s, uint32_t n_jobs); /* 0, or -1: out of memory or too many */
void sim_scratch_release(struct sim_scratch *s);

struct sim_params {
    const struct rates_view *rates;
    uint32_t n_slots, max_batch_tokens;
    double slice_ns;
    /* Steps whose results are not in the jobs below yet, and for how long they have run. No job can
     * join them. */
    uint32_t in_flight;
    double elapsed_ns;
    /* scratch->jobs has first the jobs in slots, then the queued ones in the order of the queue, then
     * the expected ones in the order of their arrival. */
    uint32_t n_running, n_queued, n_later;
    uint32_t job; /* the job whose times are requested: its index in jobs; it is never dropped */
};

struct sim_times {
    double slot_ns, first_ns, end_ns; /* from now */
};
void sim_run(const struct sim_params *p, struct sim_scratch *s, struct sim_times *out);

/* The ns from a job's slot to its first token, and to the last of `tokens` tokens, if the job runs
 * alone. */
void sim_alone(const struct rates_view *rates, uint32_t max_batch_tokens, uint32_t prompt, uint32_t tokens,
    double *first_ns, double *end_ns);
/* True: the job will be late even if it gets a slot now and runs a little faster than the learnt rates.
 * busy: the slots in use, including its own, if other jobs wait for a slot, so that steps will be like
 * recent ones; 0 or 1: the job runs alone. */
bool sim_is_doomed(const struct rates_view *rates, uint32_t max_batch_tokens, uint32_t busy, uint32_t prompt,
    uint32_t tokens, double left_ns);

#endif
