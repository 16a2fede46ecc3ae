/* What simt.h offers, on the host. A kernel thread is a fiber (fiber.cc); where it waits,
 * another goes on. Included by simt.h only. */
#ifndef ORCD_CUDA_SIMT_DEVICE_HOST_H
#define ORCD_CUDA_SIMT_DEVICE_HOST_H

#include <limits>
#include <math.h>
#include <string.h>
#include <type_traits>

#include "half.h"

/* The place a kernel waits at, for reports. */
#define SIMT_AT const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define SIMT_UNWATCHED __attribute__((no_sanitize("thread")))
#define SIMT_MASK unsigned mask = full_mask

namespace simt
{
namespace detail
{

struct block_view {
    unsigned x, y, z;       /* blockIdx */
    unsigned tx, ty, tz;    /* blockDim */
    unsigned gx, gy, gz;    /* gridDim */
    unsigned char *dynamic; /* dynamic shared memory */
};

/* The part of a fiber that kernels read. */
struct thread_view {
    unsigned x, y, z, linear;
    const block_view *block;
};

extern __thread thread_view *current __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* All lanes of one warp operation, at its end: in and out are NULL for the absent. */
struct lanes {
    unsigned present;
    const void *const *in;
    void *const *out;
    const char *file; /* of the last to arrive */
    int line;
};

enum barrier_kind { BARRIER_PLAIN, BARRIER_OR, BARRIER_COUNT };

/* fiber.cc */
int barrier(barrier_kind kind, int value, const char *file, int line);
void collective(unsigned mask, void (*end)(const lanes &), bool orders, const void *in, void *out,
    const char *file, int line);
void *shared_static(const void *site, size_t bytes, const char *name);
void fence();
void dependence_wait();
void async_copy(void *to, const void *from, unsigned bytes, bool valid);
void async_commit();
void async_wait(unsigned newest);
void misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

SIMT_UNWATCHED inline void *dynamic_shared()
{
    return current->block->dynamic;
}

template <class T> struct shuffle_in {
    T value;
    int from; /* lane of the warp */
};

template <class T> SIMT_UNWATCHED void shuffle_end(const lanes &all)
{
    for (int i = 0; i < warp_size; i++) {
        if (!(all.present >> i & 1))
            continue;
        int from = static_cast<const shuffle_in<T> *>(all.in[i])->from;
        if (all.present >> from & 1)
            memcpy(all.out[i], &static_cast<const shuffle_in<T> *>(all.in[from])->value, sizeof(T));
        else
            memset(all.out[i], 0xFF, sizeof(T)); /* undefined on a GPU */
    }
}

template <class T> inline T shuffle(T value, int from, unsigned mask, const char *file, int line)
{
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "at most 8 bytes");
    shuffle_in<T> in{value, from};
    T out;
    collective(mask, shuffle_end<T>, false, &in, &out, file, line);
    return out;
}

struct add_of {
    template <class T> T operator()(T a, T b) const
    {
        return a + b;
    }
};
struct max_of {
    float operator()(float a, float b) const
    {
        return ::fmaxf(a, b);
    }
    template <class T> T operator()(T a, T b) const
    {
        return a > b ? a : b;
    }
};
struct min_of {
    float operator()(float a, float b) const
    {
        return ::fminf(a, b);
    }
    template <class T> T operator()(T a, T b) const
    {
        return a < b ? a : b;
    }
};

/* What shuffles by W/2, W/4 ... 1 would leave in every lane. */
template <class T, class Op, int W> SIMT_UNWATCHED void reduce_end(const lanes &all)
{
    for (int first = 0; first < warp_size; first += W) {
        unsigned group = (W == 32 ? full_mask : (1u << W) - 1u) << first;
        if (!(all.present & group))
            continue;
        T values[W];
        memset(static_cast<void *>(values), 0xFF, sizeof values);
        for (int i = 0; i < W; i++)
            if (all.present >> (first + i) & 1)
                values[i] = *static_cast<const T *>(all.in[first + i]);
        if ((all.present & group) != group)
            misuse("%s:%d: a warp sum or maximum over %d lanes without all of them (present: %08x)", all.file,
                all.line, W, all.present);
        for (int apart = W / 2; apart > 0; apart /= 2)
            for (int i = 0; i < apart; i++)
                values[i] = Op()(values[i], values[i + apart]);
        for (int i = 0; i < W; i++)
            if (all.present >> (first + i) & 1)
                *static_cast<T *>(all.out[first + i]) = values[0];
    }
}

template <int W, class Op, class T> inline T reduce(T value, unsigned mask, const char *file, int line)
{
    static_assert(W == 2 || W == 4 || W == 8 || W == 16 || W == 32, "a power of two up to 32");
    T out;
    collective(mask, reduce_end<T, Op, W>, false, &value, &out, file, line);
    return out;
}

/* matrix.cc */
struct mma_in {
    const unsigned *a, *b;
    void *d;
};
void mma_f16_end(const lanes &all);
void mma_bf16_end(const lanes &all);
void mma_s8_end(const lanes &all);
void ldmatrix_end(const lanes &all);
struct ldmatrix_in {
    const void *row;
    int matrices;
    bool transposed;
};

/* A load for the race detector's sake: the rows themselves are read in matrix.cc. */
inline void ldmatrix_touch(const void *row, int matrices)
{
    if (static_cast<int>(current->linear % 32) < 8 * matrices) {
        static_cast<void>(static_cast<const volatile uint64_t *>(row)[0]);
        static_cast<void>(static_cast<const volatile uint64_t *>(row)[1]);
    }
}
} // namespace detail

