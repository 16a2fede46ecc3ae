/*
 * Prometheus metrics of one process. Counters and histograms are atomics: updating
 * and scraping take no lock. One list for code, documentation and tests.
 */
#ifndef ORCD_OBSERVE_METRICS_H
#define ORCD_OBSERVE_METRICS_H

#include <stddef.h>
#include <stdint.h>

/* COUNTER(id, name, label or NULL, help), one value per label value (below);
 * GAUGE(id, name, help); HISTOGRAM(id, name, buckets, help). */
#include "observe/metrics-table.h"

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

void metric_add(enum metric_counter id, uint64_t n);
/* label_value: index into the counter's label values (metrics-table.h). */
void metric_add_labelled(enum metric_counter id, unsigned label_value, uint64_t n);
void metric_set(enum metric_gauge id, double value);
void metric_observe(enum metric_histogram id, double value);
uint64_t metric_value(enum metric_counter id, unsigned label_value);

/* Seconds since the process started. */
double metrics_uptime_s(void);

/* Information labels of orcd_build_info; copied. The first call counts. */
void metric_build_info(const char *version, unsigned abi, const char *plugin);

/* The whole exposition as malloc'ed text; NULL: out of memory. */
char *metrics_render(size_t *n);
/* Names of all metrics, one per line; for `orcd metrics --list` and the docs test. */
void metrics_list(void (*emit)(const char *name, const char *type, const char *help, void *arg), void *arg);

#endif
