/* How a kernel reads each type of weights: the planes of kernels.h into registers, bytes of
 * quants out of those, and what a block's scales make of integer sums. A unit is what one lane
 * takes at a time: a block of 32 elements, or 8 elements of a float type. */
#ifndef ORCD_CUDA_W_TYPES_CUH
#define ORCD_CUDA_W_TYPES_CUH

#include "plugins/cuda/kernels.h"
#include "plugins/cuda/simt/simt.h"

namespace w
{

/* --- facts of a type, at compile time ----------------------------------------------- */

SIMT_BOTH constexpr bool is_float(unsigned t)
{
    return t == ORCD_TYPE_F32 || t == ORCD_TYPE_F16 || t == ORCD_TYPE_BF16;
}

/* Two scales of 16 elements each in a block. */
SIMT_BOTH constexpr bool is_halved(unsigned t)
{
    return t == ORCD_TYPE_Q2_K || t == ORCD_TYPE_Q3_K || t == ORCD_TYPE_Q6_K;
}

SIMT_BOTH constexpr bool is_two_bit(unsigned t)
{
    return t == ORCD_TYPE_Q2_K || t == ORCD_TYPE_Q3_K;
}

SIMT_BOTH constexpr bool is_table(unsigned t)
{
    return t == ORCD_TYPE_IQ4_NL || t == ORCD_TYPE_IQ4_XS || t == ORCD_TYPE_MXFP4;
}

SIMT_BOTH constexpr unsigned unit_elements(unsigned t)
{
    return is_float(t) ? 8 : 32;
}

SIMT_BOTH constexpr unsigned q_words(unsigned t)
{
    return t == ORCD_TYPE_F32 || t == ORCD_TYPE_Q8_0 ? 8 : is_two_bit(t) ? 2 : 4;
}

SIMT_BOTH constexpr unsigned h_words(unsigned t)
{
    if (t == ORCD_TYPE_Q6_K)
        return 2;
    return t == ORCD_TYPE_Q5_0 || t == ORCD_TYPE_Q5_1 || t == ORCD_TYPE_Q5_K || t == ORCD_TYPE_Q3_K ? 1 : 0;
}

SIMT_BOTH constexpr unsigned s_bytes(unsigned t)
{
    if (is_float(t))
        return 0;
    if (t == ORCD_TYPE_Q4_1 || t == ORCD_TYPE_Q5_1)
        return 4;
    return t == ORCD_TYPE_MXFP4 || t == ORCD_TYPE_IQ4_XS ? 1 : 2;
}

SIMT_BOTH constexpr unsigned d_bytes(unsigned t)
{
    if (t == ORCD_TYPE_Q2_K || t == ORCD_TYPE_Q4_K || t == ORCD_TYPE_Q5_K)
        return 4;
    return t == ORCD_TYPE_Q3_K || t == ORCD_TYPE_Q6_K || t == ORCD_TYPE_IQ4_XS ? 2 : 0;
}

/* A minimum is added, times the sum of the inputs. */
SIMT_BOTH constexpr bool has_minimum(unsigned t)
{
    return t == ORCD_TYPE_Q4_1 || t == ORCD_TYPE_Q5_1 || d_bytes(t) == 4;
}

/* What the file's quants are above the values meant. */
SIMT_BOTH constexpr int offset(unsigned t)
{
    return t == ORCD_TYPE_Q4_0   ? 8
           : t == ORCD_TYPE_Q5_0 ? 16
           : t == ORCD_TYPE_Q6_K ? 32
           : t == ORCD_TYPE_Q3_K ? 4
                                 : 0;
}

/* --- planes ----------------------------------------------------------------------------- */

struct planes {
    const uint8_t *q, *h, *s, *d;
};

/* The planes from a unit on that begins a row. */
template <unsigned T> SIMT_DEVICE planes from_unit(const planes &p, size_t unit)
{
    planes out = p;
    out.q += unit * (q_words(T) * 4);
    if (h_words(T))
        out.h += unit * (h_words(T) * 4);
    if (s_bytes(T))
        out.s += unit * s_bytes(T);
    if (d_bytes(T))
        out.d += unit / 8 * d_bytes(T);
    return out;
}

/* A unit in registers, as it lies in memory. */
template <unsigned T> struct raw {
    unsigned q[q_words(T)];
    unsigned h[h_words(T) ? h_words(T) : 1];
    unsigned s, d;
};

/* Scales of neighbouring blocks share sectors, so they may stay in L1. */
template <unsigned T> SIMT_DEVICE unsigned load_s(const planes &p, unsigned i)
{
    if constexpr (s_bytes(T) == 1)
        return simt::ldg(p.s + i);
    else if constexpr (s_bytes(T) == 2)
        return simt::ldg(reinterpret_cast<const unsigned short *>(p.s) + i);
    else if constexpr (s_bytes(T) == 4)
        return simt::ldg(reinterpret_cast<const unsigned *>(p.s) + i);
    else
        return 0;
}

template <unsigned T> SIMT_DEVICE unsigned load_d(const planes &p, unsigned i)
{
    if constexpr (d_bytes(T) == 2)
        return simt::ldg(reinterpret_cast<const unsigned short *>(p.d) + i / 8);
    else if constexpr (d_bytes(T) == 4)
        return simt::ldg(reinterpret_cast<const unsigned *>(p.d) + i / 8);
    else
        return 0;
}

/* Quants are read once a pass: streaming loads keep them from driving the inputs out of L1. */
template <unsigned T> SIMT_DEVICE raw<T> load(const planes &p, unsigned i)
{
    raw<T> r;
    if constexpr (q_words(T) == 2) {
        const simt::uint2 v = simt::ldcs(reinterpret_cast<const simt::uint2 *>(p.q) + i);
        r.q[0] = v.x, r.q[1] = v.y;
    } else {
        SIMT_UNROLL
        for (unsigned k = 0; k < q_words(T) / 4; k++) {
            const simt::uint4 v =
                simt::ldcs(reinterpret_cast<const simt::uint4 *>(p.q) + i * (q_words(T) / 4) + k);
            r.q[4 * k] = v.x, r.q[4 * k + 1] = v.y, r.q[4 * k + 2] = v.z, r.q[4 * k + 3] = v.w;
        }
    }
    r.h[0] = 0;
    if constexpr (h_words(T) == 1) {
        r.h[0] = simt::ldcs(reinterpret_cast<const unsigned *>(p.h) + i);
    } else if constexpr (h_words(T) == 2) {
        const simt::uint2 v = simt::ldcs(reinterpret_cast<const simt::uint2 *>(p.h) + i);
        r.h[0] = v.x, r.h[1] = v.y;
    }
    r.s = load_s<T>(p, i), r.d = load_d<T>(p, i);
    return r;
}

/* --- quants as bytes -------------------------------------------------------------------- */

/* Four bits to bit `at` of four bytes: the multiplication puts copies of them 7 bits apart, so
 * that bit b of copy b is bit 8 b; no two copies' bits meet. */
template <int At> SIMT_DEVICE unsigned spread(unsigned bits)
{
    return (bits & 15u) * (0x00204081u << At) & 0x01010101u << At;
}

/* Four bit pairs out of a word of "pairs": those of words 2 k + i, or of their upper elements. */
SIMT_DEVICE unsigned two_bits(unsigned word, unsigned i, unsigned upper)
{
    return word >> (4 * i + 2 * upper) & 0x03030303u;
}

/* Bytes of a table of 16 for the eight nibbles of a word: the low ones', the high ones'. */
template <unsigned T> SIMT_DEVICE void look_up(unsigned q, unsigned *low, unsigned *high)
{
    constexpr bool mx = T == ORCD_TYPE_MXFP4;
    constexpr unsigned t0 = mx ? 0x03020100u : 0xBFAD9881u, t1 = mx ? 0x0C080604u : 0xF6EADDCFu;
    constexpr unsigned t2 = mx ? 0xFDFEFF00u : 0x26190D01u, t3 = mx ? 0xF4F8FAFCu : 0x71594535u;
    const unsigned at = q & 0x77777777u, upper = (q >> 1 & 0x44444444u) | 0x32103210u;
    /* the first four nibbles in order, each from the half of the table that its top bit says */
    const unsigned first = simt::byte_perm(simt::byte_perm(t0, t1, at), simt::byte_perm(t2, t3, at), upper);
    const unsigned last =
        simt::byte_perm(simt::byte_perm(t0, t1, at >> 16), simt::byte_perm(t2, t3, at >> 16), upper >> 16);
    *low = simt::byte_perm(first, last, 0x6420u);
    *high = simt::byte_perm(first, last, 0x7531u);
}

/* Word g of v has elements 4 g .. 4 g + 3. Not below zero but for Q8_0 and tables; offset() is
 * still in it. */
template <unsigned T> SIMT_DEVICE void unpack(const raw<T> &r, unsigned (&v)[8])
{
    SIMT_UNROLL
    for (unsigned g = 0; g < 4; g++) {
        if constexpr (T == ORCD_TYPE_Q8_0) {
            v[g] = r.q[g], v[g + 4] = r.q[g + 4];
        } else if constexpr (is_two_bit(T)) {
            v[g] = two_bits(r.q[g / 2], g % 2, 0), v[g + 4] = two_bits(r.q[g / 2], g % 2, 1);
        } else if constexpr (is_table(T)) {
            look_up<T>(r.q[g], &v[g], &v[g + 4]);
        } else {
            v[g] = r.q[g] & 0x0F0F0F0Fu, v[g + 4] = r.q[g] >> 4 & 0x0F0F0F0Fu;
        }
        if constexpr (T == ORCD_TYPE_Q6_K) {
            v[g] |= two_bits(r.h[g / 2], g % 2, 0) << 4;
            v[g + 4] |= two_bits(r.h[g / 2], g % 2, 1) << 4;
        } else if constexpr (h_words(T) == 1) {
            constexpr int at = T == ORCD_TYPE_Q3_K ? 2 : 4;
            v[g] |= spread<at>(r.h[0] >> 4 * g), v[g + 4] |= spread<at>(r.h[0] >> (16 + 4 * g));
        }
    }
}

/* Elements 8 part .. 8 part + 7 of a block as they lie in memory; parts 2 and 3 are in the high
 * nibbles of what parts 0 and 1 have in the low ones. Block types only. */
template <unsigned T> struct piece {
    unsigned q[2], h, s; /* s: the block's */
};

template <unsigned T> SIMT_DEVICE piece<T> load_piece(const planes &p, unsigned block, unsigned part)
{
    piece<T> r = {};
    const unsigned pair = part % 2;
    if constexpr (is_two_bit(T)) {
        r.q[0] = simt::ldcs(reinterpret_cast<const unsigned *>(p.q) + 2 * block + pair);
    } else {
        const simt::uint2 v = simt::ldcs(reinterpret_cast<const simt::uint2 *>(p.q) +
                                         (T == ORCD_TYPE_Q8_0 ? 4 * block + part : 2 * block + pair));
        r.q[0] = v.x, r.q[1] = v.y;
    }
    if constexpr (h_words(T) != 0)
        r.h = simt::ldcs(
            reinterpret_cast<const unsigned *>(p.h) + (h_words(T) == 2 ? 2 * block + pair : block));
    r.s = load_s<T>(p, block);
    return r;
}

/* Its elements four to a word, as unpack() has them. */
template <unsigned T> SIMT_DEVICE void unpack_piece(const piece<T> &r, unsigned part, unsigned (&v)[2])
{
    const unsigned upper = part / 2;
    if constexpr (is_two_bit(T)) {
        v[0] = two_bits(r.q[0], 0, upper), v[1] = two_bits(r.q[0], 1, upper);
    } else if constexpr (T == ORCD_TYPE_Q8_0) {
        v[0] = r.q[0], v[1] = r.q[1];
    } else if constexpr (is_table(T)) {
        unsigned low[2], high[2];
        look_up<T>(r.q[0], &low[0], &high[0]), look_up<T>(r.q[1], &low[1], &high[1]);
        v[0] = upper ? high[0] : low[0], v[1] = upper ? high[1] : low[1];
    } else {
        v[0] = r.q[0] >> 4 * upper & 0x0F0F0F0Fu, v[1] = r.q[1] >> 4 * upper & 0x0F0F0F0Fu;
    }
    if constexpr (T == ORCD_TYPE_Q6_K) {
        v[0] |= two_bits(r.h, 0, upper) << 4, v[1] |= two_bits(r.h, 1, upper) << 4;
    } else if constexpr (h_words(T) == 1) {
        constexpr int at = T == ORCD_TYPE_Q3_K ? 2 : 4;
        const unsigned bits = r.h >> 8 * part;
        v[0] |= spread<at>(bits), v[1] |= spread<at>(bits >> 4);
    }
}

/* The signed values meant by four quants of a word. */
template <unsigned T> SIMT_DEVICE unsigned less_offset(unsigned v)
{
    if constexpr (offset(T) != 0)
        return (v + (128u - static_cast<unsigned>(offset(T))) * 0x01010101u) ^ 0x80808080u;
    else
        return v;
}

/* --- scales ------------------------------------------------------------------------------- */

SIMT_DEVICE float low_half(unsigned bits)
{
    return simt::to_float(simt::half_from_bits(static_cast<uint16_t>(bits)));
}

SIMT_DEVICE float high_half(unsigned bits)
{
    return low_half(bits >> 16);
}

/* 2^(e - 128), of which the two least are subnormal. */
SIMT_DEVICE float power_of_e8m0(unsigned e)
{
    return simt::uint_as_float(e > 1 ? (e - 1) << 23 : 0x00200000u << e);
}

/* A block's value of quant q: a c q + b m, where c and m are those of its 16 elements. Where its
 * halves have the same c and m, these are in a and b (11 bits times 8: exact) and c and m are 1. */
struct scale {
    float a, b;
    int c0, c1, m0, m1;
};

template <unsigned T> SIMT_DEVICE scale scale_of(unsigned s, unsigned d)
{
    scale k = {1.0f, 0.0f, 1, 1, 1, 1};
    if constexpr (T == ORCD_TYPE_MXFP4)
        k.a = power_of_e8m0(s);
    else
        k.a = low_half(d_bytes(T) ? d : s);
    if constexpr (T == ORCD_TYPE_Q4_1 || T == ORCD_TYPE_Q5_1)
        k.b = high_half(s);
    else if constexpr (d_bytes(T) == 4)
        k.b = -high_half(d);
    if constexpr (T == ORCD_TYPE_IQ4_XS) {
        k.a *= static_cast<float>(static_cast<int8_t>(s));
    } else if constexpr (T == ORCD_TYPE_Q3_K || T == ORCD_TYPE_Q6_K) {
        k.c0 = static_cast<int8_t>(s), k.c1 = static_cast<int8_t>(s >> 8);
    } else if constexpr (T == ORCD_TYPE_Q2_K) {
        k.c0 = static_cast<int>(s & 15), k.m0 = static_cast<int>(s >> 4 & 15);
        k.c1 = static_cast<int>(s >> 8 & 15), k.m1 = static_cast<int>(s >> 12);
    } else if constexpr (T == ORCD_TYPE_Q4_K || T == ORCD_TYPE_Q5_K) {
        k.a *= static_cast<float>(s & 255), k.b *= static_cast<float>(s >> 8);
    }
    return k;
}

/* A block times 32 inputs, but for the inputs' scale. dot: the sum of value times input, of a halved
 * type with c0 and c1 in it; sum: that of the inputs, or with m0 and m1. Both are whole numbers
 * below 2^24, so that nothing is rounded before. */
template <unsigned T> SIMT_DEVICE float term(const scale &k, float dot, float sum)
{
    if constexpr (has_minimum(T))
        return simt::fma(k.a, dot, k.b * sum);
    else
        return k.a * dot;
}

/* The same from the sums of quant times input of either half, and those of the inputs as ck_act
 * has them. Integers: at most 2 * 128 * 16 * 63 * 127, far below 2^31. */
template <unsigned T> SIMT_DEVICE float term(const scale &k, int dot0, int dot1, int sums)
{
    constexpr int off = offset(T);
    const int sum0 = static_cast<int16_t>(sums), sum1 = sums >> 16;
    if constexpr (is_halved(T))
        return term<T>(k, static_cast<float>(k.c0 * (dot0 - off * sum0) + k.c1 * (dot1 - off * sum1)),
            static_cast<float>(k.m0 * sum0 + k.m1 * sum1));
    else
        return term<T>(
            k, static_cast<float>(dot0 + dot1 - off * (sum0 + sum1)), static_cast<float>(sum0 + sum1));
}

/* --- values -------------------------------------------------------------------------------- */

template <unsigned T> SIMT_DEVICE void floats_of(const raw<T> &r, float (&v)[8])
{
    SIMT_UNROLL
    for (unsigned i = 0; i < 8; i++) {
        if constexpr (T == ORCD_TYPE_F32)
            v[i] = simt::uint_as_float(r.q[i]);
        else if constexpr (T == ORCD_TYPE_F16)
            v[i] = i % 2 ? high_half(r.q[i / 2]) : low_half(r.q[i / 2]);
        else
            v[i] = simt::uint_as_float(i % 2 ? r.q[i / 2] & 0xFFFF0000u : r.q[i / 2] << 16);
    }
}

/* Elements 8 g .. 8 g + 7 of the row that p begins with, with the same roundings as the
 * dequantizers of core/model. */
template <unsigned T> SIMT_DEVICE void values(const planes &p, unsigned g, float (&out)[8])
{
    if constexpr (is_float(T)) {
        floats_of<T>(load<T>(p, g), out);
    } else {
        const unsigned part = g % 4, upper = part / 2;
        const piece<T> r = load_piece<T>(p, g / 4, part);
        const unsigned d = load_d<T>(p, g / 4);
        unsigned v[2];
        unpack_piece<T>(r, part, v);
        const scale k = scale_of<T>(r.s, d);
        const float a = k.a * static_cast<float>(upper ? k.c1 : k.c0);
        const float b = k.b * static_cast<float>(upper ? k.m1 : k.m0);
        SIMT_UNROLL
        for (unsigned i = 0; i < 8; i++) {
            const int q = static_cast<int8_t>(v[i / 4] >> 8 * (i % 4)) - offset(T);
            out[i] = has_minimum(T) ? a * static_cast<float>(q) + b : a * static_cast<float>(q);
        }
    }
}

/* --- dispatch --------------------------------------------------------------------------------- */

SIMT_BOTH planes planes_of(const struct ck_matrix &m)
{
    return planes{m.q, m.h, m.s, m.d};
}

} // namespace w

/* case ORCD_TYPE_X: return call<X>, for a switch over a type. */
#define W_CASE(type, call)                                                                                   \
    case ORCD_TYPE_##type: {                                                                                 \
        constexpr unsigned T = ORCD_TYPE_##type;                                                             \
        return call;                                                                                         \
    }
#define W_CASES_FLOAT(call) W_CASE(F32, call) W_CASE(F16, call) W_CASE(BF16, call)
#define W_CASES_32(call)                                                                                     \
    W_CASE(Q4_0, call)                                                                                       \
    W_CASE(Q4_1, call)                                                                                       \
    W_CASE(Q5_0, call) W_CASE(Q5_1, call) W_CASE(Q8_0, call) W_CASE(IQ4_NL, call) W_CASE(MXFP4, call)
#define W_CASES_256(call)                                                                                    \
    W_CASE(Q2_K, call)                                                                                       \
    W_CASE(Q3_K, call) W_CASE(Q4_K, call) W_CASE(Q5_K, call) W_CASE(Q6_K, call) W_CASE(IQ4_XS, call)

#endif
