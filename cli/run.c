#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli.h"
#include "client/client.h"
#include "private-worker.h"

#define PROMPT_MAX (3u << 20)
#define CONNECT_MS 10000
#define INTERRUPTED (128 + SIGINT)

static int wake_pipe[2] = {-1, -1};
static volatile sig_atomic_t interrupts;

struct run {
    const struct cli_args *args;
    char url[1024], job_id[64];
    char *key;
    bool json, cancelled, ended;
    char last; /* last character printed */
    int status;
};

static void on_interrupt(int sig)
{
    (void)sig;
    int saved = errno;
    if (++interrupts > 1)
        _exit(INTERRUPTED); /* the lifeline ends a private worker */
    (void)!write(wake_pipe[1], "x", 1);
    errno = saved;
}

static int setup_interrupt(void)
{
    if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK))
        return cli_fail(EX_OSERR, "pipe: %s", strerror(errno));
    struct sigaction sa = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

/* --- the request --- */

static int read_stdin(char **text, size_t *n)
{
    char *buf = malloc(PROMPT_MAX + 1);
    size_t have = 0;
    while (buf && have <= PROMPT_MAX) {
        ssize_t got = read(STDIN_FILENO, buf + have, PROMPT_MAX + 1 - have);
        if (got < 0 && errno == EINTR && !interrupts)
            continue;
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    if (!buf || interrupts || have > PROMPT_MAX) {
        free(buf);
        return !buf         ? cli_fail(EX_OSERR, "out of memory")
               : interrupts ? INTERRUPTED
                            : cli_fail(EX_DATAERR, "the prompt is longer than %u bytes", PROMPT_MAX);
    }
    *text = buf;
    *n = have;
    return 0;
}

/* Options that are numbers of the request's params. */
static int add_numbers(const struct cli_args *a, struct json_object *params)
{
    static const struct {
        const char *option, *field;
        double min, max;
        bool integer;
    } rows[] = {
        {"max-tokens", "max_tokens", 1, 1 << 20, true},
        {"temperature", "temperature", 0, 2, false},
        {"top-p", "top_p", 0, 1, false},
        {"top-k", "top_k", 0, 1 << 24, true},
        {"min-p", "min_p", 0, 1, false},
        {"repetition-penalty", "repetition_penalty", 0, 2, false},
        {"seed", "seed", 0, 9007199254740991.0, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double v = -1;
        int rc = cli_number(a, rows[i].option, rows[i].min, rows[i].max, &v);
        if (rc)
            return rc;
        if (v < 0)
            continue;
        if (rows[i].integer && v != (double)(int64_t)v)
            return cli_fail(EX_USAGE, "--%s: must be a whole number", rows[i].option);
        json_object_object_add(params, rows[i].field,
            rows[i].integer ? json_object_new_int64((int64_t)v) : json_object_new_double(v));
    }
    return 0;
}

static int add_texts(const struct cli_args *a, struct json_object *params)
{
    struct json_object *stop = NULL;
    for (int i = 0; i < a->n_given; i++)
        if (strcmp(a->given[i].option->name, "stop") == 0) {
            stop = stop ? stop : json_object_new_array();
            json_object_array_add(stop, json_object_new_string(a->given[i].value));
        }
    if (stop)
        json_object_object_add(params, "stop", stop);
    const char *when = cli_value(a, "on-deadline");
    if (when && strcmp(when, "error") != 0 && strcmp(when, "partial") != 0)
        return cli_fail(EX_USAGE, "--on-deadline: '%s': must be error or partial", when);
    if (when)
        json_object_object_add(params, "on_deadline", json_object_new_string(when));
    return 0;
}

static int make_request(struct run *r, char **body)
{
    const char *prompt = cli_positional(r->args, 0);
    char *text = NULL;
    size_t n = prompt ? strlen(prompt) : 0;
    if (!prompt && isatty(STDIN_FILENO))
        return cli_fail(EX_USAGE, "no prompt: give one, or - for standard input");
    if (!prompt || strcmp(prompt, "-") == 0) {
        int rc = read_stdin(&text, &n);
        if (rc)
            return rc;
    }
    unsigned char id[8];
    if (getrandom(id, sizeof(id), 0) != sizeof(id))
        memset(id, 0, sizeof(id));
    snprintf(r->job_id, sizeof(r->job_id), "run-%d-%02x%02x%02x%02x%02x%02x", (int)getpid(), id[0], id[1],
        id[2], id[3], id[4], id[5]);
    struct json_object *o = json_object_new_object(), *params = json_object_new_object();
    json_object_object_add(o, "job_id", json_object_new_string(r->job_id));
    json_object_object_add(o, "prompt", json_object_new_string_len(text ? text : prompt, (int)n));
    json_object_object_add(o, "stream", json_object_new_boolean(1));
    int rc = add_numbers(r->args, params);
    rc = rc ? rc : add_texts(r->args, params);
    json_object_object_add(o, "params", params);
    if (rc == 0 && !(*body = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN))))
        rc = cli_fail(EX_OSERR, "out of memory");
    json_object_put(o);
    free(text);
    return rc;
}

