/* The plugin's table: options, device, and the borders of all other slots. */
#include <stdio.h>
#include <string.h>

#include "plugins/cpu/cpu.h"
#include "plugins/cpu/ctx.h"
#include "plugins/cpu/sys.h"

static struct orcd_host host;
static struct cpu_options options;
static const struct cpu_kernels *kernels;

/* ---------------------------------------------------------------- start-up */

static int32_t cpu_configure(const char *key, const char *value, struct orcd_error *err)
{
    return key ? cpu_option_set(&options, key, value, err) : 0;
}

static int32_t cpu_init(struct orcd_error *err)
{
    kernels = cpu_kernels_select(strcmp(options.isa, "plain") == 0 ? "c" : options.isa);
    if (!kernels)
        return plugin_error(
            err, ORCD_E_UNSUPPORTED, "isa: this processor or build has no kernel set \"%s\"", options.isa);
    return 0;
}

static void cpu_fini(void)
{
    kernels = NULL;
}

/* ------------------------------------------------------------------ device */

static int32_t cpu_device_count(uint32_t *count, struct orcd_error *err)
{
    (void)err;
    *count = 1;
    return 0;
}

static uint32_t thread_count(void)
{
    return options.threads ? options.threads : sys_cpu_count();
}

static int32_t cpu_device_info(uint32_t index, struct orcd_device_info *info, struct orcd_error *err)
{
    if (index != 0)
        return plugin_error(
            err, ORCD_E_NOT_FOUND, "the cpu plugin has one device, not number %u", (unsigned)index);
    struct orcd_device_info own = {.unified_memory = 1};
    uint64_t available;
    if (sys_memory(&own.memory_bytes, &available))
        return plugin_error(err, ORCD_E_IO, "cannot read the machine's memory size");
    sys_cpu_name(own.name, sizeof(own.name));
    snprintf(own.runtime, sizeof(own.runtime), "%s, %u threads", kernels->name, (unsigned)thread_count());
    own.size = info->size < sizeof(own) ? info->size : sizeof(own);
    memcpy(info, &own, own.size);
    return 0;
}

static void cpu_device_close(struct orcd_device *d)
{
    if (!d)
        return;
    cpu_leader_stop(d);
    pool_free(d->pool);
    plugin_free(&host, d);
}

static int32_t cpu_device_open(uint32_t index, struct orcd_device **device, struct orcd_error *err)
{
    if (index != 0)
        return plugin_error(
            err, ORCD_E_NOT_FOUND, "the cpu plugin has one device, not number %u", (unsigned)index);
    struct orcd_device *d = plugin_alloc(&host, 1, sizeof(*d));
    if (!d)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for a device");
    d->host = &host;
    d->kernels = kernels;
    d->sub_batch = options.sub_batch;
    int rc = pool_new(&d->pool, &host, thread_count(), options.pin, err);
    if (rc) {
        plugin_free(&host, d);
        return rc;
    }
    rc = cpu_leader_start(d, err);
    if (rc) {
        cpu_device_close(d);
        return rc;
    }
    *device = d;
    return 0;
}

static int32_t cpu_device_memory(struct orcd_device *d, struct orcd_memory *memory, struct orcd_error *err)
{
    struct orcd_memory own = {0};
    if (sys_memory(&own.total_bytes, &own.free_bytes))
        return plugin_error(err, ORCD_E_IO, "cannot read the machine's memory");
    own.ours_bytes = atomic_load(&d->ours_bytes);
    own.size = memory->size < sizeof(own) ? memory->size : sizeof(own);
    memcpy(memory, &own, own.size);
    return 0;
}

static void cpu_stats(struct orcd_device *d, struct orcd_stats *stats)
{
    struct cpu_stats *s = &d->stats;
    struct orcd_stats own = {.steps = atomic_load(&s->steps),
        .rows = atomic_load(&s->rows),
        .tokens = atomic_load(&s->tokens),
        .bytes_read = atomic_load(&s->bytes_read),
        .device_busy_ns = atomic_load(&s->busy_ns),
        .rows_aborted = atomic_load(&s->rows_aborted)};
    own.size = stats->size < sizeof(own) ? stats->size : sizeof(own);
    memcpy(stats, &own, own.size);
}

/* ------------------------------------------------------------------- model */

static int32_t cpu_load(struct orcd_device *device, const struct orcd_model_source *source,
    struct orcd_model **model, struct orcd_error *err)
{
    return cpu_model_load(device, source, model, err);
}

