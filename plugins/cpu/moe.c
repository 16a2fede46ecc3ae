/*
 * Experts: each cell goes through the few that its router chose. Pairs of cell and expert
 * are listed expert by expert, so that an expert's weights are read once for all its cells.
 * A cell's sum is in the order of its choice, which nothing else in the step changes. What an
 * expert that all cells share put out comes first: it lies in fwd.tmp before they are routed.
 */
#include <math.h>
#include <string.h>

#include "plugins/common/source.h"
#include "plugins/cpu/forward.h"
#include "plugins/cpu/kernels-layout.h"

/* The shared expert's output, by its own gate. */
static void weigh_shared(struct lane *lane, uint32_t cell)
{
    struct forward *f = &lane->ctx->fwd;
    const uint32_t n = lane->ctx->model->hp.n_embd;
    const float *x = f->xn + (uint64_t)cell * n, *w = lane->l->shared_router;
    float *y = f->tmp + (uint64_t)cell * n;
    double dot = 0;
    for (uint32_t i = 0; i < n; i++)
        dot += (double)x[i] * (double)w[i];
    const float weight = (float)(1 / (1 + exp(-dot)));
    for (uint32_t i = 0; i < n; i++)
        y[i] *= weight;
}

void moe_route_cell(struct lane *lane, uint32_t cell)
{
    struct forward *f = &lane->ctx->fwd;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const uint32_t n = hp->n_experts, used = hp->n_experts_used;
    float *logits = f->router + (uint64_t)cell * n;
    struct moe_route *routes = f->routes + (uint64_t)cell * used;
    uint64_t taken[SOURCE_MAX_EXPERTS / 64] = {0};
    if (lane->l->router_bias)
        lane->kernels->add(logits, lane->l->router_bias, n);
    for (uint32_t r = 0; r < used; r++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t e = 0; e < n; e++)
            if (!(taken[e / 64] >> e % 64 & 1) && (best == UINT32_MAX || logits[e] > logits[best]))
                best = e;
        taken[best / 64] |= UINT64_C(1) << best % 64;
        routes[r] = (struct moe_route){.expert = best};
    }
    /* The softmax is over the chosen, or over all of which the chosen are a part. */
    const float max = logits[routes[0].expert];
    double sum = 0;
    for (uint32_t e = 0; !hp->expert_weights_norm && e < n; e++)
        sum += exp((double)logits[e] - (double)max);
    for (uint32_t r = 0; hp->expert_weights_norm && r < used; r++)
        sum += exp((double)logits[routes[r].expert] - (double)max);
    const double scale = hp->expert_weights_scale != 0 ? (double)hp->expert_weights_scale : 1;
    for (uint32_t r = 0; r < used; r++)
        routes[r].weight = (float)(exp((double)logits[routes[r].expert] - (double)max) / sum * scale);
    if (lane->l->shared_router)
        weigh_shared(lane, cell);
}

void moe_list_pairs(struct lane *lane)
{
    struct forward *f = &lane->ctx->fwd;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const uint32_t n = hp->n_experts;
    f->n_pairs = f->n_cells * hp->n_experts_used;
    uint32_t *first = f->expert_first;
    memset(first, 0, (n + 1) * sizeof(*first));
    for (uint32_t i = 0; i < f->n_pairs; i++)
        first[f->routes[i].expert + 1]++;
    for (uint32_t e = 0; e < n; e++)
        first[e + 1] += first[e];
    f->n_tiles = f->largest_tile = 0;
    for (uint32_t e = 0; e < n; e++) {
        const uint32_t end = first[e + 1];
        if (first[e] == end)
            continue;
        const struct product_tiles s = product_tiles(end - first[e], hp->n_embd);
        for (uint32_t at = first[e]; at < end; at += s.tokens) {
            const uint32_t count = end - at < s.tokens ? end - at : s.tokens;
            f->tiles[f->n_tiles++] = (struct moe_tile){.expert = e, .first = at, .count = count};
        }
        if (s.tokens > f->largest_tile)
            f->largest_tile = s.tokens;
    }
    /* Moves every first to the next one's place. */
    for (uint32_t i = 0; i < f->n_pairs; i++) {
        struct moe_route *r = &f->routes[i];
        r->pair = first[r->expert]++;
        f->pair_cell[r->pair] = i / hp->n_experts_used;
    }
}

static bool wants_q8(const struct cpu_matrix *w)
{
    return cpu_type_act(w->type) == CPU_ACT_Q8;
}

/* The products of gates have few large elements among many small ones, which 8 bits hold
 * badly, and what is lost here decides which experts the next layers choose. So the input of
 * the down product is the sum of two rows: quantized, and what that left, quantized. */
static uint32_t down_terms(const struct cpu_layer *l)
{
    return wants_q8(&l->experts[0].down) ? MOE_DOWN_TERMS : 1;
}

void moe_quantize_pair(struct lane *lane, uint32_t pair)
{
    struct forward *f = &lane->ctx->fwd;
    const uint32_t n = lane->l->n_ff;
    if (!wants_q8(&lane->l->experts[0].down))
        return;
    float *x = f->gate + (uint64_t)pair * n;
    void *first = forward_act(f, 2 * pair, n);
    lane->kernels->act_quantize(x, n, first);
    const struct act_row row = act_row_at(first, n);
    for (uint32_t b = 0; b < n / 32; b++)
        for (uint32_t i = 0; i < 32; i++)
            x[32 * b + i] -= row.d[b] * (float)row.q[32 * b + i];
    lane->kernels->act_quantize(x, n, forward_act(f, 2 * pair + 1, n));
}

