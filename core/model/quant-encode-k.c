/* Plain round-to-nearest quantizers of the 256-wide blocks. The scale (and minimum) of each sub-block comes
 * from its range and is rounded to the steps of the block; then the elements are rounded. */
#include <math.h>

#include "model/quant-codec.h"

/*
 * x = d * sc * q - dmin * m with q in 0..q_max: n_sub sub-blocks, scales and minima in 0..s_max. d and dmin
 * are rounded to fp16 first, so that q is the best choice for the stored values.
 */
static void fit_min(const float *x, int n_sub, int q_max, int s_max, uint8_t *d16, uint8_t *dmin16,
    uint8_t *sc, uint8_t *m, uint8_t *q)
{
    int len = QKK / n_sub;
    float scale[16], min[16], max_scale = 0, max_min = 0;
    for (int s = 0; s < n_sub; s++) {
        float lo = 0, hi = 0;
        for (int l = 0; l < len; l++) {
            lo = fminf(lo, x[s * len + l]);
            hi = fmaxf(hi, x[s * len + l]);
        }
        scale[s] = (hi - lo) / (float)q_max;
        min[s] = -lo;
        max_scale = fmaxf(max_scale, scale[s]);
        max_min = fmaxf(max_min, min[s]);
    }
    store_f16(d16, max_scale / (float)s_max);
    store_f16(dmin16, max_min / (float)s_max);
    float d = load_f16(d16), dmin = load_f16(dmin16);
    float inv_d = inverse(d), inv_dmin = inverse(dmin);
    for (int s = 0; s < n_sub; s++) {
        sc[s] = (uint8_t)clamp_round(scale[s] * inv_d, 0, s_max);
        m[s] = (uint8_t)clamp_round(min[s] * inv_dmin, 0, s_max);
        float inv = inverse(d * (float)sc[s]), off = dmin * (float)m[s];
        for (int l = 0; l < len; l++)
            q[s * len + l] = (uint8_t)clamp_round((x[s * len + l] + off) * inv, 0, q_max);
    }
}

/* x = d * sc * q with q in -half..half-1: 16 sub-blocks, scales in -s_half..s_half-1. */
static void fit_signed(const float *x, int half, int s_half, uint8_t *d16, int8_t sc[16], int8_t q[QKK])
{
    float scale[16], best = 0;
    for (int s = 0; s < 16; s++) {
        float max = 0;
        for (int l = 0; l < 16; l++)
            if (fabsf(x[s * 16 + l]) > fabsf(max))
                max = x[s * 16 + l];
        scale[s] = max / (float)-half;
        if (fabsf(scale[s]) > fabsf(best))
            best = scale[s];
    }
    store_f16(d16, best / (float)-s_half);
    float d = load_f16(d16), inv_d = inverse(d);
    for (int s = 0; s < 16; s++) {
        sc[s] = (int8_t)clamp_round(scale[s] * inv_d, -s_half, s_half - 1);
        float inv = inverse(d * (float)sc[s]);
        for (int l = 0; l < 16; l++)
            q[s * 16 + l] = (int8_t)clamp_round(x[s * 16 + l] * inv, -half, half - 1);
    }
}

void quant_encode_q2_k(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QKK, b += 84, src += QKK) {
        uint8_t sc[16], m[16], q[QKK];
        fit_min(src, 16, 3, 15, b + 80, b + 82, sc, m, q);
        for (int i = 0; i < 16; i++)
            b[i] = (uint8_t)(sc[i] | m[i] << 4);
        memset(b + 16, 0, 64);
        for (int i = 0; i < QKK; i++)
            b[16 + 32 * (i / 128) + i % 32] |= (uint8_t)(q[i] << (2 * (i % 128 / 32)));
    }
}

void quant_encode_q3_k(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QKK, b += 110, src += QKK) {
        int8_t sc[16], q[QKK];
        fit_signed(src, 4, 32, b + 108, sc, q);
        memset(b, 0, 108);
        for (int i = 0; i < 16; i++) {
            int s = sc[i] + 32;
            b[96 + i % 8] |= (uint8_t)((s & 15) << (i < 8 ? 0 : 4));
            b[104 + i % 4] |= (uint8_t)((s >> 4) << (2 * (i / 4)));
        }
        for (int i = 0; i < QKK; i++) {
            int v = q[i] + 4, half = i / 128, g = i % 128 / 32, l = i % 32;
            b[32 + 32 * half + l] |= (uint8_t)((v & 3) << (2 * g));
            b[l] |= (uint8_t)((v >> 2) << (4 * half + g));
        }
    }
}

