#include "http/share.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

void shares_init(struct shares *s, size_t limit, size_t one_body)
{
    pthread_mutex_init(&s->lock, NULL);
    s->limit = limit > 4 * one_body ? limit : 4 * one_body;
    s->each = s->limit / 4;
}

void shares_free(struct shares *s)
{
    for (size_t i = 0; i < SHARE_BUCKETS; i++)
        for (struct share *p = s->of_peers[i], *next; p; p = next) {
            next = p->next;
            free(p);
        }
    pthread_mutex_destroy(&s->lock);
}

static void id_of(const struct sockaddr *addr, unsigned char id[17])
{
    memset(id, 0, 17);
    if (!addr || (addr->sa_family != AF_INET && addr->sa_family != AF_INET6))
        return;
    id[0] = (unsigned char)addr->sa_family;
    if (addr->sa_family == AF_INET)
        memcpy(id + 1, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, 4);
    else /* whoever has one address of a network of 64 bits has them all */
        memcpy(id + 1, &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr, 8);
}

static struct share **bucket(struct shares *s, const unsigned char id[17])
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (int i = 0; i < 17; i++)
        h = (h ^ id[i]) * 16777619u;
    return &s->of_peers[(h ^ h >> 16) % SHARE_BUCKETS];
}

struct share *share_of_peer(struct shares *s, const struct sockaddr *addr)
{
    unsigned char id[17];
    id_of(addr, id);
    struct share **b = bucket(s, id), *p;
    pthread_mutex_lock(&s->lock);
    for (p = *b; p && memcmp(p->id, id, sizeof(id)) != 0; p = p->next) {}
    if (!p && (p = calloc(1, sizeof(*p)))) {
        memcpy(p->id, id, sizeof(id));
        p->next = *b;
        *b = p;
    }
    if (p)
        p->refs++;
    pthread_mutex_unlock(&s->lock);
    return p;
}

void share_drop(struct shares *s, struct share *of)
{
    if (!of)
        return;
    pthread_mutex_lock(&s->lock);
    if (--of->refs == 0) {
        struct share **b = bucket(s, of->id);
        while (*b != of)
            b = &(*b)->next;
        *b = of->next;
        free(of);
    }
    pthread_mutex_unlock(&s->lock);
}

void share_force(struct shares *s, struct share *of, size_t n)
{
    atomic_fetch_add(&s->bytes, n);
    if (of)
        atomic_fetch_add(&of->bytes, n);
}

bool share_take(struct shares *s, struct share *of, size_t n)
{
    share_force(s, of, n);
    const size_t all = atomic_load(&s->bytes), mine = of ? atomic_load(&of->bytes) : 0;
    if ((all <= s->limit || all == n) && (mine <= s->each || mine == n)) /* one is never too large for all */
        return true;
    share_return(s, of, n);
    return false;
}

void share_return(struct shares *s, struct share *of, size_t n)
{
    atomic_fetch_sub(&s->bytes, n);
    if (of)
        atomic_fetch_sub(&of->bytes, n);
}
