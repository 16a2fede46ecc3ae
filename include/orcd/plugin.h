/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orcd plugin ABI, version 1
 *
 * A plugin is a shared object that runs a language model on one kind of device.
 * It exports one function, orcd_plugin_v1(), in which host and plugin exchange
 * tables. This header is the whole contract; it needs nothing but <stdint.h>
 * and <stddef.h> and compiles as C99 and later and as C++17.
 *
 * RULES THAT KEEP THIS STABLE
 *  - The entry symbol's name carries the major version.
 *  - Each table starts with magic, size and minor. Each side checks them before
 *    it calls anything and uses only the first min(size) bytes: a slot beyond
 *    them is NULL. A plugin zero-fills its table's unused slots.
 *  - Fields are only ever appended. A changed signature is a new slot.
 *  - Every struct that crosses starts with its size in bytes, set by whoever
 *    fills it in. A receiver reads no field beyond it. An array of structs has
 *    its stride beside it: step by the stride, not by sizeof.
 *  - Only fixed-width integers, float, double and pointers cross.
 *  - Inputs are borrowed for the call unless a slot says more. Each side frees
 *    what it allocated. Small outputs go into the caller's buffers.
 *  - A field whose neglect would change answers also sets a bit in a
 *    required_features word; a plugin that sees a bit that it does not know
 *    returns ORCD_E_UNSUPPORTED and names it.
 *
 * ERRORS
 *  Every slot that can fail returns 0 or a negative ORCD_E_ code and then fills
 *  the caller's struct orcd_error, which it leaves untouched on success. After a
 *  failure no output is touched and nothing is left to free. UNSUPPORTED means
 *  never, BUSY and OUT_OF_KV mean not now. After DEVICE_LOST only ctx_free,
 *  model_free, device_close and fini are called.
 *
 * THREADS
 *  OWNER   any thread, one call at a time per plugin: the host serializes. A
 *          plugin selects its device at entry.
 *  HEALTH  the health thread only, concurrently with OWNER calls; may wait for
 *          the device, for at most a second or so.
 *  ANY     any thread, concurrently with everything; never waits for the device.
 *  No slot is called on an object while, or after, it is freed.
 *
 * A complete minimal plugin is printed in orcd-plugin(3).
 */
#ifndef ORCD_PLUGIN_H
#define ORCD_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORCD_ABI_MAJOR 1
#define ORCD_ABI_MINOR 1
#define ORCD_PLUGIN_MAGIC UINT32_C(0x4443524f) /* "ORCD", little endian */
#define ORCD_HOST_MAGIC UINT32_C(0x54534f48)   /* "HOST" */

#if defined(__GNUC__)
#define ORCD_PLUGIN_EXPORT __attribute__((visibility("default")))
#define ORCD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define ORCD_PLUGIN_EXPORT
#define ORCD_PRINTF(fmt, args)
#endif

/* ------------------------------------------------------------------ errors */

/* X(name, value, meaning) */
#define ORCD_ERROR_MAP(X)                                                                                    \
    X(INVALID, -1, "an argument or a file is malformed")                                                     \
    X(UNSUPPORTED, -2, "this plugin never does that")                                                        \
    X(NOMEM, -3, "out of host memory")                                                                       \
    X(DEVICE_MEMORY, -4, "out of device memory")                                                             \
    X(OUT_OF_KV, -5, "no room for this sequence in the KV pool now")                                         \
    X(BUSY, -6, "the sequence has rows in flight, or all steps are in flight")                               \
    X(NOT_FOUND, -7, "no such thing")                                                                        \
    X(IO, -8, "the operating system failed a read, a map or an open")                                        \
    X(STOPPED, -9, "the host asked to stop")                                                                 \
    X(ABORTED, -10, "aborted by the host")                                                                   \
    X(DEVICE, -11, "the device failed an operation; it may be retried")                                      \
    X(DEVICE_LOST, -12, "the device is lost; only teardown may follow")                                      \
    X(INTERNAL, -13, "a bug in the plugin or the host")                                                      \
    X(ABI, -14, "host and plugin do not fit together")                                                       \
    X(PERMISSION, -15, "not allowed, or not safely owned")

