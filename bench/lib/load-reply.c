#include "lib/load-reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A header's value within the head (NUL-terminated, lines ended by \r\n), NULL without it. */
static const char *header(const char *head, const char *name, size_t *n)
{
    size_t k = strlen(name);
    for (const char *p = strstr(head, "\r\n"); p && p[2]; p = strstr(p + 2, "\r\n")) {
        if (strncasecmp(p + 2, name, k) != 0 || p[2 + k] != ':')
            continue;
        const char *v = p + 3 + k;
        v += strspn(v, " \t");
        *n = strcspn(v, "\r");
        return v;
    }
    return NULL;
}

static bool header_has(const char *head, const char *name, const char *what)
{
    size_t n, k = strlen(what);
    const char *v = header(head, name, &n);
    for (; v && n >= k; v++, n--)
        if (strncasecmp(v, what, k) == 0)
            return true;
    return false;
}

static bool read_number(const char *p, size_t n, unsigned base, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < n; i++) {
        unsigned c = (unsigned char)p[i], d = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10u;
        if (d >= base || ((c < '0' || c > '9') && (c | 0x20) < 'a'))
            break;
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
            return false;
    }
    *out = v;
    return i > 0 && (i == n || p[i] == ' ' || p[i] == '\t' || (base == 16 && p[i] == ';'));
}

/* The head is whole. */
static enum reply_state read_head(struct reply *r)
{
    const char *h = r->head.p, *v;
    uint64_t status;
    size_t n;
    if (strlen(h) != r->head.n || strncmp(h, "HTTP/1.", 7) != 0 || !h[7] || h[8] != ' ' ||
        !read_number(h + 9, 3, 10, &status) || status < 100 || (h[12] != ' ' && h[12] != '\r'))
        return REPLY_BAD;
    r->head.n = 0;
    if (status < 200)
        return REPLY_HEAD; /* 100 Continue: another follows */
    r->status = (int)status;
    r->keep_alive =
        h[7] == '1' ? !header_has(h, "Connection", "close") : header_has(h, "Connection", "keep-alive");
    r->stream = header_has(h, "Content-Type", "text/event-stream");
    if (r->no_body || status == 204 || status == 304)
        return REPLY_DONE;
    if (header_has(h, "Transfer-Encoding", "chunked"))
        return REPLY_CHUNK_SIZE;
    if ((v = header(h, "Content-Length", &n))) {
        if (!read_number(v, n, 10, &r->left))
            return REPLY_BAD;
        return r->left ? REPLY_LENGTH : REPLY_DONE;
    }
    r->keep_alive = false;
    return REPLY_UNTIL_CLOSE;
}

/* Bytes of the head, up to and with its empty line. */
static size_t feed_head(
    struct reply *r, const char *p, size_t n, const struct reply_sink *sink, void *arg, bool *go_on)
{
    size_t i = 0;
    while (i < n) {
        const char *nl = memchr(p + i, '\n', n - i);
        size_t k = nl ? (size_t)(nl - p) + 1 - i : n - i;
        if (!event_text_add(&r->head, p + i, k, REPLY_HEAD_MAX)) {
            r->state = REPLY_BAD;
            return i;
        }
        i += k;
        if (r->head.n < 4 || memcmp(r->head.p + r->head.n - 4, "\r\n\r\n", 4) != 0)
            continue;
        r->state = read_head(r);
        if (r->state != REPLY_BAD && r->status)
            *go_on = sink->head(arg, r->status);
        break;
    }
    return i;
}

/* A chunk's size, the line end behind a chunk, or a line of the trailer. */
static size_t feed_line(struct reply *r, const char *p, size_t n)
{
    const char *nl = memchr(p, '\n', n);
    size_t k = nl ? (size_t)(nl - p) + 1 : n;
    if (!event_text_add(&r->head, p, k, REPLY_HEAD_MAX)) {
        r->state = REPLY_BAD;
        return 0;
    }
    if (!nl)
        return k;
    size_t n_line = r->head.n - 1;
    if (n_line && r->head.p[n_line - 1] == '\r')
        n_line--;
    r->head.n = 0;
    if (r->state == REPLY_CHUNK_SIZE)
        r->state = !read_number(r->head.p, n_line, 16, &r->left) ? REPLY_BAD
                   : r->left                                     ? REPLY_CHUNK
                                                                 : REPLY_TRAILER;
    else if (r->state == REPLY_CHUNK_END)
        r->state = n_line ? REPLY_BAD : REPLY_CHUNK_SIZE;
    else if (n_line == 0)
        r->state = REPLY_DONE;
    return k;
}

static bool feed_body(struct reply *r, const char *p, size_t n, const struct reply_sink *sink, void *arg)
{
    if (!r->stream) {
        if (!event_text_add(&r->body, p, n, REPLY_BODY_MAX))
            r->state = REPLY_BAD;
        return true;
    }
    enum events_result rc = events_feed(&r->events, p, n, sink->event, arg);
    if (rc == EVENTS_TOO_LONG)
        r->state = REPLY_BAD;
    return rc != EVENTS_STOPPED;
}

size_t reply_feed(struct reply *r, const char *p, size_t n, const struct reply_sink *sink, void *arg)
{
    size_t i = 0;
    bool go_on = true;
    while (go_on && i < n && r->state < REPLY_DONE) {
        size_t k = n - i;
        switch (r->state) {
        case REPLY_HEAD:
            i += feed_head(r, p + i, k, sink, arg, &go_on);
            break;
        case REPLY_LENGTH:
        case REPLY_CHUNK:
            k = r->left < k ? (size_t)r->left : k;
            r->left -= k;
            go_on = feed_body(r, p + i, k, sink, arg);
            if (r->left == 0 && r->state != REPLY_BAD)
                r->state = r->state == REPLY_CHUNK ? REPLY_CHUNK_END : REPLY_DONE;
            i += k;
            break;
        case REPLY_UNTIL_CLOSE:
            go_on = feed_body(r, p + i, k, sink, arg);
            i += k;
            break;
        default:
            i += feed_line(r, p + i, k);
        }
    }
    return i;
}

bool reply_eof(struct reply *r)
{
    if (r->state == REPLY_UNTIL_CLOSE)
        r->state = REPLY_DONE;
    return r->state == REPLY_DONE;
}

void reply_release(struct reply *r)
{
    free(r->head.p);
    free(r->body.p);
    events_release(&r->events);
    *r = (struct reply){0};
}
