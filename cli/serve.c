#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "worker.h"

static void on_listening(const char *url, void *arg)
{
    (void)arg;
    if (!cli_can_print(STDOUT_FILENO, 0)) /* nobody reads it: serving matters more */
        return;
    printf("orcd: listening on %s\n", url);
    fflush(stdout);
}

static void on_progress(double fraction, void *arg)
{
    if (*(bool *)arg)
        progress_show("loading", fraction);
}

static void on_ready(const char *url, double seconds, void *arg)
{
    (void)url;
    (void)seconds;
    if (*(bool *)arg)
        progress_clear();
    if (!cli_can_print(STDOUT_FILENO, 0))
        return;
    printf("orcd: ready\n");
    fflush(stdout);
}

int verb_serve(const struct cli_args *a)
{
    double lifeline = -1;
    const char *as = cli_value(a, "as");
    if (as)
        cli_sign(as);
    int rc = cli_number(a, "lifeline-fd", 3, 1 << 20, &lifeline);
    if (rc)
        return rc;
    struct config config;
    rc = cli_config(a, cli_positional(a, 0), &config);
    if (rc)
        return rc;
    bool bar = progress_wanted();
    struct worker_hooks hooks = {on_listening, on_progress, on_ready, &bar, (int)lifeline};
    struct orcd_error err = ORCD_ERROR_INIT;
    int status = worker_run(&config, &hooks, &err);
    if (status) {
        if (bar)
            progress_clear();
        cli_fail(status, "%s", err.msg);
    }
    config_release(&config.head);
    return status;
}
