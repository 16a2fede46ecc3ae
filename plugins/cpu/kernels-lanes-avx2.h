/*
 * Sixteen lanes in two AVX2 registers (with FMA and F16C). What each function computes
 * is told in kernels-lanes-c.h.
 *
 * Products of bytes are summed in pairs as int16 (vpmaddubsw). With weights of 4 bits a
 * pair is at most 2 * 15 * 127, so 8 of them add up without overflow; 4 with 5 bits
 * (2 * 31 * 127), 2 with 6 (2 * 63 * 127). Signed bytes: |w| times the input with the
 * sign of w, at most 2 * 128 * 127.
 */
#ifndef ORCD_CPU_LANES_AVX2_H
#define ORCD_CPU_LANES_AVX2_H

#include <immintrin.h>
#include <math.h>

#include "plugins/cpu/kernels-layout.h"

#define LANES_NAME "avx2"
#define LANES_TABLE kernels_avx2
#define LANES_TOKENS_Q 4
#define LANES_TOKENS_F 6
#define LANES_DEPTH(bits) ((bits) <= 4 ? 8 : (bits) == 5 ? 4 : 2)
#define LANES_S8_OFFSET 0
#ifdef KERNELS_SMALL
#define LANES_SPECIALIZE 0
#define KERNEL_INLINE __attribute__((noinline))
#define UNROLL
#else
#define LANES_SPECIALIZE 1
#define KERNEL_INLINE ALWAYS_INLINE
#define UNROLL LANES_UNROLL
#endif

typedef struct {
    __m256 a, b;
} vf;
typedef struct {
    __m256i a, b;
} vi;
typedef vi vb;
typedef vi vacc;
typedef vi vs;

#define VF(op, x, y)                                                                                         \
    (vf)                                                                                                     \
    {                                                                                                        \
        op((x).a, (y).a), op((x).b, (y).b)                                                                   \
    }
#define VI(op, x, y)                                                                                         \
    (vi)                                                                                                     \
    {                                                                                                        \
        op((x).a, (y).a), op((x).b, (y).b)                                                                   \
    }

