/*
 * How long answers are, learnt from the last LENGTHS_RING of them. If an answer ended by itself, its
 * length is known; if it was cut (max_tokens, deadline, cancel), it is only known to be longer. The
 * product-limit estimator uses both, so that neither small limits nor deadlines make answers look
 * shorter than they are. Estimates never exceed the longest answer that was seen.
 *
 * Life cycle: all zeros knows nothing and is ready for use; there is nothing to release.
 * Threads: the engine thread learns, in slot_release(). Any thread may read; see curve.h.
 * Order of calls: lengths_learn() at any time; lengths_read(), then the functions below it on the view
 * that it filled.
 */
#ifndef ORCD_ENGINE_LENGTHS_H
#define ORCD_ENGINE_LENGTHS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LENGTHS_RING 64

struct lengths {
    /* seen[] ascends. Of the answers longer than all before seen[i], half are longer than median[i] and
     * nine in ten are longer than least[i]. */
    atomic_uint seen[LENGTHS_RING], median[LENGTHS_RING], least[LENGTHS_RING];
    atomic_uint n;

    struct {
        uint32_t tokens;
        bool ended; /* by itself */
    } ring[LENGTHS_RING];
    uint32_t n_ring;
};

void lengths_learn(struct lengths *l, uint32_t tokens, bool ended);

struct lengths_view {
    uint32_t seen[LENGTHS_RING], median[LENGTHS_RING], least[LENGTHS_RING], n;
};
void lengths_read(const struct lengths *l, struct lengths_view *out);

/* The expected tokens of an answer that has `sampled` tokens already and at most max_tokens (>
 * sampled): the median, and the length that nine in ten exceed. Both are above `sampled`. If nothing is
 * known, they are max_tokens and sampled + 1. */
uint32_t lengths_median(const struct lengths_view *v, uint32_t sampled, uint32_t max_tokens);
uint32_t lengths_least(const struct lengths_view *v, uint32_t sampled, uint32_t max_tokens);

#endif
