/*
 * The layers of a pass as launches. Decode and prefill differ in attention, and in products where
 * there are tensor cores: those read FP16 rows and matrices expanded into scratch, and leave the
 * rows' scale and the biases to whoever takes up their output.
 */
#include "plugins/cuda/ctx.h"

static bool ok(struct pass *p, enum simt_status status)
{
    if (p->status == SIMT_OK)
        p->status = status;
    return p->status == SIMT_OK;
}

/* Rows of n floats, as they are or normed, for the products that come next. */
struct rows_for {
    const float *x;
    uint32_t ld_x, rows, n;
    const uint32_t *index;              /* x's row of each; NULL: in order */
    const float *weight, *bias;         /* of the norm; NULL: none */
    const struct ck_matrix *readers[4]; /* the matrices, up to a NULL */
    bool floats;                        /* something else reads floats */
    bool two_terms;                     /* 8-bit inputs are a sum of two */
    bool gemm;                          /* on tensor cores, whatever the matrices are */
};

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

static struct ck_halves halves_for(const struct pass *p, uint32_t n)
{
    return (struct ck_halves){.h = p->ctx->s.halves, .scale = p->ctx->s.halves_scale, .ld = up_to(n, 32)};
}

/* The inputs of the next products, in the forms that those read. */
struct input {
    struct ck_act act;
    struct ck_halves halves;
};

static bool input_make(struct pass *p, struct input *in, const struct rows_for *r)
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
    return ok(p, ck_norm(p->ctx->stream, &a));
}

/* y = w times the rows, without scale and bias. */
static bool gemm(
    struct pass *p, const struct ck_matrix *w, const struct ck_halves *in, float *y, uint32_t ld_y)
{
    struct orcd_ctx *ctx = p->ctx;
    const void *b = w->q;
    uint32_t ld_b = w->ld;
    if (w->type != ORCD_TYPE_F16) {
        b = ctx->s.expanded;
        ld_b = up_to(w->n_cols, 8);
        if (!ok(p, ck_expand(ctx->stream, w, ctx->s.expanded, ld_b)))
            return false;
    }
    /* One height gives one algorithm, whatever else is in the slice. */
    const uint32_t m = ctx->device->options.fixed_height ? ctx->slice : p->rows;
    const struct simt_gemm g = {.m = (int)m,
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
    return ok(p, simt_blas_gemm(ctx->blas, ctx->stream, &g));
}

/* x += w times the rows + bias, or the norm of that by `post`. */
static bool residual(
    struct pass *p, const struct ck_matrix *w, const struct input *in, const float *bias, const float *post)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct ck_product product = {
        .w = *w, .bias = bias, .y = post ? s->tmp : s->x, .ld_y = s->ld_embd, .add = post == NULL};
    if (!(p->gemm ? gemm(p, w, &in->halves, s->tmp, s->ld_embd)
                  : ok(p, ck_products(ctx->stream, &product, 1, &in->act, p->rows))))
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
        return ok(p, ck_add_normed(ctx->stream, &add, post, ctx->model->hp.norm_eps));
    return !p->gemm || ok(p, ck_add_rows(ctx->stream, &add));
}

/* ---------------------------------------------------------------- attention */

static bool qkv(struct pass *p, uint32_t layer)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct orcd_hparams *hp = &ctx->model->hp;
    const struct cuda_layer *l = &ctx->model->layers[layer];
    const struct rows_for rows = {.x = s->x,
        .ld_x = s->ld_embd,
        .rows = p->rows,
        .n = hp->n_embd,
        .weight = l->attn_norm,
        .bias = l->attn_norm_bias,
        .readers = {&l->q, &l->k, &l->v},
        .gemm = p->gemm};
    struct input in;
    if (!input_make(p, &in, &rows))
        return false;
    if (p->gemm) {
        if (!gemm(p, &l->q, &in.halves, s->q, s->ld_q) || !gemm(p, &l->k, &in.halves, s->k, s->ld_k) ||
            !gemm(p, &l->v, &in.halves, s->v, s->ld_v))
            return false;
    } else {
        const struct ck_product products[] = {{.w = l->q, .y = s->q, .ld_y = s->ld_q},
            {.w = l->k, .y = s->k, .ld_y = s->ld_k}, {.w = l->v, .y = s->v, .ld_y = s->ld_v}};
        if (!ok(p, ck_products(ctx->stream, products, 3, &in.act, p->rows)))
            return false;
    }
    const struct ck_qkv_args a = {.rows = p->rows,
        .n_heads = l->n_heads,
        .n_kv_heads = l->n_kv_heads,
        .dk = hp->head_dim_k,
        .dv = hp->head_dim_v,
        .q = s->q,
        .k = s->k,
        .v = s->v,
        .ld_q = s->ld_q,
        .ld_k = s->ld_k,
        .ld_v = s->ld_v,
        .scale = p->gemm ? in.halves.scale : NULL,
        .q_bias = l->q_bias,
        .k_bias = l->k_bias,
        .v_bias = l->v_bias,
        .q_norm = l->q_norm,
        .k_norm = l->k_norm,
        .eps = hp->norm_eps,
        .rope = hp->rope,
        .pairs = hp->rope_dims / 2,
        .cs = l->window && ctx->model->inv_freq_local ? s->cs_local : s->cs,
        .cells = {.token = p->at.token, .seq = p->at.seq, .pos = p->at.pos},
        .kv = ctx_kv(ctx, layer)};
    return ok(p, ck_qkv(ctx->stream, &a));
}

