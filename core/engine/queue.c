#include "engine/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define RANK_WITHOUT_DEADLINE_NS (300 * NS_PER_S)

int queue_init(struct queue *q, uint32_t capacity)
{
    memset(q, 0, sizeof(*q));
    q->jobs = calloc(capacity ? capacity : 1, sizeof(struct job *));
    q->capacity = capacity;
    return q->jobs ? 0 : -1;
}

void queue_release(struct queue *q)
{
    free(q->jobs);
    q->jobs = NULL;
}

bool queue_full(const struct queue *q)
{
    return q->n >= q->capacity;
}

uint64_t queue_rank(const struct request *r)
{
    return r->deadline_ns ? r->deadline_ns : r->arrived_ns + RANK_WITHOUT_DEADLINE_NS;
}

static bool before(const struct job *a, const struct job *b)
{
    return a->rank_ns != b->rank_ns ? a->rank_ns < b->rank_ns : a->order < b->order;
}

void queue_push(struct queue *q, struct job *j)
{
    j->rank_ns = queue_rank(&j->request);
    j->order = q->arrivals++;
    j->queued = true;
    uint32_t i = q->n++;
    for (; i > 0 && before(q->jobs[i - 1], j); i--)
        q->jobs[i] = q->jobs[i - 1];
    q->jobs[i] = j;
}

struct job *queue_at(const struct queue *q, uint32_t i)
{
    return i < q->n ? q->jobs[q->n - 1 - i] : NULL;
}

void queue_remove(struct queue *q, struct job *j)
{
    if (!j->queued)
        return;
    uint32_t i = q->n;
    while (i-- > 0)
        if (q->jobs[i] == j)
            break;
    j->queued = false;
    q->n--;
    memmove(q->jobs + i, q->jobs + i + 1, (q->n - i) * sizeof(struct job *));
}

uint32_t queue_ahead(const struct queue *q, uint64_t rank_ns)
{
    uint32_t low = 0, high = q->n; /* search the first job that is not served after this rank */
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (q->jobs[mid]->rank_ns > rank_ns)
            low = mid + 1;
        else
            high = mid;
    }
    return q->n - low;
}
