#include "client/client.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "client/transfer.h"

struct client {
    const struct libcurl *lib;
    CURLM *multi;
    struct transfer *transfer;
    int wake_fd, timeout_ms;
};

int client_prepare(struct orcd_error *err)
{
    return libcurl_load(err) ? 0 : ORCD_E_UNSUPPORTED;
}

int client_open(struct client **out, const char *url, int connect_ms, struct orcd_error *err)
{
    struct address to;
    struct client *c = NULL;
    int rc = address_parse(&to, url, err);
    if (rc)
        return rc;
    const struct libcurl *lib = libcurl_load(err);
    if (!lib)
        return ORCD_E_UNSUPPORTED;
    if (!(c = calloc(1, sizeof(*c))))
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    *c = (struct client){.lib = lib, .wake_fd = -1, .timeout_ms = -1, .multi = lib->multi_init()};
    rc = c->multi ? transfer_new(&c->transfer, &to, connect_ms, err)
                  : error_set(err, ORCD_E_NOMEM, "out of memory");
    if (rc) {
        client_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    transfer_free(c->transfer);
    if (c->multi)
        c->lib->multi_cleanup(c->multi);
    free(c);
}

void client_set_wake(struct client *c, int fd)
{
    c->wake_fd = fd;
}

void client_set_timeout(struct client *c, int timeout_ms)
{
    c->timeout_ms = timeout_ms;
}

const char *client_content_type(const struct client *c)
{
    return transfer_content_type(c->transfer);
}

/* --- driving the transfer --- */

/* Whatever can be done without waiting. */
static int work(struct client *c, struct orcd_error *err)
{
    int unused;
    CURLMcode m = c->lib->multi_perform(c->multi, &unused);
    if (m != CURLM_OK)
        return error_set(err, ORCD_E_IO, "libcurl: %s", c->lib->multi_strerror(m));
    for (CURLMsg *msg; (msg = c->lib->multi_info_read(c->multi, &unused));)
        if (msg->msg == CURLMSG_DONE)
            transfer_ended(c->transfer, msg->data.result);
    return 0;
}

/* Until the socket, the wake descriptor or libcurl's own clock has something. While it connects, that
 * clock alone bounds the wait. */
static int wait_for(struct client *c, uint64_t since_ns, struct orcd_error *err)
{
    int left_ms = INT_MAX;
    if (c->timeout_ms >= 0 && transfer_is_connected(c->transfer)) {
        uint64_t gone_ms = (clock_mono_ns() - since_ns) / NS_PER_MS;
        if (gone_ms >= (uint64_t)c->timeout_ms)
            return error_set(err, ORCD_E_IO, "no %sanswer within %d ms",
                transfer_has_head(c->transfer) ? "complete " : "", c->timeout_ms);
        left_ms = c->timeout_ms - (int)gone_ms;
    }
    struct curl_waitfd wake = {.fd = c->wake_fd, .events = CURL_WAIT_POLLIN};
    CURLMcode m = c->lib->multi_poll(c->multi, &wake, c->wake_fd >= 0, left_ms, NULL);
    if (m != CURLM_OK)
        return error_set(err, ORCD_E_IO, "libcurl: %s", c->lib->multi_strerror(m));
    return wake.revents ? CLIENT_WOKEN : 0;
}

int client_send(struct client *c, const struct client_request *r, int *status, struct orcd_error *err)
{
    struct transfer *t = c->transfer;
    uint64_t since_ns = clock_mono_ns();
    unsigned long long seen = 0;
    int rc = transfer_begin(t, c->multi, r, err);
    rc = rc ? rc : work(c, err);
    while (rc == 0 && !transfer_has_head(t) && !transfer_is_over(t)) {
        unsigned long long moved = transfer_sent(t) + transfer_is_connected(t);
        if (moved != seen)
            since_ns = clock_mono_ns();
        seen = moved;
        rc = wait_for(c, since_ns, err);
        rc = rc ? rc : work(c, err);
    }
    if (rc == 0 && !transfer_has_head(t))
        rc = transfer_failure(t, err);
    if (rc == 0)
        *status = transfer_status(t);
    return rc;
}

static ssize_t read_since(
    struct client *c, uint64_t since_ns, char *buf, size_t size, int *rc, struct orcd_error *err)
{
    for (;;) {
        size_t n = transfer_take(c->transfer, buf, size);
        if (n > 0)
            return (ssize_t)n;
        if (transfer_is_over(c->transfer)) {
            *rc = transfer_failure(c->transfer, err);
            return *rc ? -1 : 0;
        }
        *rc = wait_for(c, since_ns, err);
        *rc = *rc ? *rc : work(c, err);
        if (*rc)
            return -1;
    }
}

ssize_t client_read(struct client *c, char *buf, size_t size, int *rc, struct orcd_error *err)
{
    *rc = 0;
    return read_since(c, clock_mono_ns(), buf, size, rc, err);
}

int client_read_all(struct client *c, size_t max, char **body, size_t *n, struct orcd_error *err)
{
    uint64_t since_ns = clock_mono_ns();
    char *text = NULL;
    size_t have = 0, room = 0;
    for (;;) {
        if (room - have < TRANSFER_BUFFER + 1) {
            room += 4 * TRANSFER_BUFFER;
            char *grown = realloc(text, room);
            if (!grown) {
                free(text);
                return error_set(err, ORCD_E_NOMEM, "out of memory");
            }
            text = grown;
        }
        int rc = 0;
        ssize_t got = read_since(c, since_ns, text + have, TRANSFER_BUFFER, &rc, err);
        if (got > 0 && have + (size_t)got > max)
            got = -1, rc = error_set(err, ORCD_E_INVALID, "the answer is longer than %zu bytes", max);
        if (got < 0) {
            free(text);
            return rc;
        }
        if (got == 0)
            break;
        have += (size_t)got;
    }
    text[have] = 0;
    *body = text;
    *n = have;
    return 0;
}
