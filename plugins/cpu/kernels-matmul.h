/*
 * The matrix product, written in lanes (kernels-lanes-*.h) and compiled once for each
 * instruction set. A lane is an output row; the sum over the inputs runs block after
 * block in one order:
 *   blocks of 32  acc = fma(d da, dot, acc), then acc = fma(min, da sum, acc)
 *   blocks of 256 p = fma(da, scale dot, p) and m = fma(min, da sum, m) over the 8
 *                 blocks of 32, then acc = fma(d, p, acc), acc = fma(-dmin, m, acc);
 *                 Q2_K: m = fma(da, min sum + min sum, m) of its two mins
 *   F types       acc = fma(w, x, acc)
 * with integers exact. One token: weights are unpacked in registers. More: a chunk of
 * the panel is unpacked once into a tile that stays in the first-level cache.
 */
#ifndef ORCD_CPU_KERNELS_MATMUL_H
#define ORCD_CPU_KERNELS_MATMUL_H

#include "plugins/cpu/kernels-quads.h"

#define CHUNK_BLOCKS 32u /* blocks of 32 inputs in a tile; a multiple of 8 */
#define CHUNK_TOKENS 128u
#define CHUNK_COLS 512u /* float inputs at once */
#define PANELS 4u       /* that one token takes at once: one stream would not keep memory busy */

/* Unpacked weights of CHUNK_BLOCKS x 16 rows. */
struct tile {
    uint8_t q[CHUNK_BLOCKS][512];
    float d[CHUNK_BLOCKS][16]; /* a block of the file each */
    float m[CHUNK_BLOCKS][16]; /* min; K types: k_min() of a block of 32 */
    float dmin[CHUNK_BLOCKS][16];
    int32_t scale[CHUNK_BLOCKS][2][16];
};

/* Blocks of 256 with scales of their own inside. */
static KERNEL_INLINE bool type_is_k(uint32_t type)
{
    return packed_type_of(type).block_elems == 256;
}

static KERNEL_INLINE bool type_has_min(uint32_t type)
{
    return packed_type_of(type).min != 0;
}

/* Scales (and mins) of 16 inputs, not of 32. */
static KERNEL_INLINE bool type_is_halved(uint32_t type)
{
    return type == ORCD_TYPE_Q2_K || type == ORCD_TYPE_Q3_K || type == ORCD_TYPE_Q6_K;
}

/* Unpacked quants are signed bytes of up to 8 bits. */
static KERNEL_INLINE bool type_is_signed(uint32_t type)
{
    return type == ORCD_TYPE_Q8_0 || type == ORCD_TYPE_IQ4_NL || type == ORCD_TYPE_IQ4_XS;
}

/* What is to be taken from the unpacked quants, as a power of two; -1: nothing. */
static KERNEL_INLINE int type_offset_log2(uint32_t type)
{
    switch (type) {
    case ORCD_TYPE_Q3_K:
        return 2;
    case ORCD_TYPE_Q4_0:
        return 3;
    case ORCD_TYPE_Q5_0:
    case ORCD_TYPE_MXFP4:
        return 4;
    case ORCD_TYPE_Q6_K:
        return 5;
    default:
        return type_is_signed(type) && LANES_S8_OFFSET ? 7 : -1;
    }
}

static KERNEL_INLINE int type_depth(uint32_t type)
{
    switch (type) {
    case ORCD_TYPE_Q4_0:
    case ORCD_TYPE_Q4_1:
    case ORCD_TYPE_Q4_K:
        return LANES_DEPTH(4);
    case ORCD_TYPE_Q5_0:
    case ORCD_TYPE_Q5_1:
    case ORCD_TYPE_Q5_K:
    case ORCD_TYPE_MXFP4:
        return LANES_DEPTH(5);
    case ORCD_TYPE_Q6_K: /* here and below: a scale holds for 4 quads */
        return LANES_DEPTH(6) < 4 ? LANES_DEPTH(6) : 4;
    default: /* Q2_K, Q3_K */
        return 4;
    }
}

