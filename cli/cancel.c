#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int verb_cancel(const struct cli_args *a)
{
    int status;
    char *body;
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "job_id", json_object_new_string(cli_positional(a, 0)));
    int rc = cli_exchange(a, "POST", "/v2/cancel", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
        &status, &body, false);
    json_object_put(o);
    if (rc)
        return rc;
    if (status == 202) {
        cli_print_text(stdout, body, strlen(body));
        if (!*body || body[strlen(body) - 1] != '\n')
            putchar('\n');
    } else {
        rc = status == 404 ? (cli_api_error(status, body), EX_NOINPUT) : cli_api_error(status, body);
    }
    free(body);
    return rc;
}
