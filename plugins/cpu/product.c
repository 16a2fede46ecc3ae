#include "plugins/cpu/forward.h"

/* Quantized inputs of a tile of tokens stay in a core's second-level cache. */
#define TILE_ACT_BYTES (192 * 1024)
#define TILE_TOKENS 64
/* Items for each thread: enough that one that is held up does not hold up all. */
#define ITEMS_PER_THREAD 4

/* A product over all inputs, cut into items of panels x tokens. */
struct product {
    const struct cpu_matrix *w;
    const float *x; /* float inputs, x_cols apart; the quantized ones are fwd.act */
    float *y;
    uint32_t panels_each, n_chunks;
};

struct product_tiles product_tiles(uint32_t n_tokens, uint32_t n_cols)
{
    const uint64_t row = cpu_act_bytes(n_cols) + 1;
    uint64_t tile = TILE_ACT_BYTES / row;
    tile = tile < 8 ? 8 : tile > TILE_TOKENS ? TILE_TOKENS : tile / 8 * 8;
    if (tile > n_tokens)
        tile = n_tokens;
    /* Even tiles. */
    const uint32_t n = (n_tokens + (uint32_t)tile - 1) / (uint32_t)tile;
    return (struct product_tiles){(n_tokens + n - 1) / n, n};
}

uint32_t product_panels_each(
    const struct lane *lane, uint32_t panels, uint32_t total_panels, uint32_t n_cols, uint32_t tokens)
{
    uint64_t each = total_panels / (ITEMS_PER_THREAD * (uint64_t)pool_size(lane->ctx->device->pool));
    const uint64_t panel_macs = (uint64_t)CPU_PANEL_ROWS * n_cols * tokens;
    if (each > LOOK_MACS / panel_macs)
        each = LOOK_MACS / panel_macs;
    return each < 1 ? 1 : each > panels ? panels : (uint32_t)each;
}

/* total_panels: of all products that share the phase. */
static void product_split(struct product *p, const struct lane *lane, uint32_t total_panels, uint32_t tokens)
{
    const uint32_t panels = cpu_matrix_panels(p->w->n_rows);
    p->panels_each = product_panels_each(lane, panels, total_panels, p->w->n_cols, tokens);
    p->n_chunks = (panels + p->panels_each - 1) / p->panels_each;
}

static uint32_t rows_before(const struct cpu_matrix *w, uint32_t panel)
{
    const uint64_t row = (uint64_t)panel * CPU_PANEL_ROWS;
    return row < w->n_rows ? (uint32_t)row : w->n_rows;
}

/* What an item computes: panels [p0, p1) for inputs [t0, t1). */
struct piece {
    uint32_t p0, p1, t0, t1;
};

/* Item number i of p over n_tokens inputs, tile after tile of each panel. The last tile may be empty: t0 is
 * not below n_tokens then. */
static struct piece piece_of(
    const struct product *p, const struct product_tiles *s, uint32_t n_tokens, uint32_t i)
{
    const uint32_t panels = cpu_matrix_panels(p->w->n_rows);
    const uint32_t p0 = i / s->n * p->panels_each, t0 = i % s->n * s->tokens;
    return (struct piece){.p0 = p0,
        .p1 = panels - p0 > p->panels_each ? p0 + p->panels_each : panels,
        .t0 = t0,
        .t1 = n_tokens - t0 > s->tokens ? t0 + s->tokens : n_tokens};
}

/* y is the output of the first of the piece's inputs. */
static void multiply(const struct lane *lane, const struct cpu_matrix *w, const struct piece *piece,
    const float *x, float *y, uint64_t y_stride)
{
    const struct forward *f = &lane->ctx->fwd;
    const uint32_t t0 = piece->t0;
    const bool q8 = cpu_type_act(w->type) == CPU_ACT_Q8;
    const void *in = q8 ? forward_act(f, t0, w->n_cols) : (const void *)(x + (uint64_t)t0 * w->n_cols);
    const size_t stride = q8 ? cpu_act_bytes(w->n_cols) : w->n_cols * sizeof(float);
    lane->kernels->matmul(w, piece->p0, piece->p1, in, stride, piece->t1 - t0, y, y_stride);
}

/* Up to three products of the same inputs, in one phase. */
static void products_run(struct lane *lane, struct product *ps, int n)
{
    struct orcd_ctx *ctx = lane->ctx;
    const uint32_t n_tokens = ctx->fwd.n_cells;
    const struct product_tiles s = product_tiles(n_tokens, ps[0].w->n_cols);
    uint32_t total = 0, items = 0;
    for (int i = 0; i < n; i++)
        total += cpu_matrix_panels(ps[i].w->n_rows);
    for (int i = 0; i < n; i++) {
        product_split(&ps[i], lane, total, s.tokens);
        items += ps[i].n_chunks * s.n;
    }
    uint32_t item;
    while ((item = lane_next(lane, items)) != UINT32_MAX) {
        int i = 0;
        while (item >= ps[i].n_chunks * s.n)
            item -= ps[i++].n_chunks * s.n;
        const struct product *p = &ps[i];
        const struct piece piece = piece_of(p, &s, n_tokens, item);
        if (piece.t0 < n_tokens)
            multiply(lane, p->w, &piece, p->x, p->y + (uint64_t)piece.t0 * p->w->n_rows, p->w->n_rows);
    }
}

