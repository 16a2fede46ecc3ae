/* The process of a target: its start, end and log, and its figures in /proc and /metrics. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "client/client.h"
#include "lib/target-internal.h"
#include "process/spawn.h"

#define LOG_MAX (1 << 20)
#define METRICS_MAX (16u << 20)

extern char **environ;

/* Settings of whoever runs the benchmark don't reach a server of ours. NULL: no memory. */
static char **clean_environment(void)
{
    size_t n = 0, m = 0;
    while (environ[n])
        n++;
    char **e = calloc(n + 1, sizeof(*e));
    for (size_t i = 0; e && i < n; i++)
        if (strncmp(environ[i], "ORCD_", 5) || strncmp(environ[i], "ORCD_PLUGIN_DIR=", 16) == 0)
            e[m++] = environ[i];
    return e;
}

int target_exec(struct target *t, const char *path, const char *const *words, struct orcd_error *err)
{
    int out[2] = {-1, -1};
    int rc = client_prepare(err); /* not while the time until the server answers is measured */
    if (rc)
        return rc;
    char **env = clean_environment();
    t->log_fd = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (!env || t->log_fd < 0 || fcntl(t->log_fd, F_SETFL, O_APPEND) ||
        (t->kind.plugin && pipe2(out, O_CLOEXEC))) {
        free(env);
        return error_set_errno(err, ORCD_E_IO, errno, "%s cannot be started", t->kind.name);
    }
    const int fds[] = {SPAWN_NULL, out[1] >= 0 ? out[1] : t->log_fd, t->log_fd};
    const struct spawn_params p = {
        .path = path,
        .words = words,
        .environment = env,
        .fds = fds,
        .n_fds = ARRAY_LEN(fds),
        .dies_with_thread = true, /* nothing of the server may outlive us */
    };
    t->times.spawned_ns = clock_mono_ns();
    rc = spawn_child(&p, &t->pid, err);
    free(env);
    if (out[1] >= 0)
        close(out[1]);
    t->out_fd = out[0];
    if (rc)
        return rc;
    t->pid_fd = (int)syscall(SYS_pidfd_open, t->pid, 0);
    return t->pid_fd < 0 ? error_set_errno(err, ORCD_E_UNSUPPORTED, errno, "pidfd_open") : 0;
}

bool target_ended(struct target *t, int timeout_ms)
{
    if (t->gone || !t->pid)
        return t->gone;
    struct pollfd fd = {.fd = t->pid_fd, .events = POLLIN};
    uint64_t until = clock_mono_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * NS_PER_MS;
    int status;
    for (;;) {
        uint64_t now = clock_mono_ns();
        int left = timeout_ms < 0 ? -1 : now >= until ? 0 : (int)((until - now) / NS_PER_MS) + 1;
        int rc = t->pid_fd >= 0 ? poll(&fd, 1, left) : 1;
        if (rc > 0)
            break;
        if (rc == 0 && left >= 0 && clock_mono_ns() >= until)
            return false;
    }
    if (!spawn_wait(t->pid, &status))
        return t->gone = true;
    t->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return t->gone = true;
}

int target_wait_exit(
    struct target *t, uint64_t timeout_ms, uint64_t *exited_ns, int *status, struct orcd_error *err)
{
    if (!t->pid)
        return error_set(err, ORCD_E_UNSUPPORTED, "%s was not started by this benchmark", t->kind.name);
    if (!target_ended(t, timeout_ms > INT32_MAX ? -1 : (int)timeout_ms))
        return error_set(err, ORCD_E_BUSY, "%s is still running", t->kind.name);
    *exited_ns = clock_mono_ns();
    *status = t->status;
    return 0;
}

/* A server that is not asked for its log writes into a file that cannot grow: it pays for
 * its lines as always, and a long run fills no memory. */
void target_log_seal(struct target *t)
{
    if (!t->keep_log && t->log_fd >= 0)
        fcntl(t->log_fd, F_ADD_SEALS, F_SEAL_GROW);
}

const char *target_log(const struct target *t)
{
    struct target *mine = (struct target *)(uintptr_t)t; /* a cache */
    struct stat st;
    if (t->log_fd < 0 || fstat(t->log_fd, &st))
        return "";
    size_t n = st.st_size > LOG_MAX ? LOG_MAX : (size_t)st.st_size;
    char *text = realloc(mine->log, n + 1);
    if (!text)
        return "";
    ssize_t got = pread(t->log_fd, text, n, st.st_size - (off_t)n);
    text[got < 0 ? 0 : got] = 0;
    return mine->log = text;
}

/* --- /proc --- */

static FILE *proc_open(const struct target *t, const char *what)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)t->pid, what);
    return t->pid && !t->gone ? fopen(path, "re") : NULL;
}

uint64_t target_rss_bytes(const struct target *t)
{
    unsigned long long size, resident = 0;
    FILE *f = proc_open(t, "statm");
    if (f && fscanf(f, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t target_cpu_ns(const struct target *t)
{
    char line[1024];
    unsigned long long user = 0, system = 0;
    FILE *f = proc_open(t, "stat");
    char *p = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL; /* the name may hold anything */
    if (f)
        fclose(f);
    if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        return 0;
    return (user + system) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

unsigned target_fds(const struct target *t)
{
    char path[64];
    unsigned n = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)t->pid);
    DIR *d = t->pid && !t->gone ? opendir(path) : NULL;
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

/* --- HTTP --- */

int target_get(const struct target *t, const char *path, int timeout_ms, char **body)
{
    struct client *c = NULL;
    struct client_request r = {.method = "GET", .path = path};
    char *text = NULL;
    size_t n;
    int status = 0;
    int rc = client_open(&c, t->url, timeout_ms, NULL);
    if (rc)
        return rc;
    client_set_timeout(c, timeout_ms);
    rc = client_send(c, &r, &status, NULL);
    rc = rc ? rc : client_read_all(c, METRICS_MAX, &text, &n, NULL);
    client_close(c);
    if (body)
        *body = rc ? NULL : text;
    if (rc == 0 && !body)
        free(text);
    return rc ? rc : status;
}

char *target_metrics(const struct target *t)
{
    char *body = NULL;
    if (target_get(t, "/metrics", 10000, &body) != 200) {
        free(body);
        return NULL;
    }
    return body;
}

double target_metric_of(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : p) {
        char *end;
        if (strncmp(p, name, n) || p[n] != ' ')
            continue;
        double v = strtod(p + n + 1, &end);
        return end == p + n + 1 ? NAN : v;
    }
    return NAN;
}

double target_metric(const struct target *t, const char *name)
{
    char *text = target_metrics(t);
    double v = target_metric_of(text, name);
    free(text);
    return v;
}
