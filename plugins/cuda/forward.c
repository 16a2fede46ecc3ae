/*
 * The forward pass as launches, in the order of the paper: embedding, attention and feed-forward layer by
 * layer, output matrix. tests/oracle/oracle.c is the same pass as a textbook has it, in plain floats, without
 * batches, cache and quantized inputs. Read that first; the tests compare what is computed here with it.
 *
 * Everything is put on the context's one stream, whose order stands for barriers. Each row has x, the
 * residual stream; a product takes its norm as it comes from the kernel before (products.c) and adds to x
 * what it puts out. Decode and prefill differ in attention, and in products where there are tensor cores.
 */
#include "plugins/cuda/pass.h"

bool forward_begin(struct pass *p)
{
    struct orcd_ctx *ctx = p->ctx;
    const struct scratch *s = &ctx->s;
    const struct orcd_model *m = ctx->model;
    const struct orcd_hparams *hp = &m->hp;
    const struct ck_cells cells = {.token = p->at.token, .seq = p->at.seq, .pos = p->at.pos};
    const struct ck_history history = ctx_history(ctx);
    const struct ck_matrix *position = m->position_embd.n_rows ? &m->position_embd : NULL;
    /* tokens: a chained one is what the step before drew */
    if (!pass_ok(p, ck_begin(ctx->stream, &cells, s->chain, &history, hp->n_vocab, p->rows)))
        return false;
    /* embedding: x = the token's row, + the position's; scaled, in some families */
    if (!pass_ok(p, ck_embed(ctx->stream, &m->token_embd, position, &cells, s->x, s->ld_embd, p->rows)))
        return false;
    if (hp->embd_scale != 1)
        pass_ok(p, ck_scale_rows(ctx->stream, s->x, s->ld_embd, hp->embd_scale, p->rows, hp->n_embd));
    /* rope: cosines and sines of the positions, for all layers */
    if (hp->rope != ORCD_ROPE_NONE)
        pass_ok(p, ck_rope_table(ctx->stream, p->at.pos, s->inv_freq, hp->rope_dims / 2, m->rope_magnitude,
                       s->cs, p->rows));
    if (m->inv_freq_local)
        pass_ok(p, ck_rope_table(ctx->stream, p->at.pos, s->inv_freq_local, hp->rope_dims / 2, 1, s->cs_local,
                       p->rows));
    return p->status == SIMT_OK;
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
    /* norm */
    if (!input_make(p, &in, &rows))
        return false;
    /* q, k, v = Wq, Wk, Wv times it */
    if (p->gemm) {
        if (!product_gemm(p, &l->q, &in.halves, s->q, s->ld_q) ||
            !product_gemm(p, &l->k, &in.halves, s->k, s->ld_k) ||
            !product_gemm(p, &l->v, &in.halves, s->v, s->ld_v))
            return false;
    } else {
        const struct ck_product products[] = {{.w = l->q, .y = s->q, .ld_y = s->ld_q},
            {.w = l->k, .y = s->k, .ld_y = s->ld_k}, {.w = l->v, .y = s->v, .ld_y = s->ld_v}};
        if (!pass_ok(p, ck_products(ctx->stream, products, 3, &in.act, p->rows)))
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
    /* biases, norms of heads, rope; k and v into the pages */
    return pass_ok(p, ck_qkv(ctx->stream, &a));
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
    /* att = softmax(q . keys * scale) values, head by head */
    return pass_ok(p, p->decode ? ck_attn_decode(ctx->stream, &a, s->partial, p->n_splits)
                                : ck_attn_prefill(ctx->stream, &a, p->at.tiles, p->n_tiles));
}

static bool out(struct pass *p, const struct cuda_layer *l)
{
    const struct scratch *s = &p->ctx->s;
    const struct rows_for rows = {.x = s->att,
        .ld_x = s->ld_att,
        .rows = p->rows,
        .n = l->n_heads * p->ctx->model->hp.head_dim_v,
        .readers = {&l->out},
        .gemm = p->gemm};
    struct input in;
    /* residual: x += Wo att + bias */
    return input_make(p, &in, &rows) && product_residual(p, &l->out, &in, l->out_bias, l->attn_post_norm);
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
    /* norm */
    if (!input_make(p, &in, &normed))
        return false;
    /* gate and up, activation: gate = silu(Wgate . + bias) * (Wup . + bias), or what else the family has */
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
        if ((gated && !product_gemm(p, &l->gate, &in.halves, s->gate, s->ld_ff)) ||
            !product_gemm(p, &l->up, &in.halves, s->up, s->ld_ff) ||
            !pass_ok(p, ck_gate_rows(ctx->stream, &a)))
            return false;
    } else {
        const struct ck_gated_args a = {.gate = gated ? &l->gate : NULL,
            .up = &l->up,
            .gate_bias = l->gate_bias,
            .up_bias = l->up_bias,
            .activation = hp->activation,
            .h = s->gate,
            .ld_h = s->ld_ff};
        if (!pass_ok(p, ck_gated(ctx->stream, &a, &in.act, p->rows)))
            return false;
    }
    /* down, residual: x += Wdown gate + bias */
    return input_make(p, &in, &activated) &&
           product_residual(p, &l->down, &in, l->down_bias, l->ffn_post_norm);
}

