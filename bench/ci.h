/*
 * `orcd bench --ci`: the micro cases' instructions, counted by valgrind, as ratios to a
 * calibration loop, against a committed baseline. Time plays no part, so a busy or slow
 * machine gives the same answer as a fast one.
 */
#ifndef ORCD_BENCH_CI_H
#define ORCD_BENCH_CI_H

#include <stdbool.h>
#include <stdio.h>

/* A case fails when its ratio is more than this above the baseline's. */
#define BENCH_CI_LIMIT 0.05
/* The exit status when there is nothing to compare: see bench_ci(). */
#define BENCH_CI_SKIPPED 77

struct bench_ci {
    const char *baseline;    /* a file that bench_ci() wrote; NULL: none */
    bool save;               /* put what was counted into it instead of comparing */
    const char *model;       /* a GGUF file for the cases that read one; NULL: they fail */
    const char *const *only; /* names of cases; n_only 0: all */
    int n_only;
};

/*
 * Prints a table and what has become slower. Returns 0; 1: a case has become slower,
 * failed or is not in the baseline; 77: nothing was compared, because valgrind is not
 * here, or because the baseline has no counts for this architecture, compiler, flags
 * and libraries; an exit status of sysexits.h after saying why.
 */
int bench_ci(const struct bench_ci *o, FILE *out);

/* What bench_ci() runs under valgrind: this program with `bench` and these. */
#define BENCH_CI_CASE_OPTION "ci-case"
#define BENCH_CI_RUNS_OPTION "ci-runs"
int bench_ci_case(const char *name, const char *runs, const char *model);

#endif
