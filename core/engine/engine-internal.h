/* What the files of the engine share. */
#ifndef ORCD_ENGINE_INTERNAL_H
#define ORCD_ENGINE_INTERNAL_H

#include <pthread.h>

#include "engine/engine.h"
#include "engine/ids.h"
#include "engine/outtext.h"
#include "engine/pace.h"
#include "engine/predict.h"
#include "engine/queue.h"
#include "engine/rates.h"

/* One sequence of the plugin. Engine thread only, but for what is said. */
struct slot {
    uint32_t id;
    struct job *job;  /* own reference; NULL: idle, its history is a prefix to reuse */
    bool open;        /* seq_open was called */
    int32_t *history; /* tokens whose KV the plugin holds; room for n_ctx */
    uint32_t n_history;
    uint32_t rows_in_flight; /* in steps that were not collected, at most one a step */
    uint32_t n_fed;          /* n_history, once those are through */
    uint64_t row_ticket;     /* of the last of them */
    uint64_t last_used_ns;

    struct sampler *sampler;
    struct outtext text;
    bool on_device;     /* the plugin samples for this job */
    bool chained;       /* a row in flight will sample on the device, so that the next can follow it */
    int32_t next_token; /* sampled last; -1: none */
    uint32_t n_sampled;
    uint32_t n_text; /* bytes of job->text written */
    uint32_t n_top;
    uint32_t n_held;    /* bytes of job->held written */
    uint32_t unchecked; /* tokens since the last deadline check */
    uint64_t checked_ns;
    uint64_t seen_ns;   /* when it was seen that the job is to stop; 0: it goes on */
    uint32_t n_dropped; /* rows computed for a token that came too late to be sampled */
};

/* Steps that may be in flight, if the plugin takes so many. */
#define ENGINE_MAX_STEPS 2
/* Sampled tokens wait for no more than this before the HTTP loops are woken. */
#define ENGINE_FLUSH_NS 50000
/* The consumers of a step of so many rows may send its tokens at once though the device waits
 * meanwhile; while it has a step to work on, those of engine_params.send_now_rows rows may. */
#define ENGINE_SEND_NOW_ROWS 4

/* One step in the making or in flight; arrays of max_rows and max_batch_tokens. */
struct step {
    uint64_t ticket;
    uint32_t n_rows, n_tokens, n_decode, n_prefill;
    uint32_t *seq, *first_pos, *row_tokens, *token_start, *want, *kind;
    int32_t *tokens;
    int32_t *status;
    uint32_t *kept, *n_logits;
    const float **logits;
    int32_t *sampled;
    const int32_t **top_ids;
    const float **top_logprobs;
};

/*
 * Locks: `lock` is the only one, held for list surgery, never across a plugin call, a
 * callback or a wait for the device.
 */
struct engine {
    struct engine_params params;
    struct backend *backend;
    const struct tokenizer *tokenizer;
    struct rates rates;
    struct predictor predict;
    void (*flush)(void *arg);
    void *flush_arg;

    pthread_t thread, timer;
    bool started;

    pthread_mutex_t lock;
    pthread_cond_t work; /* engine thread: something to do; see engine_wake() */
    uint64_t n_wakes;
    pthread_cond_t timer_wake; /* timer thread: deadlines changed */
    pthread_cond_t idle;       /* engine_wait_idle: a slot or a job went */
    struct queue queue;
    struct ids *ids;
    struct job *live; /* all jobs that have not ended */
    uint32_t n_live;
    bool draining, stop;
    enum api_code broken; /* not API_OK: the device is lost */

    /* Engine thread. */
    struct slot *slots;
    struct step steps[ENGINE_MAX_STEPS]; /* ring, the oldest in flight at first_step */
    uint32_t first_step, n_steps, max_steps;
    bool poisoned; /* the step in flight follows one that failed */
    uint64_t next_ticket;
    uint32_t turn; /* the slot whose decode row comes first */
    uint64_t flushed_ns;
    bool may_send_now; /* of the step that is collected: what consumers are told, see job.h */
    struct pace pace;

    /* For engine_state(). */
    atomic_bool ready, is_draining, device_lost;
    atomic_uint slots_busy, queue_depth;
    atomic_uint_fast64_t last_step_ns, pending_since_ns, kv_tokens_used;
};

/* engine.c */
/* engine_start() without the threads: whoever calls engine_turn() is the engine thread. */
int engine_prepare(
    struct engine *e, struct backend *backend, const struct tokenizer *t, struct orcd_error *err);
bool engine_turn(struct engine *e); /* one round of its work; false: there was no step to make */

/* Something for the engine thread to look at. Under the lock. */
void engine_wake(struct engine *e);

/* finish.c */
/* Ends a job: its one terminal event, its metrics, its place in the lists. Any thread,
 * without the lock. False: it had ended already. The caller flushes. */
bool engine_finish(struct engine *e, struct job *j, enum api_code code, enum finish_reason finish,
    const char *fmt, ...) ORCD_PRINTF(5, 6);
/* Ends a job for the reason that it was aborted for. */
bool engine_finish_aborted(struct engine *e, struct job *j);
void engine_flush(struct engine *e);
/* Of a job that was told to stop and has no slot (any more). */
void engine_count_stopped(const struct job *j, uint64_t seen_ns);
void *engine_timer_main(void *arg);

/* admit.c: engine thread. */
void engine_admit(struct engine *e);
void slot_release(struct engine *e, struct slot *s);

/* step.c: engine thread. */
int step_init(struct step *st, uint32_t n_rows, uint32_t n_tokens);
void step_release(struct step *st);
int engine_warm_up(struct engine *e, struct orcd_error *err);
/* With one step in flight: whether the next can be told already, and somebody wants it. */
bool step_can_follow(const struct engine *e);
bool step_submit(struct engine *e);  /* composes and submits one; false: nothing to do */
void step_collect(struct engine *e); /* the oldest: waits, samples, publishes */
/* Ends what is to stop; frees the slots of jobs that ended. */
void engine_reap(struct engine *e);

/* publish.c: engine thread. */
/* The row gave these logits, or, sampled by the plugin, this token: one more event. */
void slot_sample(struct engine *e, struct slot *s, const float *logits);
void slot_sampled(struct engine *e, struct slot *s, int32_t token, uint64_t sampled_ns);
/* Nobody wants the slot's rows in flight any more. */
void slot_doom(struct engine *e, struct slot *s);

#endif
