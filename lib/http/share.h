/*
 * Who holds how much. Large request bodies and large answers wait in memory for their clients; together they
 * may hold http.buffer_mb, and one client - a key where keys are configured, else an address - a quarter of
 * that. Small ones (HTTP_INLINE_BODY_BYTES) are never counted, and so never refused for what others hold.
 *
 * Life cycle: zeroed memory, shares_init(), shares_free() when all connections are closed. A connection finds
 * its share with share_of_peer() and returns it with share_drop().
 *
 * Threads: the loops. Counters are atomic; the list of addresses has a lock that is held for moments.
 */
#ifndef ORCD_HTTP_SHARE_H
#define ORCD_HTTP_SHARE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;

struct share {
    atomic_size_t bytes; /* held */
    atomic_uint n_conns; /* open connections of an address */
    unsigned refs;       /* guarded by the lock, as are the next two */
    struct share *next;
    unsigned char id[17]; /* family; IPv4 address, or the first 64 bits of an IPv6 address */
};

#define SHARE_BUCKETS 256
struct shares {
    size_t limit, each;
    atomic_size_t bytes;
    pthread_mutex_t lock;
    struct share *of_peers[SHARE_BUCKETS];
};

/* limit: bytes for all; one_body: what the largest request needs, which every share allows. */
void shares_init(struct shares *s, size_t limit, size_t one_body);
void shares_free(struct shares *s);

/* The share of an address (NULL or a unix socket: one share for all of these); NULL: no memory. */
struct share *share_of_peer(struct shares *s, const struct sockaddr *addr);
void share_drop(struct shares *s, struct share *of);

/* Counts n more bytes. False: nothing was counted, because all together or `of` (NULL: nobody) hold some
 * already and would hold too much. */
bool share_take(struct shares *s, struct share *of, size_t n);
/* The same, but never refused: for what is there already. */
void share_force(struct shares *s, struct share *of, size_t n);
void share_return(struct shares *s, struct share *of, size_t n);

#endif
