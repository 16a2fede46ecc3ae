/*
 * The kernels of the cuda plugin: one launcher each, which the host code (C) calls. docs/cuda.md
 * tells how they fit together.
 *
 * Order of calls, which is that of a pass through forward.c (kernels are in anonymous namespaces; device code
 * that files share is in w-*.cuh, a-*.cuh and s-*.cuh):
 *   at the start   ck_touch_*: once a device, before anything else of their files
 *   loading        ck_repack                                          w-repack.cu
 *   begin          ck_begin: chained tokens, the history              s-begin.cu
 *                  ck_embed: the stream x                             w-expand.cu
 *                  ck_scale_rows, in some families                    f-rows.cu
 *                  ck_rope_table: angles for all layers               a-qkv.cu
 *   attention      ck_norm: x normed, as products read it             w-norm.cu
 *                  ck_products: q, k, v                               w-products*.cu, w-mma.cu
 *                    ck_expand and a gemm, on tensor cores            w-expand.cu
 *                  ck_qkv: biases, norms of heads, rope, KV           a-qkv.cu
 *                  ck_attn_decode, ck_attn_prefill                    a-decode.cu, a-combine.cu, a-prefill.cu
 *                  ck_norm (without a norm), ck_products: out
 *                  ck_add_rows, ck_add_normed: the residual           w-rows.cu, f-rows.cu
 *   feed-forward   ck_norm, ck_gated: gate, up, activation            w-products*.cu, w-mma.cu
 *                    ck_gate_rows, on tensor cores                    w-rows.cu
 *                  ck_norm, ck_products: down; the residual as above
 *   of experts     ck_route, ck_list_pairs                            a-experts.cu
 *                  ck_gated_experts, ck_down_experts                  w-products*.cu, w-mma.cu
 *                  ck_sum_experts, ck_add_shared: the residual        a-experts.cu, f-rows.cu
 *   end            ck_norm, ck_products: the logits
 *                  ck_softcap_rows, in some families                  f-rows.cu
 *                  ck_sample: draws, logprobs                         s-begin.cu, s-settle.cu, s-draw.cu
 *
 * Life cycle and threads: the functions here keep no state and own no memory. A context's thread (launcher.c)
 * calls them on the context's stream, readers of a load (load.c) call ck_repack on theirs; one thread a
 * stream.
 *
 * All of them
 *   - only put work on the stream: they allocate nothing, wait for nothing, copy nothing to the
 *     host, and may be captured into a graph: every number that changes from step to step is
 *     read from device memory, unless it is an argument named below as fixed for a graph;
 *   - return SIMT_OK or the error of the launch that failed;
 *   - take rows == 0 as "nothing to do";
 *   - expect pointers that are aligned to 16 bytes unless said otherwise, and leading dimensions
 *     (ld, in elements) that keep each row so: floats ld % 4 == 0, FP16 and int8 ld % 32 == 0;
 *   - check nothing else: the host has checked shapes, tokens and pages.
 *
 * Determinism: what is computed for a row depends on that row alone, bit for bit, whatever
 * the other rows are and however many. Sums go in an order that follows from the shapes (of
 * attention: from the row's position); where a compiler could choose to fuse a multiplication
 * and an addition, the source says so itself (simt::fma), as the build forbids it elsewhere
 * (-fmad=false, -ffp-contract=off). No atomic
 * additions of floats.
 */
#ifndef ORCD_CUDA_KERNELS_H
#define ORCD_CUDA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include <orcd/plugin.h>

#include "plugins/cuda/simt/rt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Before the functions of this header that kernels call too. */
#ifdef __CUDACC__
#define CK_BOTH __host__ __device__
#else
#define CK_BOTH
#endif

#define CK_PAGE 64u        /* tokens of a page of KV */
#define CK_PASS 8u         /* rows that go through a product without tensor cores together at most */
#define CK_SPLIT_KEYS 128u /* keys of a split of decode attention, at least */
#define CK_SPLITS 64u      /* splits of a row, at most */
#define CK_TILE 16u        /* queries of a tile of prefill attention, at most */
#define CK_MAX_EXPERTS 1024u
#define CK_MAX_USED 32u /* experts of a token */
#define CK_MAX_TOP 20u  /* logprobs of a position */

/* FP16 and BF16 as bits, so that this header needs no type of CUDA's. */
typedef uint16_t ck_half;

/* ------------------------------------------------------------------ weights */

