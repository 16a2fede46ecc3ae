/*
 * How much of a prompt a slot's KV has already, told to other threads without the tokens: a slot
 * publishes hashes of its first 1, 2, .. strides. What is shared is told short by less than a stride,
 * and too long only if 64-bit hashes collide, which would make a prediction wrong and nothing else.
 *
 * Life cycle: all zeros shares nothing; it needs no other beginning, and no end.
 * Threads: the engine thread sets. Any thread compares.
 * Order of calls: reuse_stride() once, for all marks and prompts alike; reuse_set() whenever a slot's
 * tokens change; reuse_hashes() of a prompt, then reuse_shared() with each slot's marks.
 */
#ifndef ORCD_ENGINE_REUSE_H
#define ORCD_ENGINE_REUSE_H

#include <stdatomic.h>
#include <stdint.h>

#define REUSE_MARKS 64

struct reuse_marks {
    atomic_uint_fast64_t at[REUSE_MARKS]; /* 0: no more */
};

uint32_t reuse_stride(uint32_t n_ctx); /* tokens */
void reuse_set(struct reuse_marks *m, uint32_t stride, const int32_t *tokens, uint32_t n);

/* The hashes of a prompt, as many as return. Its last token is always computed. */
uint32_t reuse_hashes(uint32_t stride, const int32_t *tokens, uint32_t n, uint64_t out[REUSE_MARKS]);
/* Tokens that both begin with. */
uint32_t reuse_shared(
    const struct reuse_marks *m, uint32_t stride, const uint64_t *hashes, uint32_t n_hashes);

#endif
