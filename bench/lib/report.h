/* A whole run, and the forms in which it is shown and kept. */
#ifndef ORCD_BENCH_REPORT_H
#define ORCD_BENCH_REPORT_H

#include <stdio.h>

#include "lib/bench.h"
#include "lib/stats.h"

struct bench_report {
    struct bench_result *results; /* by case, and then by target in the order of the command line */
    char cpu[128], kernel[160], date[40], version[32];
    unsigned cores;
    const char *mode; /* "quick", "full", "ci" */
    char *command;    /* malloc'ed */
    double noise;     /* a change below this share says nothing */
};

/* Machine, date, version. */
void bench_report_begin(struct bench_report *p, const char *mode, int n_words, const char *const *words);
void bench_report_release(struct bench_report *p);

struct bench_totals {
    unsigned cases, bars, held, by_echo, failed_bars, failed_cases, skipped;
};
void bench_report_totals(const struct bench_report *p, struct bench_totals *out);

/* "median <= 60 us"; with the name of the statistic and the measure's unit. */
void bench_bar_text(const struct bench_measure *m, const struct bench_bar *bar, char *buf, size_t size);
const char *bench_statistic_name(enum bench_statistic of);
/* Three significant digits, no exponent where a person would not write one. */
void bench_number_text(double v, char *buf, size_t size);

/* The rows of one case, all targets. r: the first result of that case. */
void bench_table(const struct bench_result *r, FILE *out);
/* The next result that belongs to another case. */
const struct bench_result *bench_next_case(const struct bench_result *r);

#endif