/* The scales and mins of a packed K block: byte j of word j / 4; but of IQ4_XS, the even
 * ones in word 0, the odd ones in word 1. Q3_K, IQ4_XS: in a byte's upper six bits. */
struct k_scales {
    vi scale[4], min[4];
};

static KERNEL_INLINE struct k_scales k_scales_load(uint32_t type, const uint8_t *block)
{
    const struct packed_type pt = packed_type_of(type);
    const uint8_t *p = block + pt.scales;
    struct k_scales s = {0};
    if (type == ORCD_TYPE_Q2_K || type == ORCD_TYPE_Q6_K) {
        const vi four = vi_set1(0x0f0f0f0f);
        UNROLL
        for (int i = 0; i < 4; i++) {
            const vi v = vi_load(p + 64 * i);
            s.scale[i] = type == ORCD_TYPE_Q2_K ? vi_and(v, four) : v;
            s.min[i] = type == ORCD_TYPE_Q2_K ? vi_and(vi_shr(v, 4), four) : v;
        }
        return s;
    }
    if (type == ORCD_TYPE_Q3_K || type == ORCD_TYPE_IQ4_XS) {
        const vi low = vi_set1(0x3c3c3c3c), high = vi_set1((int32_t)0xc0c0c0c0);
        const vi a = vi_load(p);
        if (type == ORCD_TYPE_IQ4_XS) {
            /* 16 bits, in the upper half of the lane; four for each byte */
            const vi bits = vi_bits(vf_of_bf16(block + pt.high)), c = vi_or(bits, vi_shr(bits, 20));
            s.scale[0] = vi_or(vi_and(vi_shl(a, 2), low), vi_and(vi_shl(c, 6), high));
            s.scale[1] = vi_or(vi_and(vi_shr(a, 2), low), vi_and(vi_shl(c, 4), high));
            return s;
        }
        const vi b = vi_load(p + 64), c = vi_load(p + 128);
        s.scale[0] = vi_or(vi_and(vi_shl(a, 2), low), vi_and(vi_shl(c, 6), high));
        s.scale[1] = vi_or(vi_and(vi_shl(b, 2), low), vi_and(vi_shl(c, 4), high));
        s.scale[2] = vi_or(vi_and(vi_shr(a, 2), low), vi_and(vi_shl(c, 2), high));
        s.scale[3] = vi_or(vi_and(vi_shr(b, 2), low), vi_and(c, high));
        return s;
    }
    const vi a = vi_load(p), b = vi_load(p + 64), c = vi_load(p + 128);
    const vi six = vi_set1(0x3f3f3f3f), four = vi_set1(0x0f0f0f0f), two = vi_set1(0x30303030);
    s.scale[0] = vi_and(a, six);
    s.min[0] = vi_and(b, six);
    s.scale[1] = vi_or(vi_and(c, four), vi_and(vi_shr(a, 2), two));
    s.min[1] = vi_or(vi_and(vi_shr(c, 4), four), vi_and(vi_shr(b, 2), two));
    return s;
}

/* The two scales of block sub; one and the same unless the type is halved. */
static KERNEL_INLINE vs k_scale(uint32_t type, const struct k_scales *s, int sub, int half)
{
    const int byte = 2 * (sub & 1) + half;
    switch (type) {
    case ORCD_TYPE_Q2_K:
        return vs_of_u8(s->scale[sub / 2], byte);
    case ORCD_TYPE_Q3_K:
        return vs_of_s6(s->scale[sub / 2], byte);
    case ORCD_TYPE_Q6_K:
        return vs_of_s8(s->scale[sub / 2], byte);
    case ORCD_TYPE_IQ4_XS:
        return vs_of_s6(s->scale[sub & 1], sub / 2);
    default:
        return vs_of_u8(s->scale[sub / 4], sub & 3);
    }
}

/* The min of block sub; Q2_K: the bits of its two mins as a pair of int16. */
static KERNEL_INLINE vf k_min(uint32_t type, const struct k_scales *s, int sub)
{
    if (type == ORCD_TYPE_Q2_K) {
        const vi m = s->min[sub / 2];
        return vf_bits(vs_pair(vs_of_u8(m, 2 * (sub & 1)), vs_of_u8(m, 2 * (sub & 1) + 1)));
    }
    return vf_of_vi(vi_and(vi_shr(s->min[sub / 4], 8 * (sub & 3)), vi_set1(0xff)));
}

