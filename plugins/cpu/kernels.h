/*
 * Compute kernels of the cpu plugin: one table of functions for each instruction
 * set. They allocate nothing, keep no state, take no locks: every function may run
 * on any number of threads at once as long as outputs do not overlap.
 *
 * Determinism. An output element depends on its own inputs alone: it is the same,
 * bit for bit, for every number of tokens in the call, every place in the batch,
 * every split into panels and every instruction set (NaN payloads excepted).
 *
 * Weights are repacked at load. A panel holds CPU_PANEL_ROWS output rows whose
 * blocks are interleaved so that a vector lane is an output row. A packed matrix
 * takes as many bytes as its blocks in the file, rows padded to whole panels.
 *
 * Order of calls. cpu_kernels_select() gives the table, once, at init. A matrix: cpu_matrix_bytes(), pack()
 * all panels, then matmul() as often as wanted; where cpu_type_act() says Q8, act_quantize() makes its inputs
 * first. Attention: k_put() and v_put() of a position before a row sees it; of a row cpu_attn_start(),
 * attn_tiles() forward through its tiles, attn_finish().
 *
 * Files: kernels.c chooses and adds up sizes, kernels-rows.c looks up embeddings; kernels-c.c, -avx2.c and
 * -avx512.c each compile the same kernels-pack.h, -matmul.h, -vec.h and -attn.h over lanes of their own
 * (kernels-lanes-*.h). kernels-layout.h says where a packed block has what.
 */
#ifndef ORCD_CPU_KERNELS_H
#define ORCD_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_PANEL_ROWS 16u /* output rows of a panel */
#define CPU_KV_TILE 32u    /* keys of a tile of the KV cache */
#define CPU_ALIGN                                                                                            \
    64u /* every buffer given to a kernel starts at a multiple of this, unless it says "any"                 \
         */

/* What a type's matmul reads as its input rows. */
enum cpu_act {
    CPU_ACT_F32 = 0, /* n_cols floats */
    CPU_ACT_Q8 = 1   /* what act_quantize wrote */
};

/* A packed matrix: n_rows outputs, n_cols inputs. data is CPU_ALIGN aligned. */
struct cpu_matrix {
    uint32_t type; /* orcd_tensor_type */
    uint32_t n_rows, n_cols;
    const void *data;
};

/* Types: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4, Q2_K, Q3_K, Q4_K, Q5_K,
 * Q6_K, IQ4_XS. */
bool cpu_type_supported(uint32_t type);
enum cpu_act cpu_type_act(uint32_t type);

/* ceil(n_rows / CPU_PANEL_ROWS) */
uint32_t cpu_matrix_panels(uint32_t n_rows);
/* Bytes of the packed matrix, a multiple of CPU_ALIGN. 0: the type is not supported, n_cols
 * is no multiple of its block, a dimension is 0, or the product overflows. */
size_t cpu_matrix_bytes(uint32_t type, uint32_t n_rows, uint32_t n_cols);
/* Bytes of one quantized input row of n_cols (a multiple of 32), a multiple of CPU_ALIGN. */
size_t cpu_act_bytes(uint32_t n_cols);

/*
 * One query row of attention: a head of one token. q has head_dim_k floats, out has
 * head_dim_v; it sees keys first <= position < end (at least one). Both any alignment.
 * max, sum and out carry the running softmax between calls: start with cpu_attn_start().
 */
struct cpu_attn_row {
    const float *q;
    float *out;
    uint32_t first, end;
    float max, sum;
};

/* Clears out to head_dim_v zeros. sink: the head's extra logit, NULL when it has none. */
void cpu_attn_start(struct cpu_attn_row *row, uint32_t head_dim_v, const float *sink);

/*
 * A tile of the KV cache holds CPU_KV_TILE consecutive positions of one KV head as
 * FP16, from a position that is a multiple of CPU_KV_TILE:
 *   keys   [head_dim_k][CPU_KV_TILE]  (transposed: a lane is a key)
 *   values [CPU_KV_TILE][head_dim_v]
 * Positions that no row sees may hold anything. CPU_ALIGN aligned.
 */
