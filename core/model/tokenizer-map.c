#include "model/tokenizer-map.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define HUGE_PAGE (UINT64_C(2) << 20)

uint64_t map_seed(void)
{
    uint64_t seed;
    /* Without entropy the tables still work, but are easier to attack. */
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
        seed = UINT64_C(0xd1b54a32d192ed03) ^ (uintptr_t)&seed;
    return seed;
}

/* The smallest power of two that leaves at least half of the slots free; 0: too many entries. */
static size_t slots_for(size_t expected)
{
    if (expected > SIZE_MAX / 8)
        return 0;
    size_t n = 16;
    while (n < expected * 2)
        n *= 2;
    return n;
}

/* Lookups access a table at random. With small pages, each would also miss the TLB. */
static void *table_new(size_t bytes)
{
    if (bytes < HUGE_PAGE)
        return malloc(bytes);
    void *p = aligned_alloc(HUGE_PAGE, bytes); /* a power of two */
    if (p)
        madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

static struct pair_slot *pair_slots_new(size_t n)
{
    size_t bytes;
    if (!n || __builtin_mul_overflow(n, sizeof(struct pair_slot), &bytes))
        return NULL;
    struct pair_slot *s = table_new(bytes);
    if (s)
        for (size_t i = 0; i < n; i++)
            s[i].key = PAIR_FREE;
    return s;
}

bool pair_map_init(struct pair_map *m, size_t expected)
{
    size_t n = slots_for(expected);
    m->slots = pair_slots_new(n);
    m->mask = n - 1;
    m->n = 0;
    m->seed = map_seed();
    return m->slots != NULL;
}

void pair_map_clear(struct pair_map *m)
{
    free(m->slots);
    m->slots = NULL;
}

static struct pair_slot *pair_slot_for(struct pair_map *m, uint64_t key)
{
    size_t i = pair_map_home(m, key);
    while (m->slots[i].key != key && m->slots[i].key != PAIR_FREE)
        i = (i + 1) & m->mask;
    return &m->slots[i];
}

static bool pair_map_grow(struct pair_map *m)
{
    size_t n = slots_for(m->mask + 1);
    struct pair_slot *old = m->slots, *fresh = pair_slots_new(n);
    size_t old_n = m->mask + 1;
    if (!fresh)
        return false;
    m->slots = fresh;
    m->mask = n - 1;
    for (size_t i = 0; i < old_n; i++)
        if (old[i].key != PAIR_FREE)
            *pair_slot_for(m, old[i].key) = old[i];
    free(old);
    return true;
}

bool pair_map_add(struct pair_map *m, uint32_t a, uint32_t b, uint32_t x, int32_t y)
{
    if (m->n * 2 > m->mask && !pair_map_grow(m))
        return false;
    uint64_t key = (uint64_t)a << 32 | b;
    struct pair_slot *s = pair_slot_for(m, key);
    if (s->key == PAIR_FREE) {
        *s = (struct pair_slot){key, x, y};
        m->n++;
    }
    return true;
}

bool word_map_init(struct word_map *m, size_t expected)
{
    size_t n = slots_for(expected), bytes;
    if (!n || __builtin_mul_overflow(n, sizeof(struct word_slot), &bytes))
        return false;
    m->slots = table_new(bytes);
    if (!m->slots)
        return false;
    for (size_t i = 0; i < n; i++)
        m->slots[i].id = -1;
    m->mask = n - 1;
    m->seed = map_seed();
    return true;
}

void word_map_clear(struct word_map *m)
{
    free(m->slots);
    m->slots = NULL;
}

bool word_map_add(struct word_map *m, const char *bytes, const size_t *off, int32_t id, uint64_t h)
{
    if (word_map_find_hashed(m, bytes, off, bytes + off[id], off[id + 1] - off[id], h) >= 0)
        return false;
    size_t i = h & m->mask;
    while (m->slots[i].id >= 0)
        i = (i + 1) & m->mask;
    m->slots[i] = (struct word_slot){(uint32_t)(h >> 32), id};
    return true;
}
