/* A daemon of lib/ alone: answers GET /ping, tells the time every 20 ms on GET /clock. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "http/exchange.h"
#include "http/server.h"

static void ping(struct exchange *x)
{
    exchange_answer(x, 200, "text/plain", strdup("pong\n"), 5);
}

static bool has_outcome(const struct exchange *x)
{
    return x != NULL;
}
static bool begin(struct exchange *x)
{
    x->out.tick_ms = 20;
    return true;
}
static bool format(struct exchange *x, struct json_out *o, uint64_t now)
{
    if (!x->out.tick_due)
        return false;
    json_out_raw(o, "data: ", 6);
    json_out_digits(o, now);
    json_out_raw(o, "\n\n", 2);
    return true;
}
static bool has_news(const struct exchange *x)
{
    return x->out.tick_due;
}
static void taken(struct exchange *x, uint64_t now)
{
    x->out.tick_due = false;
    x->out.ticked_ns = now;
}

static void tell_time(struct exchange *x)
{
    static const struct http_work work = {has_outcome, begin, has_news, format, .taken = taken};
    exchange_attach(x, &work, NULL);
    exchange_wait(x);
}

int main(void)
{
    static const struct route routes[] = {
        {"GET", "/ping", 0, NULL, ping}, {"GET", "/clock", ROUTE_WORK, NULL, tell_time}};
    const struct http_service service = {.name = "clock", .routes = routes, .n_routes = 2};
    const struct http_params params = {.listen = "127.0.0.1:0",
        .keep_alive_ms = 60000,
        .write_stall_ms = 60000,
        .request_read_ms = 60000,
        .max_body_kb = 16,
        .max_connections = 64,
        .buffer_mb = 16};
    struct orcd_error err = ORCD_ERROR_INIT;
    struct http_server *server;
    sigset_t set;
    int signal;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (http_server_start(&server, &params, &service, &err))
        return puts(err.msg), 1;
    puts(http_server_url(server));
    fflush(stdout);
    sigwait(&set, &signal);
    http_server_stop(server, 1000);
    return 0;
}
