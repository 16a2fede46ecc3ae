/*
 * Prometheus metrics over a table that the program supplies: this module counts and prints,
 * the table says which metrics there are (core/metrics.h has the worker's).
 *
 * A table is static storage, ready from the start: there is nothing to open or close. Any
 * thread may count at any time; counting takes no lock, so a scrape is not a snapshot of one
 * instant. The exception is metrics_set_info(): one thread calls it, once.
 */
#ifndef ORCD_METRICS_METRICS_H
#define ORCD_METRICS_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_MAX_BUCKETS 20
#define METRICS_MAX_LABELS 32

/* Upper bounds, ascending; +Inf is implied. */
struct metrics_buckets {
    unsigned n;
    double le[METRICS_MAX_BUCKETS];
};

/* A name may be a series of a family, "name{kind=\"kv\"}"; the rows of a family must follow
 * each other. A counter has one number for each value of its label. */
struct metrics_counter {
    const char *name, *help;
    const char *label;         /* NULL: one value without a label */
    const char *const *values; /* of the label; NULL entries are not shown */
    unsigned n_values;         /* at most METRICS_MAX_LABELS; 0 without a label */
    atomic_uint_fast64_t n[METRICS_MAX_LABELS];
};
struct metrics_gauge {
    const char *name, *help;
    _Atomic double value;
};
struct metrics_histogram {
    const char *name, *help;
    const struct metrics_buckets *buckets;
    atomic_uint_fast64_t n[METRICS_MAX_BUCKETS + 1]; /* per bucket, not cumulative */
    _Atomic double sum;
};

struct metrics {
    struct metrics_counter *counters;
    struct metrics_gauge *gauges;
    struct metrics_histogram *histograms;
    unsigned n_counters, n_gauges, n_histograms;
    /* A gauge of value 1 whose labels are facts, such as versions; shown once they are set. */
    const char *info_name, *info_help;
    atomic_bool has_info;
    char info[256];
};

/* label: index into values; one that is out of range is ignored. */
static inline void metrics_count(struct metrics_counter *c, unsigned label, uint64_t n)
{
    if (label < METRICS_MAX_LABELS)
        atomic_fetch_add_explicit(&c->n[label], n, memory_order_relaxed);
}

static inline void metrics_gauge_set(struct metrics_gauge *g, double value)
{
    atomic_store_explicit(&g->value, value, memory_order_relaxed);
}

/* A value that is not finite is ignored. */
void metrics_observe(struct metrics_histogram *h, double value);

/* Labels of the information gauge: n pairs of a name and a value, copied; values are
 * escaped. Later calls have no effect. */
void metrics_set_info(struct metrics *m, const char *const (*labels)[2], unsigned n);

/* The whole exposition (text format 0.0.4), malloc'ed; NULL: out of memory. */
char *metrics_render(struct metrics *m, size_t *n);

/* Each family once, in the order of the exposition; type: "counter", "gauge", "histogram". */
typedef void (*metrics_emit)(const char *name, const char *type, const char *help, void *arg);
void metrics_list(const struct metrics *m, metrics_emit emit, void *arg);

#endif