/*
 * A matrix on the device: n_rows outputs of n_cols inputs, split into planes that are aligned
 * to 256 bytes each. A plane is row-major without gaps, so block b of a row-major matrix is
 * entry b of the plane, and rows from r on are a matrix of their own (ck_matrix_rows). Experts
 * of a layer are one tall matrix: row e * rows_per_expert + r.
 *
 * Float types (F32, F16, BF16): q holds the elements, row r at r * ld, ld = n_cols rounded up
 * to a multiple of 8, the rest of a row zero. h, s and d are NULL.
 *
 * All other types: n_cols is a multiple of 32 (256 for the K types and IQ4_XS) and everything
 * goes by blocks of 32 elements, n_cols / 32 to a row.
 *
 *   q   4-bit types: 16 bytes; byte j has element j in its low, j + 16 in its high nibble
 *       (so also for the K types, whose files order them otherwise)
 *       2-bit types (Q2_K, Q3_K): 8 bytes, "pairs" below
 *       Q8_0: 32 int8
 *   h   5-bit types: uint32, bit j belongs to element j
 *       Q6_K: 8 bytes, pairs: bits 4 and 5
 *       Q3_K: uint32, bit j of the file's hmask for element j (set: do not subtract 4)
 *   pairs: two little-endian words; nibble i of bytes 0..3 of word w, i = 0, 1, let g = 2 w + i:
 *       byte b: bits 4 i and 4 i + 1 belong to element 4 g + b, bits 4 i + 2 and 4 i + 3 to
 *       element 16 + 4 g + b. So word g / 2 >> 4 * (g % 2) masked by 0x03030303 goes with the low
 *       nibbles of word g of q, and shifted by two more with the high ones.
 *   s   scales of the block, d those of 256 elements (entry: block / 8)
 *
 *   type           q        h       s (of 32)                      d (of 256)     value of a block
 *   Q4_0           nibbles  -       half d                         -              d (q - 8)
 *   Q4_1           nibbles  -       half d, half m                 -              d q + m
 *   Q5_0           nibbles  bits    half d                         -              d (q - 16)
 *   Q5_1           nibbles  bits    half d, half m                 -              d q + m
 *   Q8_0           int8     -       half d                         -              d q
 *   IQ4_NL         nibbles  -       half d                         -              d T[q]
 *   MXFP4          nibbles  -       uint8 e                        -              2^(e - 128) M[q]
 *   IQ4_XS         nibbles  -       int8 c                         half d         d c T[q]
 *   Q2_K           pairs    -       2 uint8: 16 elements each,     half d, dmin   d c q - dmin m
 *                                   c low nibble, m high
 *   Q3_K           pairs    bits    2 int8 c: 16 elements each     half d         d c (q - 4 or 0)
 *   Q4_K           nibbles  -       uint8 c, uint8 m               half d, dmin   d c q - dmin m
 *   Q5_K           nibbles  bits    uint8 c, uint8 m               half d, dmin   d c q - dmin m
 *   Q6_K           nibbles  pairs   2 int8 c: 16 elements each     half d         d c (q - 32)
 *
 * T and M: the tables of IQ4_NL and MXFP4 in docs/formats.md (M is doubled E2M1). Plane s has
 * 1, 2 or 4 bytes a block and d 2 or 4 bytes an entry, and each entry is aligned to its size.
 */
struct ck_matrix {
    uint32_t type; /* orcd_tensor_type */
    uint32_t n_rows, n_cols;
    uint32_t ld; /* float types: elements between rows; else n_cols */
    const uint8_t *q, *h, *s, *d;
};

/* Bytes of each plane, rounded up to 256 (0: the type has no such plane), and their sum. */
struct ck_layout {
    uint64_t q, h, s, d, bytes;
};

/* 1, or 0: the type or shape is not supported, or the size overflows. planes.c */
int ck_matrix_layout(uint32_t type, uint64_t n_rows, uint64_t n_cols, struct ck_layout *out);
/* Fills in *out, its planes from base on (aligned to 256) in the order q, h, s, d. planes.c */
void ck_matrix_place(struct ck_matrix *out, uint32_t type, uint32_t n_rows, uint32_t n_cols, uint8_t *base);
/* Rows first .. first + n of w. planes.c */
struct ck_matrix ck_matrix_rows(const struct ck_matrix *w, uint32_t first, uint32_t n);

