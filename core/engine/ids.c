#include "engine/ids.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS 8192

struct id_entry {
    struct id_entry *next;  /* in its bucket */
    struct id_entry *later; /* the entry whose job ended next; entries are forgotten oldest first */
    struct job *job;        /* NULL: the job ended */
    uint32_t owner;
    char id[JOB_ID_MAX + 1];
};

struct ids {
    uint64_t seed;
    struct id_entry *buckets[BUCKETS];
    struct id_entry *oldest, *newest;
    size_t n_ended;
};

struct ids *ids_new(void)
{
    struct ids *ids = calloc(1, sizeof(*ids));
    if (ids && getrandom(&ids->seed, sizeof(ids->seed), 0) != sizeof(ids->seed))
        ids->seed = (uintptr_t)ids; /* weaker, but still different in each process */
    return ids;
}

void ids_free(struct ids *ids)
{
    if (!ids)
        return;
    for (size_t b = 0; b < BUCKETS; b++)
        for (struct id_entry *e = ids->buckets[b], *next; e; e = next) {
            next = e->next;
            free(e);
        }
    free(ids);
}

/* FNV-1a from a secret start, because clients choose the ids. */
static struct id_entry **bucket(const struct ids *ids, const char *id, uint32_t owner)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ ids->seed ^ owner;
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
    h ^= h >> 32;
    return (struct id_entry **)&ids->buckets[h % BUCKETS];
}

struct job *ids_find(const struct ids *ids, const char *id, uint32_t owner, bool *ended)
{
    *ended = false;
    for (const struct id_entry *e = *bucket(ids, id, owner); e; e = e->next) {
        if (e->owner != owner || strcmp(e->id, id))
            continue;
        if (e->job)
            return e->job;
        *ended = true;
    }
    return NULL;
}

int ids_add(struct ids *ids, struct job *j)
{
    struct id_entry *e = calloc(1, sizeof(*e));
    if (!e)
        return -1;
    memcpy(e->id, j->request.job_id, sizeof(e->id));
    e->job = j;
    e->owner = j->request.owner;
    struct id_entry **b = bucket(ids, e->id, e->owner);
    e->next = *b;
    *b = e;
    return 0;
}

static void forget_oldest(struct ids *ids)
{
    struct id_entry *old = ids->oldest;
    ids->oldest = old->later;
    if (!ids->oldest)
        ids->newest = NULL;
    ids->n_ended--;
    struct id_entry **p = bucket(ids, old->id, old->owner);
    while (*p != old)
        p = &(*p)->next;
    *p = old->next;
    free(old);
}

void ids_end(struct ids *ids, struct job *j)
{
    struct id_entry *e = *bucket(ids, j->request.job_id, j->request.owner);
    while (e && e->job != j)
        e = e->next;
    if (!e)
        return;
    e->job = NULL;
    if (ids->newest)
        ids->newest->later = e;
    else
        ids->oldest = e;
    ids->newest = e;
    if (++ids->n_ended > IDS_ENDED_KEPT)
        forget_oldest(ids);
}
