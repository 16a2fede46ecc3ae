/*
 * A pass: cells that go through all layers together, as launches on the context's stream.
 *
 * Order of calls. passes.c fills in a pass and its description and brings that to the device. A pass of
 * decode then goes through graphs_run(), which does the whole of it; one of prefill through forward_begin(),
 * forward_layer() for each layer in turn, and forward_end().
 *
 * Life cycle. A pass lives on the stack of the function that made it and owns nothing: the memory is the
 * context's (struct scratch), and so are the graphs.
 *
 * Threads. The launcher alone (launcher.c). Nothing here waits for the device, but for graphs_run() when it
 * has to drop a graph. (graphs_make() captures passes on the owner's thread, before there is a launcher.) The
 * first failure stays in status, and everything after it does nothing.
 */
#ifndef ORCD_CUDA_PASS_H
#define ORCD_CUDA_PASS_H

#include "plugins/cuda/ctx.h"

/* Cells of a slice that are a row's. Each of its products has a height of its own, which follows from the row
 * alone, and so have the bits of its results: cells behind its n that are within the height are the next
 * share's, or nobody's. */
struct share {
    struct step_row *row;
    uint32_t from;     /* of the row's tokens in the step, the first */
    uint32_t first, n; /* cells */
    uint32_t height;   /* at least n */
    bool dropped;      /* was aborted before a layer */
};

struct pass {
    struct orcd_ctx *ctx;
    struct group at; /* device memory */
    uint32_t rows, n_tiles;
    uint32_t n_splits;         /* decode */
    uint32_t n_wanted, wanted; /* positions, and the number of the first */
    bool decode;
    bool every;                 /* each cell is wanted, in order */
    bool gemm;                  /* products on tensor cores */
    const struct share *shares; /* by which these go, in order; NULL: all rows in one */
    uint32_t n_shares;
    enum simt_status status; /* the first failure */
};

/* Notes a failure; false: there was one, now or before. */
bool pass_ok(struct pass *p, enum simt_status status);

/* --- forward.c. False: p->status. */
bool forward_begin(struct pass *p); /* tokens, embeddings, angles */
bool forward_layer(struct pass *p, uint32_t layer);
bool forward_end(struct pass *p); /* logits and draws of wanted positions */

/* --- heights.c. How many rows the products of a row's next `left` tokens have, in slices of at most `most`.
 */
uint32_t prefill_height(uint32_t most, uint32_t left);
/* Slices and shares of slices that a step of so many rows and tokens may have; at most so many shares in one.
 */
uint64_t prefill_shares(const struct orcd_ctx *ctx);
/* Computes each product that prefill may have once, on what is in the context's memory, and waits: before the
 * launcher starts. */
enum simt_status prefill_products(struct orcd_ctx *ctx);

/* --- graphs.c. The whole of a decode pass of group number `group`. */
bool graphs_run(struct pass *p, uint32_t group);

/* --- products.c: what forward.c is made of. */
/* Rows of n floats, as they are or normed, for the products that come next. */
struct rows_for {
    const float *x;
    uint32_t ld_x, rows, n;
    const uint32_t *index;              /* x's row of each; NULL: in order */
    const float *weight, *bias;         /* of the norm; NULL: none */
    const struct ck_matrix *readers[4]; /* the matrices, up to a NULL */
    bool floats;                        /* something else reads floats */
    bool two_terms;                     /* 8-bit inputs are a sum of two */
    bool gemm;                          /* on tensor cores, whatever the matrices are */
};
/* Inputs of products, in the forms that those read. There is one such memory: valid until the next one is
 * made. */
struct input {
    struct ck_act act;
    struct ck_halves halves;
};
bool input_make(struct pass *p, struct input *in, const struct rows_for *r);
/* Memory of FP16 rows of n. */
struct ck_halves halves_for(const struct pass *p, uint32_t n);
/* y = w times the rows, on tensor cores, without scale and bias. */
bool product_gemm(
    struct pass *p, const struct ck_matrix *w, const struct ck_halves *in, float *y, uint32_t ld_y);
/* x += w times the rows + bias, or the norm of that by post (NULL: none). */
bool product_residual(
    struct pass *p, const struct ck_matrix *w, const struct input *in, const float *bias, const float *post);

#endif
