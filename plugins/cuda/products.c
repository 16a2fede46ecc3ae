/*
 * Products of a pass: their inputs, tensor cores, the residual. Without tensor cores inputs are 8-bit blocks
 * or floats, whatever the matrices read, and a product adds bias and residual itself. On tensor cores inputs
 * are FP16 rows with a scale, a matrix is expanded into scratch first, and whoever takes up the output adds
 * scale and bias.
 */
#include "plugins/cuda/pass.h"

bool pass_ok(struct pass *p, enum simt_status status)
{
    if (p->status == SIMT_OK)
        p->status = status;
    return p->status == SIMT_OK;
}

/* Quantized rows, floats, or both: whatever the matrices ahead read. */
static struct ck_act act_for(const struct pass *p, const struct rows_for *r)
{
    struct ck_act act = {.ld = up_to(r->n, 32), .terms = r->two_terms ? 2 : 1};
    char *at = p->ctx->s.act;
    const uint64_t cells = (uint64_t)r->rows * act.ld, entries = cells * act.terms;
    bool quantized = false, floats = r->floats;
    for (int i = 0; i < 4 && r->readers[i]; i++) {
        const struct ck_matrix *w = r->readers[i];
        quantized = quantized || (w->n_rows && !ck_is_float(w->type));
        floats = floats || (w->n_rows && ck_is_float(w->type));
    }
    if (floats)
        act.f = (float *)(void *)at;
    at += (cells * sizeof(float) + 255) / 256 * 256;
    if (quantized) {
        act.q = (int8_t *)at;
        at += (entries + 255) / 256 * 256;
        act.d = (float *)(void *)at;
        at += (entries / 32 * sizeof(float) + 255) / 256 * 256;
        act.sums = (int32_t *)(void *)at;
    }
    return act;
}

struct ck_halves halves_for(const struct pass *p, uint32_t n)
{
    return (struct ck_halves){.h = p->ctx->s.halves, .scale = p->ctx->s.halves_scale, .ld = up_to(n, 32)};
}

bool input_make(struct pass *p, struct input *in, const struct rows_for *r)
{
    const struct orcd_hparams *hp = &p->ctx->model->hp;
    *in = (struct input){0};
    if (r->gemm)
        in->halves = halves_for(p, r->n);
    else
        in->act = act_for(p, r);
    const uint32_t norm = hp->norm == ORCD_NORM_LAYER ? CK_NORM_LAYER : CK_NORM_RMS;
    const struct ck_norm_args a = {.kind = r->weight ? norm : CK_NORM_NONE,
        .rows = r->rows,
        .n = r->n,
        .x = r->x,
        .ld_x = r->ld_x,
        .index = r->index,
        .weight = r->weight,
        .bias = r->bias,
        .eps = hp->norm_eps,
        .act = in->act,
        .halves = in->halves};
    return pass_ok(p, ck_norm(p->ctx->stream, &a));
}

bool product_gemm(
    struct pass *p, const struct ck_matrix *w, const struct ck_halves *in, float *y, uint32_t ld_y)
{
    struct orcd_ctx *ctx = p->ctx;
    const void *b = w->q;
    uint32_t ld_b = w->ld;
    if (w->type != ORCD_TYPE_F16) {
        b = ctx->s.expanded;
        ld_b = up_to(w->n_cols, 8);
        if (!pass_ok(p, ck_expand(ctx->stream, w, ctx->s.expanded, ld_b)))
            return false;
    }
    struct simt_gemm g = {.m = (int)p->rows,
        .n = (int)w->n_rows,
        .k = (int)w->n_cols,
        .trans_b = 1,
        .in = SIMT_F16,
        .out = SIMT_F32,
        .alpha = 1,
        .a = in->h,
        .b = b,
        .c = y,
        .ld_a = (int)in->ld,
        .ld_b = (int)ld_b,
        .ld_c = (int)ld_y,
        .batch = 1};
    if (!p->shares)
        return pass_ok(p, simt_blas_gemm(ctx->blas, ctx->stream, &g));
    /* Of a share's product the rows behind its cells belong to the next one, which comes after it. */
    for (uint32_t i = 0; i < p->n_shares && p->status == SIMT_OK; i++) {
        const struct share *sh = &p->shares[i];
        g.m = (int)sh->height;
        g.a = in->h + (uint64_t)sh->first * in->ld;
        g.c = y + (uint64_t)sh->first * ld_y;
        pass_ok(p, simt_blas_gemm(ctx->blas, ctx->stream, &g));
    }
    return p->status == SIMT_OK;
}

bool product_residual(
    struct pass *p, const struct ck_matrix *w, const struct input *in, const float *bias, const float *post)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct ck_product product = {
        .w = *w, .bias = bias, .y = post ? s->tmp : s->x, .ld_y = s->ld_embd, .add = post == NULL};
    if (!(p->gemm ? product_gemm(p, w, &in->halves, s->tmp, s->ld_embd)
                  : pass_ok(p, ck_products(ctx->stream, &product, 1, &in->act, p->rows))))
        return false;
    const struct ck_add_args add = {.rows = p->rows,
        .n = w->n_rows,
        .x = s->x,
        .ld_x = s->ld_embd,
        .y = s->tmp,
        .ld_y = s->ld_embd,
        .scale = p->gemm ? in->halves.scale : NULL,
        .bias = p->gemm ? bias : NULL};
    if (post)
        return pass_ok(p, ck_add_normed(ctx->stream, &add, post, ctx->model->hp.norm_eps));
    return !p->gemm || pass_ok(p, ck_add_rows(ctx->stream, &add));
}
