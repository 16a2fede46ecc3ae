/*
 * Layouts inside the kernels. A packed matrix is a row of panels; a panel is a row of
 * packed blocks; a packed block holds one block of each of the panel's 16 rows:
 *
 *   type    d   min  scales  high bits  quants   (byte offsets)
 *   Q4_0    0   -    -       -          32       4 words
 *   Q4_1    0   32   -       -          64       4
 *   Q5_0    0   -    -       32         96       4
 *   Q5_1    0   32   -       64         128      4
 *   Q8_0    0   -    -       -          32       8
 *   IQ4_NL  0   -    -       -          32       4
 *   MXFP4   0   -    -       -          16       4
 *   Q2_K    0   32   64      -          320      16
 *   Q3_K    0   -    32      -          224      24
 *   Q4_K    0   32   64      -          256      32
 *   Q5_K    0   32   64      -          256      40
 *   Q6_K    0   -    32      -          288      48
 *   IQ4_XS  0   -    64      32         128      32
 *
 * d and min: 16 FP16, but 16 bytes, exponents, for MXFP4. The rest in words of 64 bytes: 4
 * bytes of row 0, 4 of row 1, ... A word has 4 consecutive inputs ("quad") of 16 rows, and
 * more than one quad where bits are left. Everything is in the file's order, but for
 *   Q2_K, Q3_K, Q5_K, Q6_K  for each 32 inputs as many words of quants as a quant has bits;
 *               quad_pieces tells where a quad's bits are. Read from front to end, with few
 *               operations, by whoever unpacks: the file's order has the high bits apart
 *   Q5_0, Q5_1  the 5th bits: bit g of byte i of a row belongs to element 4 g + i
 *   Q3_K        the last of the three words of scales, which has their upper two bits, has
 *               the upper one inverted: what was to be made signed by taking 32 away now is
 *   IQ4_XS      the "high bits" are those of the scales, 16 bits a row, likewise inverted;
 *               from the lowest on, four bits each for the scales 4 and 5, 0 and 1, 6 and 7,
 *               2 and 3
 * F32, F16 and BF16: 16 rows of input 0, 16 of input 1, ...
 *
 * A quantized input row: int8 q[n], then for each 32 inputs float d, float d * sum,
 * two int16 sums of 16, int32 sum, each kind in an array of its own.
 */
#ifndef ORCD_CPU_KERNELS_LAYOUT_H
#define ORCD_CPU_KERNELS_LAYOUT_H

#include <string.h>

#include <orcd/plugin.h>

#include "plugins/cpu/kernels.h"

/* Needed where an argument must become an immediate. */
#if defined(KERNELS_SMALL) && defined(KERNELS_PLAIN_C)
#define ALWAYS_INLINE __attribute__((noinline, unused))
#else
#define ALWAYS_INLINE inline __attribute__((always_inline))
#endif

/* Before a loop over registers; its count is a constant. */
#ifdef __clang__
#define LANES_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LANES_UNROLL _Pragma("GCC unroll 8")
#endif

/* Bits [to, to + n) of each byte of a quad are bits [at, at + n) of word `word`'s. */
struct quad_piece {
    uint8_t word, at, n, to;
};

/* Where the 8 quads of 32 inputs are in as many words as a quant has bits, by these bits. */
static const struct quad_piece quad_pieces[7][8][3] = {
    [2] = {{{0, 0, 2, 0}}, {{0, 2, 2, 0}}, {{0, 4, 2, 0}}, {{0, 6, 2, 0}}, {{1, 0, 2, 0}}, {{1, 2, 2, 0}},
        {{1, 4, 2, 0}}, {{1, 6, 2, 0}}},
    [3] = {{{0, 0, 3, 0}}, {{0, 3, 3, 0}}, {{1, 0, 3, 0}}, {{1, 3, 3, 0}}, {{2, 0, 3, 0}}, {{2, 3, 3, 0}},
        {{0, 6, 2, 0}, {2, 6, 1, 2}}, {{1, 6, 2, 0}, {2, 7, 1, 2}}},
    [5] = {{{0, 0, 5, 0}}, {{1, 0, 5, 0}}, {{2, 0, 5, 0}}, {{3, 0, 5, 0}}, {{4, 0, 5, 0}},
        {{0, 5, 3, 0}, {1, 5, 2, 3}}, {{2, 5, 3, 0}, {3, 5, 2, 3}},
        {{4, 5, 3, 0}, {1, 7, 1, 3}, {3, 7, 1, 4}}},
    [6] = {{{0, 0, 6, 0}}, {{1, 0, 6, 0}}, {{2, 0, 6, 0}}, {{0, 6, 2, 0}, {1, 6, 2, 2}, {2, 6, 2, 4}},
        {{3, 0, 6, 0}}, {{4, 0, 6, 0}}, {{5, 0, 6, 0}}, {{3, 6, 2, 0}, {4, 6, 2, 2}, {5, 6, 2, 4}}},
};

struct packed_type {
    uint32_t block_elems, block_bytes;  /* of one row in the file */
    uint32_t min, scales, high, quants; /* byte offsets in a packed block */
    enum cpu_act act;
    uint32_t bits; /* of a quant, if quad_pieces tells where they are; else 0 */
};

