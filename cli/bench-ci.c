/* orcd bench --ci: the command line of bench/ci.h. */
#include <stdlib.h>
#include <unistd.h>

#include "bench/ci.h"
#include "bench/micro.h"
#include "cli.h"

static void list(void)
{
    for (const struct micro_case *c = micro_cases; c->name; c++)
        printf("%-28s %s\n", c->name, c->title);
}

int cli_bench_ci(const struct cli_args *a)
{
    const char *one = cli_value(a, "ci-case"), *runs = cli_value(a, "ci-runs");
    const char *given = cli_value(a, "model"), *demo = given ? given : cli_demo_model();
    char *model = demo ? realpath(demo, NULL) : NULL; /* the cases run in another directory */
    const char *source = cli_source_file("bench/ci-baseline.json"), *file = cli_value(a, "ci-baseline");
    const struct bench_ci o = {
        .baseline = file ? file : source,
        .save = cli_flag(a, "ci-save"),
        .model = model,
        .only = a->positional,
        .n_only = a->n_positional,
    };
    int rc = EX_OK;
    if (one)
        rc = bench_ci_case(one, runs ? runs : "1", model);
    else if (cli_flag(a, "list"))
        list();
    else
        rc = bench_ci(&o, stdout);
    free(model);
    return rc;
}
