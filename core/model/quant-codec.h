/*
 * What the files of quant-types share: the codecs, and unaligned loads. All other code includes
 * quant-types.h.
 *
 * Pure functions without state: any thread may call them at any time, in any order.
 */
#ifndef ORCD_MODEL_QUANT_CODEC_H
#define ORCD_MODEL_QUANT_CODEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "model/quant-types.h"

#define QK 32   /* elements of a small block */
#define QKK 256 /* elements of a K block */

extern const int8_t quant_iq4_values[16];
extern const int8_t quant_mxfp4_values[16]; /* twice the values of the format */

static inline uint16_t load_u16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t load_u32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline float load_f16(const void *p)
{
    return quant_f16_to_f32(load_u16(p));
}

static inline void store_f16(void *p, float f)
{
    uint16_t v = quant_f32_to_f16(f);
    memcpy(p, &v, sizeof(v));
}

/* For the quantizers: rounds and clamps. NaN becomes lo. */
static inline int clamp_round(float x, int lo, int hi)
{
    if (!(x > (float)lo))
        return lo;
    return x >= (float)hi ? hi : (int)lrintf(x);
}

static inline float inverse(float d)
{
    return d != 0 ? 1.0f / d : 0.0f;
}

/* The index of the value nearest to x in a table of 16. */
int quant_nearest(const int8_t *values, float x);

/* The 12 scale bytes of Q4_K and Q5_K: 8 six-bit scales and 8 six-bit minima. */
static inline void k_scales_unpack(const uint8_t *b, uint8_t sc[8], uint8_t m[8])
{
    for (int j = 0; j < 4; j++) {
        sc[j] = b[j] & 63;
        m[j] = b[j + 4] & 63;
        sc[j + 4] = (uint8_t)((b[j + 8] & 15) | (b[j] >> 6) << 4);
        m[j + 4] = (uint8_t)(b[j + 8] >> 4 | (b[j + 4] >> 6) << 4);
    }
}

#define QUANT_CODEC(name)                                                                                    \
    void quant_decode_##name(const void *src, float *dst, size_t n);                                         \
    void quant_encode_##name(const float *src, void *dst, size_t n)

QUANT_CODEC(f32);
QUANT_CODEC(f16);
QUANT_CODEC(bf16);
QUANT_CODEC(f64);
QUANT_CODEC(i8);
QUANT_CODEC(i16);
QUANT_CODEC(i32);
QUANT_CODEC(i64);
QUANT_CODEC(q4_0);
QUANT_CODEC(q4_1);
QUANT_CODEC(q5_0);
QUANT_CODEC(q5_1);
QUANT_CODEC(q8_0);
QUANT_CODEC(q8_1);
QUANT_CODEC(q2_k);
QUANT_CODEC(q3_k);
QUANT_CODEC(q4_k);
QUANT_CODEC(q5_k);
QUANT_CODEC(q6_k);
QUANT_CODEC(q8_k);
QUANT_CODEC(iq4_nl);
QUANT_CODEC(iq4_xs);
QUANT_CODEC(mxfp4);
#undef QUANT_CODEC

#endif
