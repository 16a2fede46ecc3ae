/*
 * A token's short way. While a stream is parked, nothing of the library's is on its way
 * to the socket, so the engine thread borrows the exchange and hands the chunk to the
 * kernel itself: one send(), no wake-up of a loop between. What the kernel does not take
 * is the loop's: `left` goes out before the library is let on. Where a step has tokens
 * for many, the loops send them the same way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/dialect.h"

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

/* Where the choices of an exchange are once a chunk is on its way. */
struct progress {
    uint32_t upto[HTTP_MAX_CHOICES];
    struct cursor at[HTTP_MAX_CHOICES];
};

/* Formats all that was published. False: there is something else to tell than tokens. */
static bool format(const struct exchange *x, struct json_out *o, struct progress *p)
{
    for (uint32_t i = 0; i < x->n_choices; i++) {
        const struct choice *c = &x->choices[i];
        uint32_t from = atomic_load_explicit(&c->formatted, memory_order_relaxed);
        p->upto[i] = from;
        p->at[i] = c->cursor;
        if (c->end_sent)
            continue;
        uint32_t n = job_published(c->job);
        if (job_ended(c->job) ||
            (!c->started_sent && atomic_load_explicit(&c->job->has_started, memory_order_acquire)))
            return false;
        for (uint32_t k = from; k < n; k++)
            x->dialect->token(o, c, k, &p->at[i]);
        p->upto[i] = n;
    }
    return !o->failed;
}

static void taken(struct exchange *x, const struct progress *p)
{
    for (uint32_t i = 0; i < x->n_choices; i++) {
        atomic_store_explicit(&x->choices[i].formatted, p->upto[i], memory_order_relaxed);
        x->choices[i].cursor = p->at[i];
    }
}

/* Everything that was published is in the kernel. False: the loop goes on from here. */
static bool hand_over(struct exchange *x)
{
    char buf[CHUNK_HEAD + CHUNK_BYTES + 2];
    struct json_out o;
    struct progress p;
    size_t n_chunk;
    if (x->state != X_STREAMING || !x->chunked || x->rest || x->closed)
        return false;
    json_out_fixed(&o, buf + CHUNK_HEAD, CHUNK_BYTES);
    if (!format(x, &o, &p))
        return false;
    if (o.n) {
        const char *chunk = frame(buf, o.n, &n_chunk);
        ssize_t sent = send(x->conn->fd, chunk, n_chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent <= 0)
            return false; /* the library meets the same, and knows what to do */
        taken(x, &p);
        if ((size_t)sent < n_chunk) {
            x->broken = !keep_left(x, chunk + sent, n_chunk - (size_t)sent);
            return false;
        }
    } else {
        taken(x, &p); /* tokens without a text, of which this dialect says nothing */
    }
    uint64_t now = clock_mono_ns();
    if (o.n)
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

bool direct_loop_send(struct exchange *x)
{
    bool other = x->left || x->gone || x->broken || x->probe || x->ping_due || x->metrics_due;
    return !other && !x->conn->loop->draining && hand_over(x);
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