static bool attention(struct pass *p, uint32_t layer)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct orcd_hparams *hp = &ctx->model->hp;
    const struct cuda_layer *l = &ctx->model->layers[layer];
    const struct ck_attn_args a = {.rows = p->rows,
        .n_heads = l->n_heads,
        .n_kv_heads = l->n_kv_heads,
        .dk = hp->head_dim_k,
        .dv = hp->head_dim_v,
        .q = s->q,
        .ld_q = s->ld_q,
        .out = s->att,
        .ld_out = s->ld_att,
        .scale = hp->attn_scale,
        .softcap = hp->attn_softcap,
        .window = l->window,
        .sinks = l->sinks,
        .cells = {.token = p->at.token, .seq = p->at.seq, .pos = p->at.pos},
        .kv = ctx_kv(ctx, layer)};
    if (!ok(p, p->decode ? ck_attn_decode(ctx->stream, &a, s->partial, p->n_splits)
                         : ck_attn_prefill(ctx->stream, &a, p->at.tiles, p->n_tiles)))
        return false;
    const struct rows_for rows = {.x = s->att,
        .ld_x = s->ld_att,
        .rows = p->rows,
        .n = l->n_heads * hp->head_dim_v,
        .readers = {&l->out},
        .gemm = p->gemm};
    struct input in;
    return input_make(p, &in, &rows) && residual(p, &l->out, &in, l->out_bias, l->attn_post_norm);
}

/* -------------------------------------------------------------- feed-forward */

static bool dense(struct pass *p, const struct cuda_layer *l)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct orcd_hparams *hp = &ctx->model->hp;
    const bool gated = l->gate.n_rows != 0;
    const struct rows_for normed = {.x = s->x,
        .ld_x = s->ld_embd,
        .rows = p->rows,
        .n = hp->n_embd,
        .weight = l->ffn_norm,
        .bias = l->ffn_norm_bias,
        .readers = {&l->gate, &l->up},
        .gemm = p->gemm};
    const struct rows_for activated = {.x = s->gate,
        .ld_x = s->ld_ff,
        .rows = p->rows,
        .n = l->n_ff,
        .readers = {&l->down},
        .gemm = p->gemm};
    struct input in;
    if (!input_make(p, &in, &normed))
        return false;
    if (p->gemm) {
        const struct ck_gate_rows_args a = {.rows = p->rows,
            .n = l->n_ff,
            .gate = s->gate,
            .up = s->up,
            .ld = s->ld_ff,
            .scale = in.halves.scale,
            .gate_bias = l->gate_bias,
            .up_bias = l->up_bias,
            .activation = hp->activation};
        if ((gated && !gemm(p, &l->gate, &in.halves, s->gate, s->ld_ff)) ||
            !gemm(p, &l->up, &in.halves, s->up, s->ld_ff) || !ok(p, ck_gate_rows(ctx->stream, &a)))
            return false;
    } else {
        const struct ck_gated_args a = {.gate = gated ? &l->gate : NULL,
            .up = &l->up,
            .gate_bias = l->gate_bias,
            .up_bias = l->up_bias,
            .activation = hp->activation,
            .h = s->gate,
            .ld_h = s->ld_ff};
        if (!ok(p, ck_gated(ctx->stream, &a, &in.act, p->rows)))
            return false;
    }
    return input_make(p, &in, &activated) && residual(p, &l->down, &in, l->down_bias, l->ffn_post_norm);
}

