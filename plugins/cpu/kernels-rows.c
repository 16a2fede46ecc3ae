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

static void row_block(uint32_t type, const struct packed_type *t, const uint8_t *p, uint32_t r, float *dst)
{
    const float d = float_of_f16(load_u16(p + 2 * r));
    const float m = t->min ? float_of_f16(load_u16(p + t->min + 2 * r)) : 0.0f;
    const uint8_t *q = p + t->quants, *h = p + t->high;
    switch (type) {
    case ORCD_TYPE_Q8_0:
        for (uint32_t i = 0; i < 32; i++)
            dst[i] = d * (float)(int8_t)word_byte(q, r, i);
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
                int v = word_byte(q, r, s / 2 * 32 + i) >> (s & 1) * 4 & 15;
                if (t->high)
                    v |= (word_byte(h, r, i) >> s & 1) << 4;
                dst[32 * s + i] = ds * (float)v - ms;
            }
        }
        break;
    case ORCD_TYPE_Q6_K:
        for (uint32_t s = 0; s < 8; s++) {
            for (uint32_t i = 0; i < 32; i++) {
                int v = word_byte(q, r, s / 4 * 64 + (s & 1) * 32 + i) >> ((s & 2) ? 4 : 0) & 15;
                v |= (word_byte(h, r, s / 4 * 32 + i) >> 2 * (s & 3) & 3) << 4;
                const int8_t sc = (int8_t)word_byte(p + t->scales, r, 2 * s + i / 16);
                dst[32 * s + i] = d * (float)sc * (float)(v - 32);
            }
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
