#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/common/util.h"
#include "plugins/cuda/options.h"

#define INT_OPTION(key, text, low, high, of, about)                                                          \
    {                                                                                                        \
        .size = sizeof(struct orcd_option), .type = ORCD_OPT_INT, .name = key, .fallback = text, .min = low, \
        .max = high, .unit = of, .help = about                                                               \
    }
#define BOOL_OPTION(key, text, about)                                                                        \
    {                                                                                                        \
        .size = sizeof(struct orcd_option), .type = ORCD_OPT_BOOL, .name = key, .fallback = text,            \
        .unit = "", .help = about                                                                            \
    }

const struct orcd_option cuda_option_table[] = {
    INT_OPTION("prefill_slice", "512", 16, 8192, "tokens",
        "tokens of a prompt computed at a time, at most; an abort loses at most these"),
    BOOL_OPTION("fixed_height", "true",
        "heights of a slice's products follow from each row's own tokens: same results in any batch"),
    BOOL_OPTION("blas", "true", "prefill on tensor cores through cuBLASLt; false: with decode's kernels"),
    BOOL_OPTION("graphs", "true", "replay decode steps as CUDA graphs"),
    BOOL_OPTION("pdl", "true",
        "kernels start before the one ahead of them has ended, where their code waits for it itself"),
    BOOL_OPTION("sampling", "true", "draw tokens on the device"),
    INT_OPTION("max_inflight", "2", 1, 2, "steps", "steps that may be in flight at once"),
    INT_OPTION("load_threads", "4", 1, 32, "threads", "threads that read the model"),
    INT_OPTION("load_buffer_mb", "8", 1, 64, "MiB", "size of a reading buffer; each thread has two"),
    BOOL_OPTION("load_mapped", "false", "copy weights from mapped files instead of reading them"),
    INT_OPTION("reserve_mb", "256", 0, 65536, "MiB", "device memory left free beside weights and contexts"),
    BOOL_OPTION("memory_own", "false",
        "tell free memory from own accounting since the last load instead of asking the driver"),
};
const uint32_t cuda_option_count = sizeof(cuda_option_table) / sizeof(cuda_option_table[0]);

static int set_u32(uint32_t *out, const struct orcd_option *row, const char *value, struct orcd_error *err)
{
    char *end;
    errno = 0;
    const long long n = strtoll(value, &end, 10);
    if (errno || end == value || *end || n < (long long)row->min || n > (long long)row->max)
        return plugin_error(err, ORCD_E_INVALID, "%s: \"%.40s\" is not an integer from %lld to %lld",
            row->name, value, (long long)row->min, (long long)row->max);
    *out = (uint32_t)n;
    return 0;
}

static int set_bool(bool *out, const struct orcd_option *row, const char *value, struct orcd_error *err)
{
    const bool on = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (!on && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return plugin_error(err, ORCD_E_INVALID, "%s: \"%.40s\" is not true or false", row->name, value);
    *out = on;
    return 0;
}

int cuda_option_set(struct cuda_options *o, const char *key, const char *value, struct orcd_error *err)
{
    /* In the order of the table. */
    void *const field[] = {&o->prefill_slice, &o->fixed_height, &o->blas, &o->graphs, &o->pdl, &o->sampling,
        &o->max_inflight, &o->load_threads, &o->load_buffer_mb, &o->load_mapped, &o->reserve_mb,
        &o->memory_own};
    _Static_assert(
        sizeof(field) / sizeof(field[0]) == sizeof(cuda_option_table) / sizeof(cuda_option_table[0]),
        "a field for each option");
    if (!value)
        return plugin_error(err, ORCD_E_INVALID, "option %.40s has no value", key);
    for (uint32_t i = 0; i < cuda_option_count; i++) {
        const struct orcd_option *row = &cuda_option_table[i];
        if (strcmp(key, row->name) == 0)
            return row->type == ORCD_OPT_INT ? set_u32(field[i], row, value, err)
                                             : set_bool(field[i], row, value, err);
    }
    return plugin_error(err, ORCD_E_NOT_FOUND, "no option \"%.40s\"", key);
}

void cuda_options_init(struct cuda_options *o)
{
    *o = (struct cuda_options){0};
    for (uint32_t i = 0; i < cuda_option_count; i++)
        cuda_option_set(o, cuda_option_table[i].name, cuda_option_table[i].fallback, NULL);
}
