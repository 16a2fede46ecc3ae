/* orcd chat: a conversation in the terminal, or one message and its answer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "query.h"

#define LINE_MAX_BYTES (1u << 20)

struct chat {
    struct query query;
    struct json_object *messages; /* the conversation */
};

static void add_message(struct chat *c, const char *role, const char *text, size_t n)
{
    struct json_object *m = json_object_new_object();
    json_object_object_add(m, "role", json_object_new_string(role));
    json_object_object_add(m, "content", json_object_new_string_len(text, (int)n));
    json_object_array_add(c->messages, m);
}

static void begin(struct chat *c)
{
    const char *system = cli_value(c->query.args, "system");
    json_object_put(c->messages);
    c->messages = json_object_new_array();
    if (system)
        add_message(c, "system", system, strlen(system));
}

static int thinking(const struct cli_args *a, struct json_object *request)
{
    const char *value = cli_value(a, "thinking");
    if (!value)
        return 0;
    bool on = strcmp(value, "on") == 0;
    if (!on && strcmp(value, "off") != 0)
        return cli_fail(EX_USAGE, "--thinking: '%s': must be on or off", value);
    struct json_object *kwargs = json_object_new_object();
    json_object_object_add(kwargs, "enable_thinking", json_object_new_boolean(on));
    json_object_object_add(request, "chat_template_kwargs", kwargs);
    return 0;
}

/* Builds the request for the next answer of the conversation. */
static int make_request(struct chat *c, struct json_object *request)
{
    struct json_object *params = json_object_new_object();
    query_name_job(&c->query, "chat", request);
    json_object_object_add(request, "messages", json_object_get(c->messages));
    json_object_object_add(request, "stream", json_object_new_boolean(1));
    json_object_object_add(request, "params", params);
    int rc = thinking(c->query.args, request);
    return rc ? rc : query_params(c->query.args, params);
}

static const char *role_of(const struct chat *c, size_t i)
{
    struct json_object *role = NULL, *m = json_object_array_get_idx(c->messages, i);
    return m && json_object_object_get_ex(m, "role", &role) ? json_object_get_string(role) : "";
}

/* The first message of the user, unless it is the only one. 0: there is nothing to drop. */
static size_t oldest(const struct chat *c)
{
    const size_t n = json_object_array_length(c->messages), first = strcmp(role_of(c, 0), "system") == 0;
    return n > first + 2 ? first + 1 : 0;
}

/* Drops the oldest turn: a message of the user and what the assistant said to it. */
static void drop_oldest(struct chat *c)
{
    const size_t at = oldest(c) - 1;
    do
        json_object_array_del_idx(c->messages, at, 1);
    while (strcmp(role_of(c, at), "user") != 0);
}

/* Sends the conversation. Where it is too long for the model's context, its oldest turns are dropped; the
 * system message stays. */
static int send(struct chat *c)
{
    unsigned dropped = 0;
    for (;;) {
        struct json_object *request = json_object_new_object();
        c->query.hides_length = oldest(c) > 0;
        int rc = make_request(c, request);
        rc = rc ? rc : query_send(&c->query, request);
        json_object_put(request);
        if (!c->query.too_long) {
            if (dropped && cli_can_print(STDERR_FILENO, 0))
                fprintf(stderr, "%s(the context is full: the oldest %u turns were dropped)%s\n",
                    isatty(STDERR_FILENO) ? "\033[2m" : "", dropped, isatty(STDERR_FILENO) ? "\033[0m" : "");
            return rc;
        }
        drop_oldest(c);
        dropped++;
    }
}

/* Sends a message and adds it and its answer to the conversation. A message that got no answer is
 * removed again. */
static int turn(struct chat *c, const char *text, size_t n)
{
    add_message(c, "user", text, n);
    int rc = send(c);
    if (c->query.n_said)
        add_message(c, "assistant", c->query.said, c->query.n_said);
    else
        json_object_array_del_idx(c->messages, json_object_array_length(c->messages) - 1, 1);
    return rc;
}

/* --- in the terminal --- */

enum line { LINE_TEXT, LINE_END, LINE_INTERRUPTED, LINE_TOO_LONG };

