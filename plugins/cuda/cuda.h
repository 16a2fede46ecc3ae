/*
 * The cuda plugin's objects, and its map (docs/cuda.md tells the rest). A step's way through the files, and
 * the thread that walks it:
 *
 *   submit   submit.c     checks the batch, notes it in one of two steps       the host's owner thread
 *   launch   launcher.c   takes steps in their order                           the launcher, "orcd-cuda"
 *            passes.c     cuts a step into passes, sends what changed before
 *                         them, fetches results behind them
 *            heights.c    how high the products of a prompt's tokens are
 *            graphs.c     a pass of decode rows, captured once and replayed
 *   forward  forward.c    the forward pass in the paper's order, as launches
 *            products.c   inputs of products, tensor cores, the residual
 *   kernels  kernels.h    w-*.cu a-*.cu s-*.cu f-*.cu                          the device, in stream order
 *   collect  collect.c    waits for the step's event, moves lengths, results   the host's owner thread
 *   abort    submit.c     raises numbers at which the launcher looks           any thread
 *
 * Around it:
 *   plugin.c      the table
 *   options.c     options                         device.c      devices, memory and its accounting, errors
 *   model.c       a model: what plan.c (with plugins/common) and planes.c say of its parts, load.c reads,
 *                 copies and repacks, in several threads
 *   ctx.c         a context and its memory        sequence.c    sequences, pages of KV, samplers
 *   copy-speed.c  the device's copy speed, for bench-infer
 *   simt/         the layer under it all: the host code sees a GPU as rt.h has it, kernels as simt.h has it
 *
 * Life cycle. A device has no thread of its own; a model owns one allocation of device memory, a context one
 * of device and one of pinned memory, a stream, graphs and the launcher. They are made in this order and
 * freed in the opposite one, the model after its contexts, the device after its models. What a model or a
 * context needs is added up and compared with what is free (cuda_need) before it is taken.
 *
 * Threads. What is declared here is called by the host's owner thread, one call at a time, but for
 * cuda_device_memory() and cuda_residency() (the health thread, meanwhile), cuda_abort() and
 * cuda_device_stats() (any thread, at any time). The launcher belongs to a context, readers to a load. Each
 * thread selects the device (cuda_enter) before its first call of the runtime. A model never changes after it
 * was loaded. Who owns a step and a sequence when: ctx.h.
 */
#ifndef ORCD_CUDA_CUDA_H
#define ORCD_CUDA_CUDA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "plugins/common/util.h"
#include "plugins/cuda/kernels.h"
#include "plugins/cuda/options.h"

#define CUDA_MAX_SEQUENCES 4096u
#define CUDA_MAX_BATCH_TOKENS 65536u
#define CUDA_DECODE_ROWS 32u /* of a pass */

struct cuda_stats {
    _Atomic uint64_t steps, rows, tokens, bytes_read, busy_ns, rows_aborted;
};

struct orcd_device {
    const struct orcd_host *host;
    struct cuda_options options;
    struct simt_device info;
    _Atomic uint64_t ours_bytes;
    _Atomic uint64_t seen_free, seen_ours; /* free bytes as last asked, and ours then */
    bool opened;                           /* the device was there */
    atomic_bool lost;
    struct cuda_stats stats;
};

/* n_rows 0 in a matrix: the layer has none. Vectors are device memory, NULL: none. */
struct cuda_layer {
    uint32_t n_heads, n_kv_heads;
    uint32_t n_ff;   /* of an expert, where there are some */
    uint32_t window; /* keys that a query sees, its own with them; 0: all */
    bool has_experts;
    struct ck_matrix q, k, v, out;
    struct ck_matrix gate, up, down; /* of experts: tall */
    struct ck_matrix router;
    struct ck_matrix shared_gate, shared_up, shared_down; /* of an expert that all tokens share */
    const float *shared_router;                           /* whose sigmoid weighs it */
    const float *attn_post_norm, *ffn_post_norm;
    const float *attn_norm, *attn_norm_bias, *ffn_norm, *ffn_norm_bias, *q_norm, *k_norm, *sinks;
    const float *q_bias, *k_bias, *v_bias, *out_bias;
    const float *gate_bias, *up_bias, *down_bias, *router_bias; /* of experts: one after the other */
};