CK_BOTH static inline int ck_is_float(uint32_t type)
{
    return type == ORCD_TYPE_F32 || type == ORCD_TYPE_F16 || type == ORCD_TYPE_BF16;
}

/*
 * Blocks of the file into planes. src: n blocks of w's type in device memory as the file has
 * them (elements, for float types), the first one being block `first` of the row-major matrix.
 * src is aligned to 256 bytes. Pieces may begin and end anywhere. For float types the padding
 * is written by the host beforehand (the weights are zero-filled).
 */
enum simt_status ck_repack(
    struct simt_stream *s, const struct ck_matrix *w, const void *src, uint64_t first, uint64_t n);

/* w's values in FP16 (round to nearest even; beyond its range: the largest), out[row][ld],
 * ld % 8 == 0, ld >= n_cols, the rest of a row zero. Scratch of the tensor-core products. */
enum simt_status ck_expand(struct simt_stream *s, const struct ck_matrix *w, ck_half *out, uint32_t ld);

/* -------------------------------------------------------------- activations */

/*
 * Inputs of products, in up to two forms; a NULL member is not wanted (outputs) or not there.
 * Quantized: blocks of 32, d = amax / 127 (0 when amax is 0), q = round to nearest even of
 * x / d computed as x * (1 / d), clamped to -127 .. 127. sums: of the 16 first and 16 last q of a
 * block, low and high half of a word. terms 2: entry 2 r is row r quantized, entry 2 r + 1 what
 * that left (x - d q), quantized likewise; a product adds both. n % 32 == 0 where q is wanted.
 * ld and rows of all members agree: entry i has q at i * ld, d and sums at i * (ld / 32);
 * f (row r at r * ld, terms do not matter) holds the floats, zero beyond n up to ld.
 */
struct ck_act {
    int8_t *q;
    float *d;
    int32_t *sums;
    float *f;
    uint32_t ld;    /* % 32 == 0 */
    uint32_t terms; /* 1 or 2 */
};

/* The same for tensor cores: row r is h[r * ld + i] * scale[r], scale a power of two such that no
 * element overflows: 1 unless the largest magnitude is above 32768. Zero beyond n up to ld. */
struct ck_halves {
    ck_half *h;
    float *scale;
    uint32_t ld; /* % 8 == 0 */
};

enum ck_norm_kind { CK_NORM_NONE, CK_NORM_RMS, CK_NORM_LAYER };

/* Row r of the outputs is the norm of x's row (index ? index[r] : r). RMS: x / sqrt(mean x^2 + eps)
 * * weight; LAYER: (x - mean) / sqrt(variance + eps) * weight + bias (two passes). NONE: x itself. */
struct ck_norm_args {
    uint32_t kind, rows, n; /* fixed for a graph */
    const float *x;
    uint32_t ld_x;
    const uint32_t *index; /* NULL: none */
    const float *weight, *bias;
    float eps;
    struct ck_act act;       /* members NULL: none */
    struct ck_halves halves; /* h NULL: none */
};
enum simt_status ck_norm(struct simt_stream *s, const struct ck_norm_args *a);

/* ---------------------------------------------------------------- products */

/*
 * y[r][i] = w row i . input row r + bias[i], added to y when `add` is set: y + (dot + bias).
 * Block types use act.q, d and sums, float types act.f; both read act row r (entries r * terms ..).
 * Sums: integers exact within a block of 32 (or 16, as the type's scales go), FP32 beyond, lane
 * by lane and then the warp's butterfly, neighbours first; how many warps share a row follows from
 * (type, n_rows, n_cols). Rows go in passes of CK_PASS, more of block types in passes of 32 through
 * tensor cores; a row's own sum is the same bits either way.
 */
struct ck_product {
    struct ck_matrix w;
    const float *bias; /* NULL: none */
    float *y;
    uint32_t ld_y;
    uint32_t add;
};
/* n of them (1 to 3) of the same input: one launch where types agree. */
enum simt_status ck_products(
    struct simt_stream *s, const struct ck_product *p, uint32_t n, const struct ck_act *act, uint32_t rows);

/* h[r][i] = f(gate row i . x + gate_bias[i], up row i . x + up_bias[i]); gate, up of one shape.
 * activation: orcd_activation. SILU_GATED: silu(g) * u. GELU: gelu(u) by tanh, gate NULL.
 * SWIGLU_OAI: g = min(g, 7), u = clamp(u, -7, 7), g * sigmoid(1.702 g) * (u + 1). GELU_GATED:
 * gelu(g) * u. */
