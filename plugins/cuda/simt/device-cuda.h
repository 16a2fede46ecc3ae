/* What simt.h offers, on the GPU: each a wrapper of one instruction or a few. Included by
 * simt.h only; compiled by nvcc only. */
#ifndef ORCD_CUDA_SIMT_DEVICE_CUDA_H
#define ORCD_CUDA_SIMT_DEVICE_CUDA_H

#include <type_traits>

#include "half.h"

#define SIMT_MASK unsigned mask = full_mask

namespace simt
{
namespace detail
{
extern __shared__ __align__(16) unsigned char simt_dynamic_shared_bytes[];

SIMT_DEVICE void *dynamic_shared()
{
    return simt_dynamic_shared_bytes;
}

/* The address as the instructions for shared memory take it. */
SIMT_DEVICE unsigned shared_address(const void *p)
{
    return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

/* Shuffles know 4- and 8-byte types; the 2-byte ones go as integers. */
template <class T, class F> SIMT_DEVICE T by_word(T v, F shuffle)
{
    if constexpr (sizeof(T) == 2) {
        T out;
        out.bits = static_cast<uint16_t>(shuffle(static_cast<unsigned>(v.bits)));
        return out;
    } else {
        return shuffle(v);
    }
}
} // namespace detail

/* --- where am I ------------------------------------------------------------------ */

SIMT_DEVICE unsigned thread_x()
{
    return threadIdx.x;
}

SIMT_DEVICE unsigned thread_y()
{
    return threadIdx.y;
}

SIMT_DEVICE unsigned thread_z()
{
    return threadIdx.z;
}

SIMT_DEVICE unsigned block_x()
{
    return blockIdx.x;
}

SIMT_DEVICE unsigned block_y()
{
    return blockIdx.y;
}

SIMT_DEVICE unsigned block_z()
{
    return blockIdx.z;
}

SIMT_DEVICE unsigned threads_x()
{
    return blockDim.x;
}

SIMT_DEVICE unsigned threads_y()
{
    return blockDim.y;
}

SIMT_DEVICE unsigned threads_z()
{
    return blockDim.z;
}

SIMT_DEVICE unsigned blocks_x()
{
    return gridDim.x;
}

SIMT_DEVICE unsigned blocks_y()
{
    return gridDim.y;
}

SIMT_DEVICE unsigned blocks_z()
{
    return gridDim.z;
}

/* Of the linear number in the block; for one-dimensional blocks the compiler sees that
 * the rest is nothing only when the launch says so, hence the lane register. */
SIMT_DEVICE unsigned lane()
{
    unsigned l;
    asm("mov.u32 %0, %%laneid;" : "=r"(l));
    return l;
}

SIMT_DEVICE unsigned warp()
{
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) / 32u;
}

/* --- waiting ------------------------------------------------------------------------ */

SIMT_DEVICE void syncthreads()
{
    __syncthreads();
}

SIMT_DEVICE int syncthreads_or(int p)
{
    return __syncthreads_or(p);
}

SIMT_DEVICE int syncthreads_count(int p)
{
    return __syncthreads_count(p);
}

SIMT_DEVICE void syncwarp(SIMT_MASK)
{
    __syncwarp(mask);
}

SIMT_DEVICE void threadfence()
{
    __threadfence();
}

SIMT_DEVICE void threadfence_block()
{
    __threadfence_block();
}

SIMT_DEVICE void pdl_wait()
{
#if SIMT_ARCH >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

SIMT_DEVICE void pdl_trigger()
{
#if SIMT_ARCH >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* --- between lanes ------------------------------------------------------------------- */

template <class T> SIMT_DEVICE T shfl(T v, int from, int width = 32, SIMT_MASK)
{
    return detail::by_word(v, [=](auto w) { return __shfl_sync(mask, w, from, width); });
}

template <class T> SIMT_DEVICE T shfl_xor(T v, int lane_mask, int width = 32, SIMT_MASK)
{
    return detail::by_word(v, [=](auto w) { return __shfl_xor_sync(mask, w, lane_mask, width); });
}

template <class T> SIMT_DEVICE T shfl_up(T v, unsigned delta, int width = 32, SIMT_MASK)
{
    return detail::by_word(v, [=](auto w) { return __shfl_up_sync(mask, w, delta, width); });
}

template <class T> SIMT_DEVICE T shfl_down(T v, unsigned delta, int width = 32, SIMT_MASK)
{
    return detail::by_word(v, [=](auto w) { return __shfl_down_sync(mask, w, delta, width); });
}

SIMT_DEVICE unsigned ballot(int p, SIMT_MASK)
{
    return __ballot_sync(mask, p);
}

SIMT_DEVICE int any(int p, SIMT_MASK)
{
    return __any_sync(mask, p);
}

SIMT_DEVICE int all(int p, SIMT_MASK)
{
    return __all_sync(mask, p);
}

template <int W = 32, class T> SIMT_DEVICE T warp_sum(T v, SIMT_MASK)
{
    static_assert(W == 2 || W == 4 || W == 8 || W == 16 || W == 32, "a power of two up to 32");
#pragma unroll
    for (int apart = W / 2; apart > 0; apart /= 2)
        v += __shfl_xor_sync(mask, v, apart);
    return v;
}

template <int W = 32, class T> SIMT_DEVICE T warp_max(T v, SIMT_MASK)
{
#pragma unroll
    for (int apart = W / 2; apart > 0; apart /= 2) {
        T other = __shfl_xor_sync(mask, v, apart);
        if constexpr (std::is_same_v<T, float>)
            v = fmaxf(v, other);
        else
            v = v > other ? v : other;
    }
    return v;
}

template <int W = 32, class T> SIMT_DEVICE T warp_min(T v, SIMT_MASK)
{
#pragma unroll
    for (int apart = W / 2; apart > 0; apart /= 2) {
        T other = __shfl_xor_sync(mask, v, apart);
        if constexpr (std::is_same_v<T, float>)
            v = fminf(v, other);
        else
            v = v < other ? v : other;
    }
    return v;
}

/* --- atomics --------------------------------------------------------------------------- */

template <class T> SIMT_DEVICE T atomic_add(T *p, std::common_type_t<T> v)
{
    return atomicAdd(p, v);
}

template <class T> SIMT_DEVICE T atomic_max(T *p, std::common_type_t<T> v)
{
    return atomicMax(p, v);
}

template <class T> SIMT_DEVICE T atomic_min(T *p, std::common_type_t<T> v)
{
    return atomicMin(p, v);
}

template <class T> SIMT_DEVICE T atomic_or(T *p, std::common_type_t<T> v)
{
    return atomicOr(p, v);
}

template <class T> SIMT_DEVICE T atomic_and(T *p, std::common_type_t<T> v)
{
    return atomicAnd(p, v);
}

template <class T> SIMT_DEVICE T atomic_exch(T *p, std::common_type_t<T> v)
{
    return atomicExch(p, v);
}

template <class T> SIMT_DEVICE T atomic_cas(T *p, std::common_type_t<T> expected, std::common_type_t<T> v)
{
    return atomicCAS(p, expected, v);
}

SIMT_DEVICE unsigned atomic_inc(unsigned *p, unsigned last)
{
    return atomicInc(p, last);
}

/* --- loads and stores --------------------------------------------------------------------- */

namespace detail
{
/* The hinted loads know the built-in types; half and bf16 go as integers. */
template <class T, class F> SIMT_DEVICE T load_as(const T *p, F load)
{
    if constexpr (std::is_same_v<T, half> || std::is_same_v<T, bf16>) {
        T out;
        out.bits = load(reinterpret_cast<const unsigned short *>(p));
        return out;
    } else if constexpr (std::is_same_v<T, half2> || std::is_same_v<T, bf162>) {
        unsigned u = load(reinterpret_cast<const unsigned *>(p));
        T out;
        out.x.bits = static_cast<uint16_t>(u);
        out.y.bits = static_cast<uint16_t>(u >> 16);
        return out;
    } else if constexpr (std::is_same_v<T, long>) {
        return static_cast<T>(load(reinterpret_cast<const long long *>(p)));
    } else if constexpr (std::is_same_v<T, unsigned long>) {
        return static_cast<T>(load(reinterpret_cast<const unsigned long long *>(p)));
    } else {
        return load(p);
    }
}
} // namespace detail

template <class T> SIMT_DEVICE T ldg(const T *p)
{
    return detail::load_as(p, [](auto *q) { return __ldg(q); });
}

template <class T> SIMT_DEVICE T ldcs(const T *p)
{
    return detail::load_as(p, [](auto *q) { return __ldcs(q); });
}

template <class T> SIMT_DEVICE T ldcg(const T *p)
{
    return detail::load_as(p, [](auto *q) { return __ldcg(q); });
}

namespace detail
{
template <class T, class F> SIMT_DEVICE void store_as(T *p, T v, F store)
{
    if constexpr (std::is_same_v<T, half> || std::is_same_v<T, bf16>)
        store(reinterpret_cast<unsigned short *>(p), static_cast<unsigned short>(v.bits));
    else if constexpr (std::is_same_v<T, half2> || std::is_same_v<T, bf162>)
        store(reinterpret_cast<unsigned *>(p), v.x.bits | static_cast<unsigned>(v.y.bits) << 16);
    else if constexpr (std::is_same_v<T, long>)
        store(reinterpret_cast<long long *>(p), static_cast<long long>(v));
    else if constexpr (std::is_same_v<T, unsigned long>)
        store(reinterpret_cast<unsigned long long *>(p), static_cast<unsigned long long>(v));
    else
        store(p, v);
}
} // namespace detail

template <class T> SIMT_DEVICE void stcs(T *p, std::common_type_t<T> v)
{
    detail::store_as(p, static_cast<T>(v), [](auto *q, auto w) { __stcs(q, w); });
}

template <class T> SIMT_DEVICE void stcg(T *p, std::common_type_t<T> v)
{
    detail::store_as(p, static_cast<T>(v), [](auto *q, auto w) { __stcg(q, w); });
}

SIMT_DEVICE void prefetch_l2(const void *p)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

/* --- integers ------------------------------------------------------------------------------ */

SIMT_DEVICE int dp4a(int a, int b, int c)
{
    return __dp4a(a, b, c);
}

SIMT_DEVICE unsigned dp4a_uu(unsigned a, unsigned b, unsigned c)
{
    return __dp4a(a, b, c);
}

SIMT_DEVICE int dp4a_us(unsigned a, int b, int c)
{
    int d;
    asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

SIMT_DEVICE unsigned byte_perm(unsigned a, unsigned b, unsigned selector)
{
    unsigned d;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(selector));
    return d;
}

SIMT_DEVICE unsigned vadd4(unsigned a, unsigned b)
{
    return __vadd4(a, b);
}

SIMT_DEVICE unsigned vsub4(unsigned a, unsigned b)
{
    return __vsub4(a, b);
}

SIMT_DEVICE unsigned vsubss4(unsigned a, unsigned b)
{
    return __vsubss4(a, b);
}

SIMT_DEVICE int popc(unsigned x)
{
    return __popc(x);
}

SIMT_DEVICE int clz(unsigned x)
{
    return __clz(static_cast<int>(x));
}

SIMT_DEVICE int ffs(unsigned x)
{
    return __ffs(static_cast<int>(x));
}

SIMT_DEVICE unsigned brev(unsigned x)
{
    return __brev(x);
}

SIMT_DEVICE int mulhi(int a, int b)
{
    return __mulhi(a, b);
}

SIMT_DEVICE unsigned umulhi(unsigned a, unsigned b)
{
    return __umulhi(a, b);
}

SIMT_DEVICE unsigned funnel_l(unsigned lo, unsigned hi, unsigned n)
{
    return __funnelshift_l(lo, hi, n);
}

SIMT_DEVICE unsigned funnel_r(unsigned lo, unsigned hi, unsigned n)
{
    return __funnelshift_r(lo, hi, n);
}

SIMT_DEVICE unsigned float_as_uint(float f)
{
    return __float_as_uint(f);
}

SIMT_DEVICE int float_as_int(float f)
{
    return __float_as_int(f);
}

SIMT_DEVICE float uint_as_float(unsigned u)
{
    return __uint_as_float(u);
}

SIMT_DEVICE float int_as_float(int i)
{
    return __int_as_float(i);
}

template <class T> SIMT_DEVICE T min(T a, T b)
{
    static_assert(std::is_integral_v<T>, "fmin() is for floats");
    return b < a ? b : a;
}

template <class T> SIMT_DEVICE T max(T a, T b)
{
    static_assert(std::is_integral_v<T>, "fmax() is for floats");
    return a < b ? b : a;
}

SIMT_DEVICE int abs(int a)
{
    return ::abs(a);
}

/* --- floating point --------------------------------------------------------------------------- */

#define SIMT_FLOAT1(name, call)                                                                              \
    SIMT_DEVICE float name(float x)                                                                          \
    {                                                                                                        \
        return call;                                                                                         \
    }
SIMT_FLOAT1(exp, ::expf(x))
SIMT_FLOAT1(exp2, ::exp2f(x))
SIMT_FLOAT1(log, ::logf(x))
SIMT_FLOAT1(log2, ::log2f(x))
SIMT_FLOAT1(sin, ::sinf(x))
SIMT_FLOAT1(cos, ::cosf(x))
SIMT_FLOAT1(tanh, ::tanhf(x))
SIMT_FLOAT1(sqrt, __fsqrt_rn(x))
SIMT_FLOAT1(rsqrt, ::rsqrtf(x))
SIMT_FLOAT1(rcp, __frcp_rn(x))
SIMT_FLOAT1(rint, ::rintf(x))
SIMT_FLOAT1(round, ::roundf(x))
SIMT_FLOAT1(floor, ::floorf(x))
SIMT_FLOAT1(ceil, ::ceilf(x))
SIMT_FLOAT1(trunc, ::truncf(x))
SIMT_FLOAT1(fabs, ::fabsf(x))
SIMT_FLOAT1(fast_exp, __expf(x))
SIMT_FLOAT1(fast_log, __logf(x))
SIMT_FLOAT1(fast_sin, __sinf(x))
SIMT_FLOAT1(fast_cos, __cosf(x))
#undef SIMT_FLOAT1

SIMT_DEVICE float fast_tanh(float x)
{
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

SIMT_DEVICE float pow(float x, float y)
{
    return ::powf(x, y);
}

SIMT_DEVICE float fma(float a, float b, float c)
{
    return __fmaf_rn(a, b, c);
}

SIMT_DEVICE float fast_div(float a, float b)
{
    return __fdividef(a, b);
}

SIMT_DEVICE void sincos(float x, float *s, float *c)
{
    ::sincosf(x, s, c);
}

SIMT_DEVICE float fmin(float a, float b)
{
    return ::fminf(a, b);
}

SIMT_DEVICE float fmax(float a, float b)
{
    return ::fmaxf(a, b);
}

SIMT_DEVICE bool is_nan(float x)
{
    return isnan(x);
}

SIMT_DEVICE bool is_inf(float x)
{
    return isinf(x);
}

SIMT_DEVICE float infinity()
{
    return __int_as_float(0x7F800000);
}

SIMT_DEVICE int float2int(float x)
{
    return __float2int_rn(x);
}

/* --- half2 ------------------------------------------------------------------------------------- */

SIMT_DEVICE half2 hfma2(half2 a, half2 b, half2 c)
{
    unsigned d;
    asm("fma.rn.f16x2 %0, %1, %2, %3;"
        : "=r"(d)
        : "r"(half2_bits(a)), "r"(half2_bits(b)), "r"(half2_bits(c)));
    return half2_from_bits(d);
}

SIMT_DEVICE half2 hadd2(half2 a, half2 b)
{
    unsigned d;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(half2_bits(a)), "r"(half2_bits(b)));
    return half2_from_bits(d);
}

SIMT_DEVICE half2 hmul2(half2 a, half2 b)
{
    unsigned d;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(half2_bits(a)), "r"(half2_bits(b)));
    return half2_from_bits(d);
}

SIMT_DEVICE half2 hmax2(half2 a, half2 b)
{
#if SIMT_ARCH >= 800
    unsigned d;
    asm("max.f16x2 %0, %1, %2;" : "=r"(d) : "r"(half2_bits(a)), "r"(half2_bits(b)));
    return half2_from_bits(d);
#else
    float2 x = to_float2(a), y = to_float2(b);
    return to_half2(float2{::fmaxf(x.x, y.x), ::fmaxf(x.y, y.y)});
#endif
}

template <int W = 32> SIMT_DEVICE half2 warp_sum(half2 v, SIMT_MASK)
{
#pragma unroll
    for (int apart = W / 2; apart > 0; apart /= 2)
        v = hadd2(v, half2_from_bits(__shfl_xor_sync(mask, half2_bits(v), apart)));
    return v;
}

/* --- asynchronous copies --------------------------------------------------------------------------- */

SIMT_DEVICE void cp_async4(void *to, const void *from)
{
#if SIMT_ARCH >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(detail::shared_address(to)), "l"(from)
                 : "memory");
#else
    *static_cast<unsigned *>(to) = *static_cast<const unsigned *>(from);
#endif
}

SIMT_DEVICE void cp_async8(void *to, const void *from)
{
#if SIMT_ARCH >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(detail::shared_address(to)), "l"(from)
                 : "memory");
#else
    *static_cast<uint2 *>(to) = *static_cast<const uint2 *>(from);
#endif
}

