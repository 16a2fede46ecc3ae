/*
 * The result of a benchmark: measures (samples of one quantity), the bars (limits) that they must
 * meet, and plots.
 *
 * The case creates them with the functions below; they belong to the result, which
 * bench_result_free frees. One thread.
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
    double limit;      /* the value must be at most this; at least, if higher is better */
    const char *where; /* "specification" or "bar" */
};

struct bench_measure {
    char id[48];      /* "ready_to_recv": stable, because baselines compare by it */
    char variant[64]; /* "300 streams, spread"; "" */
    char target[32];  /* "orcd-mock", "llama.cpp" */
    const char *unit; /* "us", "ms", "1" (a share), "tok/s" ... */
    bool higher_is_better;
    double *x; /* samples, in order of time */
    size_t n, cap;
    size_t round_at[32]; /* the first sample of each round */
    unsigned n_rounds;   /* 0: all samples are of one round */
    struct bench_bar bars[4];
    unsigned n_bars;
    /* The same measure of the echo server (echo.h) in the same run: a latency bar also holds at 1.5
     * times its figure. NULL: none. */
    const struct bench_measure *echo;
    struct bench_measure *next;
};

enum bench_plot_kind {
    BENCH_LINES,
    BENCH_POINTS,
    BENCH_TIMELINE /* each series is a lane with spans from x to y */
};

struct bench_series {
    char name[64];
    double *x, *y; /* TIMELINE: beginning and end of a span */
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
    char skipped[160]; /* why the case did not run for this target; "": it ran */
    char failed[200];  /* the error of the case; "": none */
    double seconds;    /* the time that the case took */
    char target[32];   /* the name of the target; "": the case needs no server */
    struct bench_result *next;
};

/* If memory runs out, these functions end the process with EX_OSERR. */
struct bench_measure *bench_measure_new(
    struct bench_result *r, const char *target, const char *id, const char *variant, const char *unit);
void bench_add(struct bench_measure *m, double x);
/* The samples that follow belong to another round of the same measurement. Bars then apply to the
 * figure of the middle round (bench_bar_value). The 33rd round and later ones count as the 32nd. */
void bench_round(struct bench_measure *m);
void bench_bar(struct bench_measure *m, enum bench_statistic of, double limit, const char *where);
struct bench_plot *bench_plot_new(struct bench_result *r, enum bench_plot_kind kind, const char *title,
    const char *x_label, const char *y_label);
struct bench_series *bench_series_new(struct bench_plot *p, const char *name);
void bench_point(struct bench_series *s, double x, double y);
void bench_result_free(struct bench_result *r); /* with all results after it; accepts NULL */

#endif
