#include <stdlib.h>
#include <string.h>

#include "mock.h"

#define ROW(n, t, f, lo, hi, u, h)                                                                           \
    {                                                                                                        \
        .size = sizeof(struct orcd_option), .type = t, .name = n, .fallback = f, .min = lo, .max = hi,       \
        .unit = u, .help = h                                                                                 \
    }

struct mock_options mock_options;

const struct orcd_option mock_option_table[] = {
    ROW("token_ms", ORCD_OPT_FLOAT, "0", 0, 60000, "ms", "what a step with decode rows takes"),
    ROW("prefill_us_per_token", ORCD_OPT_FLOAT, "0", 0, 1e7, "us",
        "what each token of a row of several tokens takes, on top"),
    ROW("slice_tokens", ORCD_OPT_INT, "1", 1, 65536, "tokens",
        "the tokens of longer rows are computed in slices of this many; the host learns of it"),
    ROW("slice_ms", ORCD_OPT_FLOAT, "0", 0, 60000, "ms",
        "what each slice takes, on top, however few tokens are in it"),
    ROW("jitter_ms", ORCD_OPT_FLOAT, "0", 0, 60000, "ms",
        "up to this is added to token_ms, by seed and step"),
    ROW("seed", ORCD_OPT_INT, "1", 0, 9e15, "", "another seed, another text"),
    ROW("text", ORCD_OPT_STRING, "", 0, 0, "", "every sequence says this, then ends; empty: words by seed"),
    ROW("length", ORCD_OPT_INT, "0", 0, 1e9, "tokens", "a sequence ends after so many tokens; 0: never"),
    ROW("max_inflight", ORCD_OPT_INT, "2", 1, 2, "steps", "steps that may be in flight"),
    ROW("sampling", ORCD_OPT_BOOL, "true", 0, 0, "", "samples itself when asked to"),
    ROW("context", ORCD_OPT_INT, "32768", 16, 1048576, "tokens", "longest sequence"),
    ROW("memory_mb", ORCD_OPT_INT, "1024", 16, 1048576, "MiB",
        "the device's memory; a quarter of it is weights"),
    ROW("look_ms", ORCD_OPT_FLOAT, "0", 0, 60000, "ms",
        "how often a step looks for aborts, from its beginning; 0: an abort is seen at once"),
    ROW("load_ms", ORCD_OPT_FLOAT, "0", 0, 600000, "ms", "what loading takes"),
    ROW("hang_ms", ORCD_OPT_FLOAT, "0", 0, 600000, "ms", "how long a hang lasts; 0: for ever"),
    ROW("fault", ORCD_OPT_STRING, "", 0, 0, "", "POINT.EFFECT[@N][!] ...: what goes wrong, and when"),
};
const uint32_t mock_n_options = sizeof(mock_option_table) / sizeof(mock_option_table[0]);

static uint64_t ns(const char *value, double unit)
{
    return (uint64_t)(strtod(value, NULL) * unit);
}

/* The host has checked type and range. */
int32_t mock_configure(const char *key, const char *value, struct orcd_error *err)
{
    struct mock_options *o = &mock_options;
    if (!key)
        return 0;
    if (strcmp(key, "token_ms") == 0)
        o->token_ns = ns(value, 1e6);
    else if (strcmp(key, "prefill_us_per_token") == 0)
        o->prefill_ns_per_token = ns(value, 1e3);
    else if (strcmp(key, "slice_tokens") == 0)
        o->slice_tokens = (uint32_t)strtoull(value, NULL, 10);
    else if (strcmp(key, "slice_ms") == 0)
        o->slice_ns = ns(value, 1e6);
    else if (strcmp(key, "jitter_ms") == 0)
        o->jitter_ns = ns(value, 1e6);
    else if (strcmp(key, "look_ms") == 0)
        o->look_ns = ns(value, 1e6);
    else if (strcmp(key, "load_ms") == 0)
        o->load_ns = ns(value, 1e6);
    else if (strcmp(key, "hang_ms") == 0)
        o->hang_ns = ns(value, 1e6);
    else if (strcmp(key, "seed") == 0)
        o->seed = strtoull(value, NULL, 10);
    else if (strcmp(key, "memory_mb") == 0)
        o->memory_bytes = strtoull(value, NULL, 10) << 20;
    else if (strcmp(key, "length") == 0)
        o->length = (uint32_t)strtoull(value, NULL, 10);
    else if (strcmp(key, "context") == 0)
        o->context = (uint32_t)strtoull(value, NULL, 10);
    else if (strcmp(key, "max_inflight") == 0)
        o->max_inflight = (uint32_t)strtoull(value, NULL, 10);
    else if (strcmp(key, "sampling") == 0)
        o->sampling = strcmp(value, "true") == 0;
    else if (strcmp(key, "fault") == 0)
        return mock_faults_parse(value, err);
    else if (strcmp(key, "text") == 0 && strlen(value) < sizeof(o->text))
        strcpy(o->text, value);
    else if (strcmp(key, "text") == 0)
        return error_set(err, ORCD_E_INVALID, "text: at most %zu bytes", sizeof(o->text) - 1);
    else
        return error_set(err, ORCD_E_INVALID, "unknown option %s", key);
    return 0;
}

void mock_options_reset(void)
{
    struct orcd_error ignored = ORCD_ERROR_INIT;
    for (uint32_t i = 0; i < mock_n_options; i++)
        mock_configure(mock_option_table[i].name, mock_option_table[i].fallback, &ignored);
}
