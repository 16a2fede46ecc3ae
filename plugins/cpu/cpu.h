/*
 * The cpu plugin's objects, and its map. A step's way through the files, and the thread that walks it:
 *
 *   submit   step.c       checks the batch, queues the context           the host's owner thread
 *   compute  step.c       takes the next context of the queue            the leader, "orcd-cpu-0"
 *            pool.c       runs one function on all threads at once       the leader and "orcd-cpu-N"
 *            forward.c    the forward pass in the paper's order; its pieces, which forward.h declares, are
 *                         lane.c (items, the barrier), cells.c (which tokens), product.c, attention.c, moe.c
 *            kernels.h    the arithmetic, one table an instruction set   any of them
 *   collect  step.c       waits for the leader, moves lengths, results   the host's owner thread
 *   abort    step.c       raises numbers at which all of them look       any thread
 *
 * Around it:
 *   plugin.c   the table: options (options.c), devices, what the system grants (sys.c), sequences (kv.c)
 *   load.c     a model: the plan of its parts (plan.c, plugins/common), read and packed on the pool; rope.c
 *   ctx.c      a context: its KV cache (kv.c) and the memory that a step computes in (mapping.c)
 *
 * Life cycle. A device owns the pool and the leader, a model its packed weights, a context KV, scratch and
 * the step that is in flight. They are made in this order and freed in the opposite one, the model after its
 * contexts, the device after its models.
 *
 * Threads. What is declared here is called by the host's owner thread, one call at a time, but for
 * cpu_abort() and the counters, which any thread may use. A model never changes after it was loaded.
 * device.lock guards the queue and the step states of all contexts; a step's state says who owns it (ctx.h).
 */
#ifndef ORCD_CPU_CPU_H
#define ORCD_CPU_CPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "plugins/common/util.h"
#include "plugins/cpu/kernels.h"
#include "plugins/cpu/kv.h"
#include "plugins/cpu/mapping.h"
#include "plugins/cpu/options.h"
#include "plugins/cpu/pool.h"

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

struct cpu_expert {
    struct cpu_matrix gate, up, down;
};

struct cpu_layer {
    uint32_t n_heads, n_kv_heads;
    uint32_t n_ff;   /* of an expert, where there are some */
    uint32_t window; /* keys that a query sees, its own with them; 0: all */
    struct cpu_matrix q, k, v, out;
    /* Without data: no gate; beside experts: those of the shared one, or none. */
    struct cpu_matrix gate, up, down;
    struct cpu_matrix router;
    struct cpu_expert *experts; /* hp.n_experts; NULL: gate, up and down */
    /* NULL where the model has none */
    const float *attn_norm, *attn_norm_bias, *ffn_norm, *ffn_norm_bias, *q_norm, *k_norm, *sinks;
    const float *attn_post_norm, *ffn_post_norm;
    const float *shared_router; /* n_embd weights, whose sigmoid weighs the shared expert */
    const float *q_bias, *k_bias, *v_bias, *out_bias, *down_bias, *router_bias;
    const float *gate_bias, *up_bias, *expert_down_bias; /* of experts: one after the other */
};

struct cpu_rope {
    double *inv_freq; /* rope_dims / 2: radians a position; NULL: none */
};

struct orcd_model {
    struct orcd_device *device;
    struct orcd_hparams hp;
    struct cpu_layer *layers;
    struct cpu_expert *experts; /* of all layers; NULL: none */
    struct cpu_matrix token_embd, output, position_embd;
    const float *output_norm, *output_norm_bias;
    struct cpu_rope rope;
    struct cpu_rope rope_long;  /* for contexts longer than rope_orig_ctx; may be none */
    struct cpu_rope rope_local; /* of layers with a window; none: that of all */
    double rope_magnitude;      /* cosines and sines are multiplied by it; not the local ones */
    uint32_t *n_kv_heads;       /* by layer */
    uint32_t max_heads, max_kv_heads, max_ff;
    uint64_t weight_bytes; /* packed and vectors */
    uint64_t expert_bytes; /* of these, the matrices of all experts */
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

/* --- load.c */
int cpu_model_load(struct orcd_device *d, const struct orcd_model_source *source, struct orcd_model **out,
    struct orcd_error *err);
void cpu_model_free(struct orcd_model *m);

/* --- rope.c */
/* Frequencies from hp; freqs divides them all, one of the two others by context (NULL: none). */
int cpu_rope_make(struct orcd_model *m, const float *freqs, const float *factors_long,
    const float *factors_short, struct orcd_error *err);

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
