/*
 * Sixteen lanes in plain C. The same names exist for each instruction set; what they
 * compute is the same to the bit, which is why no two operations are fused here
 * except by fmaf().
 *   vf 16 floats, vi 16 integers of 32 bits, vb 16 x 4 bytes,
 *   vacc sums of products of bytes, vs 16 scales for such sums
 */
#ifndef ORCD_CPU_LANES_C_H
#define ORCD_CPU_LANES_C_H

#include <math.h>

#include "plugins/cpu/kernels-layout.h"

#define LANES_NAME "c"
#define LANES_TABLE kernels_c
#define LANES_TOKENS_Q 2    /* tokens of a register tile, quantized inputs */
#define LANES_TOKENS_F 2    /* float inputs */
#define LANES_DEPTH(bits) 8 /* quads that a vacc holds without overflow, by bits of the weights */
#define LANES_S8_OFFSET 0   /* vi_dot_s8 adds this times the sum of the inputs */

/* types are run-time values: small code instead of fast code */
#define LANES_SPECIALIZE 0
#define KERNEL_INLINE __attribute__((noinline))
/* before loops over what would be registers */
#define UNROLL

#define EACH for (int i = 0; i < 16; i++)

typedef struct {
    float f[16];
} vf;
typedef struct {
    int32_t i[16];
} vi;
typedef struct {
    uint8_t b[64];
} vb;
typedef vi vacc;
typedef vi vs;

static ALWAYS_INLINE vf vf_load(const float *p)
{
    vf r;
    memcpy(&r, p, sizeof(r));
    return r;
}
static ALWAYS_INLINE void vf_store(float *p, vf a)
{
    memcpy(p, &a, sizeof(a));
}
static ALWAYS_INLINE vf vf_set1(float x)
{
    vf r;
    EACH r.f[i] = x;
    return r;
}
static ALWAYS_INLINE vf vf_add(vf a, vf b)
{
    EACH a.f[i] += b.f[i];
    return a;
}
static ALWAYS_INLINE vf vf_sub(vf a, vf b)
{
    EACH a.f[i] -= b.f[i];
    return a;
}
static ALWAYS_INLINE vf vf_mul(vf a, vf b)
{
    EACH a.f[i] *= b.f[i];
    return a;
}
static ALWAYS_INLINE vf vf_div(vf a, vf b)
{
    EACH a.f[i] /= b.f[i];
    return a;
}
/* a b + c, and -(a b) + c */
static ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c)
{
    EACH c.f[i] = fmaf(a.f[i], b.f[i], c.f[i]);
    return c;
}
static ALWAYS_INLINE vf vf_fnma(vf a, vf b, vf c)
{
    EACH c.f[i] = fmaf(-a.f[i], b.f[i], c.f[i]);
    return c;
}
/* b when the two cannot be ordered, as x86 has it */
static ALWAYS_INLINE vf vf_max(vf a, vf b)
{
    EACH a.f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i];
    return a;
}
static ALWAYS_INLINE vf vf_min(vf a, vf b)
{
    EACH a.f[i] = a.f[i] < b.f[i] ? a.f[i] : b.f[i];
    return a;
}
/* v, but 0 where x < limit */
static ALWAYS_INLINE vf vf_zero_below(vf v, vf x, vf limit)
{
    EACH v.f[i] = x.f[i] < limit.f[i] ? 0.0f : v.f[i];
    return v;
}
/* Lanes from .. to - 1 of v; elsewhere fill. */
static ALWAYS_INLINE vf vf_keep(vf v, int from, int to, float fill)
{
    EACH v.f[i] = i >= from && i < to ? v.f[i] : fill;
    return v;
}
static ALWAYS_INLINE vf vf_of_f16(const void *p)
{
    vf r;
    EACH r.f[i] = float_of_f16(load_u16((const char *)p + 2 * i));
    return r;
}
static ALWAYS_INLINE void vf_to_f16(void *p, vf a)
{
    EACH
    {
        uint16_t h = f16_of_float(a.f[i]);
        memcpy((char *)p + 2 * i, &h, 2);
    }
}
static ALWAYS_INLINE vf vf_of_bf16(const void *p)
{
    vf r;
    EACH r.f[i] = float_of_bits((uint32_t)load_u16((const char *)p + 2 * i) << 16);
    return r;
}
static ALWAYS_INLINE vf vf_of_vi(vi a)
{
    vf r;
    EACH r.f[i] = (float)a.i[i];
    return r;
}
static ALWAYS_INLINE vi vi_bits(vf a)
{
    vi r;
    memcpy(&r, &a, sizeof(r));
    return r;
}
static ALWAYS_INLINE vf vf_bits(vi a)
{
    vf r;
    memcpy(&r, &a, sizeof(r));
    return r;
}
/* The order of these sums is part of the contract: halves, quarters, ... */
static ALWAYS_INLINE float vf_sum(vf a)
{
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++)
            a.f[i] += a.f[i + n];
    return a.f[0];
}
static ALWAYS_INLINE float vf_max_lane(vf a)
{
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++)
            a.f[i] = a.f[i] > a.f[i + n] ? a.f[i] : a.f[i + n];
    return a.f[0];
}