struct ck_gated_args {
    const struct ck_matrix *gate, *up; /* host pointers; types may differ */
    const float *gate_bias, *up_bias;  /* NULL: none */
    uint32_t activation;
    float *h;
    uint32_t ld_h;
};
enum simt_status ck_gated(
    struct simt_stream *s, const struct ck_gated_args *p, const struct ck_act *act, uint32_t rows);

/* Rows y that are added to rows x of the residual stream. */
struct ck_add_args {
    uint32_t rows, n;
    float *x;
    uint32_t ld_x;
    const float *y;
    uint32_t ld_y;
    const float *scale, *bias; /* [row] and [n]; NULL: 1 and 0 */
};
/* After tensor-core products, whose FP32 output lacks the rows' scale and the bias:
 * x[r][i] += y[r][i] * scale[r] + bias[i]. */
enum simt_status ck_add_rows(struct simt_stream *s, const struct ck_add_args *a);

/* Likewise gate[r][i] = f(gate * scale[r] + gate_bias[i], up * scale[r] + up_bias[i]), in place (GELU:
 * gate is written alone). */
struct ck_gate_rows_args {
    uint32_t rows, n;
    float *gate;
    const float *up;
    uint32_t ld;                              /* of both */
    const float *scale, *gate_bias, *up_bias; /* NULL: 1, 0, 0 */
    uint32_t activation;                      /* as of ck_gated */
};
enum simt_status ck_gate_rows(struct simt_stream *s, const struct ck_gate_rows_args *a);

/* ------------------------------------------------------------ cells, pages */

/* A cell is one token of one sequence at one position. Arrays in device memory. */
struct ck_cells {
    int32_t *token;      /* ORCD_TOKEN_CHAINED until ck_begin */
    const uint32_t *seq; /* slot */
    const uint32_t *pos;
};

/* KV of one layer. The page of position p of slot q is table[q * table_ld + p / CK_PAGE];
 * kv head j of it has its keys at k + page * page_stride + (j * CK_PAGE + p % CK_PAGE) * dk,
 * values likewise with dv; in FP16, elements. */
struct ck_kv {
    ck_half *k, *v;
    uint64_t page_stride;
    const uint32_t *table;
    uint32_t table_ld;
};

/* What every sequence said: token_at[page * CK_PAGE + p % CK_PAGE], page as above. */
struct ck_history {
    int32_t *token_at;
    const uint32_t *table;
    uint32_t table_ld;
};

/* Begins a step: a chained cell's token becomes chain[seq]; writes tokens into the history.
 * A chained token outside 0 .. n_vocab - 1 (its draw failed) becomes 0. */
enum simt_status ck_begin(struct simt_stream *s, const struct ck_cells *c, const int32_t *chain,
    const struct ck_history *h, uint32_t n_vocab, uint32_t rows);

/* x[r] = embd row token (+ position row pos, where position is not NULL), dequantized. */
enum simt_status ck_embed(struct simt_stream *s, const struct ck_matrix *embd,
    const struct ck_matrix *position, const struct ck_cells *c, float *x, uint32_t ld_x, uint32_t rows);

/* cs[r][2 i], cs[r][2 i + 1] = cosine and sine of pos[r] * inv_freq[i] (in double, then to float),
 * each times magnitude. inv_freq: device memory, pairs of them. */
enum simt_status ck_rope_table(struct simt_stream *s, const uint32_t *pos, const double *inv_freq,
    uint32_t pairs, double magnitude, float *cs, uint32_t rows);

/* ---------------------------------------------------------------- attention */

/*
 * In this order, per row and head: q, k, v times scale[row] (tensor-core products; NULL: none),
 * plus bias; RMS norm of each head of q and k (weights of dk; NULL: none); rotation of the first
 * 2 * pairs elements (NORM: elements 2 i and 2 i + 1, NEOX: i and i + pairs); k and v rounded to
 * FP16 into their page. q is written back in place in FP32.
 */
struct ck_qkv_args {
    uint32_t rows, n_heads, n_kv_heads, dk, dv;
    float *q, *k, *v; /* [row][heads * head size] */
    uint32_t ld_q, ld_k, ld_v;
    const float *scale;
    const float *q_bias, *k_bias, *v_bias;
    const float *q_norm, *k_norm;
    float eps;
    uint32_t rope; /* orcd_rope */
    uint32_t pairs;
    const float *cs; /* [row][2 * pairs] */
    struct ck_cells cells;
    struct ck_kv kv;
};
enum simt_status ck_qkv(struct simt_stream *s, const struct ck_qkv_args *a);

