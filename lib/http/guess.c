#include "http/guess.h"

#include "base/clock.h"
#include "base/util.h"

#define FORGOTTEN_NS (60 * NS_PER_S)

static struct guess *place(struct guesses *g, const unsigned char id[17])
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (int i = 0; i < 17; i++)
        h = (h ^ id[i]) * 16777619u;
    return &g->of[(h ^ h >> 16) % GUESS_PLACES];
}

uint64_t guess_delay_ns(struct guesses *g, const unsigned char id[17], uint64_t now_ns, uint32_t limit_ms)
{
    struct guess *p = place(g, id);
    const uint64_t last = atomic_exchange(&p->last_ns, now_ns);
    if (now_ns > last + FORGOTTEN_NS)
        atomic_store(&p->n, 0);
    const unsigned n = atomic_fetch_add(&p->n, 1);
    if (n < GUESS_FREE)
        return 0;
    return min_u64((uint64_t)GUESS_FIRST_MS << min_u64(n - GUESS_FREE, 16), limit_ms) * NS_PER_MS;
}