/* Choice of experts: p->rows x n_experts_used pairs. */
static bool route(struct pass *p, const struct cuda_layer *l, const struct ck_act *act)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct orcd_hparams *hp = &ctx->model->hp;
    const struct ck_product router = {.w = l->router, .y = s->router, .ld_y = s->ld_experts};
    const struct ck_route_args a = {.rows = p->rows,
        .n = hp->n_experts,
        .used = hp->n_experts_used,
        .logits = s->router,
        .ld = s->ld_experts,
        .bias = l->router_bias,
        .norm = hp->expert_weights_norm,
        .scale = hp->expert_weights_scale,
        .expert = s->route_expert,
        .weight = s->route_weight};
    return ok(p, ck_products(ctx->stream, &router, 1, act, p->rows)) && ok(p, ck_route(ctx->stream, &a)) &&
           ok(p, ck_list_pairs(ctx->stream, s->route_expert, p->rows * hp->n_experts_used, hp->n_experts,
                     s->pair_order, s->pair_first));
}

/* What the expert that all tokens share puts out, into tmp. */
static bool shared(struct pass *p, const struct cuda_layer *l)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct orcd_hparams *hp = &ctx->model->hp;
    const struct rows_for normed = {.x = s->x,
        .ld_x = s->ld_embd,
        .rows = p->rows,
        .n = hp->n_embd,
        .weight = l->ffn_norm,
        .bias = l->ffn_norm_bias,
        .readers = {&l->shared_gate, &l->shared_up}};
    const struct rows_for activated = {
        .x = s->gate, .ld_x = s->ld_ff, .rows = p->rows, .n = hp->n_ff_shared, .readers = {&l->shared_down}};
    const struct ck_gated_args a = {.gate = &l->shared_gate,
        .up = &l->shared_up,
        .activation = hp->activation,
        .h = s->gate,
        .ld_h = s->ld_ff};
    const struct ck_product product = {.w = l->shared_down, .y = s->tmp, .ld_y = s->ld_embd};
    struct input in;
    return input_make(p, &in, &normed) && ok(p, ck_gated(ctx->stream, &a, &in.act, p->rows)) &&
           input_make(p, &in, &activated) && ok(p, ck_products(ctx->stream, &product, 1, &in.act, p->rows));
}

/* The inputs of the down products are two 8-bit terms: what is lost there decides which experts
 * the next layers choose. */
static bool chosen(struct pass *p, const struct cuda_layer *l, const struct ck_act *act)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct orcd_hparams *hp = &ctx->model->hp;
    const uint32_t n_pairs = p->rows * hp->n_experts_used;
    const struct ck_experts e = {.n_pairs = n_pairs,
        .used = hp->n_experts_used,
        .n_experts = hp->n_experts,
        .expert = s->route_expert,
        .order = s->pair_order,
        .first = s->pair_first};
    const struct ck_gated_args a = {.gate = &l->gate,
        .up = &l->up,
        .gate_bias = l->gate_bias,
        .up_bias = l->up_bias,
        .activation = hp->activation,
        .h = s->gate,
        .ld_h = s->ld_ff};
    const struct ck_product product = {
        .w = l->down, .bias = l->down_bias, .y = s->pair_out, .ld_y = s->ld_embd};
    const struct rows_for activated = {.x = s->gate,
        .ld_x = s->ld_ff,
        .rows = n_pairs,
        .n = l->n_ff,
        .readers = {&l->down},
        .two_terms = true};
    const struct ck_sum_args sum = {.rows = p->rows,
        .n = hp->n_embd,
        .used = hp->n_experts_used,
        .x = s->x,
        .ld_x = s->ld_embd,
        .y = s->pair_out,
        .ld_y = s->ld_embd,
        .weight = s->route_weight};
    struct input in;
    return ok(p, ck_gated_experts(ctx->stream, &a, act, &e)) && input_make(p, &in, &activated) &&
           ok(p, ck_down_experts(ctx->stream, &product, &in.act, &e)) &&
           ok(p, ck_sum_experts(ctx->stream, &sum));
}

