/* A whole run, and the forms in which it is shown and kept. */
#ifndef ORCD_BENCH_REPORT_H
#define ORCD_BENCH_REPORT_H

#include <stdio.h>

#include "lib/baseline.h"
#include "lib/bench.h"
#include "lib/stats.h"

#define BENCH_SCHEMA "orcd-bench"
#define BENCH_SCHEMA_VERSION 1
#define BENCH_SAMPLES_KEPT 2000 /* of a measure, in the JSON */

struct bench_report {
    struct bench_result *results; /* by case, and then by target in the order of the command line */
    char cpu[128], kernel[160], date[40], version[32];
    unsigned cores;
    const char *mode;                /* "quick", "full", "ci" */
    char *command;                   /* malloc'ed */
    double noise;                    /* a change below this share says nothing */
    struct bench_baseline *baseline; /* owned; NULL: none */
};

/* Machine, date, version. */
void bench_report_begin(struct bench_report *p, const char *mode, int n_words, const char *const *words);
void bench_report_release(struct bench_report *p);

/* The change of a measure since the baseline. False: there is none. */
bool bench_report_change(const struct bench_report *p, const char *case_name, const struct bench_measure *m,
    struct bench_change *out);

struct bench_totals {
    unsigned cases, bars, held, by_echo, failed_bars, failed_cases, skipped;
};
void bench_report_totals(const struct bench_report *p, struct bench_totals *out);

/* "median <= 60 us"; with the name of the statistic and the measure's unit. */
void bench_bar_text(const struct bench_measure *m, const struct bench_bar *bar, char *buf, size_t size);
const char *bench_statistic_name(enum bench_statistic of);
/* Three significant digits, no exponent where a person would not write one. */
void bench_number_text(double v, char *buf, size_t size);

/* At most max samples of x, malloc'ed: all in their order, or evenly spaced ranks of the
 * sorted ones, the smallest and the largest among them. max > 1. */
double *bench_thin(const double *x, size_t n, size_t max, size_t *n_out);

void bench_report_json(const struct bench_report *p, FILE *out);
extern const char bench_report_style[]; /* CSS */
void bench_report_html(const struct bench_report *p, FILE *out);

/* The rows of one case, all targets. r: the first result of that case. */
void bench_table(const struct bench_report *p, const struct bench_result *r, FILE *out);
/* The next result that belongs to another case. */
const struct bench_result *bench_next_case(const struct bench_result *r);

#endif
