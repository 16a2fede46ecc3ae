/*
 * The forward pass of a step, as all threads of the pool walk through it together: a step sub-batch by
 * sub-batch, a sub-batch layer by layer, a layer phase by phase. A phase's work is cut into items, which the
 * threads take from a counter; between two phases they meet at a barrier.
 *
 * Order of calls. forward.c has it, an operation a line; what the operations are made of is declared here in
 * the same order: cells.c (which tokens), product.c, attention.c, moe.c, and lane.c for what goes on between
 * phases.
 *
 * Life cycle. step.c gives forward_step() to pool_run(). Each thread makes a struct lane on its stack, which
 * lives until forward_step() returns and owns nothing. The memory of a step (struct forward) is the
 * context's: ctx.c sets it up once, step.c resets its counters before each run.
 *
 * Threads. Whatever takes a lane is called by the lane's own thread, inside a run. "In the serial part"
 * means: by the last thread to arrive at a barrier, while the others wait there. Only then may that be
 * changed which all threads read: the cells, the lists, the course.
 */
#ifndef ORCD_CPU_FORWARD_H
#define ORCD_CPU_FORWARD_H

#include "plugins/cpu/ctx.h"

/* A thread's way through a step. */
struct lane {
    struct orcd_ctx *ctx;
    const struct cpu_kernels *kernels;
    const struct cpu_layer *l;
    uint32_t thread, layer;
    bool begins_layer; /* the next barrier is between two layers */
    void (*item)(struct lane *lane, uint32_t item);
    const uint32_t *n_items;
};

/* --- forward.c */
/* Computes the whole step of ctx; every thread of the pool calls it. */
void forward_step(void *ctx, uint32_t thread);

/* --- lane.c: how the threads go on together. */
/* What a thread computes between two looks at the aborts: multiply-adds. */
#define LOOK_MACS (UINT64_C(1) << 21)
/* Floats of a sub-batch up to which one thread alone is quicker than one more barrier. */
#define SERIAL_FLOATS 8192

/* Nobody wants what is left of the step: look at least every 5 ms. */
bool lane_stopped(struct lane *lane);
/* The number of the next item of n, UINT32_MAX when none is left or the step has stopped. */
uint32_t lane_next(struct lane *lane, uint32_t n);
/* All threads arrive; the last one calls serial(lane), and all go on and see what it wrote. False: leave the
 * sub-batch, as it was left off or the step has ended. */
bool barrier(struct lane *lane, void (*serial)(void *lane));
/* What serial does at least: counts anew, and decides whether the step goes on. */
void serial_course(void *lane);
/* The same, then all of lane->n_items. */
void serial_items(void *lane);
/* A phase of small items of width floats each: barrier, fn for every item, barrier; or, when all of them are
 * little, one barrier with the items in its serial part. False: as barrier(). */
bool each_item(
    struct lane *lane, const uint32_t *n, uint64_t width, void (*fn)(struct lane *lane, uint32_t item));
bool each_cell(struct lane *lane, uint64_t width, void (*fn)(struct lane *lane, uint32_t cell));

/* --- cells.c: which tokens a sub-batch has. In the serial part. */
/* Fills the cells with what is next; 0: nothing is left. */
uint32_t cells_fill(struct orcd_ctx *ctx);
/* Drops the cells of doomed rows between two layers. */
void cells_compact(struct orcd_ctx *ctx);
/* All layers are done for these cells. */
void cells_finish(struct orcd_ctx *ctx);

/* --- product.c: y = W x for all cells, a phase each. Where quantized input i of n_cols columns lies: */
static inline void *forward_act(const struct forward *f, uint32_t i, uint32_t n_cols)
{
    return f->act + (uint64_t)i * cpu_act_bytes(n_cols);
}
void product_qkv(struct lane *lane);
void product_out(struct lane *lane);
void product_gate_up(struct lane *lane); /* and the activation, into fwd.gate */
void product_down(struct lane *lane);
void product_router(struct lane *lane);
void product_logits(struct lane *lane);
/* Even tiles of the inputs of a product. */
struct product_tiles {
    uint32_t tokens, n;
};
struct product_tiles product_tiles(uint32_t n_tokens, uint32_t n_cols);
/* Panels of an item: total_panels share a phase, an item takes tokens inputs of n_cols. */
uint32_t product_panels_each(
    const struct lane *lane, uint32_t panels, uint32_t total_panels, uint32_t n_cols, uint32_t tokens);
/* Biases (at row 0, or NULL) and activation of rows r0 .. r0 + n of one token, into gate. */
void product_activate(const struct lane *lane, float *gate, float *up, const float *gate_bias,
    const float *up_bias, uint32_t r0, uint32_t n);

/* --- attention.c: all cells of a layer, a phase. */
void attention_run(struct lane *lane);

/* --- moe.c: the feed-forward part of a layer with experts */
void moe_route_cell(struct lane *lane, uint32_t cell); /* from the router's output */
void moe_list_pairs(struct lane *lane);                /* of all cells; in the serial part */
void product_gate_up_experts(struct lane *lane);
void moe_quantize_pair(struct lane *lane, uint32_t pair); /* the input of its down product */
void product_down_experts(struct lane *lane);
void moe_sum_cell(struct lane *lane, const struct cpu_layer *l, uint32_t cell); /* into fwd.tmp */

#endif
