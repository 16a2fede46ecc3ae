/*
 * The cpu plugin's objects, and how its parts fit together:
 *   plugin.c   the table, options, devices      pool.c     threads
 *   source.c   the host's view of a model, read with suspicion
 *   load.c     weights: checked, packed in parallel
 *   ctx.c      contexts and their memory        kv.c       the KV cache
 *   step.c     submit, wait, abort; the leader thread
 *   forward.c  one sub-batch through all layers  attention.c, rope.c
 */
#ifndef ORCD_CPU_CPU_H
#define ORCD_CPU_CPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "plugins/cpu/kernels.h"
#include "plugins/cpu/kv.h"
#include "plugins/cpu/options.h"
#include "plugins/cpu/pool.h"
#include "plugins/cpu/util.h"

#define CPU_MAX_SEQUENCES 4096u
#define CPU_MAX_BATCH_TOKENS 65536u

struct cpu_stats {
    _Atomic uint64_t steps, rows, tokens, bytes_read, busy_ns, rows_aborted;
};

struct orcd_device {
    const struct orcd_host *host;
    const struct cpu_kernels *kernels;
    struct pool *pool;
    uint32_t sub_batch;
    _Atomic uint64_t ours_bytes;
    struct cpu_stats stats;
    /* The leader computes steps, in the order in which they were submitted. */
    pthread_t leader;
    bool leader_runs; /* it was started */
    /* lock guards queue, quit and the step state of every context. It is held for
     * moments only. */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* the leader: work or quit */
    struct orcd_ctx *queue, **queue_end;
    bool quit;
};

struct cpu_layer {
    uint32_t n_heads, n_kv_heads, n_ff;
    struct cpu_matrix q, k, v, out, gate, up, down;
    /* NULL where the model has none */
    const float *attn_norm, *ffn_norm, *q_norm, *k_norm;
    const float *q_bias, *k_bias, *v_bias, *out_bias, *gate_bias, *up_bias, *down_bias;
};

struct orcd_model {
    struct orcd_device *device;
    struct orcd_hparams hp;
    struct cpu_layer *layers;
    struct cpu_matrix token_embd, output;
    const float *output_norm;
    double *rope_inv_freq; /* rope_dims / 2: radians a position */
    uint32_t *n_kv_heads;  /* by layer */
    uint32_t max_heads, max_kv_heads, max_ff;
    uint64_t weight_bytes; /* packed and vectors */
    struct mapping packed; /* all matrices */
    struct mapping vectors;
};

static inline struct kv_shape model_kv_shape(const struct orcd_model *m)
{
    return (struct kv_shape){.n_layers = m->hp.n_layers,
        .head_dim_k = m->hp.head_dim_k,
        .head_dim_v = m->hp.head_dim_v,
        .n_kv_heads = m->n_kv_heads};
}

/* --- load.c, source.c */
int cpu_model_load(struct orcd_device *d, const struct orcd_model_source *source, struct orcd_model **out,
    struct orcd_error *err);
void cpu_model_free(struct orcd_model *m);

/* --- ctx.c */
int cpu_ctx_new(struct orcd_model *m, const struct orcd_ctx_params *params, struct orcd_ctx **out,
    struct orcd_error *err);
void cpu_ctx_free(struct orcd_ctx *ctx);
/* Bytes that a context computes in, beside its KV; for n_tokens of a sub-batch. */
uint64_t cpu_scratch_bytes(const struct orcd_model *m, uint32_t n_tokens);

/* --- step.c */
bool cpu_ctx_busy(struct orcd_ctx *ctx);               /* a step is in flight */
bool cpu_seq_busy(struct orcd_ctx *ctx, uint32_t seq); /* and has a row of seq */
void cpu_step_drain(struct orcd_ctx *ctx);             /* waits for its end and drops it */
int cpu_leader_start(struct orcd_device *d, struct orcd_error *err);
void cpu_leader_stop(struct orcd_device *d);
int cpu_submit(struct orcd_ctx *ctx, const struct orcd_batch *batch, struct orcd_error *err);
int cpu_wait(struct orcd_ctx *ctx, struct orcd_result *result, struct orcd_error *err);
void cpu_abort(struct orcd_ctx *ctx, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs);

#endif
