/*
 * The passes over a whole vocabulary that sampling consists of. A compiler makes vector code of them, and
 * the order of additions is fixed, so results are the same on every machine with IEEE arithmetic.
 *
 * Pure functions without state: any thread may call them at any time. Order of calls: softmax_max(), then
 * softmax_weights() with the maximum that it returned.
 */
#ifndef ORCD_SAMPLE_SOFTMAX_H
#define ORCD_SAMPLE_SOFTMAX_H

#include <stddef.h>
#include <stdint.h>

/* Logits are processed in blocks of this many, so that later passes can skip a block. */
#define SOFTMAX_BLOCK 64

static inline size_t softmax_blocks(size_t n)
{
    return (n + SOFTMAX_BLOCK - 1) / SOFTMAX_BLOCK;
}

/* Writes the largest value of each block of x to block_max[softmax_blocks(n)] and returns the largest of
 * all. A NaN counts as -inf. */
float softmax_max(const float *x, size_t n, float *block_max);

/* w[i] = exp((x[i] - max) * scale), 0 for NaN, -inf and results below exp(-87). max is finite, no x[i] is
 * larger, and scale is finite and >= 0. Writes the sums of blocks to block_sum unless it is NULL, and
 * returns the sum of all. w may be NULL if only sums are needed. */
double softmax_weights(const float *x, size_t n, float max, double scale, float *w, double *block_sum);

#endif