void moe_sum_cell(struct lane *lane, const struct cpu_layer *l, uint32_t cell)
{
    struct forward *f = &lane->ctx->fwd;
    const struct orcd_hparams *hp = &lane->ctx->model->hp;
    const uint64_t n = hp->n_embd;
    const struct moe_route *routes = f->routes + (uint64_t)cell * hp->n_experts_used;
    float *sum = f->tmp + cell * n;
    const uint32_t terms = down_terms(l);
    if (!l->shared_router)
        memset(sum, 0, n * sizeof(*sum));
    for (uint32_t r = 0; r < hp->n_experts_used; r++) {
        for (uint64_t t = 0; t < terms; t++)
            lane->kernels->axpy(
                sum, routes[r].weight, f->pair_out + (routes[r].pair * (uint64_t)terms + t) * n, hp->n_embd);
        if (l->expert_down_bias)
            lane->kernels->axpy(
                sum, routes[r].weight, l->expert_down_bias + routes[r].expert * n, hp->n_embd);
    }
}

/* The inputs of a tile's cells, side by side. A lone one stays where it is. */
static const void *gather(const struct lane *lane, const struct moe_tile *t, bool q8, size_t *stride)
{
    const struct forward *f = &lane->ctx->fwd;
    const uint32_t n = lane->ctx->model->hp.n_embd;
    *stride = q8 ? cpu_act_bytes(n) : n * sizeof(float);
    const char *from = q8 ? f->act : (const char *)f->xn;
    if (t->count == 1)
        return from + f->pair_cell[t->first] * *stride;
    char *to = f->threads[lane->thread].gathered;
    for (uint32_t i = 0; i < t->count; i++)
        memcpy(to + i * *stride, from + f->pair_cell[t->first + i] * *stride, *stride);
    return to;
}

void product_gate_up_experts(struct lane *lane)
{
    struct orcd_ctx *ctx = lane->ctx;
    struct forward *f = &ctx->fwd;
    const struct cpu_layer *l = lane->l;
    const uint32_t n_ff = l->n_ff, panels = cpu_matrix_panels(n_ff);
    const uint32_t each =
        product_panels_each(lane, panels, panels * f->n_tiles, ctx->model->hp.n_embd, 2 * f->largest_tile);
    uint32_t item;
    while ((item = lane_next(lane, (panels + each - 1) / each * f->n_tiles)) != UINT32_MAX) {
        const struct moe_tile *t = &f->tiles[item % f->n_tiles];
        const struct cpu_expert *x = &l->experts[t->expert];
        const uint32_t p0 = item / f->n_tiles * each, p1 = panels - p0 > each ? p0 + each : panels;
        const uint32_t r0 = p0 * CPU_PANEL_ROWS, r1 = p1 == panels ? n_ff : p1 * CPU_PANEL_ROWS;
        float *gate = f->gate + (uint64_t)t->first * n_ff, *up = f->up + (uint64_t)t->first * n_ff;
        size_t stride;
        const void *in = gather(lane, t, wants_q8(&x->gate), &stride);
        lane->kernels->matmul(&x->gate, p0, p1, in, stride, t->count, gate, n_ff);
        if (wants_q8(&x->up) != wants_q8(&x->gate))
            in = gather(lane, t, wants_q8(&x->up), &stride);
        lane->kernels->matmul(&x->up, p0, p1, in, stride, t->count, up, n_ff);
        const float *gate_bias = l->gate_bias ? l->gate_bias + (uint64_t)t->expert * n_ff : NULL;
        const float *up_bias = l->up_bias ? l->up_bias + (uint64_t)t->expert * n_ff : NULL;
        for (uint32_t i = 0; i < t->count; i++)
            product_activate(lane, gate + (uint64_t)i * n_ff + r0, up + (uint64_t)i * n_ff + r0, gate_bias,
                up_bias, r0, r1 - r0);
    }
}

void product_down_experts(struct lane *lane)
{
    struct orcd_ctx *ctx = lane->ctx;
    struct forward *f = &ctx->fwd;
    const struct cpu_layer *l = lane->l;
    const uint32_t embd = ctx->model->hp.n_embd, n_ff = l->n_ff, panels = cpu_matrix_panels(embd);
    const bool q8 = wants_q8(&l->experts[0].down);
    const uint32_t terms = down_terms(l);
    const uint32_t each =
        product_panels_each(lane, panels, panels * f->n_tiles, n_ff, terms * f->largest_tile);
    const size_t stride = q8 ? cpu_act_bytes(n_ff) : n_ff * sizeof(float);
    uint32_t item;
    while ((item = lane_next(lane, (panels + each - 1) / each * f->n_tiles)) != UINT32_MAX) {
        const struct moe_tile *t = &f->tiles[item % f->n_tiles];
        const struct cpu_matrix *w = &l->experts[t->expert].down;
        const uint32_t p0 = item / f->n_tiles * each, p1 = panels - p0 > each ? p0 + each : panels;
        const uint64_t first = (uint64_t)t->first * terms;
        const char *in = (q8 ? f->act : (const char *)f->gate) + first * stride;
        lane->kernels->matmul(w, p0, p1, in, stride, t->count * terms, f->pair_out + first * embd, embd);
    }
}