enum orcd_error_code {
    ORCD_OK = 0,
#define ORCD_ERROR_ENUM(name, value, text) ORCD_E_##name = value,
    ORCD_ERROR_MAP(ORCD_ERROR_ENUM)
#undef ORCD_ERROR_ENUM
    ORCD_E_LAST_ = -32768
};

#define ORCD_ERROR_TEXT_BYTES 504

/* Owned by the caller, who sets size. msg is NUL-terminated UTF-8, one line. */
struct orcd_error {
    uint32_t size;
    int32_t code;
    char msg[ORCD_ERROR_TEXT_BYTES];
};

/* ------------------------------------------------------------- host table */

enum orcd_log_level { ORCD_LOG_ERROR = 0, ORCD_LOG_WARN = 1, ORCD_LOG_INFO = 2, ORCD_LOG_DEBUG = 3 };

/* What the host offers; valid until the process ends. All slots: thread ANY. */
struct orcd_host {
    uint32_t magic; /* ORCD_HOST_MAGIC */
    uint32_t size;
    uint32_t minor;
    uint32_t reserved;
    /* One line without a newline; level is an orcd_log_level. */
    void (*log)(int32_t level, const char *text);
    /* CLOCK_MONOTONIC in nanoseconds. */
    uint64_t (*now_ns)(void);
    /* Memory at a multiple of align (a power of two, at most 4096), or NULL. */
    void *(*alloc)(size_t bytes, size_t align);
    void (*free)(void *p);
    /* Load progress in units of the plugin's choice (bytes, say). Non-zero:
     * stop soon and return ORCD_E_STOPPED. */
    int32_t (*progress)(uint64_t done, uint64_t total);
    /* NULL in production. In tests: asked at named points; a non-zero answer is
     * the ORCD_E_ code to fail with. */
    int32_t (*fault)(const char *point);
};

/* ---------------------------------------------------------------- options */

enum orcd_option_type { ORCD_OPT_INT = 1, ORCD_OPT_FLOAT = 2, ORCD_OPT_BOOL = 3, ORCD_OPT_STRING = 4 };

/* One row of the plugin's table of options (plugin.options in orcd.yaml). The
 * host checks type and range and passes each value as text. Strings are the
 * plugin's and live as long as it. */
struct orcd_option {
    uint32_t size;
    uint32_t type;         /* orcd_option_type */
    const char *name;      /* [a-z][a-z0-9_]* */
    const char *fallback;  /* the default, as text */
    double min, max;       /* INT and FLOAT; both 0: unbounded */
    const char *unit;      /* "" when it has none */
    const char *help;      /* one line */
};

/* ------------------------------------------------------------------ device */

struct orcd_device_info {
    uint32_t size;
    uint32_t compute_major, compute_minor; /* compute capability; 0 when there is none */
    uint32_t unified_memory;               /* 1: shares the host's memory */
    uint64_t memory_bytes;                 /* total */
    char name[128];
    char driver[64];  /* driver version, "" when there is none */
    char runtime[64]; /* runtime version or instruction set in use */
};

struct orcd_memory {
    uint32_t size;
    uint32_t reserved;
    uint64_t free_bytes, total_bytes;
    uint64_t ours_bytes; /* held by this plugin in this process */
};

/* ------------------------------------------------------------ model source */

/* Block types have GGUF's numbers. */
enum orcd_tensor_type {
    ORCD_TYPE_F32 = 0, ORCD_TYPE_F16 = 1, ORCD_TYPE_Q4_0 = 2, ORCD_TYPE_Q4_1 = 3, ORCD_TYPE_Q5_0 = 6,
    ORCD_TYPE_Q5_1 = 7, ORCD_TYPE_Q8_0 = 8, ORCD_TYPE_Q8_1 = 9, ORCD_TYPE_Q2_K = 10, ORCD_TYPE_Q3_K = 11,
    ORCD_TYPE_Q4_K = 12, ORCD_TYPE_Q5_K = 13, ORCD_TYPE_Q6_K = 14, ORCD_TYPE_Q8_K = 15,
    ORCD_TYPE_IQ4_NL = 20, ORCD_TYPE_IQ4_XS = 23, ORCD_TYPE_I8 = 24, ORCD_TYPE_I16 = 25, ORCD_TYPE_I32 = 26,
    ORCD_TYPE_I64 = 27, ORCD_TYPE_F64 = 28, ORCD_TYPE_BF16 = 30, ORCD_TYPE_MXFP4 = 39
};