/* --- where am I ------------------------------------------------------------------ */

#define SIMT_VIEW(name, expression)                                                                          \
    SIMT_UNWATCHED inline unsigned name()                                                                    \
    {                                                                                                        \
        return detail::current->expression;                                                                  \
    }
SIMT_VIEW(thread_x, x)
SIMT_VIEW(thread_y, y)
SIMT_VIEW(thread_z, z)
SIMT_VIEW(block_x, block->x)
SIMT_VIEW(block_y, block->y)
SIMT_VIEW(block_z, block->z)
SIMT_VIEW(threads_x, block->tx)
SIMT_VIEW(threads_y, block->ty)
SIMT_VIEW(threads_z, block->tz)
SIMT_VIEW(blocks_x, block->gx)
SIMT_VIEW(blocks_y, block->gy)
SIMT_VIEW(blocks_z, block->gz)
SIMT_VIEW(lane, linear % 32)
SIMT_VIEW(warp, linear / 32)
#undef SIMT_VIEW

/* --- waiting ------------------------------------------------------------------------ */

inline void syncthreads(SIMT_AT)
{
    detail::barrier(detail::BARRIER_PLAIN, 0, file, line);
}

inline int syncthreads_or(int p, SIMT_AT)
{
    return detail::barrier(detail::BARRIER_OR, p, file, line);
}

inline int syncthreads_count(int p, SIMT_AT)
{
    return detail::barrier(detail::BARRIER_COUNT, p, file, line);
}

inline void syncwarp(SIMT_MASK, SIMT_AT)
{
    detail::collective(mask, nullptr, true, nullptr, nullptr, file, line);
}

inline void threadfence()
{
    detail::fence();
}

inline void threadfence_block()
{
    detail::fence();
}

inline void pdl_wait()
{
    detail::dependence_wait();
}

inline void pdl_trigger()
{
}

/* --- between lanes ------------------------------------------------------------------- */

template <class T> inline T shfl(T v, int from, int width = 32, SIMT_MASK, SIMT_AT)
{
    int own = static_cast<int>(lane()), group = own & ~(width - 1);
    return detail::shuffle(v, group | (from & (width - 1)), mask, file, line);
}

template <class T> inline T shfl_xor(T v, int lane_mask, int width = 32, SIMT_MASK, SIMT_AT)
{
    int own = static_cast<int>(lane()), from = own ^ lane_mask;
    /* as on the device: a lane of a later group is out of reach, one of an earlier is not */
    if (from >= (own & ~(width - 1)) + width)
        from = own;
    return detail::shuffle(v, from, mask, file, line);
}

