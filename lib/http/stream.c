#include "http/stream.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "http/exchange.h"
#include "http/server-internal.h"

static size_t rest_take(struct exchange *x, char *buf, size_t max)
{
    size_t n = x->out.n_rest - x->out.rest_at < max ? x->out.n_rest - x->out.rest_at : max;
    memcpy(buf, x->out.rest + x->out.rest_at, n);
    x->out.rest_at += n;
    if (x->out.rest_at == x->out.n_rest) {
        free(x->out.rest);
        x->out.rest = NULL;
    }
    return n;
}

/* An event that is larger than the whole buffer is sent in pieces. */
static size_t event_in_pieces(struct exchange *x, char *buf, size_t max, uint64_t now)
{
    struct json_out o;
    json_out_growing(&o);
    x->ops->format(x, &o, now);
    x->out.rest = json_out_take(&o, &x->out.n_rest);
    x->out.rest_at = 0;
    if (!x->out.rest)
        return 0;
    x->ops->taken(x, now);
    return rest_take(x, buf, max);
}

static size_t fill(struct exchange *x, char *buf, size_t max, uint64_t now)
{
    size_t n = x->out.rest ? rest_take(x, buf, max) : 0;
    while (!x->out.rest && !x->out.closed && n < max) {
        struct json_out o;
        json_out_fixed(&o, buf + n, max - n);
        if (!x->ops->format(x, &o, now))
            break;
        if (o.failed && n)
            break; /* it will be in the next chunk */
        if (o.failed)
            return event_in_pieces(x, buf, max, now);
        x->ops->taken(x, now);
        n += o.n;
    }
    return n;
}

ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct exchange *x = cls;
    uint64_t now = clock_mono_ns();
    (void)pos;
    if (x->out.chunk_out && x->ops->handed)
        x->ops->handed(x, now);
    x->out.chunk_out = false;
    if (x->gone || x->out.broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = fill(x, buf, max, now);
    if (n == 0 && x->out.closed)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0 && x->out.probe) {
        memcpy(buf, ":\n\n", n = 3);
        x->out.probe = false;
    } else if (n == 0 && x->out.ping_due) {
        memcpy(buf, ": ping\n\n", n = 8);
    }
    if (n) {
        x->out.probe = x->out.ping_due = false;
        x->out.chunk_out = true;
        x->out.sent_ns = now;
        loop_timer_at(x->conn->loop, now + x->server->params.write_stall_ms * NS_PER_MS / 4);
        return (ssize_t)n;
    }
    if (x->conn->loop->draining)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    MHD_suspend_connection(x->mhd);
    exchange_park(x, x->ops->has_news);
    return 0;
}

void stream_release(struct stream_out *out)
{
    free(out->rest);
    free(out->left);
}
