/*
 * The engine's state, for the files of core/engine only; all other code includes engine.h.
 *
 * Each file has one duty, and a file calls only the files below it:
 *
 *     engine                     the public calls; the engine thread's turns
 *     timer, reap, admit, step   the deadline timer; what a turn does
 *     publish                    tokens to events
 *     slot                       a sequence of the plugin and its job
 *     end                        how jobs end
 *     predict, simulate          predictions: whether a job can meet its deadline
 *     registry                   all jobs that have not ended, under the lock
 *     queue, ids, job, rates, reuse, outtext, pace   the parts that the files above are made of
 *
 * tests/walls/test-circles.py fails when files call each other in a circle.
 *
 * Life cycle: engine_new(), engine_prepare() (allocates slots and steps, runs the warm-up), the turns of
 * the engine thread, engine_free(). engine_start() of engine.h calls engine_prepare() and starts the
 * threads.
 *
 * Threads: the engine thread owns all fields but the constants, the registry (which has its lock), the
 * predictor (which has its own lock) and the atomics. Other threads read the atomics; the engine thread
 * writes them, except `ready` and `is_draining`, which engine_start() and engine_drain() set.
 *
 * Order of calls in a turn: engine_reap(), engine_admit(), step_submit(), step_collect(), and
 * engine_flush() whenever jobs had news. See "The loop" in docs/engine.md.
 */
#ifndef ORCD_ENGINE_INTERNAL_H
#define ORCD_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/pace.h"
#include "engine/predict.h"
#include "engine/rates.h"
#include "engine/registry.h"
#include "engine/slot.h"
#include "engine/step.h"

struct engine {
    /* Constant after engine_prepare(). */
    struct engine_params params;
    struct backend *backend;
    const struct tokenizer *tokenizer;
    void (*flush)(void *arg);
    void *flush_arg;
    pthread_t thread, timer;
    bool started;

    /* Any thread. */
    struct registry registry;
    struct predictor predict;

    /* Owned by the engine thread; other threads read the rates (rates.h). */
    struct rates rates;
    struct slot *slots;
    struct step steps[ENGINE_MAX_STEPS]; /* a ring; the oldest step in flight is at first_step */
    uint32_t first_step, n_steps, max_steps;
    bool poisoned; /* the step in flight follows one that failed */
    uint64_t next_ticket;
    uint32_t turn; /* the slot whose decode row comes first in the next step */
    uint64_t flushed_ns;
    bool may_send_now; /* passed to `ready` (job.h) for the tokens of the step that is being collected */
    struct pace pace;
    uint64_t probe_due_ns; /* 0: not set; device.h */

    /* For engine_state(). */
    atomic_bool ready, is_draining, device_lost;
    atomic_uint failed_in_row; /* device.h */
    atomic_uint_fast64_t last_step_ns, kv_tokens_used;
    /* When the call of the plugin that has not returned yet began; 0: the plugin has no work. */
    atomic_uint_fast64_t pending_since_ns;
};

/* engine_start() without the threads: the thread that calls engine_turn() is the engine thread. */
int engine_prepare(
    struct engine *e, struct backend *backend, const struct tokenizer *t, struct orcd_error *err);
/* One round of the engine thread's work. False: there was nothing to compute. */
bool engine_turn(struct engine *e);

/* Wakes the consumers whose `ready` was called since the last flush. Any thread may call it. */
static inline void engine_flush(struct engine *e)
{
    if (e->flush)
        e->flush(e->flush_arg);
}

#endif
