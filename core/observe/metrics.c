#include "observe/metrics.h"

#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/util.h"
#include "http/codes.h"

/* --- buckets: ascending upper bounds, +Inf is implied ------------------------ */

#define MAX_BUCKETS 20
struct buckets {
    unsigned n;
    double le[MAX_BUCKETS];
};
static const struct buckets BUCKETS_TINY_US = {12, {0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 50, 100, 1000}};
static const struct buckets BUCKETS_US = {
    15, {5, 10, 20, 40, 60, 100, 150, 250, 500, 1000, 2500, 5000, 10000, 50000, 250000}};
static const struct buckets BUCKETS_MS = {
    16, {0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 25, 50, 100, 200, 500, 2500}};
static const struct buckets BUCKETS_S = {
    16, {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}};
static const struct buckets BUCKETS_SHORT_S = {
    15, {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5}};
static const struct buckets BUCKETS_ROWS = {11, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}};

/* --- the table --------------------------------------------------------------- */

static const char *const outcome_names[OUTCOME_COUNT] = {
    "stop", "length", "deadline_partial", "deadline", "cancelled", "disconnected", "error", "rejected"};
static const char *const wasted_names[WASTED_COUNT] = {
    "cancelled", "disconnected", "deadline", "error", "stop_sequence"};
static const char *const probe_names[PROBE_COUNT] = {"in_time", "late"};
static const char *const when_names[WHEN_COUNT] = {"arrival", "queue", "predicted"};
/* Indexed by enum api_code; API_OK is no rejection. */
static const char *const code_names[API_CODE_COUNT] = {NULL,
#define CODE_NAME(code, status, retriable) #code,
    API_CODE_MAP(CODE_NAME)
#undef CODE_NAME
};

#define MAX_LABELS 32
_Static_assert(API_CODE_COUNT <= MAX_LABELS, "a counter holds one value per error code");

static const struct counter_info {
    const char *name, *label, *help;
} counters[MC_COUNT] = {
#define COUNTER(id, name, label, help) {name, label, help},
    METRIC_COUNTERS(COUNTER)
#undef COUNTER
};
static const struct gauge_info {
    const char *name, *help;
} gauges[MG_COUNT] = {
#define GAUGE(id, name, help) {name, help},
    METRIC_GAUGES(GAUGE)
#undef GAUGE
};
static const struct histogram_info {
    const char *name;
    const struct buckets *buckets;
    const char *help;
} histograms[MH_COUNT] = {
#define HISTOGRAM(id, name, buckets, help) {name, &buckets, help},
    METRIC_HISTOGRAMS(HISTOGRAM)
#undef HISTOGRAM
};

/* --- values: relaxed atomics; a scrape is no snapshot of one instant ----------- */

static atomic_uint_fast64_t counter_values[MC_COUNT][MAX_LABELS];
static _Atomic double gauge_values[MG_COUNT];
static struct {
    atomic_uint_fast64_t n[MAX_BUCKETS + 1]; /* per bucket, not cumulative */
    _Atomic double sum;
} histogram_values[MH_COUNT];
static char build_info[256]; /* written once, by the loader, then published */
static atomic_bool has_build_info;
static uint64_t process_start_ns;

__attribute__((constructor)) static void process_started(void)
{
    process_start_ns = clock_mono_ns();
}

double metrics_uptime_s(void)
{
    return (double)(clock_mono_ns() - process_start_ns) / (double)NS_PER_S;
}

static const char *const *label_values(enum metric_counter id, unsigned *n)
{
    switch (id) {
    case MC_REQUESTS:
        *n = OUTCOME_COUNT;
        return outcome_names;
    case MC_REJECTIONS:
        *n = API_CODE_COUNT;
        return code_names;
    case MC_WASTED_TOKENS:
        *n = WASTED_COUNT;
        return wasted_names;
    case MC_DEADLINE_REJECTIONS:
        *n = WHEN_COUNT;
        return when_names;
    case MC_PREDICTION_PROBES:
        *n = PROBE_COUNT;
        return probe_names;
    default:
        *n = 1;
        return NULL;
    }
}

