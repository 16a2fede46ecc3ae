/*
 * Escaped text and plots in SVG for the report. All functions write to a FILE; the caller checks
 * ferror() at the end. One thread.
 */
#ifndef ORCD_BENCH_SVG_H
#define ORCD_BENCH_SVG_H

#include <stdio.h>

#include "lib/stats.h"

/* Prints any text as HTML: escapes markup, replaces control characters and bytes that are not UTF-8. */
void html_text(FILE *out, const char *s);

struct axis {
    double min, max; /* min < max; both > 0 on a logarithmic axis */
    double from, to; /* their positions in the drawing */
    bool log;
};
/* Sets up an axis for a range, which may be a single point. Moves min and max outwards a little. */
void axis_init(struct axis *a, double min, double max, bool log, double from, double to);
double axis_at(const struct axis *a, double v);
/* The values that get a line and a number; at most size. Returns how many. */
size_t axis_ticks(const struct axis *a, double *ticks, size_t size);

/* One distribution among several in one drawing. */
struct svg_series {
    const char *label;
    const char *css; /* "s0" ... "s5", "echo", "base" */
    const double *x;
    size_t n;
};
struct svg_limit {
    const char *label;
    double at;
    bool failed;
};
void svg_distribution(FILE *out, const struct svg_series *series, size_t n_series,
    const struct svg_limit *limits, size_t n_limits, const char *unit);
void svg_in_time(FILE *out, const struct svg_series *s, const char *unit); /* samples one after another */
void svg_plot(FILE *out, const struct bench_plot *p);

struct svg_headroom {
    const char *group, *label, *figures; /* the case; "measure, p99"; "132, bar 250 us" */
    double share;                        /* of the limit that is used: 1 is the bar */
    enum bench_verdict verdict;
};
void svg_headroom(FILE *out, const struct svg_headroom *rows, size_t n);

/* The CSS class of the i-th series of a plot. */
const char *svg_css(size_t i);

#endif
