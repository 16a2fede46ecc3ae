/* The request and the answer of orcd run and orcd chat. */
#include "query.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/client.h"
#include "client/sse.h"

#define PROMPT_MAX (3u << 20)
#define CONNECT_MS 10000
#define SERVICE_MS 1000 /* for a service that may run on this machine */

static int wake_pipe[2] = {-1, -1};
static volatile sig_atomic_t interrupts;

static void on_interrupt(int sig)
{
    (void)sig;
    int saved = errno;
    if (++interrupts > 1)
        _exit(QUERY_INTERRUPTED); /* the lifeline ends a private worker */
    (void)!write(wake_pipe[1], "x", 1);
    errno = saved;
}

static void drain_wake_pipe(void)
{
    char drop[16];
    while (read(wake_pipe[0], drop, sizeof(drop)) > 0)
        ;
}

void query_forget_interrupt(void)
{
    interrupts = 0;
    drain_wake_pipe();
}

bool query_wait_input(void)
{
    /* The handler of SIGINT writes to the pipe: no signal is missed between a check and the wait. */
    struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = wake_pipe[0], .events = POLLIN}};
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    if (!p[1].revents)
        return true;
    query_forget_interrupt();
    return false;
}

int query_open(struct query *q, const struct cli_args *a)
{
    const char *deadline = cli_value(a, "deadline");
    *q = (struct query){.args = a,
        .worker = {.lifeline_fd = -1, .output_fd = -1},
        .deadline_ms = deadline ? cli_duration_ms(deadline) : -1,
        .json = cli_flag(a, "json")};
    if (deadline && q->deadline_ms < 0)
        return cli_fail(EX_USAGE, "--deadline: '%s': must be a time such as 1500ms, 2s or 1m", deadline);
    const char *stats = cli_value(a, "stats");
    q->stats = stats ? strcmp(stats, "on") == 0 : isatty(STDOUT_FILENO) && isatty(STDERR_FILENO) && !q->json;
    if (stats && !q->stats && strcmp(stats, "off") != 0)
        return cli_fail(EX_USAGE, "--stats: '%s': must be on or off", stats);
    if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK))
        return cli_fail(EX_OSERR, "cannot create a pipe: %s", strerror(errno));
    struct sigaction sa = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

/* --- the request --- */

int query_read_stdin(char **text, size_t *n)
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
               : interrupts ? QUERY_INTERRUPTED
                            : cli_fail(EX_DATAERR, "the prompt exceeds the limit of %u bytes", PROMPT_MAX);
    }
    *text = buf;
    *n = have;
    return 0;
}

/* Adds the options that are numbers in the request's params. */
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
            return cli_fail(EX_USAGE, "--%s: must be an integer", rows[i].option);
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

int query_params(const struct cli_args *a, struct json_object *params)
{
    int rc = add_numbers(a, params);
    return rc ? rc : add_texts(a, params);
}

void query_name_job(struct query *q, const char *prefix, struct json_object *request)
{
    unsigned char id[8];
    if (getrandom(id, sizeof(id), 0) != sizeof(id))
        memset(id, 0, sizeof(id));
    snprintf(q->job_id, sizeof(q->job_id), "%s-%d-%02x%02x%02x%02x%02x%02x", prefix, (int)getpid(), id[0],
        id[1], id[2], id[3], id[4], id[5]);
    json_object_object_add(request, "job_id", json_object_new_string(q->job_id));
}

/* --- the answer --- */

