/*
 * Waiting jobs, earliest deadline first. A job without a deadline is ranked by its arrival + 300 s, so
 * that it cannot starve. Among equal ranks, first come, first served.
 *
 * Life cycle: queue_init(), any other call, queue_release() when it is empty.
 * Threads: any thread that holds the registry's lock: registry.c makes the calls, predict.c reads the
 * queue. queue_rank() needs no lock.
 * Order of calls: queue_push() if queue_full() is false; the job is in the queue until queue_remove().
 */
#ifndef ORCD_ENGINE_QUEUE_H
#define ORCD_ENGINE_QUEUE_H

#include "engine/job.h"

struct queue {
    struct job **jobs; /* sorted; the next job is the last */
    uint32_t n, capacity;
    uint64_t arrivals;
};

int queue_init(struct queue *q, uint32_t capacity); /* 0, or -1: out of memory */
void queue_release(struct queue *q);                /* it must be empty */
bool queue_full(const struct queue *q);
void queue_push(struct queue *q, struct job *j);         /* it must not be full */
struct job *queue_at(const struct queue *q, uint32_t i); /* the i-th that is due, from 0; NULL: no more */
void queue_remove(struct queue *q, struct job *j);
/* The number of jobs that would be served before a job of this rank. */
uint32_t queue_ahead(const struct queue *q, uint64_t rank_ns);
uint64_t queue_rank(const struct request *r);

#endif
