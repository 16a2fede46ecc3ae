/*
 * Admission: moves jobs from the queue into slots. The job at the head of the queue gets the idle slot
 * that shares the longest prefix with its prompt. A job that is late, or certain to be late, is ended
 * instead.
 *
 * Life cycle: this module has no state.
 * Threads: only the engine thread calls it.
 * Order of calls: after engine_reap(), which frees slots, and before step_submit(), which gives the new
 * jobs their first rows.
 */
#ifndef ORCD_ENGINE_ADMIT_H
#define ORCD_ENGINE_ADMIT_H

struct engine;

/* Admits jobs until the queue is empty, no slot is idle, or the KV cache has no room and other jobs
 * still run. The caller calls engine_flush(). */
void engine_admit(struct engine *e);

#endif