/*
 * Both kinds of attention: scores q . k * scale, then softcap * tanh(score / softcap) unless softcap
 * is 0; keys max(0, pos - window + 1) .. pos (window 0: from 0 on); sinks[head] (NULL: none) is one
 * more score, of no value. Scores, weights and sums in FP32. n_heads % n_kv_heads == 0; head h
 * uses kv head h / (n_heads / n_kv_heads). dk and dv are even and at most 1024.
 */
struct ck_attn_args {
    uint32_t rows, n_heads, n_kv_heads, dk, dv;
    const float *q;
    uint32_t ld_q;
    float *out; /* [row][n_heads * dv] */
    uint32_t ld_out;
    float scale, softcap;
    uint32_t window;
    const float *sinks;
    struct ck_cells cells;
    struct ck_kv kv;
};

/* Keys of a split of a row at pos: a matter of pos alone. Split i has keys i * this .. */
CK_BOTH static inline uint32_t ck_split_keys(uint32_t pos)
{
    const uint32_t even = pos / (CK_SPLITS * CK_PAGE) + 1; /* pages that 64 splits need each */
    return even * CK_PAGE < CK_SPLIT_KEYS ? CK_SPLIT_KEYS : even * CK_PAGE;
}
CK_BOTH static inline uint32_t ck_n_splits(uint32_t pos)
{
    return pos / ck_split_keys(pos) + 1;
}

/* Decode: one row a sequence. n_splits (fixed for a graph) is at least ck_n_splits of every row;
 * what lies beyond a row's own splits, or wholly before its window, is neither computed nor read.
 * partial: floats, ck_attn_partial() of them: each split's maximum, sum and unnormalized out;
 * combined in ascending order of splits, sinks first. The heads of one kv head share its keys. */
CK_BOTH static inline uint64_t ck_attn_partial(
    uint64_t rows, uint64_t n_heads, uint64_t n_splits, uint64_t dv)
{
    return rows * n_heads * n_splits * ((dv + 2 + 3) / 4 * 4);
}
enum simt_status ck_attn_decode(
    struct simt_stream *s, const struct ck_attn_args *a, float *partial, uint32_t n_splits);

/* Prefill: rows first .. first + count (at most CK_TILE) are neighbours of one sequence at
 * positions pos .. . Tiles in device memory. Keys go in tiles that begin at multiples of
 * CK_PAGE, ascending; a tile of keys that a query does not see changes nothing of it. */
struct ck_tile {
    uint32_t first, count, seq, pos;
};
enum simt_status ck_attn_prefill(
    struct simt_stream *s, const struct ck_attn_args *a, const struct ck_tile *tiles, uint32_t n_tiles);

/* ------------------------------------------------------------------ experts */

/*
 * Pairs: token r and its u-th expert is pair r * used + u, whatever order they are computed in.
 *
 * Routing: bias added to the logits (NULL: none), the `used` largest (the lowest number of
 * equals first), softmax over those (norm != 0) or over all n; times scale (0: 1). exp in float
 * or better, sums in ascending order.
 */
struct ck_route_args {
    uint32_t rows, n, used;
    const float *logits; /* [row][ld] */
    uint32_t ld;
    const float *bias;
    uint32_t norm;
    float scale;
    int32_t *expert; /* [pairs] */
    float *weight;   /* [pairs] */
};
enum simt_status ck_route(struct simt_stream *s, const struct ck_route_args *a);

/* Pairs by expert: first[e] .. first[e + 1] of order are e's, ascending. first: n_experts + 1. */
enum simt_status ck_list_pairs(struct simt_stream *s, const int32_t *expert, uint32_t n_pairs,
    uint32_t n_experts, uint32_t *order, uint32_t *first);

struct ck_experts {
    uint32_t n_pairs, used, n_experts;
    const int32_t *expert;
    const uint32_t *order, *first;
};
/* As ck_gated, but gate, up (tall) and biases ([n_experts][n_ff]) of each pair's expert; input row:
 * the pair's token; h row: the pair. Blocks take pairs of one expert, in passes as above. */
