/*
 * AVX-512 instructions emulated by SIMDe, and those that some of its versions lack. A test
 * compiles the AVX-512 kernels over this, so that their logic is checked on any machine.
 */
#ifndef ORCD_TESTS_SIMDE_AVX512_H
#define ORCD_TESTS_SIMDE_AVX512_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#define SIMDE_NO_NATIVE
#include <simde/x86/fma.h>
#include <simde/x86/f16c.h>
#include <simde/x86/avx512.h>

#include <math.h>
#include <stdint.h>

#ifndef __mmask16
#define __mmask16 simde__mmask16
#endif
#ifndef _MM_FROUND_NO_EXC
#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC
#endif

union emulated {
    __m512 f;
    __m512i i;
    __m256 hf[2];
    __m256i hi[2];
    __m128i qi[4];
    float f32[16];
    int32_t i32[16];
    uint16_t u16[32];
    int8_t i8[64];
};

/* An older SIMDe defines this name with the arguments of its masked form. */
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)

/* SIMDe rounds twice, after the product and after the sum. */
#undef _mm512_fmadd_ps
#define _mm512_fmadd_ps(a, b, c) emulated_fmadd_ps(a, b, c, 1.0f)
#undef _mm512_fnmadd_ps
#define _mm512_fnmadd_ps(a, b, c) emulated_fmadd_ps(a, b, c, -1.0f)
static inline __m512 emulated_fmadd_ps(__m512 a, __m512 b, __m512 c, float sign)
{
    union emulated x, y, z;
    x.f = a;
    y.f = b;
    z.f = c;
    for (int i = 0; i < 16; i++)
        z.f32[i] = fmaf(sign * x.f32[i], y.f32[i], z.f32[i]);
    return z.f;
}

#ifndef _mm512_cvtph_ps
#define _mm512_cvtph_ps(h) emulated_cvtph_ps(h)
static inline __m512 emulated_cvtph_ps(__m256i h)
{
    union emulated from, to;
    from.hi[0] = h;
    to.hf[0] = _mm256_cvtph_ps(from.qi[0]);
    to.hf[1] = _mm256_cvtph_ps(from.qi[1]);
    return to.f;
}
#endif

#ifndef _mm512_cvtps_ph
#define _mm512_cvtps_ph(x, mode) emulated_cvtps_ph(x)
static inline __m256i emulated_cvtps_ph(__m512 x)
{
    union emulated from, to;
    from.f = x;
    to.qi[0] = _mm256_cvtps_ph(from.hf[0], _MM_FROUND_TO_NEAREST_INT);
    to.qi[1] = _mm256_cvtps_ph(from.hf[1], _MM_FROUND_TO_NEAREST_INT);
    return to.hi[0];
}
#endif

#ifndef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(x) emulated_cvtepu16_epi32(x)
static inline __m512i emulated_cvtepu16_epi32(__m256i x)
{
    union emulated from, to;
    from.hi[0] = x;
    for (int i = 0; i < 16; i++)
        to.i32[i] = from.u16[i];
    return to.i;
}
#endif

#ifndef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32(x) emulated_cvtepu8_epi32(x)
static inline __m512i emulated_cvtepu8_epi32(__m128i x)
{
    union emulated from, to;
    from.qi[0] = x;
    for (int i = 0; i < 16; i++)
        to.i32[i] = (uint8_t)from.i8[i];
    return to.i;
}
#endif

#ifndef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(x) emulated_cvtepi32_ps(x)
static inline __m512 emulated_cvtepi32_ps(__m512i x)
{
    union emulated from, to;
    from.i = x;
    for (int i = 0; i < 16; i++)
        to.f32[i] = (float)from.i32[i];
    return to.f;
}
#endif

#ifndef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8(x) emulated_cvtepi32_epi8(x)
static inline __m128i emulated_cvtepi32_epi8(__m512i x)
{
    union emulated from, to;
    from.i = x;
    for (int i = 0; i < 16; i++)
        to.i8[i] = (int8_t)from.i32[i];
    return to.qi[0];
}
#endif

#ifndef _mm512_srai_epi32
#define _mm512_srai_epi32(x, n) emulated_srai_epi32(x, n)
static inline __m512i emulated_srai_epi32(__m512i x, int n)
{
    union emulated v;
    v.i = x;
    for (int i = 0; i < 16; i++)
        v.i32[i] >>= n;
    return v.i;
}
#endif

#ifndef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(x, n) emulated_extractf32x8_ps(x, n)
static inline __m256 emulated_extractf32x8_ps(__m512 x, int n)
{
    union emulated v;
    v.f = x;
    return v.hf[n];
}
#endif

#ifndef _mm512_extracti32x8_epi32
#define _mm512_extracti32x8_epi32(x, n) emulated_extracti32x8_epi32(x, n)
static inline __m256i emulated_extracti32x8_epi32(__m512i x, int n)
{
    union emulated v;
    v.i = x;
    return v.hi[n];
}
#endif

#endif
