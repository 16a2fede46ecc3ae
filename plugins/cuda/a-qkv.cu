/* Between the products of Q, K and V and the attention: bias, norms of heads, rotation, KV. */
#include "plugins/cuda/a-attn.cuh"

#include <math.h>

using simt::float2;

namespace
{

constexpr unsigned TABLE_THREADS = 64, HEADS = 4; /* of a block, a warp each */

SIMT_KERNEL(TABLE_THREADS)
void rope_table(const uint32_t *pos, const double *inv_freq, uint32_t pairs, double magnitude, float *cs)
{
    kernel_begin();
    const uint32_t row = simt::block_x();
    const double p = pos[row];
    float2 *const to = reinterpret_cast<float2 *>(cs) + static_cast<uint64_t>(row) * pairs;
    for (uint32_t i = simt::block_y() * TABLE_THREADS + simt::thread_x(); i < pairs;
         i += simt::blocks_y() * TABLE_THREADS) {
        const double angle = p * inv_freq[i];
        to[i] = float2{
            static_cast<float>(::cos(angle) * magnitude), static_cast<float>(::sin(angle) * magnitude)};
    }
}

/* One head's row as the product left it. */
struct head_row {
    float *x;
    const float *bias; /* NULL: none */
    float scale;       /* 1: none */
};

SIMT_DEVICE float2 head_pair(const head_row &h, uint32_t i, uint32_t j)
{
    float2 v = j == i + 1 ? *reinterpret_cast<const float2 *>(h.x + i) : float2{h.x[i], h.x[j]};
    v.x *= h.scale;
    v.y *= h.scale;
    if (h.bias) {
        v.x += h.bias[i];
        v.y += h.bias[j];
    }
    return v;
}

/* The elements of a lane's u-th pair. A lane reads and writes no others. */
struct pair_at {
    uint32_t i, j;
};

SIMT_DEVICE pair_at pair_of(uint32_t u, uint32_t rope, uint32_t pairs)
{
    if (rope == ORCD_ROPE_NEOX && u < pairs)
        return pair_at{u, u + pairs};
    return pair_at{2 * u, 2 * u + 1};
}

/* Its place in the page of this row. */
SIMT_DEVICE simt::half *page_row(
    const ck_cells &c, const ck_kv &kv, ck_half *plane, uint32_t row, uint32_t kv_head, uint32_t dim)
{
    const uint32_t pos = c.pos[row];
    const uint32_t page = kv.table[static_cast<uint64_t>(c.seq[row]) * kv.table_ld + pos / CK_PAGE];
    return reinterpret_cast<simt::half *>(plane) + page * kv.page_stride +
           static_cast<uint64_t>(kv_head * CK_PAGE + pos % CK_PAGE) * dim;
}

SIMT_DEVICE void value_head(const head_row &h, uint32_t dv, simt::half *to)
{
    for (uint32_t i = 2 * simt::lane(); i < dv; i += 64)
        *reinterpret_cast<simt::half2 *>(to + i) = simt::to_half2(head_pair(h, i, i + 1));
}

/* A head of q (to: NULL) or of k. */
SIMT_DEVICE void turn_head(
    const ck_qkv_args &a, const head_row &h, const float *norm, const float *cs, simt::half *to)
{
    const uint32_t pairs = a.rope == ORCD_ROPE_NONE ? 0 : a.pairs;
    float by = 1;
    if (norm) {
        float sum = 0;
        for (uint32_t u = simt::lane(); u < a.dk / 2; u += 32) {
            const pair_at at = pair_of(u, a.rope, pairs);
            const float2 v = head_pair(h, at.i, at.j);
            sum = simt::fma(v.x, v.x, simt::fma(v.y, v.y, sum));
        }
        by = simt::rcp(simt::sqrt(simt::warp_sum(sum) / static_cast<float>(a.dk) + a.eps));
    }
    for (uint32_t u = simt::lane(); u < a.dk / 2; u += 32) {
        const pair_at at = pair_of(u, a.rope, pairs);
        float2 v = head_pair(h, at.i, at.j);
        if (norm) {
            v.x = v.x * by * norm[at.i];
            v.y = v.y * by * norm[at.j];
        }
        if (u < pairs) {
            const float2 turn = reinterpret_cast<const float2 *>(cs)[u];
            v = float2{v.x * turn.x - v.y * turn.y, v.x * turn.y + v.y * turn.x};
        }
        if (!to) {
            h.x[at.i] = v.x;
            h.x[at.j] = v.y;
        } else if (at.j == at.i + 1) {
            *reinterpret_cast<simt::half2 *>(to + at.i) = simt::to_half2(v);
        } else {
            to[at.i] = simt::to_half(v.x);
            to[at.j] = simt::to_half(v.y);
        }
    }
}

SIMT_KERNEL(32 * HEADS) void qkv(ck_qkv_args a)
{
    kernel_begin();
    const uint64_t row = simt::block_x();
    const uint32_t head = simt::block_y() * HEADS + simt::warp();
    const float scale = a.scale ? a.scale[row] : 1.0f;
    const float *const cs = a.cs + row * 2 * a.pairs;
    if (head < a.n_heads) {
        const uint32_t at = head * a.dk;
        turn_head(a, head_row{a.q + row * a.ld_q + at, a.q_bias ? a.q_bias + at : nullptr, scale}, a.q_norm,
            cs, nullptr);
    } else if (head < a.n_heads + a.n_kv_heads) {
        const uint32_t h = head - a.n_heads, at = h * a.dk;
        turn_head(a, head_row{a.k + row * a.ld_k + at, a.k_bias ? a.k_bias + at : nullptr, scale}, a.k_norm,
            cs, page_row(a.cells, a.kv, a.kv.k, static_cast<uint32_t>(row), h, a.dk));
    } else if (head < a.n_heads + 2 * a.n_kv_heads) {
        const uint32_t h = head - a.n_heads - a.n_kv_heads, at = h * a.dv;
        value_head(head_row{a.v + row * a.ld_v + at, a.v_bias ? a.v_bias + at : nullptr, scale}, a.dv,
            page_row(a.cells, a.kv, a.kv.v, static_cast<uint32_t>(row), h, a.dv));
    }
}

} // namespace

enum simt_status ck_rope_table(struct simt_stream *s, const uint32_t *pos, const double *inv_freq,
    uint32_t pairs, double magnitude, float *cs, uint32_t rows)
{
    if (rows == 0 || pairs == 0)
        return SIMT_OK;
    const unsigned parts = (pairs + TABLE_THREADS - 1) / TABLE_THREADS;
    return simt::launch(launch_config(s, "rope_table", {rows, parts, 1}, TABLE_THREADS), rope_table, pos,
        inv_freq, pairs, magnitude, cs);
}

enum simt_status ck_qkv(struct simt_stream *s, const struct ck_qkv_args *a)
{
    if (a->rows == 0)
        return SIMT_OK;
    const unsigned parts = (a->n_heads + 2 * a->n_kv_heads + HEADS - 1) / HEADS;
    return simt::launch(launch_config(s, "qkv", {a->rows, parts, 1}, 32 * HEADS), qkv, *a);
}

enum simt_status a_touch_qkv()
{
    const enum simt_status st = simt::kernel_prepare(rope_table, TABLE_THREADS, 0);
    return st != SIMT_OK ? st : simt::kernel_prepare(qkv, 32 * HEADS, 0);
}
