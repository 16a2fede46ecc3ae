/*
 * Selects items by rank or by weight without sorting: the items that come first in ascending order of
 * key, ties in order of index, until their weights reach a target.
 *
 * A radix histogram finds the key at which the target is reached. Items with a smaller key are in, items
 * with a larger key are out, and of the items with this key the first `ties` are in.
 *
 * Pure functions without state: any thread may call them at any time.
 */
#ifndef ORCD_SAMPLE_SELECT_H
#define ORCD_SAMPLE_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct select_cut {
    uint32_t key; /* the largest key that is in */
    size_t ties;  /* how many of the items with this key are in, >= 1 */
};

/* Ascending key = descending x, for all floats but NaN. */
static inline uint32_t select_key_descending(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {x + 0.0f}; /* -0 and 0 are equal */
    uint32_t ascending = v.u & UINT32_C(0x80000000) ? ~v.u : v.u | UINT32_C(0x80000000);
    return ~ascending;
}

/* Ascending key = ascending x, x >= 0. */
static inline uint32_t select_key_ascending(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {x};
    return v.u;
}

/* The shortest prefix of at least one item whose sum of weights is >= target (strict: > target), or all
 * items if no prefix reaches it. weights NULL: each item counts 1. n >= 1. */
struct select_cut select_prefix(
    const uint32_t *keys, const float *weights, size_t n, double target, bool strict);

#endif
