#include "process/shutdown-watch.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "process/notify.h"
#include "process/signals.h"

/* The watch ends the process this long before the grace is over (a tenth of the grace, if
 * that is less): waking up, the last log line and the end of the process take time too. */
#define LEAVE_MS 50
#define LAST_LINE_MS 20 /* nobody may read the log */

double shutdown_watch_elapsed_ms(const struct shutdown_watch *w)
{
    return (double)(clock_mono_ns() - w->began_ns) / NS_PER_MS;
}

uint64_t shutdown_watch_left_ms(const struct shutdown_watch *w, uint64_t until_ms)
{
    uint64_t gone = (clock_mono_ns() - w->began_ns) / NS_PER_MS;
    return gone < until_ms ? until_ms - gone : 0;
}

_Noreturn void shutdown_watch_leave(const struct shutdown_watch *w, int status, const char *why)
{
    double ms = shutdown_watch_elapsed_ms(w);
    log_event(ORCD_LOG_ERROR, "shutdown", LOG_T("reason", why), LOG_F("graceful_shutdown_duration_ms", ms),
        LOG_I("status", status), (struct log_field *)NULL);
    notify("STATUS=%s after %.1f ms", why, ms);
    log_flush(LAST_LINE_MS);
    _exit(status);
}

static void *watch_main(void *arg)
{
    struct shutdown_watch *w = arg;
    const uint64_t patience_ms = w->grace_ms - min_u64(LEAVE_MS, w->grace_ms / 10);
    for (;;) {
        uint64_t left = shutdown_watch_left_ms(w, patience_ms);
        if (!left)
            shutdown_watch_leave(w, w->late_status, w->late);
        struct pollfd p = {.fd = w->signal_fd, .events = POLLIN};
        poll(&p, 1, (int)left);
        int sig = signals_next(w->signal_fd, NULL);
        if (sig && atomic_load(&w->done))
            return NULL;
        if (sig == SIGTERM || sig == SIGINT)
            shutdown_watch_leave(w, 128 + sig, "second signal; exiting at once");
    }
}

void shutdown_watch_start(struct shutdown_watch *w)
{
    w->began_ns = clock_mono_ns();
    atomic_store(&w->done, false);
    w->runs = pthread_create(&w->thread, NULL, watch_main, w) == 0;
}

void shutdown_watch_stop(struct shutdown_watch *w)
{
    atomic_store(&w->done, true);
    if (!w->runs)
        return;
    pthread_kill(w->thread, SIGHUP); /* blocked everywhere: it arrives at signal_fd */
    pthread_join(w->thread, NULL);
    w->runs = false;
}
