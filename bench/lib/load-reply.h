/*
 * One HTTP/1.1 response out of bytes that come in any pieces: head, Content-Length,
 * chunked and until-close bodies. A body is an event stream or is kept as a whole.
 */
#ifndef ORCD_BENCH_LOAD_REPLY_H
#define ORCD_BENCH_LOAD_REPLY_H

#include "lib/load-events.h"

#define REPLY_HEAD_MAX (16u * 1024)
#define REPLY_BODY_MAX (64u << 20)

enum reply_state {
    REPLY_HEAD,
    REPLY_LENGTH,      /* `left` bytes of the body to come */
    REPLY_CHUNK_SIZE,  /* a line */
    REPLY_CHUNK,       /* `left` bytes of a chunk to come */
    REPLY_CHUNK_END,   /* the line end behind it */
    REPLY_TRAILER,     /* lines up to an empty one */
    REPLY_UNTIL_CLOSE, /* the rest */
    REPLY_DONE,
    REPLY_BAD
};

struct reply {
    enum reply_state state;
    bool no_body;            /* set by the caller for HEAD requests */
    bool stream, keep_alive; /* known with the head */
    int status;              /* 0: no head yet */
    uint64_t left;
    struct event_text head; /* head, then chunk size and trailer lines */
    struct event_text body;
    struct events events;
};

/* Both return false when nothing more is to be read. */
struct reply_sink {
    bool (*head)(void *arg, int status);
    events_fn event;
};

/* Returns how many bytes were used: all, or up to the end of the reply, or up to where it
 * turned out to be none (state REPLY_BAD), or where the sink said stop. */
size_t reply_feed(struct reply *r, const char *p, size_t n, const struct reply_sink *sink, void *arg);
/* The connection ended. True: so did the reply, as it should. */
bool reply_eof(struct reply *r);
void reply_release(struct reply *r);

#endif
