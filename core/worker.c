#include <config.h>

#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "config/secrets.h"
#include "metrics.h"
#include "process/notify.h"
#include "process/signals.h"
#include "worker-parts.h"

#define TICK_MS 250
#define LAST_LINES_MS 100    /* for the log to be read when the worker ends */
#define EXTEND_EVERY_MS 5000 /* while loading, systemd is asked for three times as much */

static void wake(struct worker *w)
{
    uint64_t one = 1;
    (void)!write(w->wake_fd, &one, sizeof(one));
}

/* HTTP loop: POST /v2/shutdown. */
static void on_shutdown_request(void *arg)
{
    struct worker *w = arg;
    atomic_store(&w->shutdown_asked, true);
    wake(w);
}

static int setup_signals(struct worker *w, struct orcd_error *err)
{
    int rc = signals_open(&w->signal_fd, err);
    if (rc)
        return rc;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0)
        return error_set_errno(err, ORCD_E_IO, errno, "cannot create an eventfd");
    return log_start(err); /* its thread inherits which signals are blocked */
}

/* For http.max_connections connections, and for files and devices. */
static void raise_descriptor_limit(const struct config *c)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)c->http.max_connections + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want)
        return;
    limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static enum admission admission(const char *text)
{
    return *text == 'p' ? ADMISSION_PREDICTIVE : *text == 's' ? ADMISSION_SIMPLE : ADMISSION_OFF;
}

/* With one HTTP loop, the engine thread sends the tokens of steps of up to this many rows
 * itself: one loop would not send them sooner. Several loops would. */
#define SEND_NOW_ROWS_ONE_LOOP 64

static int start_engine(struct worker *w, struct orcd_error *err)
{
    const struct config *c = w->config;
    struct engine_params params = {
        .n_slots = (uint32_t)c->model.slots,
        .n_ctx = w->n_ctx,
        .max_step_rows = (uint32_t)c->model.max_step_rows,
        .max_batch_tokens = (uint32_t)c->model.max_batch_tokens,
        .queue_capacity = (uint32_t)c->queue.capacity,
        .check_every_tokens = (uint32_t)c->checks.every_tokens,
        .check_every_ms = (uint32_t)c->checks.every_ms,
        .prefill_slice_ms = (uint32_t)c->checks.prefill_slice_ms,
        .min_remaining_ms = (uint32_t)c->deadlines.min_remaining_ms,
        .max_failures = (uint32_t)c->health.max_failures,
        .admission = admission(c->deadlines.admission),
        .probe_share = (double)c->deadlines.probe_percent / 100,
        .send_now_rows = c->http.threads == 1 ? SEND_NOW_ROWS_ONE_LOOP : 0,
    };
    int rc = engine_new(&w->engine, &params, err);
    if (rc)
        return rc;
    struct health_params health = {
        .refresh_ms = (uint32_t)c->health.refresh_ms,
        .residency_ms = (uint32_t)c->health.residency_ms,
        .stall_ms = (uint32_t)c->health.stall_ms,
        .max_failures = (uint32_t)c->health.max_failures,
    };
    return health_start(&w->health, &health, w->engine, err);
}

static int start_http(struct worker *w, struct orcd_error *err)
{
    const struct config *c = w->config;
    struct http_params params = {
        .listen = c->http.listen,
        .socket_mode = (uint32_t)strtoul(c->http.socket_mode, NULL, 8),
        .socket_group = c->http.socket_group,
        .threads = (unsigned)c->http.threads,
        .api_keys = w->keys_text,
        .api_keys_bytes = w->keys_bytes,
        .api_keys_path = c->http.api_keys_file,
        .wrong_key_delay_ms = (uint32_t)c->http.wrong_key_delay_ms,
        .allow_unauthenticated = c->http.allow_unauthenticated,
        .cors_origins = c->http.cors_origins,
        .keep_alive_ms = (uint32_t)c->http.keep_alive_ms,
        .write_stall_ms = (uint32_t)c->http.write_stall_ms,
        .ping_ms = (uint32_t)c->http.ping_ms,
        .request_read_ms = (uint32_t)c->http.request_read_ms,
        .max_body_kb = (uint32_t)c->http.max_body_kb,
        .max_connections = (uint32_t)c->http.max_connections,
        .max_connections_per_peer = (uint32_t)c->http.max_connections_per_peer,
        .buffer_mb = (uint32_t)c->http.buffer_mb,
        .deadline_default_ms = (uint32_t)c->deadlines.default_ms,
        .deadline_max_ms = (uint32_t)c->deadlines.max_ms,
        .deadline_min_remaining_ms = (uint32_t)c->deadlines.min_remaining_ms,
    };
    struct api_params api = {
        .engine = w->engine,
        .health = w->health,
        .metrics_event_ms = (uint32_t)c->http.metrics_event_ms,
        .shutdown = on_shutdown_request,
        .shutdown_arg = w,
    };
    int rc = api_new(&w->api, &api, err);
    if (!rc)
        rc = http_server_start(&w->http, &params, api_service(w->api), err);
    secrets_text_free(w->keys_text, w->keys_bytes);
    w->keys_text = NULL;
    if (rc)
        return rc;
    engine_on_flush(w->engine, http_kick, http_server_hub(w->http));
    w->http_ms = (double)clock_process_ns() / NS_PER_MS;
    metric_set(MG_HTTP_START_MS, w->http_ms);
    const char *url = http_server_url(w->http);
    log_event(ORCD_LOG_INFO, "listening", LOG_T("url", url), (struct log_field *)NULL);
    if (w->hooks && w->hooks->listening)
        w->hooks->listening(url, w->hooks->arg);
    return 0;
}