static ALWAYS_INLINE vf vf_load(const float *p)
{
    return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
static ALWAYS_INLINE void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
static ALWAYS_INLINE vf vf_set1(float x)
{
    const __m256 v = _mm256_set1_ps(x);
    return (vf){v, v};
}
static ALWAYS_INLINE vf vf_add(vf x, vf y)
{
    return VF(_mm256_add_ps, x, y);
}
static ALWAYS_INLINE vf vf_sub(vf x, vf y)
{
    return VF(_mm256_sub_ps, x, y);
}
static ALWAYS_INLINE vf vf_mul(vf x, vf y)
{
    return VF(_mm256_mul_ps, x, y);
}
static ALWAYS_INLINE vf vf_div(vf x, vf y)
{
    return VF(_mm256_div_ps, x, y);
}
static ALWAYS_INLINE vf vf_fma(vf x, vf y, vf z)
{
    return (vf){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
static ALWAYS_INLINE vf vf_fnma(vf x, vf y, vf z)
{
    return (vf){_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
static ALWAYS_INLINE vf vf_max(vf x, vf y)
{
    return VF(_mm256_max_ps, x, y);
}
static ALWAYS_INLINE vf vf_min(vf x, vf y)
{
    return VF(_mm256_min_ps, x, y);
}
static ALWAYS_INLINE vf vf_zero_below(vf v, vf x, vf limit)
{
    return (vf){_mm256_andnot_ps(_mm256_cmp_ps(x.a, limit.a, _CMP_LT_OQ), v.a),
        _mm256_andnot_ps(_mm256_cmp_ps(x.b, limit.b, _CMP_LT_OQ), v.b)};
}
static ALWAYS_INLINE vf vf_keep(vf v, int from, int to, float fill)
{
    const __m256i f = _mm256_set1_epi32(from - 1), t = _mm256_set1_epi32(to);
    const __m256i i0 = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                  i1 = _mm256_add_epi32(i0, _mm256_set1_epi32(8));
    const __m256 x = _mm256_set1_ps(fill);
    const __m256i m0 = _mm256_and_si256(_mm256_cmpgt_epi32(i0, f), _mm256_cmpgt_epi32(t, i0));
    const __m256i m1 = _mm256_and_si256(_mm256_cmpgt_epi32(i1, f), _mm256_cmpgt_epi32(t, i1));
    return (vf){
        _mm256_blendv_ps(x, v.a, _mm256_castsi256_ps(m0)), _mm256_blendv_ps(x, v.b, _mm256_castsi256_ps(m1))};
}
static ALWAYS_INLINE vf vf_of_f16(const void *p)
{
    const __m128i *h = p;
    return (vf){_mm256_cvtph_ps(_mm_loadu_si128(h)), _mm256_cvtph_ps(_mm_loadu_si128(h + 1))};
}
static ALWAYS_INLINE void vf_to_f16(void *p, vf x)
{
    __m128i *h = p;
    _mm_storeu_si128(h, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(h + 1, _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
static ALWAYS_INLINE vf vf_of_bf16(const void *p)
{
    const __m128i *h = p;
    const __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128(h)),
                  y = _mm256_cvtepu16_epi32(_mm_loadu_si128(h + 1));
    return (vf){_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(y, 16))};
}
static ALWAYS_INLINE vf vf_of_vi(vi x)
{
    return (vf){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
static ALWAYS_INLINE vi vi_bits(vf x)
{
    return (vi){_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)};
}
static ALWAYS_INLINE vf vf_bits(vi x)
{
    return (vf){_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)};
}
static ALWAYS_INLINE float vf_sum(vf x)
{
    const __m256 v = _mm256_add_ps(x.a, x.b);
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}
static ALWAYS_INLINE float vf_max_lane(vf x)
{
    const __m256 v = _mm256_max_ps(x.a, x.b);
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}

static ALWAYS_INLINE vi vi_load(const void *p)
{
    const __m256i *v = p;
    return (vi){_mm256_loadu_si256(v), _mm256_loadu_si256(v + 1)};
}
static ALWAYS_INLINE void vi_store(void *p, vi x)
{
    __m256i *v = p;
    _mm256_storeu_si256(v, x.a);
    _mm256_storeu_si256(v + 1, x.b);
}
static ALWAYS_INLINE vi vi_set1(int32_t x)
{
    const __m256i v = _mm256_set1_epi32(x);
    return (vi){v, v};
}
static ALWAYS_INLINE vi vi_add(vi x, vi y)
{
    return VI(_mm256_add_epi32, x, y);
}
static ALWAYS_INLINE vi vi_sub(vi x, vi y)
{
    return VI(_mm256_sub_epi32, x, y);
}
static ALWAYS_INLINE vi vi_and(vi x, vi y)
{
    return VI(_mm256_and_si256, x, y);
}
static ALWAYS_INLINE vi vi_or(vi x, vi y)
{
    return VI(_mm256_or_si256, x, y);
}
static ALWAYS_INLINE vi vi_max(vi x, vi y)
{
    return VI(_mm256_max_epi32, x, y);
}
static ALWAYS_INLINE vi vi_shl(vi x, int n)
{
    return (vi){_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)};
}
static ALWAYS_INLINE vi vi_shr(vi x, int n)
{
    return (vi){_mm256_srli_epi32(x.a, n), _mm256_srli_epi32(x.b, n)};
}
static ALWAYS_INLINE vi vi_of_u8(const void *p)
{
    const __m128i b = _mm_loadu_si128(p);
    return (vi){_mm256_cvtepu8_epi32(b), _mm256_cvtepu8_epi32(_mm_srli_si128(b, 8))};
}
static ALWAYS_INLINE vi vi_madd16(vi x, vi y)
{
    return VI(_mm256_madd_epi16, x, y);
}
static ALWAYS_INLINE int32_t vi_sum(vi x)
{
    const __m256i v = _mm256_add_epi32(x.a, x.b);
    __m128i h = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(h, _mm_shuffle_epi32(h, 0xb1)));
}
static ALWAYS_INLINE int32_t vi_max_lane(vi x)
{
    const __m256i v = _mm256_max_epi32(x.a, x.b);
    __m128i h = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(h, _mm_shuffle_epi32(h, 0xb1)));
}
static ALWAYS_INLINE void vi_store_s8(int8_t *p, vi x)
{
    const __m256i h = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
    const __m128i b = _mm_packs_epi16(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    _mm_storeu_si128((__m128i *)(void *)p, b);
}

static ALWAYS_INLINE void vi_store_halves(void *p, vi x)
{
    const __m256i low = _mm256_set1_epi32(0xffff);
    const __m256i l = _mm256_packus_epi32(_mm256_and_si256(x.a, low), _mm256_and_si256(x.b, low));
    const __m256i h = _mm256_packus_epi32(_mm256_srli_epi32(x.a, 16), _mm256_srli_epi32(x.b, 16));
    vi_store(p, (vi){_mm256_permute4x64_epi64(l, 0xd8), _mm256_permute4x64_epi64(h, 0xd8)});
}

static ALWAYS_INLINE vb vb_load(const void *p)
{
    return vi_load(p);
}
static ALWAYS_INLINE void vb_store(void *p, vb x)
{
    vi_store(p, x);
}
static ALWAYS_INLINE void vb_rows(const uint8_t *const *rows, size_t at, vb v[4])
{
    __m256i x[8], u[8];
    UNROLL
    for (int i = 0; i < 8; i++) {
        const uint8_t *const *r = rows + i / 4 * 8 + i % 4;
        const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(r[0] + at));
        const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(r[4] + at));
        x[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_unpacklo_epi32(x[i], x[i + 1]);
        u[i + 1] = _mm256_unpacklo_epi32(x[i + 2], x[i + 3]);
        u[i + 2] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
        u[i + 3] = _mm256_unpackhi_epi32(x[i + 2], x[i + 3]);
    }
    UNROLL
    for (int i = 0; i < 4; i += 2) {
        v[i] = (vb){_mm256_unpacklo_epi64(u[i], u[i + 1]), _mm256_unpacklo_epi64(u[i + 4], u[i + 5])};
        v[i + 1] = (vb){_mm256_unpackhi_epi64(u[i], u[i + 1]), _mm256_unpackhi_epi64(u[i + 4], u[i + 5])};
    }
}
static ALWAYS_INLINE vb vb_set0(void)
{
    return (vb){_mm256_setzero_si256(), _mm256_setzero_si256()};
}
static ALWAYS_INLINE vb vb_or(vb x, vb y)
{
    return vi_or(x, y);
}
static ALWAYS_INLINE vb vb_nibble(vb x, bool high)
{
    const __m256i m = _mm256_set1_epi8(15);
    if (high)
        x = (vb){_mm256_srli_epi16(x.a, 4), _mm256_srli_epi16(x.b, 4)};
    return (vb){_mm256_and_si256(x.a, m), _mm256_and_si256(x.b, m)};
}
static ALWAYS_INLINE vb vb_field(vb x, int from, int n, int to)
{
    const __m256i m = _mm256_set1_epi8((char)(((1 << n) - 1) << to));
    if (from < to)
        x = (vb){_mm256_slli_epi16(x.a, to - from), _mm256_slli_epi16(x.b, to - from)};
    else if (from > to)
        x = (vb){_mm256_srli_epi16(x.a, from - to), _mm256_srli_epi16(x.b, from - to)};
    return (vb){_mm256_and_si256(x.a, m), _mm256_and_si256(x.b, m)};
}
static ALWAYS_INLINE vb vb_lookup(const uint8_t table[16], vb x)
{
    const __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
    return (vb){_mm256_shuffle_epi8(t, x.a), _mm256_shuffle_epi8(t, x.b)};
}

static ALWAYS_INLINE __m256i four_inputs(const int8_t *a)
{
    int32_t v;
    memcpy(&v, a, sizeof(v));
    return _mm256_set1_epi32(v);
}
static ALWAYS_INLINE vacc vacc_zero(void)
{
    return vi_set1(0);
}
/* Keeps the compiler from regrouping a chain of sums, which costs it more registers than there are. */
static ALWAYS_INLINE __m256i pinned(__m256i x)
{
    __asm__("" : "+x"(x));
    return x;
}
static ALWAYS_INLINE vacc vacc_dot(vacc c, vb w, const int8_t *a)
{
    const __m256i x = four_inputs(a);
    return (vacc){pinned(_mm256_add_epi16(c.a, _mm256_maddubs_epi16(w.a, x))),
        pinned(_mm256_add_epi16(c.b, _mm256_maddubs_epi16(w.b, x)))};
}
static ALWAYS_INLINE vi vacc_flush(vi sum, vacc c)
{
    const __m256i one = _mm256_set1_epi16(1);
    return (vi){_mm256_add_epi32(sum.a, _mm256_madd_epi16(c.a, one)),
        _mm256_add_epi32(sum.b, _mm256_madd_epi16(c.b, one))};
}
static ALWAYS_INLINE vi vacc_flush_scaled(vi sum, vacc c, vs scale)
{
    return vi_add(sum, vi_madd16(c, scale));
}
static ALWAYS_INLINE __m256i dot_s8(__m256i c, __m256i w, __m256i x, __m256i scale)
{
    const __m256i p = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return pinned(_mm256_add_epi32(c, _mm256_madd_epi16(p, scale)));
}
static ALWAYS_INLINE vi vi_dot_s8(vi c, vb w, const int8_t *a)
{
    const __m256i x = four_inputs(a), one = _mm256_set1_epi16(1);
    return (vi){dot_s8(c.a, w.a, x, one), dot_s8(c.b, w.b, x, one)};
}
static ALWAYS_INLINE vi vi_dot_s8_scaled(vi c, vb w, const int8_t *a, vs scale)
{
    const __m256i x = four_inputs(a);
    return (vi){dot_s8(c.a, w.a, x, scale.a), dot_s8(c.b, w.b, x, scale.b)};
}
static ALWAYS_INLINE vi vi_scale_s8(vi sum, vs scale)
{
    (void)scale;
    return sum;
}
/* A scale is an int16 in both halves of its lane. */
static ALWAYS_INLINE vs vs_of_u8(vi x, int n)
{
    const __m256i at = _mm256_add_epi8(_mm256_set1_epi8((char)n),
        _mm256_setr_epi8(0, -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12, -128, 0, -128, 0,
            -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12, -128));
    return (vs){_mm256_shuffle_epi8(x.a, at), _mm256_shuffle_epi8(x.b, at)};
}
static ALWAYS_INLINE vi upper_bytes(vi x, int n)
{
    const __m256i at = _mm256_add_epi8(_mm256_set1_epi8((char)n),
        _mm256_setr_epi8(-128, 0, -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12, -128, 0,
            -128, 0, -128, 4, -128, 4, -128, 8, -128, 8, -128, 12, -128, 12));
    return (vi){_mm256_shuffle_epi8(x.a, at), _mm256_shuffle_epi8(x.b, at)};
}
static ALWAYS_INLINE vs vs_of_s8(vi x, int n)
{
    x = upper_bytes(x, n);
    return (vs){_mm256_srai_epi16(x.a, 8), _mm256_srai_epi16(x.b, 8)};
}
static ALWAYS_INLINE vs vs_of_s6(vi x, int n)
{
    x = upper_bytes(x, n);
    return (vs){_mm256_srai_epi16(x.a, 10), _mm256_srai_epi16(x.b, 10)};
}
static ALWAYS_INLINE vi vs_pair(vs x, vs y)
{
    return (vi){_mm256_blend_epi16(x.a, y.a, 0xaa), _mm256_blend_epi16(x.b, y.b, 0xaa)};
}

#endif
