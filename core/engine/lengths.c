#include "engine/lengths.h"

#include <stdlib.h>

struct seen {
    uint32_t tokens;
    bool ended;
};

static int by_length(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->tokens != y->tokens)
        return x->tokens < y->tokens ? -1 : 1;
    return (int)y->ended - (int)x->ended; /* an answer that was cut is longer than it looks */
}

/* The length at which, of the answers from `from` on, the share that goes on has fallen to `share`. */
static uint32_t survivors(const struct seen *s, uint32_t n, uint32_t from, double share)
{
    double left = 1;
    for (uint32_t i = from; i < n; i++) {
        if (s[i].ended)
            left *= 1 - 1.0 / (n - i);
        if (left <= share)
            return s[i].tokens;
    }
    return s[n - 1].tokens;
}

void lengths_learn(struct lengths *l, uint32_t tokens, bool ended)
{
    struct seen s[LENGTHS_RING] = {{0, false}};
    uint32_t at = l->n_ring % LENGTHS_RING;
    l->ring[at].tokens = tokens;
    l->ring[at].ended = ended;
    l->n_ring = l->n_ring == UINT32_MAX ? LENGTHS_RING * 2 - 1 : l->n_ring + 1;
    uint32_t n = l->n_ring < LENGTHS_RING ? l->n_ring : LENGTHS_RING;
    for (uint32_t i = 0; i < n; i++)
        s[i] = (struct seen){l->ring[i].tokens, l->ring[i].ended};
    qsort(s, n, sizeof(*s), by_length);
    for (uint32_t i = 0; i < n; i++) {
        atomic_store_explicit(&l->seen[i], s[i].tokens, memory_order_relaxed);
        atomic_store_explicit(&l->median[i], survivors(s, n, i, 0.5), memory_order_relaxed);
        atomic_store_explicit(&l->least[i], survivors(s, n, i, 0.9), memory_order_relaxed);
    }
    atomic_store_explicit(&l->n, n, memory_order_relaxed);
}

void lengths_read(const struct lengths *l, struct lengths_view *out)
{
    out->n = atomic_load_explicit(&l->n, memory_order_relaxed);
    for (uint32_t i = 0; i < out->n; i++) {
        out->seen[i] = atomic_load_explicit(&l->seen[i], memory_order_relaxed);
        out->median[i] = atomic_load_explicit(&l->median[i], memory_order_relaxed);
        out->least[i] = atomic_load_explicit(&l->least[i], memory_order_relaxed);
    }
}

/* The index of the first answer that was longer than `sampled`; v->n: none was. */
static uint32_t first_longer(const struct lengths_view *v, uint32_t sampled)
{
    uint32_t low = 0, high = v->n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (v->seen[mid] > sampled)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

static uint32_t within(uint32_t x, uint32_t sampled, uint32_t max_tokens)
{
    x = x > sampled ? x : sampled + 1;
    return x < max_tokens ? x : max_tokens;
}

uint32_t lengths_median(const struct lengths_view *v, uint32_t sampled, uint32_t max_tokens)
{
    uint32_t i = first_longer(v, sampled);
    if (v->n == 0)
        return max_tokens;
    if (i < v->n)
        return within(v->median[i], sampled, max_tokens);
    /* Longer than any before: expect as much again. */
    return within(sampled < UINT32_MAX / 2 ? 2 * sampled : UINT32_MAX, sampled, max_tokens);
}

uint32_t lengths_least(const struct lengths_view *v, uint32_t sampled, uint32_t max_tokens)
{
    uint32_t i = first_longer(v, sampled);
    return within(i < v->n ? v->least[i] : 0, sampled, max_tokens);
}