/* d of the packed block at p. */
static KERNEL_INLINE vf block_scale(uint32_t type, const uint8_t *p)
{
    if (type != ORCD_TYPE_MXFP4)
        return vf_of_f16(p);
    /* 2^(e - 128): the exponent e - 1, but 0 and 1 are subnormal: 1 << 21 and 2 << 21 */
    const vi e = vi_of_u8(p), one = vi_set1(1);
    return vf_bits(vi_max(vi_shl(vi_sub(e, one), 23), vi_shl(vi_add(e, one), 21)));
}

/* Unpacks blocks [b, b + n) of 32 inputs of a panel. n: whole blocks of the file. */
static KERNEL_INLINE void tile_fill(
    uint32_t type, struct tile *t, const uint8_t *panel, uint32_t b, uint32_t n)
{
    const struct packed_type pt = packed_type_of(type);
    const uint32_t subs = pt.block_elems / 32;
    for (uint32_t i = 0; i < n; i += subs) {
        const uint8_t *p = panel + (size_t)((b + i) / subs) * pt.block_bytes * CPU_PANEL_ROWS;
        vf_store(t->d[i], block_scale(type, p));
        if (type_is_k(type)) {
            const struct k_scales ks = k_scales_load(type, p);
            UNROLL
            for (int s = 0; s < 8; s++) {
                vi_store(t->scale[i + (uint32_t)s][0], k_scale(type, &ks, s, 0));
                if (type_is_halved(type))
                    vi_store(t->scale[i + (uint32_t)s][1], k_scale(type, &ks, s, 1));
                if (type_has_min(type))
                    vf_store(t->m[i + (uint32_t)s], k_min(type, &ks, s));
            }
            if (type_has_min(type))
                vf_store(t->dmin[i], vf_of_f16(p + pt.min));
        } else if (type_has_min(type)) {
            vf_store(t->m[i], vf_of_f16(p + pt.min));
        }
        UNROLL
        for (int s = 0; s < (int)subs; s++) {
            UNROLL
            for (int g = 0; g < 8; g++)
                vb_store(t->q[i + (uint32_t)s] + 64 * g, unpack_quad(type, p, s, g));
        }
    }
}

/* Where the weights of a block of 32 come from: the tile, or the packed block itself. */
struct block_source {
    const uint8_t *quads; /* of the tile; NULL: unpack */
    const uint8_t *packed;
    int sub;
    vs scale[2];
};

static KERNEL_INLINE vb block_quad(uint32_t type, const struct block_source *w, int g)
{
    return w->quads ? vb_load(w->quads + 64 * g) : unpack_quad(type, w->packed, w->sub, g);
}

/* What the offset of the quants added to the sums is taken back. */
static KERNEL_INLINE void offset_take(
    uint32_t type, const struct block_source *w, const struct act_row *x, uint32_t b, int n, vi *sum)
{
    const int log2 = type_offset_log2(type);
    if (log2 < 0)
        return;
    const vi pair = type_is_halved(type) ? vs_pair(w->scale[0], w->scale[1]) : vi_set1(0);
    UNROLL
    for (int i = 0; i < n; i++) {
        const vi of_x = type_is_halved(type) ? vi_madd16(pair, vi_set1(x[i].pair[b])) : vi_set1(x[i].sum[b]);
        sum[i] = vi_sub(sum[i], vi_shl(of_x, log2));
    }
}

