#include <string.h>

#include "plugins/cpu/kv.h"

uint64_t kv_block_bytes(const struct kv_shape *shape)
{
    uint64_t bytes = 0, per_head = ((uint64_t)shape->head_dim_k + shape->head_dim_v) * KV_TILE * 2;
    for (uint32_t i = 0; i < shape->n_layers; i++) {
        uint64_t layer;
        if (__builtin_mul_overflow(per_head, shape->n_kv_heads[i], &layer) ||
            __builtin_add_overflow(bytes, layer, &bytes))
            return 0;
    }
    return bytes;
}

static uint32_t blocks_for(uint32_t tokens)
{
    return tokens / KV_TILE + (tokens % KV_TILE != 0);
}

int kv_init(struct kv *kv, const struct orcd_host *host, const struct kv_shape *shape, uint32_t n_seqs,
    uint32_t n_ctx, uint64_t tokens, _Atomic uint64_t *counter, struct orcd_error *err)
{
    *kv = (struct kv){.host = host, .n_seqs = n_seqs, .n_ctx = n_ctx, .tokens = tokens};
    kv->n_layers = shape->n_layers;
    kv->block_bytes = kv_block_bytes(shape);
    kv->k_tile_bytes = (uint64_t)shape->head_dim_k * KV_TILE * 2;
    kv->v_tile_bytes = (uint64_t)shape->head_dim_v * KV_TILE * 2;
    /* Each sequence may leave most of its last block unused. */
    uint64_t n_blocks, bytes;
    uint32_t per_seq = blocks_for(n_ctx);
    if (kv->block_bytes == 0 ||
        __builtin_add_overflow(tokens / KV_TILE + (tokens % KV_TILE != 0), (uint64_t)n_seqs, &n_blocks) ||
        n_blocks > UINT32_MAX || __builtin_mul_overflow(n_blocks, kv->block_bytes, &bytes))
        return plugin_error(
            err, ORCD_E_INVALID, "a KV cache of %llu tokens is too large", (unsigned long long)tokens);
    kv->n_blocks = (uint32_t)n_blocks;
    kv->free_blocks = plugin_alloc(host, n_blocks, sizeof(*kv->free_blocks));
    kv->layers = plugin_alloc(host, shape->n_layers, sizeof(*kv->layers));
    kv->seqs = plugin_alloc(host, n_seqs, sizeof(*kv->seqs));
    kv->tables = plugin_alloc(host, (uint64_t)n_seqs * per_seq, sizeof(*kv->tables));
    if (!kv->free_blocks || !kv->layers || !kv->seqs || !kv->tables ||
        mapping_new(&kv->pool, host, bytes, true, counter)) {
        kv_release(kv);
        return plugin_error(err, ORCD_E_NOMEM, "no memory for a KV cache of %llu tokens (%llu bytes)",
            (unsigned long long)tokens, (unsigned long long)bytes);
    }
    uint64_t at = 0;
    for (uint32_t i = 0; i < shape->n_layers; i++) {
        kv->layers[i].k = at;
        at += shape->n_kv_heads[i] * kv->k_tile_bytes;
        kv->layers[i].v = at;
        at += shape->n_kv_heads[i] * kv->v_tile_bytes;
    }
    /* Low blocks are handed out first: those are in memory already. */
    for (uint32_t i = 0; i < kv->n_blocks; i++)
        kv->free_blocks[i] = kv->n_blocks - 1 - i;
    kv->n_free = kv->n_blocks;
    for (uint32_t i = 0; i < n_seqs; i++)
        kv->seqs[i].blocks = kv->tables + (uint64_t)i * per_seq;
    return 0;
}

void kv_release(struct kv *kv)
{
    if (!kv->host)
        return;
    mapping_free(&kv->pool);
    plugin_free(kv->host, kv->tables);
    plugin_free(kv->host, kv->seqs);
    plugin_free(kv->host, kv->layers);
    plugin_free(kv->host, kv->free_blocks);
    *kv = (struct kv){0};
}

struct kv_seq *kv_seq_get(struct kv *kv, uint32_t seq, struct orcd_error *err)
{
    if (seq >= kv->n_seqs) {
        plugin_error(err, ORCD_E_INVALID, "sequence %u of %u", (unsigned)seq, (unsigned)kv->n_seqs);
        return NULL;
    }
    if (!kv->seqs[seq].open) {
        plugin_error(err, ORCD_E_NOT_FOUND, "sequence %u is not open", (unsigned)seq);
        return NULL;
    }
    return &kv->seqs[seq];
}

static int kv_set_reserved(struct kv *kv, struct kv_seq *s, uint32_t max_tokens, struct orcd_error *err)
{
    if (max_tokens > kv->n_ctx)
        return plugin_error(err, ORCD_E_INVALID, "%u tokens are more than the context's %u",
            (unsigned)max_tokens, (unsigned)kv->n_ctx);
    uint64_t others = kv->tokens_reserved - s->reserved;
    if (max_tokens > kv->tokens - others)
        return plugin_error(err, ORCD_E_OUT_OF_KV, "%u tokens wanted, %llu of %llu are free",
            (unsigned)max_tokens, (unsigned long long)(kv->tokens - others), (unsigned long long)kv->tokens);
    uint32_t want = blocks_for(max_tokens);
    while (s->n_blocks > want)
        kv->free_blocks[kv->n_free++] = s->blocks[--s->n_blocks];
    /* The pool has a block for each part of one that a reservation leaves unused. */
    while (s->n_blocks < want)
        s->blocks[s->n_blocks++] = kv->free_blocks[--kv->n_free];
    kv->tokens_reserved = others + max_tokens;
    s->reserved = max_tokens;
    return 0;
}

int kv_seq_open(struct kv *kv, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    if (seq >= kv->n_seqs)
        return plugin_error(err, ORCD_E_INVALID, "sequence %u of %u", (unsigned)seq, (unsigned)kv->n_seqs);
    struct kv_seq *s = &kv->seqs[seq];
    if (s->open)
        return plugin_error(err, ORCD_E_INVALID, "sequence %u is open already", (unsigned)seq);
    int rc = kv_set_reserved(kv, s, max_tokens, err);
    if (rc)
        return rc;
    s->open = true;
    s->len = 0;
    return 0;
}

int kv_seq_reserve(struct kv *kv, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    struct kv_seq *s = kv_seq_get(kv, seq, err);
    if (!s)
        return seq >= kv->n_seqs ? ORCD_E_INVALID : ORCD_E_NOT_FOUND;
    if (max_tokens < s->len)
        return plugin_error(err, ORCD_E_INVALID, "sequence %u holds %u tokens, more than %u", (unsigned)seq,
            (unsigned)s->len, (unsigned)max_tokens);
    return kv_set_reserved(kv, s, max_tokens, err);
}

int kv_seq_close(struct kv *kv, uint32_t seq, struct orcd_error *err)
{
    struct kv_seq *s = kv_seq_get(kv, seq, err);
    if (!s)
        return seq >= kv->n_seqs ? ORCD_E_INVALID : ORCD_E_NOT_FOUND;
    kv_set_reserved(kv, s, 0, err);
    s->open = false;
    s->len = 0;
    return 0;
}
