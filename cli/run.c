/* orcd run: one prompt, one answer. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "query.h"

static int make_request(struct query *q, struct json_object *request)
{
    const char *prompt = cli_positional(q->args, 0);
    char *text = NULL;
    size_t n = prompt ? strlen(prompt) : 0;
    if (!prompt && isatty(STDIN_FILENO))
        return cli_fail(EX_USAGE, "no prompt: add one to the command line, or - to read standard input");
    if (!prompt || strcmp(prompt, "-") == 0) {
        int rc = query_read_stdin(&text, &n);
        if (rc)
            return rc;
    }
    struct json_object *params = json_object_new_object();
    query_name_job(q, "run", request);
    json_object_object_add(request, "prompt", json_object_new_string_len(text ? text : prompt, (int)n));
    json_object_object_add(request, "stream", json_object_new_boolean(1));
    json_object_object_add(request, "params", params);
    free(text);
    return query_params(q->args, params);
}

int verb_run(const struct cli_args *a)
{
    struct query q;
    struct json_object *request = json_object_new_object();
    int rc = query_open(&q, a);
    rc = rc ? rc : make_request(&q, request);
    rc = rc ? rc : query_connect(&q);
    rc = rc ? rc : query_send(&q, request);
    query_close(&q);
    json_object_put(request);
    return rc;
}
