/* Fuzz target: the bytes of a connection, head and exchange, at a server of lib/http. Whatever comes, the
 * connection ends, and what was said on it is HTTP. The server lives as long as the process. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/exchange.h"
#include "http/server.h"

#define END_SECONDS 20 /* a connection that is open so long after its client's last byte never ends */

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void ping(struct exchange *x)
{
    exchange_answer(x, 200, "text/plain", strdup("pong\n"), 5);
}

static void say_body(struct exchange *x)
{
    char *copy = malloc(x->body.n ? x->body.n : 1);
    if (copy && x->body.n)
        memcpy(copy, x->body.text, x->body.n);
    exchange_answer(x, 200, "application/json", copy, x->body.n);
}

static void say_parameter(struct exchange *x)
{
    char text[64];
    size_t n;
    if (!exchange_parameter(x, text, sizeof(text), &n))
        http_error_set(&x->error, API_NOT_FOUND, "no such thing");
    else
        exchange_answer(x, 200, "text/plain", strdup(text), n);
}

static void start(void)
{
    static const struct route routes[] = {{"GET", "/ping", ROUTE_OPEN, NULL, ping},
        {"POST", "/body", ROUTE_BODY, NULL, say_body},
        {"POST", "/work", ROUTE_BODY | ROUTE_WORK, NULL, say_body},
        {"GET", "/things/", ROUTE_PREFIX, NULL, say_parameter}};
    static const struct http_service service = {
        .name = "fuzz", .routes = routes, .n_routes = sizeof(routes) / sizeof(routes[0])};
    char dir[] = "/tmp/fuzz-http-XXXXXX", listen[64];
    PROMISE(mkdtemp(dir));
    snprintf(listen, sizeof(listen), "unix:%s/s", dir);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
    const struct http_params params = {.listen = listen,
        .socket_mode = 0600,
        .threads = 1,
        .allow_unauthenticated = true,
        .cors_origins = "https://a.example",
        .keep_alive_ms = 60000,
        .write_stall_ms = 60000,
        .request_read_ms = 20, /* ends a body whose client has closed its sending side */
        .max_body_kb = 8,
        .max_connections = 64,
        .buffer_mb = 16,
        .deadline_default_ms = 1000,
        .deadline_max_ms = 60000};
    struct orcd_error err = ORCD_ERROR_INIT;
    struct http_server *server;
    PROMISE(http_server_start(&server, &params, &service, &err) == 0);
}

static void remove_socket(void)
{
    unlink(address.sun_path);
    *strrchr(address.sun_path, '/') = 0;
    rmdir(address.sun_path);
}

/* Reads to the end of the connection. */
static void check_answer(int fd)
{
    static const char begin[] = "HTTP/1.";
    char text[8192];
    size_t have = 0;
    ssize_t got;
    while ((got = recv(fd, have < sizeof(begin) ? text + have : text + sizeof(begin),
                sizeof(text) - sizeof(begin), 0)) > 0)
        have += (size_t)got;
    PROMISE(got == 0 || errno == ECONNRESET);
    size_t n = have < sizeof(begin) - 1 ? have : sizeof(begin) - 1;
    PROMISE(memcmp(text, begin, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct timeval patience = {.tv_sec = END_SECONDS};
    if (!address.sun_path[0]) {
        start();
        atexit(remove_socket);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    PROMISE(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    PROMISE(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    if (send(fd, data, size, MSG_NOSIGNAL) >= 0)
        shutdown(fd, SHUT_WR);
    check_answer(fd);
    close(fd);
    return 0;
}
