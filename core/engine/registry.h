/*
 * The registry: every job that was accepted and has not ended, and what the threads of the
 * engine wait for. It has the engine's lock.
 *
 * A job is *listed* from registry_list() to registry_unlist(): its id is known (ids.h), it is
 * in the list of live jobs, and the registry holds a reference to it. It is *queued* from
 * registry_list() to registry_take(), by which it gets a slot, or to its end if that comes first
 * (queue.h). Its id is remembered for some time after that.
 *
 * Life cycle: registry_init(), then any call, then registry_stop(), after which the waiting
 * threads return; once they are joined, registry_release(), with no job listed any more.
 *
 * Threads: any thread may make any call, without the lock, but these: the engine thread alone
 * calls registry_take(), registry_slot_freed(), registry_listen() and registry_wait_work(); the
 * deadline timer alone calls registry_wait_due(). Each call takes the lock for a few instructions a
 * job and never holds it while it waits, nor while the plugin or a consumer is called. `pick` and
 * `due_ns` run under the lock: they look at the job and do nothing else. A thread that needs the
 * predictor's lock as well takes that one first.
 *
 * Order of calls for one job: registry_list() first; registry_unlist() once, when it ends;
 * registry_take() when it can get a slot, which fails if the job has ended. Each registry_take() that
 * succeeded is followed by one registry_slot_freed(), before or after the job's registry_unlist().
 */
#ifndef ORCD_ENGINE_REGISTRY_H
#define ORCD_ENGINE_REGISTRY_H

#include <pthread.h>

#include "engine/ids.h"
#include "engine/queue.h"

struct registry {
    pthread_mutex_t lock;
    pthread_cond_t work;       /* the engine thread waits for work; see registry_wake() */
    pthread_cond_t timer_wake; /* the timer waits for deadlines that changed */
    pthread_cond_t idle;       /* registry_wait_idle() waits until a slot or a job is gone */

    /* Guarded by the lock. predict.c copies the queue under it. */
    uint64_t n_wakes;
    struct queue queue;
    struct ids *ids;
    struct job *live; /* all listed jobs */
    uint32_t n_live;
    bool draining, stop;
    enum api_code broken; /* not API_OK: no job is listed any more, for this reason */

    /* Written under the lock, read by any thread without it. */
    atomic_uint slots_busy, queue_depth;
};

int registry_init(struct registry *r, uint32_t queue_capacity); /* 0, or -1: out of memory */
void registry_release(struct registry *r);                      /* also after a registry_init() that failed */

/* Lists and queues a job. API_OK, or why not: what registry_break() was given, SHUTTING_DOWN,
 * DUPLICATE_JOB, QUEUE_FULL, INTERNAL (out of memory). */
enum api_code registry_list(struct registry *r, struct job *j);
/* The job at the head of the queue, with a reference for the caller. NULL: the queue is empty. */
struct job *registry_next(struct registry *r);
/* Takes the job off the queue: it gets a slot, which is busy from now on. False: it ended meanwhile. */
bool registry_take(struct registry *r, struct job *j);
void registry_slot_freed(struct registry *r);
/* The job ended. The caller drops the registry's reference. True: it was still queued, and never gets a slot.
 */
bool registry_unlist(struct registry *r, struct job *j);

/* The owner's listed job of that id, with a reference for the caller, or NULL; *ended then tells
 * whether it ended lately. */
struct job *registry_find(struct registry *r, const char *id, uint32_t owner, bool *ended);
/* Some listed job that `pick` agrees to, with a reference for the caller, or NULL. */
struct job *registry_pick(struct registry *r, bool (*pick)(const struct job *j));

/* From now on registry_list() says SHUTTING_DOWN. */
void registry_drain(struct registry *r);
/* From now on registry_list() says `code`. */
void registry_break(struct registry *r, enum api_code code);
/* From now on no thread waits for work or deadlines. */
void registry_stop(struct registry *r);

/* A job was told to stop: the engine thread and the timer look again. */
void registry_wake(struct registry *r);
/* How often there was something for the engine thread to look at. */
uint64_t registry_wakes(struct registry *r);
/* Waits until due_ns, or until there is something to look at that came after n_wakes. */
void registry_listen(struct registry *r, uint64_t due_ns, uint64_t n_wakes);
/* Waits until a job is queued or a slot is busy. False: none is, and the registry was stopped. */
bool registry_wait_work(struct registry *r);
/* Waits until the time due_ns(job) of some job has come. That job, with a reference for the
 * caller; NULL: the registry was stopped. */
struct job *registry_wait_due(struct registry *r, uint64_t (*due_ns)(const struct job *j));
/* Waits until no job is listed and no slot is busy, at most timeout_ms. False: some are. */
bool registry_wait_idle(struct registry *r, uint64_t timeout_ms);

#endif
