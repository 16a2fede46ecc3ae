/*
 * Sixteen lanes in one AVX-512 register (F, BW, DQ, VL and VNNI). What each function
 * computes is told in kernels-lanes-c.h.
 *
 * vpdpbusd adds four products of unsigned weights and signed inputs to an int32 without
 * saturation; signed weights are moved up by 128 for it, which LANES_S8_OFFSET tells.
 * With KERNELS_SIMDE the instructions are emulated, so that any machine can check this file.
 */
#ifndef ORCD_CPU_LANES_AVX512_H
#define ORCD_CPU_LANES_AVX512_H

#include <math.h>

#ifdef KERNELS_SIMDE
#include "tests/lib/simde-avx512.h"
#define LANES_TABLE kernels_avx512_simde
#else
#include <immintrin.h>
#define LANES_TABLE kernels_avx512
#endif

#include "plugins/cpu/kernels-layout.h"

#define LANES_NAME "avx512"
#define LANES_TOKENS_Q 8
#define LANES_TOKENS_F 8
#define LANES_DEPTH(bits) 8
#define LANES_S8_OFFSET 128
#if defined(KERNELS_SIMDE) || defined(KERNELS_SMALL)
#define LANES_SPECIALIZE 0
#define KERNEL_INLINE __attribute__((noinline))
#define UNROLL
#else
#define LANES_SPECIALIZE 1
#define KERNEL_INLINE ALWAYS_INLINE
#define UNROLL LANES_UNROLL
#endif

typedef __m512 vf;
typedef __m512i vi;
typedef __m512i vb;
typedef __m512i vacc;
typedef __m512i vs;

static ALWAYS_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static ALWAYS_INLINE void vf_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}
static ALWAYS_INLINE vf vf_set1(float x)
{
    return _mm512_set1_ps(x);
}
static ALWAYS_INLINE vf vf_add(vf x, vf y)
{
    return _mm512_add_ps(x, y);
}
static ALWAYS_INLINE vf vf_sub(vf x, vf y)
{
    return _mm512_sub_ps(x, y);
}
static ALWAYS_INLINE vf vf_mul(vf x, vf y)
{
    return _mm512_mul_ps(x, y);
}
static ALWAYS_INLINE vf vf_div(vf x, vf y)
{
    return _mm512_div_ps(x, y);
}
static ALWAYS_INLINE vf vf_fma(vf x, vf y, vf z)
{
    return _mm512_fmadd_ps(x, y, z);
}
static ALWAYS_INLINE vf vf_fnma(vf x, vf y, vf z)
{
    return _mm512_fnmadd_ps(x, y, z);
}
static ALWAYS_INLINE vf vf_max(vf x, vf y)
{
    return _mm512_max_ps(x, y);
}
static ALWAYS_INLINE vf vf_min(vf x, vf y)
{
    return _mm512_min_ps(x, y);
}
static ALWAYS_INLINE vf vf_zero_below(vf v, vf x, vf limit)
{
    return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(x, limit, _CMP_LT_OQ), _mm512_setzero_ps());
}
/* from and to may lie outside 0 .. 16 */
static ALWAYS_INLINE vf vf_keep(vf v, int from, int to, float fill)
{
    const int f = from < 0 ? 0 : from > 16 ? 16 : from, t = to < 0 ? 0 : to > 16 ? 16 : to;
    const uint32_t mask = ((1u << t) - 1) & ~((1u << f) - 1);
    return _mm512_mask_mov_ps(_mm512_set1_ps(fill), (__mmask16)mask, v);
}
static ALWAYS_INLINE __m256i half_load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}
static ALWAYS_INLINE vf vf_of_f16(const void *p)
{
    return _mm512_cvtph_ps(half_load(p));
}
static ALWAYS_INLINE void vf_to_f16(void *p, vf x)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static ALWAYS_INLINE vf vf_of_bf16(const void *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half_load(p)), 16));
}
static ALWAYS_INLINE vf vf_of_vi(vi x)
{
    return _mm512_cvtepi32_ps(x);
}
static ALWAYS_INLINE vi vi_bits(vf x)
{
    return _mm512_castps_si512(x);
}
static ALWAYS_INLINE vf vf_bits(vi x)
{
    return _mm512_castsi512_ps(x);
}
static ALWAYS_INLINE __m256 upper_ps(vf x)
{
    return _mm512_extractf32x8_ps(x, 1);
}
static ALWAYS_INLINE float vf_sum(vf x)
{
    const __m256 v = _mm256_add_ps(_mm512_castps512_ps256(x), upper_ps(x));
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}
static ALWAYS_INLINE float vf_max_lane(vf x)
{
    const __m256 v = _mm256_max_ps(_mm512_castps512_ps256(x), upper_ps(x));
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}