/* sum[i] = the scaled integer sum of block b for n tokens. */
static KERNEL_INLINE void block_dot(
    uint32_t type, const struct block_source *w, const struct act_row *x, uint32_t b, int n, vi *sum)
{
    if (type_is_signed(type)) {
        UNROLL
        for (int i = 0; i < n; i++)
            sum[i] = vi_set1(0);
        UNROLL
        for (int g = 0; g < 8; g++) {
            const vb q = block_quad(type, w, g);
            UNROLL
            for (int i = 0; i < n; i++) {
                const int8_t *a = x[i].q + 32 * (size_t)b + 4 * g;
                sum[i] =
                    type_is_k(type) ? vi_dot_s8_scaled(sum[i], q, a, w->scale[0]) : vi_dot_s8(sum[i], q, a);
            }
        }
        offset_take(type, w, x, b, n, sum);
        if (type_is_k(type)) {
            UNROLL
            for (int i = 0; i < n; i++)
                sum[i] = vi_scale_s8(sum[i], w->scale[0]);
        }
    } else {
        const int depth = type_depth(type);
        UNROLL
        for (int g0 = 0; g0 < 8; g0 += depth) {
            vacc c[8];
            UNROLL
            for (int i = 0; i < n; i++)
                c[i] = vacc_zero();
            UNROLL
            for (int g = g0; g < g0 + depth; g++) {
                const vb q = block_quad(type, w, g);
                UNROLL
                for (int i = 0; i < n; i++)
                    c[i] = vacc_dot(c[i], q, x[i].q + 32 * (size_t)b + 4 * g);
            }
            UNROLL
            for (int i = 0; i < n; i++) {
                const vi before = g0 ? sum[i] : vi_set1(0);
                sum[i] = type_is_k(type)
                             ? vacc_flush_scaled(before, c[i], w->scale[type_is_halved(type) && g0 >= 4])
                             : vacc_flush(before, c[i]);
            }
        }
        offset_take(type, w, x, b, n, sum);
    }
}

/* Block b of 32 inputs, which is number sub of its K block: part[i] and mins[i] grow. */
static KERNEL_INLINE void k_sub_dot(uint32_t type, const struct block_source *w, vf min,
    const struct act_row *x, uint32_t b, int n, vf *part, vf *mins)
{
    vi sum[8];
    block_dot(type, w, x, b, n, sum);
    UNROLL
    for (int i = 0; i < n; i++)
        part[i] = vf_fma(vf_set1(x[i].d[b]), vf_of_vi(sum[i]), part[i]);
    if (!type_has_min(type))
        return;
    UNROLL
    for (int i = 0; i < n; i++) {
        if (type == ORCD_TYPE_Q2_K) {
            const vi m = vi_madd16(vi_bits(min), vi_set1(x[i].pair[b]));
            mins[i] = vf_fma(vf_set1(x[i].d[b]), vf_of_vi(m), mins[i]);
        } else {
            mins[i] = vf_fma(min, vf_set1(x[i].s[b]), mins[i]);
        }
    }
}

/* acc[i] += blocks [b0, b0 + nb) of 32 inputs, for n tokens. tile NULL: from the panel. */
static KERNEL_INLINE void tokens_dot(uint32_t type, const struct tile *tile, const uint8_t *panel,
    uint32_t b0, uint32_t nb, const struct act_row *x, int n, vf *acc)
{
    const struct packed_type pt = packed_type_of(type);
    const uint32_t subs = pt.block_elems / 32;
    const bool halved = type_is_halved(type), has_min = type_has_min(type);
    for (uint32_t j = 0; j < nb; j += subs) {
        const uint8_t *p = tile ? NULL : panel + (size_t)((b0 + j) / subs) * pt.block_bytes * CPU_PANEL_ROWS;
        const vf d = tile ? vf_load(tile->d[j]) : block_scale(type, p);
        if (!type_is_k(type)) {
            const struct block_source w = {.quads = tile ? tile->q[j] : NULL, .packed = p};
            vi sum[8];
            block_dot(type, &w, x, b0 + j, n, sum);
            UNROLL
            for (int i = 0; i < n; i++)
                acc[i] = vf_fma(vf_mul(d, vf_set1(x[i].d[b0 + j])), vf_of_vi(sum[i]), acc[i]);
            if (has_min) {
                const vf m = tile ? vf_load(tile->m[j]) : vf_of_f16(p + pt.min);
                UNROLL
                for (int i = 0; i < n; i++)
                    acc[i] = vf_fma(m, vf_set1(x[i].s[b0 + j]), acc[i]);
            }
            continue;
        }
        vf part[8], mins[8];
        UNROLL
        for (int i = 0; i < n; i++)
            part[i] = mins[i] = vf_set1(0);
        if (tile) {
            for (uint32_t k = j; k < j + 8; k++) {
                const struct block_source w = {.quads = tile->q[k],
                    .scale = {vi_load(tile->scale[k][0]), halved ? vi_load(tile->scale[k][1]) : vi_set1(0)}};
                k_sub_dot(type, &w, has_min ? vf_load(tile->m[k]) : d, x, b0 + k, n, part, mins);
            }
        } else {
            const struct k_scales ks = k_scales_load(type, p);
            UNROLL
            for (int s = 0; s < 8; s++) {
                const struct block_source w = {.packed = p,
                    .sub = s,
                    .scale = {k_scale(type, &ks, s, 0), halved ? k_scale(type, &ks, s, 1) : vi_set1(0)}};
                k_sub_dot(
                    type, &w, has_min ? k_min(type, &ks, s) : d, x, b0 + j + (uint32_t)s, n, part, mins);
            }
        }
        UNROLL
        for (int i = 0; i < n; i++)
            acc[i] = vf_fma(d, part[i], acc[i]);
        if (has_min) {
            const vf dmin = tile ? vf_load(tile->dmin[j]) : vf_of_f16(p + pt.min);
            UNROLL
            for (int i = 0; i < n; i++)
                acc[i] = vf_fnma(dmin, mins[i], acc[i]);
        }
    }
}

