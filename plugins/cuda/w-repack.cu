/* Blocks of a file into planes: one thread for each 32 elements. Loading is bound by the way
 * to the device, an order of magnitude slower than this, so that the loads here may be small:
 * file blocks are aligned to 2 bytes, MXFP4's to one. */
#include "plugins/cuda/w-launch.h"
#include "plugins/cuda/w-types.cuh"

namespace
{

using namespace w;

constexpr unsigned block_threads = 256;

SIMT_BOTH constexpr unsigned file_bytes(unsigned t)
{
    switch (t) {
    case ORCD_TYPE_Q4_0:
    case ORCD_TYPE_IQ4_NL:
        return 18;
    case ORCD_TYPE_Q4_1:
        return 20;
    case ORCD_TYPE_Q5_0:
        return 22;
    case ORCD_TYPE_Q5_1:
        return 24;
    case ORCD_TYPE_Q8_0:
        return 34;
    case ORCD_TYPE_MXFP4:
        return 17;
    case ORCD_TYPE_Q2_K:
        return 84;
    case ORCD_TYPE_Q3_K:
        return 110;
    case ORCD_TYPE_Q4_K:
        return 144;
    case ORCD_TYPE_Q5_K:
        return 176;
    case ORCD_TYPE_Q6_K:
        return 210;
    case ORCD_TYPE_IQ4_XS:
        return 136;
    case ORCD_TYPE_F32:
        return 4;
    default:
        return 2;
    }
}

SIMT_DEVICE unsigned get16(const uint8_t *p)
{
    return simt::ldg(reinterpret_cast<const unsigned short *>(p));
}

template <bool Odd = false> SIMT_DEVICE unsigned get32(const uint8_t *p)
{
    if constexpr (Odd)
        return simt::ldg(p) | static_cast<unsigned>(simt::ldg(p + 1)) << 8 |
               static_cast<unsigned>(simt::ldg(p + 2)) << 16 | static_cast<unsigned>(simt::ldg(p + 3)) << 24;
    else
        return get16(p) | get16(p + 2) << 16;
}

/* Bit 0 of four bytes to four bits. */
SIMT_DEVICE unsigned gather(unsigned v)
{
    return ((v & 0x01010101u) * 0x01020408u) >> 24 & 15u;
}

/* What one thread has made. */
struct piece {
    unsigned q[8], h[2], s, d;
};

template <unsigned T> SIMT_DEVICE void split_32(const uint8_t *b, piece &o)
{
    if constexpr (T == ORCD_TYPE_MXFP4) {
        o.s = simt::ldg(b);
        SIMT_UNROLL
        for (unsigned g = 0; g < 4; g++)
            o.q[g] = get32<true>(b + 1 + 4 * g);
        return;
    }
    constexpr unsigned head = file_bytes(T) - q_words(T) * 4;
    o.s = s_bytes(T) == 4 ? get32(b) : get16(b);
    if constexpr (h_words(T) != 0)
        o.h[0] = get32(b + head - 4);
    SIMT_UNROLL
    for (unsigned g = 0; g < q_words(T); g++)
        o.q[g] = get32(b + head + 4 * g);
}

/* Four bit pairs at qs and four 16 bytes on, as two_bits() takes them apart. */
SIMT_DEVICE unsigned pair_word(const uint8_t *qs, unsigned shift, unsigned w)
{
    unsigned out = 0;
    SIMT_UNROLL
    for (unsigned i = 0; i < 2; i++) {
        const unsigned g = 2 * w + i;
        const unsigned low = get32(qs + 4 * g) >> shift & 0x03030303u;
        const unsigned high = get32(qs + 16 + 4 * g) >> shift & 0x03030303u;
        out |= (low | high << 2) << 4 * i;
    }
    return out;
}

SIMT_DEVICE unsigned nibble_word(const uint8_t *qs, unsigned shift, unsigned g)
{
    return (get32(qs + 4 * g) >> shift & 0x0F0F0F0Fu) | (get32(qs + 16 + 4 * g) >> shift & 0x0F0F0F0Fu) << 4;
}

/* Bit `shift` of 32 bytes. */
SIMT_DEVICE unsigned bit_word(const uint8_t *qh, unsigned shift)
{
    unsigned out = 0;
    SIMT_UNROLL
    for (unsigned g = 0; g < 8; g++)
        out |= gather(get32(qh + 4 * g) >> shift) << 4 * g;
    return out;
}

/* The 12 bytes of Q4_K and Q5_K: six bits of scale and of minimum for each of 8. */
SIMT_DEVICE unsigned scale_and_minimum(const uint8_t *b, unsigned i)
{
    unsigned c, m;
    if (i < 4) {
        c = simt::ldg(b + i) & 63u, m = simt::ldg(b + i + 4) & 63u;
    } else {
        const unsigned both = simt::ldg(b + i + 4);
        c = (both & 15u) | (simt::ldg(b + i - 4) >> 6 & 3u) << 4;
        m = both >> 4 | (simt::ldg(b + i) >> 6 & 3u) << 4;
    }
    return c | m << 8;
}

/* Q3_K: 4 bits in the first 8 bytes, 2 in the last 4; less 32. */
SIMT_DEVICE unsigned scale_of_q3(const uint8_t *b, unsigned i)
{
    const unsigned low = i < 8 ? simt::ldg(b + i) & 15u : simt::ldg(b + i - 8) >> 4 & 15u;
    const unsigned high = simt::ldg(b + 8 + i % 4) >> (2 * (i / 4)) & 3u;
    return ((low | high << 4) - 32u) & 255u;
}

/* Part k, of 8, of a block of 256. */
template <unsigned T> SIMT_DEVICE void split_256(const uint8_t *b, unsigned k, piece &o)
{
    const unsigned half = k / 4, group = k % 4;
    if constexpr (T == ORCD_TYPE_Q2_K) {
        o.q[0] = pair_word(b + 16 + 32 * half, 2 * group, 0);
        o.q[1] = pair_word(b + 16 + 32 * half, 2 * group, 1);
        o.s = get16(b + 2 * k);
        o.d = get32(b + 80);
    } else if constexpr (T == ORCD_TYPE_Q3_K) {
        o.q[0] = pair_word(b + 32 + 32 * half, 2 * group, 0);
        o.q[1] = pair_word(b + 32 + 32 * half, 2 * group, 1);
        o.h[0] = bit_word(b, k);
        o.s = scale_of_q3(b + 96, 2 * k) | scale_of_q3(b + 96, 2 * k + 1) << 8;
        o.d = get16(b + 108);
    } else if constexpr (T == ORCD_TYPE_Q6_K) {
        SIMT_UNROLL
        for (unsigned g = 0; g < 4; g++)
            o.q[g] = nibble_word(b + 64 * half + 32 * (group % 2), 4 * (group / 2), g);
        o.h[0] = pair_word(b + 128 + 32 * half, 2 * group, 0);
        o.h[1] = pair_word(b + 128 + 32 * half, 2 * group, 1);
        o.s = get16(b + 192 + 2 * k);
        o.d = get16(b + 208);
    } else if constexpr (T == ORCD_TYPE_IQ4_XS) {
        SIMT_UNROLL
        for (unsigned g = 0; g < 4; g++)
            o.q[g] = get32(b + 8 + 16 * k + 4 * g);
        const unsigned low = simt::ldg(b + 4 + k / 2) >> (4 * (k % 2)) & 15u;
        o.s = ((low | (get16(b + 2) >> (2 * k) & 3u) << 4) - 32u) & 255u;
        o.d = get16(b);
    } else { /* Q4_K, Q5_K */
        constexpr unsigned qs = T == ORCD_TYPE_Q5_K ? 48 : 16;
        SIMT_UNROLL
        for (unsigned g = 0; g < 4; g++)
            o.q[g] = nibble_word(b + qs + 32 * (k / 2), 4 * (k % 2), g);
        if constexpr (T == ORCD_TYPE_Q5_K)
            o.h[0] = bit_word(b + 16, k);
        o.s = scale_and_minimum(b + 4, k);
        o.d = get32(b);
    }
}

template <unsigned T>
SIMT_KERNEL(block_threads)
void repack(uint8_t *q, uint8_t *h, uint8_t *s, uint8_t *d, const uint8_t *src, uint64_t first, uint64_t n)
{
    const uint64_t i = static_cast<uint64_t>(simt::block_x()) * block_threads + simt::thread_x();
    if (i >= n)
        return;
    piece o = {};
    uint64_t at;
    if constexpr (d_bytes(T) != 0) {
        split_256<T>(src + i / 8 * file_bytes(T), static_cast<unsigned>(i % 8), o);
        at = first * 8 + i;
        if (i % 8 == 0) {
            if constexpr (d_bytes(T) == 2)
                reinterpret_cast<unsigned short *>(d)[at / 8] = static_cast<unsigned short>(o.d);
            else
                reinterpret_cast<unsigned *>(d)[at / 8] = o.d;
        }
    } else {
        split_32<T>(src + i * file_bytes(T), o);
        at = first + i;
    }
    if constexpr (q_words(T) == 2) {
        reinterpret_cast<simt::uint2 *>(q)[at] = simt::uint2{o.q[0], o.q[1]};
    } else {
        SIMT_UNROLL
        for (unsigned k = 0; k < q_words(T) / 4; k++)
            reinterpret_cast<simt::uint4 *>(q)[at * (q_words(T) / 4) + k] =
                simt::uint4{o.q[4 * k], o.q[4 * k + 1], o.q[4 * k + 2], o.q[4 * k + 3]};
    }
    if constexpr (h_words(T) == 1)
        reinterpret_cast<unsigned *>(h)[at] = o.h[0];
    else if constexpr (h_words(T) == 2)
        reinterpret_cast<simt::uint2 *>(h)[at] = simt::uint2{o.h[0], o.h[1]};
    if constexpr (s_bytes(T) == 1)
        s[at] = static_cast<uint8_t>(o.s);
    else if constexpr (s_bytes(T) == 2)
        reinterpret_cast<unsigned short *>(s)[at] = static_cast<unsigned short>(o.s);
    else
        reinterpret_cast<unsigned *>(s)[at] = o.s;
}

/* Elements, each to its row. */
template <class E>
SIMT_KERNEL(block_threads)
void copy_elements(E *q, const E *src, uint64_t first, uint64_t n, unsigned n_cols, unsigned ld)
{
    const uint64_t i = static_cast<uint64_t>(simt::block_x()) * block_threads + simt::thread_x();
    if (i >= n)
        return;
    const uint64_t at = first + i;
    q[n_cols == ld ? at : at / n_cols * ld + at % n_cols] = simt::ldg(src + i);
}

/* Vectors of 16 bytes, where rows have no padding and the piece begins at one. */
SIMT_KERNEL(block_threads)
void copy_vectors(simt::uint4 *q, const simt::uint4 *src, uint64_t n)
{
    const uint64_t i = static_cast<uint64_t>(simt::block_x()) * block_threads + simt::thread_x();
    if (i < n)
        q[i] = simt::ldg(src + i);
}

/* Not dependent launches: weights are read by kernels before these wait for anything. */
simt_launch_config of_threads(simt_stream *s, uint64_t threads)
{
    simt_launch_config c = config(
        s, "repack", static_cast<unsigned>((threads + block_threads - 1) / block_threads), block_threads);
    c.pdl = 0;
    return c;
}

template <unsigned T>
enum simt_status run(simt_stream *s, const ck_matrix &w, const void *src, uint64_t first, uint64_t n)
{
    const uint64_t threads = d_bytes(T) ? n * 8 : n;
    return simt::launch(of_threads(s, threads), repack<T>, const_cast<uint8_t *>(w.q),
        const_cast<uint8_t *>(w.h), const_cast<uint8_t *>(w.s), const_cast<uint8_t *>(w.d),
        static_cast<const uint8_t *>(src), first, threads);
}

template <class E>
enum simt_status run_copy(simt_stream *s, const ck_matrix &w, const void *src, uint64_t first, uint64_t n)
{
    E *q = reinterpret_cast<E *>(const_cast<uint8_t *>(w.q));
    const E *from = static_cast<const E *>(src);
    constexpr uint64_t wide = 16 / sizeof(E);
    if (w.n_cols == w.ld && first % wide == 0 && n >= wide) {
        const enum simt_status status =
            simt::launch(of_threads(s, n / wide), copy_vectors, reinterpret_cast<simt::uint4 *>(q + first),
                reinterpret_cast<const simt::uint4 *>(from), n / wide);
        if (status || n % wide == 0)
            return status;
        first += n / wide * wide, from += n / wide * wide, n %= wide;
    }
    return simt::launch(of_threads(s, n), copy_elements<E>, q, from, first, n, w.n_cols, w.ld);
}

} // namespace

