/* Norms, and the forms in which products take their inputs: 8-bit blocks, floats, halves.
 * One block of threads a row; where nothing of the whole row is needed (no norm, no halves)
 * as many as the row has room for. A thread takes 4 neighbouring elements at a time, 8 lanes
 * a block of 32. The number of threads, and so the order of sums, is a matter of n alone. */
#include "plugins/cuda/w-launch.h"
#include "plugins/cuda/w-types.cuh"

namespace
{

using namespace w;

constexpr unsigned most_threads = 1024;

struct four {
    float v[4];
};

/* Elements 4 i .. of a row of n; zero beyond. */
SIMT_DEVICE four load_four(const float *x, unsigned i, unsigned n)
{
    if (4 * i + 4 <= n) {
        const simt::float4 f = reinterpret_cast<const simt::float4 *>(x)[i];
        return four{{f.x, f.y, f.z, f.w}};
    }
    four out;
    SIMT_UNROLL
    for (unsigned k = 0; k < 4; k++)
        out.v[k] = 4 * i + k < n ? x[4 * i + k] : 0.0f;
    return out;
}

SIMT_DEVICE float block_sum(float v, float *shared)
{
    v = simt::warp_sum(v);
    if (simt::lane() == 0)
        shared[simt::warp()] = v;
    simt::syncthreads();
    return simt::warp_sum(simt::lane() < simt::threads_x() / 32 ? shared[simt::lane()] : 0.0f);
}

SIMT_DEVICE float block_max(float v, float *shared)
{
    v = simt::warp_max(v);
    if (simt::lane() == 0)
        shared[simt::warp()] = v;
    simt::syncthreads();
    return simt::warp_max(simt::lane() < simt::threads_x() / 32 ? shared[simt::lane()] : 0.0f);
}

/* One term of a block of 32 spread over 8 lanes, all 32 lanes calling: writes it and takes it from
 * v. A NaN has the largest magnitude as bits, so it reaches the scale and is not lost. */
SIMT_DEVICE void quantize(four &v, const ck_act &act, size_t entry, unsigned i, bool store)
{
    unsigned top = 0;
    SIMT_UNROLL
    for (unsigned k = 0; k < 4; k++)
        top = simt::max(top, simt::float_as_uint(v.v[k]) & 0x7FFFFFFFu);
    top = simt::warp_max<8>(top);
    const float d = simt::uint_as_float(top) / 127.0f, inverse = d == 0.0f ? 0.0f : 1.0f / d;
    unsigned packed = 0;
    int sum = 0;
    SIMT_UNROLL
    for (unsigned k = 0; k < 4; k++) {
        int q = simt::float2int(v.v[k] * inverse);
        q = simt::min(simt::max(q, -127), 127);
        packed |= (static_cast<unsigned>(q) & 255u) << 8 * k;
        sum += q;
        v.v[k] = simt::fma(-d, static_cast<float>(q), v.v[k]);
    }
    sum = simt::warp_sum<4>(sum);
    const int upper = simt::shfl_down(sum, 4);
    if (!store)
        return;
    reinterpret_cast<unsigned *>(act.q + entry * act.ld)[i] = packed;
    if (i % 8 == 0) {
        const size_t at = entry * (act.ld / 32) + i / 8;
        act.d[at] = d;
        if (act.sums)
            act.sums[at] =
                static_cast<int>((static_cast<unsigned>(sum) & 0xFFFFu) | static_cast<unsigned>(upper) << 16);
    }
}

/* Elements 4 i .. of row r as floats and as 8-bit blocks, what is wanted of them. */
SIMT_DEVICE void put_act(const ck_act &act, unsigned r, unsigned i, unsigned n, four v)
{
    if (act.f && 4 * i < act.ld)
        reinterpret_cast<simt::float4 *>(act.f + static_cast<size_t>(r) * act.ld)[i] =
            simt::float4{v.v[0], v.v[1], v.v[2], v.v[3]};
    if (act.q)
        for (unsigned t = 0; t < act.terms; t++)
            quantize(v, act, static_cast<size_t>(r) * act.terms + t, i, 4 * i < n);
}

/* The padding of outputs is theirs to write: elements up to here. */
SIMT_BOTH unsigned padded(const ck_norm_args &a)
{
    unsigned n = a.n;
    if (a.act.f && a.act.ld > n)
        n = a.act.ld;
    if (a.halves.h && a.halves.ld > n)
        n = a.halves.ld;
    return (n + 3) / 4 * 4;
}

struct normed {
    const float *x;
    unsigned n, kind;
    const float *weight, *bias;
    float mean, factor;

