/*
 * Checks a running job between steps: its deadline and its abort reason, with one load and one compare
 * each. The functions are inline, because every slot is checked between two steps.
 *
 * The caller reads the clock once for all slots, because reading it costs more than all checks here. If
 * that time is a little old, a deadline is noticed later, never too early.
 *
 * Life cycle: this module has no state; slot_begin() resets the counters in a slot.
 * Threads: only the engine thread calls slot_check(). Any thread may call the job_ functions.
 * Order of calls: slot_check() for every slot with a job, once between two steps (reap.c).
 */
#ifndef ORCD_ENGINE_CHECK_H
#define ORCD_ENGINE_CHECK_H

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/slot.h"

/* Nanoseconds until the deadline; 0: it has passed; UINT64_MAX: the job has none. */
static inline uint64_t job_remaining_ns(const struct job *j, uint64_t now_ns)
{
    uint64_t deadline = j->request.deadline_ns;
    if (!deadline)
        return UINT64_MAX;
    return deadline > now_ns ? deadline - now_ns : 0;
}

/* A cancel, a disconnect, its deadline or the shutdown has aborted it. */
static inline bool job_told_to_stop(const struct job *j)
{
    return atomic_load(&j->abort_reason) != ABORT_NONE;
}

/* It must get no more rows. */
static inline bool job_is_stopping(const struct job *j)
{
    return job_ended(j) || job_told_to_stop(j);
}

/* Its deadline has passed, and nothing has aborted it yet. */
static inline bool job_is_late(const struct job *j, uint64_t now_ns)
{
    return job_remaining_ns(j, now_ns) == 0 && !job_told_to_stop(j);
}

/* Checks the slot's job if check_every_tokens or check_every_ms have passed since the last check, and
 * then adds 1 to *looks. True: the job is late. */
static inline bool slot_check(struct slot *s, const struct engine_params *p, uint64_t now_ns, uint32_t *looks)
{
    if (s->unchecked < p->check_every_tokens && now_ns - s->checked_ns < p->check_every_ms * NS_PER_MS)
        return false;
    s->unchecked = 0;
    s->checked_ns = now_ns;
    ++*looks;
    return job_is_late(s->job, now_ns);
}

#endif