/* Reads a line from standard input. A line that ends with \ continues on the next one. */
static enum line read_line(char *line, size_t size, size_t *n)
{
    *n = 0;
    for (;;) {
        char ch;
        if (!query_wait_input())
            return LINE_INTERRUPTED;
        ssize_t got = read(STDIN_FILENO, &ch, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return *n ? LINE_TEXT : LINE_END;
        if (ch == '\n' && *n && line[*n - 1] == '\\') {
            line[*n - 1] = '\n';
            fputs(". ", stdout);
            fflush(stdout);
            continue;
        }
        if (ch == '\n')
            return LINE_TEXT;
        if (*n == size)
            return LINE_TOO_LONG;
        line[(*n)++] = ch;
    }
}

/* Runs "/reset" or "/quit". False: the line is neither. */
static bool command(struct chat *c, const char *line, size_t n, bool *leave)
{
    if (n == 6 && memcmp(line, "/reset", 6) == 0) {
        begin(c);
        puts("(a new conversation)");
        return true;
    }
    *leave = n == 5 && memcmp(line, "/quit", 5) == 0;
    return *leave;
}

/* After this status the worker cannot answer the next message either. */
static bool is_over(int rc)
{
    return rc == EX_UNAVAILABLE || rc == EX_NOPERM || rc == EX_USAGE || rc == EX_OSERR || rc == EX_IOERR;
}

static int talk(struct chat *c)
{
    char *line = malloc(LINE_MAX_BYTES);
    size_t n;
    int rc = 0;
    bool leave = false;
    if (!line)
        return cli_fail(EX_OSERR, "out of memory");
    fputs("(/reset starts a new conversation, /quit or Ctrl-D exits, Ctrl-C cancels an answer, \\ at the end "
          "continues a line)\n",
        stdout);
    while (!leave && !is_over(rc)) {
        fputs("> ", stdout);
        fflush(stdout);
        enum line what = read_line(line, LINE_MAX_BYTES, &n);
        if (what == LINE_END)
            break;
        if (what == LINE_INTERRUPTED)
            putchar('\n');
        else if (what == LINE_TOO_LONG)
            rc = cli_fail(EX_USAGE, "a line exceeds the limit of %u bytes", LINE_MAX_BYTES);
        else if (n && !command(c, line, n, &leave)) {
            rc = turn(c, line, n);
            query_forget_interrupt();
        }
    }
    if (!leave && !is_over(rc))
        putchar('\n');
    free(line);
    return is_over(rc) ? rc : 0;
}

/* Before anybody types a message in vain. */
static int check_template(struct chat *c)
{
    bool has = false;
    int rc = query_has_template(&c->query, &has);
    if (rc || has)
        return rc;
    return cli_fail(EX_DATAERR, "this model has no chat template: set model.chat_template (--set "
                                "model.chat_template=NAME; orcd.yaml(5) lists the names), or use orcd run");
}

/* --- once --- */

static int once(struct chat *c)
{
    const char *message = cli_value(c->query.args, "message");
    char *text = NULL;
    size_t n = message ? strlen(message) : 0;
    int rc = 0;
    if (!message || strcmp(message, "-") == 0)
        rc = query_read_stdin(&text, &n);
    rc = rc ? rc : query_connect(&c->query);
    rc = rc ? rc : turn(c, text ? text : message, n);
    free(text);
    return rc;
}

int verb_chat(const struct cli_args *a)
{
    struct chat c = {0};
    /* A first try, so that a wrong option is reported before a model is loaded. */
    struct json_object *tried = json_object_new_object();
    int rc = query_open(&c.query, a);
    begin(&c);
    rc = rc ? rc : make_request(&c, tried);
    json_object_put(tried);
    c.query.keep = true;
    c.query.show_thoughts = isatty(STDOUT_FILENO) || cli_flag(a, "show-thinking");
    bool talks = !cli_value(a, "message") && isatty(STDIN_FILENO);
    if (rc == 0 && talks) {
        rc = query_connect(&c.query);
        rc = rc ? rc : check_template(&c);
        rc = rc ? rc : talk(&c);
    } else if (rc == 0) {
        rc = once(&c);
    }
    query_close(&c.query);
    json_object_put(c.messages);
    return rc;
}
