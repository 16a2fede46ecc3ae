#include "lib/target-internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/target.h"

#define MAX_WORDS 128
#define READY_MS 600000
#define STOP_MS 10000

int target_parse(struct target_kind *k, const char *text, struct orcd_error *err)
{
    static const struct {
        const char *prefix;
        enum target_api api;
    } peers[] = {{"openai:", TARGET_OPENAI}, {"llama.cpp:", TARGET_LLAMACPP}};
    struct target_kind kind = {.api = TARGET_ORCD};
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    if (n == 0 || n >= sizeof(kind.name))
        return error_set(err, ORCD_E_INVALID, "target '%s': the name must have 1 to %zu characters", text,
            sizeof(kind.name) - 1);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i]))
            return error_set(
                err, ORCD_E_INVALID, "target '%s': the name must have only letters, digits and -._", text);
    memcpy(kind.name, text, n);
    if (!equals) {
        if (strncmp(text, "orcd-", 5) || !text[5])
            return error_set(err, ORCD_E_INVALID,
                "target '%s': must be orcd-PLUGIN, NAME=openai:URL, NAME=llama.cpp:URL or "
                "NAME=llama.cpp:exec:COMMAND",
                text);
        kind.plugin = text + 5;
        *k = kind;
        return 0;
    }
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        size_t n_prefix = strlen(peers[i].prefix);
        const char *rest = equals + 1 + n_prefix;
        if (strncmp(equals + 1, peers[i].prefix, n_prefix))
            continue;
        kind.api = peers[i].api;
        if (strncmp(rest, "exec:", 5) == 0 && strstr(rest, "{port}"))
            kind.command = rest + 5;
        else if (strncmp(rest, "http://", 7) == 0 && rest[7])
            kind.url = rest;
        else
            return error_set(err, ORCD_E_INVALID,
                "target '%s': must have http://HOST:PORT or exec:COMMAND with {port} after %s", text,
                peers[i].prefix);
        *k = kind;
        return 0;
    }
    return error_set(
        err, ORCD_E_INVALID, "target '%s': must have openai: or llama.cpp: after the name", text);
}

/* A port that was free a moment ago. */
static int free_port(struct orcd_error *err)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&a, sizeof(a));
    rc = rc ? rc : getsockname(fd, (struct sockaddr *)&a, &size);
    if (rc)
        error_set_errno(err, ORCD_E_IO, errno, "cannot find a free port");
    if (fd >= 0)
        close(fd);
    return rc ? ORCD_E_IO : ntohs(a.sin_port);
}

/* Returns one word of the command, malloc'ed, with {port} and {model} filled in. */
static char *fill_word(const char *from, const char *to, const char *port, const char *model)
{
    char *word = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&word, &n);
    char quote = 0;
    while (f && from < to) {
        if (*from == quote) {
            quote = 0;
            from++;
        } else if (!quote && (*from == '\'' || *from == '"')) {
            quote = *from++;
        } else if (strncmp(from, "{port}", 6) == 0) {
            fputs(port, f);
            from += 6;
        } else if (strncmp(from, "{model}", 7) == 0) {
            fputs(model, f);
            from += 7;
        } else {
            fputc(*from++, f);
        }
    }
    if (f && fclose(f)) {
        free(word);
        return NULL;
    }
    return word;
}