#define ORCD_MAX_DIMS 4

/* A tensor of the file. dims[0] is the length of a contiguous row (the inputs of
 * a matrix), dims[1] the number of rows (its outputs); unused dims are 1. The
 * host has checked that [offset, offset + bytes) lies in the file and that bytes
 * is what type and dims need. */
struct orcd_tensor {
    uint32_t size;
    uint32_t type; /* orcd_tensor_type */
    uint32_t n_dims;
    uint32_t file; /* index into files */
    uint64_t dims[ORCD_MAX_DIMS];
    uint64_t offset, bytes;
    const char *name;
};

/* A model file: an open descriptor and, where the host mapped it, its pages.
 * Contents may change or be cut under us: a plugin that reads the mapping takes
 * that as the host does (SIGBUS ends the process). */
struct orcd_file {
    uint32_t size;
    int32_t fd;
    const void *mapping; /* NULL when it is not mapped */
    uint64_t bytes;
};

enum orcd_norm { ORCD_NORM_RMS = 0, ORCD_NORM_LAYER = 1 };
/* NORM rotates adjacent pairs, NEOX the two halves. */
enum orcd_rope { ORCD_ROPE_NONE = 0, ORCD_ROPE_NORM = 1, ORCD_ROPE_NEOX = 2 };
enum orcd_rope_scaling { ORCD_SCALING_NONE = 0, ORCD_SCALING_LINEAR = 1, ORCD_SCALING_YARN = 2, ORCD_SCALING_LONGROPE = 3 };
enum orcd_activation { ORCD_ACT_SILU_GATED = 0, ORCD_ACT_GELU = 1, ORCD_ACT_SWIGLU_OAI = 2, ORCD_ACT_GELU_GATED = 3 };

/* required_features of a model source: what a family needs beyond RMS norm,
 * separate q/k/v, gated SiLU and rotary positions. */
#define ORCD_F_LAYER_NORM (UINT64_C(1) << 0)
#define ORCD_F_QKV_BIAS (UINT64_C(1) << 1)
#define ORCD_F_QK_NORM (UINT64_C(1) << 2)    /* RMS norm of each q and k head before rotation */
#define ORCD_F_FUSED_QKV (UINT64_C(1) << 3)  /* one matrix, rows Q, K, V */
#define ORCD_F_FUSED_GATE (UINT64_C(1) << 4) /* ffn_up holds gate rows, then up rows */
#define ORCD_F_GELU (UINT64_C(1) << 5)
#define ORCD_F_POSITION_EMBD (UINT64_C(1) << 6)
#define ORCD_F_BIASES (UINT64_C(1) << 7)     /* biases on attention output or feed-forward */
#define ORCD_F_ROPE_FREQS (UINT64_C(1) << 8) /* theta of pair i is divided by rope_freqs[i] */
#define ORCD_F_YARN (UINT64_C(1) << 9)
#define ORCD_F_LONGROPE (UINT64_C(1) << 10)
#define ORCD_F_WINDOW (UINT64_C(1) << 11)    /* sliding-window attention in some layer */
#define ORCD_F_SINKS (UINT64_C(1) << 12)     /* per-head extra logit in the softmax */
#define ORCD_F_MOE (UINT64_C(1) << 13)
#define ORCD_F_SWIGLU_OAI (UINT64_C(1) << 14)
#define ORCD_F_LINEAR_ROPE (UINT64_C(1) << 15)
#define ORCD_F_EMBD_SCALE (UINT64_C(1) << 16)    /* token embeddings are multiplied by embd_scale */
#define ORCD_F_GELU_GATED (UINT64_C(1) << 17)
#define ORCD_F_POST_NORMS (UINT64_C(1) << 18)    /* RMS norm of what attention and feed-forward add */
#define ORCD_F_SOFTCAP (UINT64_C(1) << 19)       /* attn_softcap, logit_softcap */
#define ORCD_F_LOCAL_ROPE (UINT64_C(1) << 20)    /* layers with a window rotate by rope_base_local */
#define ORCD_F_SHARED_EXPERT (UINT64_C(1) << 21) /* a gated feed-forward of all tokens beside the experts */

