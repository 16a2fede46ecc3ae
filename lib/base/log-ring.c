#include "base/log-ring.h"

#include <string.h>

#define HEAD_BYTES 8

static size_t record_bytes(size_t n)
{
    return HEAD_BYTES + (n + 7) / 8 * 8;
}

static uint64_t *head_at(struct log_ring *r, uint64_t at)
{
    return (uint64_t *)(void *)(r->bytes + at % LOG_RING_BYTES); /* records begin at multiples of 8 */
}

bool log_ring_push(struct log_ring *r, const char *text, size_t n)
{
    const size_t need = record_bytes(n);
    uint64_t at = atomic_load_explicit(&r->head, memory_order_relaxed);
    do {
        /* Room that the reader has freed is zeroed: acquire, so that our bytes come after. */
        uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (at + need - tail > LOG_RING_BYTES)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &r->head, &at, at + need, memory_order_relaxed, memory_order_relaxed));
    const size_t from = (at + HEAD_BYTES) % LOG_RING_BYTES;
    const size_t first = n < LOG_RING_BYTES - from ? n : LOG_RING_BYTES - from;
    memcpy(r->bytes + from, text, first);
    memcpy(r->bytes, text + first, n - first);
    __atomic_store_n(head_at(r, at), n, __ATOMIC_SEQ_CST);
    return true;
}

int log_ring_next(struct log_ring *r, struct iovec out[2])
{
    const uint64_t at = atomic_load_explicit(&r->tail, memory_order_relaxed);
    const size_t n = __atomic_load_n(head_at(r, at), __ATOMIC_SEQ_CST);
    if (!n)
        return 0;
    const size_t from = (at + HEAD_BYTES) % LOG_RING_BYTES;
    const size_t first = n < LOG_RING_BYTES - from ? n : LOG_RING_BYTES - from;
    out[0] = (struct iovec){r->bytes + from, first};
    out[1] = (struct iovec){r->bytes, n - first};
    return first < n ? 2 : 1;
}

void log_ring_pop(struct log_ring *r)
{
    const uint64_t at = atomic_load_explicit(&r->tail, memory_order_relaxed);
    const size_t size = record_bytes(__atomic_load_n(head_at(r, at), __ATOMIC_RELAXED));
    const size_t from = at % LOG_RING_BYTES;
    const size_t first = size < LOG_RING_BYTES - from ? size : LOG_RING_BYTES - from;
    memset(r->bytes + from, 0, first);
    memset(r->bytes, 0, size - first);
    atomic_store(&r->tail, at + size);
}

uint64_t log_ring_pushed(const struct log_ring *r)
{
    return atomic_load(&r->head);
}

bool log_ring_passed(const struct log_ring *r, uint64_t mark)
{
    return atomic_load(&r->tail) >= mark;
}
