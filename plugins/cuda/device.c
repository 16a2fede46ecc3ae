/* Devices: inventory, their memory and its accounting, errors of the runtime. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plugins/cuda/cuda.h"

void cuda_log(const struct orcd_device *d, int32_t level, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    if (!d->host->log)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    d->host->log(level, text);
}

static int code_of(enum simt_status status)
{
    switch (status) {
    case SIMT_OUT_OF_MEMORY:
        return ORCD_E_DEVICE_MEMORY;
    case SIMT_OUT_OF_HOST_MEMORY:
        return ORCD_E_NOMEM;
    case SIMT_DEVICE_LOST:
        return ORCD_E_DEVICE_LOST;
    case SIMT_NO_DRIVER:
    case SIMT_NO_DEVICE:
        return ORCD_E_NOT_FOUND;
    case SIMT_UNSUPPORTED:
    case SIMT_NO_BLAS:
        return ORCD_E_UNSUPPORTED;
    default:
        return ORCD_E_DEVICE;
    }
}

int cuda_failed(struct orcd_device *d, enum simt_status status, struct orcd_error *err, const char *what)
{
    /* A device that was there and is not found any more, or whose driver is not. */
    if (d && d->opened && (status == SIMT_NO_DEVICE || status == SIMT_NO_DRIVER))
        status = SIMT_DEVICE_LOST;
    if (status == SIMT_DEVICE_LOST && d)
        atomic_store(&d->lost, true);
    const char *text = simt_error_text();
    return plugin_error(err, code_of(status), "%s: %s", what, *text ? text : simt_status_name(status));
}

int cuda_enter(struct orcd_device *d, struct orcd_error *err)
{
    if (atomic_load(&d->lost))
        return plugin_error(err, ORCD_E_DEVICE_LOST, "the device is lost");
    const enum simt_status status = simt_device_use(d->info.index);
    return status == SIMT_OK ? 0 : cuda_failed(d, status, err, "selecting the device");
}

/* --------------------------------------------------------------- inventory */

/* One line that helps whoever has no GPU here, or no driver. */
static int no_devices(enum simt_status status, struct orcd_error *err)
{
    if (status == SIMT_NO_DRIVER || status == SIMT_NO_DEVICE)
        return plugin_error(err, ORCD_E_NOT_FOUND, "%s: plugin.name cpu runs without one",
            status == SIMT_NO_DRIVER ? "no NVIDIA driver, or one too old for this build" : "no CUDA device");
    return cuda_failed(NULL, status, err, "counting CUDA devices");
}

int cuda_device_count(uint32_t *count, struct orcd_error *err)
{
    int n = 0;
    const enum simt_status status = simt_device_count(&n);
    if (status != SIMT_OK)
        return no_devices(status, err);
    *count = (uint32_t)n;
    return 0;
}

static int device_get(uint32_t index, struct simt_device *out, struct orcd_error *err)
{
    uint32_t n;
    const int rc = cuda_device_count(&n, err);
    if (rc)
        return rc;
    if (index >= n)
        return plugin_error(
            err, ORCD_E_NOT_FOUND, "there is no CUDA device %u, only %u", (unsigned)index, (unsigned)n);
    const enum simt_status status = simt_device_get((int)index, out);
    return status == SIMT_OK ? 0 : cuda_failed(NULL, status, err, "asking for a device's properties");
}

int cuda_device_info(uint32_t index, struct orcd_device_info *info, struct orcd_error *err)
{
    struct simt_device dev;
    const int rc = device_get(index, &dev, err);
    if (rc)
        return rc;
    struct orcd_device_info own = {.compute_major = (uint32_t)dev.major,
        .compute_minor = (uint32_t)dev.minor,
        .unified_memory = dev.integrated != 0,
        .memory_bytes = dev.memory_bytes};
    snprintf(own.name, sizeof(own.name), "%s", dev.name);
    snprintf(
        own.driver, sizeof(own.driver), "%d.%d", dev.driver_version / 1000, dev.driver_version % 1000 / 10);
    snprintf(own.runtime, sizeof(own.runtime), "%s %d.%d", simt_flavour(), dev.runtime_version / 1000,
        dev.runtime_version % 1000 / 10);
    own.size = info->size < sizeof(own) ? info->size : sizeof(own);
    memcpy(info, &own, own.size);
    return 0;
}

/* Loads all kernels, so that none is loaded in the middle of a step. */
static int touch(struct orcd_device *d, struct orcd_error *err)
{
    enum simt_status status = ck_touch_weights();
    if (status == SIMT_OK)
        status = ck_touch_attention();
    if (status == SIMT_OK)
        status = ck_touch_sampling();
    if (status == SIMT_OK)
        status = ck_touch_families();
    return status == SIMT_OK ? 0 : cuda_failed(d, status, err, "loading the kernels");
}