/* Hyper-parameters shared by all layers. Ranges are checked by the host: counts
 * are 1 to 2^20 (n_vocab 2^24), head sizes even and at most 1024. */
struct orcd_hparams {
    uint32_t size;
    uint32_t n_layers, n_embd, n_vocab;
    uint32_t n_ctx_train;       /* context_length of the file */
    uint32_t norm, rope, rope_scaling, activation;
    uint32_t head_dim_k, head_dim_v; /* elements per head */
    uint32_t rope_dims;         /* rotated elements of a head, from its start */
    float norm_eps;
    float rope_base;
    float rope_scale;           /* 1 / rope.scaling.factor */
    float attn_scale;           /* scores are multiplied by this: 1 / sqrt(head_dim_k) */
    uint32_t rope_orig_ctx;     /* yarn, longrope: original context */
    /* yarn: docs/formats.md. longrope: cosines and sines are multiplied by yarn_attn_factor;
     * theta of pair i is divided by rope_long[i] in contexts (orcd_ctx_params.n_ctx) longer
     * than rope_orig_ctx, else by rope_short[i]. */
    float yarn_ext_factor, yarn_attn_factor, yarn_beta_fast, yarn_beta_slow;
    uint32_t n_experts, n_experts_used, n_ff_expert;
    uint32_t expert_weights_norm; /* 1: a softmax over the chosen experts; 0: over all */
    float expert_weights_scale;
    /* Features that say so; 0 without them. A cap c makes x into c tanh(x / c), scores before
     * the mask. rope_base_local: as rope_base, without any scaling. */
    float embd_scale;
    float attn_softcap, logit_softcap; /* 0: that one has none */
    float rope_base_local;
    uint32_t n_ff_shared; /* width of the shared expert */
};

/* Roles of tensors. Append only. W and B of a role are weight and bias. */
enum orcd_global_role {
    ORCD_G_TOKEN_EMBD, ORCD_G_OUTPUT_NORM, ORCD_G_OUTPUT_NORM_B,
    ORCD_G_OUTPUT, /* the host fills in token_embd when the file ties them */
    ORCD_G_POSITION_EMBD, ORCD_G_ROPE_FREQS, ORCD_G_ROPE_LONG, ORCD_G_ROPE_SHORT, ORCD_G_COUNT
};
enum orcd_layer_role {
    ORCD_L_ATTN_NORM, ORCD_L_ATTN_NORM_B, ORCD_L_Q, ORCD_L_Q_B, ORCD_L_K, ORCD_L_K_B, ORCD_L_V, ORCD_L_V_B,
    ORCD_L_QKV, ORCD_L_QKV_B, ORCD_L_Q_NORM, ORCD_L_K_NORM, ORCD_L_ATTN_OUT, ORCD_L_ATTN_OUT_B, ORCD_L_SINKS,
    ORCD_L_FFN_NORM, ORCD_L_FFN_NORM_B, ORCD_L_GATE, ORCD_L_GATE_B, ORCD_L_UP, ORCD_L_UP_B, ORCD_L_DOWN,
    ORCD_L_DOWN_B, ORCD_L_ROUTER, ORCD_L_ROUTER_B, ORCD_L_GATE_EXPS, ORCD_L_GATE_EXPS_B, ORCD_L_UP_EXPS,
    ORCD_L_UP_EXPS_B, ORCD_L_DOWN_EXPS, ORCD_L_DOWN_EXPS_B,
    ORCD_L_ATTN_POST_NORM, ORCD_L_FFN_POST_NORM,
    /* The shared expert's output is multiplied by the sigmoid of its input's product with SHARED_ROUTER. */
    ORCD_L_SHARED_ROUTER, ORCD_L_SHARED_GATE, ORCD_L_SHARED_UP, ORCD_L_SHARED_DOWN, ORCD_L_COUNT
};

/* One layer. tensor[role] is an index into tensors, -1 when it has none. */
struct orcd_layer {
    uint32_t size;
    uint32_t n_heads, n_kv_heads;
    uint32_t n_ff;
    uint32_t window; /* keys with query - key >= window are masked; 0: none */
    uint32_t reserved;
    int32_t tensor[ORCD_L_COUNT];
};

