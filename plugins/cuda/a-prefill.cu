/*
 * Attention of prefill on tensor cores. A block takes a tile of up to 16 queries and the heads of one
 * KV head: HEADS x PARTS warps, each the 16 queries of one head against one part of each tile of
 * keys. Products are of FP16 with FP32 sums; the queries and the weights are two FP16 numbers
 * each (what the first leaves is the second), which is FP32 but for the last bits.
 * A query's result does not depend on the others of its tile: rows of a product are apart, and a
 * tile of keys that it does not see leaves its sums as they are.
 */
#include "plugins/cuda/a-decode.cuh"

using simt::float2;

namespace
{

template <int DIM> struct prefill_sizes {
    static constexpr int keys = DIM <= 128 ? 64 : 32; /* of a tile */
    static constexpr int stride = DIM + 8;            /* halves: rows start in different banks */
    static constexpr unsigned shared = 2 * keys * stride * sizeof(simt::half);
};

struct two_halves {
    unsigned high, low;
};

SIMT_DEVICE two_halves split(float x, float y)
{
    const simt::half2 high = simt::to_half2(float2{x, y});
    const float2 kept = simt::to_float2(high);
    return two_halves{
        simt::half2_bits(high), simt::half2_bits(simt::to_half2(float2{x - kept.x, y - kept.y}))};
}

/* Queries lane / 4 and lane / 4 + 8 of one head; NULL: beyond the tile. */
struct query_rows {
    const float *q[2];
    uint32_t dk;
};

/* The fragment of elements 16 c .. 16 c + 15. */
SIMT_DEVICE void query_fragment(const query_rows &rows, uint32_t c, unsigned (&high)[4], unsigned (&low)[4])
{
    SIMT_UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t d = 16 * c + 8 * (i / 2) + 2 * (simt::lane() % 4);
        const float *const q = rows.q[i % 2];
        const float2 v = q && d < rows.dk ? *reinterpret_cast<const float2 *>(q + d) : float2{0, 0};
        const two_halves h = split(v.x, v.y);
        high[i] = h.high;
        low[i] = h.low;
    }
}

/* Scores of KEYS keys from `keys` on (rows of shared memory). */
template <int DIM, int KEYS>
SIMT_DEVICE void scores(const query_rows &rows, const unsigned (&high)[DIM <= 128 ? DIM / 16 : 1][4],
    const unsigned (&low)[DIM <= 128 ? DIM / 16 : 1][4], const simt::half *keys, float (&s)[KEYS / 8][4])
{
    constexpr int stride = prefill_sizes<DIM>::stride;
    const uint32_t lane = simt::lane();
    const simt::half *const from = keys + (lane / 16 * 8 + lane % 8) * stride + lane / 8 % 2 * 8;
    SIMT_UNROLL
    for (int t = 0; t < KEYS / 8; t++)
        SIMT_UNROLL
    for (int i = 0; i < 4; i++)
        s[t][i] = 0;
    SIMT_UNROLL
    for (int c = 0; c < DIM / 16; c++) {
        if (16u * c >= rows.dk)
            break;
        unsigned h[4], l[4];
        if (DIM > 128)
            query_fragment(rows, static_cast<uint32_t>(c), h, l);
        SIMT_UNROLL
        for (int i = 0; DIM <= 128 && i < 4; i++) {
            h[i] = high[DIM <= 128 ? c : 0][i];
            l[i] = low[DIM <= 128 ? c : 0][i];
        }
        SIMT_UNROLL
        for (int t = 0; t < KEYS / 8; t += 2) {
            unsigned k[4];
            simt::ldmatrix4(k, from + 8 * t * stride + 16 * c);
            const unsigned first[2] = {k[0], k[1]}, second[2] = {k[2], k[3]};
            simt::mma_f16(s[t], h, first);
            simt::mma_f16(s[t], l, first);
            simt::mma_f16(s[t + 1], h, second);
            simt::mma_f16(s[t + 1], l, second);
        }
    }
}

