/*
 * Attention of single rows: flash decoding. A block takes one split of the keys of one row, and
 * up to 8 heads of one KV head, which share its keys. Tiles of keys and values come into shared
 * memory by asynchronous copies: the next keys while the values are worked on, and the reverse.
 *   scores   thread = (key, part of the head's elements), sums of parts in ascending order
 *   softmax  a warp a head
 *   values   thread = (pair of elements, part of the keys), parts added at the end
 * The same kernel does whole rows of prefill where heads are too large for its tiles.
 */
#include "plugins/cuda/a-decode.cuh"

using simt::float2;
using simt::float4;
using simt::uint4;

namespace
{

constexpr unsigned THREADS = 256;

/* What follows from the size of heads: sums depend on it, so it must on nothing else. */
struct decode_shape {
    uint32_t dk8;      /* dk rounded up to 8 */
    uint32_t k_stride; /* halves; an odd count of 16 bytes: rows start in different banks */
    uint32_t v_stride;
    uint32_t keys; /* of a tile: 64, 32, 16 or 8 */
    uint32_t pairs, v_parts;
};

SIMT_BOTH decode_shape shape_of(uint32_t dk, uint32_t dv)
{
    decode_shape s;
    const uint32_t most = dk > dv ? dk : dv;
    s.dk8 = round_up(dk, 8);
    s.k_stride = s.dk8 / 8 % 2 ? s.dk8 : s.dk8 + 8;
    s.v_stride = round_up(dv, 8);
    s.keys = most <= 128 ? 64 : most <= 256 ? 32 : most <= 512 ? 16 : 8;
    s.pairs = dv / 2;
    s.v_parts = s.pairs <= THREADS / 8 ? 8 : s.pairs >= THREADS ? 1 : THREADS / s.pairs;
    return s;
}

/* The block's shared memory; counts in floats. */
struct decode_shared {
    uint32_t q, scores, p, state, kv, total;
};

SIMT_BOTH decode_shared shared_of(const decode_shape &s, uint32_t heads, uint32_t dv)
{
    decode_shared m;
    m.q = 0;
    m.scores = m.q + heads * s.dk8;
    m.p = m.scores + THREADS * heads;
    m.state = m.p + s.keys * heads;
    m.kv = m.state + round_up(3 * heads, 4);
    const uint32_t tiles = s.keys * (s.k_stride + s.v_stride) / 2, sums = s.v_parts * heads * dv;
    m.total = m.kv + (tiles > sums ? tiles : sums);
    return m;
}

/* A number for each head, side by side: in pieces of 16 bytes where there are four and more. */
template <int HEADS> SIMT_DEVICE void store_heads(float *to, const float (&v)[HEADS])
{
    if constexpr (HEADS % 4 == 0) {
        SIMT_UNROLL
        for (int g = 0; g < HEADS; g += 4)
            *reinterpret_cast<float4 *>(to + g) = float4{v[g], v[g + 1], v[g + 2], v[g + 3]};
    } else {
        SIMT_UNROLL
        for (int g = 0; g < HEADS; g++)
            to[g] = v[g];
    }
}

template <int HEADS> SIMT_DEVICE void load_heads(float (&v)[HEADS], const float *from)
{
    if constexpr (HEADS % 4 == 0) {
        SIMT_UNROLL
        for (int g = 0; g < HEADS; g += 4) {
            const float4 four = *reinterpret_cast<const float4 *>(from + g);
            v[g] = four.x;
            v[g + 1] = four.y;
            v[g + 2] = four.z;
            v[g + 3] = four.w;
        }
    } else {
        SIMT_UNROLL
        for (int g = 0; g < HEADS; g++)
            v[g] = from[g];
    }
}

/* This thread's part of the scores of its key. */
template <int HEADS>
SIMT_DEVICE void score_tile(const decode_shape &s, const float *q, const simt::half *k, float *scores)
{
    const uint32_t key = simt::thread_x() % s.keys, part = simt::thread_x() / s.keys,
                   parts = THREADS / s.keys;
    float sum[HEADS] = {};
    for (uint32_t c = part; c < s.dk8 / 8; c += parts) {
        const uint4 words = *reinterpret_cast<const uint4 *>(k + key * s.k_stride + 8 * c);
        const float2 k0 = simt::to_float2(word_as_half2(words.x)),
                     k1 = simt::to_float2(word_as_half2(words.y)),
                     k2 = simt::to_float2(word_as_half2(words.z)),
                     k3 = simt::to_float2(word_as_half2(words.w));
        SIMT_UNROLL
        for (int g = 0; g < HEADS; g++) {
            const float4 *const at = reinterpret_cast<const float4 *>(q + g * s.dk8 + 8 * c);
            const float4 qa = at[0], qb = at[1];
            float v = sum[g];
            v = simt::fma(qa.x, k0.x, v);
            v = simt::fma(qa.y, k0.y, v);
            v = simt::fma(qa.z, k1.x, v);
            v = simt::fma(qa.w, k1.y, v);
            v = simt::fma(qb.x, k2.x, v);
            v = simt::fma(qb.y, k2.y, v);
            v = simt::fma(qb.z, k3.x, v);
            sum[g] = simt::fma(qb.w, k3.y, v);
        }
    }
    store_heads<HEADS>(scores + simt::thread_x() * HEADS, sum);
}

/* Scores into weights, by the warp of head g. Returns what the sums so far are multiplied by. Plain
 * numbers, as of load_tile. */
template <int HEADS>
SIMT_DEVICE float weigh_tile(const ck_attn_args &a, const decode_shape &s, const float *scores, float *p,
    uint32_t g, uint32_t key0, uint32_t first, uint32_t end, attn_total *total)
{
    float v[2], best = -simt::infinity(), sum = 0;
    SIMT_UNROLL
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t k = simt::lane() + 32 * i;
        v[i] = -simt::infinity();
        if (k < s.keys && key0 + k >= first && key0 + k < end) {
            float dot = 0;
            for (uint32_t part = 0; part < THREADS / s.keys; part++)
                dot += scores[(part * s.keys + k) * HEADS + g];
            v[i] = capped(dot * a.scale, a.softcap);
        }
        best = simt::fmax(best, v[i]);
    }
    const float max = simt::fmax(total->max, simt::warp_max(best));
    SIMT_UNROLL
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t k = simt::lane() + 32 * i;
        v[i] = rescale(v[i], max);
        sum += v[i];
        if (k < s.keys)
            p[k * HEADS + g] = v[i];
    }
    const float back = rescale(total->max, max);
    total->max = max;
    total->sum = total->sum * back + simt::warp_sum(sum);
    return back;
}