static const char *text_of(struct json_object *o, const char *name)
{
    struct json_object *v;
    if (!o || !json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
        return "";
    return json_object_get_string(v);
}

static int status_of(struct json_object *e)
{
    struct json_object *v;
    int http = json_object_object_get_ex(e, "http_status", &v) ? json_object_get_int(v) : 500;
    const char *code = text_of(e, "code");
    if (strcmp(code, "CANCELLED") == 0)
        return QUERY_INTERRUPTED;
    return http == 503 || http == 504 || http == 429 ? EX_TEMPFAIL
           : http == 502                             ? EX_UNAVAILABLE
           : http < 500                              ? EX_DATAERR
                                                     : EX_SOFTWARE;
}

static void end_thought(struct query *q)
{
    if (q->thinking && isatty(STDOUT_FILENO))
        fputs("\033[0m", stdout);
    q->thinking = false;
}

static void end_line(struct query *q)
{
    end_thought(q);
    if (!q->json && q->last && q->last != '\n')
        putchar('\n');
    fflush(stdout);
}

static void print(struct query *q, const char *text)
{
    size_t n = strlen(text);
    cli_print_text(stdout, text, n);
    if (n)
        q->last = text[n - 1];
}

/* Prints reasoning: dim on a terminal, with an empty line between it and the answer. */
static void print_thought(struct query *q, const char *text)
{
    if (!*text || !q->show_thoughts)
        return;
    if (!q->thinking && isatty(STDOUT_FILENO))
        fputs("\033[2m", stdout);
    q->thinking = true;
    print(q, text);
}

static void keep(struct query *q, const char *text)
{
    size_t n = strlen(text);
    char *grown = realloc(q->said, q->n_said + n + 1);
    if (!grown)
        return;
    memcpy(grown + q->n_said, text, n + 1);
    q->said = grown;
    q->n_said += n;
}

static void print_answer(struct query *q, const char *text)
{
    if (!*text)
        return;
    if (q->thinking) {
        end_thought(q);
        print(q, q->last == '\n' ? "\n" : "\n\n");
    }
    print(q, text);
    if (q->keep)
        keep(q, text);
}

/* One event as a line. On a terminal control characters of the server are replaced. */
static void print_json(const char *name, const char *id, const char *data)
{
    fputs("{\"event\":\"", stdout);
    cli_print_text(stdout, name, strlen(name));
    fputs(*id ? "\",\"id\":" : "\"", stdout);
    cli_print_text(stdout, id, strlen(id));
    fputs(",\"data\":", stdout);
    cli_print_text(stdout, data, strlen(data));
    fputs("}\n", stdout);
    fflush(stdout);
}

static double number_of(struct json_object *o, const char *name)
{
    struct json_object *v;
    return json_object_object_get_ex(o, name, &v) ? json_object_get_double(v) : 0;
}

/* Dim, on standard error: it is no part of the answer. */
static void print_stats(const struct query *q, struct json_object *end)
{
    const double tokens = number_of(end, "tokens_out"), ms = number_of(end, "decode_time_ms");
    const bool dim = isatty(STDERR_FILENO);
    if (!q->stats || !cli_can_print(STDERR_FILENO, 0))
        return;
    /* The time of the first token is not in decode_time_ms. */
    fprintf(stderr, "%s(%.0f tokens, %.1f a second; the first after %.0f ms)%s\n", dim ? "\033[2m" : "",
        tokens, tokens > 1 && ms > 0 ? (tokens - 1) * 1e3 / ms : 0, number_of(end, "ttft_ms"),
        dim ? "\033[0m" : "");
}

static int on_event(const char *name, const char *id, const char *data, void *arg)
{
    struct query *q = arg;
    if (q->json)
        print_json(name, id, data);
    struct json_object *o = json_tokener_parse(data);
    if (strcmp(name, "token") == 0 && !q->json && o) {
        print_thought(q, text_of(o, "r"));
        print_answer(q, text_of(o, "t"));
        fflush(stdout);
    } else if (strcmp(name, "end") == 0) {
        q->ended = true;
        end_line(q);
        if (o && strcmp(text_of(o, "finish_reason"), "deadline") == 0 && !q->json)
            fprintf(stderr, "orcd %s: the answer was cut at the deadline\n", q->args->verb->name);
        if (o)
            print_stats(q, o);
    } else if (strcmp(name, "error") == 0) {
        q->ended = true;
        end_line(q);
        q->status = o ? status_of(o) : EX_PROTOCOL;
        if (!q->json && !(q->cancelled && q->status == QUERY_INTERRUPTED))
            cli_fail(0, "%s: %s", text_of(o, "code"), text_of(o, "message"));
    }
    json_object_put(o);
    return ferror(stdout) ? EX_IOERR : 0;
}

/* Sends the cancel on a connection of its own; the stream then ends with CANCELLED. */
static void cancel(struct query *q)
{
    char body[128];
    struct orcd_error err = ORCD_ERROR_INIT;
    struct client *c = NULL;
    int status;
    drain_wake_pipe();
    q->cancelled = true;
    snprintf(body, sizeof(body), "{\"job_id\":\"%s\"}", q->job_id);
    struct client_request request = {
        .method = "POST", .path = "/v2/cancel", .body = body, .n_body = strlen(body), .bearer = q->key};
    if (client_open(&c, q->url, CONNECT_MS, &err) == 0) {
        client_set_timeout(c, CONNECT_MS);
        client_send(c, &request, &status, &err);
    }
    client_close(c);
}

static int read_stream(struct query *q, struct client *c, struct orcd_error *err)
{
    struct sse sse = {0};
    char buf[16384];
    int rc = 0;
    while (rc == 0) {
        ssize_t n = client_read(c, buf, sizeof(buf), &rc, err);
        if (rc == CLIENT_WOKEN) {
            cancel(q);
            rc = 0;
            continue;
        }
        if (n <= 0)
            break;
        rc = sse_feed(&sse, buf, (size_t)n, on_event, q, err);
    }
    sse_release(&sse);
    if (rc > 0)
        return cli_fail(rc, "cannot write to standard output: %s", strerror(errno));
    if (rc < 0)
        return cli_fail(rc == ORCD_E_INVALID ? EX_PROTOCOL : EX_UNAVAILABLE, "%s", err->msg);
    if (!q->ended)
        return cli_fail(EX_PROTOCOL, "the answer ended without an end event or an error event");
    return q->status;
}

/* An answer in one piece, which is an error. */
static int refused(struct query *q, int status, const char *answer)
{
    struct json_object *o = json_tokener_parse(answer), *e = NULL;
    const bool too_long = o && json_object_object_get_ex(o, "error", &e) &&
                          strcmp(text_of(e, "code"), "CONTEXT_LENGTH_EXCEEDED") == 0;
    json_object_put(o);
    if (too_long && q->hides_length) {
        q->too_long = true;
        return EX_DATAERR;
    }
    if (q->json) {
        const size_t n = strlen(answer);
        cli_print_text(stdout, answer, n);
        fputs(n && answer[n - 1] == '\n' ? "" : "\n", stdout);
    }
    return cli_api_error(status, answer);
}

static int send_body(struct query *q, const char *body)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct client *c = NULL;
    char deadline[64];
    const char *headers[] = {q->deadline_ms >= 0 ? deadline : NULL, NULL};
    int status;
    snprintf(deadline, sizeof(deadline), "Request-Timeout-Ms: %lld", q->deadline_ms);
    struct client_request request = {.method = "POST",
        .path = "/v2/execute",
        .body = body,
        .n_body = strlen(body),
        .bearer = q->key,
        .headers = headers};
    int rc = client_open(&c, q->url, CONNECT_MS, &err);
    if (rc)
        return cli_fail(EX_UNAVAILABLE, "%s", err.msg);
    client_set_wake(c, wake_pipe[0]);
    rc = client_send(c, &request, &status, &err);
    /* The job is also cancelled by its job_id: a proxy may keep the connection to the worker open. */
    if (rc == CLIENT_WOKEN) {
        cancel(q);
        rc = QUERY_INTERRUPTED;
    } else if (rc)
        rc = cli_fail(EX_UNAVAILABLE, "%s", err.msg);
    else if (status == 200 && strncmp(client_content_type(c), "text/event-stream", 17) == 0)
        rc = read_stream(q, c, &err);
    else {
        char *answer;
        size_t n;
        rc = client_read_all(c, 1 << 20, &answer, &n, &err);
        if (rc == 0) {
            rc = refused(q, status, answer);
            free(answer);
        } else {
            rc = cli_fail(EX_UNAVAILABLE, "%s", err.msg);
        }
    }
    client_close(c);
    return rc;
}

