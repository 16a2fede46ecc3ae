/* Products of quantized inputs: how a call becomes launches of w-products.cuh and w-mma.cuh. */
#include "plugins/cuda/w-launch.h"
#include "plugins/cuda/w-products.cuh"

namespace
{

using namespace w;

/* Enough warps for two waves of the largest devices; more of them make a sum no faster. */
constexpr unsigned enough_warps = 4096;

unsigned units_of(const ck_matrix &m)
{
    return is_float(m.type) ? m.ld / 8 : m.n_cols / 32;
}

/* A matter of the shape alone: sums depend on it. groups: pairs of rows. */
unsigned share_of(const ck_matrix &m, unsigned groups)
{
    const unsigned turns = (units_of(m) + 31) / 32;
    unsigned share = 1;
    while (share < product_warps && share * 2 <= turns && groups * share < enough_warps)
        share *= 2;
    return share;
}

/* The inputs' side, which all calls have alike. n_pairs: 0 without experts. */
product_work begin(const ck_matrix &w, const ck_act &act, uint32_t rows)
{
    product_work k = {};
    k.units = units_of(w);
    k.q = act.q, k.d = act.d, k.sums = act.sums, k.f = act.f, k.ld = act.ld;
    k.terms = is_float(w.type) || act.terms == 0 ? 1 : act.terms;
    k.rows = rows;
    return k;
}

/* Inputs of a pass. Beyond CK_PASS a second pass would read and unpack the weights again: tensor
 * cores take four times as many at once. Either gives the same bits. */
unsigned slots_for(unsigned type, unsigned entries)
{
    if (entries > CK_PASS && !is_float(type))
        return mma_inputs;
    return entries <= 1 ? 1 : entries <= 2 ? 2 : entries <= 4 ? 4 : CK_PASS;
}

/* Adds a part of n_rows rows, two to a group (of a pair: one). slots: of the launch. */
void add_part(product_work &k, unsigned slots, const ck_matrix &w, unsigned n_rows, const float *bias,
    float *y, unsigned ld_y, unsigned finish)
{
    const unsigned groups = finish == FINISH_PAIR ? n_rows : (n_rows + 1) / 2;
    const unsigned share = share_of(w, groups), groups_of_tile = product_warps / share;
    const unsigned tiles = slots == mma_inputs ? (n_rows + mma_rows - 1) / mma_rows
                                               : (groups + groups_of_tile - 1) / groups_of_tile;
    product_part &p = k.part[k.n_parts];
    p = product_part{planes_of(w), bias, y, ld_y, n_rows, finish, w.type, share, 0};
    p.end = (k.n_parts ? k.part[k.n_parts - 1].end : 0) + tiles;
    k.n_parts++;
}

enum simt_status go(simt_stream *s, unsigned type, unsigned slots, const product_work &k, unsigned n_tiles)
{
    const unsigned grid = n_tiles * k.passes;
    if (slots == mma_inputs)
        return launch_mma(s, type, grid, k);
    if (is_float(type))
        return launch_float(s, type, slots, grid, k);
    switch (type) {
    case ORCD_TYPE_Q2_K:
    case ORCD_TYPE_Q3_K:
    case ORCD_TYPE_Q4_K:
    case ORCD_TYPE_Q5_K:
    case ORCD_TYPE_Q6_K:
    case ORCD_TYPE_IQ4_XS:
        return launch_256(s, type, slots, grid, k);
    default:
        return launch_32(s, type, slots, grid, k);
    }
}

/* Passes of rows that all use the same matrix. */
unsigned set_passes(product_work &k, unsigned type)
{
    const unsigned slots = slots_for(type, k.rows * k.terms), of_pass = slots / k.terms;
    k.passes = (k.rows + of_pass - 1) / of_pass;
    return slots;
}

/* Passes of pairs of experts: as many inputs as an expert has on average, so that few go
 * empty; their number is an upper bound, each expert having one that is not full. */
unsigned set_expert_passes(
    product_work &k, unsigned type, const ck_experts &e, unsigned rows_per_expert, unsigned input_of_pair)
{
    k.expert = e.expert, k.order = e.order, k.first = e.first;
    k.n_experts = e.n_experts, k.used = e.used;
    k.rows_per_expert = rows_per_expert, k.input_of_pair = input_of_pair;
    if (e.n_pairs == e.used) { /* one token: a pass each */
        k.passes = e.n_pairs;
        return k.terms;
    }
    const unsigned slots = slots_for(type, (e.n_pairs / e.n_experts + 2) * k.terms),
                   of_pass = slots / k.terms;
    const unsigned busy = e.n_experts < e.n_pairs ? e.n_experts : e.n_pairs;
    const unsigned most = e.n_pairs / of_pass + busy;
    k.passes = most < e.n_pairs ? most : e.n_pairs;
    return slots;
}

/* gate and up, for rows or for pairs of experts. n_rows: outputs of a row of h. */
enum simt_status gated(
    simt_stream *s, const ck_gated_args *p, const ck_act *act, const ck_experts *e, uint32_t rows)
{
    const unsigned per = e ? e->n_experts : 1, n_rows = p->up->n_rows / per;
    const bool together = p->gate && p->gate->type == p->up->type;
    const ck_matrix &head = together ? *p->gate : *p->up;
    unsigned slots = 0;
    auto start = [&](const ck_matrix &w) {
        product_work k = begin(w, *act, rows);
        k.activation = p->activation;
        slots = e ? set_expert_passes(k, w.type, *e, n_rows, 0) : set_passes(k, w.type);
        return k;
    };
    if (p->gate && !together) { /* one after the other: the gate waits in h */
        product_work k = start(*p->gate);
        add_part(k, slots, *p->gate, n_rows, p->gate_bias, p->h, p->ld_h, FINISH_SET);
        const enum simt_status status = go(s, p->gate->type, slots, k, k.part[0].end);
        if (status)
            return status;
    }
    product_work k = start(head);
    if (together) {
        add_part(k, slots, *p->gate, n_rows, p->gate_bias, p->h, p->ld_h, FINISH_PAIR);
        add_part(k, slots, *p->up, n_rows, p->up_bias, nullptr, 0, FINISH_PAIR);
    } else {
        add_part(k, slots, *p->up, n_rows, p->up_bias, p->h, p->ld_h, p->gate ? FINISH_GATE : FINISH_GELU);
    }
    return go(s, head.type, slots, k, k.part[0].end);
}

} // namespace

