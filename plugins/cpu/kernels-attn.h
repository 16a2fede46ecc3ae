/*
 * Attention over tiles of FP16 keys and values, compiled once for each instruction set.
 * The softmax runs tile by tile, tiles start at fixed positions, and a tile's arithmetic
 * is the same whether rows are taken alone or several at a time; so a row does not
 * depend on what else is in the call. Uses float_dot() of kernels-matmul.h: scores have
 * keys in the lanes, outputs have elements of the head.
 */
#ifndef ORCD_CPU_KERNELS_ATTN_H
#define ORCD_CPU_KERNELS_ATTN_H

static void k_put(uint16_t *tile, uint32_t slot, const float *k, uint32_t head_dim_k)
{
    uint16_t h[16];
    for (uint32_t i = 0; i < head_dim_k; i += 16) {
        const uint32_t n = head_dim_k - i < 16 ? head_dim_k - i : 16;
        vf_to_f16(h, vec_load(k + i, n, 0));
        for (uint32_t j = 0; j < n; j++)
            tile[(size_t)(i + j) * CPU_KV_TILE + slot] = h[j];
    }
}

static void v_put(uint16_t *tile, uint32_t slot, const float *v, uint32_t head_dim_v)
{
    uint16_t h[16];
    for (uint32_t i = 0; i < head_dim_v; i += 16) {
        const uint32_t n = head_dim_v - i < 16 ? head_dim_v - i : 16;
        vf_to_f16(h, vec_load(v + i, n, 0));
        memcpy(tile + (size_t)slot * head_dim_v + i, h, n * sizeof(h[0]));
    }
}

/* A tile as floats. */
struct attn_tile {
    const float *k; /* [head_dim_k][32] */
    const float *v; /* [32][v_stride], padded with zeros */
    uint32_t v_stride;
};

static struct attn_tile attn_tile_load(const struct cpu_attn *a, uint32_t tile)
{
    float *k = a->scratch;
    const uint32_t stride = (a->head_dim_v + 15) / 16 * 16;
    float *v = k + (size_t)a->head_dim_k * CPU_KV_TILE;
    const uint16_t *from = a->k_tiles[tile];
    for (size_t i = 0; i < (size_t)a->head_dim_k * CPU_KV_TILE; i += 16)
        vf_store(k + i, vf_of_f16(from + i));
    from = a->v_tiles[tile];
    for (size_t j = 0; j < CPU_KV_TILE; j++) {
        for (uint32_t i = 0; i < stride; i += 16) {
            const uint16_t *p = from + j * a->head_dim_v + i;
            uint16_t h[16] = {0};
            if (i + 16 > a->head_dim_v) {
                memcpy(h, p, (a->head_dim_v - i) * sizeof(h[0]));
                p = h;
            }
            vf_store(v + j * stride + i, vf_of_f16(p));
        }
    }
    return (struct attn_tile){k, v, stride};
}

/* One tile for n rows that all see keys lo .. hi - 1 of it. */
static KERNEL_INLINE void attn_rows(const struct cpu_attn *a, const struct attn_tile *t,
    struct cpu_attn_row *const *rows, int n, int lo, int hi)
{
    float p[LANES_TOKENS_F][CPU_KV_TILE] __attribute__((aligned(64)));
    const float *x[LANES_TOKENS_F];
    float corr[LANES_TOKENS_F];
    vf acc[LANES_TOKENS_F];
    UNROLL
    for (int i = 0; i < n; i++)
        x[i] = rows[i]->q;
    for (int half = 0; half < 2; half++) {
        UNROLL
        for (int i = 0; i < n; i++)
            acc[i] = vf_set1(0);
        float_dot(ORCD_TYPE_F32, (const uint8_t *)(t->k + 16 * half), CPU_KV_TILE * sizeof(float),
            a->head_dim_k, x, n, acc);
        UNROLL
        for (int i = 0; i < n; i++)
            vf_store(p[i] + 16 * half, acc[i]);
    }
    const vf scale = vf_set1(a->scale), lowest = vf_set1(-__FLT_MAX__);
    for (int i = 0; i < n; i++) {
        vf s0 = vf_mul(vf_load(p[i]), scale), s1 = vf_mul(vf_load(p[i] + 16), scale);
        if (a->softcap > 0) {
            s0 = vf_softcap(s0, a->softcap);
            s1 = vf_softcap(s1, a->softcap);
        }
        if (hi - lo < (int)CPU_KV_TILE) {
            s0 = vf_keep(s0, lo, hi, -INFINITY);
            s1 = vf_keep(s1, lo - 16, hi - 16, -INFINITY);
        }
        const float top = vf_max_lane(vf_max(vf_max(s0, s1), lowest));
        const float max = top > rows[i]->max ? top : rows[i]->max;
        const vf m = vf_set1(max);
        const vf p0 = vf_exp(vf_sub(s0, m)), p1 = vf_exp(vf_sub(s1, m));
        vf_store(p[i], p0);
        vf_store(p[i] + 16, p1);
        float c[16];
        vf_store(c, vf_exp(vf_set1(rows[i]->max - max)));
        corr[i] = c[0];
        rows[i]->sum = rows[i]->sum * c[0] + vf_sum(vf_add(p0, p1));
        rows[i]->max = max;
        x[i] = p[i] + lo;
    }
    for (uint32_t d = 0; d < a->head_dim_v; d += 16) {
        const uint32_t left = a->head_dim_v - d;
        UNROLL
        for (int i = 0; i < n; i++)
            acc[i] = vf_mul(vec_load(rows[i]->out + d, left, 0), vf_set1(corr[i]));
        float_dot(ORCD_TYPE_F32, (const uint8_t *)(t->v + (size_t)lo * t->v_stride + d),
            t->v_stride * sizeof(float), (uint32_t)(hi - lo), x, n, acc);
        UNROLL
        for (int i = 0; i < n; i++)
            vec_store(rows[i]->out + d, acc[i], left);
    }
}

static void attn_tiles(
    const struct cpu_attn *a, struct cpu_attn_row *rows, uint32_t n_rows, uint32_t tile0, uint32_t tile1)
{
    for (uint32_t tile = tile0; tile < tile1; tile++) {
        const uint32_t from = tile * CPU_KV_TILE, to = from + CPU_KV_TILE;
        struct attn_tile t = {0};
        struct cpu_attn_row *group[LANES_TOKENS_F];
        int n = 0;
        for (uint32_t r = 0; r < n_rows; r++) {
            struct cpu_attn_row *row = &rows[r];
            if (row->first >= to || row->end <= from)
                continue;
            if (!t.k)
                t = attn_tile_load(a, tile);
            if (row->first > from || row->end < to) {
                const int lo = row->first > from ? (int)(row->first - from) : 0;
                const int hi = row->end < to ? (int)(row->end - from) : (int)CPU_KV_TILE;
                attn_rows(a, &t, &row, 1, lo, hi);
                continue;
            }
            group[n++] = row;
            if (n == LANES_TOKENS_F) {
                attn_rows(a, &t, group, LANES_TOKENS_F, 0, CPU_KV_TILE);
                n = 0;
            }
        }
        for (int i = 0; i < n; i++)
            attn_rows(a, &t, &group[i], 1, 0, CPU_KV_TILE);
    }
}

static void attn_finish(struct cpu_attn_row *row, uint32_t head_dim_v)
{
    const uint32_t n = head_dim_v;
    const vf sum = vf_set1(row->sum > 0 ? row->sum : 1.0f);
    VEC_EACH(i, left)
    vec_store(row->out + i, vf_div(vec_load(row->out + i, left, 0), sum), left);
}

#endif
