/*
 * The KV cache: FP16, in blocks of KV_TILE tokens from one pool that all sequences of
 * a context share. A block holds its tokens' keys and values of all layers; a
 * sequence holds a list of blocks. Reservations are counted in tokens, so kv_tokens
 * can be used up whatever the sequences' lengths are; memory is taken when first written.
 *
 * Layout of a block: layer by layer, K of each kv head, then V of each kv head, a tile
 * each. Tiles start at positions that are multiples of KV_TILE, so attention sees the
 * same tiles however a sequence came to its length.
 *
 * Life cycle: kv_init() with the context, kv_release() with it. A sequence is opened with a reservation,
 * filled by steps, trimmed by setting len, and closed; each takes and gives back blocks at open, reserve and
 * close alone.
 *
 * Threads: the host's owner thread changes it, and only sequences that have no row in flight; a running step
 * reads the tables and writes the tiles of its own sequences.
 */
#ifndef ORCD_CPU_KV_H
#define ORCD_CPU_KV_H

#include <stdbool.h>

#include "plugins/cpu/kernels.h"
#include "plugins/cpu/mapping.h"

#define KV_TILE CPU_KV_TILE

struct kv_seq {
    bool open;
    uint32_t len;      /* positions whose keys and values are complete in all layers */
    uint32_t reserved; /* tokens it may hold */
    uint32_t n_blocks;
    uint32_t *blocks;
    uint64_t submit; /* the last call of submit that named it */
};

struct kv_layer {
    uint64_t k, v; /* offset of head 0's tile in a block, bytes */
};

struct kv {
    const struct orcd_host *host;
    uint32_t n_seqs, n_ctx, n_layers;
    uint64_t tokens, tokens_reserved;
    uint64_t block_bytes, k_tile_bytes, v_tile_bytes;
    uint32_t n_blocks, n_free;
    uint32_t *free_blocks; /* a stack */
    uint32_t *tables;      /* n_seqs tables of blocks_per_seq entries */
    struct kv_layer *layers;
    struct kv_seq *seqs;
    struct mapping pool;
};

struct kv_shape {
    uint32_t n_layers;
    uint32_t head_dim_k, head_dim_v;
    const uint32_t *n_kv_heads; /* by layer */
};

/* Bytes of a block, 0 when it overflows. */
uint64_t kv_block_bytes(const struct kv_shape *shape);

int kv_init(struct kv *kv, const struct orcd_host *host, const struct kv_shape *shape, uint32_t n_seqs,
    uint32_t n_ctx, uint64_t tokens, _Atomic uint64_t *counter, struct orcd_error *err);
void kv_release(struct kv *kv);

int kv_seq_open(struct kv *kv, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
int kv_seq_reserve(struct kv *kv, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
int kv_seq_close(struct kv *kv, uint32_t seq, struct orcd_error *err);
/* NULL and INVALID or NOT_FOUND when it is out of range or not open. */
struct kv_seq *kv_seq_get(struct kv *kv, uint32_t seq, struct orcd_error *err);

static inline char *kv_block(const struct kv *kv, const struct kv_seq *s, uint32_t tile)
{
    return (char *)kv->pool.p + (uint64_t)s->blocks[tile] * kv->block_bytes;
}

static inline uint16_t *kv_k(
    const struct kv *kv, const struct kv_seq *s, uint32_t layer, uint32_t head, uint32_t tile)
{
    return (uint16_t *)(void *)(kv_block(kv, s, tile) + kv->layers[layer].k + head * kv->k_tile_bytes);
}

static inline uint16_t *kv_v(
    const struct kv *kv, const struct kv_seq *s, uint32_t layer, uint32_t head, uint32_t tile)
{
    return (uint16_t *)(void *)(kv_block(kv, s, tile) + kv->layers[layer].v + head * kv->v_tile_bytes);
}

#endif
