/* An earlier run, read back from its JSON, for comparison. */
#ifndef ORCD_BENCH_BASELINE_H
#define ORCD_BENCH_BASELINE_H

#include "base/error.h"
#include "lib/result.h"

struct bench_baseline;

/* Errors: NOT_FOUND, IO, PERMISSION; INVALID: no result of ours, or of another schema. */
int bench_baseline_load(struct bench_baseline **out, const char *path, struct orcd_error *err);
void bench_baseline_free(struct bench_baseline *b); /* takes NULL */
const char *bench_baseline_date(const struct bench_baseline *b);
const char *bench_baseline_version(const struct bench_baseline *b);

/* The same measure of the same case and target, with its unit. NULL: not there. The
 * samples are at most 2000: evenly spaced ranks when there were more. */
const struct bench_measure *bench_baseline_find(
    const struct bench_baseline *b, const char *case_name, const struct bench_measure *m);

#endif