static void k_scales_pack(const uint8_t sc[8], const uint8_t m[8], uint8_t *b)
{
    for (int j = 0; j < 4; j++) {
        b[j] = (uint8_t)(sc[j] | (sc[j + 4] >> 4) << 6);
        b[j + 4] = (uint8_t)(m[j] | (m[j + 4] >> 4) << 6);
        b[j + 8] = (uint8_t)((sc[j + 4] & 15) | (m[j + 4] & 15) << 4);
    }
}

void quant_encode_q4_k(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QKK, b += 144, src += QKK) {
        uint8_t sc[8], m[8], q[QKK];
        fit_min(src, 8, 15, 63, b, b + 2, sc, m, q);
        k_scales_pack(sc, m, b + 4);
        for (int i = 0; i < 128; i++) {
            int at = i / 32 * 64 + i % 32;
            b[16 + i] = (uint8_t)(q[at] | q[at + 32] << 4);
        }
    }
}

void quant_encode_q5_k(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QKK, b += 176, src += QKK) {
        uint8_t sc[8], m[8], q[QKK];
        fit_min(src, 8, 31, 63, b, b + 2, sc, m, q);
        k_scales_pack(sc, m, b + 4);
        memset(b + 16, 0, 32);
        for (int i = 0; i < QKK; i++)
            b[16 + i % 32] |= (uint8_t)((q[i] >> 4) << (i / 32));
        for (int i = 0; i < 128; i++) {
            int at = i / 32 * 64 + i % 32;
            b[48 + i] = (uint8_t)((q[at] & 15) | (q[at + 32] & 15) << 4);
        }
    }
}

void quant_encode_q6_k(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QKK, b += 210, src += QKK) {
        int8_t sc[16], q[QKK];
        fit_signed(src, 32, 128, b + 208, sc, q);
        memset(b, 0, 192);
        memcpy(b + 192, sc, 16);
        for (int i = 0; i < QKK; i++) {
            int v = q[i] + 32, half = i / 128, g = i % 128 / 32, l = i % 32;
            b[64 * half + l + 32 * (g & 1)] |= (uint8_t)((v & 15) << (4 * (g >> 1)));
            b[128 + 32 * half + l] |= (uint8_t)((v >> 4) << (2 * g));
        }
    }
}

void quant_encode_iq4_xs(const float *src, void *dst, size_t n)
{
    uint8_t *b = dst;
    for (; n; n -= QKK, b += 136, src += QKK) {
        float scale[8], best = 0; /* each maps the largest element of its sub-block to -127 */
        for (int s = 0; s < 8; s++) {
            float max = 0;
            for (int l = 0; l < 32; l++)
                if (fabsf(src[s * 32 + l]) > fabsf(max))
                    max = src[s * 32 + l];
            scale[s] = max / -127.0f;
            if (fabsf(scale[s]) > fabsf(best))
                best = scale[s];
        }
        memset(b, 0, 136);
        store_f16(b, best / -32.0f);
        float d = load_f16(b), inv_d = inverse(d);
        unsigned high = 0;
        for (int s = 0; s < 8; s++) {
            int sc = clamp_round(scale[s] * inv_d, -32, 31);
            b[4 + s / 2] |= (uint8_t)(((sc + 32) & 15) << (4 * (s & 1)));
            high |= (unsigned)(sc + 32) >> 4 << (2 * s);
            float inv = inverse(d * (float)sc);
            for (int l = 0; l < 32; l++)
                b[8 + 16 * s + l % 16] |=
                    (uint8_t)(quant_nearest(quant_iq4_values, src[s * 32 + l] * inv) << (l / 16 * 4));
        }
        uint16_t high16 = (uint16_t)high;
        memcpy(b + 2, &high16, sizeof(high16));
    }
}