extern "C" enum simt_status ck_repack(
    simt_stream *s, const ck_matrix *w, const void *src, uint64_t first, uint64_t n)
{
    if (n == 0)
        return SIMT_OK;
    switch (w->type) {
        W_CASES_32(run<T>(s, *w, src, first, n))
        W_CASES_256(run<T>(s, *w, src, first, n))
    case ORCD_TYPE_F32:
        return run_copy<unsigned>(s, *w, src, first, n);
    case ORCD_TYPE_F16:
    case ORCD_TYPE_BF16:
        return run_copy<unsigned short>(s, *w, src, first, n);
    default:
        return SIMT_INVALID;
    }
}

namespace
{
template <unsigned T> enum simt_status prepare_type()
{
    return simt::kernel_prepare(repack<T>, block_threads, 0);
}
} // namespace

enum simt_status w::prepare_repack()
{
#define PREPARE(type) prepare_type<ORCD_TYPE_##type>
    return first_failure(
        PREPARE(Q4_0), PREPARE(Q4_1), PREPARE(Q5_0), PREPARE(Q5_1), PREPARE(Q8_0), PREPARE(IQ4_NL),
        PREPARE(MXFP4), PREPARE(Q2_K), PREPARE(Q3_K), PREPARE(Q4_K), PREPARE(Q5_K), PREPARE(Q6_K),
        PREPARE(IQ4_XS), [] { return simt::kernel_prepare(copy_elements<unsigned>, block_threads, 0); },
        [] { return simt::kernel_prepare(copy_elements<unsigned short>, block_threads, 0); },
        [] { return simt::kernel_prepare(copy_vectors, block_threads, 0); });
#undef PREPARE
}
