/*
 * The forward pass of a step, in the order of the paper: embedding, attention and feed-forward layer by
 * layer, output matrix. tests/oracle/oracle.c is the same pass as a textbook has it, in plain floats, without
 * threads, cache and quantized inputs. Read that first; the tests compare what is computed here with it.
 *
 * All threads walk through the same phases and meet at a barrier between them (lane.c). Products and
 * attention are cut into items for all threads. Work on whole cells (norms, rotation, quantizing) is done in
 * the serial part of a barrier when it is little, which saves a barrier.
 *
 * Each cell has x, the residual stream, xn, its norm, and tmp, what a block put out. tmp is added to x where
 * the next norm is taken.
 */
#include <math.h>

#include "plugins/cpu/forward.h"

/* Input i of the matrices ahead, quantized if one of them wants it so. */
static void quantize(struct lane *lane, const float *x, uint32_t i, uint32_t n, const struct cpu_matrix *a,
    const struct cpu_matrix *b, const struct cpu_matrix *c)
{
    if (cpu_type_act(a->type) == CPU_ACT_Q8 || (b && cpu_type_act(b->type) == CPU_ACT_Q8) ||
        (c && cpu_type_act(c->type) == CPU_ACT_Q8))
        lane->kernels->act_quantize(x, n, forward_act(&lane->ctx->fwd, i, n));
}

static void put_angles(
    const struct cpu_rope *rope, uint32_t pairs, uint32_t pos, double magnitude, float *cos_at, float *sin_at)
{
    for (uint32_t j = 0; rope->inv_freq && j < pairs; j++) {
        const double angle = pos * rope->inv_freq[j];
        cos_at[j] = (float)(cos(angle) * magnitude);
        sin_at[j] = (float)(sin(angle) * magnitude);
    }
}

/* x = the token's row of the embedding, scaled, + the position's row; and the angles of its rotation. */
static void embed(struct lane *lane, uint32_t i)
{
    struct orcd_ctx *ctx = lane->ctx;
    struct forward *f = &ctx->fwd;
    const struct orcd_model *m = ctx->model;
    const struct cell *c = &f->cells[i];
    float *x = f->x + (uint64_t)i * m->hp.n_embd;
    lane->kernels->row_get(&m->token_embd, (uint32_t)c->token, x);
    if (m->hp.embd_scale != 1)
        for (uint32_t j = 0; j < m->hp.n_embd; j++)
            x[j] *= m->hp.embd_scale;
    if (m->position_embd.data) {
        float *position = f->tmp + (uint64_t)i * m->hp.n_embd; /* free until the attention's output */
        lane->kernels->row_get(&m->position_embd, c->pos, position);
        lane->kernels->add(x, position, m->hp.n_embd);
    }
    const uint32_t pairs = m->hp.rope_dims / 2;
    float *cos_at = f->cos + (uint64_t)i * rope_floats(m), *sin_at = f->sin + (uint64_t)i * rope_floats(m);
    put_angles(ctx->rope, pairs, c->pos, m->rope_magnitude, cos_at, sin_at);
    put_angles(&m->rope_local, pairs, c->pos, 1, cos_at + pairs, sin_at + pairs);
}

/* Residual: x += tmp + bias, or the norm of that by post, where a family has such a norm. */
static void add_output(struct lane *lane, uint32_t i, const float *bias, const float *post)
{
    struct forward *f = &lane->ctx->fwd;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const uint32_t n = hp->n_embd;
    float *x = f->x + (uint64_t)i * n, *y = f->tmp + (uint64_t)i * n;
    if (post) {
        if (bias)
            lane->kernels->add(y, bias, n);
        lane->kernels->rms_norm(y, post, y, n, hp->norm_eps);
        bias = NULL;
    }
    lane->kernels->add(x, y, n);
    if (bias)
        lane->kernels->add(x, bias, n);
}

