#include "cases/receiver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define REQUEST_MAX 65536
#define PATIENCE_MS 5000 /* for the rest of a request */

struct receiver {
    char url[64];
    int listen_fd, stop[2]; /* a byte in the pipe ends the thread */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t at_ns; /* under lock; 0: none */
};

/* Head and Content-Length bytes are there. */
static bool whole(const char *text, size_t n)
{
    const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
    size_t want = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    return end && (size_t)(text + n - (end + 4)) >= want;
}

static bool take_request(int fd)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    char *text = malloc(REQUEST_MAX + 1);
    size_t n = 0;
    bool got = false;
    while (text && !got && n < REQUEST_MAX) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t k = poll(&p, 1, PATIENCE_MS) > 0 ? read(fd, text + n, REQUEST_MAX - n) : 0;
        if (k <= 0)
            break;
        n += (size_t)k;
        text[n] = 0;
        got = whole(text, n);
    }
    free(text);
    if (got)
        (void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
    return got;
}

static void *receiver_main(void *arg)
{
    struct receiver *r = arg;
    for (;;) {
        struct pollfd p[] = {{.fd = r->listen_fd, .events = POLLIN}, {.fd = r->stop[0], .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno == EINTR)
            continue;
        if (p[1].revents)
            return NULL;
        int fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        bool got = take_request(fd);
        uint64_t now = clock_mono_ns();
        close(fd);
        pthread_mutex_lock(&r->lock);
        if (got)
            r->at_ns = now;
        pthread_cond_signal(&r->changed);
        pthread_mutex_unlock(&r->lock);
    }
}

int receiver_start(struct receiver **out, struct orcd_error *err)
{
    struct receiver *r = calloc(1, sizeof(*r));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(a);
    if (!r)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    r->stop[0] = r->stop[1] = -1;
    r->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_mutex_init(&r->lock, NULL);
    clock_cond_init(&r->changed);
    bool ok = r->listen_fd >= 0 && bind(r->listen_fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
              listen(r->listen_fd, 8) == 0 && getsockname(r->listen_fd, (struct sockaddr *)&a, &size) == 0 &&
              pipe2(r->stop, O_CLOEXEC) == 0;
    if (!ok || pthread_create(&r->thread, NULL, receiver_main, r)) {
        int why = errno;
        r->thread = 0;
        receiver_stop(r);
        return error_set_errno(err, ORCD_E_IO, why, "cannot listen for callbacks");
    }
    snprintf(r->url, sizeof(r->url), "http://127.0.0.1:%u/ready", (unsigned)ntohs(a.sin_port));
    *out = r;
    return 0;
}

void receiver_stop(struct receiver *r)
{
    if (!r)
        return;
    if (r->thread) {
        (void)!write(r->stop[1], "", 1);
        pthread_join(r->thread, NULL);
    }
    int fds[] = {r->listen_fd, r->stop[0], r->stop[1]};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

const char *receiver_url(const struct receiver *r)
{
    return r->url;
}

uint64_t receiver_wait(struct receiver *r, uint64_t timeout_ms)
{
    uint64_t until = clock_mono_ns() + timeout_ms * NS_PER_MS;
    struct timespec ts = clock_timespec(until);
    pthread_mutex_lock(&r->lock);
    while (!r->at_ns && pthread_cond_timedwait(&r->changed, &r->lock, &ts) == 0)
        ;
    uint64_t at = r->at_ns;
    r->at_ns = 0;
    pthread_mutex_unlock(&r->lock);
    return at;
}
