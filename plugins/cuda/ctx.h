/*
 * A context: pages of KV, sequences, two steps that may be in flight, and the device memory that they compute
 * in.
 *
 * Life cycle. cuda_ctx_new() adds up what is needed, takes it at once and starts the launcher;
 * cuda_ctx_free() dooms what is in flight, stops the launcher behind it, waits for the device and frees all.
 * A step is IDLE until submit, QUEUED until the launcher has put it on the stream, LAUNCHED until wait
 * collects it, oldest first.
 *
 * Threads. lock guards the states of steps, n_launched, broken and quit, and a step's state says who owns the
 * rest of it: IDLE and LAUNCHED the host's owner thread, QUEUED the launcher. Sequences are the owner
 * thread's, but for `launched`, which is the launcher's while rows are in flight; the pinned mirrors of
 * tables and samplers change only where a sequence has no row in flight, as copies may still read them. The
 * stream, graphs and struct scratch are the launcher's, but while it has nothing to do: at the start, after a
 * failed step, at the end. Any thread raises doomed, the launcher reads it.
 */
#ifndef ORCD_CUDA_CTX_H
#define ORCD_CUDA_CTX_H

#include "plugins/cuda/cuda.h"

#define CUDA_STEPS 2u
#define CUDA_GRAPHS 64u     /* captured passes that are kept */
#define CUDA_LAYERS_AHEAD 2 /* of prefill, that the launcher is before the device */

struct step_row {
    uint32_t seq;
    uint32_t first_pos, n_tokens;
    uint32_t token_start; /* in step.tokens */
    uint32_t want, kind, top_n;
    uint32_t n_logits;  /* positions */
    uint64_t logits_at; /* float index of the row's first logit in step.logits */
    bool send_table, send_sampler;
    /* the launcher's until the step is collected */
    uint32_t done;     /* tokens computed in all layers */
    uint32_t wanted;   /* number of its first wanted position, in the order of computing */
    uint32_t n_wanted; /* that have been computed */
    int32_t status;
};

/* A description of a pass: arrays that one copy brings to the device, as pointers into host
 * or device memory. */
struct group {
    int32_t *token; /* by cell */
    uint32_t *seq, *pos;
    struct ck_tile *tiles;
    uint32_t *index; /* by wanted position: its cell */
    uint32_t *wanted_seq, *wanted_pos, *draw, *n_top;
};

enum step_state { STEP_IDLE, STEP_QUEUED, STEP_LAUNCHED };

struct step {
    enum step_state state; /* under ctx.lock */
    int32_t error;         /* of the whole step; its text */
    char text[ORCD_ERROR_TEXT_BYTES];
    uint64_t ticket;
    uint32_t n_rows, n_tokens;
    uint32_t n_wanted; /* computed so far */
    struct step_row *rows;
    int32_t *tokens;
    uint64_t submitted_ns, started_ns, finished_ns;
    struct simt_event *begin, *end;
    /* pinned */
    char *desc;         /* group after group */
    uint64_t slices_at; /* bytes of desc that are taken */
    uint32_t n_slices;  /* of prefill, launched */
    float *logits;
    int32_t *token, *top_ids; /* by number of the wanted position */
    float *top_logprobs;
};

struct cuda_seq {
    bool open;
    uint32_t len;      /* as collected */
    uint32_t planned;  /* after the steps in flight */
    uint32_t launched; /* after what was launched; the launcher's while rows are in flight */
    uint32_t reserved; /* tokens it may hold */
    uint32_t n_pages;
    uint32_t in_flight; /* rows */
    uint64_t submit;    /* the last call of submit that named it */
    bool table_changed, sampler_changed;
    bool has_sampler;
    bool chains;  /* its last submitted row draws a token */
    bool spoiled; /* a row in flight failed: the later ones end ABORTED */
};

/* One pool of pages for all sequences. */
struct pages {
    uint64_t tokens, tokens_reserved;
    uint32_t n, n_free, per_seq;
    uint32_t *free; /* a stack */
    uint64_t bytes; /* of a page, all layers */
};

