/*
 * The committed counts: a JSON file with a list of baselines, one per build (architecture, compiler,
 * flags, libraries), because counts of different builds cannot be compared.
 *
 * 1. ci_build describes this build, ci_baseline_read reads the file.
 * 2. ci_baseline_cases finds the counts of this build, ci_baseline_ratio one of them.
 * 3. To save new counts: ci_baseline_add, ci_baseline_set for each case, ci_baseline_write.
 * 4. json_object_put for the build and the file; cases belong to the file.
 *
 * One thread.
 */
#ifndef ORCD_BENCH_CI_BASELINE_H
#define ORCD_BENCH_CI_BASELINE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

/* The build of this program, as an object of strings. NULL: out of memory. */
json_object *ci_build(void);

/* Reads the file. With absent_ok, a missing file counts as one without baselines. Free *out with
 * json_object_put. */
int ci_baseline_read(json_object **out, const char *path, bool absent_ok, struct orcd_error *err);
/* The "cases" of the baseline for this build, owned by file; NULL: the file has none. */
json_object *ci_baseline_cases(json_object *file, json_object *build);
/* Prints how the builds of the baselines in the file differ from this build. */
void ci_baseline_explain(json_object *file, json_object *build, FILE *out);
/* The ratio of a case; false: the baseline does not have it. */
bool ci_baseline_ratio(json_object *cases, const char *name, double *ratio);

/* The "cases" of the baseline for this build, owned by file; adds the baseline if the file has none.
 * afresh: drops the counts that it has. */
json_object *ci_baseline_add(json_object *file, json_object *build, bool afresh);
void ci_baseline_set(json_object *cases, const char *name, double instructions, double ratio);
/* Writes a file beside it and renames that. */
int ci_baseline_write(json_object *file, const char *path, struct orcd_error *err);

#endif