/* The host's checked view of a model. Borrowed until model_free. */
struct orcd_model_source {
    uint32_t size;
    uint32_t n_tensors, n_layers, n_files;
    uint32_t tensor_stride, layer_stride, file_stride;
    uint32_t n_global;          /* entries of global */
    uint64_t required_features; /* ORCD_F_ */
    const struct orcd_hparams *hparams;
    const struct orcd_tensor *tensors;
    const struct orcd_layer *layers;
    const struct orcd_file *files;
    const int32_t *global;      /* by orcd_global_role; -1: none */
    const char *architecture;   /* "llama", ... */
    const char *name;           /* general.name or "" */
    /* Metadata of the file by key: 0, or ORCD_E_NOT_FOUND (absent or other type). */
    void *meta;
    int32_t (*meta_u64)(void *meta, const char *key, uint64_t *out);
    int32_t (*meta_f64)(void *meta, const char *key, double *out);
    int32_t (*meta_str)(void *meta, const char *key, const char **text, uint64_t *bytes);
};

struct orcd_model_info {
    uint32_t size;
    uint32_t max_sequences;    /* most sequences of a context */
    uint32_t max_batch_tokens; /* most tokens of a step */
    uint32_t keeps_files;      /* 1: files are still read after model_load */
    uint32_t n_vocab;          /* logits per position */
    uint32_t n_ctx;            /* longest sequence that gives sound answers */
    uint64_t weight_bytes;     /* resident on the device */
    uint64_t kv_bytes_per_token;
    uint64_t scratch_bytes;
    /* Prompt tokens of a step are computed in slices of this many, and a slice costs
     * much the same however few tokens are in it. 0 or 1: each token costs by itself. */
    uint32_t prefill_granule;
    uint32_t reserved;
};

struct orcd_residency {
    uint32_t size;
    uint32_t device_lost;       /* 1: the device is gone */
    uint64_t expected_bytes, resident_bytes;
    uint64_t host_pointers;     /* weights found in host memory by a vram-only plugin */
};

/* ------------------------------------------------------------ context, steps */

struct orcd_ctx_params {
    uint32_t size;
    uint32_t n_sequences;      /* ids are 0 .. n_sequences - 1 */
    uint32_t n_ctx;            /* tokens that one sequence may hold at most */
    uint32_t max_batch_tokens; /* tokens of one step at most */
    uint64_t kv_tokens;        /* tokens that all sequences may hold together */
    uint32_t max_batch_rows;   /* rows of one step at most */
    uint32_t max_logits;       /* positions of one step that may want logits */
};

enum orcd_want { ORCD_WANT_NONE = 0, ORCD_WANT_LAST = 1, ORCD_WANT_ALL = 2 };
enum orcd_kind { ORCD_KIND_LOGITS = 0, ORCD_KIND_TOKEN = 1, ORCD_KIND_TOP_LOGPROBS = 2 };

/* In place of a token id: the token that the plugin sampled last for this
 * sequence, in the step before. */
#define ORCD_TOKEN_CHAINED (-2)

/* A step: n_rows rows in parallel arrays, borrowed for the call. Row r continues
 * sequence seq[r] at position first_pos[r] (= its length) with n_tokens[r] tokens
 * at tokens[token_start[r]]. A sequence has at most one row. */
struct orcd_batch {
    uint32_t size;
    uint32_t n_rows;
    uint64_t ticket; /* the host's; strictly increasing within a context */
    const uint32_t *seq;
    const uint32_t *first_pos;
    const uint32_t *n_tokens;
    const uint32_t *token_start;
    const int32_t *tokens;
    const uint32_t *want; /* orcd_want */
    const uint32_t *kind; /* orcd_kind */
    const uint32_t *top_n; /* TOP_LOGPROBS: how many; may be NULL when no row wants them */
};

/* What wait fills in: the host's arrays, each with room for row_capacity rows.
 * logits[r] points at n_logits[r] x n_vocab floats of the plugin's, 64-byte
 * aligned, valid until the max_inflight-th later submit. */
struct orcd_result {
    uint32_t size;
    uint32_t row_capacity;
    uint32_t n_rows;      /* out */
    uint32_t reserved;
    uint64_t ticket;      /* out: which step this was */
    int32_t *status;      /* out: 0 or ORCD_E_ per row */
    uint32_t *kept;       /* out: length of the row's sequence now */
    const float **logits; /* out: NULL when the row wanted none */
    uint32_t *n_logits;   /* out */
    int32_t *token;       /* out: kind TOKEN; else -1 */
    const int32_t **top_ids;       /* out: kind TOP_LOGPROBS: top_n ids, best first; plugin's memory */
    const float **top_logprobs;    /* out: natural logarithms beside them */
    uint64_t submitted_ns, started_ns, finished_ns, collected_ns; /* out: host clock */
};

