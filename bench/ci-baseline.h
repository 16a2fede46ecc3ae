/*
 * The committed counts: a list of baselines in one JSON file, one for each way to build
 * (architecture, compiler, flags, libraries), because counts of different ways are not
 * comparable.
 */
#ifndef ORCD_BENCH_CI_BASELINE_H
#define ORCD_BENCH_CI_BASELINE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

/* A way to build: an object of strings, for this program. NULL: out of memory. */
json_object *ci_build(void);

/* The file; one that is absent has no baselines, if `absent_ok`. Free with
 * json_object_put. */
int ci_baseline_read(json_object **out, const char *path, bool absent_ok, struct orcd_error *err);
/* "cases" of the baseline for this build; NULL: there is none. Borrowed. */
json_object *ci_baseline_cases(json_object *file, json_object *build);
/* What the file's baselines were built with, where that is another than ours. */
void ci_baseline_explain(json_object *file, json_object *build, FILE *out);
/* The ratio of a case; false: it is not there. */
bool ci_baseline_ratio(json_object *cases, const char *name, double *ratio);

/* The cases of this build's baseline, which is made if the file has none. afresh: without
 * the counts that it has. */
json_object *ci_baseline_add(json_object *file, json_object *build, bool afresh);
void ci_baseline_set(json_object *cases, const char *name, double instructions, double ratio);
/* Through a file beside it and rename(). */
int ci_baseline_write(json_object *file, const char *path, struct orcd_error *err);

#endif