/* The same of l's feed-forward part, whose experts are summed first. */
static void add_ffn(struct lane *lane, uint32_t i, const struct cpu_layer *l)
{
    if (l->experts)
        moe_sum_cell(lane, l, i);
    add_output(lane, i, l->down_bias, l->ffn_post_norm);
}

/* RMS norm or layer norm, as the family has it. */
static void norm(const struct lane *lane, const float *x, const float *weight, const float *bias, float *y)
{
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    if (hp->norm == ORCD_NORM_LAYER)
        lane->kernels->layer_norm(x, weight, bias, y, hp->n_embd, hp->norm_eps);
    else
        lane->kernels->rms_norm(x, weight, y, hp->n_embd, hp->norm_eps);
}

/* Before attention: the stream of the layer before, its norm, as the inputs of Wq, Wk and Wv. */
static void cell_attn_in(struct lane *lane, uint32_t i)
{
    struct forward *f = &lane->ctx->fwd;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const struct cpu_layer *l = lane->l;
    if (lane->layer == 0)
        embed(lane, i);
    else
        add_ffn(lane, i, l - 1);
    float *xn = f->xn + (uint64_t)i * hp->n_embd;
    norm(lane, f->x + (uint64_t)i * hp->n_embd, l->attn_norm, l->attn_norm_bias, xn);
    quantize(lane, xn, i, hp->n_embd, &l->q, &l->k, &l->v);
}

/* One head of a query or key: its norm, then its rotation. */
static void norm_and_rotate(
    struct lane *lane, float *head, const float *norm, const float *cos_at, const float *sin_at)
{
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    if (norm)
        lane->kernels->rms_norm(head, norm, head, hp->head_dim_k, hp->norm_eps);
    if (hp->rope != ORCD_ROPE_NONE)
        lane->kernels->rope(head, cos_at, sin_at, hp->rope_dims / 2, hp->rope == ORCD_ROPE_NEOX);
}

/* Between QKV and attention: biases, norms of heads, rope; keys and values into the cache. */
static void cell_qkv(struct lane *lane, uint32_t i)
{
    struct orcd_ctx *ctx = lane->ctx;
    struct forward *f = &ctx->fwd;
    const struct cpu_kernels *kn = lane->kernels;
    const struct orcd_hparams *hp = &ctx->model->hp;
    const struct cpu_layer *l = lane->l;
    const struct cell *c = &f->cells[i];
    const uint32_t dk = hp->head_dim_k, dv = hp->head_dim_v, pairs = hp->rope_dims / 2;
    const uint64_t angles =
        (uint64_t)i * rope_floats(ctx->model) + (l->window && ctx->model->rope_local.inv_freq ? pairs : 0);
    const float *cos_at = f->cos + angles, *sin_at = f->sin + angles;
    float *q = f->q + (uint64_t)i * l->n_heads * dk;
    float *k = f->k + (uint64_t)i * l->n_kv_heads * dk, *v = f->v + (uint64_t)i * l->n_kv_heads * dv;
    if (l->q_bias)
        kn->add(q, l->q_bias, l->n_heads * dk);
    if (l->k_bias)
        kn->add(k, l->k_bias, l->n_kv_heads * dk);
    if (l->v_bias)
        kn->add(v, l->v_bias, l->n_kv_heads * dv);
    for (uint32_t h = 0; h < l->n_heads; h++)
        norm_and_rotate(lane, q + h * dk, l->q_norm, cos_at, sin_at);
    const struct kv_seq *s = &ctx->kv.seqs[ctx->step.rows[c->row].seq];
    const uint32_t tile = c->pos / KV_TILE, slot = c->pos % KV_TILE;
    for (uint32_t h = 0; h < l->n_kv_heads; h++) {
        norm_and_rotate(lane, k + h * dk, l->k_norm, cos_at, sin_at);
        kn->k_put(kv_k(&ctx->kv, s, lane->layer, h, tile), slot, k + h * dk, dk);
        kn->v_put(kv_v(&ctx->kv, s, lane->layer, h, tile), slot, v + h * dv, dv);
    }
}