/* --- the answer --- */

static const char *text_of(struct json_object *o, const char *name)
{
    struct json_object *v;
    if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
        return "";
    return json_object_get_string(v);
}

static int status_of(struct json_object *e)
{
    struct json_object *v;
    int http = json_object_object_get_ex(e, "http_status", &v) ? json_object_get_int(v) : 500;
    const char *code = text_of(e, "code");
    if (strcmp(code, "CANCELLED") == 0)
        return INTERRUPTED;
    return http == 503 || http == 504 || http == 429 ? EX_TEMPFAIL
           : http == 502                             ? EX_UNAVAILABLE
           : http < 500                              ? EX_DATAERR
                                                     : EX_SOFTWARE;
}

static void end_line(struct run *r)
{
    if (!r->json && r->last && r->last != '\n')
        putchar('\n');
    fflush(stdout);
}

static int on_event(const char *name, const char *id, const char *data, void *arg)
{
    struct run *r = arg;
    if (r->json) {
        printf("{\"event\":\"%s\"", name);
        if (*id)
            printf(",\"id\":%s", id);
        printf(",\"data\":%s}\n", data);
        fflush(stdout);
    }
    struct json_object *o = json_tokener_parse(data);
    if (strcmp(name, "token") == 0 && !r->json && o) {
        const char *t = text_of(o, "t");
        size_t n = strlen(t);
        cli_print_text(stdout, t, n);
        fflush(stdout);
        if (n)
            r->last = t[n - 1];
    } else if (strcmp(name, "end") == 0) {
        r->ended = true;
        end_line(r);
        if (o && strcmp(text_of(o, "finish_reason"), "deadline") == 0 && !r->json)
            fprintf(stderr, "orcd run: cut at the deadline\n");
    } else if (strcmp(name, "error") == 0) {
        r->ended = true;
        end_line(r);
        r->status = o ? status_of(o) : EX_PROTOCOL;
        if (!r->json && !(r->cancelled && r->status == INTERRUPTED))
            cli_fail(0, "%s: %s", text_of(o, "code"), text_of(o, "message"));
    }
    json_object_put(o);
    return ferror(stdout) ? EX_IOERR : 0;
}

/* Cancels on a connection of its own; the stream then ends with CANCELLED. */
static void cancel(struct run *r)
{
    char drop[16], body[128];
    struct orcd_error err = ORCD_ERROR_INIT;
    struct client *c = NULL;
    int status;
    while (read(wake_pipe[0], drop, sizeof(drop)) > 0)
        ;
    r->cancelled = true;
    snprintf(body, sizeof(body), "{\"job_id\":\"%s\"}", r->job_id);
    struct client_request request = {
        .method = "POST", .path = "/v2/cancel", .body = body, .n_body = strlen(body), .bearer = r->key};
    if (client_open(&c, r->url, CONNECT_MS, &err) == 0) {
        client_set_timeout(c, CONNECT_MS);
        client_send(c, &request, &status, &err);
    }
    client_close(c);
}

