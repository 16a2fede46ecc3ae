/* The shutdown of a worker: drain, abort, send the last events, free, while a thread watches
 * the clock. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "config/secrets.h"
#include "process/notify.h"
#include "process/shutdown-watch.h"
#include "worker-parts.h"

#define LOADER_MS 1000 /* for a load to notice that it must stop */

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
    secrets_text_free(w->keys_text, w->keys_bytes);
    if (w->callback_secret)
        explicit_bzero(w->callback_secret, strlen(w->callback_secret));
    free(w->callback_secret);
}

/* False: the loader still runs. The last thing that it does is to write to wake_fd. */
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

/* Ends the jobs, then the connections, then frees the memory. */
static void wind_down(struct worker *w, const struct shutdown_watch *watch)
{
    uint64_t drain = (uint64_t)w->config->shutdown.drain_ms;
    atomic_store(&w->load_stop, true);
    if (w->health)
        health_set_draining(w->health);
    if (w->http)
        http_server_drain(w->http);
    if (w->engine)
        engine_drain(w->engine);
    if (w->loader_running &&
        !loader_join(w, min_u64(LOADER_MS, shutdown_watch_left_ms(watch, watch->grace_ms) / 2))) {
        if (w->http)
            http_server_stop(w->http, shutdown_watch_left_ms(watch, watch->grace_ms) / 2);
        shutdown_watch_leave(watch, WORKER_EXIT_HUNG, "the plugin is still loading; exiting now");
    }
    if (w->engine && !engine_wait_idle(w->engine, shutdown_watch_left_ms(watch, drain))) {
        log_info("shutdown: aborting the remaining jobs");
        engine_abort_all(w->engine, ABORT_SHUTDOWN);
        /* Half of the remaining time is for the plugin, the rest for sending terminal events. */
        engine_wait_idle(w->engine, shutdown_watch_left_ms(watch, watch->grace_ms) / 2);
    }
    if (w->http)
        http_server_stop(w->http, shutdown_watch_left_ms(watch, watch->grace_ms) / 2);
    if (w->health && !health_stop(w->health, shutdown_watch_left_ms(watch, watch->grace_ms) / 2))
        shutdown_watch_leave(watch, WORKER_EXIT_HUNG, "a memory query of the plugin hangs; exiting now");
    free_all(w);
}

int worker_shutdown(struct worker *w, int status)
{
    struct shutdown_watch watch = {
        .grace_ms = (uint64_t)w->config->shutdown.grace_ms,
        .signal_fd = w->signal_fd,
        .late_status = WORKER_EXIT_HUNG,
        .late = "not finished within shutdown.grace_ms (is the plugin hung?); exiting now",
    };
    shutdown_watch_start(&watch);
    notify("STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%llu",
        (unsigned long long)(watch.grace_ms + 1000) * 1000);
    bool served = w->http != NULL;
    wind_down(w, &watch);
    shutdown_watch_stop(&watch);
    double ms = shutdown_watch_elapsed_ms(&watch);
    if (served)
        log_event(ORCD_LOG_INFO, "shutdown", LOG_F("graceful_shutdown_duration_ms", ms),
            LOG_I("status", status), (struct log_field *)NULL);
    notify("STATUS=stopped after %.1f ms", ms);
    return status;
}
