/*
 * Steps: what goes into a call of the plugin, and what comes back.
 *
 * A step has one row for each of some slots: a piece of a job's prompt, or the token that was sampled
 * last. Up to ENGINE_MAX_STEPS are in flight at once, in the ring e->steps; the oldest is collected
 * first. See "Two steps in flight" in docs/engine.md.
 *
 * Life cycle: step_init() makes a step's memory once, step_release() frees it after the last step.
 * In between, the same memory is composed, submitted and collected again and again.
 *
 * Threads: the engine thread. engine_warm_up() runs before that thread is started, on the thread
 * that starts it.
 *
 * Order of calls: engine_warm_up() once; then step_submit(), step_can_follow() and again
 * step_submit() if it says so, step_collect(). engine_reap() and engine_admit() run before a step is
 * composed.
 */
#ifndef ORCD_ENGINE_STEP_H
#define ORCD_ENGINE_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct engine;

/* Steps that may be in flight, if the plugin takes so many. */
#define ENGINE_MAX_STEPS 2
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

int step_init(struct step *st, uint32_t n_rows, uint32_t n_tokens); /* 0, or -1: out of memory */
void step_release(struct step *st);

/* A prompt and a token in sequence 0, for a first rate and to show that the plugin works. */
int engine_warm_up(struct engine *e, struct orcd_error *err);
/* With one step in flight: whether the next can be composed already, and somebody wants it. */
bool step_can_follow(const struct engine *e);
/* Composes one step and submits it. False: there is nothing to compute, or it failed at once. */
bool step_submit(struct engine *e);
/* Waits for the oldest step in flight, gives its rows to publish.h, and learns its times. */
void step_collect(struct engine *e);

#endif
