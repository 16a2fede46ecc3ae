#include "base/log-limit.h"

#include "base/clock.h"

bool log_limit_allows(struct log_limit *l, uint32_t per_second, uint64_t *left_out)
{
    const uint64_t second = clock_mono_ns() / NS_PER_S;
    if (atomic_exchange_explicit(&l->second, second, memory_order_relaxed) != second)
        atomic_store_explicit(&l->n, 0, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&l->n, 1, memory_order_relaxed) >= per_second) {
        atomic_fetch_add_explicit(&l->left_out, 1, memory_order_relaxed);
        return false;
    }
    *left_out = atomic_exchange_explicit(&l->left_out, 0, memory_order_relaxed);
    return true;
}
