/*
 * The registry: all jobs that were accepted and have not ended, and the conditions that the engine's
 * threads wait on. It contains the engine's lock.
 *
 * A job is *listed* from registry_list() to registry_unlist(): its id is known (ids.h), it is in the
 * list of live jobs, and the registry holds a reference to it. It is *queued* (queue.h) from
 * registry_list() to registry_take(), which gives it a slot, or to its end if that comes first. Its id
 * is remembered for some time after its end.
 *
 * Life cycle: registry_init(), then any call, then registry_stop(), which makes the waiting threads
 * return; when they are joined and no job is listed any more, registry_release().
 *
 * Threads: only the engine thread calls registry_take(), registry_slot_freed(), registry_listen() and
 * registry_wait_work(). Only the deadline timer calls registry_wait_due(). Any thread may make the other
 * calls. The caller must not hold the lock. Each call takes it for a few instructions a job, and does
 * not hold it while it waits. No thread holds it while it calls the plugin or a consumer. `pick` and
 * `due_ns` run under the lock; they may only read the job. A thread that needs the predictor's lock as
 * well takes that lock first.
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
    pthread_cond_t timer_wake; /* the timer waits for changed deadlines */
    pthread_cond_t idle;       /* registry_wait_idle() waits for slots to be freed and jobs to end */

    /* Guarded by the lock. predict.c copies the queue under it. */
    uint32_t n_slots, queue_capacity;
    uint64_t n_wakes;
    uint64_t n_turns, n_turns_seen; /* of the engine thread's loop; registry_turned() */
    struct queue queue;
    struct ids *ids;
    struct job *live; /* all listed jobs */
    uint32_t n_live;
    bool draining, stop;
    enum api_code broken; /* if not API_OK: jobs are refused with this code */

    /* Written under the lock, read by any thread without it. */
    atomic_uint slots_busy, queue_depth;
};

int registry_init(
    struct registry *r, uint32_t n_slots, uint32_t queue_capacity); /* 0, or -1: out of memory */
void registry_release(struct registry *r); /* also after a registry_init() that failed */

/* Lists and queues a job. Returns API_OK, or why not: the code of registry_break(), SHUTTING_DOWN,
 * DUPLICATE_JOB, QUEUE_FULL, RATE_LIMITED (the owner's max_queued), INTERNAL (out of memory). */
enum api_code registry_list(struct registry *r, struct job *j);
/* Returns the first job of the queue whose owner may have one more running, with a reference for the caller.
 * NULL: there is none. */
struct job *registry_next(struct registry *r);
/* Removes the job from the queue and counts a slot as busy for it. False: the job ended meanwhile. */
bool registry_take(struct registry *r, struct job *j);
void registry_slot_freed(struct registry *r);
/* The job ended. The caller drops the registry's reference. True: it was still queued, and never had a
 * slot. */
bool registry_unlist(struct registry *r, struct job *j);
/* The same for a job that nobody shall hear of any more. False: it has a slot, or has ended. */
bool registry_withdraw(struct registry *r, struct job *j);
/* Whether n more jobs fit into the free slots and the queue. */
bool registry_has_room(struct registry *r, uint32_t n);

/* Returns the owner's listed job with this id, with a reference for the caller; of JOB_OWNER_ANY: any one's.
 * NULL: there is none; *ended is then true if one of this owner ended lately. */
struct job *registry_find(struct registry *r, const char *id, uint32_t owner, bool *ended);
/* Returns any listed job for which `pick` returns true, with a reference for the caller. NULL: none. */
struct job *registry_pick(struct registry *r, bool (*pick)(const struct job *j));

/* From now on registry_list() returns SHUTTING_DOWN. */
void registry_drain(struct registry *r);
/* From now on registry_list() returns `code`. */
void registry_break(struct registry *r, enum api_code code);
/* From now on no thread waits for work or deadlines. */
void registry_stop(struct registry *r);

/* A job was aborted: wakes the engine thread and the timer. */
void registry_wake(struct registry *r);
/* How often the engine thread was woken so far. Only that thread calls it, once a turn. */
uint64_t registry_wakes(struct registry *r);
/* True if the engine thread has turned since the last call. Wakes it, so that it can before the next one. */
bool registry_turned(struct registry *r);
/* Waits until due_ns, or until the engine thread was woken more than n_wakes times. */
void registry_listen(struct registry *r, uint64_t due_ns, uint64_t n_wakes);
/* Waits until a job is queued or a slot is busy, or until due_ns (UINT64_MAX: never). False: the registry was
 * stopped, and there is no work. */
bool registry_wait_work(struct registry *r, uint64_t due_ns);
/* Waits until due_ns(job) of some job has passed, and returns that job with a reference for the caller.
 * NULL: the registry was stopped. */
struct job *registry_wait_due(struct registry *r, uint64_t (*due_ns)(const struct job *j));
/* Waits until no job is listed and no slot is busy, at most timeout_ms. False: there are some. */
bool registry_wait_idle(struct registry *r, uint64_t timeout_ms);

#endif
