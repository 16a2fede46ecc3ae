/*
 * The passes over a whole vocabulary that sampling is made of. Written so that a
 * compiler makes vector code of them, with a fixed order of additions: results are
 * the same on every machine of IEEE arithmetic.
 */
#ifndef ORCD_SAMPLE_SOFTMAX_H
#define ORCD_SAMPLE_SOFTMAX_H

#include <stddef.h>
#include <stdint.h>

/* Logits are looked at in blocks of this many, so that later passes can skip a block. */
#define SOFTMAX_BLOCK 64

static inline size_t softmax_blocks(size_t n)
{
    return (n + SOFTMAX_BLOCK - 1) / SOFTMAX_BLOCK;
}

/* Largest value of each block of x into block_max[softmax_blocks(n)] and of all as the
 * answer. NaN counts as -inf. */
float softmax_max(const float *x, size_t n, float *block_max);

/* w[i] = exp((x[i] - max) * scale), 0 for NaN, -inf and below exp(-87); max is finite,
 * nothing is above it, scale is finite and >= 0. Sums of blocks into block_sum where it
 * is not NULL; returns the sum of all. w may be NULL when only sums are wanted. */
double softmax_weights(const float *x, size_t n, float max, double scale, float *w, double *block_sum);

#endif
