#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/signals.h"

extern char **environ;

/* Makes fds[i] descriptor i. All are duplicated to higher numbers first, since one may have
 * the number that another must get. */
static bool place(const int *fds, size_t n)
{
    int lifted[SPAWN_MAX_FDS];
    for (size_t i = 0; i < n; i++) {
        if (fds[i] == SPAWN_KEEP)
            continue;
        int fd = fds[i] == SPAWN_NULL ? open("/dev/null", O_RDONLY | O_CLOEXEC) : fds[i];
        lifted[i] = fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_MAX_FDS);
        if (lifted[i] < 0)
            return false;
    }
    for (size_t i = 0; i < n; i++)
        if (fds[i] != SPAWN_KEEP && dup2(lifted[i], (int)i) < 0)
            return false;
    return true;
}

/* In the child, after fork: only calls that are safe there. If something fails, its errno is
 * written to tell_fd, which the parent reads. */
static _Noreturn void become(const struct spawn_params *p, pid_t parent, int tell_fd)
{
    setpgid(0, 0);
    if (p->dies_with_thread)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (p->dies_with_thread && getppid() != parent) /* the parent has ended already */
        _exit(127);
    signals_default();
    tell_fd = fcntl(tell_fd, F_DUPFD_CLOEXEC, SPAWN_MAX_FDS);
    if (tell_fd >= 0 && place(p->fds, p->n_fds))
        execvpe(p->path, (char *const *)(uintptr_t)p->words, p->environment ? p->environment : environ);
    int why = errno;
    (void)!write(tell_fd, &why, sizeof(why));
    _exit(127);
}

/* The errno of a child that could not start its program; 0: the program runs. */
static int hear(int fd)
{
    int why = 0;
    ssize_t got;
    while ((got = read(fd, &why, sizeof(why))) < 0 && errno == EINTR)
        ;
    return got == sizeof(why) ? why : 0;
}

static int failed(const struct spawn_params *p, int why, struct orcd_error *err)
{
    int code = why == ENOENT ? ORCD_E_NOT_FOUND : why == EACCES ? ORCD_E_PERMISSION : ORCD_E_IO;
    return error_set_errno(err, code, why, "%s cannot be started", p->path);
}

int spawn_child(const struct spawn_params *p, pid_t *pid, struct orcd_error *err)
{
    int tell[2], why, status;
    pid_t parent = getpid();
    if (p->n_fds > SPAWN_MAX_FDS)
        return error_set(err, ORCD_E_INVALID, "%s: more than %d descriptors", p->path, SPAWN_MAX_FDS);
    if (pipe2(tell, O_CLOEXEC)) /* executing closes the child's end */
        return failed(p, errno, err);
    fflush(NULL); /* what we have printed comes before what it prints */
    pid_t child = fork();
    if (child == 0)
        become(p, parent, tell[1]);
    why = child < 0 ? errno : 0;
    close(tell[1]);
    if (child > 0) {
        setpgid(child, child); /* the child does the same; whichever runs first counts */
        why = hear(tell[0]);
        if (why)
            spawn_wait(child, &status);
    }
    close(tell[0]);
    if (why)
        return failed(p, why, err);
    *pid = child;
    return 0;
}

bool spawn_wait(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0)
        if (errno != EINTR)
            return false;
    return true;
}
