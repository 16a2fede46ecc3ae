/*
 * Packing: rows of the file to panels. Everything moves in words of 4 bytes, 16 rows
 * beside each other; kernels-layout.h shows where to.
 */
#ifndef ORCD_CPU_KERNELS_PACK_H
#define ORCD_CPU_KERNELS_PACK_H

#include "plugins/cpu/kernels-quads.h"

#define ROWS CPU_PANEL_ROWS

/* n words (a multiple of 4) of 16 rows: dst[word][row]. */
static KERNEL_INLINE void words_interleave(
    const uint8_t *const *rows, size_t offset, uint32_t n, uint8_t *dst)
{
    for (uint32_t w = 0; w < n; w += 4) {
        vb v[4];
        vb_rows(rows, offset + (size_t)4 * w, v);
        UNROLL
        for (uint32_t i = 0; i < 4; i++)
            vb_store(dst + (size_t)64 * (w + i), v[i]);
    }
}

/* n units of 2 or 4 bytes of 16 rows: dst[unit][row]. */
static void units_interleave(
    const uint8_t *const *rows, size_t offset, uint32_t n, uint32_t unit, uint8_t *dst)
{
    const uint32_t words = n * unit / 4 & ~3u;
    words_interleave(rows, offset, words, dst);
    /* words of two units each: the low halves of 16 rows, then the high halves */
    for (uint32_t w = 0; w < words && unit == 2; w++)
        vi_store_halves(dst + (size_t)64 * w, vi_load(dst + (size_t)64 * w));
    for (uint32_t k = words * 4 / unit; k < n; k++)
        for (uint32_t r = 0; r < ROWS; r++)
            memcpy(dst + ((size_t)k * ROWS + r) * unit, rows[r] + offset + (size_t)k * unit, unit);
}

/* Made in registers: small stores that a wide load reads back would wait for each other. */
typedef uint16_t halves8 __attribute__((vector_size(16)));
typedef uint32_t words4 __attribute__((vector_size(16)));

static void halves_interleave(const uint8_t *const *rows, size_t offset, uint8_t *dst)
{
    LANES_UNROLL
    for (uint32_t r = 0; r < ROWS; r += 8) {
        const uint8_t *const *q = rows + r;
        const halves8 v = {load_u16(q[0] + offset), load_u16(q[1] + offset), load_u16(q[2] + offset),
            load_u16(q[3] + offset), load_u16(q[4] + offset), load_u16(q[5] + offset),
            load_u16(q[6] + offset), load_u16(q[7] + offset)};
        memcpy(dst + (size_t)2 * r, &v, sizeof(v));
    }
}

/* The 16 bits of the scales of IQ4_XS as kernels-layout.h has them. */
static uint16_t iq4_scale_bits(uint16_t v)
{
    return (uint16_t)((v & 0x000f) << 4 | (v & 0x00f0) << 8 | (v & 0x0f00) >> 8 | (v & 0xf000) >> 4) ^ 0xaaaa;
}

/* Exchanges the bits of each word of v at the set places of mask with those shift places higher. */
static words4 bits_swap(words4 v, uint32_t mask, int shift)
{
    const words4 x = (v >> shift ^ v) & mask;
    return v ^ x ^ x << shift;
}

/* Element 4 g + i at bit 4 g + i goes to bit 8 i + g. */
static words4 fifth_bits(words4 v)
{
    /* exchanging two bits of the index at a time, (g2 g1 g0 i1 i0) turns into (i1 i0 g2 g1 g0) */
    v = bits_swap(v, 0x0a0a0a0a, 3);  /* index bits 0 and 2 */
    v = bits_swap(v, 0x00cc00cc, 6);  /* 1 and 3 */
    v = bits_swap(v, 0x0000f0f0, 12); /* 2 and 4 */
    v = bits_swap(v, 0x0000ff00, 8);  /* 3 and 4 */
    return v;
}

/* Three words of scales; the last is inverted as kernels-layout.h has it. */
static void q3_scales_interleave(const uint8_t *const *rows, size_t at, uint8_t *dst)
{
    uint8_t words[4 * 64] __attribute__((aligned(64)));
    words_interleave(rows, at - 4, 4, words); /* four at a time: the word before is the block's, too */
    memcpy(dst, words + 64, 128);
    for (uint32_t i = 128; i < 192; i++)
        dst[i] = words[64 + i] ^ 0xaa;
}

/* Quants of a block of 256: n words at `quants` and n_high of high bits at `high`. */
struct quads {
    uint32_t quants, n, high, n_high;
};

static KERNEL_INLINE void quads_interleave(
    uint32_t type, const uint8_t *const *rows, size_t at, struct quads s, uint8_t *dst)
{
    uint8_t q[32 * 64] __attribute__((aligned(64))), h[16 * 64] __attribute__((aligned(64)));
    words_interleave(rows, at + s.quants, s.n, q);
    words_interleave(rows, at + s.high, s.n_high, h);
    quads_pack(type, q, h, dst);
}

