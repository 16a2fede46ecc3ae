/*
 * `orcd bench --ci`: compares the instruction counts of the micro cases with a committed baseline.
 * valgrind counts them; a count is a ratio to that of a calibration loop. Time plays no part, so the
 * answer is the same on a busy or slow machine. One thread.
 */
#ifndef ORCD_BENCH_CI_H
#define ORCD_BENCH_CI_H

#include <stdbool.h>
#include <stdio.h>

/* A case fails if its ratio is more than this share above the ratio in the baseline. */
#define BENCH_CI_LIMIT 0.05
/* The exit status if nothing was compared, see bench_ci(). */
#define BENCH_CI_SKIPPED 77

struct bench_ci {
    const char *baseline;    /* path of the baseline; NULL: none, which is an error */
    bool save;               /* write the counts to the baseline instead of comparing them */
    const char *model;       /* a GGUF file, for the cases that read one; NULL: these cases fail */
    const char *const *only; /* names of the cases to run; n_only 0: all */
    int n_only;
};

/*
 * Prints a table, and the cases that became slower. Returns 0; 1: a case became slower, failed or is
 * not in the baseline; 77: nothing was compared, because valgrind is not installed or because the
 * baseline has no counts for this architecture, compiler, flags and libraries; or an exit status of
 * sysexits.h after printing an error.
 */
int bench_ci(const struct bench_ci *o, FILE *out);

/* bench_ci() runs `orcd bench` with these options under valgrind; bench_ci_case() answers them. */
#define BENCH_CI_CASE_OPTION "ci-case"
#define BENCH_CI_RUNS_OPTION "ci-runs"
int bench_ci_case(const char *name, const char *runs, const char *model);

#endif
