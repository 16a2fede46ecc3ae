/* Counting the instructions of a micro case: this program again, under valgrind. */
#ifndef ORCD_BENCH_CI_COUNT_H
#define ORCD_BENCH_CI_COUNT_H

#include "bench/micro.h"

struct ci_count {
    const struct micro_case *micro;
    double instructions; /* of one run */
    char failed[400];    /* why there are none; "" */
};

/* Several at once, as many as there are processors. NOT_FOUND: there is no valgrind. */
int ci_count(struct ci_count *counts, size_t n, const char *model, struct orcd_error *err);

#endif
