#include "http/direct.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/conn.h"
#include "http/exchange.h"
#include "http/loop.h"

#define CHUNK_BYTES 4096
#define CHUNK_HEAD 8 /* room for the size in hexadecimal digits, CR and LF */

/* Completes the chunk whose n bytes are at buf + CHUNK_HEAD. Returns its beginning. */
static char *frame(char *buf, size_t n, size_t *n_chunk)
{
    char head[CHUNK_HEAD + 1];
    size_t n_head = (size_t)snprintf(head, sizeof(head), "%zx\r\n", n);
    char *begin = buf + CHUNK_HEAD - n_head;
    memcpy(begin, head, n_head);
    memcpy(buf + CHUNK_HEAD + n, "\r\n", 2);
    *n_chunk = n_head + n + 2;
    return begin;
}

static bool keep_left(struct exchange *x, const char *p, size_t n)
{
    x->out.left = malloc(n);
    if (!x->out.left)
        return false;
    memcpy(x->out.left, p, n);
    x->out.n_left = n;
    x->out.left_at = 0;
    return true;
}

/* Sends everything that was published. True: the kernel has all of it. False: the loop must
 * do the rest. */
static bool hand_over(struct exchange *x)
{
    char buf[CHUNK_HEAD + CHUNK_BYTES + 2];
    struct json_out o;
    size_t n_chunk = 0, n_sent = 0;
    if (x->state != X_STREAMING || !x->out.chunked || x->out.rest || x->out.closed || !x->ops->format_all)
        return false;
    json_out_fixed(&o, buf + CHUNK_HEAD, CHUNK_BYTES);
    if (!x->ops->format_all(x, &o) || o.failed)
        return false;
    if (o.n) { /* else the news has no text, so there is nothing to send */
        const char *chunk = frame(buf, o.n, &n_chunk);
        ssize_t sent = send(x->conn->fd, chunk, n_chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent <= 0)
            return false; /* the library will meet the same condition and handles it */
        n_sent = (size_t)sent;
        if (n_sent < n_chunk)
            x->out.broken = !keep_left(x, chunk + n_sent, n_chunk - n_sent);
    }
    uint64_t now = clock_mono_ns();
    x->ops->taken(x, now);
    if (n_sent < n_chunk)
        return false;
    if (o.n)
        atomic_store_explicit(&x->out.sent_ns, now, memory_order_relaxed);
    if (x->ops->handed)
        x->ops->handed(x, now);
    return true;
}

/* False: the caller must put x into its loop's list. */
static bool borrow_and_send(struct exchange *x)
{
    int parked = PARKED, lent = LENT;
    if (!atomic_compare_exchange_strong(&x->parked, &parked, LENT))
        return true; /* the thread that has x will find the news */
    if (hand_over(x) && atomic_compare_exchange_strong(&x->parked, &lent, PARKED))
        return true;
    atomic_store(&x->parked, AWAKE); /* another thread may have done so, and left the list to us */
    return false;
}

void exchange_notify(struct exchange *x, bool may_send_now)
{
    if (may_send_now ? !borrow_and_send(x) : atomic_exchange(&x->parked, AWAKE) == PARKED)
        wake_push(x->wake, x);
}

bool direct_loop_send(struct exchange *x)
{
    bool other =
        x->out.left || x->gone || x->out.broken || x->out.probe || x->out.ping_due || x->out.tick_due;
    return !other && !x->conn->loop->draining && hand_over(x);
}

bool direct_finish(struct exchange *x)
{
    while (x->out.left_at < x->out.n_left) {
        ssize_t sent = send(x->conn->fd, x->out.left + x->out.left_at, x->out.n_left - x->out.left_at,
            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR) && !x->gone && !x->conn->loop->draining)
            return false;
        if (sent < 0) {
            x->out.broken = true;
            break;
        }
        x->out.left_at += (size_t)sent;
    }
    free(x->out.left);
    x->out.left = NULL;
    x->out.chunk_out = !x->out.broken; /* until the library asks for more */
    return true;
}