static bool experts(struct pass *p, const struct cuda_layer *l)
{
    const struct scratch *s = &p->ctx->s;
    const uint32_t n_embd = p->ctx->model->hp.n_embd;
    const bool has_shared = l->shared_router != NULL;
    const struct rows_for normed = {.x = s->x,
        .ld_x = s->ld_embd,
        .rows = p->rows,
        .n = n_embd,
        .weight = l->ffn_norm,
        .bias = l->ffn_norm_bias,
        .readers = {&l->router, &l->gate, &l->up},
        .floats = has_shared}; /* its router is a vector */
    const struct ck_add_args add = {
        .rows = p->rows, .n = n_embd, .x = s->x, .ld_x = s->ld_embd, .y = s->tmp, .ld_y = s->ld_embd};
    struct input in;
    return (!has_shared || shared(p, l)) && input_make(p, &in, &normed) && route(p, l, &in.act) &&
           (!has_shared ||
               ok(p, ck_add_shared(p->ctx->stream, &add, in.act.f, in.act.ld, l->shared_router))) &&
           chosen(p, l, &in.act);
}

/* ---------------------------------------------------------------------- pass */

bool forward_begin(struct pass *p)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct orcd_model *m = ctx->model;
    const struct orcd_hparams *hp = &m->hp;
    const struct ck_cells cells = {.token = p->at.token, .seq = p->at.seq, .pos = p->at.pos};
    const struct ck_history history = ctx_history(ctx);
    const struct ck_matrix *position = m->position_embd.n_rows ? &m->position_embd : NULL;
    if (!ok(p, ck_begin(ctx->stream, &cells, s->chain, &history, hp->n_vocab, p->rows)) ||
        !ok(p, ck_embed(ctx->stream, &m->token_embd, position, &cells, s->x, s->ld_embd, p->rows)))
        return false;
    if (hp->embd_scale != 1)
        ok(p, ck_scale_rows(ctx->stream, s->x, s->ld_embd, hp->embd_scale, p->rows, hp->n_embd));
    if (hp->rope != ORCD_ROPE_NONE)
        ok(p, ck_rope_table(
                  ctx->stream, p->at.pos, s->inv_freq, hp->rope_dims / 2, m->rope_magnitude, s->cs, p->rows));
    if (m->inv_freq_local)
        ok(p, ck_rope_table(
                  ctx->stream, p->at.pos, s->inv_freq_local, hp->rope_dims / 2, 1, s->cs_local, p->rows));
    return p->status == SIMT_OK;
}

bool forward_layer(struct pass *p, uint32_t layer)
{
    const struct cuda_layer *l = &p->ctx->model->layers[layer];
    return qkv(p, layer) && attention(p, layer) && (l->has_experts ? experts(p, l) : dense(p, l));
}

bool forward_end(struct pass *p)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct orcd_model *m = ctx->model;
    if (p->n_wanted == 0)
        return true;
    const uint64_t from = p->wanted;
    const struct rows_for normed = {.x = s->x,
        .ld_x = s->ld_embd,
        .rows = p->n_wanted,
        .n = m->hp.n_embd,
        .index = p->every ? NULL : p->at.index,
        .weight = m->output_norm,
        .bias = m->output_norm_bias,
        .readers = {&m->output}};
    struct input in;
    const struct ck_product product = {
        .w = m->output, .y = s->logits + from * s->ld_vocab, .ld_y = s->ld_vocab};
    const struct ck_sample_args sample = {.rows = p->n_wanted,
        .n_vocab = m->hp.n_vocab,
        .logits = product.y,
        .ld = s->ld_vocab,
        .draw = p->at.draw,
        .n_top = p->at.n_top,
        .seq = p->at.wanted_seq,
        .pos = p->at.wanted_pos,
        .sampler = s->samplers,
        .history = ctx_history(ctx),
        .chain = s->chain,
        .token = s->token + from,
        .top_ids = s->top_ids + from * CK_MAX_TOP,
        .top_logprobs = s->top_logprobs + from * CK_MAX_TOP,
        .scratch = s->sampling};
    if (!input_make(p, &in, &normed) || !ok(p, ck_products(ctx->stream, &product, 1, &in.act, p->n_wanted)))
        return false;
    if (m->hp.logit_softcap > 0)
        ok(p, ck_softcap_rows(
                  ctx->stream, product.y, s->ld_vocab, m->hp.logit_softcap, p->n_wanted, m->hp.n_vocab));
    return p->status == SIMT_OK && ok(p, ck_sample(ctx->stream, &sample));
}