void metric_add_labelled(enum metric_counter id, unsigned label_value, uint64_t n)
{
    if ((unsigned)id < MC_COUNT && label_value < MAX_LABELS)
        atomic_fetch_add_explicit(&counter_values[id][label_value], n, memory_order_relaxed);
}

void metric_add(enum metric_counter id, uint64_t n)
{
    metric_add_labelled(id, 0, n);
}

uint64_t metric_value(enum metric_counter id, unsigned label_value)
{
    if ((unsigned)id >= MC_COUNT || label_value >= MAX_LABELS)
        return 0;
    return atomic_load_explicit(&counter_values[id][label_value], memory_order_relaxed);
}

void metric_set(enum metric_gauge id, double value)
{
    if ((unsigned)id < MG_COUNT)
        atomic_store_explicit(&gauge_values[id], value, memory_order_relaxed);
}

void metric_observe(enum metric_histogram id, double value)
{
    if ((unsigned)id >= MH_COUNT || !isfinite(value))
        return;
    const struct buckets *b = histograms[id].buckets;
    unsigned i = 0;
    while (i < b->n && value > b->le[i])
        i++;
    atomic_fetch_add_explicit(&histogram_values[id].n[i], 1, memory_order_relaxed);
    double old = atomic_load_explicit(&histogram_values[id].sum, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        &histogram_values[id].sum, &old, old + value, memory_order_relaxed, memory_order_relaxed)) {}
}

/* Label values: backslash, quote and newline are escaped, other control bytes dropped. */
static void label_copy(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n + 3 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\\' || c == '"')
            out[n++] = '\\';
        if (c >= 0x20 && c != 0x7f)
            out[n++] = (char)c;
    }
    out[n] = 0;
}

void metric_build_info(const char *version, unsigned abi, const char *plugin)
{
    char v[64], p[64];
    if (atomic_load(&has_build_info))
        return;
    label_copy(v, sizeof(v), version);
    label_copy(p, sizeof(p), plugin);
    snprintf(build_info, sizeof(build_info), "orcd_build_info{version=\"%s\",abi=\"%u\",plugin=\"%s\"} 1\n",
        v, abi, p);
    atomic_store(&has_build_info, true);
}

/* --- exposition ---------------------------------------------------------------- */

struct text {
    char *s;
    size_t n, cap;
    bool failed;
};

static void text_add(struct text *t, const char *fmt, ...) ORCD_PRINTF(2, 3);
static void text_add(struct text *t, const char *fmt, ...)
{
    for (;;) {
        va_list args;
        va_start(args, fmt);
        int n = t->failed ? 0 : vsnprintf(t->s + t->n, t->cap - t->n, fmt, args);
        va_end(args);
        if (t->failed || n < 0)
            return;
        if ((size_t)n < t->cap - t->n) {
            t->n += (size_t)n;
            return;
        }
        char *bigger = realloc(t->s, t->cap * 2 + (size_t)n);
        if (!bigger) {
            t->failed = true;
            return;
        }
        t->s = bigger;
        t->cap = t->cap * 2 + (size_t)n;
    }
}

/* "name{labels}" is one series of the family "name"; a family's header comes once,
 * before its first series (the table keeps a family's rows together). */
static size_t family_length(const char *name)
{
    return strcspn(name, "{");
}

static bool family_begins(const char *name, const char *before)
{
    size_t n = family_length(name);
    return !before || family_length(before) != n || strncmp(name, before, n) != 0;
}

static void text_header(struct text *t, const char *name, const char *type, const char *help)
{
    int n = (int)family_length(name);
    text_add(t, "# HELP %.*s %s\n# TYPE %.*s %s\n", n, name, help, n, name, type);
}