static int read_stream(struct run *r, struct client *c, struct orcd_error *err)
{
    struct sse sse = {0};
    char buf[16384];
    int rc = 0;
    while (rc == 0) {
        ssize_t n = client_read(c, buf, sizeof(buf), &rc, err);
        if (rc == CLIENT_WOKEN) {
            cancel(r);
            rc = 0;
            continue;
        }
        if (n <= 0)
            break;
        rc = sse_feed(&sse, buf, (size_t)n, on_event, r, err);
    }
    sse_release(&sse);
    if (rc > 0)
        return cli_fail(rc, "standard output: %s", strerror(errno));
    if (rc < 0)
        return cli_fail(rc == ORCD_E_INVALID ? EX_PROTOCOL : EX_UNAVAILABLE, "%s", err->msg);
    if (!r->ended)
        return cli_fail(EX_PROTOCOL, "the stream ended without an end event");
    return r->status;
}

static int ask(struct run *r, const char *body, long long deadline_ms)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct client *c = NULL;
    char headers[64] = "";
    int status;
    if (deadline_ms >= 0)
        snprintf(headers, sizeof(headers), "Request-Timeout-Ms: %lld\r\n", deadline_ms);
    struct client_request request = {.method = "POST",
        .path = "/v2/execute",
        .body = body,
        .n_body = strlen(body),
        .bearer = r->key,
        .headers = headers};
    int rc = client_open(&c, r->url, CONNECT_MS, &err);
    if (rc)
        return cli_fail(EX_UNAVAILABLE, "%s", err.msg);
    client_set_wake(c, wake_pipe[0]);
    rc = client_send(c, &request, &status, &err);
    /* The job is cancelled by name as well: on the way, a proxy may keep it alive. */
    if (rc == CLIENT_WOKEN) {
        cancel(r);
        rc = INTERRUPTED;
    } else if (rc)
        rc = cli_fail(EX_UNAVAILABLE, "%s", err.msg);
    else if (status == 200 && strncmp(client_content_type(c), "text/event-stream", 17) == 0)
        rc = read_stream(r, c, &err);
    else {
        char *answer;
        size_t n;
        rc = client_read_all(c, 1 << 20, &answer, &n, &err);
        if (rc == 0) {
            if (r->json)
                printf("%s%s", answer, n && answer[n - 1] == '\n' ? "" : "\n");
            rc = cli_api_error(status, answer);
            free(answer);
        } else {
            rc = cli_fail(EX_UNAVAILABLE, "%s", err.msg);
        }
    }
    client_close(c);
    return rc;
}

/* -m, else the configuration's, else the demo model. */
static int choose_model(const struct cli_args *a, const char **model)
{
    struct config c;
    *model = cli_value(a, "model");
    if (*model)
        return 0;
    int rc = cli_config(a, NULL, &c);
    if (rc)
        return rc;
    if (!c.model.path)
        *model = cli_demo_model();
    config_release(&c);
    return 0;
}

int verb_run(const struct cli_args *a)
{
    struct run r = {.args = a, .json = cli_flag(a, "json")};
    struct private_worker worker = {.lifeline_fd = -1, .output_fd = -1};
    const char *deadline = cli_value(a, "deadline"), *model = NULL;
    long long deadline_ms = deadline ? cli_duration_ms(deadline) : -1;
    char *body = NULL;
    if (deadline && deadline_ms < 0)
        return cli_fail(EX_USAGE, "--deadline: '%s': must be a time such as 1500ms, 2s or 1m", deadline);
    int rc = setup_interrupt();
    rc = rc ? rc : make_request(&r, &body);
    if (rc == 0 && cli_value(a, "url")) {
        rc = cli_worker_url(a, r.url, sizeof(r.url));
        rc = rc ? rc : cli_api_key(a, &r.key);
    } else if (rc == 0) {
        rc = choose_model(a, &model);
        rc = rc ? rc : private_worker_start(&worker, a, model, wake_pipe[0]);
        snprintf(r.url, sizeof(r.url), "%s", worker.url);
    }
    rc = rc ? rc : ask(&r, body, deadline_ms);
    private_worker_stop(&worker);
    free(body);
    free(r.key);
    return rc;
}
