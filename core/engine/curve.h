/*
 * A cost as a function of a count: the time of a step by its rows, the time of a slice of prompt tokens
 * by the prompt tokens of its step. It is learnt online, in buckets of the count (1, 2, 3, 4, then two an
 * octave), as shape x pace. The shape of a bucket moves slowly. The pace is the mean of the middle half
 * of the last CURVE_RING samples, each divided by its bucket's shape. So a few outliers change nothing,
 * and when a device becomes slower, every bucket shows it after CURVE_RING steps, also a bucket that got
 * no sample since.
 *
 * Life cycle: a curve of all zeros knows nothing and is ready for use; there is nothing to release.
 * Threads: the engine thread learns. Any thread may read; each number is one atomic, and the numbers
 * that a thread reads may be of different steps.
 * Order of calls: curve_learn() at any time; curve_read(), then curve_at() on the view that it filled.
 */
#ifndef ORCD_ENGINE_CURVE_H
#define ORCD_ENGINE_CURVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CURVE_BUCKETS 34 /* counts to 98303; larger ones use the last bucket */
#define CURVE_RING 16

struct curve {
    _Atomic double shape[CURVE_BUCKETS]; /* 0: no sample yet */
    _Atomic double pace;
    atomic_uint n; /* samples */

    /* Only for the thread that learns. */
    uint32_t seen[CURVE_BUCKETS];
    double ring_x[CURVE_RING];
    uint32_t ring_bucket[CURVE_RING];
};

/* A sample: the cost was x > 0 at this count. */
void curve_learn(struct curve *c, uint32_t count, double x);

/* A curve at one moment, with its gaps filled. A bucket without samples lies on the line between its
 * neighbours. Below the first known bucket the cost is that of the first; above the last it is that of
 * the last or, with `grows`, lies on the line through the last two. */
struct curve_view {
    double at[CURVE_BUCKETS]; /* all 0: the curve has no samples */
    uint32_t n;
};
void curve_read(const struct curve *c, bool grows, struct curve_view *out);

static inline uint32_t curve_bucket(uint32_t count)
{
    if (count <= 4)
        return count ? count - 1 : 0;
    uint32_t octave = 31 - (uint32_t)__builtin_clz(count);
    uint32_t b = 2 * octave + (count >> (octave - 1) & 1);
    return b < CURVE_BUCKETS ? b : CURVE_BUCKETS - 1;
}

/* The smallest count of bucket b. */
static inline uint32_t curve_first(uint32_t b)
{
    return b < 4 ? b + 1 : (2 + (b & 1)) << (b / 2 - 1);
}

static inline double curve_at(const struct curve_view *v, uint32_t count)
{
    return v->at[curve_bucket(count)];
}

#endif