/* Before out: what attention gave, as the input of Wo. */
static void cell_att(struct lane *lane, uint32_t i)
{
    const uint32_t n = lane->l->n_heads * lane->ctx->model->hp.head_dim_v;
    quantize(lane, lane->ctx->fwd.att + (uint64_t)i * n, i, n, &lane->l->out, NULL, NULL);
}

/* Again after the shared expert, whose products took the place of quantized inputs. */
static void cell_experts_in(struct lane *lane, uint32_t i)
{
    const struct cpu_layer *l = lane->l;
    const uint32_t n = lane->ctx->model->hp.n_embd;
    quantize(
        lane, lane->ctx->fwd.xn + (uint64_t)i * n, i, n, &l->experts[0].gate, &l->experts[0].up, &l->router);
}

/* Before feed-forward: attention's output added, its norm, as the input of gate and up. */
static void cell_ffn_in(struct lane *lane, uint32_t i)
{
    struct forward *f = &lane->ctx->fwd;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const struct cpu_layer *l = lane->l;
    add_output(lane, i, l->out_bias, l->attn_post_norm);
    float *xn = f->xn + (uint64_t)i * hp->n_embd;
    norm(lane, f->x + (uint64_t)i * hp->n_embd, l->ffn_norm, l->ffn_norm_bias, xn);
    if (l->up.data)
        quantize(lane, xn, i, hp->n_embd, l->gate.data ? &l->gate : &l->up, &l->up, NULL);
    else
        cell_experts_in(lane, i);
}

/* Before down: the activated products, as its input. */
static void cell_ffn_mid(struct lane *lane, uint32_t i)
{
    const uint32_t n = lane->l->up.n_rows;
    quantize(lane, lane->ctx->fwd.gate + (uint64_t)i * n, i, n, &lane->l->down, NULL, NULL);
}

/* After the last layer: the output norm. The wanted cells close ranks. */
static void cell_last(struct lane *lane, uint32_t i)
{
    struct forward *f = &lane->ctx->fwd;
    const struct orcd_model *m = lane->ctx->model;
    const struct cell *c = &f->cells[i];
    if (!c->want)
        return;
    add_ffn(lane, i, &m->layers[m->hp.n_layers - 1]);
    float *xn = f->xn + (uint64_t)c->wanted * m->hp.n_embd;
    norm(lane, f->x + (uint64_t)i * m->hp.n_embd, m->output_norm, m->output_norm_bias, xn);
    quantize(lane, xn, c->wanted, m->hp.n_embd, &m->output, NULL, NULL);
}

static void serial_pairs(void *arg)
{
    struct lane *lane = arg;
    serial_course(lane);
    if (!lane->ctx->fwd.ended)
        moe_list_pairs(lane);
}

/* One thread chooses for few cells, which saves barriers. */
static void serial_routes(void *arg)
{
    struct lane *lane = arg;
    serial_items(lane);
    if (!lane->ctx->fwd.ended)
        moe_list_pairs(lane);
}

/* The experts of each cell, by the router's logits, and the list of all pairs. */
static bool route(struct lane *lane)
{
    const struct forward *f = &lane->ctx->fwd;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const uint64_t width = (uint64_t)hp->n_experts * hp->n_experts_used;
    lane->item = moe_route_cell;
    lane->n_items = &f->n_cells;
    if (f->n_cells * width <= SERIAL_FLOATS)
        return barrier(lane, serial_routes);
    return each_cell(lane, width, moe_route_cell) && barrier(lane, serial_pairs);
}

static bool dense_run(struct lane *lane)
{
    /* gate and up, activation: gate = silu(Wgate xn) * (Wup xn), or what else the family has */
    product_gate_up(lane);
    if (!each_cell(lane, lane->l->up.n_rows, cell_ffn_mid))
        return false;
    /* down: tmp = Wdown gate */
    product_down(lane);
    return true;
}

