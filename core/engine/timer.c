#include "engine/timer.h"

#include "base/thread.h"
#include "engine/engine-internal.h"

/* When the timer must end the job. An aborted job is ended by the thread that aborted it. */
static uint64_t due_ns(const struct job *j)
{
    bool told = atomic_load(&j->abort_reason) != ABORT_NONE;
    return j->request.deadline_ns && !told ? j->request.deadline_ns : UINT64_MAX;
}

void *engine_timer_main(void *engine)
{
    struct engine *e = engine;
    thread_wakes_early();
    for (struct job *j; (j = registry_wait_due(&e->registry, due_ns));) {
        engine_job_abort(e, j, ABORT_DEADLINE);
        job_unref(j);
    }
    return NULL;
}
