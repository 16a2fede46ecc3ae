/*
 * The engine: one owner thread that admits jobs to slots, mixes prefill slices and decode rows of all
 * active jobs into steps, samples, and publishes tokens. This header is all that the rest of the worker
 * knows of it, besides job.h.
 *
 * Life cycle: engine_new(), engine_start() when plugin and model are ready, engine_free(). Before
 * engine_start() has returned, jobs are refused with MODEL_LOADING.
 *
 * Threads: engine_new(), engine_on_flush(), engine_start() and engine_free() belong to whoever owns the
 * engine. Any thread may make the other calls; none of them waits for the device, and only
 * engine_wait_idle() waits for jobs. The engine thread, the deadline timer, and any thread that ends a
 * job call `ready` of that job and the flush function.
 *
 * Order of calls: engine_new(), engine_on_flush(), engine_start(); then engine_submit() and what may
 * end a job, as it comes; engine_drain(), engine_wait_idle(), engine_abort_all(), engine_wait_idle();
 * engine_free(), when no thread makes a call any more.
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
    enum admission admission;
    double probe_share; /* 0 .. 1: of the jobs that a prediction refuses, those taken all the same */
    /* A step of at most so many rows lets consumers send their tokens on the engine thread
     * while the device works on the next step (`may_send_now` in job.h). A step of at most 4
     * rows always does. */
    uint32_t send_now_rows;
};

int engine_new(struct engine **out, const struct engine_params *params, struct orcd_error *err);
/* Borrows backend and tokenizer until engine_free. Runs one warm-up step on the
 * caller's thread, then starts the engine thread: ready. */
int engine_start(
    struct engine *e, struct backend *backend, const struct tokenizer *t, struct orcd_error *err);
/* Called after `ready` calls: once per step on the engine thread, and on any other
 * thread that ended a job. Must be callable from any thread and not block. */
void engine_on_flush(struct engine *e, void (*fn)(void *arg), void *arg);

/* Answer to a refused job: an HTTP error made of it. */
struct engine_refusal {
    enum api_code code;
    uint32_t retry_after_s; /* 0: no Retry-After */
    bool predicted;         /* those below are set */
    double predicted_ms, remaining_ms;
    double queue_ms, prefill_ms, decode_ms; /* parts of predicted_ms */
    double margin_ms;                       /* for the error of predictions; on top */
    char message[160];
};

/* Queues a job; the engine takes its own reference. API_OK, or the refusal's code:
 * MODEL_LOADING, SHUTTING_DOWN, DUPLICATE_JOB, QUEUE_FULL, DEADLINE_EXCEEDED,
 * CONTEXT_LENGTH_EXCEEDED. Its `ready` may run before this returns. */
enum api_code engine_submit(struct engine *e, struct job *job, struct engine_refusal *refusal);

/* Idempotent; the first reason wins. Dooms this job's rows only. */
void engine_job_abort(struct engine *e, struct job *job, enum abort_reason reason);

enum cancel_answer { CANCEL_UNKNOWN, CANCEL_CANCELLING, CANCEL_FINISHED };
enum cancel_answer engine_cancel(struct engine *e, const char *job_id);
/* The same of an owner's job (request.owner), and when the cancel or the disconnect was
 * noticed (monotonic), from which detection and stop are measured. */
enum cancel_answer engine_cancel_of(
    struct engine *e, const char *job_id, uint32_t owner, uint64_t noticed_ns);
void engine_job_abort_noticed(
    struct engine *e, struct job *job, enum abort_reason reason, uint64_t noticed_ns);

/* Refuse new jobs, end the queued ones with SHUTTING_DOWN, let running ones go on. */
void engine_drain(struct engine *e);
void engine_abort_all(struct engine *e, enum abort_reason reason);
/* Waits until no job is left, at most timeout_ms; false: some are. */
bool engine_wait_idle(struct engine *e, uint64_t timeout_ms);
/* Ends the thread (aborting what is left) and frees. Takes NULL. */
void engine_free(struct engine *e);

/* From atomics; for health and metrics. */
struct engine_state {
    bool ready, draining, device_lost;
    uint32_t slots_total, slots_busy, queue_depth;
    uint64_t last_step_ns; /* monotonic end of the last step; 0: none yet */
    bool work_pending;     /* a step is in flight or due */
    uint64_t pending_since_ns;
    uint64_t kv_tokens_used, kv_tokens_total;
    uint32_t n_ctx;
};
void engine_state(const struct engine *e, struct engine_state *out);

#endif
