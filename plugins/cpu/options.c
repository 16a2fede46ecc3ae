#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/common/util.h"
#include "plugins/cpu/options.h"

#define THREADS_MAX 1024
#define SUB_BATCH_MIN 8
#define SUB_BATCH_MAX 4096
#define SUB_BATCH_DEFAULT "128"

const struct orcd_option cpu_option_table[] = {
    {.size = sizeof(struct orcd_option),
        .type = ORCD_OPT_INT,
        .name = "threads",
        .fallback = "0",
        .min = 0,
        .max = THREADS_MAX,
        .unit = "threads",
        .help = "compute threads; 0: the processors that affinity and control groups grant"},
    {.size = sizeof(struct orcd_option),
        .type = ORCD_OPT_STRING,
        .name = "isa",
        .fallback = "auto",
        .unit = "",
        .help = "kernel set: auto, plain, avx2 or avx512; all give the same bits"},
    {.size = sizeof(struct orcd_option),
        .type = ORCD_OPT_BOOL,
        .name = "pin",
        .fallback = "false",
        .unit = "",
        .help = "keep each compute thread on one processor"},
    {.size = sizeof(struct orcd_option),
        .type = ORCD_OPT_INT,
        .name = "sub_batch",
        .fallback = SUB_BATCH_DEFAULT,
        .min = SUB_BATCH_MIN,
        .max = SUB_BATCH_MAX,
        .unit = "tokens",
        .help = "tokens computed at a time within a step; an abort loses at most these"},
};
const uint32_t cpu_option_count = sizeof(cpu_option_table) / sizeof(cpu_option_table[0]);

static int option_u32(
    uint32_t *out, const char *key, const char *value, uint32_t min, uint32_t max, struct orcd_error *err)
{
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (errno || end == value || *end || n < (long long)min || n > (long long)max)
        return plugin_error(err, ORCD_E_INVALID, "%s: \"%.40s\" is not an integer from %u to %u", key, value,
            (unsigned)min, (unsigned)max);
    *out = (uint32_t)n;
    return 0;
}

int cpu_option_set(struct cpu_options *o, const char *key, const char *value, struct orcd_error *err)
{
    if (!value)
        return plugin_error(err, ORCD_E_INVALID, "option %.40s has no value", key);
    if (strcmp(key, "threads") == 0)
        return option_u32(&o->threads, key, value, 0, THREADS_MAX, err);
    if (strcmp(key, "sub_batch") == 0)
        return option_u32(&o->sub_batch, key, value, SUB_BATCH_MIN, SUB_BATCH_MAX, err);
    if (strcmp(key, "pin") == 0) {
        bool on = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
        if (!on && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
            return plugin_error(err, ORCD_E_INVALID, "pin: \"%.40s\" is not true or false", value);
        o->pin = on;
        return 0;
    }
    if (strcmp(key, "isa") == 0) {
        if (strlen(value) >= sizeof(o->isa))
            return plugin_error(
                err, ORCD_E_INVALID, "isa: \"%.40s\" is not auto, plain, avx2 or avx512", value);
        strcpy(o->isa, value);
        return 0;
    }
    return plugin_error(err, ORCD_E_NOT_FOUND, "no option \"%.40s\"", key);
}

void cpu_options_init(struct cpu_options *o)
{
    *o = (struct cpu_options){0};
    for (uint32_t i = 0; i < cpu_option_count; i++)
        cpu_option_set(o, cpu_option_table[i].name, cpu_option_table[i].fallback, NULL);
}