/* Router: the few experts of each token and their weights, and the pairs of both by expert. */
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
    /* The experts of one token differ: nobody reads the pairs by expert. */
    return pass_ok(p, ck_products(ctx->stream, &router, 1, act, p->rows)) &&
           pass_ok(p, ck_route(ctx->stream, &a)) &&
           (p->rows == 1 ||
               pass_ok(p, ck_list_pairs(ctx->stream, s->route_expert, p->rows * hp->n_experts_used,
                              hp->n_experts, s->pair_order, s->pair_first)));
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
    /* norm, gate and up, activation, down */
    return input_make(p, &in, &normed) && pass_ok(p, ck_gated(ctx->stream, &a, &in.act, p->rows)) &&
           input_make(p, &in, &activated) &&
           pass_ok(p, ck_products(ctx->stream, &product, 1, &in.act, p->rows));
}

/* x += what the chosen experts put out. The inputs of the down products are two 8-bit terms: what is lost
 * there decides which experts the next layers choose. */
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
    /* gate and up, activation; down; weighted sum and residual */
    return pass_ok(p, ck_gated_experts(ctx->stream, &a, act, &e)) && input_make(p, &in, &activated) &&
           pass_ok(p, ck_down_experts(ctx->stream, &product, &in.act, &e)) &&
           pass_ok(p, ck_sum_experts(ctx->stream, &sum));
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
    /* tmp = the expert that all tokens share, while the stream is what it was */
    if (has_shared && !shared(p, l))
        return false;
    /* norm, router */
    if (!input_make(p, &in, &normed) || !route(p, l, &in.act))
        return false;
    /* x += the shared one, by its own gate */
    if (has_shared && !pass_ok(p, ck_add_shared(p->ctx->stream, &add, in.act.f, in.act.ld, l->shared_router)))
        return false;
    return chosen(p, l, &in.act);
}

/* ------------------------------------------------------------------- layers */

bool forward_layer(struct pass *p, uint32_t layer)
{
    const struct cuda_layer *l = &p->ctx->model->layers[layer];
    return qkv(p, layer) && attention(p, layer) && out(p, l) &&
           (l->has_experts ? experts(p, l) : dense(p, l));
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
    /* output norm, output matrix: the logits of wanted positions, capped in some families */
    if (!input_make(p, &in, &normed) ||
        !pass_ok(p, ck_products(ctx->stream, &product, 1, &in.act, p->n_wanted)))
        return false;
    if (m->hp.logit_softcap > 0)
        pass_ok(p, ck_softcap_rows(
                       ctx->stream, product.y, s->ld_vocab, m->hp.logit_softcap, p->n_wanted, m->hp.n_vocab));
    /* a token, or the best of them, where they are asked for */
    return p->status == SIMT_OK && pass_ok(p, ck_sample(ctx->stream, &sample));
}
