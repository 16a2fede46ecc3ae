#include "process/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/util.h"

/* What would end a process that does not expect it: a file at its size limit, timers, a full pipe, and what
 * people send to programs that are said to log or reload by it. */
static const int ignored[] = {
    SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGTTOU, SIGTTIN};

static void set_ignored(void (*action)(int))
{
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], action);
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        signal(s, action);
}

void signals_default(void)
{
    sigset_t none;
    sigemptyset(&none);
    set_ignored(SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int signals_open(int *fd, struct orcd_error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    set_ignored(SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    *fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *fd < 0 ? error_set_errno(err, ORCD_E_IO, errno, "cannot create a signalfd") : 0;
}

int signals_next(int fd, pid_t *from)
{
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return 0;
    if (from)
        *from = (pid_t)info.ssi_pid;
    return (int)info.ssi_signo;
}
