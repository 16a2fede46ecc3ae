/* Reference dequantizers of the 256-wide blocks. Layouts: docs/formats.md. */
#include "model/quant-codec.h"

void quant_decode_q2_k(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QKK, b += 84) {
        const uint8_t *scales = b, *qs = b + 16;
        float d = load_f16(b + 80), dmin = load_f16(b + 82);
        for (int half = 0; half < 2; half++, qs += 32)
            for (int g = 0; g < 4; g++)
                for (int l = 0; l < 32; l++) {
                    uint8_t s = scales[half * 8 + g * 2 + l / 16];
                    int q = qs[l] >> (2 * g) & 3;
                    *dst++ = d * (float)(s & 15) * (float)q - dmin * (float)(s >> 4);
                }
    }
}

void quant_decode_q3_k(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QKK, b += 110) {
        const uint8_t *hmask = b, *qs = b + 32, *packed = b + 96;
        float d = load_f16(b + 108);
        int8_t scales[16];
        for (int i = 0; i < 16; i++) {
            int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
            int high = packed[8 + i % 4] >> (2 * (i / 4)) & 3;
            scales[i] = (int8_t)((low | high << 4) - 32);
        }
        for (int half = 0; half < 2; half++, qs += 32)
            for (int g = 0; g < 4; g++)
                for (int l = 0; l < 32; l++) {
                    int q = qs[l] >> (2 * g) & 3;
                    if (!(hmask[l] >> (4 * half + g) & 1))
                        q -= 4;
                    *dst++ = d * (float)scales[half * 8 + g * 2 + l / 16] * (float)q;
                }
    }
}

void quant_decode_q4_k(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QKK, b += 144, dst += QKK) {
        float d = load_f16(b), dmin = load_f16(b + 2);
        uint8_t sc[8], m[8];
        k_scales_unpack(b + 4, sc, m);
        for (int s = 0; s < 8; s++) {
            const uint8_t *qs = b + 16 + 32 * (s / 2);
            float scale = d * (float)sc[s], min = dmin * (float)m[s];
            for (int l = 0; l < 32; l++)
                dst[s * 32 + l] = scale * (float)(qs[l] >> (4 * (s & 1)) & 15) - min;
        }
    }
}

void quant_decode_q5_k(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QKK, b += 176, dst += QKK) {
        float d = load_f16(b), dmin = load_f16(b + 2);
        const uint8_t *qh = b + 16;
        uint8_t sc[8], m[8];
        k_scales_unpack(b + 4, sc, m);
        for (int s = 0; s < 8; s++) {
            const uint8_t *qs = b + 48 + 32 * (s / 2);
            float scale = d * (float)sc[s], min = dmin * (float)m[s];
            for (int l = 0; l < 32; l++) {
                int q = (qs[l] >> (4 * (s & 1)) & 15) | (qh[l] >> s & 1) << 4;
                dst[s * 32 + l] = scale * (float)q - min;
            }
        }
    }
}

void quant_decode_q6_k(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QKK, b += 210) {
        const uint8_t *ql = b, *qh = b + 128, *scales = b + 192;
        float d = load_f16(b + 208);
        for (int half = 0; half < 2; half++, ql += 64, qh += 32, scales += 8, dst += 128)
            for (int l = 0; l < 32; l++)
                for (int g = 0; g < 4; g++) {
                    int low = ql[l + 32 * (g & 1)] >> (4 * (g >> 1)) & 15;
                    int q = (low | (qh[l] >> (2 * g) & 3) << 4) - 32;
                    dst[l + 32 * g] = d * (float)(int8_t)scales[l / 16 + 2 * g] * (float)q;
                }
    }
}

void quant_decode_q8_k(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QKK, b += 292, dst += QKK) {
        float d;
        memcpy(&d, b, sizeof(d));
        for (int l = 0; l < QKK; l++)
            dst[l] = d * (float)(int8_t)b[4 + l];
    }
}

void quant_decode_iq4_xs(const void *src, float *dst, size_t n)
{
    const uint8_t *b = src;
    for (; n; n -= QKK, b += 136, dst += QKK) {
        float d = load_f16(b);
        unsigned high = load_u16(b + 2);
        for (int s = 0; s < 8; s++) {
            int low = b[4 + s / 2] >> (4 * (s & 1)) & 15;
            float scale = d * (float)((low | (int)(high >> (2 * s) & 3) << 4) - 32);
            const uint8_t *qs = b + 8 + 16 * s;
            for (int j = 0; j < 16; j++) {
                dst[s * 32 + j] = scale * (float)quant_iq4_values[qs[j] & 15];
                dst[s * 32 + j + 16] = scale * (float)quant_iq4_values[qs[j] >> 4];
            }
        }
    }
}