/* What the nibbles of IQ4_NL and IQ4_XS mean, and those of MXFP4 plus 16. */
static const uint8_t table_iq4[16] = {129, 152, 173, 191, 207, 221, 234, 246, 1, 13, 25, 38, 53, 69, 89, 113};
static const uint8_t table_mxfp4[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};

/* All zero for a type that is not supported. */
static inline struct packed_type packed_type_of(uint32_t type)
{
    switch (type) {
    case ORCD_TYPE_F32:
        return (struct packed_type){1, 4, 0, 0, 0, 0, CPU_ACT_F32, 0};
    case ORCD_TYPE_F16:
    case ORCD_TYPE_BF16:
        return (struct packed_type){1, 2, 0, 0, 0, 0, CPU_ACT_F32, 0};
    case ORCD_TYPE_Q4_0:
        return (struct packed_type){32, 18, 0, 0, 0, 32, CPU_ACT_Q8, 0};
    case ORCD_TYPE_Q4_1:
        return (struct packed_type){32, 20, 32, 0, 0, 64, CPU_ACT_Q8, 0};
    case ORCD_TYPE_Q5_0:
        return (struct packed_type){32, 22, 0, 0, 32, 96, CPU_ACT_Q8, 0};
    case ORCD_TYPE_Q5_1:
        return (struct packed_type){32, 24, 32, 0, 64, 128, CPU_ACT_Q8, 0};
    case ORCD_TYPE_Q8_0:
        return (struct packed_type){32, 34, 0, 0, 0, 32, CPU_ACT_Q8, 0};
    case ORCD_TYPE_IQ4_NL:
        return (struct packed_type){32, 18, 0, 0, 0, 32, CPU_ACT_Q8, 0};
    case ORCD_TYPE_MXFP4:
        return (struct packed_type){32, 17, 0, 0, 0, 16, CPU_ACT_Q8, 0};
    case ORCD_TYPE_Q2_K:
        return (struct packed_type){256, 84, 32, 64, 0, 320, CPU_ACT_Q8, 2};
    case ORCD_TYPE_Q3_K:
        return (struct packed_type){256, 110, 0, 32, 0, 224, CPU_ACT_Q8, 3};
    case ORCD_TYPE_Q4_K:
        return (struct packed_type){256, 144, 32, 64, 0, 256, CPU_ACT_Q8, 0};
    case ORCD_TYPE_Q5_K:
        return (struct packed_type){256, 176, 32, 64, 0, 256, CPU_ACT_Q8, 5};
    case ORCD_TYPE_Q6_K:
        return (struct packed_type){256, 210, 0, 32, 0, 288, CPU_ACT_Q8, 6};
    case ORCD_TYPE_IQ4_XS:
        return (struct packed_type){256, 136, 0, 64, 32, 128, CPU_ACT_Q8, 0};
    default:
        return (struct packed_type){0};
    }
}

/* Bytes of one panel. */
static inline size_t panel_bytes(const struct packed_type *t, uint32_t n_cols)
{
    return (size_t)n_cols / t->block_elems * t->block_bytes * CPU_PANEL_ROWS;
}

/* A quantized input row; see above. */
struct act_row {
    const int8_t *q;
    const float *d, *s;
    const int32_t *pair, *sum; /* pair: the two int16, first one low */
};

static ALWAYS_INLINE struct act_row act_row_at(const void *base, uint32_t n_cols)
{
    const char *p = (const char *)base + n_cols;
    size_t n = n_cols / 32 * sizeof(float);
    return (struct act_row){(const int8_t *)base, (const float *)(const void *)p,
        (const float *)(const void *)(p + n), (const int32_t *)(const void *)(p + 2 * n),
        (const int32_t *)(const void *)(p + 3 * n)};
}

static ALWAYS_INLINE uint16_t load_u16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static ALWAYS_INLINE uint32_t load_u32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static ALWAYS_INLINE float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static ALWAYS_INLINE uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

/* FP16 as the processors convert it: exact; a signalling NaN turns quiet. */
static inline float float_of_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00)
        return float_of_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13 | (rest > 0x7c00 ? 0x400000 : 0));
    /* shifted in place, the exponent is off by 112; the product is exact, subnormals included */
    return float_of_bits(sign | bits_of_float(float_of_bits(rest << 13) * 0x1p112f));
}

/* To nearest even. */
static inline uint16_t f16_of_float(float f)
{
    uint32_t bits = bits_of_float(f), rest = bits & 0x7fffffff;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (rest > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x3ff));
    if (rest >= 0x477ff000) /* rounds beyond 65504 */
        return (uint16_t)(sign | 0x7c00);
    if (rest < 0x38800000) { /* subnormal: let the adder round at 2^-24 */
        uint32_t sum = bits_of_float(float_of_bits(rest) + 0.5f);
        return (uint16_t)(sign | (sum - bits_of_float(0.5f)));
    }
    rest += 0xfff + (rest >> 13 & 1);
    return (uint16_t)(sign | ((rest - 0x38000000) >> 13));
}

/* kernels-rows.c: the same for all instruction sets */
void kernels_row_get(const struct cpu_matrix *w, uint32_t row, float *dst);

/* kernels_avx512_simde: the AVX-512 source over emulated instructions, in tests only */
extern const struct cpu_kernels kernels_c, kernels_avx2, kernels_avx512, kernels_avx512_simde;

#endif