extern "C" enum simt_status ck_products(
    simt_stream *s, const ck_product *p, uint32_t n, const ck_act *act, uint32_t rows)
{
    if (rows == 0)
        return SIMT_OK;
    uint32_t done = 0; /* bits of parts */
    for (uint32_t i = 0; i < n; i++) {
        if (done >> i & 1)
            continue;
        const uint32_t type = p[i].w.type;
        uint32_t other = type;
        product_work k = begin(p[i].w, *act, rows);
        const unsigned slots = set_passes(k, type);
        for (uint32_t j = i; j < n; j++) {
            const uint32_t next = p[j].w.type;
            if ((done >> j & 1) ||
                (next != type &&
                    (slots == mma_inputs || (next != other && (other != type || !go_together(type, next))))))
                continue;
            if (next != type)
                other = next;
            add_part(k, slots, p[j].w, p[j].w.n_rows, p[j].bias, p[j].y, p[j].ld_y,
                p[j].add ? FINISH_ADD : FINISH_SET);
            done |= 1u << j;
        }
        const unsigned n_tiles = k.part[k.n_parts - 1].end;
        const enum simt_status status = other == type
                                            ? go(s, type, slots, k, n_tiles)
                                            : launch_two(s, type, other, slots, n_tiles * k.passes, k);
        if (status)
            return status;
    }
    return SIMT_OK;
}

extern "C" enum simt_status ck_gated(simt_stream *s, const ck_gated_args *p, const ck_act *act, uint32_t rows)
{
    return rows == 0 ? SIMT_OK : gated(s, p, act, nullptr, rows);
}

extern "C" enum simt_status ck_gated_experts(
    simt_stream *s, const ck_gated_args *p, const ck_act *act, const ck_experts *e)
{
    return e->n_pairs == 0 ? SIMT_OK : gated(s, p, act, e, e->n_pairs);
}

extern "C" enum simt_status ck_down_experts(
    simt_stream *s, const ck_product *p, const ck_act *act, const ck_experts *e)
{
    if (e->n_pairs == 0)
        return SIMT_OK;
    const unsigned n_rows = p->w.n_rows / e->n_experts;
    product_work k = begin(p->w, *act, e->n_pairs);
    const unsigned slots = set_expert_passes(k, p->w.type, *e, n_rows, 1);
    add_part(k, slots, p->w, n_rows, p->bias, p->y, p->ld_y, FINISH_SET);
    return go(s, p->w.type, slots, k, k.part[0].end);
}

extern "C" enum simt_status ck_touch_weights(void)
{
    return first_failure(prepare_repack, prepare_expand, prepare_norm, prepare_rows, prepare_float,
        prepare_32, prepare_256, prepare_two, prepare_mma);
}