/* The first `rows` lanes at p; the rest 0. */
static KERNEL_INLINE vf rows_load(const float *p, uint32_t rows)
{
    if (rows == 16)
        return vf_load(p);
    float b[16] = {0};
    memcpy(b, p, rows * sizeof(float));
    return vf_load(b);
}

static KERNEL_INLINE void rows_store(float *p, vf v, uint32_t rows)
{
    if (rows == 16) {
        vf_store(p, v);
        return;
    }
    float b[16];
    vf_store(b, v);
    memcpy(p, b, rows * sizeof(float));
}

/* What one call of matmul is about. */
struct job {
    const uint8_t *data;
    const char *x;
    size_t x_stride, y_stride, panel_bytes;
    float *y;
    uint32_t n_rows, n_cols, p0, p1, n_tokens;
};

static KERNEL_INLINE uint32_t job_rows(const struct job *j, uint32_t p)
{
    const uint32_t left = j->n_rows - p * CPU_PANEL_ROWS;
    return left < CPU_PANEL_ROWS ? left : CPU_PANEL_ROWS;
}

/* One token's outputs of n panels from p on. */
static KERNEL_INLINE void panels_store(const struct job *j, uint32_t p, int n, const vf *acc)
{
    UNROLL
    for (int i = 0; i < n; i++)
        rows_store(j->y + (size_t)(p + (uint32_t)i) * CPU_PANEL_ROWS, acc[i], job_rows(j, p + (uint32_t)i));
}

/* n tokens from t on, one panel, blocks [b0, b0 + nb); b0 > 0: on top of what y holds. */
static KERNEL_INLINE void quant_tokens(uint32_t type, const struct job *j, const struct tile *tile,
    uint32_t p, uint32_t t, int n, uint32_t b0, uint32_t nb)
{
    const uint32_t rows = job_rows(j, p);
    float *y = j->y + t * j->y_stride + (size_t)p * CPU_PANEL_ROWS;
    struct act_row x[8];
    vf acc[8];
    UNROLL
    for (int i = 0; i < n; i++) {
        x[i] = act_row_at(j->x + (t + (uint32_t)i) * j->x_stride, j->n_cols);
        acc[i] = b0 ? rows_load(y + (size_t)i * j->y_stride, rows) : vf_set1(0);
    }
    tokens_dot(type, tile, j->data + p * j->panel_bytes, b0, nb, x, n, acc);
    UNROLL
    for (int i = 0; i < n; i++)
        rows_store(y + (size_t)i * j->y_stride, acc[i], rows);
}

