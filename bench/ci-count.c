#include "bench/ci-count.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "bench/ci.h"

#define MAX_JOBS 8
#define MAX_CPU_S 120 /* per process; a case takes about 1 s */
#define LOG_BYTES 16384

/* The C library chooses its string functions by the features of the processor. With these masks and
 * sizes it chooses the same ones on every x86-64: those that need only SSE2. */
#define SAME_EVERYWHERE                                                                                      \
    "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-FMA,-FMA4,-BMI1,-BMI2,"        \
    "-LZCNT,-MOVBE,-POPCNT,-RTM,-ERMS,-FSRM,-SSE4_2,-SSE4_1,-SSSE3:glibc.cpu.x86_data_cache_size=32768:"     \
    "glibc.cpu.x86_shared_cache_size=1048576:glibc.cpu.x86_non_temporal_threshold=786432:"                   \
    "glibc.malloc.arena_max=1"

/* One process: half of a measurement. */
struct task {
    struct ci_count *count;
    uint64_t runs, instructions;
    pid_t pid; /* 0: none */
    int fd;    /* its log */
    char log[LOG_BYTES];
    size_t n_log;
};

struct pool {
    struct task *tasks;
    size_t n, next, running, max;
    const char *model;
    char exe[4096];
};

/* ------------------------------------------------------------------ the process */

/* Only the environment variables that valgrind and the loader need reach the case. */
static void keep(char **env, size_t *n, const char *name)
{
    const char *value = getenv(name);
    if (value && asprintf(&env[*n], "%s=%s", name, value) > 0)
        ++*n;
}

static void task_exec(const struct pool *p, const struct task *t)
{
    static char tunables[] = SAME_EVERYWHERE, locale[] = "LC_ALL=C";
    char *env[8] = {tunables, locale}, runs[32];
    size_t n = 2;
    keep(env, &n, "LD_LIBRARY_PATH");
    keep(env, &n, "VALGRIND_LIB");
    snprintf(runs, sizeof(runs), "%llu", (unsigned long long)t->runs);
    const char *const args[] = {"valgrind", "--tool=cachegrind", "--cache-sim=no",
        "--cachegrind-out-file=/dev/null", p->exe, "bench", "--" BENCH_CI_CASE_OPTION, t->count->micro->name,
        "--" BENCH_CI_RUNS_OPTION, runs, p->model ? "--model" : NULL, p->model, NULL};
    const struct rlimit cpu = {MAX_CPU_S, MAX_CPU_S};
    int null = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(t->fd, 2) < 0 || chdir("/") ||
        setrlimit(RLIMIT_CPU, &cpu))
        _exit(126);
    execvpe("valgrind", (char *const *)args, env);
    _exit(127);
}

static bool task_start(const struct pool *p, struct task *t)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC))
        return false;
    t->fd = fds[1];
    t->pid = fork();
    if (t->pid == 0)
        task_exec(p, t);
    close(fds[1]);
    t->fd = fds[0];
    if (t->pid > 0)
        return true;
    t->pid = 0;
    close(fds[0]);
    return false;
}

/* "==17== I   refs:      1,234,567", in newer versions "I refs:". */
static bool read_count(const char *log, uint64_t *out)
{
    const char *p = strstr(log, "refs:");
    if (!p)
        return false;
    p += strcspn(p, "0123456789\n");
    uint64_t v = 0;
    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p) || *p == ','; p++)
        if (*p != ',')
            v = v * 10 + (uint64_t)(*p - '0');
    *out = v;
    return true;
}

/* The last line of the log that is the program's own, without valgrind's "==17== ". */
static void task_why(const struct task *t, int status, char *why, size_t size)
{
    char last[200] = "";
    for (const char *p = t->log; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        int n = (int)strcspn(p, "\n");
        if (n > 0 && strncmp(p, "==", 2) != 0)
            snprintf(last, sizeof(last), "%.*s", n < 180 ? n : 180, p);
    }
    if (WIFSIGNALED(status))
        snprintf(why, size, "ended by signal %d%s%s", WTERMSIG(status), *last ? ": " : "", last);
    else
        snprintf(why, size, "ended with status %d%s%s", WEXITSTATUS(status), *last ? ": " : "", last);
}

