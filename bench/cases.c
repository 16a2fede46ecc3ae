/* One row a case: declare it, name it below. */
#include "lib/bench.h"

#include <stddef.h>

const struct bench_case *const bench_cases[] = {
    NULL,
};
