#include <string.h>

#include "plugins/common/carve.h"
#include "plugins/cpu/ctx.h"

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void forward_carve(struct forward *f, struct carve *c, const struct orcd_model *m, uint32_t n)
{
    const struct orcd_hparams *hp = &m->hp;
    const uint64_t q = (uint64_t)m->max_heads * hp->head_dim_k, att = (uint64_t)m->max_heads * hp->head_dim_v;
    const uint64_t widest = max_u64(max_u64(hp->n_embd, att), m->max_ff);
    const uint64_t pairs = m->experts ? n * (uint64_t)hp->n_experts_used : n;
    f->x = carve_take(c, n, hp->n_embd, sizeof(float));
    f->xn = carve_take(c, n, hp->n_embd, sizeof(float));
    f->tmp = carve_take(c, n, hp->n_embd, sizeof(float));
    f->q = carve_take(c, n, q, sizeof(float));
    f->k = carve_take(c, n, (uint64_t)m->max_kv_heads * hp->head_dim_k, sizeof(float));
    f->v = carve_take(c, n, (uint64_t)m->max_kv_heads * hp->head_dim_v, sizeof(float));
    f->att = carve_take(c, n, att, sizeof(float));
    const uint64_t ff = max_u64(pairs * m->max_ff, (uint64_t)n * hp->n_ff_shared); /* each below 2^60 */
    f->gate = carve_take(c, ff, 1, sizeof(float));
    f->up = carve_take(c, ff, 1, sizeof(float));
    f->cos = carve_take(c, n, (uint64_t)rope_floats(m), sizeof(float));
    f->sin = carve_take(c, n, (uint64_t)rope_floats(m), sizeof(float));
    if (!m->experts) {
        f->act = carve_take(c, n, cpu_act_bytes((uint32_t)((widest + 31) / 32 * 32)), 1);
        return;
    }
    const uint64_t rows = max_u64(pairs * MOE_DOWN_TERMS, n);
    f->act = carve_take(c,
        max_u64(rows * cpu_act_bytes((uint32_t)((widest + 31) / 32 * 32)),
            n * (uint64_t)cpu_act_bytes((hp->n_ff_shared + 31) / 32 * 32)),
        1, 1);
    f->router = carve_take(c, n, hp->n_experts, sizeof(float));
    f->pair_out = carve_take(c, pairs * MOE_DOWN_TERMS, hp->n_embd, sizeof(float));
    f->routes = carve_take(c, pairs, 1, sizeof(*f->routes));
    f->pair_cell = carve_take(c, pairs, 1, sizeof(*f->pair_cell));
    f->tiles = carve_take(c, pairs, 1, sizeof(*f->tiles));
    f->expert_first = carve_take(c, (uint64_t)hp->n_experts + 1, 1, sizeof(*f->expert_first));
}

uint64_t cpu_scratch_bytes(const struct orcd_model *m, uint32_t n_tokens)
{
    struct forward f = {0};
    struct carve c = {.align = CPU_ALIGN};
    forward_carve(&f, &c, m, n_tokens);
    return c.overflow ? UINT64_MAX : c.at;
}

static void threads_carve(struct thread_scratch *ts, uint32_t n_threads, struct carve *c,
    const struct orcd_model *m, uint32_t n_ctx)
{
    const uint64_t tiles = (uint64_t)n_ctx / KV_TILE + 1;
    for (uint32_t i = 0; i < n_threads; i++) {
        struct thread_scratch t = {0};
        t.attn = carve_take(c, cpu_attn_scratch_bytes(m->hp.head_dim_k, m->hp.head_dim_v), 1, 1);
        t.rows = carve_take(c, m->max_heads, GROUP_CELLS, sizeof(*t.rows));
        t.k_tiles = carve_take(c, tiles, 1, sizeof(*t.k_tiles));
        t.v_tiles = carve_take(c, tiles, 1, sizeof(*t.v_tiles));
        if (m->experts)
            t.gathered = carve_take(c, MOE_TILE_TOKENS,
                max_u64(cpu_act_bytes((m->hp.n_embd + 31) / 32 * 32), m->hp.n_embd * sizeof(float)), 1);
        if (ts)
            ts[i] = t;
    }
}

