#include "http/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "http/intake.h"
#include "http/listen.h"
#include "http/server-internal.h"
#include "http/wake.h"

#define INTAKE_THREADS 2
#define FLUSH_MS 250 /* for clients that are slow to accept their terminal event */

/* What the loops' wake-ups need. It is never freed, since work may outlive its server (a
 * plugin hangs) and call exchange_notify() afterwards. One small block for each server that
 * was started. */
struct hub {
    struct hub *next;
    unsigned n;
    struct wake wakes[];
};
static _Atomic(struct hub *) hubs;

static struct hub *hub_new(unsigned n)
{
    struct hub *h = calloc(1, sizeof(*h) + n * sizeof(h->wakes[0]));
    if (!h)
        return NULL;
    h->n = n;
    for (unsigned i = 0; i < n; i++) {
        h->wakes[i].event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (h->wakes[i].event_fd < 0) {
            while (i--)
                close(h->wakes[i].event_fd);
            free(h);
            return NULL;
        }
    }
    h->next = atomic_load(&hubs);
    while (!atomic_compare_exchange_weak(&hubs, &h->next, h)) {}
    return h;
}

void http_kick(void *hub)
{
    struct hub *h = hub;
    for (unsigned i = 0; i < h->n; i++)
        if (atomic_load_explicit(&h->wakes[i].head, memory_order_relaxed))
            wake_kick(&h->wakes[i]);
}

int http_server_set_keys(struct http_server *s, const char *text, size_t bytes, struct orcd_error *err)
{
    return keys_set(&s->keys, text, bytes, s->params.api_keys_path, s->loopback, err);
}

static int check_exposure(struct http_server *s, const struct listen_address *a, struct orcd_error *err)
{
    if (!a->loopback && !s->has_keys && !s->params.allow_unauthenticated)
        return error_set(err, ORCD_E_PERMISSION,
            "http.listen %s can be reached from other machines and no API keys are set: set "
            "http.api_keys_file, "
            "listen on 127.0.0.1, or set http.allow_unauthenticated: true",
            s->params.listen);
    s->loopback = a->loopback;
    s->check_host = a->loopback && !s->has_keys && !a->unix_path[0];
    return s->has_keys ? http_server_set_keys(s, s->params.api_keys, s->params.api_keys_bytes, err) : 0;
}

static void server_free(struct http_server *s)
{
    keys_release(&s->keys);
    if (s->reserve_fd >= 0)
        close(s->reserve_fd);
    if (s->unix_path[0])
        unlink(s->unix_path);
    shares_free(&s->shares);
    cors_release(&s->cors);
    pthread_mutex_destroy(&s->reserve_lock);
    free(s);
}

static void loops_stop(struct http_server *s, uint64_t timeout_ms)
{
    uint64_t by = clock_mono_ns() + timeout_ms * NS_PER_MS;
    for (unsigned i = 0; i < s->n_loops; i++)
        s->loops[i].stop_by_ns = by; /* read by the loop after it sees `stopping` */
    atomic_store(&s->stopping, true);
    for (unsigned i = 0; i < s->n_loops; i++)
        if (s->loops[i].has_thread)
            wake_kick(s->loops[i].wake);
    for (unsigned i = 0; i < s->n_loops; i++)
        if (s->loops[i].has_thread)
            pthread_join(s->loops[i].thread, NULL);
        else if (s->loops[i].listen_fd >= 0)
            close(s->loops[i].listen_fd);
}

static int start(struct http_server *s, struct listen_address *a, struct orcd_error *err)
{
    struct hub *h = hub_new(s->n_loops);
    int fds[HTTP_MAX_LOOPS], rc;
    if (!h)
        return error_set(err, ORCD_E_NOMEM, "out of memory or descriptors for the HTTP loops");
    s->hub = h;
    s->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    a->mode = s->params.socket_mode;
    a->group = s->params.socket_group;
    rc = listen_open(a, s->n_loops, s->params.write_stall_ms, fds, err);
    if (rc)
        return rc;
    listen_url(a, s->url, sizeof(s->url));
    memcpy(s->unix_path, a->unix_path, sizeof(s->unix_path));
    if (strncmp(s->url, "http://", 7) == 0)
        snprintf(
            s->own_host, sizeof(s->own_host), "%.*s", (int)(strrchr(s->url, ':') - s->url - 7), s->url + 7);
    for (unsigned i = 0; i < s->n_loops; i++)
        s->loops[i] =
            (struct loop){.server = s, .wake = &h->wakes[i], .index = i, .listen_fd = fds[i], .epoll_fd = -1};
    rc = intake_start(&s->intake, INTAKE_THREADS, err);
    for (unsigned i = 0; i < s->n_loops && !rc; i++)
        rc = loop_start(&s->loops[i], err);
    if (rc) {
        loops_stop(s, 0);
        intake_free(s->intake);
        return rc;
    }
    return 0;
}

int http_server_start(struct http_server **out, const struct http_params *params,
    const struct http_service *service, struct orcd_error *err)
{
    struct listen_address a;
    struct http_server *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the HTTP server");
    pthread_mutex_init(&s->reserve_lock, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->params = *params;
    s->service = service;
    s->reserve_fd = -1;
    s->n_loops = (unsigned)min_u64(max_u64(params->threads, 1), HTTP_MAX_LOOPS);
    s->strict_head = strncmp(MHD_get_version(), "0.9.", 4) == 0;
    s->has_keys = params->api_keys != NULL;
    keys_init(&s->keys);
    shares_init(&s->shares, (size_t)params->buffer_mb << 20, (size_t)params->max_body_kb << 10);
    int rc = cors_parse(&s->cors, params->cors_origins, err);
    if (!rc)
        rc = listen_parse(&a, params->listen, err);
    if (!rc)
        rc = check_exposure(s, &a, err);
    if (!rc)
        rc = start(s, &a, err);
    if (rc) {
        server_free(s);
        return rc;
    }
    s->params.listen = s->url;
    s->params.api_keys = NULL;
    s->params.cors_origins = NULL;
    s->params.socket_group = NULL;
    *out = s;
    return 0;
}

void *http_server_hub(const struct http_server *s)
{
    return s->hub;
}

const char *http_server_url(const struct http_server *s)
{
    return s->url;
}

bool http_server_turned(struct http_server *s)
{
    bool all = true;
    for (unsigned i = 0; i < s->n_loops; i++) {
        struct loop *l = &s->loops[i];
        unsigned turns = atomic_load_explicit(&l->turns, memory_order_relaxed);
        all = all && turns != l->turns_seen;
        l->turns_seen = turns;
        wake_kick(l->wake);
    }
    return all;
}

void http_server_drain(struct http_server *s)
{
    atomic_store(&s->draining, true);
}

void http_server_stop(struct http_server *s, uint64_t timeout_ms)
{
    if (!s)
        return;
    http_server_drain(s);
    intake_stop(s->intake); /* passes its exchanges back to the loops */
    loops_stop(s, min_u64(timeout_ms, FLUSH_MS));
    intake_free(s->intake);
    server_free(s);
}