static ALWAYS_INLINE vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
static ALWAYS_INLINE void vi_store(void *p, vi x)
{
    _mm512_storeu_si512(p, x);
}
static ALWAYS_INLINE vi vi_set1(int32_t x)
{
    return _mm512_set1_epi32(x);
}
static ALWAYS_INLINE vi vi_add(vi x, vi y)
{
    return _mm512_add_epi32(x, y);
}
static ALWAYS_INLINE vi vi_sub(vi x, vi y)
{
    return _mm512_sub_epi32(x, y);
}
static ALWAYS_INLINE vi vi_and(vi x, vi y)
{
    return _mm512_and_si512(x, y);
}
static ALWAYS_INLINE vi vi_or(vi x, vi y)
{
    return _mm512_or_si512(x, y);
}
static ALWAYS_INLINE vi vi_max(vi x, vi y)
{
    return _mm512_max_epi32(x, y);
}
static ALWAYS_INLINE vi vi_shl(vi x, int n)
{
    return _mm512_slli_epi32(x, (unsigned)n);
}
static ALWAYS_INLINE vi vi_shr(vi x, int n)
{
    return _mm512_srli_epi32(x, (unsigned)n);
}
static ALWAYS_INLINE vi vi_of_u8(const void *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
static ALWAYS_INLINE vi vi_madd16(vi x, vi y)
{
    return _mm512_madd_epi16(x, y);
}
static ALWAYS_INLINE int32_t vi_sum(vi x)
{
    const __m256i v = _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti32x8_epi32(x, 1));
    __m128i h = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(h, _mm_shuffle_epi32(h, 0xb1)));
}
static ALWAYS_INLINE int32_t vi_max_lane(vi x)
{
    const __m256i v = _mm256_max_epi32(_mm512_castsi512_si256(x), _mm512_extracti32x8_epi32(x, 1));
    __m128i h = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(h, _mm_shuffle_epi32(h, 0xb1)));
}
static ALWAYS_INLINE void vi_store_s8(int8_t *p, vi x)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(x));
}

static ALWAYS_INLINE void vi_store_halves(void *p, vi x)
{
    const __m256i a = _mm512_castsi512_si256(x), b = _mm512_extracti32x8_epi32(x, 1);
    const __m256i low = _mm256_set1_epi32(0xffff);
    const __m256i l = _mm256_packus_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
    const __m256i h = _mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16));
    __m256i *to = p;
    _mm256_storeu_si256(to, _mm256_permute4x64_epi64(l, 0xd8));
    _mm256_storeu_si256(to + 1, _mm256_permute4x64_epi64(h, 0xd8));
}

