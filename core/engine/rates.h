/*
 * What this worker has learnt about its own speed: the costs of steps (curve.h) and the lengths of
 * answers (lengths.h). Predictions and the size of prefill slices are computed from it.
 *
 * Prompt tokens cost by slices of `granule` tokens (orcd_model_info.prefill_granule): a slice takes much
 * the same time however few tokens are in it. A plugin without slices has slices of one token.
 *
 * Life cycle: all zeros, with max_rows and granule set before any other use; there is nothing to release.
 * Threads: the engine thread learns. Any thread may read; each number is one atomic, and the numbers
 * that a thread reads may be of different steps.
 * Order of calls: rates_prefill_budget() and rates_composed() for each step with decode rows and prompt
 * tokens; rates_learn_step() after each step and rates_learn_length() after each answer; rates_read(), then
 * the functions below it on the view that it filled.
 */
#ifndef ORCD_ENGINE_RATES_H
#define ORCD_ENGINE_RATES_H

#include "engine/curve.h"
#include "engine/lengths.h"

struct rates {
    uint32_t max_rows;            /* decode rows of a step at most, set before any use; 0: any number */
    uint32_t granule;             /* prompt tokens of a slice, set before any use; 0: one */
    struct curve decode;          /* ns of a step's decode rows, by their number */
    struct curve alone, mixed;    /* ns of a slice of prompt tokens in a step without and with decode rows,
                                     by prompt tokens of the step */
    _Atomic double beside;        /* slices of a step with decode rows, a running mean */
    _Atomic double beside_tokens; /* the same of its prompt tokens */
    struct lengths lengths;
    atomic_uint_fast64_t last_ns; /* end of the last step, monotonic; 0: no step yet */

    /* Only for the engine thread. */
    uint64_t finished_ns; /* the same as last_ns */
    uint32_t budget;      /* of the last step, if it was below what the step had place for; else UINT32_MAX */
    uint32_t n_spent;     /* such budgets that were spent, since a step got more */
    uint32_t patience;    /* when so many are spent, a step gets more; 0: not set yet */
};

/* A step that ran from started_ns to finished_ns. The time that the host spent between two steps counts
 * for the second one. */
void rates_learn_step(
    struct rates *r, uint32_t n_decode, uint32_t n_prefill, uint64_t started_ns, uint64_t finished_ns);
/* An answer ended with this many tokens; `ended`: it ended by itself. */
void rates_learn_length(struct rates *r, uint32_t tokens, bool ended);

/* The rates at one moment. */
struct rates_view {
    uint32_t max_rows; /* of a step; more rows take turns, and a "step" is one round of all; 0: any number */
    uint32_t granule;  /* at least 1 */
    struct curve_view decode, alone, mixed;
    double beside, beside_tokens;
    uint64_t last_ns;
    bool known; /* there are enough samples for predictions */
};
void rates_read(const struct rates *r, struct rates_view *out);

/* ns of a step; parts whose cost is not known count as 0. */
double rates_step_ns(const struct rates_view *v, uint32_t n_decode, uint32_t n_prefill);
/* ns of a step of n_decode rows with the recent mean of slices beside them. */
double rates_busy_step_ns(const struct rates_view *v, uint32_t n_decode);
/* How many prompt tokens a step with place for n should have: whole slices, or n where none fits. */
uint32_t rates_whole(const struct rates_view *v, uint32_t n);
/* How many prompt tokens a step may have beside n_decode > 0 rows, so that it takes at most
 * max(slice_ns, 2 decode steps): whole slices; at least 32 tokens, or more that hardly cost more. */
uint32_t rates_budget(const struct rates_view *v, uint32_t n_decode, double slice_ns);

/* The budget of the next step, which has place for `room` prompt tokens. Now and then it is twice the
 * budget by the rates: costs of larger steps are not learnt otherwise, so rates that are too high there
 * would stay for ever. */
uint32_t rates_prefill_budget(struct rates *r, uint32_t n_decode, uint32_t room, uint64_t slice_ns);
/* The step has this many prompt tokens. */
void rates_composed(struct rates *r, uint32_t n_prefill);

#endif