template <class T> inline T shfl_up(T v, unsigned delta, int width = 32, SIMT_MASK, SIMT_AT)
{
    int own = static_cast<int>(lane()), from = own - static_cast<int>(delta);
    return detail::shuffle(v, from < (own & ~(width - 1)) ? own : from, mask, file, line);
}

template <class T> inline T shfl_down(T v, unsigned delta, int width = 32, SIMT_MASK, SIMT_AT)
{
    int own = static_cast<int>(lane()), from = own + static_cast<int>(delta);
    return detail::shuffle(v, from >= (own & ~(width - 1)) + width ? own : from, mask, file, line);
}

namespace detail
{
SIMT_UNWATCHED inline void ballot_end(const lanes &all)
{
    unsigned votes = 0;
    for (int i = 0; i < warp_size; i++)
        if (all.present >> i & 1)
            votes |= (*static_cast<const int *>(all.in[i]) ? 1u : 0u) << i;
    for (int i = 0; i < warp_size; i++)
        if (all.present >> i & 1) {
            static_cast<unsigned *>(all.out[i])[0] = votes;
            static_cast<unsigned *>(all.out[i])[1] = all.present;
        }
}

struct votes {
    unsigned yes, present;
};

inline votes vote(int p, unsigned mask, const char *file, int line)
{
    votes out;
    collective(mask, ballot_end, false, &p, &out, file, line);
    return out;
}
} // namespace detail

inline unsigned ballot(int p, SIMT_MASK, SIMT_AT)
{
    return detail::vote(p, mask, file, line).yes;
}

inline int any(int p, SIMT_MASK, SIMT_AT)
{
    return detail::vote(p, mask, file, line).yes != 0;
}

inline int all(int p, SIMT_MASK, SIMT_AT)
{
    detail::votes v = detail::vote(p, mask, file, line);
    return v.yes == v.present;
}

template <int W = 32, class T> inline T warp_sum(T v, SIMT_MASK, SIMT_AT)
{
    return detail::reduce<W, detail::add_of>(v, mask, file, line);
}

template <int W = 32, class T> inline T warp_max(T v, SIMT_MASK, SIMT_AT)
{
    return detail::reduce<W, detail::max_of>(v, mask, file, line);
}

template <int W = 32, class T> inline T warp_min(T v, SIMT_MASK, SIMT_AT)
{
    return detail::reduce<W, detail::min_of>(v, mask, file, line);
}

/* --- atomics --------------------------------------------------------------------------- */

