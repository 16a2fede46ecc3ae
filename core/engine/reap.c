#include "engine/reap.h"

#include "base/clock.h"
#include "engine/check.h"
#include "engine/end.h"
#include "engine/engine-internal.h"
#include "metrics.h"

/* Checks the abort reason and the deadline of each running job, at least once every check_every_tokens
 * and check_every_ms. The metric is the time of the whole pass, which reads the clock once, divided by
 * the number of checks. */
static void check_rows(struct engine *e)
{
    uint64_t now = clock_mono_ns();
    uint32_t looks = 0, late = 0;
    for (uint32_t i = 0; i < e->params.n_slots; i++) {
        struct slot *s = &e->slots[i];
        if (s->job)
            late += slot_check(s, &e->params, now, &looks);
    }
    if (looks)
        metric_observe(MH_DEADLINE_CHECK, (double)(clock_mono_ns() - now) / 1e3 / looks);
    for (uint32_t i = 0; late && i < e->params.n_slots; i++) {
        struct slot *s = &e->slots[i];
        if (s->job && job_is_late(s->job, now))
            engine_job_abort(e, s->job, ABORT_DEADLINE);
    }
}

/* Ends an aborted job if it has not ended yet, and frees the slot of an ended job if none of its rows
 * is in flight. */
static void reap(struct engine *e, struct slot *s)
{
    struct job *j = s->job;
    enum abort_reason reason = (enum abort_reason)atomic_load(&j->abort_reason);
    if (reason == ABORT_NONE && !job_ended(j))
        return;
    s->seen_ns = s->seen_ns ? s->seen_ns : clock_mono_ns();
    if (!job_ended(j) && !engine_end_aborted(e, j))
        return; /* another thread is about to publish its end; try again in the next turn */
    if (!s->rows_in_flight)
        slot_release(e, s);
}

void engine_reap(struct engine *e)
{
    check_rows(e);
    for (uint32_t i = 0; i < e->params.n_slots; i++)
        if (e->slots[i].job)
            reap(e, &e->slots[i]);
}
