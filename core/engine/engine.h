/*
 * The engine: one owner thread that admits jobs to slots, mixes prefill slices and decode rows of all
 * active jobs into steps, samples, and publishes tokens. The rest of the worker uses the engine through
 * this header and job.h only.
 *
 * Life cycle: engine_new(), engine_start() when plugin and model are ready, engine_free(). Until
 * engine_start() has returned, jobs are refused with MODEL_LOADING.
 *
 * Threads: only the thread that owns the engine calls engine_new(), engine_on_flush(), engine_start()
 * and engine_free(). Any thread may make the other calls; none of them waits for the device, and only
 * engine_wait_idle() waits for jobs. The engine calls `ready` of a job and the flush function on the
 * engine thread, on the deadline timer, and on any thread that ends a job.
 *
 * Order of calls: engine_new(), engine_on_flush(), engine_start(); then engine_submit(), cancels and
 * aborts in any order; engine_drain(), engine_wait_idle(), engine_abort_all(), engine_wait_idle();
 * engine_free(), when no other thread makes calls any more.
 */
#ifndef ORCD_ENGINE_ENGINE_H
#define ORCD_ENGINE_ENGINE_H

#include "engine/job.h"
#include "plugin/host.h"

struct engine;

enum admission { ADMISSION_PREDICTIVE, ADMISSION_SIMPLE, ADMISSION_OFF };

struct engine_params {
    uint32_t n_slots, n_ctx; /* sequences, tokens each */
    uint32_t max_step_rows;  /* decode rows of a step; more slots take turns; 0: all */
    uint32_t max_batch_tokens;
    uint32_t queue_capacity;
    uint32_t check_every_tokens, check_every_ms, prefill_slice_ms;
    uint32_t min_remaining_ms;
    uint32_t max_failures; /* jobs that the device fails in a row until it is probed; 0: any number */
    enum admission admission;
    double probe_share; /* 0 .. 1: the share of jobs with a bad prediction that is accepted as probes */
    /* Consumers may send the tokens of a step on the engine thread (`may_send_now` in job.h) if the
     * step has at most this many rows and the device works on the next step meanwhile. If a step has
     * at most 4 rows, they always may. */
    uint32_t send_now_rows;
};

int engine_new(struct engine **out, const struct engine_params *params, struct orcd_error *err);
/* Borrows backend and tokenizer until engine_free. Runs the warm-up on the caller's thread, then starts
 * the engine thread. */
int engine_start(
    struct engine *e, struct backend *backend, const struct tokenizer *t, struct orcd_error *err);
/* Sets the function that is called after calls of `ready`: once a step on the engine thread, and on any
 * other thread that ended a job. It must not block. */
void engine_on_flush(struct engine *e, void (*fn)(void *arg), void *arg);

/* Why a job was refused; the API makes an HTTP error of it. */
struct engine_refusal {
    enum api_code code;
    uint32_t retry_after_s; /* 0: no Retry-After */
    bool predicted;         /* a prediction was the reason, and the times below are set */
    double predicted_ms, remaining_ms;
    double queue_ms, prefill_ms, decode_ms; /* parts of predicted_ms */
    double margin_ms;                       /* added to predicted_ms for the error of predictions */
    char message[160];
};

/* Queues a job; the engine takes its own reference. Returns API_OK or the refusal's code:
 * MODEL_LOADING, SHUTTING_DOWN, DUPLICATE_JOB, QUEUE_FULL, RATE_LIMITED, DEADLINE_EXCEEDED,
 * CONTEXT_LENGTH_EXCEEDED. The job's `ready` may run before this returns. */
enum api_code engine_submit(struct engine *e, struct job *job, struct engine_refusal *refusal);

/* Before the n jobs of one request are submitted: whether they fit together. Returns API_OK or QUEUE_FULL. */
enum api_code engine_has_room(struct engine *e, uint32_t n, struct engine_refusal *refusal);
/* Takes back a job whose request was refused for another one of its jobs: it is not counted, and `ready` is
 * not called. False: it has a slot already, or has ended. */
bool engine_withdraw(struct engine *e, struct job *job);

/* Aborts one job and dooms its rows, no others. Idempotent: the first reason wins. */
void engine_job_abort(struct engine *e, struct job *job, enum abort_reason reason);

enum cancel_answer { CANCEL_UNKNOWN, CANCEL_CANCELLING, CANCEL_FINISHED };
enum cancel_answer engine_cancel(struct engine *e, const char *job_id);
/* The same for a job of this owner (request.owner). noticed_ns (monotonic) is when the cancel or the
 * disconnect was noticed; detection and stop are measured from it. */
enum cancel_answer engine_cancel_of(
    struct engine *e, const char *job_id, uint32_t owner, uint64_t noticed_ns);
void engine_job_abort_noticed(
    struct engine *e, struct job *job, enum abort_reason reason, uint64_t noticed_ns);

/* Refuses new jobs, ends the queued ones with SHUTTING_DOWN, and lets running ones go on. */
void engine_drain(struct engine *e);
void engine_abort_all(struct engine *e, enum abort_reason reason);
/* Waits until no job is left, at most timeout_ms. False: some are left. */
bool engine_wait_idle(struct engine *e, uint64_t timeout_ms);
/* Aborts the jobs that are left, ends the threads and frees. Accepts NULL. */
void engine_free(struct engine *e);

/* Read from atomics, without a lock; for health and metrics. */
struct engine_state {
    bool ready, draining, device_lost;
    uint32_t failed_in_row; /* jobs that the device failed since the last token */
    uint32_t slots_total, slots_busy, queue_depth;
    uint64_t last_step_ns; /* monotonic end of the last step; 0: none yet */
    bool work_pending;     /* a step is in flight or due */
    uint64_t pending_since_ns;
    uint64_t kv_tokens_used, kv_tokens_total;
    uint32_t n_ctx;
};
void engine_state(const struct engine *e, struct engine_state *out);
/* True if the engine thread has gone round its loop since the last call; also wakes it, so that an idle one
 * can. One thread calls it. While a step runs, last_step_ns and pending_since_ns say more. */
bool engine_turned(struct engine *e);

#endif
