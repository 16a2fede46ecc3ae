/*
 * How jobs end. Each job has one end: engine_end_job() claims it (job_end_claim), fills it in,
 * takes the job off the registry, counts it and publishes it. Whoever comes second changes nothing.
 *
 * Three things end a job: the engine thread (its answer is complete, or its step failed), an abort
 * from any thread (a cancel, a disconnect, a deadline, the shutdown), and the loss of the device.
 * end.c has engine_job_abort(), engine_cancel(), engine_drain() and engine_abort_all() of engine.h, too.
 *
 * Life cycle: it has no state of its own; a job can end from registry_list() on.
 *
 * Threads: any thread may make any call, without the registry's lock. The thread that ends a job
 * also tells its consumer (job->ready).
 *
 * Order of calls: an abort stores its reason, dooms the job's row in flight, then ends the job. The
 * engine thread sees the end or the reason (reap.h) and frees the slot. The calls below do not call
 * engine_flush(): their caller does, once for all jobs that it ended. The aborts of engine.h do.
 */
#ifndef ORCD_ENGINE_END_H
#define ORCD_ENGINE_END_H

#include "engine/job.h"

struct engine;

/* The job's one end: its terminal event, its metrics, its place in the registry. False: it had an
 * end already. */
bool engine_end_job(struct engine *e, struct job *j, enum api_code code, enum finish_reason finish,
    const char *fmt, ...) ORCD_PRINTF(5, 6);
/* The same for the reason that the job was aborted for. */
bool engine_end_aborted(struct engine *e, struct job *j);
/* Ends every listed job with this error. */
void engine_end_all(struct engine *e, enum api_code code, const char *message);
/* Counts detection and stop of a job that was told to stop, once it has no slot (any more). */
void engine_count_stopped(const struct job *j, uint64_t seen_ns);

#endif
