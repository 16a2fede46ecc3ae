/*
 * Heights of prefill's products. A slice reads, expands and reads again all weights however few tokens it
 * has, and the tensor cores' work follows its height: on an H200 by reckoning 8 ms and 12 ms at 8B and 512
 * tokens. So a few tokens go in a low product, many in a high one, and up to three quarters of the step to
 * the next height are cheaper in several of those below it.
 *
 * An algorithm, and with it the bits of a result, follows from the height. So a height follows from the row's
 * own tokens in the step, never from what else is computed.
 *
 * A library chooses an algorithm when a shape comes for the first time, and loads its code then: milliseconds
 * to hundreds of them. All heights of all shapes are computed once when a context is made, not in the middle
 * of traffic.
 */
#include "plugins/cuda/pass.h"

#define SMALL 512u /* below, a slice costs little more than what all have in common */

static const uint32_t heights[] = {32, 64, 128, 256, SMALL, 2048};
#define N_HEIGHTS (sizeof(heights) / sizeof(heights[0]))

uint32_t prefill_height(uint32_t most, uint32_t left)
{
    uint32_t height = most, below = 0;
    for (size_t i = N_HEIGHTS; i-- > 0 && !below;) {
        if (heights[i] < most && heights[i] >= left)
            height = heights[i];
        else if (heights[i] < left)
            below = heights[i];
    }
    return below >= SMALL && below < most && left <= height / 4 * 3 ? below : height;
}

uint32_t cuda_prefill_granule(const struct cuda_options *o)
{
    if (!o->blas || !o->fixed_height)
        return 1;
    return o->prefill_slice < SMALL ? o->prefill_slice : SMALL;
}

uint64_t prefill_shares(const struct orcd_ctx *ctx)
{
    /* Only a row's last share is lower than this, or not full. */
    const uint32_t least = ctx->slice < SMALL ? ctx->slice : SMALL;
    return (uint64_t)ctx->params.max_batch_rows + ctx->params.max_batch_tokens / least + 1;
}

/* ------------------------------------------------------------ the first time */

static bool layer_products(struct pass *p, const struct cuda_layer *l)
{
    const struct scratch *s = &p->ctx->s;
    const struct orcd_hparams *hp = &p->ctx->model->hp;
    const struct ck_halves embd = halves_for(p, hp->n_embd), att = halves_for(p, l->n_heads * hp->head_dim_v),
                           ff = halves_for(p, l->n_ff);
    if (!product_gemm(p, &l->q, &embd, s->q, s->ld_q) || !product_gemm(p, &l->k, &embd, s->k, s->ld_k) ||
        !product_gemm(p, &l->v, &embd, s->v, s->ld_v) || !product_gemm(p, &l->out, &att, s->tmp, s->ld_embd))
        return false;
    return l->has_experts || ((l->gate.n_rows == 0 || product_gemm(p, &l->gate, &embd, s->gate, s->ld_ff)) &&
                                 product_gemm(p, &l->up, &embd, s->up, s->ld_ff) &&
                                 product_gemm(p, &l->down, &ff, s->tmp, s->ld_embd));
}

/* Whether an earlier layer has the same shapes; looking one back is enough for most models. */
static bool as_before(const struct orcd_model *m, uint32_t i)
{
    const struct cuda_layer *l = &m->layers[i], *before = &m->layers[i - 1];
    return l->n_heads == before->n_heads && l->n_kv_heads == before->n_kv_heads && l->n_ff == before->n_ff &&
           l->has_experts == before->has_experts;
}

static enum simt_status products_of(struct orcd_ctx *ctx, uint32_t height)
{
    const struct orcd_model *m = ctx->model;
    const struct share share = {.n = height, .height = height};
    struct pass p = {.ctx = ctx, .rows = height, .gemm = true, .shares = &share, .n_shares = 1};
    bool good = true;
    for (uint32_t i = 0; i < m->hp.n_layers && good; i++)
        if (i == 0 || !as_before(m, i))
            good = layer_products(&p, &m->layers[i]);
    return p.status;
}

enum simt_status prefill_products(struct orcd_ctx *ctx)
{
    if (!ctx->blas || !ctx->device->options.fixed_height)
        return SIMT_OK;
    enum simt_status status = products_of(ctx, ctx->slice);
    for (size_t i = 0; i < N_HEIGHTS && heights[i] < ctx->slice && status == SIMT_OK; i++)
        status = products_of(ctx, heights[i]);
    return status == SIMT_OK ? simt_stream_sync(ctx->stream) : status;
}
