/* What the watchdog asks: whether each loop turns. An idle one proves it when it is asked, one that hangs
 * does not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/exchange.h"
#include "http/server.h"

static sem_t entered, leave;

static void hang(struct exchange *x)
{
    sem_post(&entered);
    sem_wait(&leave);
    exchange_answer(x, 200, "text/plain", strdup("awake\n"), 6);
}

static int send_get(const char *url)
{
    static const char get[] = "GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(fd, get, sizeof(get) - 1, 0), sizeof(get) - 1);
    return fd;
}

static void one_http_loop_that_hangs_is_seen(void **state)
{
    static const struct route routes[] = {{"GET", "/hang", 0, NULL, hang}};
    const struct http_service service = {.name = "test", .routes = routes, .n_routes = 1};
    const struct http_params params = {.listen = "127.0.0.1:0",
        .threads = 3,
        .keep_alive_ms = 60000,
        .write_stall_ms = 60000,
        .request_read_ms = 60000,
        .max_body_kb = 16,
        .max_connections = 64,
        .buffer_mb = 16};
    struct orcd_error err = ORCD_ERROR_INIT;
    struct http_server *s;
    char answer[512];
    (void)state;
    sem_init(&entered, 0, 0);
    sem_init(&leave, 0, 0);
    assert_int_equal(http_server_start(&s, &params, &service, &err), 0);
    for (int i = 0; i < 3; i++)
        while (!http_server_turned(s)) {} /* idle: each call wakes them for the next */
    int fd = send_get(http_server_url(s));
    sem_wait(&entered);
    http_server_turned(s); /* with what it had turned before */
    for (int i = 0; i < 100; i++)
        assert_false(http_server_turned(s));
    sem_post(&leave);
    assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
    while (!http_server_turned(s)) {}
    close(fd);
    http_server_stop(s, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_http_loop_that_hangs_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
