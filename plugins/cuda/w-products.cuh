/* Products of decode rows: y = W x for up to 8 inputs at once, of any type of W.
 *
 * A group of `share` warps (1, 2 or 4) makes two sums at a time, of two neighbouring rows, or
 * of one row of gate and of up: an input that is loaded and unpacked serves both. Lane l of
 * warp k of the group takes units 32 k + l, + 32 share .. of the row, in this order, whatever
 * the number of inputs; then come the warp's butterfly, neighbours first, and the warps in order.
 * So a sum's bits depend on the type, the shape and the two vectors alone. w-mma.cuh adds in the
 * same order.
 *
 * A lane's unit of a 4-bit type is one 16-byte load, a warp's 512 neighbouring bytes. ahead(): how
 * many units of both rows a lane asks for before it works on the first; the first lot is
 * under way before the kernel waits for its predecessor, as weights never change. */
#ifndef ORCD_CUDA_W_PRODUCTS_CUH
#define ORCD_CUDA_W_PRODUCTS_CUH

#include "plugins/cuda/w-work.cuh"

namespace w
{

constexpr unsigned product_threads = 128, product_warps = product_threads / 32;

/* How many units of each of two rows a lane has on their way: registers allow more with fewer
 * inputs, and with many the arithmetic is what takes the time. */
SIMT_BOTH constexpr unsigned ahead(unsigned slots)
{
    return slots > 2 ? 1 : 2;
}

/* The inputs of a pass, by slot. */
template <int N> struct inputs {
    unsigned entry[N]; /* in units of 32 elements: entry * ld / 32 */
};

template <unsigned T, int N>
SIMT_DEVICE void consume(
    const raw<T> (&r)[2], const product_work &k, const inputs<N> &in, unsigned unit, float (&sum)[2 * N])
{
    if constexpr (is_float(T)) {
        float v[2][8];
        floats_of<T>(r[0], v[0]);
        floats_of<T>(r[1], v[1]);
        SIMT_UNROLL
        for (int n = 0; n < N; n++) {
            const simt::float4 *x =
                reinterpret_cast<const simt::float4 *>(k.f) + static_cast<size_t>(in.entry[n]) * 8 + unit * 2;
            const simt::float4 a = x[0], b = x[1];
            const float f[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
            SIMT_UNROLL
            for (int m = 0; m < 2; m++)
                SIMT_UNROLL
            for (int i = 0; i < 8; i++)
                sum[2 * n + m] = simt::fma(v[m][i], f[i], sum[2 * n + m]);
        }
    } else {
        unsigned v[2][8];
        unpack<T>(r[0], v[0]);
        unpack<T>(r[1], v[1]);
        const scale s[2] = {scale_of<T>(r[0].s, r[0].d), scale_of<T>(r[1].s, r[1].d)};
        SIMT_UNROLL
        for (int n = 0; n < N; n++) {
            const size_t at = static_cast<size_t>(in.entry[n]) + unit;
            const simt::int4 a = reinterpret_cast<const simt::int4 *>(k.q)[2 * at];
            const simt::int4 b = reinterpret_cast<const simt::int4 *>(k.q)[2 * at + 1];
            const float d = k.d[at];
            const int sums = offset(T) != 0 || has_minimum(T) ? k.sums[at] : 0;
            const int x[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
            SIMT_UNROLL
            for (int m = 0; m < 2; m++) {
                int dot0 = 0, dot1 = 0;
                SIMT_UNROLL
                for (int i = 0; i < 4; i++) {
                    dot0 = simt::dp4a(static_cast<int>(v[m][i]), x[i], dot0);
                    dot1 = simt::dp4a(static_cast<int>(v[m][i + 4]), x[i + 4], dot1);
                }
                sum[2 * n + m] = simt::fma(d, term<T>(s[m], dot0, dot1, sums), sum[2 * n + m]);
            }
        }
    }
}

/* Sums over the warp, sum i in lane i. Each has the order of a butterfly whose neighbours meet
 * first (then lanes 2 apart, 4 ...), but as lanes meet, either takes on half of the sums: one
 * shuffle each in all, not five. */
template <int Count, int Apart, int All> SIMT_DEVICE void meet(float (&v)[All])
{
    if constexpr (Count > 1) {
        const bool upper = simt::lane() & static_cast<unsigned>(Apart);
        SIMT_UNROLL
        for (int i = 0; i < Count / 2; i++) {
            const float keep = upper ? v[2 * i + 1] : v[2 * i], give = upper ? v[2 * i] : v[2 * i + 1];
            v[i] = keep + simt::shfl_xor(give, Apart);
        }
    } else {
        v[0] += simt::shfl_xor(v[0], Apart);
    }
    if constexpr (Apart < 16)
        meet<(Count > 1 ? Count / 2 : 1), Apart * 2>(v);
}

template <int Count> SIMT_DEVICE float sum_lanes(float (&v)[Count])
{
    static_assert(Count <= 32, "a lane each");
    meet<Count, 1>(v); /* sum i is in the lanes whose lower bits are i */
    return v[0];
}

template <unsigned T, int N>
SIMT_DEVICE void product_tile(const product_work &k, const product_part &part, unsigned tile, unsigned pass_i)
{
    SIMT_SHARED(float, partial, [product_warps][2 * N]);
    const unsigned l = simt::lane(), warp = simt::warp();
    const bool pair = part.finish == FINISH_PAIR;
    const unsigned share = part.share, terms = N > 1 ? k.terms : 1;

    const bool waits = k.expert != nullptr; /* routing comes from the kernel before */
    if (waits)
        simt::pdl_wait();
    const pass p = find_pass(k, pass_i, N / terms);
    if (!p.some)
        return;

    /* The group's rows; the last is computed again where there is none left, and not stored. */
    const unsigned group = tile * (product_warps / share) + warp / share;
    const unsigned row0 = pair ? group : 2 * group;
    const unsigned last = part.n_rows - 1;
    const unsigned r0 = row0 < last ? row0 : last, r1 = row0 + 1 < last ? row0 + 1 : last;
    const size_t base = static_cast<size_t>(p.expert) * k.rows_per_expert;
    const planes w0 = from_unit<T>(part.w, (base + r0) * k.units);
    const planes w1 =
        pair ? from_unit<T>(k.part[1].w, (base + r0) * k.units) : from_unit<T>(part.w, (base + r1) * k.units);

    constexpr unsigned lot = ahead(N);
    const unsigned step = 32 * share;
    unsigned unit = warp % share * 32 + l;
    raw<T> r[lot][2] = {};
    SIMT_UNROLL
    for (unsigned u = 0; u < lot; u++)
        if (unit + u * step < k.units)
            r[u][0] = load<T>(w0, unit + u * step), r[u][1] = load<T>(w1, unit + u * step);

    if (!waits)
        simt::pdl_wait();
    simt::pdl_trigger();
    inputs<N> in;
    SIMT_UNROLL
    for (unsigned n = 0; n < N; n++) {
        const unsigned j = n / terms < p.count ? n / terms : p.count - 1;
        unsigned row = output_row(k, p, j);
        if (k.expert && !k.input_of_pair)
            row /= k.used;
        in.entry[n] = (row * terms + n % terms) * (k.ld / 32);
    }

    /* A unit's registers are asked for again as soon as they are used up. */
    float sum[2 * N] = {};
    while (true) {
        SIMT_UNROLL
        for (unsigned u = 0; u < lot; u++) {
            const unsigned at = unit + u * step, next = at + lot * step;
            if (at < k.units)
                consume<T, N>(r[u], k, in, at, sum);
            if (next < k.units)
                r[u][0] = load<T>(w0, next), r[u][1] = load<T>(w1, next);
        }
        unit += lot * step;
        if (unit - l >= k.units) /* for all lanes at once */
            break;
    }

    float mine = sum_lanes(sum); /* of row m and slot n in lane 2 n + m */
    if (share > 1) {
        if (l < 2 * N)
            partial[warp][l] = mine;
        simt::syncthreads();
        if (warp % share)
            return;
        if (l < 2 * N)
            for (unsigned i = 1; i < share; i++)
                mine += partial[warp + i][l];
    }
    if (terms == 2)
        mine += simt::shfl_down(mine, 2);
    const float other = simt::shfl_down(mine, 1);

    const unsigned n = l / 2, m = l % 2, row = pair ? row0 : row0 + m;
    if (n >= N || n % terms || n / terms >= p.count || row >= part.n_rows || (pair && m))
        return;
    float *y = part.y + static_cast<size_t>(output_row(k, p, n / terms)) * part.ld_y;
    finish_sum(k, part, y, mine, other, row, static_cast<unsigned>(base) + row);
}

template <unsigned T, int N> SIMT_KERNEL(product_threads) void product(const product_work k)
{
    unsigned pass_i, tile = tile_of(k, &pass_i);
    const product_part part = part_of(k, &tile);
    product_tile<T, N>(k, part, tile, pass_i);
}

/* Parts of two types, as mixes have them for Q, K and V. */
template <unsigned T, unsigned U, int N> SIMT_KERNEL(product_threads) void product_two(const product_work k)
{
    unsigned pass_i, tile = tile_of(k, &pass_i);
    const product_part part = part_of(k, &tile);
    if (part.type == T)
        product_tile<T, N>(k, part, tile, pass_i);
    else
        product_tile<U, N>(k, part, tile, pass_i);
}

template <unsigned T>
enum simt_status launch_product(simt_stream *s, unsigned slots, unsigned grid, const product_work &k)
{
    const simt_launch_config c = config(s, "product", grid, product_threads);
    switch (slots) {
    case 1:
        return simt::launch(c, product<T, 1>, k);
    case 2:
        return simt::launch(c, product<T, 2>, k);
    case 4:
        return simt::launch(c, product<T, 4>, k);
    default:
        return simt::launch(c, product<T, 8>, k);
    }
}

template <unsigned T> enum simt_status prepare_product()
{
    return first_failure([] { return simt::kernel_prepare(product<T, 1>, product_threads, 0); },
        [] { return simt::kernel_prepare(product<T, 2>, product_threads, 0); },
        [] { return simt::kernel_prepare(product<T, 4>, product_threads, 0); },
        [] { return simt::kernel_prepare(product<T, 8>, product_threads, 0); });
}

} // namespace w
#endif
