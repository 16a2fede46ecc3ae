/* The end of a worker: drain, abort, flush, free, with somebody who watches the clock. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "config/secrets.h"
#include "process/notify.h"
#include "worker-parts.h"

#define LOADER_MS 1000 /* for a load to notice that it is not wanted any more */

/* The watch leaves this much before the grace is over (a tenth of a short one): waking up,
 * the last line of the log and the end of the process take time too. */
#define LEAVE_MS 50

struct watch {
    uint64_t began_ns, grace_ms;
    int signal_fd;
    atomic_bool done;
};

static uint64_t elapsed_ms(uint64_t since_ns)
{
    return (clock_mono_ns() - since_ns) / NS_PER_MS;
}

static _Noreturn void leave(const struct watch *watch, int status, const char *why)
{
    double ms = (double)(clock_mono_ns() - watch->began_ns) / NS_PER_MS;
    log_event(ORCD_LOG_ERROR, "shutdown", LOG_T("reason", why), LOG_F("graceful_shutdown_duration_ms", ms),
        LOG_I("status", status), (struct log_field *)NULL);
    notify("STATUS=%s after %.1f ms", why, ms);
    _exit(status);
}

/* Ends the process when the grace is over or a second signal comes. */
static void *watch_main(void *arg)
{
    struct watch *watch = arg;
    const uint64_t patience_ms = watch->grace_ms - min_u64(LEAVE_MS, watch->grace_ms / 10);
    for (;;) {
        uint64_t gone = elapsed_ms(watch->began_ns);
        if (gone >= patience_ms)
            leave(watch, WORKER_EXIT_HUNG, "not over within shutdown.grace_ms (a hung plugin?); leaving");
        struct pollfd p = {.fd = watch->signal_fd, .events = POLLIN};
        poll(&p, 1, (int)(patience_ms - gone));
        struct signalfd_siginfo info;
        if (read(watch->signal_fd, &info, sizeof(info)) != sizeof(info))
            continue;
        if (atomic_load(&watch->done))
            return NULL;
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            leave(watch, 128 + (int)info.ssi_signo, "a second signal; leaving at once");
    }
}

static uint64_t left_ms(const struct watch *watch, uint64_t until_ms)
{
    uint64_t gone = elapsed_ms(watch->began_ns);
    return gone < until_ms ? until_ms - gone : 0;
}

static void free_all(struct worker *w)
{
    engine_free(w->engine);
    api_free(w->api);
    backend_close(w->backend);
    plugin_stop(w->plugin);
    model_close(w->model);
    chat_template_free(w->chat);
    tokenizer_free(w->tokenizer);
    health_free(w->health);
    secrets_free(w->api_keys, w->n_api_keys);
    if (w->callback_secret)
        explicit_bzero(w->callback_secret, strlen(w->callback_secret));
    free(w->callback_secret);
}

/* False: it goes on. The loader's last act is to write to wake_fd. */
static bool loader_join(struct worker *w, uint64_t timeout_ms)
{
    uint64_t until = clock_mono_ns() + timeout_ms * NS_PER_MS, now, count;
    while (!atomic_load(&w->load_done)) {
        if ((now = clock_mono_ns()) >= until)
            return false;
        struct pollfd p = {.fd = w->wake_fd, .events = POLLIN};
        poll(&p, 1, (int)((until - now) / NS_PER_MS) + 1);
        (void)!read(w->wake_fd, &count, sizeof(count));
    }
    pthread_join(w->loader, NULL);
    w->loader_running = false;
    return true;
}

/* Jobs, then connections, then memory. */
static void wind_down(struct worker *w, const struct watch *watch)
{
    uint64_t drain = (uint64_t)w->config->shutdown.drain_ms;
    atomic_store(&w->load_stop, true);
    if (w->health)
        health_set_draining(w->health);
    if (w->http)
        http_server_drain(w->http);
    if (w->engine)
        engine_drain(w->engine);
    if (w->loader_running && !loader_join(w, min_u64(LOADER_MS, left_ms(watch, watch->grace_ms) / 2))) {
        if (w->http)
            http_server_stop(w->http, left_ms(watch, watch->grace_ms) / 2);
        leave(watch, WORKER_EXIT_HUNG, "the plugin is still loading; leaving");
    }
    if (w->engine && !engine_wait_idle(w->engine, left_ms(watch, drain))) {
        log_info("shutdown: aborting the jobs that are left");
        engine_abort_all(w->engine, ABORT_SHUTDOWN);
        /* Half of what is left for the plugin, the rest for sending the terminal events. */
        engine_wait_idle(w->engine, left_ms(watch, watch->grace_ms) / 2);
    }
    if (w->http)
        http_server_stop(w->http, left_ms(watch, watch->grace_ms) / 2);
    if (w->health && !health_stop(w->health, left_ms(watch, watch->grace_ms) / 2))
        leave(watch, WORKER_EXIT_HUNG, "a memory query of the plugin hangs; leaving");
    free_all(w);
}

int worker_shutdown(struct worker *w, int status)
{
    struct watch watch = {
        .began_ns = clock_mono_ns(),
        .grace_ms = (uint64_t)w->config->shutdown.grace_ms,
        .signal_fd = w->signal_fd,
    };
    notify("STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%llu",
        (unsigned long long)(watch.grace_ms + 1000) * 1000);
    pthread_t watcher;
    bool watched = pthread_create(&watcher, NULL, watch_main, &watch) == 0;
    bool served = w->http != NULL;
    wind_down(w, &watch);
    atomic_store(&watch.done, true);
    if (watched) {
        pthread_kill(watcher, SIGHUP); /* blocked everywhere: it arrives at the signalfd */
        pthread_join(watcher, NULL);
    }
    double ms = (double)(clock_mono_ns() - watch.began_ns) / NS_PER_MS;
    if (served)
        log_event(ORCD_LOG_INFO, "shutdown", LOG_F("graceful_shutdown_duration_ms", ms),
            LOG_I("status", status), (struct log_field *)NULL);
    notify("STATUS=stopped after %.1f ms", ms);
    return status;
}