static ALWAYS_INLINE vb vb_load(const void *p)
{
    return vi_load(p);
}
static ALWAYS_INLINE void vb_store(void *p, vb x)
{
    vi_store(p, x);
}
static ALWAYS_INLINE __m128i row_load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
static ALWAYS_INLINE void vb_rows(const uint8_t *const *rows, size_t at, vb v[4])
{
    __m512i x[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
        x[i] = _mm512_castsi128_si512(row_load(rows[i] + at));
        x[i] = _mm512_inserti32x4(x[i], row_load(rows[i + 4] + at), 1);
        x[i] = _mm512_inserti32x4(x[i], row_load(rows[i + 8] + at), 2);
        x[i] = _mm512_inserti32x4(x[i], row_load(rows[i + 12] + at), 3);
    }
    const __m512i a = _mm512_unpacklo_epi32(x[0], x[1]), b = _mm512_unpacklo_epi32(x[2], x[3]);
    const __m512i c = _mm512_unpackhi_epi32(x[0], x[1]), d = _mm512_unpackhi_epi32(x[2], x[3]);
    v[0] = _mm512_unpacklo_epi64(a, b);
    v[1] = _mm512_unpackhi_epi64(a, b);
    v[2] = _mm512_unpacklo_epi64(c, d);
    v[3] = _mm512_unpackhi_epi64(c, d);
}
static ALWAYS_INLINE vb vb_set0(void)
{
    return _mm512_setzero_si512();
}
static ALWAYS_INLINE vb vb_or(vb x, vb y)
{
    return vi_or(x, y);
}
static ALWAYS_INLINE vb vb_nibble(vb x, bool high)
{
    return vi_and(high ? vi_shr(x, 4) : x, vi_set1(0x0f0f0f0f));
}
static ALWAYS_INLINE vb vb_field(vb x, int from, int n, int to)
{
    const vi mask = vi_set1((int32_t)(((1u << n) - 1) * 0x01010101u << to));
    return vi_and(from < to ? vi_shl(x, to - from) : vi_shr(x, from - to), mask);
}
static ALWAYS_INLINE vb vb_lookup(const uint8_t table[16], vb x)
{
    const __m128i t = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), x);
}

static ALWAYS_INLINE vi four_inputs(const int8_t *a)
{
    int32_t v;
    memcpy(&v, a, sizeof(v));
    return _mm512_set1_epi32(v);
}
static ALWAYS_INLINE vacc vacc_zero(void)
{
    return _mm512_setzero_si512();
}
static ALWAYS_INLINE vacc vacc_dot(vacc c, vb w, const int8_t *a)
{
    return _mm512_dpbusd_epi32(c, w, four_inputs(a));
}
static ALWAYS_INLINE vi vacc_flush(vi sum, vacc c)
{
    return vi_add(sum, c);
}
static ALWAYS_INLINE vi vacc_flush_scaled(vi sum, vacc c, vs scale)
{
    return vi_add(sum, _mm512_mullo_epi32(c, scale));
}
static ALWAYS_INLINE vi vi_dot_s8(vi c, vb w, const int8_t *a)
{
    return _mm512_dpbusd_epi32(c, _mm512_xor_si512(w, vi_set1((int32_t)0x80808080)), four_inputs(a));
}
static ALWAYS_INLINE vi vi_dot_s8_scaled(vi c, vb w, const int8_t *a, vs scale)
{
    (void)scale;
    return vi_dot_s8(c, w, a);
}
static ALWAYS_INLINE vi vi_scale_s8(vi sum, vs scale)
{
    return _mm512_mullo_epi32(sum, scale);
}
/* A scale is an int32. */
static ALWAYS_INLINE vs vs_of_u8(vi x, int n)
{
    return vi_and(vi_shr(x, 8 * n), vi_set1(0xff));
}
static ALWAYS_INLINE vs vs_of_s8(vi x, int n)
{
    return _mm512_srai_epi32(vi_shl(x, 24 - 8 * n), 24);
}
static ALWAYS_INLINE vs vs_of_s6(vi x, int n)
{
    return _mm512_srai_epi32(vi_shl(x, 24 - 8 * n), 26);
}
static ALWAYS_INLINE vi vs_pair(vs x, vs y)
{
    return vi_or(vi_and(x, vi_set1(0xffff)), vi_shl(y, 16));
}

#endif
