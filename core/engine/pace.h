/*
 * Decides when the step behind the one in flight is composed: as late as is safe. Until then the engine
 * thread waits for news, and a job that arrives or stops in that time changes this step, not only the
 * one after it.
 *
 * Safe means that the device never waits for a step. It is nearly certain that the step in flight takes
 * at least as long as the shortest of the last PACE_STEPS decode steps. So the next step is composed a
 * quarter of that time before its end, and at least PACE_MARGIN_NS before. If steps suddenly become
 * shorter, the device waits once, for less than the difference and at most PACE_MOST_NS.
 *
 * Life cycle: all zeros knows no step, so the next one is due at once; there is nothing to release.
 * Threads: only the engine thread.
 * Order of calls: step.c sets from_ns when the device begins a step, and calls pace_learn() after a
 * decode step. pace_due_ns() is called while a step is in flight.
 */
#ifndef ORCD_ENGINE_PACE_H
#define ORCD_ENGINE_PACE_H

#include <stdint.h>

#define PACE_STEPS 8
#define PACE_MARGIN_NS UINT64_C(1000000)
#define PACE_MOST_NS UINT64_C(250000000)

struct pace {
    uint64_t durations[PACE_STEPS]; /* ring of the last decode steps */
    uint32_t n;                     /* decode steps so far */
    uint64_t from_ns;               /* when the device began the step in flight, as far as is known */
};

/* A step of nothing but decode rows has finished. */
void pace_learn(struct pace *p, uint64_t duration_ns);
/* When to compose the next step; 0: now. */
uint64_t pace_due_ns(const struct pace *p);

#endif