static ALWAYS_INLINE vi vi_load(const void *p)
{
    vi r;
    memcpy(&r, p, sizeof(r));
    return r;
}
static ALWAYS_INLINE void vi_store(void *p, vi a)
{
    memcpy(p, &a, sizeof(a));
}
static ALWAYS_INLINE vi vi_set1(int32_t x)
{
    vi r;
    EACH r.i[i] = x;
    return r;
}
static ALWAYS_INLINE vi vi_add(vi a, vi b)
{
    EACH a.i[i] = (int32_t)((uint32_t)a.i[i] + (uint32_t)b.i[i]);
    return a;
}
static ALWAYS_INLINE vi vi_sub(vi a, vi b)
{
    EACH a.i[i] = (int32_t)((uint32_t)a.i[i] - (uint32_t)b.i[i]);
    return a;
}
static ALWAYS_INLINE vi vi_and(vi a, vi b)
{
    EACH a.i[i] &= b.i[i];
    return a;
}
static ALWAYS_INLINE vi vi_or(vi a, vi b)
{
    EACH a.i[i] |= b.i[i];
    return a;
}
static ALWAYS_INLINE vi vi_max(vi a, vi b)
{
    EACH a.i[i] = a.i[i] > b.i[i] ? a.i[i] : b.i[i];
    return a;
}
/* n is a constant */
static ALWAYS_INLINE vi vi_shl(vi a, int n)
{
    EACH a.i[i] = (int32_t)((uint32_t)a.i[i] << n);
    return a;
}
static ALWAYS_INLINE vi vi_shr(vi a, int n)
{
    EACH a.i[i] = (int32_t)((uint32_t)a.i[i] >> n);
    return a;
}
/* 16 bytes, a lane each. */
static ALWAYS_INLINE vi vi_of_u8(const void *p)
{
    vi r;
    EACH r.i[i] = ((const uint8_t *)p)[i];
    return r;
}
/* Of the two int16 of each lane: a0 b0 + a1 b1. */
static ALWAYS_INLINE vi vi_madd16(vi a, vi b)
{
    EACH
    {
        int32_t lo = (int16_t)(a.i[i] & 0xffff) * (int16_t)(b.i[i] & 0xffff);
        a.i[i] = lo + (int16_t)(a.i[i] >> 16) * (int16_t)(b.i[i] >> 16);
    }
    return a;
}
static ALWAYS_INLINE int32_t vi_sum(vi a)
{
    int32_t s = 0;
    EACH s += a.i[i];
    return s;
}
static ALWAYS_INLINE int32_t vi_max_lane(vi a)
{
    int32_t m = a.i[0];
    EACH m = a.i[i] > m ? a.i[i] : m;
    return m;
}
/* The low bytes of the lanes. */
static ALWAYS_INLINE void vi_store_s8(int8_t *p, vi a)
{
    EACH p[i] = (int8_t)a.i[i];
}

/* The low halves of the lanes, then the high halves. */
static ALWAYS_INLINE void vi_store_halves(void *p, vi a)
{
    uint16_t h[32];
    EACH h[i] = (uint16_t)(a.i[i] & 0xffff);
    EACH h[16 + i] = (uint16_t)((uint32_t)a.i[i] >> 16);
    memcpy(p, h, sizeof(h));
}

