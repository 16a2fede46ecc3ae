/*
 * A well-behaved plugin of one file for tests: a bad one includes this, changes what is
 * to be bad in base_table and says what orcd_plugin_v1 does.
 */
#ifndef TESTS_PLUGINS_BASE_H
#define TESTS_PLUGINS_BASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <orcd/plugin.h>

#define BASE_VOCAB 258
#define BASE_SEQUENCES 8

struct base_step {
    uint64_t ticket;
    uint32_t n_rows;
    uint32_t seq[BASE_SEQUENCES], end[BASE_SEQUENCES], want[BASE_SEQUENCES], n[BASE_SEQUENCES],
        kind[BASE_SEQUENCES];
};

struct orcd_ctx {
    uint32_t len[BASE_SEQUENCES];
    struct base_step step;
};

/* Room for one misaligned row as well. */
static _Alignas(64) float base_logits[BASE_VOCAB + 64];
static int base_object;

static int32_t base_init(struct orcd_error *err)
{
    (void)err;
    return 0;
}
static void base_fini(void)
{
}
static int32_t base_device_count(uint32_t *count, struct orcd_error *err)
{
    (void)err;
    *count = 1;
    return 0;
}
static int32_t base_device_info(uint32_t index, struct orcd_device_info *info, struct orcd_error *err)
{
    (void)index;
    (void)err;
    snprintf(info->name, sizeof(info->name), "base");
    return 0;
}
static int32_t base_device_open(uint32_t index, struct orcd_device **device, struct orcd_error *err)
{
    (void)index;
    (void)err;
    *device = (struct orcd_device *)&base_object;
    return 0;
}
static void base_device_close(struct orcd_device *device)
{
    (void)device;
}
static int32_t base_device_memory(
    struct orcd_device *device, struct orcd_memory *memory, struct orcd_error *err)
{
    (void)device;
    (void)err;
    memory->total_bytes = 100;
    memory->free_bytes = 60;
    memory->ours_bytes = 40;
    return 0;
}
static int32_t base_model_load(struct orcd_device *device, const struct orcd_model_source *source,
    struct orcd_model **model, struct orcd_error *err)
{
    (void)device;
    (void)source;
    (void)err;
    *model = (struct orcd_model *)&base_object;
    return 0;
}
static int32_t base_model_info(struct orcd_model *model, struct orcd_model_info *info, struct orcd_error *err)
{
    (void)model;
    (void)err;
    info->max_sequences = BASE_SEQUENCES;
    info->max_batch_tokens = 4096;
    info->n_vocab = BASE_VOCAB;
    info->n_ctx = 4096;
    return 0;
}
static void base_model_free(struct orcd_model *model)
{
    (void)model;
}
static int32_t base_ctx_new(struct orcd_model *model, const struct orcd_ctx_params *params,
    struct orcd_ctx **ctx, struct orcd_error *err)
{
    (void)model;
    (void)params;
    (void)err;
    *ctx = (struct orcd_ctx *)calloc(1, sizeof(**ctx));
    return 0;
}
static void base_ctx_free(struct orcd_ctx *ctx)
{
    free(ctx);
}
static int32_t base_seq_open(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    (void)max_tokens;
    (void)err;
    ctx->len[seq] = 0;
    return 0;
}
static int32_t base_seq_close(struct orcd_ctx *ctx, uint32_t seq, struct orcd_error *err)
{
    (void)ctx;
    (void)seq;
    (void)err;
    return 0;
}
static int32_t base_seq_len(struct orcd_ctx *ctx, uint32_t seq, uint32_t *len, struct orcd_error *err)
{
    (void)err;
    *len = ctx->len[seq];
    return 0;
}
static int32_t base_seq_trim(
    struct orcd_ctx *ctx, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err)
{
    (void)err;
    if (n < ctx->len[seq])
        ctx->len[seq] = n;
    *kept = ctx->len[seq];
    return 0;
}
static int32_t base_submit(struct orcd_ctx *ctx, const struct orcd_batch *b, struct orcd_error *err)
{
    (void)err;
    ctx->step.ticket = b->ticket;
    ctx->step.n_rows = b->n_rows;
    for (uint32_t r = 0; r < b->n_rows; r++) {
        ctx->step.seq[r] = b->seq[r];
        ctx->step.end[r] = b->first_pos[r] + b->n_tokens[r];
        ctx->step.want[r] = b->want[r];
        ctx->step.n[r] = b->n_tokens[r];
        ctx->step.kind[r] = b->kind[r];
    }
    return 0;
}
static int32_t base_wait(struct orcd_ctx *ctx, struct orcd_result *res, struct orcd_error *err)
{
    (void)err;
    res->n_rows = ctx->step.n_rows;
    res->ticket = ctx->step.ticket;
    for (uint32_t r = 0; r < ctx->step.n_rows; r++) {
        ctx->len[ctx->step.seq[r]] = ctx->step.end[r];
        res->status[r] = 0;
        res->kept[r] = ctx->step.end[r];
        res->logits[r] = base_logits;
        res->n_logits[r] = 1;
        res->token[r] = 65;
    }
    return 0;
}
static void base_abort(struct orcd_ctx *ctx, uint64_t ticket, const uint32_t *seqs, uint32_t n)
{
    (void)ctx;
    (void)ticket;
    (void)seqs;
    (void)n;
}
static void base_stats(struct orcd_device *device, struct orcd_stats *stats)
{
    (void)device;
    stats->steps = 7;
}

static struct orcd_plugin base_table = {
    .magic = ORCD_PLUGIN_MAGIC,
    .size = sizeof(struct orcd_plugin),
    .minor = ORCD_ABI_MINOR,
    .max_inflight = 1,
    .name = "base",
    .version = "1",
    .description = "for tests",
    .init = base_init,
    .fini = base_fini,
    .device_count = base_device_count,
    .device_info = base_device_info,
    .device_open = base_device_open,
    .device_close = base_device_close,
    .device_memory = base_device_memory,
    .model_load = base_model_load,
    .model_info = base_model_info,
    .model_free = base_model_free,
    .ctx_new = base_ctx_new,
    .ctx_free = base_ctx_free,
    .seq_open = base_seq_open,
    .seq_reserve = base_seq_open,
    .seq_close = base_seq_close,
    .seq_len = base_seq_len,
    .seq_trim = base_seq_trim,
    .submit = base_submit,
    .wait = base_wait,
    .abort = base_abort,
    .stats = base_stats,
};

#define BASE_OPTION(n, t, f, lo, hi)                                                                         \
    {                                                                                                        \
        sizeof(struct orcd_option), t, n, f, lo, hi, "", "help"                                              \
    }
static inline int32_t base_configure(const char *key, const char *value, struct orcd_error *err)
{
    (void)key;
    (void)value;
    (void)err;
    return 0;
}
static inline void base_options(const struct orcd_option *options, uint32_t n)
{
    base_table.options = options;
    base_table.n_options = n;
    base_table.option_stride = sizeof(struct orcd_option);
    base_table.configure = base_configure;
}

#endif
