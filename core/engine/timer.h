/*
 * The deadline timer: a thread that ends each job at its deadline, however long a step takes. The
 * engine thread checks deadlines between steps as well (reap.h), in case the timer thread did not run
 * yet.
 *
 * Life cycle: engine_start() starts the thread; engine_timer_main() returns after registry_stop().
 * Threads: engine_timer_main() runs on the timer thread. It sleeps in registry_wait_due() and holds no
 * lock while it ends a job.
 * Order of calls: pthread_create() with engine_timer_main and the engine, registry_stop(),
 * pthread_join().
 */
#ifndef ORCD_ENGINE_TIMER_H
#define ORCD_ENGINE_TIMER_H

void *engine_timer_main(void *engine);

#endif
