#include "metrics.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "http/codes.h"
#include "metrics/process.h"

static const struct metrics_buckets BUCKETS_TINY_US = {
    12, {0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 50, 100, 1000}};
static const struct metrics_buckets BUCKETS_US = {
    15, {5, 10, 20, 40, 60, 100, 150, 250, 500, 1000, 2500, 5000, 10000, 50000, 250000}};
static const struct metrics_buckets BUCKETS_MS = {
    16, {0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 25, 50, 100, 200, 500, 2500}};
static const struct metrics_buckets BUCKETS_S = {
    16, {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}};
static const struct metrics_buckets BUCKETS_SHORT_S = {
    15, {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5}};
static const struct metrics_buckets BUCKETS_ROWS = {11, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}};

/* Label values, each in the order of its enum. */
static const char *const outcomes[OUTCOME_COUNT] = {
    "stop", "length", "deadline_partial", "deadline", "cancelled", "disconnected", "error", "rejected"};
/* Indexed by enum api_code; API_OK is not a rejection. */
static const char *const codes[API_CODE_COUNT] = {NULL,
#define CODE_NAME(code, status, retriable) #code,
    API_CODE_MAP(CODE_NAME)
#undef CODE_NAME
};
static const char *const wasted[WASTED_COUNT] = {
    "cancelled", "disconnected", "deadline", "error", "stop_sequence"};
static const char *const whens[WHEN_COUNT] = {"arrival", "queue", "predicted"};
static const char *const probes[PROBE_COUNT] = {"in_time", "late"};
_Static_assert(API_CODE_COUNT <= METRICS_MAX_LABELS, "a counter holds one value per error code");

#define LABEL(name, list) .label = (name), .values = (list), .n_values = ARRAY_LEN(list)
#define NO_LABEL .label = NULL
struct metrics_counter metric_counters[MC_COUNT] = {
#define COUNTER(id, series, labels, text) {.name = (series), .help = (text), labels},
    METRIC_COUNTERS(COUNTER)
#undef COUNTER
};
struct metrics_gauge metric_gauges[MG_COUNT] = {
#define GAUGE(id, series, text) {.name = (series), .help = (text)},
    METRIC_GAUGES(GAUGE)
#undef GAUGE
};
struct metrics_histogram metric_histograms[MH_COUNT] = {
#define HISTOGRAM(id, series, bounds, text) {.name = (series), .help = (text), .buckets = &(bounds)},
    METRIC_HISTOGRAMS(HISTOGRAM)
#undef HISTOGRAM
};
struct metrics metric_table = {
    .counters = metric_counters,
    .gauges = metric_gauges,
    .histograms = metric_histograms,
    .n_counters = MC_COUNT,
    .n_gauges = MG_COUNT,
    .n_histograms = MH_COUNT,
    .info_name = "orcd_build_info",
    .info_help = "Versions of this worker",
};

uint64_t metric_value(enum metric_counter id, unsigned label_value)
{
    return atomic_load_explicit(&metric_counters[id].n[label_value], memory_order_relaxed);
}

void metric_build_info(const char *version, unsigned abi, const char *plugin)
{
    char major[16];
    snprintf(major, sizeof(major), "%u", abi);
    const char *const labels[][2] = {{"version", version}, {"abi", major}, {"plugin", plugin}};
    metrics_set_info(&metric_table, labels, ARRAY_LEN(labels));
}

void metric_process(void)
{
    struct process_usage u;
    process_usage(&u);
    metric_set(MG_PROCESS_CPU, u.cpu_seconds);
    metric_set(MG_PROCESS_START, u.start_seconds);
    metric_set(MG_PROCESS_RESIDENT, u.resident_bytes);
    metric_set(MG_PROCESS_VIRTUAL, u.virtual_bytes);
    metric_set(MG_PROCESS_FDS, u.open_fds);
    metric_set(MG_PROCESS_MAX_FDS, u.max_fds);
}

char *metric_render(size_t *n)
{
    atomic_store(&metric_counters[MC_LOG_LINES_DROPPED].n[0], log_lines_dropped());
    metric_set(MG_UPTIME, (double)clock_process_ns() / (double)NS_PER_S);
    return metrics_render(&metric_table, n);
}
