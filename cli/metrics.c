#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "metrics.h"

static void emit(const char *name, const char *type, const char *help, void *arg)
{
    fprintf(arg, "%-44s %-10s %s\n", name, type, help);
}

int verb_metrics(const struct cli_args *a)
{
    if (cli_flag(a, "list")) {
        metrics_list(&metric_table, emit, stdout);
        return EX_OK;
    }
    int status;
    char *body;
    int rc = cli_exchange(a, "GET", "/metrics", NULL, &status, &body, false);
    if (rc)
        return rc;
    if (status == 200)
        cli_print_text(stdout, body, strlen(body));
    else
        rc = cli_api_error(status, body);
    free(body);
    return rc;
}
