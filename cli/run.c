/* orcd run: one prompt, one answer. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "query.h"

static int read_prompt(struct query *q, char **text, size_t *n)
{
    const char *prompt = cli_positional(q->args, 0);
    if (!prompt && isatty(STDIN_FILENO))
        return cli_fail(EX_USAGE, "no prompt: add one to the command line, or - to read standard input");
    if (!prompt || strcmp(prompt, "-") == 0)
        return query_read_stdin(text, n);
    *n = strlen(prompt);
    *text = strdup(prompt);
    return *text ? 0 : cli_fail(EX_OSERR, "out of memory");
}

/* A prompt that the model continues, or, of a model with a chat template, a message that it answers. */
static void add_prompt(struct json_object *request, const char *text, size_t n, bool is_message)
{
    struct json_object *prompt = json_object_new_string_len(text, (int)n);
    if (!is_message) {
        json_object_object_add(request, "prompt", prompt);
        return;
    }
    struct json_object *message = json_object_new_object(), *messages = json_object_new_array();
    json_object_object_add(message, "role", json_object_new_string("user"));
    json_object_object_add(message, "content", prompt);
    json_object_array_add(messages, message);
    json_object_object_add(request, "messages", messages);
}

int verb_run(const struct cli_args *a)
{
    struct query q;
    struct json_object *request = json_object_new_object(), *params = json_object_new_object();
    char *text = NULL;
    size_t n = 0;
    bool is_message = false;
    int rc = query_open(&q, a);
    query_name_job(&q, "run", request);
    json_object_object_add(request, "stream", json_object_new_boolean(1));
    json_object_object_add(request, "params", params);
    rc = rc ? rc : query_params(a, params);
    rc = rc ? rc : read_prompt(&q, &text, &n);
    rc = rc ? rc : query_connect(&q);
    q.show_thoughts = isatty(STDOUT_FILENO);
    if (rc == 0 && !cli_flag(a, "raw"))
        rc = query_has_template(&q, &is_message);
    if (rc == 0) {
        add_prompt(request, text, n, is_message);
        rc = query_send(&q, request);
    }
    free(text);
    query_close(&q);
    json_object_put(request);
    return rc;
}
