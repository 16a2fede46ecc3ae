/*
 * Admission: from the queue into a slot. The job at the head of the queue gets the idle slot whose
 * prefix it shares most of; one that is late, or is sure to be, gets its end in place of a slot.
 *
 * Life cycle: it has no state of its own.
 * Threads: the engine thread.
 * Order of calls: between engine_reap(), which frees slots, and step_submit(), which gives the new
 * jobs their first rows.
 */
#ifndef ORCD_ENGINE_ADMIT_H
#define ORCD_ENGINE_ADMIT_H

struct engine;

/* Until the queue is empty, no slot is idle, or the KV has no room as long as other jobs run. The
 * caller calls engine_flush(). */
void engine_admit(struct engine *e);

#endif
