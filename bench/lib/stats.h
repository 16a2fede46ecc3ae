/* Statistics like those of Criterion. Pure functions that do not change their inputs. Any thread. */
#ifndef ORCD_BENCH_STATS_H
#define ORCD_BENCH_STATS_H

#include "lib/result.h"

struct bench_summary {
    size_t n;
    double min, max, mean, median, mad; /* mad: median absolute deviation x 1.4826 */
    double p95, p99, p999;              /* nearest rank */
    size_t mild, severe;                /* outliers by Tukey's fences, 1.5 and 3 x the quartile range */
    double low, high;                   /* 95 % confidence interval of the median, bootstrap */
};
void bench_summarize(const double *x, size_t n, struct bench_summary *out);
double bench_quantile(const double *sorted, size_t n, double q); /* nearest rank; n > 0 */
double bench_statistic(const struct bench_summary *s, enum bench_statistic of);

/* Relative change of the median from `before` to `after` with its 95 % confidence
 * interval (bootstrap of both, fixed seed). */
struct bench_change {
    double change, low, high; /* 0.05: 5 % more */
    bool significant;         /* the interval does not contain 0, and |change| > noise */
};
void bench_compare(const double *before, size_t n_before, const double *after, size_t n_after, double noise,
    struct bench_change *out);

/* The value that a bar applies to: the statistic of all samples or, from BENCH_ROUNDS rounds on, the
 * median of the statistics of the rounds. So a disturbance in a few rounds does not decide, and what
 * happens in most of them does. */
#define BENCH_ROUNDS 3
double bench_bar_value(const struct bench_measure *m, enum bench_statistic of);

/* Whether a bar holds: by itself, or, if less is better, by 1.5 times the figure of the echo server. It
 * fails if there is no sample, or if one is not finite. */
#define BENCH_ECHO_FACTOR 1.5
enum bench_verdict { BENCH_HOLDS, BENCH_HOLDS_BY_ECHO, BENCH_FAILS };
enum bench_verdict bench_bar_verdict(const struct bench_measure *m, const struct bench_bar *bar);

#endif
