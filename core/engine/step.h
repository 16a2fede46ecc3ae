/*
 * Steps: the batches that are submitted to the plugin, and their results.
 *
 * A step has at most one row for each slot: a piece of a job's prompt, or the token that was sampled
 * last. Up to ENGINE_MAX_STEPS are in flight at once, in the ring e->steps; the oldest is collected
 * first. See "Two steps in flight" in docs/engine.md.
 *
 * Life cycle: step_init() allocates the memory of a step once, step_release() frees it after the last
 * step. In between, the same memory is used for one step after the other.
 *
 * Threads: only the engine thread. engine_warm_up() is called before that thread is started, by the
 * thread that starts it.
 *
 * Order of calls: engine_warm_up() once; then step_submit(), step_submit() again if step_can_follow()
 * returns true, step_collect(). engine_reap() and engine_admit() run before a step is composed.
 */
#ifndef ORCD_ENGINE_STEP_H
#define ORCD_ENGINE_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct engine;

/* The most steps in flight, if the plugin supports that many. */
#define ENGINE_MAX_STEPS 2
/* If a step has at most this many rows, its consumers may send their tokens on the engine thread even
 * though the device waits meanwhile. While the device works on the next step, the limit is
 * engine_params.send_now_rows. */
#define ENGINE_SEND_NOW_ROWS 4

/* One step that is being composed or is in flight; arrays of n_rows and n_tokens of step_init(). */
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

/* Computes a short prompt and one token in sequence 0, twice, to see that the plugin works and to learn
 * first rates from the second time. */
int engine_warm_up(struct engine *e, struct orcd_error *err);
/* Where the device fails job after job (device.h) and a probe is due: tries one token in a sequence of its
 * own. Only with no step in flight. */
void step_probe(struct engine *e);
/* With one step in flight: whether the next step can be composed already and is useful. */
bool step_can_follow(const struct engine *e);
/* Composes one step and submits it. False: there is nothing to compute, or the step failed at once. */
bool step_submit(struct engine *e);
/* Waits for the oldest step in flight, passes its rows to publish.h, and learns its times. */
void step_collect(struct engine *e);

#endif
