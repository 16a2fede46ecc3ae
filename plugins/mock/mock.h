/*
 * The mock plugin: a byte model that needs no file, with programmable delays and
 * faults. docs/plugins.md describes its options.
 */
#ifndef MOCK_H
#define MOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <orcd/plugin.h>

#include "base/error.h"
#include "sample/sampler.h"

#define MOCK_N_VOCAB 258
#define MOCK_BOS 256
#define MOCK_EOS 257
#define MOCK_MAX_INFLIGHT 2
#define MOCK_MAX_TEXT 4096
#define MOCK_KV_BYTES_PER_TOKEN UINT64_C(1024)

/* The build that claims an older minor has no slots after it. */
#ifndef MOCK_MINOR
#define MOCK_MINOR 1
#endif

/* ------------------------------------------------------------------ options */

struct mock_options {
    uint64_t token_ns, prefill_ns_per_token, slice_ns, jitter_ns, load_ns, hang_ns, look_ns;
    uint64_t seed, memory_bytes;
    uint32_t slice_tokens, length, context, max_inflight;
    bool sampling;
    char text[MOCK_MAX_TEXT];
};

extern struct mock_options mock_options; /* written by configure only */
extern const struct orcd_host *mock_host;
extern const struct orcd_option mock_option_table[];
extern const uint32_t mock_n_options;
void mock_options_reset(void);
int32_t mock_configure(const char *key, const char *value, struct orcd_error *err);

/* ------------------------------------------------------------------- faults */

/* X(EFFECT, name, ORCD_E_ code or 0 when it is no plain failure) */
#define MOCK_EFFECT_MAP(X)                                                                                   \
    X(FAIL, "fail", ORCD_E_DEVICE)                                                                           \
    X(OOM, "oom", ORCD_E_DEVICE_MEMORY)                                                                      \
    X(OUT_OF_KV, "out_of_kv", ORCD_E_OUT_OF_KV)                                                              \
    X(BUSY, "busy", ORCD_E_BUSY)                                                                             \
    X(DEVICE_LOST, "device_lost", ORCD_E_DEVICE_LOST)                                                        \
    X(HANG, "hang", 0)                                                                                       \
    X(SLOW, "slow", 0)                                                                                       \
    X(CRASH, "crash", 0)                                                                                     \
    X(NAN, "nan", 0)                                                                                         \
    X(ROW_FAIL, "row_fail", 0)                                                                               \
    X(LOST, "lost", 0)

enum mock_effect {
    MOCK_EFFECT_NONE,
#define MOCK_EFFECT_ENUM(name, text, code) MOCK_EFFECT_##name,
    MOCK_EFFECT_MAP(MOCK_EFFECT_ENUM)
#undef MOCK_EFFECT_ENUM
};

/* "POINT.EFFECT[@N][!]" or "POINT.EFFECT/N", separated by spaces or commas. */
int mock_faults_parse(const char *text, struct orcd_error *err);
/* Counts a call of the point and tells what is to go wrong with it. Any thread. */
enum mock_effect mock_fault(const char *point);
/* Carries out hang, slow and crash; returns the code of a plain failure, else 0. */
int mock_effect_apply(enum mock_effect effect);
/* The two in one, with the error text. */
int mock_fault_check(const char *point, struct orcd_error *err);

/* -------------------------------------------------------------------- model */

/* What the logits depend on: the token history, and how much of it was generated. */
struct mock_words {
    uint64_t hash, word_hash; /* of everything; of everything up to the current word */
    char word[16];            /* the current word so far */
    uint32_t n_word;          /* more than fits: no word of ours */
    uint32_t n;               /* tokens taken in */
};

void mock_words_init(struct mock_words *w);
void mock_words_push(struct mock_words *w, int32_t token);
/* logits[MOCK_N_VOCAB] of the next token. */
void mock_words_logits(const struct mock_words *w, uint32_t generated, float *logits);
uint64_t mock_mix(uint64_t x);

/* ------------------------------------------------------------------ objects */

struct orcd_device {
    atomic_uint_fast64_t steps, rows, tokens, bytes_read, busy_ns, rows_aborted;
    atomic_uint_fast64_t ours_bytes;
    atomic_bool lost;
};

