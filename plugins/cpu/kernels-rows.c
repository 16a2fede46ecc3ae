/*
 * One row of a packed matrix as floats. Values are computed as the file's format defines
 * them, in single precision.
 */
#include "plugins/cpu/kernels-layout.h"

/* Byte i of row r in the words at p. */
static uint8_t word_byte(const uint8_t *p, uint32_t r, uint32_t i)
{
    return p[64 * (i / 4) + 4 * r + i % 4];
}

/* Quant i of the 256 of row r in words as quad_pieces has them. */
static int word_quant(const struct packed_type *t, const uint8_t *p, uint32_t r, uint32_t i)
{
    const struct quad_piece *piece = quad_pieces[t->bits][i % 32 / 4];
    const uint8_t *words = p + t->quants + 64 * t->bits * (i / 32);
    int v = 0;
    for (int k = 0; k < 3; k++) {
        const int bits = word_byte(words, r, 4u * piece[k].word + i % 4) >> piece[k].at;
        v |= (bits & ((1 << piece[k].n) - 1)) << piece[k].to;
    }
    return v;
}

/* d of row r: for MXFP4 2^(e - 128), which is subnormal for 0 and 1. */
static float row_scale(uint32_t type, const uint8_t *p, uint32_t r)
{
    if (type != ORCD_TYPE_MXFP4)
        return float_of_f16(load_u16(p + 2 * r));
    return float_of_bits(p[r] < 2 ? UINT32_C(0x200000) << p[r] : (uint32_t)(p[r] - 1) << 23);
}

/* Scale i of row r of a Q3_K block, signed; its lower four bits and its upper two are apart. */
static int q3_scale(const uint8_t *scales, uint32_t r, uint32_t i)
{
    const int low = word_byte(scales, r, i % 8) >> i / 8 * 4 & 15;
    const int high = word_byte(scales, r, 8 + i % 4) >> i / 4 * 2 & 3;
    return (low | (high ^ 2) << 4) - 32;
}

/* Scale s of row r of an IQ4_XS block, signed. */
static int iq4_scale(const struct packed_type *t, const uint8_t *p, uint32_t r, uint32_t s)
{
    static const uint8_t at[4] = {4, 12, 0, 8}; /* of the four bits of scales 2 i and 2 i + 1 */
    const int low = word_byte(p + t->scales, r, s / 2) >> (s & 1) * 4 & 15;
    const int high = load_u16(p + t->high + 2 * r) >> (at[s / 2] + (s & 1) * 2) & 3;
    return (low | (high ^ 2) << 4) - 32;
}

static void row_block(uint32_t type, const struct packed_type *t, const uint8_t *p, uint32_t r, float *dst)
{
    const float d = row_scale(type, p, r);
    const float m = t->min ? float_of_f16(load_u16(p + t->min + 2 * r)) : 0.0f;
    const uint8_t *q = p + t->quants, *h = p + t->high;
    switch (type) {
    case ORCD_TYPE_Q8_0:
        for (uint32_t i = 0; i < 32; i++)
            dst[i] = d * (float)(int8_t)word_byte(q, r, i);
        break;
    case ORCD_TYPE_IQ4_NL:
    case ORCD_TYPE_MXFP4:
        for (uint32_t i = 0; i < 32; i++) {
            const int v = word_byte(q, r, i % 16) >> i / 16 * 4 & 15;
            dst[i] = d * (float)(type == ORCD_TYPE_IQ4_NL ? (int8_t)table_iq4[v] : table_mxfp4[v] - 16);
        }
        break;
    case ORCD_TYPE_Q2_K:
        for (uint32_t i = 0; i < 256; i++) {
            const int sc = word_byte(p + t->scales, r, i / 16);
            dst[i] = d * (float)(sc & 15) * (float)word_quant(t, p, r, i) - m * (float)(sc >> 4);
        }
        break;
    case ORCD_TYPE_Q3_K:
        for (uint32_t i = 0; i < 256; i++)
            dst[i] = d * (float)q3_scale(p + t->scales, r, i / 16) * (float)(word_quant(t, p, r, i) - 4);
        break;
    case ORCD_TYPE_IQ4_XS:
        for (uint32_t s = 0; s < 8; s++) {
            const float ds = d * (float)iq4_scale(t, p, r, s);
            for (uint32_t i = 0; i < 32; i++) {
                const int v = word_byte(q, r, s * 16 + i % 16) >> i / 16 * 4 & 15;
                dst[32 * s + i] = ds * (float)(int8_t)table_iq4[v];
            }
        }
        break;
    case ORCD_TYPE_Q4_K:
    case ORCD_TYPE_Q5_K:
        for (uint32_t s = 0; s < 8; s++) {
            uint8_t b[12];
            for (uint32_t i = 0; i < 12; i++)
                b[i] = word_byte(p + t->scales, r, i);
            const int sc = s < 4 ? b[s] & 63 : (b[s + 4] & 15) | (b[s - 4] >> 6) << 4;
            const int mn = s < 4 ? b[s + 4] & 63 : b[s + 4] >> 4 | (b[s] >> 6) << 4;
            const float ds = d * (float)sc, ms = m * (float)mn;
            for (uint32_t i = 0; i < 32; i++) {
                const int v = t->bits ? word_quant(t, p, r, 32 * s + i)
                                      : word_byte(q, r, s / 2 * 32 + i) >> (s & 1) * 4 & 15;
                dst[32 * s + i] = ds * (float)v - ms;
            }
        }
        break;
    case ORCD_TYPE_Q6_K:
        for (uint32_t i = 0; i < 256; i++) {
            const int8_t sc = (int8_t)word_byte(p + t->scales, r, i / 16);
            dst[i] = d * (float)sc * (float)(word_quant(t, p, r, i) - 32);
        }
        break;
    default: /* Q4_0, Q4_1, Q5_0, Q5_1 */
        for (uint32_t i = 0; i < 32; i++) {
            int v = word_byte(q, r, i % 16) >> (i / 16 * 4) & 15;
            if (t->high)
                v |= (h[4 * r + i % 4] >> i / 4 & 1) << 4;
            dst[i] = t->min ? d * (float)v + m : d * (float)(v - (t->high ? 16 : 8));
        }
        break;
    }
}

void kernels_row_get(const struct cpu_matrix *w, uint32_t row, float *dst)
{
    const struct packed_type t = packed_type_of(w->type);
    if (!t.block_elems || row >= w->n_rows)
        return;
    const uint32_t r = row % CPU_PANEL_ROWS;
    const uint8_t *p = (const uint8_t *)w->data + row / CPU_PANEL_ROWS * panel_bytes(&t, w->n_cols);
    if (t.block_elems > 1) {
        for (uint32_t k = 0; k < w->n_cols; k += t.block_elems, p += (size_t)t.block_bytes * CPU_PANEL_ROWS)
            row_block(w->type, &t, p, r, dst + k);
        return;
    }
    p += (size_t)t.block_bytes * r;
    for (uint32_t k = 0; k < w->n_cols; k++, p += (size_t)t.block_bytes * CPU_PANEL_ROWS) {
        if (w->type == ORCD_TYPE_F32)
            dst[k] = float_of_bits(load_u32(p));
        else if (w->type == ORCD_TYPE_F16)
            dst[k] = float_of_f16(load_u16(p));
        else
            dst[k] = float_of_bits((uint32_t)load_u16(p) << 16);
    }
}