/* Starts the command of a peer. It is split at spaces; quotes work as in a shell, nothing else does. */
static int spawn_peer(struct target *t, const struct target_params *p, struct orcd_error *err)
{
    char *words[MAX_WORDS] = {NULL}, port[16];
    const char *c = t->kind.command;
    int n = 0, number = free_port(err), rc = 0;
    if (number < 0)
        return number;
    if (!p->model && strstr(c, "{model}"))
        return error_set(err, ORCD_E_INVALID, "target %s needs a model: --model FILE", t->kind.name);
    snprintf(port, sizeof(port), "%d", number);
    snprintf(t->url, sizeof(t->url), "http://127.0.0.1:%d", number);
    while (rc == 0) {
        while (*c == ' ')
            c++;
        if (!*c)
            break;
        const char *from = c;
        for (char quote = 0; *c && (quote || *c != ' '); c++)
            quote = quote ? (*c == quote ? 0 : quote) : *c == '\'' || *c == '"' ? *c : 0;
        if (n == MAX_WORDS - 1)
            rc = error_set(
                err, ORCD_E_INVALID, "target %s: the command exceeds the limit of %d words", t->kind.name, n);
        else if (!(words[n++] = fill_word(from, c, port, p->model ? p->model : "")))
            rc = error_set(err, ORCD_E_NOMEM, "out of memory");
    }
    if (rc == 0 && n == 0)
        rc = error_set(err, ORCD_E_INVALID, "target %s: the command is empty", t->kind.name);
    rc = rc ? rc : target_exec(t, words[0], (const char *const *)words, err);
    for (int i = 0; i < n; i++)
        free(words[i]);
    return rc;
}

static int spawn_ours(struct target *t, const struct target_params *p, struct orcd_error *err)
{
    const char *words[MAX_WORDS] = {
        "orcd", "serve", "--config", "/dev/null", "--plugin", t->kind.plugin, "--listen", "127.0.0.1:0"};
    int n = 8;
    for (const char *const *s = p->settings; s && *s; s++) {
        if (n > MAX_WORDS - 5)
            return error_set(err, ORCD_E_INVALID, "too many settings");
        words[n++] = "--set";
        words[n++] = *s;
    }
    if (p->model) {
        words[n++] = "--";
        words[n++] = p->model;
    }
    return target_exec(t, "/proc/self/exe", words, err);
}

int target_spawn(struct target **out, const struct target_kind *kind, const struct target_params *p,
    struct orcd_error *err)
{
    static const struct target_params none;
    struct target *t = calloc(1, sizeof(*t));
    p = p ? p : &none;
    if (!t)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    t->kind = *kind;
    t->pid_fd = t->out_fd = t->log_fd = -1;
    t->keep_log = p->keep_log;
    snprintf(t->model_id, sizeof(t->model_id), "default");
    int rc = 0;
    if (!kind->plugin && p->settings && *p->settings)
        rc = error_set(
            err, ORCD_E_UNSUPPORTED, "%s is not a worker of orcd and accepts no settings", kind->name);
    else if (kind->plugin)
        rc = spawn_ours(t, p, err);
    else if (kind->command)
        rc = spawn_peer(t, p, err);
    else {
        t->times.spawned_ns = clock_mono_ns();
        snprintf(t->url, sizeof(t->url), "%s", kind->url);
    }
    if (rc) {
        target_stop(t);
        return rc;
    }
    *out = t;
    return 0;
}

/* Reports the last line of the server's log, which usually has the reason. */
static int died(struct target *t, struct orcd_error *err)
{
    const char *log = target_log(t);
    size_t n = strlen(log);
    while (n && log[n - 1] == '\n')
        n--;
    size_t from = n;
    while (from && log[from - 1] != '\n' && n - from < 160)
        from--;
    return error_set(err, ORCD_E_STOPPED, "%s ended with status %d while starting: %.*s", t->kind.name,
        t->status, (int)(n - from), log + from);
}

static int too_slow(const struct target *t, struct orcd_error *err)
{
    return error_set(err, ORCD_E_BUSY, "%s did not become ready in time", t->kind.name);
}

/* A worker of orcd prints on standard output where it listens, and that it is ready. */
static void take_line(struct target *t, bool *ready)
{
    static const char listening[] = "orcd: listening on ";
    if (strncmp(t->line, listening, sizeof(listening) - 1) == 0) {
        t->times.listening_ns = clock_mono_ns();
        snprintf(t->url, sizeof(t->url), "%s", t->line + sizeof(listening) - 1);
    } else if (strcmp(t->line, "orcd: ready") == 0) {
        *ready = true;
    }
}