/* Adds the weights' values to out. */
template <int DIM, int KEYS>
SIMT_DEVICE void add_weighted(
    const float (&p)[KEYS / 8][4], const simt::half *values, uint32_t dv, float (&out)[DIM / 8][4])
{
    constexpr int stride = prefill_sizes<DIM>::stride;
    const uint32_t lane = simt::lane();
    const simt::half *const from = values + (lane / 8 % 2 * 8 + lane % 8) * stride + lane / 16 * 8;
    SIMT_UNROLL
    for (int t = 0; t < KEYS / 8; t += 2) {
        unsigned high[4], low[4];
        SIMT_UNROLL
        for (int i = 0; i < 4; i++) {
            const two_halves h = split(p[t + i / 2][i % 2 * 2], p[t + i / 2][i % 2 * 2 + 1]);
            high[i] = h.high;
            low[i] = h.low;
        }
        SIMT_UNROLL
        for (int d = 0; d < DIM / 8; d += 2) {
            if (8u * d >= dv)
                break;
            unsigned v[4];
            simt::ldmatrix4_trans(v, from + 8 * t * stride + 8 * d);
            const unsigned first[2] = {v[0], v[1]}, second[2] = {v[2], v[3]};
            simt::mma_f16(out[d], high, first);
            simt::mma_f16(out[d], low, first);
            simt::mma_f16(out[d + 1], high, second);
            simt::mma_f16(out[d + 1], low, second);
        }
    }
}

/* The lane's two queries: what keys they see, maximum and this lane's part of the sum so far. */
struct query_state {
    uint32_t first[2], end[2];
    float max[2], sum[2];
};

/* Scores into weights; out is brought to the new maximum. */
template <int DIM, int KEYS>
SIMT_DEVICE void weigh(
    const ck_attn_args &a, uint32_t key0, query_state &q, float (&s)[KEYS / 8][4], float (&out)[DIM / 8][4])
{
    SIMT_UNROLL
    for (int row = 0; row < 2; row++) {
        float best = -simt::infinity();
        SIMT_UNROLL
        for (int t = 0; t < KEYS / 8; t++)
            SIMT_UNROLL
        for (int i = 0; i < 2; i++) {
            const uint32_t key = key0 + 8 * t + 2 * (simt::lane() % 4) + i;
            float &v = s[t][2 * row + i];
            v = key >= q.first[row] && key < q.end[row] ? capped(v * a.scale, a.softcap) : -simt::infinity();
            best = simt::fmax(best, v);
        }
        const float max = simt::fmax(q.max[row], simt::warp_max<4>(best)), back = rescale(q.max[row], max);
        float sum = 0;
        SIMT_UNROLL
        for (int t = 0; t < KEYS / 8; t++)
            SIMT_UNROLL
        for (int i = 0; i < 2; i++) {
            float &v = s[t][2 * row + i];
            v = rescale(v, max);
            sum += v;
        }
        q.max[row] = max;
        q.sum[row] = q.sum[row] * back + sum;
        SIMT_UNROLL
        for (int d = 0; d < DIM / 8; d++) {
            out[d][2 * row] *= back;
            out[d][2 * row + 1] *= back;
        }
    }
}