/* Adds the tile's weighted values to this thread's elements. */
template <int HEADS, int PAIRS>
SIMT_DEVICE void add_values(const decode_shape &s, const float *p, const float *back, const simt::half *v,
    uint32_t n_keys, float2 (&acc)[PAIRS][HEADS])
{
    const uint32_t pair = simt::thread_x() % s.pairs, part = simt::thread_x() / s.pairs;
    if (PAIRS == 1 && part >= s.v_parts)
        return;
    SIMT_UNROLL
    for (int g = 0; g < HEADS; g++)
        SIMT_UNROLL
    for (int n = 0; n < PAIRS; n++) {
        acc[n][g].x *= back[g];
        acc[n][g].y *= back[g];
    }
    for (uint32_t k = PAIRS == 1 ? part : 0; k < n_keys; k += s.v_parts) {
        float w[HEADS];
        load_heads<HEADS>(w, p + k * HEADS);
        SIMT_UNROLL
        for (int n = 0; n < PAIRS; n++) {
            const uint32_t at = PAIRS == 1 ? pair : simt::thread_x() + THREADS * n;
            if (at >= s.pairs)
                continue;
            const float2 x =
                simt::to_float2(*reinterpret_cast<const simt::half2 *>(v + k * s.v_stride + 2 * at));
            SIMT_UNROLL
            for (int g = 0; g < HEADS; g++) {
                acc[n][g].x = simt::fma(w[g], x.x, acc[n][g].x);
                acc[n][g].y = simt::fma(w[g], x.y, acc[n][g].y);
            }
        }
    }
}

/* One row's keys of this block. */
struct decode_work {
    uint32_t row, pos, first, begin, end, kv_head, head0, n_heads, split;
};