template <class T> inline T atomic_add(T *p, std::common_type_t<T> v)
{
    if constexpr (std::is_same_v<T, float>) {
        uint32_t *u = reinterpret_cast<uint32_t *>(p), old = __atomic_load_n(u, __ATOMIC_RELAXED), sum;
        do
            sum = detail::bits_of(detail::float_of(old) + v);
        while (!__atomic_compare_exchange_n(u, &old, sum, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        return detail::float_of(old);
    } else {
        return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
    }
}

template <class T> inline T atomic_max(T *p, std::common_type_t<T> v)
{
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (
        !__atomic_compare_exchange_n(p, &old, old > v ? old : v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return old;
}

template <class T> inline T atomic_min(T *p, std::common_type_t<T> v)
{
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (
        !__atomic_compare_exchange_n(p, &old, old < v ? old : v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return old;
}

template <class T> inline T atomic_or(T *p, std::common_type_t<T> v)
{
    return __atomic_fetch_or(p, v, __ATOMIC_RELAXED);
}

template <class T> inline T atomic_and(T *p, std::common_type_t<T> v)
{
    return __atomic_fetch_and(p, v, __ATOMIC_RELAXED);
}

template <class T> inline T atomic_exch(T *p, std::common_type_t<T> v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);
}

template <class T> inline T atomic_cas(T *p, std::common_type_t<T> expected, std::common_type_t<T> v)
{
    T old = expected;
    __atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return old;
}

inline unsigned atomic_inc(unsigned *p, unsigned last)
{
    unsigned old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(
        p, &old, old >= last ? 0 : old + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return old;
}

/* --- loads and stores --------------------------------------------------------------------- */

template <class T> inline T ldg(const T *p)
{
    return *p;
}

template <class T> inline T ldcs(const T *p)
{
    return *p;
}

template <class T> inline T ldcg(const T *p)
{
    return *p;
}

template <class T> inline void stcs(T *p, std::common_type_t<T> v)
{
    *p = v;
}

template <class T> inline void stcg(T *p, std::common_type_t<T> v)
{
    *p = v;
}

inline void prefetch_l2(const void *)
{
}

/* --- integers ------------------------------------------------------------------------------ */

inline int dp4a(int a, int b, int c)
{
    unsigned sum = static_cast<unsigned>(c);
    for (int i = 0; i < 32; i += 8)
        sum += static_cast<unsigned>(static_cast<int8_t>(a >> i) * static_cast<int8_t>(b >> i));
    return static_cast<int>(sum);
}

inline unsigned dp4a_uu(unsigned a, unsigned b, unsigned c)
{
    for (int i = 0; i < 32; i += 8)
        c += (a >> i & 0xFFu) * (b >> i & 0xFFu);
    return c;
}

inline int dp4a_us(unsigned a, int b, int c)
{
    unsigned sum = static_cast<unsigned>(c);
    for (int i = 0; i < 32; i += 8)
        sum += static_cast<unsigned>(static_cast<int>(a >> i & 0xFFu) * static_cast<int8_t>(b >> i));
    return static_cast<int>(sum);
}

inline unsigned byte_perm(unsigned a, unsigned b, unsigned selector)
{
    uint64_t both = static_cast<uint64_t>(b) << 32 | a;
    unsigned out = 0;
    for (int i = 0; i < 4; i++) {
        unsigned pick = selector >> (4 * i) & 0xFu;
        unsigned byte = static_cast<unsigned>(both >> (8 * (pick & 7u))) & 0xFFu;
        if (pick & 8u) /* the byte's sign, eight times */
            byte = byte & 0x80u ? 0xFFu : 0u;
        out |= byte << (8 * i);
    }
    return out;
}

inline unsigned vadd4(unsigned a, unsigned b)
{
    return ((a & 0x7F7F7F7Fu) + (b & 0x7F7F7F7Fu)) ^ ((a ^ b) & 0x80808080u);
}

inline unsigned vsub4(unsigned a, unsigned b)
{
    return ((a | 0x80808080u) - (b & 0x7F7F7F7Fu)) ^ ((a ^ ~b) & 0x80808080u);
}

inline unsigned vsubss4(unsigned a, unsigned b)
{
    unsigned out = 0;
    for (int i = 0; i < 32; i += 8) {
        int d = static_cast<int8_t>(a >> i) - static_cast<int8_t>(b >> i);
        d = d > 127 ? 127 : d < -128 ? -128 : d;
        out |= (static_cast<unsigned>(d) & 0xFFu) << i;
    }
    return out;
}

inline int popc(unsigned x)
{
    return __builtin_popcount(x);
}

inline int clz(unsigned x)
{
    return x ? __builtin_clz(x) : 32;
}

inline int ffs(unsigned x)
{
    return __builtin_ffs(static_cast<int>(x));
}

inline unsigned brev(unsigned x)
{
    unsigned out = 0;
    for (int i = 0; i < 32; i++)
        out |= (x >> i & 1u) << (31 - i);
    return out;
}

inline int mulhi(int a, int b)
{
    return static_cast<int>(static_cast<int64_t>(a) * b >> 32);
}

inline unsigned umulhi(unsigned a, unsigned b)
{
    return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}

inline unsigned funnel_l(unsigned lo, unsigned hi, unsigned n)
{
    return static_cast<unsigned>(((static_cast<uint64_t>(hi) << 32 | lo) << (n & 31u)) >> 32);
}

inline unsigned funnel_r(unsigned lo, unsigned hi, unsigned n)
{
    return static_cast<unsigned>((static_cast<uint64_t>(hi) << 32 | lo) >> (n & 31u));
}

inline unsigned float_as_uint(float f)
{
    return detail::bits_of(f);
}

inline int float_as_int(float f)
{
    return static_cast<int>(detail::bits_of(f));
}

inline float uint_as_float(unsigned u)
{
    return detail::float_of(u);
}

inline float int_as_float(int i)
{
    return detail::float_of(static_cast<unsigned>(i));
}

template <class T> inline T min(T a, T b)
{
    static_assert(std::is_integral_v<T>, "fmin() is for floats");
    return b < a ? b : a;
}

template <class T> inline T max(T a, T b)
{
    static_assert(std::is_integral_v<T>, "fmax() is for floats");
    return a < b ? b : a;
}

inline int abs(int a)
{
    return a < 0 ? static_cast<int>(0u - static_cast<unsigned>(a)) : a;
}

/* --- floating point --------------------------------------------------------------------------- */

#define SIMT_FLOAT1(name, call)                                                                              \
    inline float name(float x)                                                                               \
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
SIMT_FLOAT1(sqrt, ::sqrtf(x))
SIMT_FLOAT1(rsqrt, 1.0f / ::sqrtf(x))
SIMT_FLOAT1(rcp, 1.0f / x)
SIMT_FLOAT1(rint, ::nearbyintf(x))
SIMT_FLOAT1(round, ::roundf(x))
SIMT_FLOAT1(floor, ::floorf(x))
SIMT_FLOAT1(ceil, ::ceilf(x))
SIMT_FLOAT1(trunc, ::truncf(x))
SIMT_FLOAT1(fabs, ::fabsf(x))
SIMT_FLOAT1(fast_exp, ::expf(x))
SIMT_FLOAT1(fast_log, ::logf(x))
SIMT_FLOAT1(fast_tanh, ::tanhf(x))
SIMT_FLOAT1(fast_sin, ::sinf(x))
SIMT_FLOAT1(fast_cos, ::cosf(x))
#undef SIMT_FLOAT1

inline float pow(float x, float y)
{
    return ::powf(x, y);
}

inline float fma(float a, float b, float c)
{
    return ::fmaf(a, b, c);
}

inline float fast_div(float a, float b)
{
    return a / b;
}

inline void sincos(float x, float *s, float *c)
{
    *s = ::sinf(x);
    *c = ::cosf(x);
}

inline float fmin(float a, float b)
{
    return ::fminf(a, b);
}

inline float fmax(float a, float b)
{
    return ::fmaxf(a, b);
}

inline bool is_nan(float x)
{
    return __builtin_isnan(x);
}

inline bool is_inf(float x)
{
    return __builtin_isinf(x);
}

inline float infinity()
{
    return std::numeric_limits<float>::infinity();
}

inline int float2int(float x)
{
    if (is_nan(x))
        return 0;
    if (x >= 2147483648.0f)
        return 0x7FFFFFFF;
    if (x < -2147483648.0f)
        return -0x7FFFFFFF - 1;
    return static_cast<int>(::lrintf(x));
}

/* --- half2 ------------------------------------------------------------------------------------- */

namespace detail
{
/* Rounded to odd at 53 bits first, so that the second rounding is the only one that counts. */
inline half fma_half(half a, half b, half c)
{
    double p = static_cast<double>(to_float(a)) * to_float(b), q = to_float(c), sum = p + q;
    double back = sum - p, lost = (p - (sum - back)) + (q - back);
    if (lost != 0 && !__builtin_isinf(sum) && !__builtin_isnan(sum)) {
        uint64_t u;
        memcpy(&u, &sum, 8);
        if (!(u & 1)) {
            u += (lost > 0) == (sum > 0) ? 1 : -1;
            memcpy(&sum, &u, 8);
        }
    }
    /* double to float, to odd again, then to half */
    float f = static_cast<float>(sum);
    if (!__builtin_isinf(f) && !__builtin_isnan(f) && static_cast<double>(f) != sum) {
        uint32_t u = bits_of(f);
        bool away = ::fabs(static_cast<double>(f)) > ::fabs(sum);
        if (away)
            u--;
        f = float_of(u | 1u);
    }
    return to_half(f);
}
} // namespace detail

inline half2 hfma2(half2 a, half2 b, half2 c)
{
    return half2{detail::fma_half(a.x, b.x, c.x), detail::fma_half(a.y, b.y, c.y)};
}

inline half2 hadd2(half2 a, half2 b)
{
    return half2{to_half(to_float(a.x) + to_float(b.x)), to_half(to_float(a.y) + to_float(b.y))};
}

inline half2 hmul2(half2 a, half2 b)
{
    return half2{to_half(to_float(a.x) * to_float(b.x)), to_half(to_float(a.y) * to_float(b.y))};
}

inline half2 hmax2(half2 a, half2 b)
{
    return half2{
        to_half(::fmaxf(to_float(a.x), to_float(b.x))), to_half(::fmaxf(to_float(a.y), to_float(b.y)))};
}

namespace detail
{
template <int W> SIMT_UNWATCHED void reduce_half2_end(const lanes &all)
{
    for (int first = 0; first < warp_size; first += W) {
        half2 v[W];
        unsigned group = (W == 32 ? full_mask : (1u << W) - 1u) << first;
        if (!(all.present & group))
            continue;
        memset(static_cast<void *>(v), 0xFF, sizeof v);
        for (int i = 0; i < W; i++)
            if (all.present >> (first + i) & 1)
                v[i] = *static_cast<const half2 *>(all.in[first + i]);
        for (int apart = W / 2; apart > 0; apart /= 2)
            for (int i = 0; i < apart; i++)
                v[i] = hadd2(v[i], v[i + apart]);
        for (int i = 0; i < W; i++)
            if (all.present >> (first + i) & 1)
                *static_cast<half2 *>(all.out[first + i]) = v[0];
    }
}
} // namespace detail

template <int W = 32> inline half2 warp_sum(half2 v, SIMT_MASK, SIMT_AT)
{
    half2 out;
    detail::collective(mask, detail::reduce_half2_end<W>, false, &v, &out, file, line);
    return out;
}

/* --- asynchronous copies --------------------------------------------------------------------------- */

inline void cp_async4(void *to, const void *from)
{
    detail::async_copy(to, from, 4, true);
}

inline void cp_async8(void *to, const void *from)
{
    detail::async_copy(to, from, 8, true);
}

inline void cp_async16(void *to, const void *from)
{
    detail::async_copy(to, from, 16, true);
}

inline void cp_async16_or_zero(void *to, const void *from, bool valid)
{
    detail::async_copy(to, from, 16, valid);
}

inline void cp_async_commit()
{
    detail::async_commit();
}

template <int N> inline void cp_async_wait()
{
    detail::async_wait(N);
}

/* --- matrix instructions ----------------------------------------------------------------------------- */

inline void mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], SIMT_AT)
{
    detail::mma_in in{a, b, d};
    detail::collective(full_mask, detail::mma_f16_end, false, &in, d, file, line);
}

inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], SIMT_AT)
{
    detail::mma_in in{a, b, d};
    detail::collective(full_mask, detail::mma_bf16_end, false, &in, d, file, line);
}

inline void mma_s8(int (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], SIMT_AT)
{
    detail::mma_in in{a, b, d};
    detail::collective(full_mask, detail::mma_s8_end, false, &in, d, file, line);
}

inline void ldmatrix4(unsigned (&r)[4], const void *row, SIMT_AT)
{
    detail::ldmatrix_touch(row, 4);
    detail::ldmatrix_in in{row, 4, false};
    detail::collective(full_mask, detail::ldmatrix_end, false, &in, r, file, line);
}

inline void ldmatrix4_trans(unsigned (&r)[4], const void *row, SIMT_AT)
{
    detail::ldmatrix_touch(row, 4);
    detail::ldmatrix_in in{row, 4, true};
    detail::collective(full_mask, detail::ldmatrix_end, false, &in, r, file, line);
}

inline void ldmatrix2(unsigned (&r)[2], const void *row, SIMT_AT)
{
    detail::ldmatrix_touch(row, 2);
    detail::ldmatrix_in in{row, 2, false};
    detail::collective(full_mask, detail::ldmatrix_end, false, &in, r, file, line);
}

inline void ldmatrix2_trans(unsigned (&r)[2], const void *row, SIMT_AT)
{
    detail::ldmatrix_touch(row, 2);
    detail::ldmatrix_in in{row, 2, true};
    detail::collective(full_mask, detail::ldmatrix_end, false, &in, r, file, line);
}

} // namespace simt

#undef SIMT_AT
#undef SIMT_MASK
#endif