int query_send(struct query *q, struct json_object *request)
{
    const char *body = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN);
    if (!body)
        return cli_fail(EX_OSERR, "out of memory");
    free(q->said);
    q->said = NULL;
    q->n_said = 0;
    q->cancelled = q->ended = q->thinking = q->too_long = false;
    q->last = 0;
    q->status = 0;
    return send_body(q, body);
}

/* --- the worker --- */

/* Chooses --model, else the configured model (*model is NULL then), else the demo model. */
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
    config_release(&c.head);
    return 0;
}

/* GET /v2/model; the object, or NULL. */
static struct json_object *ask_model(struct query *q, int timeout_ms)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct client *c = NULL;
    struct client_request request = {.method = "GET", .path = "/v2/model", .bearer = q->key};
    struct json_object *model = NULL;
    char *body = NULL;
    size_t n;
    int status = 0;
    if (client_open(&c, q->url, timeout_ms, &err) == 0) {
        client_set_timeout(c, timeout_ms);
        client_set_wake(c, wake_pipe[0]); /* the pipe stays readable: the request is then not sent, either */
        if (client_send(c, &request, &status, &err) == 0 && status == 200 &&
            client_read_all(c, 1 << 16, &body, &n, &err) == 0)
            model = json_tokener_parse(body);
    }
    client_close(c);
    free(body);
    if (json_object_is_type(model, json_type_object))
        return model;
    json_object_put(model);
    return NULL;
}

