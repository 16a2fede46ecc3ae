#include "private-worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "client/client.h"
#include "process/spawn.h"

#define LIFELINE_FD 3
#define MAX_WORDS (2 * CLI_MAX_GIVEN + 32)

static int make_dir(struct private_worker *w)
{
    const char *bases[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
    for (size_t i = 0; i < 3; i++) {
        if (!bases[i] || *bases[i] != '/' || strlen(bases[i]) > 60) /* the path of a socket must be short */
            continue;
        snprintf(w->dir, sizeof(w->dir), "%s/orcd-XXXXXX", bases[i]);
        if (mkdtemp(w->dir)) {
            snprintf(w->url, sizeof(w->url), "unix:%s/worker.sock", w->dir);
            return 0;
        }
    }
    w->dir[0] = 0;
    return cli_fail(EX_CANTCREAT, "cannot create a temporary folder: %s", strerror(errno));
}

/* Fills in the command line of the worker. Options that set the configuration are passed on. */
static void build_command(const struct private_worker *w, const struct cli_args *a, const char *model,
    const char **words, char *lifeline, size_t size)
{
    static const char *const passed[] = {"config", "set", "plugin", "gpu-device"};
    static char options[CLI_MAX_GIVEN][16];
    int n = 0;
    words[n++] = "orcd";
    words[n++] = "serve";
    for (int i = 0; i < a->n_given; i++)
        for (size_t j = 0; j < sizeof(passed) / sizeof(passed[0]); j++)
            if (strcmp(a->given[i].option->name, passed[j]) == 0) {
                snprintf(options[i], sizeof(options[i]), "--%s", passed[j]);
                words[n++] = options[i];
                words[n++] = a->given[i].value;
            }
    words[n++] = "--listen";
    words[n++] = w->url;
    words[n++] = "--set";
    words[n++] = "log.level=error";
    words[n++] = "--set";
    words[n++] = "http.api_keys_file=null"; /* the mode of the folder keeps others out */
    words[n++] = "--set";
    words[n++] = "worker.callback_url=null";
    words[n++] = "--set";
    words[n++] = "worker.callback_secret_file=null";
    snprintf(lifeline, size, "--lifeline-fd=%d", LIFELINE_FD);
    words[n++] = lifeline;
    words[n++] = "--as";
    words[n++] = a->verb->name;
    if (model) {
        words[n++] = "--";
        words[n++] = model;
    }
    words[n] = NULL;
}

/* Reads the standard output of the worker until "orcd: ready". If the worker ends first, the start
 * has failed. */
static int wait_ready(struct private_worker *w, int wake_fd)
{
    char text[4096];
    size_t have = 0;
    for (;;) {
        struct pollfd fds[] = {{.fd = w->output_fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno == EINTR)
            continue;
        if (fds[1].revents)
            return 128 + SIGINT;
        ssize_t got = read(w->output_fd, text + have, sizeof(text) - 1 - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += (size_t)got;
        text[have] = 0;
        if (strstr(text, "orcd: ready\n"))
            return 0;
        if (have == sizeof(text) - 1)
            have = 0;
    }
    int status = 0;
    spawn_wait(w->pid, &status);
    w->pid = 0;
    if (WIFSIGNALED(status))
        return cli_fail(EX_SOFTWARE, "the private worker was ended by signal %d while it loaded the model",
            WTERMSIG(status));
    if (WEXITSTATUS(status) == 0)
        return cli_fail(EX_SOFTWARE, "the private worker stopped before it was ready");
    return WEXITSTATUS(status); /* it has printed why */
}

int private_worker_start(struct private_worker *w, const struct cli_args *a, const char *model, int wake_fd)
{
    static const char *words[MAX_WORDS];
    char lifeline[32];
    struct orcd_error err = ORCD_ERROR_INIT;
    int life[2], out[2];
    memset(w, 0, sizeof(*w));
    w->lifeline_fd = w->output_fd = -1;
    int rc = make_dir(w);
    if (rc)
        return rc;
    build_command(w, a, model, words, lifeline, sizeof(lifeline));
    if (pipe2(life, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        return cli_fail(EX_OSERR, "cannot create a pipe: %s", strerror(errno));
    const int fds[] = {SPAWN_NULL, out[1], SPAWN_KEEP, [LIFELINE_FD] = life[0]};
    /* The worker is in a process group of its own: Ctrl-C in the terminal reaches only the client, which
     * decides what to do. */
    const struct spawn_params p = {
        .path = "/proc/self/exe",
        .words = words,
        .fds = fds,
        .n_fds = ARRAY_LEN(fds),
    };
    rc = spawn_child(&p, &w->pid, &err);
    close(life[0]);
    close(out[1]);
    w->lifeline_fd = life[1];
    w->output_fd = out[0];
    if (rc)
        return cli_fail(EX_OSERR, "%s", err.msg);
    client_prepare(NULL); /* while the model loads */
    return wait_ready(w, wake_fd);
}

void private_worker_stop(struct private_worker *w)
{
    if (w->lifeline_fd >= 0)
        close(w->lifeline_fd);
    if (w->output_fd >= 0)
        close(w->output_fd);
    w->lifeline_fd = w->output_fd = -1;
    int status;
    if (w->pid > 0) /* it stops within its shutdown.grace_ms */
        spawn_wait(w->pid, &status);
    w->pid = 0;
    if (*w->dir) {
        unlink(w->url + strlen("unix:"));
        rmdir(w->dir);
    }
    w->dir[0] = 0;
}
