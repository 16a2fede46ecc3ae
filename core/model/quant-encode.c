/* Plain round-to-nearest quantizers of plain types and of the 32-wide blocks. */
#include <math.h>

#include "model/quant-codec.h"

/* The element of largest magnitude, with its sign. */
static float signed_max(const float *x, int n)
{
    float best = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(best))
            best = x[i];
    return best;
}

static void min_max(const float *x, int n, float *min, float *max)
{
    *min = *max = x[0];
    for (int i = 1; i < n; i++) {
        *min = fminf(*min, x[i]);
        *max = fmaxf(*max, x[i]);
    }
}

void quant_encode_f32(const float *src, void *dst, size_t n)
{
    memcpy(dst, src, n * sizeof(float));
}

void quant_encode_f16(const float *src, void *dst, size_t n)
{
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i++)
        store_f16(p + 2 * i, src[i]);
}

void quant_encode_bf16(const float *src, void *dst, size_t n)
{
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i++) {
        uint16_t v = quant_f32_to_bf16(src[i]);
        memcpy(p + 2 * i, &v, sizeof(v));
    }
}

void quant_encode_q4_0(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QK, b += 18, src += QK) {
        store_f16(b, signed_max(src, QK) / -8.0f);
        float inv = inverse(load_f16(b));
        for (int j = 0; j < 16; j++) {
            int lo = clamp_round(src[j] * inv + 8, 0, 15), hi = clamp_round(src[j + 16] * inv + 8, 0, 15);
            b[2 + j] = (uint8_t)(lo | hi << 4);
        }
    }
}

void quant_encode_q4_1(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QK, b += 20, src += QK) {
        float min, max;
        min_max(src, QK, &min, &max);
        store_f16(b, (max - min) / 15);
        store_f16(b + 2, min);
        float inv = inverse(load_f16(b)), m = load_f16(b + 2);
        for (int j = 0; j < 16; j++) {
            int lo = clamp_round((src[j] - m) * inv, 0, 15), hi = clamp_round((src[j + 16] - m) * inv, 0, 15);
            b[4 + j] = (uint8_t)(lo | hi << 4);
        }
    }
}

/* Five-bit values: 16 bytes of low nibbles at qs, the fifth bits in the word at qh. */
static void pack5(const int q[QK], uint8_t *qh, uint8_t *qs)
{
    uint32_t high = 0;
    for (int j = 0; j < QK; j++)
        high |= (uint32_t)(q[j] >> 4) << j;
    memcpy(qh, &high, sizeof(high));
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
}

void quant_encode_q5_0(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QK, b += 22, src += QK) {
        store_f16(b, signed_max(src, QK) / -16.0f);
        float inv = inverse(load_f16(b));
        int q[QK];
        for (int j = 0; j < QK; j++)
            q[j] = clamp_round(src[j] * inv + 16, 0, 31);
        pack5(q, b + 2, b + 6);
    }
}

void quant_encode_q5_1(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QK, b += 24, src += QK) {
        float min, max;
        min_max(src, QK, &min, &max);
        store_f16(b, (max - min) / 31);
        store_f16(b + 2, min);
        float inv = inverse(load_f16(b)), m = load_f16(b + 2);
        int q[QK];
        for (int j = 0; j < QK; j++)
            q[j] = clamp_round((src[j] - m) * inv, 0, 31);
        pack5(q, b + 4, b + 8);
    }
}

void quant_encode_q8_0(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QK, b += 34, src += QK) {
        store_f16(b, fabsf(signed_max(src, QK)) / 127);
        float inv = inverse(load_f16(b));
        for (int j = 0; j < QK; j++)
            b[2 + j] = (uint8_t)(int8_t)clamp_round(src[j] * inv, -127, 127);
    }
}

int quant_nearest(const int8_t *values, float x)
{
    int best = 0;
    for (int i = 1; i < 16; i++)
        if (fabsf(x - (float)values[i]) < fabsf(x - (float)values[best]))
            best = i;
    return best;
}

static void pack_nearest(const int8_t *values, const float *src, float inv, uint8_t *qs)
{
    for (int j = 0; j < 16; j++)
        qs[j] =
            (uint8_t)(quant_nearest(values, src[j] * inv) | quant_nearest(values, src[j + 16] * inv) << 4);
}

void quant_encode_iq4_nl(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QK, b += 18, src += QK) {
        store_f16(b, signed_max(src, QK) / -127.0f);
        pack_nearest(quant_iq4_values, src, inverse(load_f16(b)), b + 2);
    }
}

void quant_encode_mxfp4(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QK, b += 17, src += QK) {
        /* With this power of two the largest magnitude is at least 8 and below 16 in units of the table. */
        float max = fabsf(signed_max(src, QK));
        int e = 0;
        if (max > 0 && isfinite(max))
            e = ilogbf(max) - 3 + 128;
        e = e < 0 ? 0 : e > 255 ? 255 : e;
        b[0] = (uint8_t)e;
        pack_nearest(quant_mxfp4_values, src, inverse(ldexpf(1.0f, e - 128)), b + 1);
    }
}
