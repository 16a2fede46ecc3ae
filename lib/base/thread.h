/*
 * Scheduler settings that need no privileges. Each thread calls this for itself, at its
 * start.
 */
#ifndef ORCD_BASE_THREAD_H
#define ORCD_BASE_THREAD_H

/* For a thread that works briefly and then sleeps: the scheduler runs it as soon as it
 * wakes, even while other threads compute on every core. Requests short time slices (Linux
 * 6.12 and later; older kernels ignore it) and timers with a precision of a microsecond.
 * Changes no priority. */
void thread_wakes_early(void);

#endif
