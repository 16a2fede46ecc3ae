#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

/* The table, the one device and the one model. */
#include "mock.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOAD_TICKS 20

const struct orcd_host *mock_host;

static int32_t init(struct orcd_error *err)
{
    return mock_fault_check("init", err);
}

static void fini(void)
{
}

static int32_t device_count(uint32_t *count, struct orcd_error *err)
{
    (void)err;
    *count = 1;
    return 0;
}

static int32_t device_info(uint32_t index, struct orcd_device_info *info, struct orcd_error *err)
{
    if (index)
        return error_set(err, ORCD_E_NOT_FOUND, "mock: no device %u", index);
    struct orcd_device_info answer = {.size = sizeof(answer), .memory_bytes = mock_options.memory_bytes};
    snprintf(answer.name, sizeof(answer.name), "mock device");
    snprintf(answer.runtime, sizeof(answer.runtime), "mock " PACKAGE_VERSION);
    memcpy(info, &answer, info->size < sizeof(answer) ? info->size : sizeof(answer));
    return 0;
}

static int32_t device_open(uint32_t index, struct orcd_device **device, struct orcd_error *err)
{
    int32_t rc = mock_fault_check("device_open", err);
    if (rc)
        return rc;
    if (index)
        return error_set(err, ORCD_E_NOT_FOUND, "mock: no device %u", index);
    struct orcd_device *d = calloc(1, sizeof(*d));
    if (!d)
        return error_set(err, ORCD_E_NOMEM, "mock: out of memory");
    *device = d;
    return 0;
}

static void device_close(struct orcd_device *device)
{
    free(device);
}

static int32_t device_memory(struct orcd_device *device, struct orcd_memory *memory, struct orcd_error *err)
{
    int32_t rc = mock_fault_check("memory", err);
    if (rc)
        return rc;
    if (atomic_load(&device->lost))
        return error_set(err, ORCD_E_DEVICE_LOST, "mock: the device is lost");
    uint64_t ours = atomic_load(&device->ours_bytes);
    struct orcd_memory answer = {.size = sizeof(answer),
        .total_bytes = mock_options.memory_bytes,
        .free_bytes = mock_options.memory_bytes - ours,
        .ours_bytes = ours};
    memcpy(memory, &answer, memory->size < sizeof(answer) ? memory->size : sizeof(answer));
    return 0;
}

/* -------------------------------------------------------------------- model */

static int32_t load_time(struct orcd_error *err)
{
    uint64_t from = mock_host->now_ns();
    for (uint64_t i = 1; i <= LOAD_TICKS; i++) {
        uint64_t target = from + mock_options.load_ns * i / LOAD_TICKS;
        struct timespec ts = {
            .tv_sec = (time_t)(target / 1000000000), .tv_nsec = (long)(target % 1000000000)};
        while (mock_options.load_ns && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL))
            ;
        if (mock_host->progress && mock_host->progress(i, LOAD_TICKS))
            return error_set(err, ORCD_E_STOPPED, "mock: loading was stopped");
    }
    return 0;
}

static int32_t model_load(struct orcd_device *device, const struct orcd_model_source *source,
    struct orcd_model **model, struct orcd_error *err)
{
    (void)source;
    int32_t rc = mock_fault_check("load", err);
    if (rc == 0)
        rc = load_time(err);
    if (rc)
        return rc;
    struct orcd_model *m = calloc(1, sizeof(*m));
    if (!m)
        return error_set(err, ORCD_E_NOMEM, "mock: out of memory");
    m->device = device;
    m->weight_bytes = mock_options.memory_bytes / 4;
    atomic_fetch_add(&device->ours_bytes, m->weight_bytes);
    *model = m;
    return 0;
}