/* One token, n panels from p on, a block of 32 inputs of each in turn. */
static KERNEL_INLINE void quant_panels(uint32_t type, const struct job *j, uint32_t p, int n)
{
    const struct act_row x = act_row_at(j->x, j->n_cols);
    const uint8_t *panel = j->data + p * j->panel_bytes;
    vf acc[PANELS];
    UNROLL
    for (int i = 0; i < n; i++)
        acc[i] = vf_set1(0);
    for (uint32_t b = 0; b < j->n_cols / 32; b++) {
        UNROLL
        for (int i = 0; i < n; i++)
            tokens_dot(type, NULL, panel + (size_t)i * j->panel_bytes, b, 1, &x, 1, &acc[i]);
    }
    panels_store(j, p, n, acc);
}

/* K types: one panel after the other. Work on their long blocks fills the registers, and what
 * memory would give more of they could not use. */
static KERNEL_INLINE void quant_one(uint32_t type, const struct job *j)
{
    uint32_t p = j->p0;
    for (; p + PANELS <= j->p1 && !type_is_k(type); p += PANELS)
        quant_panels(type, j, p, PANELS);
    for (; p < j->p1; p++)
        quant_tokens(type, j, NULL, p, 0, 1, 0, j->n_cols / 32);
}

static KERNEL_INLINE void quant_many(uint32_t type, const struct job *j)
{
    struct tile tile __attribute__((aligned(64)));
    const uint32_t blocks = j->n_cols / 32;
    for (uint32_t t0 = 0; t0 < j->n_tokens; t0 += CHUNK_TOKENS) {
        const uint32_t t1 = j->n_tokens - t0 < CHUNK_TOKENS ? j->n_tokens : t0 + CHUNK_TOKENS;
        for (uint32_t b = 0; b < blocks; b += CHUNK_BLOCKS) {
            const uint32_t nb = blocks - b < CHUNK_BLOCKS ? blocks - b : CHUNK_BLOCKS;
            for (uint32_t p = j->p0; p < j->p1; p++) {
                tile_fill(type, &tile, j->data + p * j->panel_bytes, b, nb);
                uint32_t t = t0;
                for (; t + LANES_TOKENS_Q <= t1; t += LANES_TOKENS_Q)
                    quant_tokens(type, j, &tile, p, t, LANES_TOKENS_Q, b, nb);
                for (; t + 2 <= t1; t += 2)
                    quant_tokens(type, j, &tile, p, t, 2, b, nb);
                if (t < t1)
                    quant_tokens(type, j, &tile, p, t, 1, b, nb);
            }
        }
    }
}

#define QUANT_TYPES(X)                                                                                       \
    X(Q4_0)                                                                                                  \
    X(Q4_1)                                                                                                  \
    X(Q5_0)                                                                                                  \
    X(Q5_1)                                                                                                  \
    X(Q8_0)                                                                                                  \
    X(IQ4_NL)                                                                                                \
    X(MXFP4)                                                                                                 \
    X(Q2_K)                                                                                                  \
    X(Q3_K)                                                                                                  \
    X(Q4_K)                                                                                                  \
    X(Q5_K)                                                                                                  \
    X(Q6_K)                                                                                                  \
    X(IQ4_XS)
#define FLOAT_TYPES(X) X(F32) X(F16) X(BF16)

/* --- weights as floats */

static KERNEL_INLINE vf float_weights(uint32_t type, const uint8_t *p)
{
    switch (type) {
    case ORCD_TYPE_F16:
        return vf_of_f16(p);
    case ORCD_TYPE_BF16:
        return vf_of_bf16(p);
    default:
        return vf_load((const float *)(const void *)p);
    }
}

/* acc[i] = fma(x[i][k], w[k], acc[i]) for k < n_k; w[k] has 16 lanes, w_stride bytes apart. */
static KERNEL_INLINE void float_dot(
    uint32_t type, const uint8_t *w, size_t w_stride, uint32_t n_k, const float *const *x, int n, vf *acc)
{
    for (uint32_t k = 0; k < n_k; k++) {
        const vf v = float_weights(type, w + k * w_stride);
        UNROLL
        for (int i = 0; i < n; i++)
            acc[i] = vf_fma(vf_set1(x[i][k]), v, acc[i]);
    }
}