/* True if each HTTP loop has turned since the last call, and the engine too or, while the device works, a
 * step has ended recently. */
static bool makes_progress(struct worker *w, const struct engine_state *s)
{
    const bool loops_turned = http_server_turned(w->http), engine = engine_turned(w->engine);
    if (s->device_lost || !loops_turned)
        return false;
    if (!s->work_pending)
        return engine;
    uint64_t since = max_u64(s->last_step_ns, s->pending_since_ns);
    return clock_mono_ns() - since < (uint64_t)w->config->health.stall_ms * NS_PER_MS;
}

static void on_loaded(struct worker *w)
{
    const char *url = http_server_url(w->http);
    double seconds = (double)(clock_mono_ns() - w->load_started_ns) / NS_PER_S;
    notify("READY=1\nSTATUS=ready at %s", url);
    if (w->hooks && w->hooks->ready)
        w->hooks->ready(url, seconds, w->hooks->arg);
    worker_callback_start(w);
}

static void keep_supervisor_patient(struct worker *w, uint64_t *next_ns)
{
    uint64_t now = clock_mono_ns();
    if (now < *next_ns)
        return;
    bool loading = !atomic_load(&w->load_done);
    uint64_t every_ms = notify_watchdog_ms();
    struct engine_state state = {0};
    engine_state(w->engine, &state);
    bool loads = now - atomic_load(&w->load_moved_ns) < (uint64_t)w->config->health.stall_ms * NS_PER_MS;
    if (loading && loads)
        notify("EXTEND_TIMEOUT_USEC=%d\nSTATUS=loading, %u %%", 3 * EXTEND_EVERY_MS * 1000,
            atomic_load(&w->load_permille) / 10);
    else if (!loading && every_ms && makes_progress(w, &state))
        notify("WATCHDOG=1");
    *next_ns = now + (every_ms ? min_u64(every_ms, EXTEND_EVERY_MS) : EXTEND_EVERY_MS) * NS_PER_MS;
}

/* True if a signal requests the shutdown. */
static bool read_signals(struct worker *w)
{
    int sig;
    pid_t from;
    while ((sig = signals_next(w->signal_fd, &from))) {
        if (sig == SIGHUP) {
            worker_keys_hangup(w);
            continue;
        }
        log_info("received %s from pid %u", strsignal(sig), (unsigned)from);
        return true;
    }
    return false;
}

/* Returns the exit status, when it is time to shut down. */
static int serve(struct worker *w, struct orcd_error *err)
{
    int stop_fd = w->hooks ? w->hooks->stop_fd : -1;
    uint64_t next_notify_ns = 0;
    bool told_ready = false;
    for (;;) {
        struct pollfd fds[] = {
            {.fd = w->signal_fd, .events = POLLIN},
            {.fd = w->wake_fd, .events = POLLIN},
            {.fd = stop_fd, .events = POLLIN},
        };
        int tick = (int)min_u64(TICK_MS, notify_watchdog_ms() ? notify_watchdog_ms() : TICK_MS);
        poll(fds, ARRAY_LEN(fds), tick);
        uint64_t count;
        (void)!read(w->wake_fd, &count, sizeof(count));
        if (read_signals(w) || fds[2].revents || atomic_load(&w->shutdown_asked))
            return EX_OK;
        if (!told_ready && atomic_load(&w->load_done)) {
            told_ready = true;
            if (w->load_status) {
                *err = w->load_error;
                return w->load_status;
            }
            on_loaded(w);
        }
        struct engine_state state;
        engine_state(w->engine, &state);
        if (state.device_lost) {
            error_set(err, ORCD_E_DEVICE_LOST, "the device is lost; restart the worker");
            return error_exit_status(ORCD_E_DEVICE_LOST);
        }
        health_watch(w->health);
        worker_keys_watch(w);
        keep_supervisor_patient(w, &next_notify_ns);
    }
}

int worker_run(const struct config *config, const struct worker_hooks *hooks, struct orcd_error *err)
{
    static struct worker worker;
    struct worker *w = &worker;
    memset(w, 0, sizeof(*w));
    w->config = config;
    w->hooks = hooks;
    w->load_error.size = sizeof(w->load_error);
    w->signal_fd = w->wake_fd = -1;
    notify_setup();
    raise_descriptor_limit(config);
    int rc = setup_signals(w, err), status = rc ? error_exit_status(rc) : worker_prepare(w, err);
    if (status == 0) {
        rc = start_engine(w, err);
        rc = rc ? rc : start_http(w, err);
        rc = rc ? rc : worker_load_start(w, err);
        status = rc ? error_exit_status(rc) : serve(w, err);
    }
    if (status)
        notify("STATUS=%s\nERRNO=0", err->msg);
    status = worker_shutdown(w, status);
    close(w->signal_fd);
    close(w->wake_fd);
    log_stop(LAST_LINES_MS);
    return status;
}