static int forward_init(struct orcd_ctx *ctx, struct orcd_error *err)
{
    struct orcd_device *d = ctx->device;
    const struct orcd_model *m = ctx->model;
    const struct orcd_ctx_params *p = &ctx->params;
    struct forward *f = &ctx->fwd;
    const uint32_t n_threads = pool_size(d->pool);
    f->capacity = d->sub_batch < p->max_batch_tokens ? d->sub_batch : p->max_batch_tokens;
    f->cells = plugin_alloc(d->host, f->capacity, sizeof(*f->cells));
    f->groups = plugin_alloc(d->host, f->capacity, sizeof(*f->groups));
    f->runs = plugin_alloc(d->host, f->capacity, sizeof(*f->runs));
    f->threads = plugin_alloc(d->host, n_threads, sizeof(*f->threads));
    struct carve c = {.align = CPU_ALIGN};
    forward_carve(f, &c, m, f->capacity);
    threads_carve(NULL, n_threads, &c, m, p->n_ctx);
    if (c.overflow)
        return plugin_error(
            err, ORCD_E_INVALID, "a sub-batch of %u tokens is too large", (unsigned)f->capacity);
    if (!f->cells || !f->groups || !f->runs || !f->threads ||
        mapping_new(&ctx->scratch, d->host, c.at, true, &d->ours_bytes))
        return plugin_error(err, ORCD_E_NOMEM, "no memory to compute %u tokens in", (unsigned)f->capacity);
    c = (struct carve){.align = CPU_ALIGN, .base = ctx->scratch.p};
    forward_carve(f, &c, m, f->capacity);
    threads_carve(f->threads, n_threads, &c, m, p->n_ctx);

    /* Each row starts at a multiple of 16 floats. */
    const uint64_t row = ((uint64_t)m->hp.n_vocab + 15) / 16 * 16;
    if (__builtin_mul_overflow(row, (uint64_t)p->max_logits, &ctx->logits_floats) ||
        ctx->logits_floats > PTRDIFF_MAX / sizeof(float) ||
        mapping_new(&ctx->logits_map, d->host, ctx->logits_floats * sizeof(float), true, &d->ours_bytes))
        return plugin_error(
            err, ORCD_E_NOMEM, "no memory for logits of %u positions", (unsigned)p->max_logits);
    ctx->logits = ctx->logits_map.p;
    return 0;
}

static int ctx_build(struct orcd_ctx *ctx, struct orcd_error *err)
{
    const struct orcd_host *host = ctx->device->host;
    const struct orcd_ctx_params *p = &ctx->params;
    ctx->doomed = plugin_alloc(host, p->n_sequences, sizeof(*ctx->doomed));
    ctx->step.rows = plugin_alloc(host, p->max_batch_rows, sizeof(*ctx->step.rows));
    ctx->step.tokens = plugin_alloc(host, p->max_batch_tokens, sizeof(*ctx->step.tokens));
    if (!ctx->doomed || !ctx->step.rows || !ctx->step.tokens)
        return plugin_error(
            err, ORCD_E_NOMEM, "no memory for steps of %u tokens", (unsigned)p->max_batch_tokens);
    const int rc = forward_init(ctx, err);
    if (rc)
        return rc;
    const struct orcd_model *m = ctx->model;
    ctx->rope = m->rope_long.inv_freq && p->n_ctx > m->hp.rope_orig_ctx ? &m->rope_long : &m->rope;
    const struct kv_shape shape = model_kv_shape(m);
    return kv_init(
        &ctx->kv, host, &shape, p->n_sequences, p->n_ctx, p->kv_tokens, &ctx->device->ours_bytes, err);
}

int cpu_ctx_new(
    struct orcd_model *m, const struct orcd_ctx_params *params, struct orcd_ctx **out, struct orcd_error *err)
{
    const struct orcd_host *host = m->device->host;
    if (params->size < offsetof(struct orcd_ctx_params, max_logits) + sizeof(params->max_logits))
        return plugin_error(err, ORCD_E_INVALID, "the context's parameters are incomplete");
    if (params->n_sequences < 1 || params->n_sequences > CPU_MAX_SEQUENCES || params->n_ctx < 1 ||
        params->n_ctx > INT32_MAX || params->max_batch_tokens < 1 ||
        params->max_batch_tokens > CPU_MAX_BATCH_TOKENS || params->max_batch_rows < 1 ||
        params->max_batch_rows > CPU_MAX_SEQUENCES || params->kv_tokens < 1)
        return plugin_error(err, ORCD_E_INVALID, "%u sequences of %u tokens, steps of %u rows and %u tokens",
            (unsigned)params->n_sequences, (unsigned)params->n_ctx, (unsigned)params->max_batch_rows,
            (unsigned)params->max_batch_tokens);
    if (m->position_embd.data && params->n_ctx > m->position_embd.n_rows)
        return plugin_error(err, ORCD_E_INVALID, "a context of %u tokens; the model has learnt %u positions",
            (unsigned)params->n_ctx, (unsigned)m->position_embd.n_rows);
    struct orcd_ctx *ctx = plugin_alloc(host, 1, sizeof(*ctx));
    if (!ctx)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for a context");
    ctx->model = m;
    ctx->device = m->device;
    ctx->params = *params;
    pthread_cond_init(&ctx->done, NULL);
    const int rc = ctx_build(ctx, err);
    if (rc) {
        cpu_ctx_free(ctx);
        return rc;
    }
    *out = ctx;
    return 0;
}

void cpu_ctx_free(struct orcd_ctx *ctx)
{
    if (!ctx)
        return;
    const struct orcd_host *host = ctx->device->host;
    /* Nobody will read what is in flight. */
    for (uint32_t i = 0; ctx->doomed && i < ctx->params.n_sequences; i++)
        cpu_abort(ctx, UINT64_MAX, &i, 1);
    cpu_step_drain(ctx);
    kv_release(&ctx->kv);
    mapping_free(&ctx->logits_map);
    mapping_free(&ctx->scratch);
    plugin_free(host, ctx->fwd.threads);
    plugin_free(host, ctx->fwd.runs);
    plugin_free(host, ctx->fwd.groups);
    plugin_free(host, ctx->fwd.cells);
    plugin_free(host, ctx->step.tokens);
    plugin_free(host, ctx->step.rows);
    plugin_free(host, ctx->doomed);
    pthread_cond_destroy(&ctx->done);
    plugin_free(host, ctx);
}
