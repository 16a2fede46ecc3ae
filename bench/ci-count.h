/*
 * Counts the instructions of micro cases: runs this program again, under valgrind, with each case.
 * One thread calls ci_count, which returns when all processes have ended.
 */
#ifndef ORCD_BENCH_CI_COUNT_H
#define ORCD_BENCH_CI_COUNT_H

#include "bench/micro.h"

struct ci_count {
    const struct micro_case *micro;
    double instructions; /* of one run */
    char failed[400];    /* why the count failed; "": it did not */
};

/* Counts all n cases, in as many processes at once as there are processors, at most 8. NOT_FOUND:
 * valgrind is not installed. */
int ci_count(struct ci_count *counts, size_t n, const char *model, struct orcd_error *err);

#endif
