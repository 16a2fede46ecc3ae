/* Products of decode rows: y = W x for up to 8 inputs at once, of any type of W.
 *
 * A group of `share` warps (1, 2 or 4) makes two sums at a time, of two neighbouring rows, or
 * of one row of gate and of up: an input that is loaded and unpacked serves both. Lane l of
 * warp k of the group takes units 32 k + l, + 32 share .. of the row, in this order, whatever
 * the number of inputs; then come the warp's butterfly and the warps in order. So a sum's bits
 * depend on the type, the shape and the two vectors alone.
 *
 * A lane's unit of a 4-bit type is one 16-byte load, a warp's 512 neighbouring bytes. ahead(): how
 * many units of both rows a lane asks for before it works on the first; the first lot is
 * under way before the kernel waits for its predecessor, as weights never change. */
#ifndef ORCD_CUDA_W_PRODUCTS_CUH
#define ORCD_CUDA_W_PRODUCTS_CUH

#include "plugins/cuda/w-activation.cuh"
#include "plugins/cuda/w-launch.h"
#include "plugins/cuda/w-types.cuh"

namespace w
{

constexpr unsigned product_threads = 128, product_warps = product_threads / 32;

/* What becomes of a sum: */
enum finish {
    FINISH_SET,  /* y = sum + bias */
    FINISH_ADD,  /* y += sum + bias */
    FINISH_GELU, /* y = gelu(sum + bias) */
    FINISH_GATE, /* y = activation(y, sum + bias): the gate was there before */
    FINISH_PAIR, /* y = activation(sum + bias, the other matrix's sum + bias) */
};

struct product_part {
    planes w;
    const float *bias;
    float *y;
    unsigned ld_y, n_rows, finish, type;
    unsigned share; /* warps that share a row */
    unsigned end;   /* tiles of the launch up to and with this part's */
};

struct product_work {
    product_part part[3]; /* FINISH_PAIR: [0] is the gate, [1] up; y is of [0] */
    unsigned n_parts, activation;
    unsigned units; /* of a row */
    /* inputs: entries of ck_act; terms is 1 for float types */
    const int8_t *q;
    const float *d;
    const int32_t *sums;
    const float *f;
    unsigned ld, terms;
    unsigned rows, passes; /* inputs, and in how many passes they go */
    /* of experts (NULL: none): which matrix a pass uses, and what its inputs are */
    const int32_t *expert;
    const uint32_t *order, *first;
    unsigned n_experts, used, rows_per_expert;
    unsigned input_of_pair; /* 1: input row `pair`, 0: the pair's token */
};

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

/* Sums over the warp, sum i in lane i. Each has the butterfly's order (lanes 16 apart, then 8 ...),
 * but as lanes meet, either takes on half of the sums: one shuffle each in all, not five. */
template <int Count, int Apart, int All> SIMT_DEVICE void meet(float (&v)[All])
{
    if constexpr (Count > 1) {
        const bool upper = simt::lane() & static_cast<unsigned>(Apart);
        SIMT_UNROLL
        for (int i = 0; i < Count / 2; i++) {
            const float keep = upper ? v[i + Count / 2] : v[i], give = upper ? v[i] : v[i + Count / 2];
            v[i] = keep + simt::shfl_xor(give, Apart);
        }
    } else {
        v[0] += simt::shfl_xor(v[0], Apart);
    }
    if constexpr (Apart > 1)
        meet<(Count > 1 ? Count / 2 : 1), Apart / 2>(v);
}

template <int Count> SIMT_DEVICE float sum_lanes(float (&v)[Count])
{
    meet<Count, 16>(v);
    /* sum i is in the lanes whose upper bits are i */
    return simt::shfl(v[0], static_cast<int>(simt::lane()) * (32 / Count) % 32);
}

/* What a pass works on. */
struct pass {
    unsigned expert;       /* whose rows */
    unsigned begin, count; /* inputs: rows or places in the list of pairs */
    bool listed;           /* begin is a place in `order` */
    bool some;             /* there is anything */
};

/* The whole warp calls. Pass i of experts: each expert's pairs make passes of up to `most`, in the
 * experts' order; how many there are only the device knows, so the last may find nothing. */
SIMT_DEVICE pass find_pass(const product_work &k, unsigned i, unsigned most)
{
    if (!k.expert) {
        const unsigned begin = i * most, left = k.rows - begin;
        return pass{0, begin, left < most ? left : most, false, true};
    }
    if (k.passes == k.rows && k.rows == k.used) /* one token: its experts all differ */
        return pass{static_cast<unsigned>(k.expert[i]), i, 1, false, true};
    const unsigned l = simt::lane();
    for (unsigned base = 0; base < k.n_experts; base += 32) {
        const unsigned e = base + l;
        const unsigned from = e < k.n_experts ? k.first[e] : 0, to = e < k.n_experts ? k.first[e + 1] : 0;
        const unsigned passes = (to - from + most - 1) / most;
        unsigned upto = passes;
        for (unsigned apart = 1; apart < 32; apart *= 2) {
            const unsigned before = simt::shfl_up(upto, apart);
            upto += l >= apart ? before : 0;
        }
        const unsigned found = simt::ballot(upto > i);
        if (found) {
            const int who = simt::ffs(found) - 1;
            const unsigned begin = simt::shfl(from + (i - (upto - passes)) * most, who);
            const unsigned left = simt::shfl(to, who) - begin;
            return pass{base + static_cast<unsigned>(who), begin, left < most ? left : most, true, true};
        }
        i -= simt::shfl(upto, 31);
    }
    return pass{0, 0, 0, false, false};
}

/* Which row of its kind the pass's input j is, and its pair or row of outputs. */
SIMT_DEVICE unsigned output_row(const product_work &k, const pass &p, unsigned j)
{
    return p.listed ? k.order[p.begin + j] : p.begin + j;
}

SIMT_DEVICE void finish_sum(const product_work &k, const product_part &p, float *y, float sum, float other,
    unsigned row, unsigned bias_row)
{
    float v = p.bias ? sum + p.bias[bias_row] : sum;
    switch (p.finish) {
    case FINISH_ADD:
        v = y[row] + v;
        break;
    case FINISH_GELU:
        v = gelu(v);
        break;
    case FINISH_GATE:
        v = activate(k.activation, y[row], v);
        break;
    case FINISH_PAIR:
        v = activate(k.activation, v, k.part[1].bias ? other + k.part[1].bias[bias_row] : other);
        break;
    default:
        break;
    }
    y[row] = v;
}

/* The part that a tile of the launch belongs to, and its number there. Picked by hand: an index
 * would put the arguments into local memory. */
SIMT_DEVICE product_part part_of(const product_work &k, unsigned *tile)
{
    product_part part = k.part[0];
    unsigned before = 0;
    if (part.finish != FINISH_PAIR && k.n_parts > 1 && *tile >= k.part[0].end)
        part = k.part[1], before = k.part[0].end;
    if (part.finish != FINISH_PAIR && k.n_parts > 2 && *tile >= k.part[1].end)
        part = k.part[2], before = k.part[1].end;
    *tile -= before;
    return part;
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

SIMT_DEVICE unsigned tile_of(const product_work &k, unsigned *pass_i)
{
    *pass_i = k.passes == 1 ? 0 : simt::block_x() % k.passes;
    return k.passes == 1 ? simt::block_x() : simt::block_x() / k.passes;
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
