#include "engine/reuse.h"

#define MIN_STRIDE 16

uint32_t reuse_stride(uint32_t n_ctx)
{
    uint32_t stride = n_ctx / REUSE_MARKS + (n_ctx % REUSE_MARKS != 0);
    return stride > MIN_STRIDE ? stride : MIN_STRIDE;
}

/* The finalizer of splitmix64 over the hash so far and the token. Never 0. */
static uint64_t mix(uint64_t hash, int32_t token)
{
    uint64_t z = (hash ^ (uint32_t)token) + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return z ? z : 1;
}

static uint32_t hashes(uint32_t stride, const int32_t *tokens, uint32_t n, uint64_t *out)
{
    uint32_t k = 0;
    uint64_t hash = 0;
    for (; k < REUSE_MARKS && n >= stride; k++, n -= stride) {
        for (uint32_t i = 0; i < stride; i++)
            hash = mix(hash, *tokens++);
        out[k] = hash;
    }
    return k;
}

uint32_t reuse_hashes(uint32_t stride, const int32_t *tokens, uint32_t n, uint64_t out[REUSE_MARKS])
{
    return n ? hashes(stride, tokens, n - 1, out) : 0;
}

void reuse_set(struct reuse_marks *m, uint32_t stride, const int32_t *tokens, uint32_t n)
{
    uint64_t have[REUSE_MARKS];
    uint32_t k = hashes(stride, tokens, n, have);
    for (uint32_t i = 0; i < REUSE_MARKS; i++)
        atomic_store_explicit(&m->at[i], i < k ? have[i] : 0, memory_order_relaxed);
}

uint32_t reuse_shared(const struct reuse_marks *m, uint32_t stride, const uint64_t *wanted, uint32_t n_hashes)
{
    uint32_t k = 0;
    while (k < n_hashes && atomic_load_explicit(&m->at[k], memory_order_relaxed) == wanted[k])
        k++;
    return k * stride;
}
