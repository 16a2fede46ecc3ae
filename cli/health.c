#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { HEALTHY = 0, NOT_HEALTHY = 1, UNREACHABLE = 2 };

/* "model  llama" for each field of the object; objects within it on a line. */
static void print_table(const char *body)
{
    struct json_object *o = json_tokener_parse(body);
    if (!json_object_is_type(o, json_type_object)) {
        cli_print_text(stdout, body, strlen(body));
    } else {
        json_object_object_foreach(o, name, v)
        {
            const char *text = json_object_is_type(v, json_type_null) ? "-" : json_object_get_string(v);
            fputs("  ", stdout);
            cli_print_text(stdout, name, strlen(name));
            printf("%*s", strlen(name) < 22 ? (int)(22 - strlen(name)) : 1, "");
            cli_print_text(stdout, text, strlen(text));
            putchar('\n');
        }
    }
    json_object_put(o);
}

static int once(const struct cli_args *a)
{
    int status;
    char *body;
    int rc = cli_exchange(a, "GET", "/health", NULL, &status, &body, false);
    if (rc)
        return rc == EX_UNAVAILABLE || rc == EX_PROTOCOL ? UNREACHABLE : rc;
    const bool table = isatty(STDOUT_FILENO) && !cli_flag(a, "json") && !cli_flag(a, "watch");
    if (table)
        print_table(body);
    else
        cli_print_text(stdout, body, strlen(body));
    if (!table && (!*body || body[strlen(body) - 1] != '\n'))
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
