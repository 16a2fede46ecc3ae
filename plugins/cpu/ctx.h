/*
 * A context: the KV cache, the step that is in flight, and the memory that it computes in.
 *
 * Life cycle. cpu_ctx_new() makes all of it, cpu_ctx_free() dooms what is in flight, waits for its end and
 * frees all. A step is IDLE until submit, QUEUED, RUNNING and DONE until wait, which makes it IDLE again.
 *
 * Threads. The state of a step is under device.lock, and it says who owns the rest of it. IDLE and DONE: the
 * host's owner thread, which alone changes sequences (kv.h). QUEUED and RUNNING: the leader and, while
 * pool_run() lasts, all threads of the pool, which share struct forward as forward.h says. Only doomed and
 * abort_count belong to nobody: any thread raises them, a running step reads them.
 */
#ifndef ORCD_CPU_CTX_H
#define ORCD_CPU_CTX_H

#include "plugins/cpu/cpu.h"

struct step_row {
    uint32_t seq;
    uint32_t first_pos, n_tokens;
    uint32_t token_start; /* in step.tokens */
    uint32_t done;        /* tokens computed in all layers; the leader's while it runs */
    uint32_t want;
    uint32_t n_logits;
    uint64_t logits_at; /* float index of the row's first logit */
    int32_t status;
};

enum step_state { STEP_IDLE, STEP_QUEUED, STEP_RUNNING, STEP_DONE };

struct step {
    enum step_state state; /* under device.lock */
    int32_t error;         /* of the whole step */
    uint64_t ticket;
    uint32_t n_rows, n_tokens;
    struct step_row *rows; /* max_batch_rows */
    int32_t *tokens;       /* max_batch_tokens */
    uint64_t submitted_ns, started_ns, finished_ns;
};

/* A token of the sub-batch that is computed now. */
struct cell {
    uint32_t row; /* of the step */
    uint32_t pos;
    int32_t token;
    bool want;       /* its logits */
    uint32_t wanted; /* of the cells that want theirs, how many come before */
};

/* Neighbouring cells of one row, whose queries go through attention together. */
struct cell_group {
    uint32_t first, count;
};
#define GROUP_CELLS 16u

/* Rows of the output product that lie evenly in the logits buffer. */
struct logit_run {
    uint32_t first, count; /* wanted cells, in order */
    uint64_t at, stride;   /* floats */
};

/* Experts. A pair is a cell and one of its experts; pairs are numbered expert by expert. */
struct moe_route {
    uint32_t expert, pair;
    float weight;
};
/* Neighbouring pairs of one expert that are multiplied together. */
#define MOE_TILE_TOKENS 64u
/* Quantized rows that together are an input of an expert's down product. */
#define MOE_DOWN_TERMS 2u
struct moe_tile {
    uint32_t expert, first, count;
};

/* What a thread alone writes. */
struct thread_scratch {
    void *attn;
    char *gathered; /* inputs of a moe_tile */
    struct cpu_attn_row *rows;
    const uint16_t **k_tiles, **v_tiles;
};

struct forward {
    uint32_t capacity; /* cells */
    uint32_t n_cells;
    uint32_t n_wanted;
    struct cell *cells;
    float *x;         /* [cells][n_embd] the residual stream */
    float *xn;        /* [cells][n_embd] normed; then the wanted ones */
    float *q, *k, *v; /* [cells][heads * head_dim] */
    float *att;       /* [cells][n_heads * head_dim_v] */
    float *gate, *up; /* [cells][n_ff], or [pairs][n_ff] */
    float *tmp;       /* [cells][n_embd] */
    char *act;        /* quantized inputs of the next product */
    float *cos, *sin; /* [cells][rope_floats()] */
    struct cell_group *groups;
    uint32_t n_groups;
    struct logit_run *runs;
    uint32_t n_runs;
    /* experts; NULL where there are none */
    float *router;            /* [cells][n_experts] */
    float *pair_out;          /* [pairs][terms][n_embd] */
    struct moe_route *routes; /* [cells][n_experts_used] */
    uint32_t *pair_cell;      /* [pairs] */
    uint32_t *expert_first;   /* [n_experts + 1] the first pair of each */
    struct moe_tile *tiles;   /* at most one a pair */
    uint32_t n_pairs, n_tiles, largest_tile;
    struct thread_scratch *threads;
    /* The order of work inside a step; reset by the serial part of each barrier. */
    _Alignas(64) atomic_uint next;
    /* Set by whoever finds that nobody wants the rest; decides at the next barrier. */
    _Alignas(64) atomic_bool stop;
    atomic_uint abort_seen;
    /* Written in the serial part of a barrier alone. */
    uint32_t compact_seen; /* abort_count when doomed cells were last dropped */
    bool ended;            /* all threads leave */
    bool left_off;         /* nobody wants this sub-batch; on to the next */
    int32_t error;         /* of the step */
};

struct orcd_ctx {
    struct orcd_model *model;
    struct orcd_device *device;
    struct orcd_ctx_params params;
    struct kv kv;
    const struct cpu_rope *rope; /* of this context's length */
    struct step step;
    struct forward fwd;
    float *logits;
    uint64_t logits_floats;
    uint64_t submits; /* calls of submit; tells a sequence's second row */
    bool has_ticket;
    uint64_t last_ticket;
    struct orcd_ctx *next; /* device.queue */
    pthread_cond_t done;   /* step.state is STEP_DONE; with device.lock */
    /* Aborts. Rows of sequence s in steps with a ticket < doomed[s] are doomed. The
     * writer raises doomed, then abort_count (release); a reader that sees the count
     * (acquire) sees what it counts. */
    _Atomic uint64_t *doomed;
    atomic_uint abort_count;
    /* Small arrays come from the host, large ones are mapped. */
    struct mapping scratch, logits_map;
};

/* Cosines of a cell: of rope, then of rope_local where there is one. */
static inline uint32_t rope_floats(const struct orcd_model *m)
{
    return m->rope_local.inv_freq ? m->hp.rope_dims : m->hp.rope_dims / 2;
}

static inline bool row_doomed(const struct orcd_ctx *ctx, const struct step_row *r)
{
    return atomic_load_explicit(&ctx->doomed[r->seq], memory_order_relaxed) > ctx->step.ticket;
}

#endif
