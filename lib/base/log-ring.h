/*
 * A bounded ring of log lines between the threads that log and the one that writes. Nobody waits: a line that
 * finds no room is refused, and the caller counts it.
 *
 * A struct log_ring is zeroed memory; there is nothing to open or free. Any thread may call log_ring_push()
 * and log_ring_pushed() at any time. One thread reads: log_ring_next(), writes the line, log_ring_pop(), in a
 * loop.
 */
#ifndef ORCD_BASE_LOG_RING_H
#define ORCD_BASE_LOG_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define LOG_RING_BYTES (256 * 1024) /* a power of two */

struct log_ring {
    _Alignas(64) atomic_uint_fast64_t head; /* bytes ever reserved */
    _Alignas(64) atomic_uint_fast64_t tail; /* bytes ever read */
    /* Records: the number of bytes in 8 bytes (0: not there yet), the bytes, padding to 8. */
    _Alignas(64) char bytes[LOG_RING_BYTES];
};

/* False: no room for n bytes (1 to LOG_RING_BYTES / 2). */
bool log_ring_push(struct log_ring *r, const char *text, size_t n);
/* The oldest line in up to two pieces. 0: there is none, or it is still being copied; else the number of
 * pieces. */
int log_ring_next(struct log_ring *r, struct iovec out[2]);
/* Forgets the line that log_ring_next() returned. */
void log_ring_pop(struct log_ring *r);
/* A mark behind all lines pushed before the call, and whether all lines in front of a mark were popped. */
uint64_t log_ring_pushed(const struct log_ring *r);
bool log_ring_passed(const struct log_ring *r, uint64_t mark);

#endif
