/*
 * Waiting jobs, earliest deadline first; one without a deadline ranks as its arrival + 300 s, so that it
 * cannot starve. First come first served among equals.
 *
 * Life cycle: queue_init(), any other call, queue_release() when it is empty.
 * Threads: any thread, under the registry's lock; registry.c makes the calls, and predict.c reads it
 * under the same lock. queue_rank() needs no lock.
 * Order of calls: queue_push() where queue_full() says no; a job is in the queue until queue_remove().
 */
#ifndef ORCD_ENGINE_QUEUE_H
#define ORCD_ENGINE_QUEUE_H

#include "engine/job.h"

struct queue {
    struct job **jobs; /* sorted, next one last */
    uint32_t n, capacity;
    uint64_t arrivals;
};

int queue_init(struct queue *q, uint32_t capacity); /* 0, or -1: out of memory */
void queue_release(struct queue *q);                /* it is empty */
bool queue_full(const struct queue *q);
void queue_push(struct queue *q, struct job *j); /* not full */
struct job *queue_peek(const struct queue *q);   /* NULL: empty */
void queue_remove(struct queue *q, struct job *j);
/* Jobs that would be served before one of this rank. */
uint32_t queue_ahead(const struct queue *q, uint64_t rank_ns);
uint64_t queue_rank(const struct request *r);

#endif
