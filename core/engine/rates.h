/*
 * What this worker has learnt of its own speed. Written by the engine thread, read by
 * any (each number is one atomic; they need not agree to the last step).
 */
#ifndef ORCD_ENGINE_RATES_H
#define ORCD_ENGINE_RATES_H

#include <stdatomic.h>
#include <stdint.h>

#define RATES_LENGTHS 64

struct rates {
    _Atomic double decode_ns;            /* one step of decode rows */
    _Atomic double prefill_ns_per_token; /* beyond the decode rows of its step */
    atomic_uint n_decode, n_prefill;     /* samples, warm-up included */
    atomic_uint lengths[RATES_LENGTHS];  /* sampled tokens of the last answers that ended by themselves */
    atomic_uint n_lengths;
};

/* A step of n_decode rows and n_prefill tokens took this long. */
void rates_learn_step(struct rates *r, uint32_t n_decode, uint32_t n_prefill, uint64_t duration_ns);
void rates_learn_length(struct rates *r, uint32_t tokens);
/* Prefill tokens that a step may have beside decode rows, so that it takes no longer
 * than max(slice_ns, 2 decode steps); at least 32. */
uint32_t rates_prefill_budget(const struct rates *r, uint64_t slice_ns);
uint32_t rates_median_length(const struct rates *r); /* 0: no samples */

#endif