/* One block of each of 16 rows; all of the block may be read. */
static void block_pack(
    uint32_t type, const struct packed_type *t, const uint8_t *const *rows, size_t at, uint8_t *dst)
{
    switch (type) {
    case ORCD_TYPE_Q4_0:
    case ORCD_TYPE_IQ4_NL:
        halves_interleave(rows, at, dst);
        words_interleave(rows, at + 2, 4, dst + t->quants);
        break;
    case ORCD_TYPE_Q4_1:
        halves_interleave(rows, at, dst);
        halves_interleave(rows, at + 2, dst + t->min);
        words_interleave(rows, at + 4, 4, dst + t->quants);
        break;
    case ORCD_TYPE_Q5_0:
    case ORCD_TYPE_Q5_1: {
        const size_t high = at + (t->min ? 4 : 2);
        halves_interleave(rows, at, dst);
        if (t->min)
            halves_interleave(rows, at + 2, dst + t->min);
        LANES_UNROLL
        for (uint32_t r = 0; r < ROWS; r += 4) {
            const words4 v = {load_u32(rows[r] + high), load_u32(rows[r + 1] + high),
                load_u32(rows[r + 2] + high), load_u32(rows[r + 3] + high)};
            const words4 bits = fifth_bits(v);
            memcpy(dst + t->high + (size_t)4 * r, &bits, sizeof(bits));
        }
        words_interleave(rows, high + 4, 4, dst + t->quants);
        break;
    }
    case ORCD_TYPE_Q8_0:
        halves_interleave(rows, at, dst);
        words_interleave(rows, at + 2, 8, dst + t->quants);
        break;
    case ORCD_TYPE_MXFP4:
        for (uint32_t r = 0; r < ROWS; r++)
            dst[r] = rows[r][at];
        words_interleave(rows, at + 1, 4, dst + t->quants);
        break;
    case ORCD_TYPE_Q2_K:
        halves_interleave(rows, at + 80, dst);
        halves_interleave(rows, at + 82, dst + t->min);
        words_interleave(rows, at, 4, dst + t->scales);
        quads_interleave(ORCD_TYPE_Q2_K, rows, at, (struct quads){16, 16, 0, 0}, dst + t->quants);
        break;
    case ORCD_TYPE_Q3_K:
        halves_interleave(rows, at + 108, dst);
        q3_scales_interleave(rows, at + 96, dst + t->scales);
        quads_interleave(ORCD_TYPE_Q3_K, rows, at, (struct quads){32, 16, 0, 8}, dst + t->quants);
        break;
    case ORCD_TYPE_Q4_K:
    case ORCD_TYPE_Q5_K:
        halves_interleave(rows, at, dst);
        halves_interleave(rows, at + 2, dst + t->min);
        /* one word too many, which what follows replaces */
        words_interleave(rows, at + 4, 4, dst + t->scales);
        if (t->bits)
            quads_interleave(ORCD_TYPE_Q5_K, rows, at, (struct quads){48, 32, 16, 8}, dst + t->quants);
        else
            words_interleave(rows, at + 16, 32, dst + t->quants);
        break;
    case ORCD_TYPE_Q6_K:
        halves_interleave(rows, at + 208, dst);
        words_interleave(rows, at + 192, 4, dst + t->scales);
        quads_interleave(ORCD_TYPE_Q6_K, rows, at, (struct quads){0, 32, 128, 16}, dst + t->quants);
        break;
    case ORCD_TYPE_IQ4_XS:
        halves_interleave(rows, at, dst);
        for (uint32_t r = 0; r < ROWS; r++) {
            const uint16_t bits = iq4_scale_bits(load_u16(rows[r] + at + 2));
            memcpy(dst + t->high + 2 * r, &bits, sizeof(bits));
            memcpy(dst + t->scales + 4 * r, rows[r] + at + 4, 4);
        }
        words_interleave(rows, at + 8, 32, dst + t->quants);
        break;
    default:
        break;
    }
}

static void fetch_ahead(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 64)
        __builtin_prefetch(p + i);
}

static void pack(
    uint32_t type, const void *src, uint32_t n_rows, uint32_t n_cols, uint32_t p0, uint32_t p1, void *dst)
{
    const struct packed_type t = packed_type_of(type);
    if (!t.block_elems)
        return;
    static const uint8_t zero_block[256];
    const size_t row_bytes = (size_t)n_cols / t.block_elems * t.block_bytes, bytes = panel_bytes(&t, n_cols);
    for (uint32_t p = p0; p < p1; p++) {
        uint8_t *out = (uint8_t *)dst + p * bytes;
        const uint8_t *rows[ROWS];
        size_t step[ROWS]; /* a row of padding stays on its zeros */
        const bool full = (size_t)(p + 1) * ROWS <= n_rows;
        for (uint32_t r = 0; r < ROWS; r++) {
            const bool real = p * ROWS + r < n_rows;
            rows[r] = real ? (const uint8_t *)src + ((size_t)p * ROWS + r) * row_bytes : zero_block;
            step[r] = real;
        }
        /* Sixteen places read in turn are more than the processor's own prefetch follows; the
         * next panel's rows lie one behind the other. */
        const bool more = (size_t)(p + 2) * ROWS <= n_rows;
        const uint8_t *next = (const uint8_t *)src + (more ? (size_t)(p + 1) * ROWS * row_bytes : 0);
        if (t.block_elems > 1) {
            const size_t each = (size_t)t.block_bytes * ROWS;
            for (size_t at = 0; at < row_bytes; at += t.block_bytes, out += each, next += more ? each : 0) {
                fetch_ahead(next, each);
                block_pack(type, &t, rows, full ? at : 0, out);
                for (uint32_t r = 0; r < ROWS && !full; r++)
                    rows[r] += step[r] * t.block_bytes;
            }
            continue;
        }
        for (uint32_t k = 0; k < n_cols;) {
            /* bounded by the zeros there are */
            const uint32_t n = n_cols - k < 64 ? n_cols - k : 64;
            units_interleave(rows, 0, n, t.block_bytes, out);
            out += (size_t)n * t.block_bytes * ROWS;
            fetch_ahead(next, (size_t)n * t.block_bytes * ROWS);
            next += more ? (size_t)n * t.block_bytes * ROWS : 0;
            for (uint32_t r = 0; r < ROWS; r++)
                rows[r] += step[r] * n * t.block_bytes;
            k += n;
        }
    }
}

#endif
