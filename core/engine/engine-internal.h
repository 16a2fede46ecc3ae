/*
 * The engine's state, for the files of core/engine; everybody else includes engine.h.
 *
 * Each file has one duty, and a file calls only those below it:
 *
 *     engine                     the public calls; the engine thread's turns
 *     timer, reap, admit, step   the deadline timer; what a turn does
 *     publish                    tokens to events
 *     slot                       a sequence of the plugin and its job
 *     end                        how jobs end
 *     predict, simulate          deadlines foreseen
 *     registry                   all jobs, under the lock
 *     queue, ids, job, rates, reuse, outtext, pace   what those are made of
 *
 * tests/walls/test-circles.py fails when two files call each other, in however many steps.
 *
 * Life cycle: engine_new(), engine_prepare() (memory for slots and steps, the warm-up), the engine
 * thread's turns, engine_free(). engine_start() of engine.h does the two in the middle.
 *
 * Threads: fields belong to the engine thread, but for the constants, the registry with its lock,
 * the predictor with its own, and the atomics. What the engine thread shares with others is written
 * by it and read by them.
 *
 * Order of calls in a turn: engine_reap(), engine_admit(), step_submit(), step_collect(), and
 * engine_flush() where jobs had news. See "The loop" in docs/engine.md.
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
    /* Constant once the engine was prepared. */
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

    /* The engine thread; others read the rates (rates.h). */
    struct rates rates;
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
    atomic_uint_fast64_t last_step_ns, kv_tokens_used;
    /* Since then no call of the plugin has come back; 0: it has no work. */
    atomic_uint_fast64_t pending_since_ns;
};

/* engine_start() without the threads: whoever calls engine_turn() is the engine thread. */
int engine_prepare(
    struct engine *e, struct backend *backend, const struct tokenizer *t, struct orcd_error *err);
/* One round of the engine thread's work. False: there was no step to make. */
bool engine_turn(struct engine *e);

/* Consumers are woken for the news that they were told of since the last flush. Any thread. */
static inline void engine_flush(struct engine *e)
{
    if (e->flush)
        e->flush(e->flush_arg);
}

#endif