static KERNEL_INLINE void float_tokens(
    uint32_t type, const struct job *j, uint32_t p, uint32_t t, int n, uint32_t k0, uint32_t nk)
{
    const size_t stride = CPU_PANEL_ROWS * packed_type_of(type).block_bytes;
    const uint32_t rows = job_rows(j, p);
    float *y = j->y + t * j->y_stride + (size_t)p * CPU_PANEL_ROWS;
    const float *x[8];
    vf acc[8];
    UNROLL
    for (int i = 0; i < n; i++) {
        x[i] = (const float *)(const void *)(j->x + (t + (uint32_t)i) * j->x_stride) + k0;
        acc[i] = k0 ? rows_load(y + (size_t)i * j->y_stride, rows) : vf_set1(0);
    }
    float_dot(type, j->data + p * j->panel_bytes + k0 * stride, stride, nk, x, n, acc);
    UNROLL
    for (int i = 0; i < n; i++)
        rows_store(y + (size_t)i * j->y_stride, acc[i], rows);
}

/* One token, n panels from p on, an input of each in turn. */
static KERNEL_INLINE void float_panels(uint32_t type, const struct job *j, uint32_t p, int n)
{
    const size_t stride = CPU_PANEL_ROWS * packed_type_of(type).block_bytes;
    const uint8_t *w = j->data + p * j->panel_bytes;
    const float *x = (const float *)(const void *)j->x;
    vf acc[PANELS];
    UNROLL
    for (int i = 0; i < n; i++)
        acc[i] = vf_set1(0);
    for (uint32_t k = 0; k < j->n_cols; k++, w += stride) {
        const vf xk = vf_set1(x[k]);
        UNROLL
        for (int i = 0; i < n; i++)
            acc[i] = vf_fma(xk, float_weights(type, w + (size_t)i * j->panel_bytes), acc[i]);
    }
    panels_store(j, p, n, acc);
}

static KERNEL_INLINE void float_one(uint32_t type, const struct job *j)
{
    uint32_t p = j->p0;
    for (; p + PANELS <= j->p1; p += PANELS)
        float_panels(type, j, p, PANELS);
    for (; p < j->p1; p++)
        float_panels(type, j, p, 1);
}

static KERNEL_INLINE void float_many(uint32_t type, const struct job *j)
{
    for (uint32_t t0 = 0; t0 < j->n_tokens; t0 += CHUNK_TOKENS) {
        const uint32_t t1 = j->n_tokens - t0 < CHUNK_TOKENS ? j->n_tokens : t0 + CHUNK_TOKENS;
        for (uint32_t k = 0; k < j->n_cols; k += CHUNK_COLS) {
            const uint32_t nk = j->n_cols - k < CHUNK_COLS ? j->n_cols - k : CHUNK_COLS;
            for (uint32_t p = j->p0; p < j->p1; p++) {
                uint32_t t = t0;
                for (; t + LANES_TOKENS_F <= t1; t += LANES_TOKENS_F)
                    float_tokens(type, j, p, t, LANES_TOKENS_F, k, nk);
                for (; t + 2 <= t1; t += 2)
                    float_tokens(type, j, p, t, 2, k, nk);
                if (t < t1)
                    float_tokens(type, j, p, t, 1, k, nk);
            }
        }
    }
}

