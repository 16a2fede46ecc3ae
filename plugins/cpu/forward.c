/*
 * A step, sub-batch by sub-batch, layer by layer. All threads walk through the same
 * phases and meet between them. A phase's work is cut into items that threads take
 * from a counter; work on whole cells (norms, rotation, quantizing) is done by the
 * last thread to arrive when it is little, which saves a meeting.
 */
#include <math.h>

#include "plugins/cpu/ctx.h"

/* Floats of a sub-batch up to which one thread alone is quicker than a meeting. */
#define SERIAL_FLOATS 8192

bool forward_stopped(struct orcd_ctx *ctx)
{
    struct forward *f = &ctx->fwd;
    if (atomic_load_explicit(&f->stop, memory_order_relaxed))
        return true;
    const unsigned count = atomic_load_explicit(&ctx->abort_count, memory_order_acquire);
    if (count == atomic_load_explicit(&f->abort_seen, memory_order_relaxed))
        return false;
    for (uint32_t i = 0; i < ctx->step.n_rows; i++) {
        const struct step_row *r = &ctx->step.rows[i];
        if (r->done < r->n_tokens && !row_doomed(ctx, r)) {
            atomic_store_explicit(&f->abort_seen, count, memory_order_relaxed);
            return false;
        }
    }
    atomic_store_explicit(&f->stop, true, memory_order_relaxed);
    return true;
}

uint32_t forward_next(struct orcd_ctx *ctx, uint32_t n)
{
    const uint32_t i = atomic_fetch_add_explicit(&ctx->fwd.next, 1, memory_order_relaxed);
    return i < n && !forward_stopped(ctx) ? i : UINT32_MAX;
}

/* The serial part of every meeting: the only place where the course changes. */
static void turn(void *arg)
{
    struct orcd_ctx *ctx = ((struct lane *)arg)->ctx;
    struct forward *f = &ctx->fwd;
    atomic_store_explicit(&f->next, 0, memory_order_relaxed);
    if (forward_stopped(ctx))
        f->ended = true;
    if (!((struct lane *)arg)->begins_layer || f->ended)
        return;
    const int rc = plugin_fault(ctx->device->host, "cpu.layer");
    if (rc) {
        f->error = rc;
        f->ended = true;
    } else if (((struct lane *)arg)->layer > 0) {
        cells_compact(ctx);
        f->left_off = f->n_cells == 0;
    }
}

static bool meet(struct lane *lane, void (*serial)(void *lane))
{
    pool_sync(lane->ctx->device->pool, serial, lane);
    return !lane->ctx->fwd.ended && !lane->ctx->fwd.left_off;
}

static void turn_with_items(void *arg)
{
    struct lane *lane = arg;
    turn(lane);
    const uint32_t n = *lane->n_items;
    for (uint32_t i = 0; i < n && !lane->ctx->fwd.ended; i++)
        lane->item(lane, i);
}

/* Meets, does fn for every item, meets. width: floats of an item. */
static bool each_item(
    struct lane *lane, const uint32_t *n, uint64_t width, void (*fn)(struct lane *lane, uint32_t item))
{
    lane->item = fn;
    lane->n_items = n;
    if (*n * width <= SERIAL_FLOATS)
        return meet(lane, turn_with_items);
    if (!meet(lane, turn))
        return false;
    uint32_t i;
    while ((i = forward_next(lane->ctx, *n)) != UINT32_MAX)
        fn(lane, i);
    return meet(lane, turn);
}

static bool each_cell(struct lane *lane, uint64_t width, void (*fn)(struct lane *lane, uint32_t cell))
{
    return each_item(lane, &lane->ctx->fwd.n_cells, width, fn);
}

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

/* Adds what the layer before (or this one's attention) put out to the stream. post: the norm
 * that it goes through first, or NULL. */
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

/* What the feed-forward part of l put out. */
static void add_ffn(struct lane *lane, uint32_t i, const struct cpu_layer *l)
{
    if (l->experts)
        moe_sum_cell(lane, l, i);
    add_output(lane, i, l->down_bias, l->ffn_post_norm);
}