void product_qkv(struct lane *lane)
{
    struct forward *f = &lane->ctx->fwd;
    struct product ps[3] = {{.w = &lane->l->q, .x = f->xn, .y = f->q},
        {.w = &lane->l->k, .x = f->xn, .y = f->k}, {.w = &lane->l->v, .x = f->xn, .y = f->v}};
    products_run(lane, ps, 3);
}

void product_out(struct lane *lane)
{
    struct forward *f = &lane->ctx->fwd;
    struct product p = {.w = &lane->l->out, .x = f->att, .y = f->tmp};
    products_run(lane, &p, 1);
}

void product_down(struct lane *lane)
{
    struct forward *f = &lane->ctx->fwd;
    struct product p = {.w = &lane->l->down, .x = f->gate, .y = f->tmp};
    products_run(lane, &p, 1);
}

void product_router(struct lane *lane)
{
    struct forward *f = &lane->ctx->fwd;
    struct product p = {.w = &lane->l->router, .x = f->xn, .y = f->router};
    products_run(lane, &p, 1);
}

void product_activate(const struct lane *lane, float *gate, float *up, const float *gate_bias,
    const float *up_bias, uint32_t r0, uint32_t n)
{
    const struct cpu_kernels *kn = lane->kernels;
    if (gate_bias)
        kn->add(gate, gate_bias + r0, n);
    if (up_bias)
        kn->add(up, up_bias + r0, n);
    switch (lane->ctx->model->hp.activation) {
    case ORCD_ACT_GELU:
        kn->gelu(up, gate, n);
        break;
    case ORCD_ACT_GELU_GATED:
        kn->gelu_mul(gate, up, gate, n);
        break;
    case ORCD_ACT_SWIGLU_OAI:
        kn->swiglu_oai(gate, up, gate, n);
        break;
    default:
        kn->silu_mul(gate, up, gate, n);
        break;
    }
}

void product_gate_up(struct lane *lane)
{
    struct orcd_ctx *ctx = lane->ctx;
    struct forward *f = &ctx->fwd;
    const struct cpu_layer *l = lane->l;
    const uint32_t n_tokens = f->n_cells;
    const struct product_tiles s = product_tiles(n_tokens, l->up.n_cols);
    struct product p = {.w = &l->up};
    const uint32_t n_ff = l->up.n_rows, panels = cpu_matrix_panels(n_ff);
    /* Beside experts this is the shared one, and the biases are the others'. */
    const float *gate_bias = l->experts ? NULL : l->gate_bias, *up_bias = l->experts ? NULL : l->up_bias;
    product_split(&p, lane, panels, l->gate.data ? 2 * s.tokens : s.tokens);
    uint32_t item;
    while ((item = lane_next(lane, p.n_chunks * s.n)) != UINT32_MAX) {
        const struct piece piece = piece_of(&p, &s, n_tokens, item);
        if (piece.t0 >= n_tokens)
            continue;
        const uint64_t y = (uint64_t)piece.t0 * n_ff;
        if (l->gate.data)
            multiply(lane, &l->gate, &piece, f->xn, f->gate + y, n_ff);
        multiply(lane, &l->up, &piece, f->xn, f->up + y, n_ff);
        const uint32_t r0 = rows_before(&l->up, piece.p0), n = rows_before(&l->up, piece.p1) - r0;
        for (uint32_t t = piece.t0; t < piece.t1; t++)
            product_activate(lane, f->gate + (uint64_t)t * n_ff + r0, f->up + (uint64_t)t * n_ff + r0,
                gate_bias, up_bias, r0, n);
    }
}

void product_logits(struct lane *lane)
{
    struct orcd_ctx *ctx = lane->ctx;
    struct forward *f = &ctx->fwd;
    struct product p = {.w = &ctx->model->output};
    const float cap = ctx->model->hp.logit_softcap;
    const struct product_tiles s = product_tiles(f->n_wanted, p.w->n_cols);
    const uint32_t panels = cpu_matrix_panels(p.w->n_rows);
    product_split(&p, lane, panels, f->n_wanted);
    uint32_t item;
    while ((item = lane_next(lane, p.n_chunks)) != UINT32_MAX) {
        const uint32_t p0 = item * p.panels_each;
        const uint32_t p1 = panels - p0 > p.panels_each ? p0 + p.panels_each : panels;
        const uint32_t r0 = rows_before(p.w, p0), r1 = rows_before(p.w, p1);
        for (uint32_t r = 0; r < f->n_runs; r++) {
            const struct logit_run *run = &f->runs[r];
            for (uint32_t t = 0; t < run->count; t += s.tokens) {
                const uint32_t n = run->count - t > s.tokens ? s.tokens : run->count - t;
                const struct piece piece = {
                    .p0 = p0, .p1 = p1, .t0 = run->first + t, .t1 = run->first + t + n};
                float *y = ctx->logits + run->at + t * run->stride;
                multiply(lane, p.w, &piece, f->xn, y, run->stride);
                for (uint32_t i = 0; cap > 0 && i < n; i++)
                    lane->kernels->softcap(y + i * run->stride + r0, cap, r1 - r0);
            }
        }
    }
}