/* Sampling on the device, minor 1. Definitions are those of docs/sampling.md. */
struct orcd_sampler {
    uint32_t size;
    uint32_t required_features; /* ORCD_S_: rules that are in use */
    uint64_t seed;
    float temperature; /* 0: greedy, lowest id wins ties */
    float top_p, min_p, typical_p;
    uint32_t top_k; /* 0: all */
    uint32_t repeat_last_n;
    float repetition_penalty, frequency_penalty, presence_penalty;
    uint32_t n_bias;
    const int32_t *bias_ids;
    const float *bias_values;
    const int32_t *history; /* prompt tokens for the penalties */
    uint32_t n_history;
    uint32_t reserved;
};
#define ORCD_S_TOP_K (UINT32_C(1) << 0)
#define ORCD_S_TOP_P (UINT32_C(1) << 1)
#define ORCD_S_MIN_P (UINT32_C(1) << 2)
#define ORCD_S_TYPICAL (UINT32_C(1) << 3)
#define ORCD_S_REPETITION (UINT32_C(1) << 4)
#define ORCD_S_COUNTS (UINT32_C(1) << 5) /* frequency or presence penalty */
#define ORCD_S_BIAS (UINT32_C(1) << 6)

/* Counters since device_open. */
struct orcd_stats {
    uint32_t size;
    uint32_t reserved;
    uint64_t steps, rows, tokens;
    uint64_t bytes_read;      /* weights and KV */
    uint64_t device_busy_ns;
    uint64_t rows_aborted;
};

struct orcd_device; /* the plugin's own; opaque to the host */
struct orcd_model;
struct orcd_ctx;

/* ------------------------------------------------------------ plugin table */

#define ORCD_PLUGIN_NEEDS_MODEL (UINT64_C(1) << 0) /* model_load wants a source; else it gets NULL */
#define ORCD_PLUGIN_VRAM_ONLY (UINT64_C(1) << 1)   /* weights live in device memory alone */

/*
 * Slots are required unless marked (opt). `err` is never NULL.
 */
struct orcd_plugin {
    uint32_t magic; /* ORCD_PLUGIN_MAGIC */
    uint32_t size;
    uint32_t minor; /* ORCD_ABI_MINOR that it was built against */
    /* 1: one step at a time; 2: submit k+1 before wait k. The host reads it again
     * after init, where options may have lowered it. */
    uint32_t max_inflight;
    const char *name, *version, *description; /* the host copies them */
    uint64_t flags; /* ORCD_PLUGIN_ */

    const struct orcd_option *options; /* (opt) n_options rows, option_stride bytes apart */
    uint32_t n_options, option_stride;
    /* (opt) One value, then one more call with key NULL when all are told. Before init. */
    int32_t (*configure)(const char *key, const char *value, struct orcd_error *err);
    int32_t (*init)(struct orcd_error *err); /* once, before any slot below */
    void (*fini)(void);                      /* once, after everything is freed */

    /* --- device: OWNER */
    int32_t (*device_count)(uint32_t *count, struct orcd_error *err);
    int32_t (*device_info)(uint32_t index, struct orcd_device_info *info, struct orcd_error *err);
    int32_t (*device_open)(uint32_t index, struct orcd_device **device, struct orcd_error *err);
    void (*device_close)(struct orcd_device *device);
    /* HEALTH. */
    int32_t (*device_memory)(struct orcd_device *device, struct orcd_memory *memory, struct orcd_error *err);

    /* --- model: OWNER, on the loader thread. Reports progress, honours its stop. */
    int32_t (*model_load)(struct orcd_device *device, const struct orcd_model_source *source,
        struct orcd_model **model, struct orcd_error *err);
    int32_t (*model_info)(struct orcd_model *model, struct orcd_model_info *info, struct orcd_error *err);
    /* (opt) HEALTH, bounded. */
    int32_t (*residency)(struct orcd_model *model, struct orcd_residency *residency, struct orcd_error *err);
    void (*model_free)(struct orcd_model *model); /* no context of it is left */

