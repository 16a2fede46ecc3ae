/*
 * What a thread may ask of the scheduler without privileges. Each thread calls it for
 * itself, at its start.
 */
#ifndef ORCD_BASE_THREAD_H
#define ORCD_BASE_THREAD_H

/* For a thread that works for moments and then sleeps: it runs as soon as it wakes, also
 * where other threads compute all the time. Asks for short turns (Linux 6.12 and
 * later; others ignore it) and for timers to the microsecond. Changes no priority. */
void thread_wakes_early(void);

#endif