static void norm(const struct lane *lane, const float *x, const float *weight, const float *bias, float *y)
{
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    if (hp->norm == ORCD_NORM_LAYER)
        lane->kernels->layer_norm(x, weight, bias, y, hp->n_embd, hp->norm_eps);
    else
        lane->kernels->rms_norm(x, weight, y, hp->n_embd, hp->norm_eps);
}

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
static void turn_head(
    struct lane *lane, float *head, const float *norm, const float *cos_at, const float *sin_at)
{
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    if (norm)
        lane->kernels->rms_norm(head, norm, head, hp->head_dim_k, hp->norm_eps);
    if (hp->rope != ORCD_ROPE_NONE)
        lane->kernels->rope(head, cos_at, sin_at, hp->rope_dims / 2, hp->rope == ORCD_ROPE_NEOX);
}

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
        turn_head(lane, q + h * dk, l->q_norm, cos_at, sin_at);
    const struct kv_seq *s = &ctx->kv.seqs[ctx->step.rows[c->row].seq];
    const uint32_t tile = c->pos / KV_TILE, slot = c->pos % KV_TILE;
    for (uint32_t h = 0; h < l->n_kv_heads; h++) {
        turn_head(lane, k + h * dk, l->k_norm, cos_at, sin_at);
        kn->k_put(kv_k(&ctx->kv, s, lane->layer, h, tile), slot, k + h * dk, dk);
        kn->v_put(kv_v(&ctx->kv, s, lane->layer, h, tile), slot, v + h * dv, dv);
    }
}

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

static void cell_ffn_mid(struct lane *lane, uint32_t i)
{
    const uint32_t n = lane->l->up.n_rows;
    quantize(lane, lane->ctx->fwd.gate + (uint64_t)i * n, i, n, &lane->l->down, NULL, NULL);
}

/* After the last layer: the wanted cells close ranks. */
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

static void turn_with_pairs(void *arg)
{
    turn(arg);
    if (!((struct lane *)arg)->ctx->fwd.ended)
        moe_list_pairs(arg);
}

/* One thread chooses for few cells, which saves meetings. */
static void turn_with_routes(void *arg)
{
    struct lane *lane = arg;
    turn_with_items(lane);
    if (!lane->ctx->fwd.ended)
        moe_list_pairs(lane);
}

static bool route(struct lane *lane)
{
    const struct forward *f = &lane->ctx->fwd;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const uint64_t width = (uint64_t)hp->n_experts * hp->n_experts_used;
    lane->item = moe_route_cell;
    lane->n_items = &f->n_cells;
    if (f->n_cells * width <= SERIAL_FLOATS)
        return meet(lane, turn_with_routes);
    return each_cell(lane, width, moe_route_cell) && meet(lane, turn_with_pairs);
}

static bool dense_run(struct lane *lane)
{
    product_gate_up(lane);
    if (!each_cell(lane, lane->l->up.n_rows, cell_ffn_mid))
        return false;
    product_down(lane);
    return true;
}

static bool experts_run(struct lane *lane)
{
    const struct cpu_layer *l = lane->l;
    if (l->up.data && (!dense_run(lane) || !each_cell(lane, lane->ctx->model->hp.n_embd, cell_experts_in)))
        return false;
    product_router(lane);
    if (!route(lane))
        return false;
    product_gate_up_experts(lane);
    if (!each_item(lane, &lane->ctx->fwd.n_pairs, lane->l->n_ff, moe_quantize_pair))
        return false;
    product_down_experts(lane);
    return true;
}

static bool layer_run(struct lane *lane)
{
    const struct cpu_layer *l = lane->l;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const uint64_t q = (uint64_t)l->n_heads * hp->head_dim_k;
    lane->begins_layer = true;
    const bool goes_on = each_cell(lane, hp->n_embd, cell_attn_in);
    lane->begins_layer = false;
    if (!goes_on)
        return false;
    product_qkv(lane);
    if (!each_cell(lane, q, cell_qkv))
        return false;
    attention_run(lane);
    if (!each_cell(lane, (uint64_t)l->n_heads * hp->head_dim_v, cell_att))
        return false;
    product_out(lane);
    if (!each_cell(lane, hp->n_embd, cell_ffn_in))
        return false;
    return l->experts ? experts_run(lane) : dense_run(lane);
}

static void begin_sub_batch(void *arg)
{
    struct lane *lane = arg;
    turn(lane);
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
    for (lane->layer = 0; lane->layer < m->hp.n_layers; lane->layer++) {
        lane->l = &m->layers[lane->layer];
        if (!layer_run(lane))
            return false;
    }
    if (!each_cell(lane, m->hp.n_embd, cell_last))
        return false;
    if (ctx->fwd.n_wanted)
        product_logits(lane);
    return meet(lane, end_sub_batch);
}

void forward_step(void *arg, uint32_t thread)
{
    struct orcd_ctx *ctx = arg;
    struct lane lane = {.ctx = ctx, .kernels = ctx->device->kernels, .thread = thread};
    while (!ctx->fwd.ended && meet(&lane, begin_sub_batch))
        sub_batch_run(&lane);
}