struct orcd_model {
    struct orcd_device *device;
    uint64_t weight_bytes;
};

struct mock_sequence {
    bool open;
    uint64_t batch;       /* the last that had a row of it */
    uint32_t max_tokens;  /* reserved */
    uint32_t in_flight;   /* rows in steps that were not collected */
    uint32_t pending_len; /* length once they are done */
    bool pending_sampled; /* the last of them samples */
    uint64_t doomed;      /* rows of steps up to this ticket are doomed */

    /* While rows are in flight these are the worker's. */
    int32_t *tokens;
    uint32_t len, room;
    uint32_t start; /* length at which generation began; 0: it has not */
    int32_t sampled;
    struct mock_words words;

    bool has_sampler;
    struct sample_params params;
    int32_t *history;
    uint32_t n_history;
};

struct mock_row {
    uint32_t seq, first_pos, n_tokens, want, kind, top_n;
    const int32_t *tokens;
    bool ended;
    int32_t status;
    uint32_t kept;
    float *logits; /* room for what it wants */
    uint32_t n_logits;
    int32_t token;
    int32_t *top_ids;
    float *top_logprobs;
};

enum mock_step_state { MOCK_STEP_FREE, MOCK_STEP_QUEUED, MOCK_STEP_DONE };

struct mock_step {
    enum mock_step_state state;
    uint64_t ticket;
    uint32_t n_rows;
    struct mock_row *rows;
    int32_t *tokens;
    float *logits; /* rows' parts of it start at multiples of 64 bytes */
    int32_t *top_ids;
    float *top_logprobs;
    int32_t error; /* of the whole step */
    uint64_t submitted_ns, started_ns, finished_ns;
};

struct orcd_ctx {
    struct orcd_model *model;
    struct orcd_ctx_params params;
    /* The one lock; everything below is under it but what a sequence or a step says. */
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t worker;
    bool stop;
    struct mock_sequence *sequences;
    uint64_t kv_reserved; /* tokens */
    uint64_t kv_bytes;
    struct mock_step steps[MOCK_MAX_INFLIGHT]; /* ring by number of the step */
    uint64_t n_submitted, n_done, n_collected;
    uint64_t last_ticket;
    uint64_t n_batches;      /* handed in, taken or not */
    uint64_t poisoned;       /* steps up to this ticket end ABORTED after an error */
    uint64_t target_ns;      /* when the last step should have ended */
    struct sampler *sampler; /* the worker's */
};

/* sequence.c */
int32_t mock_seq_open(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
int32_t mock_seq_reserve(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
int32_t mock_seq_close(struct orcd_ctx *ctx, uint32_t seq, struct orcd_error *err);
int32_t mock_seq_len(struct orcd_ctx *ctx, uint32_t seq, uint32_t *len, struct orcd_error *err);
int32_t mock_seq_trim(struct orcd_ctx *ctx, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err);
int32_t mock_seq_sampler(
    struct orcd_ctx *ctx, uint32_t seq, const struct orcd_sampler *sampler, struct orcd_error *err);
int32_t mock_seq_fork(struct orcd_ctx *ctx, uint32_t from, uint32_t to, uint32_t n, struct orcd_error *err);
int32_t mock_seq_save(struct orcd_ctx *ctx, uint32_t seq, void *buf, uint64_t *bytes, struct orcd_error *err);
int32_t mock_seq_load(
    struct orcd_ctx *ctx, uint32_t seq, const void *buf, uint64_t bytes, struct orcd_error *err);
void mock_sequence_release(struct mock_sequence *s);

/* context.c */
int32_t mock_ctx_new(struct orcd_model *model, const struct orcd_ctx_params *params, struct orcd_ctx **out,
    struct orcd_error *err);
void mock_ctx_free(struct orcd_ctx *ctx);

/* submit.c */
int32_t mock_submit(struct orcd_ctx *ctx, const struct orcd_batch *batch, struct orcd_error *err);
int32_t mock_wait(struct orcd_ctx *ctx, struct orcd_result *result, struct orcd_error *err);
void mock_abort(struct orcd_ctx *ctx, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs);

/* worker.c */
void *mock_worker(void *ctx);

#endif