template <int DIM, int HEADS, int PARTS>
SIMT_KERNEL(32 * HEADS * PARTS)
void prefill(ck_attn_args a, const ck_tile *tiles)
{
    using sizes = prefill_sizes<DIM>;
    constexpr unsigned THREADS = 32 * HEADS * PARTS;
    constexpr int KEYS = sizes::keys / PARTS;
    kernel_begin();
    SIMT_SHARED_DYNAMIC(simt::half, memory);
    SIMT_SHARED(float, maxes, [HEADS][PARTS][CK_TILE]);
    SIMT_SHARED(float, sums, [HEADS][PARTS][CK_TILE]);
    simt::half *const k_tile = memory, *const v_tile = memory + sizes::keys * sizes::stride;
    const simt::half *const k_plane = reinterpret_cast<const simt::half *>(a.kv.k);
    const simt::half *const v_plane = reinterpret_cast<const simt::half *>(a.kv.v);
    const uint32_t lane = simt::lane(), slot = simt::warp() / PARTS, part = simt::warp() % PARTS;
    const uint32_t group = a.n_heads / a.n_kv_heads, chunks = (group + HEADS - 1) / HEADS;
    const uint32_t kv_head = simt::block_y() / chunks, of_group = simt::block_y() % chunks * HEADS + slot;
    const bool idle = of_group >= group;
    const uint32_t head = idle ? kv_head * group : kv_head * group + of_group;
    const ck_tile tile = tiles[simt::block_x()];
    const uint32_t first = first_key(a.window, tile.pos), end = tile.pos + tile.count;
    const uint32_t begin = first / CK_PAGE * CK_PAGE;

    load_tile<THREADS>(
        a, k_plane, k_tile, tile.seq, kv_head, begin, sizes::keys, first, end, a.dk, sizes::stride);
    simt::cp_async_commit();
    load_tile<THREADS>(
        a, v_plane, v_tile, tile.seq, kv_head, begin, sizes::keys, first, end, a.dv, sizes::stride);
    simt::cp_async_commit();
    /* Products go by 16 elements: a half of one that the head lacks is zero. */
    for (uint32_t i = simt::thread_x(); i < sizes::keys * 8u; i += THREADS) {
        if (a.dk % 16)
            k_tile[i / 8 * sizes::stride + a.dk + i % 8] = simt::half_from_bits(0);
        if (a.dv % 16)
            v_tile[i / 8 * sizes::stride + a.dv + i % 8] = simt::half_from_bits(0);
    }

    query_rows rows;
    query_state state;
    rows.dk = a.dk;
    SIMT_UNROLL
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t at = lane / 4 + 8 * i;
        const bool there = at < tile.count && !idle;
        rows.q[i] = there ? a.q + static_cast<uint64_t>(tile.first + at) * a.ld_q + head * a.dk : nullptr;
        state.first[i] = first_key(a.window, tile.pos + at);
        state.end[i] = there ? tile.pos + at + 1 : 0;
        state.max[i] = -simt::infinity();
        state.sum[i] = 0;
    }
    constexpr int KEPT = DIM <= 128 ? DIM / 16 : 1;
    unsigned high[KEPT][4], low[KEPT][4];
    if (DIM <= 128) {
        SIMT_UNROLL
        for (int c = 0; c < KEPT; c++)
            query_fragment(rows, static_cast<uint32_t>(c), high[c], low[c]);
    }
    float out[DIM / 8][4];
    SIMT_UNROLL
    for (int d = 0; d < DIM / 8; d++)
        SIMT_UNROLL
    for (int i = 0; i < 4; i++)
        out[d][i] = 0;

    for (uint32_t key0 = begin; key0 < end; key0 += sizes::keys) {
        const uint32_t next = key0 + sizes::keys;
        float s[KEYS / 8][4];
        simt::cp_async_wait<1>();
        simt::syncthreads();
        scores<DIM, KEYS>(rows, high, low, k_tile + part * KEYS * sizes::stride, s);
        simt::syncthreads();
        if (next < end)
            load_tile<THREADS>(
                a, k_plane, k_tile, tile.seq, kv_head, next, sizes::keys, first, end, a.dk, sizes::stride);
        simt::cp_async_commit();
        weigh<DIM, KEYS>(a, key0 + part * KEYS, state, s, out);
        simt::cp_async_wait<1>();
        simt::syncthreads();
        add_weighted<DIM, KEYS>(s, v_tile + part * KEYS * sizes::stride, a.dv, out);
        simt::syncthreads();
        if (next < end)
            load_tile<THREADS>(
                a, v_plane, v_tile, tile.seq, kv_head, next, sizes::keys, first, end, a.dv, sizes::stride);
        simt::cp_async_commit();
    }

    /* The parts of the keys together, in their order, the sink before them. */
    SIMT_UNROLL
    for (uint32_t i = 0; i < 2; i++) {
        const float sum = simt::warp_sum<4>(state.sum[i]);
        if (lane % 4 == 0) {
            maxes[slot][part][lane / 4 + 8 * i] = state.max[i];
            sums[slot][part][lane / 4 + 8 * i] = sum;
        }
    }
    simt::syncthreads();
    float total[2];
    const float sink = a.sinks ? a.sinks[head] : -simt::infinity();
    SIMT_UNROLL
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t at = lane / 4 + 8 * i;
        float most = sink;
        for (uint32_t n = 0; n < PARTS; n++)
            most = simt::fmax(most, maxes[slot][n][at]);
        total[i] = rescale(sink, most);
        for (uint32_t n = 0; n < PARTS; n++)
            total[i] += sums[slot][n][at] * rescale(maxes[slot][n][at], most);
        const float by = rescale(state.max[i], most);
        SIMT_UNROLL
        for (int d = 0; d < DIM / 8; d++) {
            out[d][2 * i] *= by;
            out[d][2 * i + 1] *= by;
        }
    }
    /* 16 rows of DIM floats from each part but the first. */
    float *const parts = reinterpret_cast<float *>(memory);
    const uint32_t column = 2 * (lane % 4);
    if (PARTS > 1 && part > 0) {
        float *const to = parts + (slot * (PARTS - 1) + part - 1) * CK_TILE * DIM + lane / 4 * DIM + column;
        SIMT_UNROLL
        for (int d = 0; d < DIM / 8; d++) {
            *reinterpret_cast<float2 *>(to + 8 * d) = float2{out[d][0], out[d][1]};
            *reinterpret_cast<float2 *>(to + 8 * DIM + 8 * d) = float2{out[d][2], out[d][3]};
        }
    }
    simt::syncthreads();
    if (part > 0 || idle)
        return;
    SIMT_UNROLL
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t at = lane / 4 + 8 * i;
        if (at >= tile.count)
            continue;
        float *const to = a.out + static_cast<uint64_t>(tile.first + at) * a.ld_out + head * a.dv + column;
        SIMT_UNROLL
        for (int d = 0; d < DIM / 8; d++) {
            if (8u * d >= a.dv)
                break;
            float2 v = {out[d][2 * i], out[d][2 * i + 1]};
            for (uint32_t n = 1; n < PARTS; n++) {
                const float2 more = *reinterpret_cast<const float2 *>(
                    parts + (slot * (PARTS - 1) + n - 1) * CK_TILE * DIM + at * DIM + column + 8 * d);
                v.x += more.x;
                v.y += more.y;
            }
            *reinterpret_cast<float2 *>(to + 8 * d) = float2{v.x / total[i], v.y / total[i]};
        }
    }
}

