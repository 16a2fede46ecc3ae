/*
 * What a benchmark gives back: measures (samples of one quantity), bars they are held
 * to, and plots. Memory belongs to the result.
 */
#ifndef ORCD_BENCH_RESULT_H
#define ORCD_BENCH_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_case;

enum bench_statistic { BENCH_MEDIAN, BENCH_P95, BENCH_P99, BENCH_P999, BENCH_MAX, BENCH_MEAN, BENCH_MIN };

struct bench_bar {
    enum bench_statistic of;
    double limit;      /* at most (at least, where higher is better) */
    const char *where; /* "specification" or "bar" */
};

struct bench_measure {
    char id[48];      /* "ready_to_recv": stable, for comparisons */
    char variant[64]; /* "300 streams, spread"; "" */
    char target[32];  /* "orcd-mock", "llama.cpp" */
    const char *unit; /* "us", "ms", "1" (a share), "tok/s" ... */
    bool higher_is_better;
    double *x; /* samples in order of time */
    size_t n, cap;
    size_t round_at[32]; /* the first sample of each round; none: all are of one */
    unsigned n_rounds;
    struct bench_bar bars[4];
    unsigned n_bars;
    /* The same pattern of events from a plain epoll server in the same run: a latency
     * bar also holds at 1.5 x its figure. NULL: none. */
    const struct bench_measure *echo;
    struct bench_measure *next;
};

enum bench_plot_kind { BENCH_LINES, BENCH_POINTS, BENCH_TIMELINE /* y is a lane, series are spans x0..x1 */ };

struct bench_series {
    char name[64];
    double *x, *y; /* TIMELINE: from and to */
    size_t n, cap;
    struct bench_series *next;
};

struct bench_plot {
    char title[96], x_label[48], y_label[48];
    enum bench_plot_kind kind;
    struct bench_series *series;
    struct bench_plot *next;
};

struct bench_result {
    const struct bench_case *bench;
    struct bench_measure *measures; /* in order of creation */
    struct bench_plot *plots;
    char skipped[160]; /* why it did not run for this target; "" */
    char failed[200];  /* what went wrong; "" */
    double seconds;    /* that it took */
    char target[32];   /* that it ran with; "" for a case that needs no server */
    struct bench_result *next;
};

/* All of these exit with EX_OSERR when there is no memory: a benchmark has no use for less. */
struct bench_measure *bench_measure_new(
    struct bench_result *r, const char *target, const char *id, const char *variant, const char *unit);
void bench_add(struct bench_measure *m, double x);
/* What follows is another round of the same. Bars are then held to the middle round's
 * figure (bench_bar_value). The 33rd and later belong to the 32nd. */
void bench_round(struct bench_measure *m);
void bench_bar(struct bench_measure *m, enum bench_statistic of, double limit, const char *where);
struct bench_plot *bench_plot_new(struct bench_result *r, enum bench_plot_kind kind, const char *title,
    const char *x_label, const char *y_label);
struct bench_series *bench_series_new(struct bench_plot *p, const char *name);
void bench_point(struct bench_series *s, double x, double y);
void bench_result_free(struct bench_result *r); /* with all that follow; takes NULL */

#endif