static bool experts_run(struct lane *lane)
{
    const struct cpu_layer *l = lane->l;
    /* the expert that all cells share, where there is one: tmp */
    if (l->up.data && (!dense_run(lane) || !each_cell(lane, lane->ctx->model->hp.n_embd, cell_experts_in)))
        return false;
    /* router: the few experts of each cell, and their weights */
    product_router(lane);
    if (!route(lane))
        return false;
    /* gate and up, activation, of each pair of cell and expert */
    product_gate_up_experts(lane);
    if (!each_item(lane, &lane->ctx->fwd.n_pairs, lane->l->n_ff, moe_quantize_pair))
        return false;
    /* down, of each pair; their weighted sum is taken with the next norm */
    product_down_experts(lane);
    return true;
}

static bool layer_run(struct lane *lane)
{
    const struct cpu_layer *l = lane->l;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const uint64_t q = (uint64_t)l->n_heads * hp->head_dim_k, att = (uint64_t)l->n_heads * hp->head_dim_v;
    /* x = embedding, or x += the layer before; xn = norm(x) */
    lane->begins_layer = true;
    if (!each_cell(lane, hp->n_embd, cell_attn_in))
        return false;
    /* QKV: q, k, v = Wq xn, Wk xn, Wv xn */
    product_qkv(lane);
    /* biases, norms of heads, rope; k and v into the cache */
    if (!each_cell(lane, q, cell_qkv))
        return false;
    /* attention: att = softmax(q . keys * scale) values, head by head */
    attention_run(lane);
    if (!each_cell(lane, att, cell_att))
        return false;
    /* out: tmp = Wo att */
    product_out(lane);
    /* residual, norm: x += tmp; xn = norm(x) */
    if (!each_cell(lane, hp->n_embd, cell_ffn_in))
        return false;
    /* feed-forward: tmp = what it puts out */
    return l->experts ? experts_run(lane) : dense_run(lane);
}

static void begin_sub_batch(void *arg)
{
    struct lane *lane = arg;
    serial_course(lane);
    lane->ctx->fwd.left_off = false;
    if (!lane->ctx->fwd.ended && cells_fill(lane->ctx) == 0)
        lane->ctx->fwd.ended = true;
}

static void end_sub_batch(void *arg)
{
    struct orcd_ctx *ctx = ((struct lane *)arg)->ctx;
    atomic_store_explicit(&ctx->fwd.next, 0, memory_order_relaxed);
    /* Unless somebody left work out, it is all done, doomed since or not. */
    if (atomic_load_explicit(&ctx->fwd.stop, memory_order_relaxed))
        ctx->fwd.ended = true;
    else
        cells_finish(ctx);
}

/* False: the sub-batch was left off, or the step ended. */
static bool sub_batch_run(struct lane *lane)
{
    struct orcd_ctx *ctx = lane->ctx;
    const struct orcd_model *m = ctx->model;
    /* embedding, layers */
    for (lane->layer = 0; lane->layer < m->hp.n_layers; lane->layer++) {
        lane->l = &m->layers[lane->layer];
        if (!layer_run(lane))
            return false;
    }
    /* x += the last layer; xn = norm(x), of the cells whose logits are wanted */
    if (!each_cell(lane, m->hp.n_embd, cell_last))
        return false;
    /* output matrix: logits = Woutput xn */
    if (ctx->fwd.n_wanted)
        product_logits(lane);
    return barrier(lane, end_sub_batch);
}

void forward_step(void *arg, uint32_t thread)
{
    struct orcd_ctx *ctx = arg;
    struct lane lane = {.ctx = ctx, .kernels = ctx->device->kernels, .thread = thread};
    while (!ctx->fwd.ended && barrier(&lane, begin_sub_batch))
        sub_batch_run(&lane);
}