static void render_counters(struct text *t)
{
    for (unsigned id = 0; id < MC_COUNT; id++) {
        const struct counter_info *c = &counters[id];
        unsigned n;
        const char *const *values = label_values((enum metric_counter)id, &n);
        text_header(t, c->name, "counter", c->help);
        for (unsigned i = 0; i < n; i++) {
            unsigned long long v = metric_value((enum metric_counter)id, i);
            if (!values)
                text_add(t, "%s %llu\n", c->name, v);
            else if (values[i])
                text_add(t, "%s{%s=\"%s\"} %llu\n", c->name, c->label, values[i], v);
        }
    }
}

static void render_gauges(struct text *t)
{
    metric_set(MG_UPTIME, metrics_uptime_s());
    for (unsigned id = 0; id < MG_COUNT; id++) {
        if (family_begins(gauges[id].name, id ? gauges[id - 1].name : NULL))
            text_header(t, gauges[id].name, "gauge", gauges[id].help);
        text_add(
            t, "%s %.17g\n", gauges[id].name, atomic_load_explicit(&gauge_values[id], memory_order_relaxed));
    }
}

static void render_histogram(struct text *t, unsigned id)
{
    const struct histogram_info *h = &histograms[id];
    int base = (int)family_length(h->name);
    /* Labels of the name, without braces: "" or "phase=\"decode\"". */
    const char *labels = h->name[base] ? h->name + base + 1 : "";
    int n_labels = *labels ? (int)strlen(labels) - 1 : 0;
    const char *comma = n_labels ? "," : "";
    unsigned long long total = 0;
    for (unsigned i = 0; i <= h->buckets->n; i++) {
        total += atomic_load_explicit(&histogram_values[id].n[i], memory_order_relaxed);
        if (i < h->buckets->n)
            text_add(t, "%.*s_bucket{%.*s%sle=\"%g\"} %llu\n", base, h->name, n_labels, labels, comma,
                h->buckets->le[i], total);
        else
            text_add(
                t, "%.*s_bucket{%.*s%sle=\"+Inf\"} %llu\n", base, h->name, n_labels, labels, comma, total);
    }
    double sum = atomic_load_explicit(&histogram_values[id].sum, memory_order_relaxed);
    text_add(t, "%.*s_sum%s %.17g\n", base, h->name, h->name + base, sum);
    text_add(t, "%.*s_count%s %llu\n", base, h->name, h->name + base, total);
}

char *metrics_render(size_t *n)
{
    struct text t = {.s = malloc(32768), .cap = 32768};
    if (!t.s)
        return NULL;
    render_counters(&t);
    render_gauges(&t);
    for (unsigned id = 0; id < MH_COUNT; id++) {
        if (family_begins(histograms[id].name, id ? histograms[id - 1].name : NULL))
            text_header(&t, histograms[id].name, "histogram", histograms[id].help);
        render_histogram(&t, id);
    }
    if (atomic_load(&has_build_info)) {
        text_header(&t, "orcd_build_info", "gauge", "Versions of this worker");
        text_add(&t, "%s", build_info);
    }
    if (t.failed) {
        free(t.s);
        return NULL;
    }
    *n = t.n;
    return t.s;
}

static void list_family(const char *name, const char *before, const char *type, const char *help,
    void (*emit)(const char *name, const char *type, const char *help, void *arg), void *arg)
{
    char family[96];
    if (!family_begins(name, before))
        return;
    snprintf(family, sizeof(family), "%.*s", (int)family_length(name), name);
    emit(family, type, help, arg);
}

void metrics_list(void (*emit)(const char *name, const char *type, const char *help, void *arg), void *arg)
{
    for (unsigned i = 0; i < MC_COUNT; i++)
        list_family(counters[i].name, NULL, "counter", counters[i].help, emit, arg);
    for (unsigned i = 0; i < MG_COUNT; i++)
        list_family(gauges[i].name, i ? gauges[i - 1].name : NULL, "gauge", gauges[i].help, emit, arg);
    for (unsigned i = 0; i < MH_COUNT; i++)
        list_family(histograms[i].name, i ? histograms[i - 1].name : NULL, "histogram", histograms[i].help,
            emit, arg);
    emit("orcd_build_info", "gauge", "Versions of this worker", arg);
}