    SIMT_DEVICE four operator()(unsigned i, const four &at) const
    {
        four v = at;
        if (kind == CK_NORM_NONE)
            return v;
        const four by = load_four(weight, i, n);
        SIMT_UNROLL
        for (unsigned k = 0; k < 4; k++)
            v.v[k] = (v.v[k] - mean) * factor * by.v[k];
        if (bias) {
            const four plus = load_four(bias, i, n);
            SIMT_UNROLL
            for (unsigned k = 0; k < 4; k++)
                v.v[k] += plus.v[k];
        }
        return v;
    }
};

SIMT_KERNEL(most_threads) void norm_row(const ck_norm_args a)
{
    SIMT_SHARED(float, shared, [3][32]);
    const unsigned r = simt::block_x(), t = simt::thread_x(), threads = simt::threads_x();
    const unsigned n_fours = (a.n + 3) / 4;
    /* The weights do not depend on the kernel before: on their way while it ends. */
    if (a.kind != CK_NORM_NONE && t % 8 == 0)
        for (unsigned i = t; i < n_fours; i += threads)
            simt::prefetch_l2(a.weight + 4 * i);
    simt::pdl_wait();
    simt::pdl_trigger();
    normed row = {a.x + static_cast<size_t>(a.index ? a.index[r] : r) * a.ld_x, a.n, a.kind, a.weight,
        a.kind == CK_NORM_LAYER ? a.bias : nullptr, 0.0f, 1.0f};
    /* Rows of up to 4 * threads elements are read once; of longer ones the rest comes from L1. */
    const four first = load_four(row.x, t, a.n);
    auto at = [&](unsigned i) { return i == t ? first : load_four(row.x, i, a.n); };

    if (a.kind == CK_NORM_LAYER) {
        float sum = 0.0f;
        for (unsigned i = t; i < n_fours; i += threads) {
            const four v = at(i);
            sum += (v.v[0] + v.v[1]) + (v.v[2] + v.v[3]);
        }
        row.mean = block_sum(sum, shared[0]) / static_cast<float>(a.n);
    }
    if (a.kind != CK_NORM_NONE) {
        float sum = 0.0f;
        for (unsigned i = t; i < n_fours; i += threads) {
            const four v = at(i);
            SIMT_UNROLL
            for (unsigned k = 0; k < 4; k++)
                if (4 * i + k < a.n)
                    sum = simt::fma(v.v[k] - row.mean, v.v[k] - row.mean, sum);
        }
        row.factor = 1.0f / simt::sqrt(block_sum(sum, shared[1]) / static_cast<float>(a.n) + a.eps);
    }
    float down = 1.0f;
    if (a.halves.h) {
        float top = 0.0f;
        for (unsigned i = t; i < n_fours; i += threads) {
            const four v = row(i, at(i));
            SIMT_UNROLL
            for (unsigned k = 0; k < 4; k++)
                top = simt::fmax(top, simt::fabs(v.v[k]));
        }
        top = block_max(top, shared[2]);
        if (top > 32768.0f && !simt::is_inf(top)) {
            /* 2^e, the exponent of top less 14: the largest is then at least 2^14, below 2^15 */
            const unsigned e = (simt::float_as_uint(top) >> 23) - 14;
            down = simt::uint_as_float((254 - e) << 23);
            if (t == 0)
                a.halves.scale[r] = simt::uint_as_float(e << 23);
        } else if (t == 0) {
            a.halves.scale[r] = 1.0f;
        }
    }
    /* every lane goes along to the last element of its warp, as blocks of 32 are spread over lanes */
    const unsigned end = padded(a) / 4, all = (end + 31) / 32 * 32;
    for (unsigned i = t; i < all; i += threads) {
        four v = {};
        if (i < n_fours) {
            v = row(i, at(i));
            SIMT_UNROLL
            for (unsigned k = 0; k < 4; k++)
                if (4 * i + k >= a.n)
                    v.v[k] = 0.0f;
        }
        put_act(a.act, r, i, a.n, v);
        if (a.halves.h && 4 * i < a.halves.ld) {
            unsigned h[4];
            SIMT_UNROLL
            for (unsigned k = 0; k < 4; k++)
                h[k] = simt::half_bits(simt::to_half(v.v[k] * down));
            *reinterpret_cast<simt::uint2 *>(a.halves.h + static_cast<size_t>(r) * a.halves.ld + 4 * i) =
                simt::uint2{h[0] | h[1] << 16, h[2] | h[3] << 16};
        }
    }
}

/* Without a norm, 8-bit blocks and floats need no more of the row than their own elements. */
SIMT_KERNEL(256) void quantize_row(const ck_norm_args a, unsigned blocks)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const unsigned r = simt::block_x() / blocks;
    const unsigned i = simt::block_x() % blocks * simt::threads_x() + simt::thread_x();
    const float *x = a.x + static_cast<size_t>(a.index ? a.index[r] : r) * a.ld_x;
    four v = {};
    if (4 * i < a.n)
        v = load_four(x, i, a.n);
    put_act(a.act, r, i, a.n, v);
}

unsigned threads_for(unsigned fours)
{
    unsigned threads = 32;
    while (threads < fours && threads < most_threads)
        threads *= 2;
    return threads;
}

} // namespace

extern "C" enum simt_status ck_norm(simt_stream *s, const ck_norm_args *a)
{
    if (a->rows == 0)
        return SIMT_OK;
    const unsigned fours = padded(*a) / 4;
    if (a->kind == CK_NORM_NONE && !a->halves.h) {
        const unsigned threads = fours < 256 ? (fours + 31) / 32 * 32 : 256;
        const unsigned blocks = (fours + threads - 1) / threads;
        return simt::launch(config(s, "quantize", a->rows * blocks, threads), quantize_row, *a, blocks);
    }
    return simt::launch(config(s, "norm", a->rows, threads_for((a->n + 3) / 4)), norm_row, *a);
}

enum simt_status w::prepare_norm()
{
    return first_failure([] { return simt::kernel_prepare(norm_row, most_threads, 0); },
        [] { return simt::kernel_prepare(quantize_row, 256, 0); });
}
