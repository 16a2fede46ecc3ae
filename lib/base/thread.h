/* What a thread may ask of the scheduler without privileges. */
#ifndef ORCD_BASE_THREAD_H
#define ORCD_BASE_THREAD_H

/* Of the calling thread: it works for moments and then sleeps, and is to run as soon as
 * it wakes, also where others compute all the time. Asks for short turns (Linux 6.12 and
 * later; others ignore it) and for timers to the microsecond. Changes no priority. */
void thread_wakes_early(void);

#endif
