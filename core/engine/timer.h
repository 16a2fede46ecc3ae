/*
 * The deadline timer: a thread that ends each job at its deadline, however long a step takes. The
 * engine thread looks at deadlines between steps as well (reap.h), in case the timer had no turn yet.
 *
 * Life cycle: engine_start() starts the thread; it returns after registry_stop().
 * Threads: the thread is the timer's own; it sleeps in registry_wait_due() and holds no lock while it
 * ends a job.
 * Order of calls: pthread_create() with engine_timer_main and the engine, registry_stop(),
 * pthread_join().
 */
#ifndef ORCD_ENGINE_TIMER_H
#define ORCD_ENGINE_TIMER_H

void *engine_timer_main(void *engine);

#endif