int query_has_template(struct query *q, bool *has)
{
    struct json_object *model = ask_model(q, CONNECT_MS);
    const char *family = text_of(model, "chat_template");
    *has = *family && strcmp(family, "none") != 0;
    const bool answered = model != NULL;
    json_object_put(model);
    /* What is wrong with the worker or the key is said when the request is sent. */
    return answered || cli_named_url(q->args) ? 0 : cli_fail(EX_UNAVAILABLE, "the worker does not answer");
}

/* A service that runs with the configuration that holds for this command. */
static bool service_runs(struct query *q)
{
    static const char *const others[] = {"model", "set", "plugin", "gpu-device", "config"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (cli_value(q->args, others[i]))
            return false;
    struct stat st;
    if (cli_worker_url(q->args, q->url, sizeof(q->url)))
        return false;
    /* Keys and prompts are for no stranger: whoever comes first can listen at a port, a socket has an owner.
     */
    if (strncmp(q->url, "unix:", 5) != 0 || stat(q->url + 5, &st) || (st.st_uid && st.st_uid != geteuid()))
        return false;
    if (cli_api_key(q->args, &q->key))
        return false;
    struct json_object *model = ask_model(q, SERVICE_MS);
    const bool runs = model != NULL;
    json_object_put(model);
    if (runs && isatty(STDERR_FILENO) && cli_can_print(STDERR_FILENO, 0))
        fprintf(stderr, "(using the worker at %s)\n", q->url);
    if (!runs) {
        cli_api_key_free(q->key);
        q->key = NULL;
    }
    return runs;
}

int query_connect(struct query *q)
{
    const char *model = NULL;
    if (cli_named_url(q->args)) {
        int rc = cli_worker_url(q->args, q->url, sizeof(q->url));
        return rc ? rc : cli_api_key(q->args, &q->key);
    }
    if (service_runs(q))
        return 0;
    int rc = choose_model(q->args, &model);
    rc = rc ? rc : private_worker_start(&q->worker, q->args, model, wake_pipe[0]);
    snprintf(q->url, sizeof(q->url), "%s", q->worker.url);
    return rc;
}

void query_close(struct query *q)
{
    private_worker_stop(&q->worker);
    cli_api_key_free(q->key);
    free(q->said);
}