struct orcd_model {
    struct orcd_device *device;
    struct orcd_hparams hp;
    struct cuda_layer *layers;
    struct ck_matrix token_embd, output, position_embd;
    const float *output_norm, *output_norm_bias;
    /* Host memory, rope_dims / 2; NULL: none. local: of layers with a window. */
    double *inv_freq, *inv_freq_long, *inv_freq_local;
    double rope_magnitude;
    uint32_t max_heads, max_kv_heads, max_ff;
    uint64_t largest_expanded; /* FP16 elements of the largest matrix of a layer, rows padded */
    uint64_t weight_bytes;
    uint64_t expert_bytes; /* of these, the matrices of all experts */
    uint8_t *weights;      /* device memory */
};

/* --- device.c. Each selects the device in the calling thread where it needs one. */
int cuda_device_count(uint32_t *count, struct orcd_error *err);
int cuda_device_info(uint32_t index, struct orcd_device_info *info, struct orcd_error *err);
int cuda_device_open(const struct orcd_host *host, const struct cuda_options *o, uint32_t index,
    struct orcd_device **out, struct orcd_error *err);
void cuda_device_close(struct orcd_device *d);
int cuda_device_memory(struct orcd_device *d, struct orcd_memory *memory, struct orcd_error *err);
void cuda_device_stats(struct orcd_device *d, struct orcd_stats *stats);

/* copy-speed.c: bytes read and written by copies on the thread's device, 10^9 a second; 0: it
 * has no room. */
double cuda_copy_gbs(void);
/* Makes d the thread's device; the first thing that a slot does. DEVICE_LOST, DEVICE. */
int cuda_enter(struct orcd_device *d, struct orcd_error *err);
/* The ORCD_E_ code of a failed call, err filled with `what` and the runtime's own text. */
int cuda_failed(struct orcd_device *d, enum simt_status status, struct orcd_error *err, const char *what);
/* Compares what is needed with what is free. DEVICE_MEMORY tells both. */
int cuda_need(struct orcd_device *d, uint64_t bytes, const char *what, struct orcd_error *err);
/* Device memory, counted. */
int cuda_alloc(struct orcd_device *d, uint64_t bytes, void **out, const char *what, struct orcd_error *err);
void cuda_release(struct orcd_device *d, void *p, uint64_t bytes); /* takes NULL */
void cuda_log(const struct orcd_device *d, int32_t level, const char *fmt, ...) ORCD_PRINTF(3, 4);

/* --- model.c */
int cuda_model_load(struct orcd_device *d, const struct orcd_model_source *source, struct orcd_model **out,
    struct orcd_error *err);
void cuda_model_free(struct orcd_model *m);
int cuda_residency(struct orcd_model *m, struct orcd_residency *out, struct orcd_error *err);

/* --- ctx.c */
int cuda_ctx_new(struct orcd_model *m, const struct orcd_ctx_params *params, struct orcd_ctx **out,
    struct orcd_error *err);
void cuda_ctx_free(struct orcd_ctx *ctx);
/* Bytes of a context of one sequence beside its KV, and KV bytes of a token. */
uint64_t cuda_scratch_bytes(const struct orcd_model *m);
uint64_t cuda_kv_token_bytes(const struct orcd_model *m);

/* --- heights.c. Prompt tokens below whose number a slice costs about the same; 1: there is none. */
uint32_t cuda_prefill_granule(const struct cuda_options *o);

/* --- sequence.c */
int cuda_seq_open(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
int cuda_seq_reserve(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
int cuda_seq_close(struct orcd_ctx *ctx, uint32_t seq, struct orcd_error *err);
int cuda_seq_len(struct orcd_ctx *ctx, uint32_t seq, uint32_t *len, struct orcd_error *err);
int cuda_seq_trim(struct orcd_ctx *ctx, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err);
int cuda_seq_sampler(
    struct orcd_ctx *ctx, uint32_t seq, const struct orcd_sampler *sampler, struct orcd_error *err);

/* --- submit.c, collect.c */
int cuda_submit(struct orcd_ctx *ctx, const struct orcd_batch *batch, struct orcd_error *err);
int cuda_wait(struct orcd_ctx *ctx, struct orcd_result *result, struct orcd_error *err);
void cuda_abort(struct orcd_ctx *ctx, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs);

#endif
