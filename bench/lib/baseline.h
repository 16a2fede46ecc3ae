/*
 * The results of an earlier run, read from its JSON, to compare with. Load, find, free; the measures
 * belong to the baseline. One thread.
 */
#ifndef ORCD_BENCH_BASELINE_H
#define ORCD_BENCH_BASELINE_H

#include "base/error.h"
#include "lib/result.h"

struct bench_baseline;

/* Errors: NOT_FOUND, IO, PERMISSION; INVALID: not a result of orcd bench, or of another schema. */
int bench_baseline_load(struct bench_baseline **out, const char *path, struct orcd_error *err);
void bench_baseline_free(struct bench_baseline *b); /* accepts NULL */
const char *bench_baseline_date(const struct bench_baseline *b);
const char *bench_baseline_version(const struct bench_baseline *b);

/* The measure with the id, variant, target and unit of m in the same case; NULL: the baseline does not
 * have it. It has at most 2000 samples, which are evenly spaced ranks if there were more. */
const struct bench_measure *bench_baseline_find(
    const struct bench_baseline *b, const char *case_name, const struct bench_measure *m);

#endif
