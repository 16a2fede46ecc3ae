/*
 * A token's short way. While a stream is parked, nothing of the library's is on its way
 * to the socket, so the engine thread borrows the exchange and hands the chunk to the
 * kernel itself: one send(), no wake-up of a loop between. What the kernel does not take
 * is the loop's: `left` goes out before the library is let on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/json-out.h"
#include "http/internal.h"
#include "http/sse.h"

#define CHUNK_BYTES 4096
#define CHUNK_HEAD 8 /* room for the size in hexadecimal digits, CR and LF */

/* The chunk around n bytes at buf + CHUNK_HEAD. Returns where it begins. */
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
    x->left = malloc(n);
    if (!x->left)
        return false;
    memcpy(x->left, p, n);
    x->n_left = n;
    x->left_at = 0;
    return true;
}

/* Everything that was published is in the kernel. False: the loop goes on from here. */
static bool hand_over(struct exchange *x)
{
    char buf[CHUNK_HEAD + CHUNK_BYTES + 2];
    struct json_out o;
    uint32_t from = atomic_load_explicit(&x->formatted, memory_order_relaxed), n = job_published(x->job);
    size_t n_chunk;
    if (x->state != X_STREAMING || !x->chunked || !x->started_sent || x->rest || job_ended(x->job))
        return false;
    json_out_fixed(&o, buf + CHUNK_HEAD, CHUNK_BYTES);
    for (uint32_t i = from; i < n; i++)
        sse_token(&o, x->job, i);
    if (o.failed || o.n == 0)
        return false;
    const char *chunk = frame(buf, o.n, &n_chunk);
    ssize_t sent = send(x->conn->fd, chunk, n_chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent <= 0)
        return false; /* the library meets the same, and knows what to do */
    atomic_store_explicit(&x->formatted, n, memory_order_relaxed);
    if ((size_t)sent < n_chunk) {
        x->broken = !keep_left(x, chunk + sent, n_chunk - (size_t)sent);
        return false;
    }
    uint64_t now = clock_mono_ns();
    atomic_store_explicit(&x->sent_ns, now, memory_order_relaxed);
    stream_handed(x, now);
    return true;
}

bool direct_send(struct exchange *x)
{
    int parked = PARKED, lent = LENT;
    if (!atomic_compare_exchange_strong(&x->parked, &parked, LENT))
        return true; /* whoever has it finds the news */
    if (hand_over(x) && atomic_compare_exchange_strong(&x->parked, &lent, PARKED))
        return true;
    atomic_store(&x->parked, AWAKE); /* or somebody wanted it meanwhile, and left that to us */
    return false;
}

bool direct_finish(struct exchange *x)
{
    while (x->left_at < x->n_left) {
        ssize_t sent =
            send(x->conn->fd, x->left + x->left_at, x->n_left - x->left_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR) && !x->gone && !x->conn->loop->draining)
            return false;
        if (sent < 0) {
            x->broken = true;
            break;
        }
        x->left_at += (size_t)sent;
    }
    free(x->left);
    x->left = NULL;
    x->chunk_out = !x->broken; /* until the library asks for more */
    return true;
}
