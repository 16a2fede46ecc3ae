/* Reference dequantizers of plain types and of the 32-wide blocks. Layouts: docs/formats.md. */
#include <math.h>

#include "model/quant-codec.h"

const int8_t quant_iq4_values[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t quant_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

#define DECODE_PLAIN(name, type)                                                                             \
    void quant_decode_##name(const void *src, float *dst, size_t n)                                          \
    {                                                                                                        \
        const unsigned char *p = src;                                                                        \
        for (size_t i = 0; i < n; i++) {                                                                     \
            type v;                                                                                          \
            memcpy(&v, p + i * sizeof(v), sizeof(v));                                                        \
            dst[i] = (float)v;                                                                               \
        }                                                                                                    \
    }
DECODE_PLAIN(f32, float)
DECODE_PLAIN(f64, double)
DECODE_PLAIN(i8, int8_t)
DECODE_PLAIN(i16, int16_t)
DECODE_PLAIN(i32, int32_t)
DECODE_PLAIN(i64, int64_t)

void quant_decode_f16(const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = load_f16(p + 2 * i);
}

void quant_decode_bf16(const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i++)
        dst[i] = quant_bf16_to_f32(load_u16(p + 2 * i));
}

void quant_decode_q4_0(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QK, b += 18, dst += QK) {
        float d = load_f16(b);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)((b[2 + j] & 15) - 8);
            dst[j + 16] = d * (float)((b[2 + j] >> 4) - 8);
        }
    }
}

void quant_decode_q4_1(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QK, b += 20, dst += QK) {
        float d = load_f16(b), m = load_f16(b + 2);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)(b[4 + j] & 15) + m;
            dst[j + 16] = d * (float)(b[4 + j] >> 4) + m;
        }
    }
}

void quant_decode_q5_0(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QK, b += 22, dst += QK) {
        float d = load_f16(b);
        uint32_t high = load_u32(b + 2);
        for (int j = 0; j < 16; j++) {
            int lo = (b[6 + j] & 15) | (int)(high >> j & 1) << 4;
            int hi = b[6 + j] >> 4 | (int)(high >> (j + 16) & 1) << 4;
            dst[j] = d * (float)(lo - 16);
            dst[j + 16] = d * (float)(hi - 16);
        }
    }
}

void quant_decode_q5_1(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QK, b += 24, dst += QK) {
        float d = load_f16(b), m = load_f16(b + 2);
        uint32_t high = load_u32(b + 4);
        for (int j = 0; j < 16; j++) {
            int lo = (b[8 + j] & 15) | (int)(high >> j & 1) << 4;
            int hi = b[8 + j] >> 4 | (int)(high >> (j + 16) & 1) << 4;
            dst[j] = d * (float)lo + m;
            dst[j + 16] = d * (float)hi + m;
        }
    }
}

void quant_decode_q8_0(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QK, b += 34, dst += QK) {
        float d = load_f16(b);
        for (int j = 0; j < QK; j++)
            dst[j] = d * (float)(int8_t)b[2 + j];
    }
}

void quant_decode_q8_1(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QK, b += 36, dst += QK) {
        float d = load_f16(b);
        for (int j = 0; j < QK; j++)
            dst[j] = d * (float)(int8_t)b[4 + j];
    }
}

void quant_decode_iq4_nl(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QK, b += 18, dst += QK) {
        float d = load_f16(b);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)quant_iq4_values[b[2 + j] & 15];
            dst[j + 16] = d * (float)quant_iq4_values[b[2 + j] >> 4];
        }
    }
}

void quant_decode_mxfp4(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QK, b += 17, dst += QK) {
        float d = ldexpf(1.0f, (int)b[0] - 128); /* 0 and 1: subnormal, exact */
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)quant_mxfp4_values[b[1 + j] & 15];
            dst[j + 16] = d * (float)quant_mxfp4_values[b[1 + j] >> 4];
        }
    }
}
