#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

enum { HEALTHY = 0, NOT_HEALTHY = 1, UNREACHABLE = 2 };

static int once(const struct cli_args *a)
{
    int status;
    char *body;
    int rc = cli_exchange(a, "GET", "/health", NULL, &status, &body, false);
    if (rc)
        return rc == EX_UNAVAILABLE || rc == EX_PROTOCOL ? UNREACHABLE : rc;
    cli_print_text(stdout, body, strlen(body));
    if (!*body || body[strlen(body) - 1] != '\n')
        putchar('\n');
    fflush(stdout);
    free(body);
    return status == 200 ? HEALTHY : NOT_HEALTHY;
}

int verb_health(const struct cli_args *a)
{
    int rc = once(a);
    while (cli_flag(a, "watch") && rc <= UNREACHABLE && !ferror(stdout)) {
        nanosleep(&(struct timespec){1, 0}, NULL);
        rc = once(a);
    }
    return rc;
}
