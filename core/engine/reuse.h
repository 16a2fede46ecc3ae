/*
 * Estimates how much of a prompt a slot's KV holds already, for threads that cannot read the slot's
 * tokens: a slot publishes hashes of its first 1, 2, .. strides. The estimate is short by less than a
 * stride. It is too long only if 64-bit hashes collide, which makes a prediction wrong and nothing else.
 *
 * Life cycle: marks of all zeros share nothing and are ready for use; there is nothing to release.
 * Threads: only the engine thread calls reuse_set(). Any thread may make the other calls.
 * Order of calls: reuse_stride() once, for all marks and prompts; reuse_set() whenever a slot's tokens
 * change; reuse_hashes() of a prompt, then reuse_shared() with each slot's marks.
 */
#ifndef ORCD_ENGINE_REUSE_H
#define ORCD_ENGINE_REUSE_H

#include <stdatomic.h>
#include <stdint.h>

#define REUSE_MARKS 64

struct reuse_marks {
    atomic_uint_fast64_t at[REUSE_MARKS]; /* 0: no further marks */
};

uint32_t reuse_stride(uint32_t n_ctx); /* in tokens */
void reuse_set(struct reuse_marks *m, uint32_t stride, const int32_t *tokens, uint32_t n);

/* Writes the hashes of a prompt and returns their number. They leave out its last token, which is always
 * computed. */
uint32_t reuse_hashes(uint32_t stride, const int32_t *tokens, uint32_t n, uint64_t out[REUSE_MARKS]);
/* The number of tokens that the slot and the prompt both begin with. */
uint32_t reuse_shared(
    const struct reuse_marks *m, uint32_t stride, const uint64_t *hashes, uint32_t n_hashes);

#endif
