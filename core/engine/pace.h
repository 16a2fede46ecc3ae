/*
 * When the step behind the one in flight is composed: as late as is safe. What happens before that - a
 * new job, a cancel, a deadline - is in it or out of it already, in place of one step later; and until
 * then the engine thread listens.
 *
 * Safe means that the device must not run dry. The step in flight has lasted at least as long as the
 * shortest of the last PACE_STEPS decode steps with near certainty, so the next is composed a quarter of
 * that before, and never less than PACE_MARGIN_NS. Should steps become shorter at once, the device waits
 * once, for less than the difference, and never for more than PACE_MOST_NS.
 *
 * Life cycle: all zeros knows no step, so that the next is due at once; there is no end.
 * Threads: the engine thread.
 * Order of calls: step.c sets from_ns when the device begins a step and calls pace_learn() after a
 * decode step; pace_due_ns() while one is in flight.
 */
#ifndef ORCD_ENGINE_PACE_H
#define ORCD_ENGINE_PACE_H

#include <stdint.h>

#define PACE_STEPS 8
#define PACE_MARGIN_NS UINT64_C(1000000)
#define PACE_MOST_NS UINT64_C(250000000)

struct pace {
    uint64_t durations[PACE_STEPS]; /* ring of the last decode steps */
    uint32_t n;                     /* of them so far */
    uint64_t from_ns;               /* when the device began the step in flight, as far as is known */
};

/* A step of decode rows alone was through. */
void pace_learn(struct pace *p, uint64_t duration_ns);
/* When to compose the next one; 0: now. */
uint64_t pace_due_ns(const struct pace *p);

#endif
