/*
 * One allocation is cut up. The same calls run twice: the first pass, with base NULL, adds up what is needed,
 * the second, with base set, places it.
 *
 * Life cycle: a struct carve lives on the stack and owns nothing. Set align; after the first pass look at
 * overflow and allocate `at` bytes; start anew with base for the second. One thread at a time.
 */
#ifndef ORCD_COMMON_CARVE_H
#define ORCD_COMMON_CARVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct carve {
    uint64_t align;
    char *base; /* NULL: only add up */
    uint64_t at;
    bool overflow;
};

/* n x m x size bytes. */
static inline void *carve_take(struct carve *c, uint64_t n, uint64_t m, uint64_t size)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(n, m, &bytes) || __builtin_mul_overflow(bytes, size, &bytes) ||
        bytes > PTRDIFF_MAX / 2 || c->at > PTRDIFF_MAX / 2) {
        c->overflow = true;
        return NULL;
    }
    void *p = c->base ? c->base + c->at : NULL;
    c->at += (bytes + c->align - 1) / c->align * c->align;
    return p;
}

#endif