static int wait_for_word(struct target *t, uint64_t until_ns, struct orcd_error *err)
{
    bool ready = false;
    while (!ready) {
        uint64_t now = clock_mono_ns();
        struct pollfd fd = {.fd = t->out_fd, .events = POLLIN};
        if (now >= until_ns)
            return too_slow(t, err);
        if (poll(&fd, 1, (int)((until_ns - now) / NS_PER_MS) + 1) <= 0)
            continue;
        char bytes[512];
        ssize_t got = read(t->out_fd, bytes, sizeof(bytes));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            target_ended(t, STOP_MS);
            return died(t, err);
        }
        for (ssize_t i = 0; i < got; i++) {
            if (bytes[i] == '\n') {
                t->line[t->n_line] = 0;
                t->n_line = 0;
                take_line(t, &ready);
            } else if (t->n_line + 1 < sizeof(t->line)) {
                t->line[t->n_line++] = bytes[i];
            }
        }
    }
    return 0;
}

/* The name of the model in an OpenAI server: the first one in its list. */
static void ask_model_id(struct target *t)
{
    char *body = NULL;
    if (target_get(t, "/v1/models", 2000, &body) == 200 && body) {
        const char *id = strstr(body, "\"id\"");
        id = id ? strchr(id + 4, '"') : NULL;
        size_t n = id ? strcspn(id + 1, "\"\\") : 0;
        if (n && n < sizeof(t->model_id)) {
            memcpy(t->model_id, id + 1, n);
            t->model_id[n] = 0;
        }
    }
    free(body);
}

int target_wait_ready(struct target *t, uint64_t timeout_ms, struct orcd_error *err)
{
    uint64_t until = clock_mono_ns() + timeout_ms * NS_PER_MS;
    int rc = t->out_fd >= 0 ? wait_for_word(t, until, err) : 0;
    if (rc)
        return rc;
    for (;;) {
        int status = target_get(t, "/health", 2000, NULL);
        uint64_t now = clock_mono_ns();
        if (status > 0 && !t->times.listening_ns)
            t->times.listening_ns = now;
        /* A server without /health counts as ready when it lists models. */
        if (status == 404)
            status = target_get(t, "/v1/models", 2000, NULL);
        if (status == 200) {
            t->times.ready_ns = clock_mono_ns();
            break;
        }
        if (t->pid && target_ended(t, 0))
            return died(t, err);
        if (now >= until)
            return too_slow(t, err);
        poll(NULL, 0, 2);
    }
    if (t->kind.api == TARGET_OPENAI)
        ask_model_id(t);
    target_log_seal(t);
    return 0;
}

int target_start(struct target **out, const struct target_kind *kind, const struct target_params *p,
    struct orcd_error *err)
{
    struct target *t;
    int rc = target_spawn(&t, kind, p, err);
    if (rc)
        return rc;
    rc = target_wait_ready(t, READY_MS, err);
    if (rc) {
        if (t->pid && !t->gone)
            kill(-t->pid, SIGKILL);
        target_stop(t);
        return rc;
    }
    *out = t;
    return 0;
}

int target_stop(struct target *t)
{
    if (!t)
        return -1;
    if (t->pid && !t->gone) {
        kill(t->pid, SIGTERM);
        if (!target_ended(t, STOP_MS)) {
            kill(-t->pid, SIGKILL);
            target_ended(t, -1);
        }
    }
    int status = t->pid ? t->status : -1;
    int fds[] = {t->pid_fd, t->out_fd, t->log_fd};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(t->log);
    free(t);
    return status;
}

const char *target_url(const struct target *t)
{
    return t->url;
}

enum target_api target_api(const struct target *t)
{
    return t->kind.api;
}

pid_t target_pid(const struct target *t)
{
    return t->pid;
}

void target_times(const struct target *t, struct target_times *out)
{
    *out = t->times;
}
