/*
 * The hash tables of the tokenizer. Their hashes have a random seed, so that a file cannot choose its
 * collisions.
 *
 * Life cycle: pair_map_init() or word_map_init(), then any other call, then ..._clear(), which also accepts
 * a map of zeros.
 * Threads: the loading thread builds a map; afterwards any thread may look up entries.
 * Order of calls: ..._init(), ..._add() for each entry, then lookups; a prefetch before a lookup.
 */
#ifndef ORCD_MODEL_TOKENIZER_MAP_H
#define ORCD_MODEL_TOKENIZER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

uint64_t map_seed(void);

static inline uint64_t map_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t map_hash_bytes(const char *p, size_t n, uint64_t seed)
{
    const uint64_t k = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = seed ^ n * k, w;
    while (n > 8) {
        memcpy(&w, p, 8);
        h = map_mix(h ^ w, k);
        p += 8;
        n -= 8;
    }
    w = 0;
    if (n >= 4) { /* overlapping reads instead of a loop over single bytes */
        uint32_t lo, hi;
        memcpy(&lo, p, 4);
        memcpy(&hi, p + n - 4, 4);
        w = (uint64_t)hi << 32 | lo;
    } else if (n) {
        w = (unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << 8 |
            (uint64_t)(unsigned char)p[n - 1] << 16;
    }
    return map_mix(h ^ w, k ^ seed);
}

/* (a, b) -> two values. Keys have a != UINT32_MAX. */
struct pair_slot {
    uint64_t key;
    uint32_t x;
    int32_t y;
};
struct pair_map {
    struct pair_slot *slots;
    size_t mask, n;
    uint64_t seed;
};
#define PAIR_FREE UINT64_MAX

bool pair_map_init(struct pair_map *m, size_t expected); /* false: out of memory */
void pair_map_clear(struct pair_map *m);
/* Keeps an entry that exists already. False: out of memory. */
bool pair_map_add(struct pair_map *m, uint32_t a, uint32_t b, uint32_t x, int32_t y);

static inline size_t pair_map_home(const struct pair_map *m, uint64_t key)
{
    return map_mix(key ^ m->seed, UINT64_C(0x9e3779b97f4a7c15)) & m->mask;
}

/* A compiler takes a function that only prefetches for one without effects, and may drop its calls before
 * they are inlined. */
#define MAP_PREFETCH static inline __attribute__((always_inline)) void

/* Prefetches the entry for a later lookup. */
MAP_PREFETCH pair_map_prefetch(const struct pair_map *m, uint32_t a, uint32_t b)
{
    __builtin_prefetch(&m->slots[pair_map_home(m, (uint64_t)a << 32 | b)]);
}

static inline const struct pair_slot *pair_map_find(const struct pair_map *m, uint32_t a, uint32_t b)
{
    if (!m->slots)
        return NULL;
    uint64_t key = (uint64_t)a << 32 | b;
    size_t i = pair_map_home(m, key);
    for (;; i = (i + 1) & m->mask) {
        if (m->slots[i].key == key)
            return &m->slots[i];
        if (m->slots[i].key == PAIR_FREE)
            return NULL;
    }
}

/* Bytes -> id. The caller owns the bytes and passes the arrays that have them. */
struct word_slot {
    uint32_t hash;
    int32_t id; /* -1: free */
};
struct word_map {
    struct word_slot *slots;
    size_t mask;
    uint64_t seed;
};

bool word_map_init(struct word_map *m, size_t expected); /* room for that many */
void word_map_clear(struct word_map *m);
/* h: the hash of the id's bytes. False: another id has the same bytes, and is kept. */
bool word_map_add(struct word_map *m, const char *bytes, const size_t *off, int32_t id, uint64_t h);

static inline int32_t word_map_find_hashed(
    const struct word_map *m, const char *bytes, const size_t *off, const char *p, size_t n, uint64_t h)
{
    for (size_t i = h & m->mask;; i = (i + 1) & m->mask) {
        struct word_slot s = m->slots[i];
        if (s.id < 0)
            return -1;
        if (s.hash == (uint32_t)(h >> 32) && off[s.id + 1] - off[s.id] == n &&
            !memcmp(bytes + off[s.id], p, n))
            return s.id;
    }
}

/* Prefetches the entry for a later lookup of this hash. */
MAP_PREFETCH word_map_prefetch(const struct word_map *m, uint64_t h)
{
    __builtin_prefetch(&m->slots[h & m->mask]);
}

/* The id in the first slot of a hash if its hash matches, else -1. */
static inline int32_t word_map_home(const struct word_map *m, uint64_t h)
{
    struct word_slot s = m->slots[h & m->mask];
    return s.hash == (uint32_t)(h >> 32) ? s.id : -1;
}

static inline int32_t word_map_find(
    const struct word_map *m, const char *bytes, const size_t *off, const char *p, size_t n)
{
    return word_map_find_hashed(m, bytes, off, p, n, map_hash_bytes(p, n, m->seed));
}

#endif
