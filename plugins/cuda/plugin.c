/* The plugin's table. */
#include <string.h>

#include "plugins/cuda/cuda.h"
#include "plugins/cuda/ctx.h"

static struct orcd_host host;
static struct cuda_options options;

static int32_t configure(const char *key, const char *value, struct orcd_error *err)
{
    return key ? cuda_option_set(&options, key, value, err) : 0;
}

static struct orcd_plugin table;

static int32_t init(struct orcd_error *err)
{
    (void)err;
    table.max_inflight = options.max_inflight;
    return 0;
}

static void fini(void)
{
}

static int32_t device_open(uint32_t index, struct orcd_device **device, struct orcd_error *err)
{
    return cuda_device_open(&host, &options, index, device, err);
}

static int32_t model_info(struct orcd_model *m, struct orcd_model_info *info, struct orcd_error *err)
{
    (void)err;
    struct orcd_model_info own = {.max_sequences = CUDA_MAX_SEQUENCES,
        .max_batch_tokens = CUDA_MAX_BATCH_TOKENS,
        .n_vocab = m->hp.n_vocab,
        .n_ctx = m->hp.n_ctx_train,
        .weight_bytes = m->weight_bytes,
        .kv_bytes_per_token = cuda_kv_token_bytes(m),
        .scratch_bytes = cuda_scratch_bytes(m),
        .prefill_granule = cuda_prefill_granule(&m->device->options)};
    own.size = info->size < sizeof(own) ? info->size : sizeof(own);
    memcpy(info, &own, own.size);
    return 0;
}

/* The copy speed for bench-infer; the others for tests of the flavour that runs on the CPU. */
static void *get_proc(const char *name)
{
    if (strcmp(name, "x_copy_gbs") == 0)
        return (void *)(uintptr_t)cuda_copy_gbs;
    if (strcmp(name, "x_simt_knobs") == 0)
        return (void *)(uintptr_t)simt_knobs;
    if (strcmp(name, "x_simt_usage") == 0)
        return (void *)(uintptr_t)simt_usage_get;
    return NULL;
}

static struct orcd_plugin table = {.magic = ORCD_PLUGIN_MAGIC,
    .size = sizeof(table),
    .minor = ORCD_ABI_MINOR,
    .max_inflight = 2,
    .version = "0.1.0",
    .flags = ORCD_PLUGIN_NEEDS_MODEL | ORCD_PLUGIN_VRAM_ONLY,
    .options = cuda_option_table,
    .option_stride = sizeof(struct orcd_option),
    .configure = configure,
    .init = init,
    .fini = fini,
    .device_count = cuda_device_count,
    .device_info = cuda_device_info,
    .device_open = device_open,
    .device_close = cuda_device_close,
    .device_memory = cuda_device_memory,
    .model_load = cuda_model_load,
    .model_info = model_info,
    .residency = cuda_residency,
    .model_free = cuda_model_free,
    .ctx_new = cuda_ctx_new,
    .ctx_free = cuda_ctx_free,
    .seq_open = cuda_seq_open,
    .seq_reserve = cuda_seq_reserve,
    .seq_close = cuda_seq_close,
    .seq_len = cuda_seq_len,
    .seq_trim = cuda_seq_trim,
    .submit = cuda_submit,
    .wait = cuda_wait,
    .abort = cuda_abort,
    .stats = cuda_device_stats,
    .seq_sampler = cuda_seq_sampler,
    .get_proc = get_proc};

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *h)
{
    if (!h || h->magic != ORCD_HOST_MAGIC || h->size < offsetof(struct orcd_host, progress))
        return NULL;
    memset(&host, 0, sizeof(host));
    memcpy(&host, h, h->size < sizeof(host) ? h->size : sizeof(host));
    if (!host.alloc || !host.free || !host.now_ns)
        return NULL;
    cuda_options_init(&options);
    table.n_options = cuda_option_count;
    table.name = simt_flavour();
    table.description = strcmp(table.name, "cuda") == 0 ? "inference on an NVIDIA GPU"
                                                        : "the cuda plugin, run on the CPU for tests";
    return &table;
}
