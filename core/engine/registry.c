#include "engine/registry.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"

int registry_init(struct registry *r, uint32_t n_slots, uint32_t queue_capacity)
{
    memset(r, 0, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    clock_cond_init(&r->work);
    clock_cond_init(&r->timer_wake);
    clock_cond_init(&r->idle);
    r->ids = ids_new();
    r->n_slots = n_slots;
    r->queue_capacity = queue_capacity;
    return r->ids && !queue_init(&r->queue, queue_capacity + n_slots) ? 0 : -1;
}

void registry_release(struct registry *r)
{
    ids_free(r->ids);
    queue_release(&r->queue);
    pthread_cond_destroy(&r->work);
    pthread_cond_destroy(&r->timer_wake);
    pthread_cond_destroy(&r->idle);
    pthread_mutex_destroy(&r->lock);
}

/* --- under the lock ---------------------------------------------------------------------- */

static void wake_engine(struct registry *r)
{
    r->n_wakes++;
    pthread_cond_signal(&r->work);
}

static void live_add(struct registry *r, struct job *j)
{
    j->live = true;
    j->live_prev = NULL;
    j->live_next = r->live;
    if (r->live)
        r->live->live_prev = j;
    r->live = job_ref(j);
    r->n_live++;
}

static void live_remove(struct registry *r, struct job *j)
{
    if (j->live_prev)
        j->live_prev->live_next = j->live_next;
    else
        r->live = j->live_next;
    if (j->live_next)
        j->live_next->live_prev = j->live_prev;
    j->live = false;
    r->n_live--;
}

static bool dequeue(struct registry *r, struct job *j)
{
    bool queued = j->queued;
    if (queued) {
        queue_remove(&r->queue, j);
        atomic_store(&r->queue_depth, r->queue.n);
    }
    return queued;
}

static uint32_t free_slots(const struct registry *r)
{
    uint32_t busy = atomic_load(&r->slots_busy);
    return r->n_slots > busy ? r->n_slots - busy : 0;
}

/* Jobs for which a slot is free pass through the queue, but do not wait in it. */
static bool is_full(const struct registry *r)
{
    return r->queue.n >= r->queue_capacity + free_slots(r) || queue_full(&r->queue);
}

/* The owner's jobs that wait, and those that have a slot. */
static void count_of(const struct registry *r, uint32_t owner, uint32_t *waiting, uint32_t *running)
{
    *waiting = *running = 0;
    for (const struct job *j = r->live; j; j = j->live_next)
        if (j->request.owner == owner)
            ++*(j->queued ? waiting : running);
}

/* As is_full(), of one owner: jobs that may run at once do not wait. */
static bool owner_is_full(const struct registry *r, const struct request *q)
{
    uint32_t waiting, running, room = free_slots(r);
    if (!q->max_queued)
        return false;
    count_of(r, q->owner, &waiting, &running);
    if (q->max_running && q->max_running < running + room)
        room = q->max_running > running ? q->max_running - running : 0;
    return waiting >= (uint64_t)q->max_queued + room;
}

static bool may_run(const struct registry *r, const struct request *q)
{
    uint32_t waiting, running;
    if (!q->max_running)
        return true;
    count_of(r, q->owner, &waiting, &running);
    return running < q->max_running;
}

static enum api_code add(struct registry *r, struct job *j)
{
    bool ended;
    if (r->broken)
        return r->broken;
    if (r->draining || r->stop)
        return API_SHUTTING_DOWN;
    if (ids_find(r->ids, j->request.job_id, j->request.owner, &ended))
        return API_DUPLICATE_JOB;
    if (is_full(r))
        return API_QUEUE_FULL;
    if (owner_is_full(r, &j->request))
        return API_RATE_LIMITED;
    if (ids_add(r->ids, j))
        return API_INTERNAL;
    queue_push(&r->queue, j);
    live_add(r, j);
    atomic_store(&r->queue_depth, r->queue.n);
    wake_engine(r);
    if (j->request.deadline_ns)
        pthread_cond_signal(&r->timer_wake);
    return API_OK;
}

/* --- listed and queued jobs -------------------------------------------------------------- */

enum api_code registry_list(struct registry *r, struct job *j)
{
    pthread_mutex_lock(&r->lock);
    enum api_code code = add(r, j);
    pthread_mutex_unlock(&r->lock);
    return code;
}

struct job *registry_next(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    struct job *j;
    uint32_t full = 0; /* an owner, so that it is not counted again for each of its jobs */
    for (uint32_t i = 0; (j = queue_at(&r->queue, i)); i++) {
        if (full && j->request.owner == full)
            continue;
        if (may_run(r, &j->request))
            break;
        full = j->request.owner;
    }
    if (j)
        job_ref(j);
    pthread_mutex_unlock(&r->lock);
    return j;
}

bool registry_take(struct registry *r, struct job *j)
{
    pthread_mutex_lock(&r->lock);
    bool queued = dequeue(r, j);
    if (queued)
        atomic_fetch_add(&r->slots_busy, 1);
    pthread_mutex_unlock(&r->lock);
    return queued;
}

void registry_slot_freed(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    atomic_fetch_sub(&r->slots_busy, 1);
    pthread_cond_broadcast(&r->idle);
    pthread_mutex_unlock(&r->lock);
}

static bool unlist(struct registry *r, struct job *j)
{
    bool queued = dequeue(r, j);
    live_remove(r, j);
    ids_end(r->ids, j);
    pthread_cond_broadcast(&r->idle);
    wake_engine(r); /* the engine thread frees its slot, if it has one */
    return queued;
}

bool registry_unlist(struct registry *r, struct job *j)
{
    pthread_mutex_lock(&r->lock);
    bool queued = unlist(r, j);
    pthread_mutex_unlock(&r->lock);
    return queued;
}

bool registry_withdraw(struct registry *r, struct job *j)
{
    pthread_mutex_lock(&r->lock);
    bool queued = j->queued && job_end_claim(j);
    if (queued)
        unlist(r, j);
    pthread_mutex_unlock(&r->lock);
    return queued;
}

bool registry_has_room(struct registry *r, uint32_t n)
{
    pthread_mutex_lock(&r->lock);
    bool room = r->queue.n + (uint64_t)n <= (uint64_t)r->queue_capacity + free_slots(r);
    pthread_mutex_unlock(&r->lock);
    return room;
}

struct job *registry_find(struct registry *r, const char *id, uint32_t owner, bool *ended)
{
    pthread_mutex_lock(&r->lock);
    struct job *j = r->live;
    *ended = false;
    if (owner != JOB_OWNER_ANY)
        j = ids_find(r->ids, id, owner, ended);
    while (owner == JOB_OWNER_ANY && j && strcmp(j->request.job_id, id) != 0)
        j = j->live_next;
    if (j)
        job_ref(j);
    pthread_mutex_unlock(&r->lock);
    return j;
}

struct job *registry_pick(struct registry *r, bool (*pick)(const struct job *j))
{
    pthread_mutex_lock(&r->lock);
    struct job *j = r->live;
    while (j && !pick(j))
        j = j->live_next;
    if (j)
        job_ref(j);
    pthread_mutex_unlock(&r->lock);
    return j;
}

/* --- shutdown ---------------------------------------------------------------------------- */

void registry_drain(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    r->draining = true;
    pthread_mutex_unlock(&r->lock);
}

void registry_break(struct registry *r, enum api_code code)
{
    pthread_mutex_lock(&r->lock);
    r->broken = code;
    pthread_mutex_unlock(&r->lock);
}

void registry_stop(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    wake_engine(r);
    pthread_cond_signal(&r->timer_wake);
    pthread_mutex_unlock(&r->lock);
}

/* --- waking and waiting ------------------------------------------------------------------ */

void registry_wake(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    wake_engine(r);
    pthread_cond_signal(&r->timer_wake);
    pthread_mutex_unlock(&r->lock);
}

uint64_t registry_wakes(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    uint64_t n = r->n_wakes;
    r->n_turns++;
    pthread_mutex_unlock(&r->lock);
    return n;
}

bool registry_turned(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    bool turned = r->n_turns != r->n_turns_seen;
    r->n_turns_seen = r->n_turns;
    wake_engine(r);
    pthread_mutex_unlock(&r->lock);
    return turned;
}

void registry_listen(struct registry *r, uint64_t due_ns, uint64_t n_wakes)
{
    struct timespec until = clock_timespec(due_ns);
    pthread_mutex_lock(&r->lock);
    while (r->n_wakes == n_wakes && !pthread_cond_timedwait(&r->work, &r->lock, &until)) {}
    pthread_mutex_unlock(&r->lock);
}

static bool has_work(const struct registry *r)
{
    return r->queue.n || atomic_load(&r->slots_busy);
}

bool registry_wait_work(struct registry *r, uint64_t due_ns)
{
    struct timespec until = clock_timespec(due_ns == UINT64_MAX ? 0 : due_ns);
    int rc = 0;
    pthread_mutex_lock(&r->lock);
    for (; !rc && !r->stop && !has_work(r); r->n_turns++)
        rc = due_ns == UINT64_MAX ? pthread_cond_wait(&r->work, &r->lock)
                                  : pthread_cond_timedwait(&r->work, &r->lock, &until);
    bool work = has_work(r) || !r->stop;
    pthread_mutex_unlock(&r->lock);
    return work;
}

/* The job with the earliest due_ns(). */
static struct job *first_due(const struct registry *r, uint64_t (*due_ns)(const struct job *j), uint64_t *ns)
{
    struct job *first = NULL;
    *ns = UINT64_MAX;
    for (struct job *j = r->live; j; j = j->live_next) {
        uint64_t due = due_ns(j);
        if (due < *ns) {
            *ns = due;
            first = j;
        }
    }
    return first;
}

struct job *registry_wait_due(struct registry *r, uint64_t (*due_ns)(const struct job *j))
{
    struct job *due = NULL;
    pthread_mutex_lock(&r->lock);
    while (!r->stop && !due) {
        uint64_t ns;
        struct job *first = first_due(r, due_ns, &ns);
        struct timespec until = clock_timespec(ns);
        if (!first)
            pthread_cond_wait(&r->timer_wake, &r->lock);
        else if (ns <= clock_mono_ns())
            due = job_ref(first);
        else
            pthread_cond_timedwait(&r->timer_wake, &r->lock, &until);
    }
    pthread_mutex_unlock(&r->lock);
    return due;
}

bool registry_wait_idle(struct registry *r, uint64_t timeout_ms)
{
    struct timespec until = clock_timespec(clock_mono_ns() + timeout_ms * NS_PER_MS);
    pthread_mutex_lock(&r->lock);
    int rc = 0;
    while (!rc && (r->n_live || atomic_load(&r->slots_busy)))
        rc = pthread_cond_timedwait(&r->idle, &r->lock, &until);
    bool idle = !r->n_live && !atomic_load(&r->slots_busy);
    pthread_mutex_unlock(&r->lock);
    return idle;
}