    /* --- context: OWNER */
    int32_t (*ctx_new)(struct orcd_model *model, const struct orcd_ctx_params *params, struct orcd_ctx **ctx,
        struct orcd_error *err);
    void (*ctx_free)(struct orcd_ctx *ctx); /* steps in flight end first */

    /* --- sequences: OWNER. BUSY while the sequence has rows in flight.
     * seq_open reserves KV for max_tokens and leaves length 0; OUT_OF_KV is an
     * admission answer. seq_reserve changes the reservation of an open sequence
     * (never below its length). seq_trim rewinds to at most n tokens and tells
     * what was kept, which can be less. */
    int32_t (*seq_open)(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
    int32_t (*seq_reserve)(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
    int32_t (*seq_close)(struct orcd_ctx *ctx, uint32_t seq, struct orcd_error *err);
    int32_t (*seq_len)(struct orcd_ctx *ctx, uint32_t seq, uint32_t *len, struct orcd_error *err);
    int32_t (*seq_trim)(struct orcd_ctx *ctx, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err);

    /* --- steps.
     * submit: OWNER. Never computes on the caller's thread; returns within 100 us.
     * BUSY when max_inflight steps are in flight.
     * wait: OWNER, blocking. Collects the oldest step. A step-level error is
     * returned and changes no sequence; all later steps then end ABORTED.
     * abort: ANY. Rows of these sequences in steps with a ticket <= `ticket` are
     * doomed, whether the step was submitted yet or not; they end ABORTED as soon
     * as the plugin's next look, at least every 5 ms, or OK if they are done by
     * then. Other rows complete. The step ends early when all its rows are
     * doomed. `kept` is exact, so what was computed may be used again. */
    int32_t (*submit)(struct orcd_ctx *ctx, const struct orcd_batch *batch, struct orcd_error *err);
    int32_t (*wait)(struct orcd_ctx *ctx, struct orcd_result *result, struct orcd_error *err);
    void (*abort)(struct orcd_ctx *ctx, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs);
    void (*stats)(struct orcd_device *device, struct orcd_stats *stats); /* ANY */

    /* --- minor 1, all (opt) */
    /* OWNER; copied. UNSUPPORTED: the host samples. NULL sampler: none. */
    int32_t (*seq_sampler)(struct orcd_ctx *ctx, uint32_t seq, const struct orcd_sampler *sampler,
        struct orcd_error *err);
    int32_t (*seq_fork)(struct orcd_ctx *ctx, uint32_t from, uint32_t to, uint32_t n, struct orcd_error *err);
    /* buf NULL: only tells the bytes needed. */
    int32_t (*seq_save)(struct orcd_ctx *ctx, uint32_t seq, void *buf, uint64_t *bytes, struct orcd_error *err);
    int32_t (*seq_load)(struct orcd_ctx *ctx, uint32_t seq, const void *buf, uint64_t bytes, struct orcd_error *err);
    /* OWNER. Experiments, names beginning with "x_"; NULL: unknown. */
    void *(*get_proc)(const char *name);
};

/* The one symbol of a plugin. Called once; the table outlives every call. NULL:
 * this plugin cannot work with this host (it has logged why). */
typedef const struct orcd_plugin *(*orcd_plugin_entry)(const struct orcd_host *host);
ORCD_PLUGIN_EXPORT const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host);

/* Pins the last slot of each released minor. */
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define ORCD_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#elif defined(__cplusplus)
#define ORCD_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define ORCD_STATIC_ASSERT(cond, text) struct orcd_static_assert_
#endif
#define ORCD_PLUGIN_SIZE_MINOR_0 offsetof(struct orcd_plugin, seq_sampler)
ORCD_STATIC_ASSERT(sizeof(void *) != 8 || offsetof(struct orcd_plugin, stats) == 240, "plugin table, minor 0");
ORCD_STATIC_ASSERT(sizeof(void *) != 8 || offsetof(struct orcd_plugin, get_proc) == 280, "plugin table, minor 1");
ORCD_STATIC_ASSERT(sizeof(void *) != 8 || offsetof(struct orcd_host, fault) == 56, "host table, minor 0");

#ifdef __cplusplus
}
#endif
#endif