int cuda_device_open(const struct orcd_host *host, const struct cuda_options *o, uint32_t index,
    struct orcd_device **out, struct orcd_error *err)
{
    struct simt_device dev;
    int rc = device_get(index, &dev, err);
    if (rc)
        return rc;
    struct orcd_device *d = plugin_alloc(host, 1, sizeof(*d));
    if (!d)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for a device");
    d->host = host;
    d->options = *o;
    d->info = dev;
    rc = cuda_enter(d, err);
    if (rc == 0)
        rc = touch(d, err);
    if (rc == 0)
        rc = cuda_need(d, 0, "nothing", err); /* notes what is free */
    if (rc) {
        plugin_free(host, d);
        return rc;
    }
    d->opened = true;
    *out = d;
    return 0;
}

void cuda_device_close(struct orcd_device *d)
{
    if (d)
        plugin_free(d->host, d);
}

/* ------------------------------------------------------------------ memory */

static int ask_free(struct orcd_device *d, size_t *free_bytes, size_t *total, struct orcd_error *err)
{
    const enum simt_status status = simt_mem_info(free_bytes, total);
    if (status != SIMT_OK)
        return cuda_failed(d, status, err, "asking for the device's free memory");
    atomic_store(&d->seen_ours, atomic_load(&d->ours_bytes));
    atomic_store(&d->seen_free, *free_bytes);
    return 0;
}

int cuda_need(struct orcd_device *d, uint64_t bytes, const char *what, struct orcd_error *err)
{
    size_t available = 0, total = 0;
    const int rc = ask_free(d, &available, &total, err);
    if (rc || bytes == 0)
        return rc;
    uint64_t required;
    if (__builtin_add_overflow(bytes, (uint64_t)d->options.reserve_mb << 20, &required))
        required = UINT64_MAX;
    if (required > available)
        return plugin_error(err, ORCD_E_DEVICE_MEMORY,
            "INSUFFICIENT_VRAM: %s: required %llu bytes (%u MiB of them to stay free), available %llu", what,
            (unsigned long long)required, (unsigned)d->options.reserve_mb, (unsigned long long)available);
    return 0;
}

int cuda_alloc(struct orcd_device *d, uint64_t bytes, void **out, const char *what, struct orcd_error *err)
{
    const int rc = plugin_fault(d->host, "cuda.alloc");
    if (rc)
        return plugin_error(err, rc, "%s: injected", what);
    const enum simt_status status = simt_malloc(out, bytes);
    if (status != SIMT_OK)
        return cuda_failed(d, status, err, what);
    atomic_fetch_add(&d->ours_bytes, bytes);
    return 0;
}

void cuda_release(struct orcd_device *d, void *p, uint64_t bytes)
{
    if (!p)
        return;
    simt_free(p);
    atomic_fetch_sub(&d->ours_bytes, bytes);
}

int cuda_device_memory(struct orcd_device *d, struct orcd_memory *memory, struct orcd_error *err)
{
    struct orcd_memory own = {.total_bytes = d->info.memory_bytes};
    if (d->options.memory_own) {
        const uint64_t was = atomic_load(&d->seen_free) + atomic_load(&d->seen_ours);
        const uint64_t ours = atomic_load(&d->ours_bytes);
        own.free_bytes = was > ours ? was - ours : 0;
    } else {
        size_t available = 0, total = 0;
        int rc = cuda_enter(d, err);
        if (rc == 0) {
            const enum simt_status status = simt_mem_info(&available, &total);
            rc = status == SIMT_OK ? 0 : cuda_failed(d, status, err, "asking for the device's free memory");
        }
        if (rc)
            return rc;
        own.free_bytes = available;
        own.total_bytes = total;
    }
    own.ours_bytes = atomic_load(&d->ours_bytes);
    own.size = memory->size < sizeof(own) ? memory->size : sizeof(own);
    memcpy(memory, &own, own.size);
    return 0;
}

void cuda_device_stats(struct orcd_device *d, struct orcd_stats *stats)
{
    struct cuda_stats *s = &d->stats;
    struct orcd_stats own = {.steps = atomic_load(&s->steps),
        .rows = atomic_load(&s->rows),
        .tokens = atomic_load(&s->tokens),
        .bytes_read = atomic_load(&s->bytes_read),
        .device_busy_ns = atomic_load(&s->busy_ns),
        .rows_aborted = atomic_load(&s->rows_aborted)};
    own.size = stats->size < sizeof(own) ? stats->size : sizeof(own);
    memcpy(stats, &own, own.size);
}
