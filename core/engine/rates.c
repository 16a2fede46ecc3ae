#include "engine/rates.h"

#include <stdlib.h>

#define MIN_PREFILL_TOKENS 32
#define WEIGHT (1.0 / 8) /* of a new sample */
#define OUTLIER 4.0      /* a sample counts as at most this many times the estimate */

static void learn(_Atomic double *estimate, atomic_uint *n, double sample)
{
    double old = atomic_load_explicit(estimate, memory_order_relaxed);
    unsigned seen = atomic_load_explicit(n, memory_order_relaxed);
    if (seen == 0)
        old = sample;
    else if (sample > OUTLIER * old)
        sample = OUTLIER * old;
    atomic_store_explicit(estimate, old + WEIGHT * (sample - old), memory_order_relaxed);
    if (seen < UINT32_MAX)
        atomic_store_explicit(n, seen + 1, memory_order_relaxed);
}

void rates_learn_step(struct rates *r, uint32_t n_decode, uint32_t n_prefill, uint64_t duration_ns)
{
    double ns = (double)duration_ns;
    if (n_prefill == 0) {
        learn(&r->decode_ns, &r->n_decode, ns);
        return;
    }
    if (n_decode)
        ns -= atomic_load_explicit(&r->decode_ns, memory_order_relaxed);
    learn(&r->prefill_ns_per_token, &r->n_prefill, (ns > 0 ? ns : 0) / n_prefill);
}

void rates_learn_length(struct rates *r, uint32_t tokens)
{
    unsigned n = atomic_load_explicit(&r->n_lengths, memory_order_relaxed);
    atomic_store_explicit(&r->lengths[n % RATES_LENGTHS], tokens, memory_order_relaxed);
    atomic_store_explicit(&r->n_lengths, n + 1, memory_order_relaxed);
}

uint32_t rates_prefill_budget(const struct rates *r, uint64_t slice_ns)
{
    double decode = atomic_load_explicit(&r->decode_ns, memory_order_relaxed);
    double per_token = atomic_load_explicit(&r->prefill_ns_per_token, memory_order_relaxed);
    double target = 2 * decode > (double)slice_ns ? 2 * decode : (double)slice_ns;
    double room = target - decode;
    if (!(room > MIN_PREFILL_TOKENS * per_token))
        return MIN_PREFILL_TOKENS;
    return room >= per_token * (double)UINT32_MAX ? UINT32_MAX : (uint32_t)(room / per_token);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint32_t rates_median_length(const struct rates *r)
{
    uint32_t n = atomic_load_explicit(&r->n_lengths, memory_order_relaxed), sorted[RATES_LENGTHS];
    if (n > RATES_LENGTHS)
        n = RATES_LENGTHS;
    if (n == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        sorted[i] = atomic_load_explicit(&r->lengths[i], memory_order_relaxed);
    qsort(sorted, n, sizeof(*sorted), by_value);
    return sorted[n / 2];
}