enum simt_status ck_gated_experts(struct simt_stream *s, const struct ck_gated_args *p,
    const struct ck_act *act, const struct ck_experts *e);
/* y[pair] = w's rows of the pair's expert . input row `pair` + bias row; add must be 0. */
enum simt_status ck_down_experts(
    struct simt_stream *s, const struct ck_product *p, const struct ck_act *act, const struct ck_experts *e);
/* x[r][i] += the sum over u, ascending, of weight[pair] * y[pair][i]. */
struct ck_sum_args {
    uint32_t rows, n, used;
    float *x;
    uint32_t ld_x;
    const float *y; /* [pairs] rows */
    uint32_t ld_y;
    const float *weight; /* [pairs] */
};
enum simt_status ck_sum_experts(struct simt_stream *s, const struct ck_sum_args *a);

/* ----------------------------------------------------------------- sampling */

/* Of one sequence, in device memory, by slot. docs/sampling.md defines what they mean. */
struct ck_sampler {
    uint64_t seed;
    float temperature, top_p, min_p;
    uint32_t top_k;
    double log_min_p; /* ln min_p, as the host rounds it */
    float repetition_penalty, frequency_penalty, presence_penalty;
    uint32_t repeat_last_n;
    uint32_t n_prompt; /* positions from here on are output */
    uint32_t features; /* ORCD_S_ */
};

enum ck_draw { CK_DRAW_NONE, CK_DRAW_TOKEN, CK_DRAW_TOP };

/*
 * For each row: TOKEN draws the token at position pos + 1 of the sequence, whose tokens up to pos
 * are in the history, into token[r] and chain[seq]; TOP writes the best n_top ids and their natural
 * log probabilities under the raw logits into top_ids[r * CK_MAX_TOP] and top_logprobs; token[r] is
 * -1 then and for NONE. All logits NaN or -inf: token[r] = -2 and chain[seq] = -2.
 *
 * The same choice as core/sample (sampler_draw) makes of the same logits, bit for bit: same
 * polynomial for exp, same sums in double in the same order of blocks, same keys of equal
 * logits. Rules: temperature, top-k, top-p, min-p, repetition, frequency and presence;
 * others do not come here.
 */
struct ck_sample_args {
    uint32_t rows, n_vocab;
    const float *logits; /* [row][ld]; not changed */
    uint32_t ld;
    const uint32_t *draw, *n_top;     /* [row] */
    const uint32_t *seq, *pos;        /* [row] */
    const struct ck_sampler *sampler; /* by slot */
    struct ck_history history;
    int32_t *chain;      /* by slot */
    int32_t *token;      /* [row] */
    int32_t *top_ids;    /* [row][CK_MAX_TOP] */
    float *top_logprobs; /* [row][CK_MAX_TOP] */
    void *scratch;       /* ck_sample_scratch() bytes, contents of no matter */
};
uint64_t ck_sample_scratch(uint32_t rows, uint32_t n_vocab);
enum simt_status ck_sample(struct simt_stream *s, const struct ck_sample_args *a);

/* ------------------------------------------- what some families need besides */

/* x[r][i] *= factor (scaled embeddings). */
enum simt_status ck_scale_rows(
    struct simt_stream *s, float *x, uint32_t ld, float factor, uint32_t rows, uint32_t n);
/* x[r][i] = cap * tanh(x[r][i] / cap) (capped logits). */
enum simt_status ck_softcap_rows(
    struct simt_stream *s, float *x, uint32_t ld, float cap, uint32_t rows, uint32_t n);
/* x[r] += the RMS norm, by weight, of y[r][i] * scale[r] + bias[i]. */
enum simt_status ck_add_normed(
    struct simt_stream *s, const struct ck_add_args *a, const float *weight, float eps);
/* x[r] += y[r] * scale[r] times the sigmoid of in[r] . router: an expert that all share. No bias. */
enum simt_status ck_add_shared(
    struct simt_stream *s, const struct ck_add_args *a, const float *in, uint32_t ld_in, const float *router);

/* ---------------------------------------------------------------- start-up */

/* Loads every kernel of a file family into the device (loading is lazy and may wait for the
 * device), before anything is captured or timed. */
enum simt_status ck_touch_weights(void);
enum simt_status ck_touch_attention(void);
enum simt_status ck_touch_sampling(void);
enum simt_status ck_touch_families(void);

#ifdef __cplusplus
}
#endif
#endif