/* False: this block has nothing to do. tiles NULL: splits, otherwise whole rows of prefill. */
template <int HEADS>
SIMT_DEVICE bool find_work(const ck_attn_args &a, const ck_tile *tiles, uint32_t tile_keys, decode_work *w)
{
    const uint32_t group = a.n_heads / a.n_kv_heads, chunks = (group + HEADS - 1) / HEADS;
    const uint32_t chunk = simt::block_y() % chunks;
    w->kv_head = simt::block_y() / chunks;
    w->head0 = w->kv_head * group + chunk * HEADS;
    w->n_heads = group - chunk * HEADS < HEADS ? group - chunk * HEADS : HEADS;
    w->split = tiles ? 0 : simt::block_x();
    w->row = simt::block_z();
    if (tiles) {
        const ck_tile &t = tiles[simt::block_x() / CK_TILE];
        if (simt::block_x() % CK_TILE >= t.count)
            return false;
        w->row = t.first + simt::block_x() % CK_TILE;
    }
    w->pos = a.cells.pos[w->row];
    w->first = first_key(a.window, w->pos);
    w->begin = 0;
    w->end = w->pos + 1;
    if (!tiles) {
        const uint32_t keys = ck_split_keys(w->pos);
        w->begin = w->split * keys;
        if (w->begin > w->pos)
            return false;
        w->end = w->begin + keys < w->end ? w->begin + keys : w->end;
        if (w->end <= w->first)
            return false;
    }
    if (w->begin < w->first)
        w->begin = w->first / tile_keys * tile_keys;
    return true;
}

template <int HEADS, int PAIRS>
SIMT_KERNEL2(THREADS, 2)
void decode(ck_attn_args a, float *partial, uint32_t n_splits, const ck_tile *tiles)
{
    kernel_begin();
    SIMT_SHARED_DYNAMIC(float, memory);
    const decode_shape s = shape_of(a.dk, a.dv);
    const decode_shared m = shared_of(s, HEADS, a.dv);
    float *const q = memory + m.q, *const scores = memory + m.scores, *const p = memory + m.p;
    float *const back = memory + m.state, *const maxes = back + HEADS, *const sums = maxes + HEADS;
    simt::half *const k_tile = reinterpret_cast<simt::half *>(memory + m.kv);
    simt::half *const v_tile = k_tile + s.keys * s.k_stride;
    const simt::half *const k_plane = reinterpret_cast<const simt::half *>(a.kv.k);
    const simt::half *const v_plane = reinterpret_cast<const simt::half *>(a.kv.v);

    decode_work w;
    if (!find_work<HEADS>(a, tiles, s.keys, &w))
        return;
    const uint32_t seq = a.cells.seq[w.row];
    load_tile<THREADS>(a, k_plane, k_tile, seq, w.kv_head, w.begin, s.keys, w.first, w.end, a.dk, s.k_stride);
    simt::cp_async_commit();
    load_tile<THREADS>(a, v_plane, v_tile, seq, w.kv_head, w.begin, s.keys, w.first, w.end, a.dv, s.v_stride);
    simt::cp_async_commit();
    for (uint32_t i = simt::thread_x(); i < HEADS * s.dk8; i += THREADS) {
        const uint32_t g = i / s.dk8, d = i % s.dk8;
        q[i] = g < w.n_heads && d < a.dk
                   ? a.q[static_cast<uint64_t>(w.row) * a.ld_q + (w.head0 + g) * a.dk + d]
                   : 0.0f;
    }

    attn_total total = {-simt::infinity(), 0}; /* of the warp's head */
    float2 acc[PAIRS][HEADS] = {};
    for (uint32_t key0 = w.begin; key0 < w.end; key0 += s.keys) {
        const uint32_t next = key0 + s.keys;
        simt::cp_async_wait<1>();
        simt::syncthreads();
        score_tile<HEADS>(s, q, k_tile, scores);
        simt::syncthreads();
        if (next < w.end)
            load_tile<THREADS>(
                a, k_plane, k_tile, seq, w.kv_head, next, s.keys, w.first, w.end, a.dk, s.k_stride);
        simt::cp_async_commit();
        if (simt::warp() < HEADS) {
            const float by = weigh_tile<HEADS>(a, s, scores, p, simt::warp(), key0, w.first, w.end, &total);
            if (simt::lane() == 0)
                back[simt::warp()] = by;
        }
        simt::cp_async_wait<1>();
        simt::syncthreads();
        add_values<HEADS, PAIRS>(s, p, back, v_tile, next < w.end ? s.keys : w.end - key0, acc);
        simt::syncthreads();
        if (next < w.end)
            load_tile<THREADS>(
                a, v_plane, v_tile, seq, w.kv_head, next, s.keys, w.first, w.end, a.dv, s.v_stride);
        simt::cp_async_commit();
    }

    /* The tiles' memory takes the sums of each part of the keys. */
    float *const parts = memory + m.kv;
    const uint32_t part = simt::thread_x() / s.pairs;
    SIMT_UNROLL
    for (int n = 0; n < PAIRS; n++) {
        const uint32_t at = PAIRS == 1 ? simt::thread_x() % s.pairs : simt::thread_x() + THREADS * n;
        if (PAIRS == 1 ? part < s.v_parts : at < s.pairs) {
            SIMT_UNROLL
            for (int g = 0; g < HEADS; g++)
                *reinterpret_cast<float2 *>(parts + ((PAIRS == 1 ? part : 0) * HEADS + g) * a.dv + 2 * at) =
                    acc[n][g];
        }
    }
    if (simt::warp() < HEADS && simt::lane() == 0) {
        maxes[simt::warp()] = total.max;
        sums[simt::warp()] = total.sum;
    }
    simt::syncthreads();
    const bool last = tiles || n_splits == 1;
    for (uint32_t i = simt::thread_x(); i < w.n_heads * a.dv; i += THREADS) {
        const uint32_t g = i / a.dv, d = i % a.dv, head = w.head0 + g;
        float v = 0;
        for (uint32_t n = 0; n < s.v_parts; n++)
            v += parts[(n * HEADS + g) * a.dv + d];
        if (last) {
            a.out[static_cast<uint64_t>(w.row) * a.ld_out + head * a.dv + d] =
                finish_one(a.sinks, head, maxes[g], sums[g], v);
            continue;
        }
        float *const to = partial_of(partial, w.row, head, w.split, a.n_heads, n_splits, a.dv);
        to[d] = v;
        if (d == 0) {
            to[a.dv] = maxes[g];
            to[a.dv + 1] = sums[g];
        }
    }
}

