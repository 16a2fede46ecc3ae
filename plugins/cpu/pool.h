/*
 * Threads that compute together. The caller of pool_run is thread 0 and works too;
 * the others are ours and sleep between runs (an idle pool uses no CPU).
 *
 * Inside a run the threads meet at pool_sync(): they spin for some microseconds, then
 * sleep on a futex, so that a machine with more threads than cores loses little.
 *
 * Life cycle: a device has one pool, made by pool_new() when the device is opened and freed by pool_free()
 * when it is closed; no run may be in progress then.
 *
 * Threads: any thread may call pool_run(); one run at a time goes on (the leader runs steps, the loader packs
 * weights). pool_sync() is called inside a run, by all of its threads, the same number of times.
 */
#ifndef ORCD_CPU_POOL_H
#define ORCD_CPU_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <orcd/plugin.h>

struct pool;

/* n_threads >= 1, the caller's included. pin: thread i stays on the i-th processor
 * that we may use. Errors: NOMEM (no memory, or the system gives no more threads). */
int pool_new(
    struct pool **out, const struct orcd_host *host, uint32_t n_threads, bool pin, struct orcd_error *err);
void pool_free(struct pool *p); /* nobody runs; takes NULL */

uint32_t pool_size(const struct pool *p);

/* Calls fn(arg, thread) once on every thread, and returns when all have returned.
 * Any thread may call; runs of several callers follow one another. */
void pool_run(struct pool *p, void (*fn)(void *arg, uint32_t thread), void *arg);

/* Inside a run, by all threads: the last one to arrive calls serial(arg) (if not
 * NULL), then everybody goes on and sees what it wrote. */
void pool_sync(struct pool *p, void (*serial)(void *arg), void *arg);

/* pthread_create with all signals blocked: they are the host's business. An errno value. */
int pool_thread_start(pthread_t *id, const struct orcd_host *host, void *(*main)(void *), void *arg);

/* Pins the calling thread as thread 0 when the pool pins. */
void pool_pin_self(struct pool *p);

#endif