template <int DIM, int HEADS, int PARTS>
enum simt_status launch_prefill(
    struct simt_stream *s, const ck_attn_args &a, const ck_tile *tiles, uint32_t n_tiles)
{
    static_assert(CK_PAGE % prefill_sizes<DIM>::keys == 0, "a tile of keys lies in one page");
    static_assert((PARTS - 1) * HEADS * CK_TILE * DIM * sizeof(float) <= prefill_sizes<DIM>::shared, "room");
    const uint32_t group = a.n_heads / a.n_kv_heads, chunks = (group + HEADS - 1) / HEADS;
    return simt::launch(launch_config(s, "attn_prefill", {n_tiles, a.n_kv_heads * chunks, 1},
                            32 * HEADS * PARTS, prefill_sizes<DIM>::shared),
        prefill<DIM, HEADS, PARTS>, a, tiles);
}

template <int DIM, int PARTS>
enum simt_status launch_group(
    struct simt_stream *s, const ck_attn_args &a, const ck_tile *tiles, uint32_t n_tiles)
{
    const uint32_t group = a.n_heads / a.n_kv_heads;
    if (group == 1)
        return launch_prefill<DIM, 1, PARTS>(s, a, tiles, n_tiles);
    if (group == 2)
        return launch_prefill<DIM, 2, 2>(s, a, tiles, n_tiles);
    return launch_prefill<DIM, 4, 1>(s, a, tiles, n_tiles);
}

template <int DIM, int PARTS> enum simt_status prepare_group()
{
    const size_t shared = prefill_sizes<DIM>::shared;
    enum simt_status st = simt::kernel_prepare(prefill<DIM, 1, PARTS>, 32 * PARTS, shared);
    if (st == SIMT_OK)
        st = simt::kernel_prepare(prefill<DIM, 2, 2>, 128, shared);
    return st != SIMT_OK ? st : simt::kernel_prepare(prefill<DIM, 4, 1>, 128, shared);
}

} // namespace

enum simt_status ck_attn_prefill(
    struct simt_stream *s, const struct ck_attn_args *a, const struct ck_tile *tiles, uint32_t n_tiles)
{
    if (a->rows == 0 || n_tiles == 0)
        return SIMT_OK;
    const uint32_t most = a->dk > a->dv ? a->dk : a->dv;
    if (a->dk % 8 || a->dv % 8 || most > 256)
        return a_decode(s, *a, nullptr, 1, tiles, n_tiles * CK_TILE);
    if (most <= 64)
        return launch_group<64, 4>(s, *a, tiles, n_tiles);
    if (most <= 128)
        return launch_group<128, 4>(s, *a, tiles, n_tiles);
    return launch_group<256, 2>(s, *a, tiles, n_tiles);
}

enum simt_status a_touch_prefill()
{
    enum simt_status st = prepare_group<64, 4>();
    if (st == SIMT_OK)
        st = prepare_group<128, 4>();
    return st != SIMT_OK ? st : prepare_group<256, 2>();
}