struct cpu_attn {
    const uint16_t *const *k_tiles; /* by position / CPU_KV_TILE */
    const uint16_t *const *v_tiles;
    uint32_t head_dim_k, head_dim_v; /* multiples of 2, at most 1024 */
    float scale;                     /* of q . k */
    float softcap;                   /* 0: none; a scaled score s becomes softcap tanh(s / softcap) */
    void *scratch;                   /* cpu_attn_scratch_bytes(), one a thread */
};
size_t cpu_attn_scratch_bytes(uint32_t head_dim_k, uint32_t head_dim_v);

struct cpu_kernels {
    const char *name; /* "c", "avx2", "avx512" */

    /* --- weights */
    /* Packs panels [p0, p1) of the matrix at src (the file's layout, any alignment, all of
     * its rows) into dst, the whole packed matrix. Rows beyond n_rows become zero. */
    void (*pack)(uint32_t type, const void *src, uint32_t n_rows, uint32_t n_cols, uint32_t p0, uint32_t p1,
        void *dst);
    /* One row of a packed matrix as n_cols floats: the embedding look-up. */
    void (*row_get)(const struct cpu_matrix *w, uint32_t row, float *dst);

    /* --- matrix product */
    /* One row of n_cols (a multiple of 32) floats, any alignment, to dst of cpu_act_bytes(n_cols). */
    void (*act_quantize)(const float *x, uint32_t n_cols, void *dst);
    /* y[t * y_stride + row] = sum over k of W[row][k] * x_t[k], for the rows of panels [p0, p1)
     * below n_rows and all tokens. x_t starts x_stride bytes after x_(t-1) and is of
     * cpu_type_act(w->type). F32 inputs and y: 4-byte alignment is enough. */
    void (*matmul)(const struct cpu_matrix *w, uint32_t p0, uint32_t p1, const void *x, size_t x_stride,
        uint32_t n_tokens, float *y, size_t y_stride);

    /* --- attention: see struct cpu_attn */
    void (*k_put)(uint16_t *tile, uint32_t slot, const float *k, uint32_t head_dim_k);
    void (*v_put)(uint16_t *tile, uint32_t slot, const float *v, uint32_t head_dim_v);
    /* Every row over its keys in tiles [tile0, tile1) (a row skips those outside first..end).
     * All rows share one KV head: the heads of its group, any number of tokens. Calls go
     * forward through the tiles, or one call takes all. */
    void (*attn_tiles)(
        const struct cpu_attn *a, struct cpu_attn_row *rows, uint32_t n_rows, uint32_t tile0, uint32_t tile1);
    /* out /= sum */
    void (*attn_finish)(struct cpu_attn_row *row, uint32_t head_dim_v);

    /* --- vectors of n floats, any alignment; in place is allowed */
    void (*rms_norm)(const float *x, const float *weight, float *y, uint32_t n, float eps);
    /* bias may be NULL */
    void (*layer_norm)(
        const float *x, const float *weight, const float *bias, float *y, uint32_t n, float eps);
    void (*add)(float *y, const float *x, uint32_t n);                          /* y += x */
    void (*axpy)(float *y, float a, const float *x, uint32_t n);                /* y += a x */
    void (*silu_mul)(const float *gate, const float *up, float *y, uint32_t n); /* silu(gate) up */
    void (*swiglu_oai)(const float *gate, const float *up, float *y, uint32_t n);
    void (*gelu)(const float *x, float *y, uint32_t n);                         /* the tanh form */
    void (*gelu_mul)(const float *gate, const float *up, float *y, uint32_t n); /* gelu(gate) up */
    void (*softcap)(float *x, float cap, uint32_t n); /* x = cap tanh(x / cap); cap > 0 */
    void (*softmax)(float *x, uint32_t n);            /* n >= 1 */
    /* Rotates the first 2 * n_pairs elements of a head by cos[i], sin[i] of pair i: the two
     * halves (neox) or adjacent pairs. */
    void (*rope)(float *x, const float *cos, const float *sin, uint32_t n_pairs, bool neox);
};

/* The table called name ("c", "avx2", "avx512"), or the best for this processor when it is
 * NULL, "" or "auto". NULL: unknown, not built in, or this processor lacks it. */
const struct cpu_kernels *cpu_kernels_select(const char *name);
/* The tables that run on this processor, best first; NULL past the end. */
const struct cpu_kernels *cpu_kernels_at(size_t i);

#endif
