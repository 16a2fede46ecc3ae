/*
 * The report of a whole run, and its forms: the table on standard output, JSON, HTML.
 *
 * 1. bench_report_begin.
 * 2. Append results; bench_table prints those of a case.
 * 3. bench_report_totals, bench_report_json, bench_report_html.
 * 4. bench_report_release, which frees the results and the baseline too.
 *
 * One thread.
 */
#ifndef ORCD_BENCH_REPORT_H
#define ORCD_BENCH_REPORT_H

#include <stdio.h>

#include "lib/baseline.h"
#include "lib/bench.h"
#include "lib/stats.h"

#define BENCH_SCHEMA "orcd-bench"
#define BENCH_SCHEMA_VERSION 1
#define BENCH_SAMPLES_KEPT 2000 /* per measure, in the JSON */

struct bench_report {
    struct bench_result *results; /* owned; sorted by case, then by target, as on the command line */
    char cpu[128], kernel[160], date[40], version[32];
    unsigned cores;
    const char *mode;                /* "quick", "full", "ci" */
    char *command;                   /* malloc'ed */
    double noise;                    /* a change below this share is not significant */
    struct bench_baseline *baseline; /* owned; NULL: none */
};

/* Fills in the machine, the date, the version and the command. */
void bench_report_begin(struct bench_report *p, const char *mode, int n_words, const char *const *words);
void bench_report_release(struct bench_report *p);

/* The change of a measure since the baseline. False: no baseline, or it does not have the measure. */
bool bench_report_change(const struct bench_report *p, const char *case_name, const struct bench_measure *m,
    struct bench_change *out);

struct bench_totals {
    unsigned cases, bars, held, by_echo, failed_bars, failed_cases, skipped;
};
void bench_report_totals(const struct bench_report *p, struct bench_totals *out);

/* Writes "median <= 60 us": the name of the statistic, the limit and the unit of the measure. */
void bench_bar_text(const struct bench_measure *m, const struct bench_bar *bar, char *buf, size_t size);
const char *bench_statistic_name(enum bench_statistic of);
/* Writes v with three significant digits, and no exponent unless v is very large or small. */
void bench_number_text(double v, char *buf, size_t size);

/* At most max samples of x, malloc'ed: all of them in their order, or evenly spaced ranks of the sorted
 * ones, with the smallest and the largest. max > 1. */
double *bench_thin(const double *x, size_t n, size_t max, size_t *n_out);

void bench_report_json(const struct bench_report *p, FILE *out);
extern const char bench_report_style[]; /* CSS */
void bench_report_html(const struct bench_report *p, FILE *out);

/* Prints the rows of one case, for all targets. r: the first result of the case. */
void bench_table(const struct bench_report *p, const struct bench_result *r, FILE *out);
/* The first result after r that belongs to another case; NULL: none. */
const struct bench_result *bench_next_case(const struct bench_result *r);

#endif
