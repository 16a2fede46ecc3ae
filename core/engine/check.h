/*
 * The look at a running job between steps: its deadline and its cancel flag, one load and one compare
 * each. Inline, because each step looks at every slot.
 *
 * The time is read once for all slots: reading it costs more than everything here. A late time only
 * delays the answer, it never makes a job late too early.
 *
 * Life cycle: it has no state of its own; slot_begin() resets what belongs to a slot.
 * Threads: the engine thread calls slot_check(). Any thread may look at a job.
 * Order of calls: slot_check() for every slot with a job, once between two steps (reap.c).
 */
#ifndef ORCD_ENGINE_CHECK_H
#define ORCD_ENGINE_CHECK_H

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/slot.h"

/* Nanoseconds until the deadline; 0: it passed; UINT64_MAX: there is none. */
static inline uint64_t job_remaining_ns(const struct job *j, uint64_t now_ns)
{
    uint64_t deadline = j->request.deadline_ns;
    if (!deadline)
        return UINT64_MAX;
    return deadline > now_ns ? deadline - now_ns : 0;
}

/* Its client, its deadline or this worker's end told it to stop. */
static inline bool job_told_to_stop(const struct job *j)
{
    return atomic_load(&j->abort_reason) != ABORT_NONE;
}

/* It gets no row any more. */
static inline bool job_is_stopping(const struct job *j)
{
    return job_ended(j) || job_told_to_stop(j);
}

/* Its deadline passed, and nobody has told it yet. */
static inline bool job_is_late(const struct job *j, uint64_t now_ns)
{
    return job_remaining_ns(j, now_ns) == 0 && !job_told_to_stop(j);
}

/* Looks at the slot's job when check_every_tokens or check_every_ms have gone by, and
 * adds 1 to *looks then. True: the job is late. */
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
