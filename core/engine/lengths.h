/*
 * How long answers are, learnt from the last LENGTHS_RING of them. An answer that ended by itself tells
 * its length; one that was ended (max_tokens, deadline, cancel) tells that it is longer. Both count, by
 * the product-limit estimator, so that neither short limits nor deadlines make answers look shorter than
 * they are. No claim goes beyond the longest answer that was seen.
 *
 * Life cycle: all zeros knows nothing; it needs no other beginning, and no end.
 * Threads: the engine thread learns, in slot_release(). Any thread reads; see curve.h.
 * Order of calls: lengths_learn() at any time; lengths_read(), then the other two on what it gave.
 */
#ifndef ORCD_ENGINE_LENGTHS_H
#define ORCD_ENGINE_LENGTHS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LENGTHS_RING 64

struct lengths {
    /* Ascending; of answers longer than all before the i-th: half are longer than
     * median[i], nine in ten than least[i]. */
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

/* Tokens of an answer that has `sampled` already, of at most max_tokens (> sampled): the
 * median, and what nine in ten exceed; both above `sampled`. Nothing known: max_tokens
 * and sampled + 1. */
uint32_t lengths_median(const struct lengths_view *v, uint32_t sampled, uint32_t max_tokens);
uint32_t lengths_least(const struct lengths_view *v, uint32_t sampled, uint32_t max_tokens);

#endif