template <int HEADS, int PAIRS>
enum simt_status launch_decode(struct simt_stream *s, const ck_attn_args &a, float *partial,
    uint32_t n_splits, const ck_tile *tiles, uint32_t rows)
{
    const uint32_t group = a.n_heads / a.n_kv_heads, chunks = (group + HEADS - 1) / HEADS;
    const decode_shared m = shared_of(shape_of(a.dk, a.dv), HEADS, a.dv);
    /* A slice may have more rows than a grid is deep (65535). */
    const simt_dim grid = {tiles ? rows : n_splits, a.n_kv_heads * chunks, tiles ? 1 : rows};
    return simt::launch(launch_config(s, "attn_decode", grid, THREADS, m.total * sizeof(float)),
        decode<HEADS, PAIRS>, a, partial, n_splits, tiles);
}

} // namespace

enum simt_status a_decode(struct simt_stream *s, const ck_attn_args &a, float *partial, uint32_t n_splits,
    const ck_tile *tiles, uint32_t rows)
{
    const uint32_t group = a.n_heads / a.n_kv_heads, most = a.dk > a.dv ? a.dk : a.dv;
    if (most > 512)
        return group == 1 ? launch_decode<1, 2>(s, a, partial, n_splits, tiles, rows)
                          : launch_decode<2, 2>(s, a, partial, n_splits, tiles, rows);
    if (group == 1)
        return launch_decode<1, 1>(s, a, partial, n_splits, tiles, rows);
    if (group == 2)
        return launch_decode<2, 1>(s, a, partial, n_splits, tiles, rows);
    if (group <= 4 || most > 128)
        return launch_decode<4, 1>(s, a, partial, n_splits, tiles, rows);
    return launch_decode<8, 1>(s, a, partial, n_splits, tiles, rows);
}

enum simt_status a_touch_decode()
{
    void (*const kernels[])(ck_attn_args, float *, uint32_t, const ck_tile *) = {
        decode<1, 1>, decode<2, 1>, decode<4, 1>, decode<8, 1>, decode<1, 2>, decode<2, 2>};
    for (auto *kernel : kernels) {
        const enum simt_status st = simt::kernel_prepare(kernel, THREADS, 48 * 1024);
        if (st != SIMT_OK)
            return st;
    }
    return SIMT_OK;
}
