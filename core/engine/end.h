/*
 * How jobs end. A job ends once: engine_end_job() claims the end (job_end_claim), fills it in, removes
 * the job from the registry, counts it and publishes the end. A second call for the same job changes
 * nothing.
 *
 * A job is ended by the engine thread (its answer is complete, or its step failed), by an abort from
 * any thread (a cancel, a disconnect, a deadline, the shutdown), or by the loss of the device.
 * end.c also implements engine_job_abort(), engine_cancel(), engine_drain() and engine_abort_all() of
 * engine.h.
 *
 * Life cycle: this module has no state; a job can end as soon as registry_list() has listed it.
 *
 * Threads: any thread may make any call, but must not hold the registry's lock. The thread that ends a
 * job also notifies its consumer (job->ready).
 *
 * Order of calls: an abort stores its reason, dooms the job's row in flight, then ends the job. The
 * engine thread sees the end or the reason (reap.h) and frees the slot. The functions below do not call
 * engine_flush(): their caller does, once for all jobs that it ended. The aborts of engine.h do.
 */
#ifndef ORCD_ENGINE_END_H
#define ORCD_ENGINE_END_H

#include "engine/job.h"

struct engine;

/* Ends the job: fills in its terminal event, counts it and removes it from the registry. False: it has
 * ended already. */
bool engine_end_job(struct engine *e, struct job *j, enum api_code code, enum finish_reason finish,
    const char *fmt, ...) ORCD_PRINTF(5, 6);
/* The same, with the code and message of the job's abort reason. */
bool engine_end_aborted(struct engine *e, struct job *j);
/* Ends all listed jobs with this error. */
void engine_end_all(struct engine *e, enum api_code code, const char *message);
/* Counts how fast a cancel or a disconnect was detected and how fast the job stopped. Called when the
 * slot of an aborted job is free, or at its end if it never had a slot. */
void engine_count_stopped(const struct job *j, uint64_t seen_ns);

#endif
