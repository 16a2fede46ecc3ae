#include "plugins/cpu/forward.h"

/* Heads of one KV head's group that an item takes: the whole group, which reads each
 * tile once, unless that leaves threads without work. */
static uint32_t heads_per_item(const struct lane *lane)
{
    const struct forward *f = &lane->ctx->fwd;
    const uint32_t group = lane->l->n_heads / lane->l->n_kv_heads;
    const uint64_t items = (uint64_t)f->n_groups * lane->l->n_kv_heads;
    const uint64_t want = 2 * (uint64_t)pool_size(lane->ctx->device->pool);
    if (items >= want || pool_size(lane->ctx->device->pool) == 1)
        return group;
    const uint64_t parts = (want + items - 1) / items;
    return parts >= group ? 1 : (uint32_t)((group + parts - 1) / parts);
}

/* The first key that a query at pos sees. */
static uint32_t first_key(const struct cpu_layer *l, uint32_t pos)
{
    return l->window && pos >= l->window ? pos - l->window + 1 : 0;
}

static void attention_item(
    struct lane *lane, const struct cell_group *g, uint32_t kv_head, uint32_t head0, uint32_t head1)
{
    struct orcd_ctx *ctx = lane->ctx;
    struct forward *f = &ctx->fwd;
    const struct orcd_hparams *hp = &ctx->model->hp;
    const struct cpu_layer *l = lane->l;
    const struct thread_scratch *t = &f->threads[lane->thread];
    const struct kv_seq *s = &ctx->kv.seqs[ctx->step.rows[f->cells[g->first].row].seq];
    const uint32_t keys = f->cells[g->first + g->count - 1].pos + 1;
    const uint32_t n_tiles = (keys + KV_TILE - 1) / KV_TILE;
    const uint32_t tile0 = first_key(l, f->cells[g->first].pos) / KV_TILE;
    for (uint32_t i = tile0; i < n_tiles; i++) {
        t->k_tiles[i] = kv_k(&ctx->kv, s, lane->layer, kv_head, i);
        t->v_tiles[i] = kv_v(&ctx->kv, s, lane->layer, kv_head, i);
    }
    uint32_t n = 0;
    for (uint32_t c = g->first; c < g->first + g->count; c++)
        for (uint32_t h = head0; h < head1; h++) {
            t->rows[n] = (struct cpu_attn_row){.q = f->q + ((uint64_t)c * l->n_heads + h) * hp->head_dim_k,
                .out = f->att + ((uint64_t)c * l->n_heads + h) * hp->head_dim_v,
                .first = first_key(l, f->cells[c].pos),
                .end = f->cells[c].pos + 1};
            cpu_attn_start(&t->rows[n++], hp->head_dim_v, l->sinks ? &l->sinks[h] : NULL);
        }
    const struct cpu_attn a = {.k_tiles = t->k_tiles,
        .v_tiles = t->v_tiles,
        .head_dim_k = hp->head_dim_k,
        .head_dim_v = hp->head_dim_v,
        .scale = hp->attn_scale,
        .softcap = hp->attn_softcap,
        .scratch = t->attn};
    const uint64_t tile_macs = (uint64_t)n * KV_TILE * (hp->head_dim_k + hp->head_dim_v);
    const uint64_t tiles_at_once = LOOK_MACS / tile_macs + 1;
    for (uint64_t tile = tile0; tile < n_tiles && !lane_stopped(lane); tile += tiles_at_once) {
        const uint64_t end = tile + tiles_at_once;
        lane->kernels->attn_tiles(&a, t->rows, n, (uint32_t)tile, end < n_tiles ? (uint32_t)end : n_tiles);
    }
    for (uint32_t i = 0; i < n; i++)
        lane->kernels->attn_finish(&t->rows[i], hp->head_dim_v);
}

void attention_run(struct lane *lane)
{
    const struct cpu_layer *l = lane->l;
    const uint32_t group = l->n_heads / l->n_kv_heads, each = heads_per_item(lane);
    const uint32_t parts = (group + each - 1) / each;
    const struct forward *f = &lane->ctx->fwd;
    uint32_t i;
    while ((i = lane_next(lane, f->n_groups * l->n_kv_heads * parts)) != UINT32_MAX) {
        const uint32_t part = i % parts, kv_head = i / parts % l->n_kv_heads, g = i / parts / l->n_kv_heads;
        const uint32_t head0 = kv_head * group + part * each;
        const uint32_t head1 = part + 1 == parts ? (kv_head + 1) * group : head0 + each;
        attention_item(lane, &f->groups[g], kv_head, head0, head1);
    }
}