SIMT_DEVICE void cp_async16(void *to, const void *from)
{
#if SIMT_ARCH >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(detail::shared_address(to)), "l"(from)
                 : "memory");
#else
    *static_cast<uint4 *>(to) = *static_cast<const uint4 *>(from);
#endif
}

SIMT_DEVICE void cp_async16_or_zero(void *to, const void *from, bool valid)
{
#if SIMT_ARCH >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(detail::shared_address(to)), "l"(from),
                 "r"(valid ? 16 : 0)
                 : "memory");
#else
    *static_cast<uint4 *>(to) = valid ? *static_cast<const uint4 *>(from) : uint4{0, 0, 0, 0};
#endif
}

SIMT_DEVICE void cp_async_commit()
{
#if SIMT_ARCH >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int N> SIMT_DEVICE void cp_async_wait()
{
#if SIMT_ARCH >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

/* --- matrix instructions ----------------------------------------------------------------------------- */

SIMT_DEVICE void mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
#if SIMT_ARCH >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else /* two halves of k */
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]));
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[2]), "r"(a[3]), "r"(b[1]));
#endif
}

SIMT_DEVICE void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
#if SIMT_ARCH >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    __trap();
#endif
}

SIMT_DEVICE void mma_s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
#if SIMT_ARCH >= 800
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else /* upper and lower rows, each in two halves of k */
#pragma unroll
    for (int rows = 0; rows < 2; rows++)
#pragma unroll
        for (int part = 0; part < 2; part++)
            asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
                         : "+r"(d[2 * rows]), "+r"(d[2 * rows + 1])
                         : "r"(a[rows + 2 * part]), "r"(b[part]));
#endif
}

SIMT_DEVICE void ldmatrix4(unsigned (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(detail::shared_address(row))
                 : "memory");
}

SIMT_DEVICE void ldmatrix4_trans(unsigned (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(detail::shared_address(row))
                 : "memory");
}

SIMT_DEVICE void ldmatrix2(unsigned (&r)[2], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(detail::shared_address(row))
                 : "memory");
}

SIMT_DEVICE void ldmatrix2_trans(unsigned (&r)[2], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(detail::shared_address(row))
                 : "memory");
}

} // namespace simt

#undef SIMT_MASK
#endif
