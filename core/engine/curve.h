/*
 * A cost that depends on a count: a step's time on its rows, a prompt token's time on the tokens of its
 * step. It is learnt online, in buckets of the count (1, 2, 3, 4, then two an octave), as shape x pace.
 * A bucket's shape moves slowly; the pace is the mean of the middle half of the last CURVE_RING samples
 * over their shapes. So a few wild samples change nothing, and a device that became slower shows in
 * every bucket after CURVE_RING steps, also in those that were not seen since.
 *
 * Life cycle: all zeros is a curve that knows nothing; it needs no other beginning, and no end.
 * Threads: the engine thread learns. Any thread reads; each number is one atomic, and they need not be
 * of the same step.
 * Order of calls: curve_learn() at any time; curve_read(), then curve_at() on what it gave.
 */
#ifndef ORCD_ENGINE_CURVE_H
#define ORCD_ENGINE_CURVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CURVE_BUCKETS 34 /* counts to 98303; more is as much */
#define CURVE_RING 16

struct curve {
    _Atomic double shape[CURVE_BUCKETS]; /* 0: nothing known */
    _Atomic double pace;
    atomic_uint n; /* samples */

    /* The learning thread's. */
    uint32_t seen[CURVE_BUCKETS];
    double ring_x[CURVE_RING];
    uint32_t ring_bucket[CURVE_RING];
};

/* A sample: so many of them cost x > 0. */
void curve_learn(struct curve *c, uint32_t count, double x);

/* A curve at one moment, with its gaps filled: on a line between the neighbours, as the
 * nearest beyond them; above the last, where `grows`, on the line of the last two. */
struct curve_view {
    double at[CURVE_BUCKETS]; /* all 0: nothing known */
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

static inline double curve_at(const struct curve_view *v, uint32_t count)
{
    return v->at[curve_bucket(count)];
}

#endif