static int32_t cpu_model_info(struct orcd_model *m, struct orcd_model_info *info, struct orcd_error *err)
{
    (void)err;
    const struct kv_shape shape = model_kv_shape(m);
    struct orcd_model_info own = {.max_sequences = CPU_MAX_SEQUENCES,
        .max_batch_tokens = CPU_MAX_BATCH_TOKENS,
        .n_vocab = m->hp.n_vocab,
        .n_ctx = m->hp.n_ctx_train,
        .weight_bytes = m->weight_bytes,
        .kv_bytes_per_token = kv_block_bytes(&shape) / KV_TILE,
        .scratch_bytes = cpu_scratch_bytes(m, m->device->sub_batch),
        .prefill_granule = 1};
    own.size = info->size < sizeof(own) ? info->size : sizeof(own);
    memcpy(info, &own, own.size);
    return 0;
}

/* What we hold cannot leave the machine's memory behind our back. */
static int32_t cpu_residency(struct orcd_model *m, struct orcd_residency *residency, struct orcd_error *err)
{
    (void)err;
    struct orcd_residency own = {
        .expected_bytes = m->weight_bytes, .resident_bytes = m->packed.bytes + m->vectors.bytes};
    own.size = residency->size < sizeof(own) ? residency->size : sizeof(own);
    memcpy(residency, &own, own.size);
    return 0;
}

/* --------------------------------------------------------------- sequences */

static int seq_free(struct orcd_ctx *ctx, uint32_t seq, struct orcd_error *err)
{
    if (cpu_seq_busy(ctx, seq))
        return plugin_error(err, ORCD_E_BUSY, "sequence %u has a row in flight", (unsigned)seq);
    return 0;
}

static int32_t cpu_seq_open(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    const int rc = seq_free(ctx, seq, err);
    return rc ? rc : kv_seq_open(&ctx->kv, seq, max_tokens, err);
}

static int32_t cpu_seq_reserve(
    struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    const int rc = seq_free(ctx, seq, err);
    return rc ? rc : kv_seq_reserve(&ctx->kv, seq, max_tokens, err);
}

static int32_t cpu_seq_close(struct orcd_ctx *ctx, uint32_t seq, struct orcd_error *err)
{
    const int rc = seq_free(ctx, seq, err);
    return rc ? rc : kv_seq_close(&ctx->kv, seq, err);
}

static int seq_get(struct orcd_ctx *ctx, uint32_t seq, struct kv_seq **s, struct orcd_error *err)
{
    const int rc = seq_free(ctx, seq, err);
    if (rc)
        return rc;
    *s = kv_seq_get(&ctx->kv, seq, err);
    if (!*s)
        return seq >= ctx->kv.n_seqs ? ORCD_E_INVALID : ORCD_E_NOT_FOUND;
    return 0;
}

static int32_t cpu_seq_len(struct orcd_ctx *ctx, uint32_t seq, uint32_t *len, struct orcd_error *err)
{
    struct kv_seq *s;
    const int rc = seq_get(ctx, seq, &s, err);
    if (rc)
        return rc;
    *len = s->len;
    return 0;
}

static int32_t cpu_seq_trim(
    struct orcd_ctx *ctx, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err)
{
    struct kv_seq *s;
    const int rc = seq_get(ctx, seq, &s, err);
    if (rc)
        return rc;
    if (s->len > n)
        s->len = n;
    *kept = s->len;
    return 0;
}

/* ------------------------------------------------------------------- table */

static struct orcd_plugin table = {.magic = ORCD_PLUGIN_MAGIC,
    .size = sizeof(table),
    .minor = ORCD_ABI_MINOR,
    .max_inflight = 1,
    .name = "cpu",
    .version = "0.1.0",
    .description = "inference on the processors of this machine",
    .flags = ORCD_PLUGIN_NEEDS_MODEL,
    .options = cpu_option_table,
    .option_stride = sizeof(struct orcd_option),
    .configure = cpu_configure,
    .init = cpu_init,
    .fini = cpu_fini,
    .device_count = cpu_device_count,
    .device_info = cpu_device_info,
    .device_open = cpu_device_open,
    .device_close = cpu_device_close,
    .device_memory = cpu_device_memory,
    .model_load = cpu_load,
    .model_info = cpu_model_info,
    .residency = cpu_residency,
    .model_free = cpu_model_free,
    .ctx_new = cpu_ctx_new,
    .ctx_free = cpu_ctx_free,
    .seq_open = cpu_seq_open,
    .seq_reserve = cpu_seq_reserve,
    .seq_close = cpu_seq_close,
    .seq_len = cpu_seq_len,
    .seq_trim = cpu_seq_trim,
    .submit = cpu_submit,
    .wait = cpu_wait,
    .abort = cpu_abort,
    .stats = cpu_stats};

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *h)
{
    if (!h || h->magic != ORCD_HOST_MAGIC || h->size < offsetof(struct orcd_host, progress))
        return NULL;
    memset(&host, 0, sizeof(host));
    memcpy(&host, h, h->size < sizeof(host) ? h->size : sizeof(host));
    if (!host.alloc || !host.free || !host.now_ns)
        return NULL;
    cpu_options_init(&options);
    table.n_options = cpu_option_count;
    return &table;
}