/* Waits for the process and reads its count. False: valgrind is not installed. */
static bool task_end(struct task *t)
{
    int status = -1;
    close(t->fd);
    while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR) {}
    t->pid = 0;
    t->log[t->n_log] = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return false;
    if (status != 0)
        task_why(t, status, t->count->failed, sizeof(t->count->failed));
    else if (!read_count(t->log, &t->instructions))
        snprintf(t->count->failed, sizeof(t->count->failed), "valgrind reported no instruction count");
    return true;
}

/* --------------------------------------------------------------------- the pool */

/* Reads more of the log. A log that is too long loses its beginning. False: the log has ended. */
static bool task_read(struct task *t)
{
    if (t->n_log == sizeof(t->log) - 1) {
        size_t half = sizeof(t->log) / 2;
        memmove(t->log, t->log + t->n_log - half, half);
        t->n_log = half;
    }
    ssize_t k = read(t->fd, t->log + t->n_log, sizeof(t->log) - 1 - t->n_log);
    if (k < 0)
        return errno == EINTR;
    t->n_log += (size_t)k;
    return k > 0;
}

/* Waits until any process writes or ends. False: valgrind is not installed. */
static bool pool_turn(struct pool *p)
{
    struct pollfd fds[MAX_JOBS];
    struct task *of[MAX_JOBS];
    nfds_t n = 0;
    bool found = true;
    for (size_t i = 0; i < p->next; i++) {
        if (!p->tasks[i].pid)
            continue;
        of[n] = &p->tasks[i];
        fds[n++] = (struct pollfd){.fd = p->tasks[i].fd, .events = POLLIN};
    }
    if (poll(fds, n, -1) < 0)
        return true; /* EINTR */
    for (nfds_t i = 0; i < n; i++) {
        if (!fds[i].revents || task_read(of[i]))
            continue;
        found = task_end(of[i]) && found;
        p->running--;
    }
    return found;
}

static int pool_run(struct pool *p, struct orcd_error *err)
{
    bool found = true;
    while (p->running || (found && p->next < p->n)) {
        while (found && p->running < p->max && p->next < p->n) {
            struct task *t = &p->tasks[p->next++];
            if (task_start(p, t))
                p->running++;
            else
                snprintf(t->count->failed, sizeof(t->count->failed), "cannot start a process");
        }
        if (p->running)
            found = pool_turn(p) && found;
    }
    return found ? 0 : error_set(err, ORCD_E_NOT_FOUND, "valgrind is not installed");
}

int ci_count(struct ci_count *counts, size_t n, const char *model, struct orcd_error *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct pool *p = calloc(1, sizeof(*p));
    struct task *tasks = calloc(2 * n, sizeof(*tasks));
    int rc = p && tasks ? 0 : micro_no_memory(err);
    ssize_t len = rc ? 0 : readlink("/proc/self/exe", p->exe, sizeof(p->exe) - 1);
    if (!rc && len <= 0)
        rc = error_set(err, ORCD_E_IO, "cannot read the path of this program");
    for (size_t i = 0; i < n && !rc; i++) {
        counts[i].failed[0] = 0;
        tasks[2 * i] = (struct task){.count = &counts[i], .runs = counts[i].micro->runs};
        tasks[2 * i + 1] = (struct task){.count = &counts[i], .runs = 2 * (uint64_t)counts[i].micro->runs};
    }
    if (!rc) {
        p->tasks = tasks;
        p->n = 2 * n;
        p->max = cpus < 1 ? 1 : (size_t)min_u64((uint64_t)cpus, MAX_JOBS);
        p->model = model;
        rc = pool_run(p, err);
    }
    for (size_t i = 0; i < n && !rc; i++)
        counts[i].instructions = ((double)tasks[2 * i + 1].instructions - (double)tasks[2 * i].instructions) /
                                 (double)counts[i].micro->runs;
    free(tasks);
    free(p);
    return rc;
}