static ALWAYS_INLINE vb vb_load(const void *p)
{
    vb r;
    memcpy(&r, p, sizeof(r));
    return r;
}
static ALWAYS_INLINE void vb_store(void *p, vb a)
{
    memcpy(p, &a, sizeof(a));
}
/* 16 bytes of each of 16 rows, `at` bytes behind its start: v[i] has those from 4 i on. */
static ALWAYS_INLINE void vb_rows(const uint8_t *const *rows, size_t at, vb v[4])
{
    for (int i = 0; i < 4; i++)
        for (int r = 0; r < 16; r++)
            memcpy(v[i].b + 4 * r, rows[r] + at + 4 * i, 4);
}
static ALWAYS_INLINE vb vb_set0(void)
{
    return (vb){0};
}
static ALWAYS_INLINE vb vb_or(vb a, vb b)
{
    for (int i = 0; i < 64; i++)
        a.b[i] |= b.b[i];
    return a;
}
/* The nibbles, low or high. */
static ALWAYS_INLINE vb vb_nibble(vb a, bool high)
{
    for (int i = 0; i < 64; i++)
        a.b[i] = high ? a.b[i] >> 4 : a.b[i] & 15;
    return a;
}
/* n bits of each byte from bit `from` on, moved to bit `to`. Constants. */
static ALWAYS_INLINE vb vb_field(vb a, int from, int n, int to)
{
    for (int i = 0; i < 64; i++)
        a.b[i] = (uint8_t)((a.b[i] >> from & ((1 << n) - 1)) << to);
    return a;
}
/* Each byte's entry of the table; they are below 16. */
static ALWAYS_INLINE vb vb_lookup(const uint8_t table[16], vb a)
{
    for (int i = 0; i < 64; i++)
        a.b[i] = table[a.b[i] & 15];
    return a;
}

/* c + the products of 4 unsigned weights a lane and 4 inputs at a */
static ALWAYS_INLINE vacc vacc_zero(void)
{
    return vi_set1(0);
}
static ALWAYS_INLINE vacc vacc_dot(vacc c, vb w, const int8_t *a)
{
    EACH for (int j = 0; j < 4; j++) c.i[i] += w.b[4 * i + j] * a[j];
    return c;
}
static ALWAYS_INLINE vi vacc_flush(vi sum, vacc c)
{
    return vi_add(sum, c);
}
static ALWAYS_INLINE vi vacc_flush_scaled(vi sum, vacc c, vs scale)
{
    EACH sum.i[i] += c.i[i] * scale.i[i];
    return sum;
}
static ALWAYS_INLINE vi vi_dot_s8(vi c, vb w, const int8_t *a)
{
    EACH for (int j = 0; j < 4; j++) c.i[i] += (int8_t)w.b[4 * i + j] * a[j];
    return c;
}
/* The same, every product times the lane's scale: each at once, or all at the end by
 * vi_scale_s8, as it costs less. */
static ALWAYS_INLINE vi vi_dot_s8_scaled(vi c, vb w, const int8_t *a, vs scale)
{
    (void)scale;
    return vi_dot_s8(c, w, a);
}
static ALWAYS_INLINE vi vi_scale_s8(vi sum, vs scale)
{
    EACH sum.i[i] *= scale.i[i];
    return sum;
}
/* Byte n of each lane as a scale, unsigned or signed; s6: signed, in its upper six bits. */
static ALWAYS_INLINE vs vs_of_u8(vi a, int n)
{
    EACH a.i[i] = a.i[i] >> 8 * n & 0xff;
    return a;
}
static ALWAYS_INLINE vs vs_of_s8(vi a, int n)
{
    EACH a.i[i] = (int8_t)(a.i[i] >> 8 * n & 0xff);
    return a;
}
static ALWAYS_INLINE vs vs_of_s6(vi a, int n)
{
    EACH a.i[i] = (int8_t)(a.i[i] >> 8 * n & 0xff) >> 2;
    return a;
}
/* Two scales in the int16 halves of a lane, for vi_madd16. */
static ALWAYS_INLINE vi vs_pair(vs a, vs b)
{
    EACH a.i[i] = (int32_t)((uint32_t)(a.i[i] & 0xffff) | (uint32_t)b.i[i] << 16);
    return a;
}

#endif
