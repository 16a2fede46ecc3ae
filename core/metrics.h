/*
 * The worker's metrics: one list (metrics-table.h) for code, documentation and tests,
 * kept and printed by lib/metrics. Any thread may count at any time; nothing is locked.
 */
#ifndef ORCD_METRICS_H
#define ORCD_METRICS_H

#include "metrics/metrics.h"

/* COUNTER(id, name, label or NULL, help), one value per label value (below);
 * GAUGE(id, name, help); HISTOGRAM(id, name, buckets, help). */
#include "metrics-table.h"

enum metric_counter {
#define COUNTER(id, name, label, help) MC_##id,
    METRIC_COUNTERS(COUNTER)
#undef COUNTER
        MC_COUNT
};
enum metric_gauge {
#define GAUGE(id, name, help) MG_##id,
    METRIC_GAUGES(GAUGE)
#undef GAUGE
        MG_COUNT
};
enum metric_histogram {
#define HISTOGRAM(id, name, buckets, help) MH_##id,
    METRIC_HISTOGRAMS(HISTOGRAM)
#undef HISTOGRAM
        MH_COUNT
};

extern struct metrics metric_table;
extern struct metrics_counter metric_counters[];
extern struct metrics_gauge metric_gauges[];
extern struct metrics_histogram metric_histograms[];

/* label_value: index into the counter's label values (metrics-table.h). */
static inline void metric_add_labelled(enum metric_counter id, unsigned label_value, uint64_t n)
{
    metrics_count(&metric_counters[id], label_value, n);
}

static inline void metric_add(enum metric_counter id, uint64_t n)
{
    metrics_count(&metric_counters[id], 0, n);
}

static inline void metric_set(enum metric_gauge id, double value)
{
    metrics_gauge_set(&metric_gauges[id], value);
}

static inline void metric_observe(enum metric_histogram id, double value)
{
    metrics_observe(&metric_histograms[id], value);
}

uint64_t metric_value(enum metric_counter id, unsigned label_value);

/* Information labels of orcd_build_info; copied. Later calls have no effect. */
/* Reads what the process uses; before metric_render(). */
void metric_process(void);
void metric_build_info(const char *version, unsigned abi, const char *plugin);

/* The whole exposition as malloc'ed text; NULL: out of memory. */
char *metric_render(size_t *n);

#endif