/* Device memory, all in one allocation. Row lengths (ld) are in elements. */
struct scratch {
    uint32_t ld_embd, ld_q, ld_k, ld_v, ld_att, ld_ff, ld_experts, ld_vocab;
    float *x, *q, *k, *v, *att, *gate, *up, *tmp, *cs, *cs_local, *partial, *logits;
    void *act, *sampling, *workspace;
    ck_half *halves, *expanded;
    float *halves_scale;
    double *inv_freq, *inv_freq_local;
    float *router, *route_weight, *pair_out;
    int32_t *route_expert;
    uint32_t *pair_order, *pair_first;
    /* what stays between steps */
    ck_half *kv;
    int32_t *token_at; /* history, by page */
    int32_t *chain;
    uint32_t *table;
    struct ck_sampler *samplers;
    /* of the step that is computed */
    char *desc;
    int32_t *token, *top_ids;
    float *top_logprobs;
};

struct graph_key {
    uint32_t group, rows, n_splits;
    bool with_end; /* the output matrix and sampling are part of it */
};
struct graph_entry {
    struct graph_key key;
    struct simt_graph_exec *exec; /* NULL: none */
    uint64_t used;
};

struct orcd_ctx {
    struct orcd_model *model;
    struct orcd_device *device;
    struct orcd_ctx_params params;
    uint32_t slice;       /* rows of a prefill pass */
    uint32_t decode_rows; /* of a decode pass */
    uint32_t decode_groups;
    uint64_t group_bytes, desc_bytes; /* of a decode group, of all */
    struct simt_stream *stream;
    struct simt_blas *blas; /* NULL: prefill goes through decode's products */
    struct simt_event *layer_done[CUDA_LAYERS_AHEAD];
    uint64_t layers_launched;
    struct scratch s;
    void *device_memory, *pinned_memory;
    uint64_t device_bytes;
    /* pinned mirrors; OWNER calls write what has no row in flight */
    uint32_t *table; /* n_sequences x pages.per_seq */
    struct ck_sampler *samplers;
    uint64_t *layer_kv; /* element at which a layer's keys begin in a page; its values follow */
    struct pages pages;
    struct cuda_seq *seqs;
    struct step steps[CUDA_STEPS];
    uint64_t n_submitted, n_collected;
    uint64_t submits;
    bool has_ticket;
    uint64_t last_ticket;
    struct graph_entry graphs[CUDA_GRAPHS];
    uint64_t graph_clock;
    /* The launcher. lock guards the states of steps, n_launched, broken, quit. */
    pthread_t launcher;
    bool launcher_runs;
    pthread_mutex_t lock;
    pthread_cond_t wake, launched;
    uint64_t n_launched;
    bool broken; /* a step failed and the host does not know yet */
    bool quit;
    /* Rows of sequence s in steps with a ticket < doomed[s] are doomed. */
    _Atomic uint64_t *doomed;
};

static inline bool row_doomed(const struct orcd_ctx *ctx, const struct step *s, const struct step_row *r)
{
    return atomic_load_explicit(&ctx->doomed[r->seq], memory_order_acquire) > s->ticket;
}

static inline uint32_t up_to(uint32_t n, uint32_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* --- groups.c: descriptions. Bytes for n cells; pointers from base on. */
uint64_t group_size(uint32_t n);
/* Bytes for n_groups of n_cells in all. */
uint64_t groups_size(uint64_t n_cells, uint64_t n_groups);
struct group group_at(char *base, uint32_t n);

/* --- ctx.c. The pages of one layer. */
struct ck_kv ctx_kv(const struct orcd_ctx *ctx, uint32_t layer);
struct ck_history ctx_history(const struct orcd_ctx *ctx);

/* --- graphs.c: passes that are captured before the launcher starts; all of them, let go */
enum simt_status graphs_make(struct orcd_ctx *ctx);
void graphs_free(struct orcd_ctx *ctx);

/* --- launcher.c */
int launcher_start(struct orcd_ctx *ctx, struct orcd_error *err);
void launcher_stop(struct orcd_ctx *ctx);
/* --- passes.c: a step as passes. 0 or an ORCD_E_ code, its text in the step. */
int step_launch(struct orcd_ctx *ctx, struct step *s);

/* --- collect.c */
/* Waits for all steps in flight and drops them. */
void steps_drain(struct orcd_ctx *ctx);

/* --- sequence.c */
int pages_init(struct orcd_ctx *ctx, struct orcd_error *err); /* the host's side */
void pages_release(struct orcd_ctx *ctx);

#endif