/* One copy of the code a type, so that it is a constant there; or one for all. */
#if LANES_SPECIALIZE
#define QUANT_TYPE(name)                                                                                     \
    static __attribute__((noinline)) void one_##name(const struct job *j)                                    \
    {                                                                                                        \
        quant_one(ORCD_TYPE_##name, j);                                                                      \
    }                                                                                                        \
    static __attribute__((noinline)) void many_##name(const struct job *j)                                   \
    {                                                                                                        \
        quant_many(ORCD_TYPE_##name, j);                                                                     \
    }
#define FLOAT_TYPE(name)                                                                                     \
    static __attribute__((noinline)) void one_##name(const struct job *j)                                    \
    {                                                                                                        \
        float_one(ORCD_TYPE_##name, j);                                                                      \
    }                                                                                                        \
    static __attribute__((noinline)) void many_##name(const struct job *j)                                   \
    {                                                                                                        \
        float_many(ORCD_TYPE_##name, j);                                                                     \
    }
QUANT_TYPES(QUANT_TYPE)
FLOAT_TYPES(FLOAT_TYPE)
#endif

static void matmul(const struct cpu_matrix *w, uint32_t p0, uint32_t p1, const void *x, size_t x_stride,
    uint32_t n_tokens, float *y, size_t y_stride)
{
    const struct packed_type t = packed_type_of(w->type);
    if (!t.block_elems || !n_tokens)
        return;
    const struct job j = {.data = w->data,
        .x = x,
        .x_stride = x_stride,
        .y = y,
        .y_stride = y_stride,
        .panel_bytes = panel_bytes(&t, w->n_cols),
        .n_rows = w->n_rows,
        .n_cols = w->n_cols,
        .p0 = p0,
        .p1 = p1,
        .n_tokens = n_tokens};
#if LANES_SPECIALIZE
    switch (w->type) {
#define TYPE_CASE(name)                                                                                      \
    case ORCD_TYPE_##name:                                                                                   \
        (n_tokens == 1 ? one_##name : many_##name)(&j);                                                      \
        break;
        QUANT_TYPES(TYPE_CASE)
        FLOAT_TYPES(TYPE_CASE)
    default:
        break;
    }
#else
    if (t.act == CPU_ACT_F32)
        (n_tokens == 1 ? float_one : float_many)(w->type, &j);
    else if (n_tokens == 1)
        quant_one(w->type, &j);
    else
        quant_many(w->type, &j);
#endif
}

/* 1 / (127 / amax) would overflow below this; such a block counts as zero. */
#define ACT_TINY 0x1p-100f
#define ROUND_MAGIC 0x1.8p23f /* adding it rounds to an integer, to nearest even */

static void act_quantize(const float *x, uint32_t n_cols, void *dst)
{
    const struct act_row row = act_row_at(dst, n_cols);
    int8_t *q = (int8_t *)dst;
    float *d = (float *)(uintptr_t)row.d, *s = (float *)(uintptr_t)row.s;
    int32_t *pair = (int32_t *)(uintptr_t)row.pair, *sum = (int32_t *)(uintptr_t)row.sum;
    for (uint32_t b = 0; b < n_cols / 32; b++, x += 32, q += 32) {
        const vf x0 = vf_load(x), x1 = vf_load(x + 16);
        /* as integers, so that a NaN is larger than all numbers */
        const vi mask = vi_set1(0x7fffffff);
        const vi top = vi_max(vi_and(vi_bits(x0), mask), vi_and(vi_bits(x1), mask));
        const float amax = float_of_bits((uint32_t)vi_max_lane(top));
        if (!(amax >= ACT_TINY && amax <= 0x1.fffffep127f)) {
            /* a block with a NaN or an infinity poisons what it is multiplied with */
            memset(q, 0, 32);
            pair[b] = sum[b] = 0;
            d[b] = s[b] = amax < ACT_TINY ? 0.0f : float_of_bits(0x7fc00000);
            continue;
        }
        const vf id = vf_set1(127.0f / amax), magic = vf_set1(ROUND_MAGIC);
        const vi base = vi_bits(magic);
        const vi q0 = vi_sub(vi_bits(vf_add(vf_mul(x0, id), magic)), base);
        const vi q1 = vi_sub(vi_bits(vf_add(vf_mul(x1, id), magic)), base);
        vi_store_s8(q, q0);
        vi_store_s8(q + 16, q1);
        const int32_t s0 = vi_sum(q0), s1 = vi_sum(q1);
        d[b] = amax / 127.0f;
        sum[b] = s0 + s1;
        s[b] = d[b] * (float)(s0 + s1);
        pair[b] = (int32_t)((uint32_t)(s0 & 0xffff) | (uint32_t)s1 << 16);
    }
}

#endif