static int32_t model_info(struct orcd_model *model, struct orcd_model_info *info, struct orcd_error *err)
{
    (void)err;
    struct orcd_model_info answer = {
        .size = sizeof(answer),
        .max_sequences = 4096,
        .max_batch_tokens = 65536,
        .n_vocab = MOCK_N_VOCAB,
        .n_ctx = mock_options.context,
        .weight_bytes = model->weight_bytes,
        .kv_bytes_per_token = MOCK_KV_BYTES_PER_TOKEN,
        .prefill_granule = mock_options.slice_tokens,
    };
    memcpy(info, &answer, info->size < sizeof(answer) ? info->size : sizeof(answer));
    return 0;
}

static int32_t residency(struct orcd_model *model, struct orcd_residency *residency, struct orcd_error *err)
{
    enum mock_effect effect = mock_fault("residency");
    int code = mock_effect_apply(effect);
    if (code)
        return error_set(err, code, "mock: residency was told to fail (%s)", error_name(code));
    bool moved = effect == MOCK_EFFECT_LOST;
    struct orcd_residency answer = {
        .size = sizeof(answer),
        .device_lost = atomic_load(&model->device->lost),
        .expected_bytes = model->weight_bytes,
        .resident_bytes = moved ? model->weight_bytes / 2 : model->weight_bytes,
        .host_pointers = moved,
    };
    memcpy(residency, &answer, residency->size < sizeof(answer) ? residency->size : sizeof(answer));
    return 0;
}

static void model_free(struct orcd_model *model)
{
    if (model)
        atomic_fetch_sub(&model->device->ours_bytes, model->weight_bytes);
    free(model);
}

static void stats(struct orcd_device *d, struct orcd_stats *stats)
{
    struct orcd_stats answer = {
        .size = sizeof(answer),
        .steps = atomic_load(&d->steps),
        .rows = atomic_load(&d->rows),
        .tokens = atomic_load(&d->tokens),
        .bytes_read = atomic_load(&d->bytes_read),
        .device_busy_ns = atomic_load(&d->busy_ns),
        .rows_aborted = atomic_load(&d->rows_aborted),
    };
    memcpy(stats, &answer, stats->size < sizeof(answer) ? stats->size : sizeof(answer));
}

/* -------------------------------------------------------------------- table */

static struct orcd_plugin table = {
    .magic = ORCD_PLUGIN_MAGIC,
    .size = MOCK_MINOR == 0 ? ORCD_PLUGIN_SIZE_MINOR_0 : sizeof(struct orcd_plugin),
    .minor = MOCK_MINOR,
    .max_inflight = MOCK_MAX_INFLIGHT,
    .name = "mock",
    .version = PACKAGE_VERSION,
    .description = "a byte model without a file, with delays and faults to order",
    .options = mock_option_table,
    .option_stride = sizeof(struct orcd_option),
    .init = init,
    .fini = fini,
    .device_count = device_count,
    .device_info = device_info,
    .device_open = device_open,
    .device_close = device_close,
    .device_memory = device_memory,
    .model_load = model_load,
    .model_info = model_info,
    .residency = residency,
    .model_free = model_free,
    .ctx_new = mock_ctx_new,
    .ctx_free = mock_ctx_free,
    .seq_open = mock_seq_open,
    .seq_reserve = mock_seq_reserve,
    .seq_close = mock_seq_close,
    .seq_len = mock_seq_len,
    .seq_trim = mock_seq_trim,
    .submit = mock_submit,
    .wait = mock_wait,
    .abort = mock_abort,
    .stats = stats,
    .seq_sampler = mock_seq_sampler,
    .seq_fork = mock_seq_fork,
    .seq_save = mock_seq_save,
    .seq_load = mock_seq_load,
};

static int32_t configure(const char *key, const char *value, struct orcd_error *err)
{
    int32_t rc = mock_configure(key, value, err);
    if (rc == 0 && !key)
        table.max_inflight = mock_options.max_inflight; /* the host looks again after init */
    return rc;
}

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    if (host->magic != ORCD_HOST_MAGIC || host->size < sizeof(struct orcd_host))
        return NULL;
    mock_host = host;
    mock_options_reset();
    table.n_options = mock_n_options;
    table.configure = configure;
    table.max_inflight = MOCK_MAX_INFLIGHT;
    return &table;
}
