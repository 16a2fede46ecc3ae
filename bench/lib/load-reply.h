/*
 * Parses one HTTP/1.1 response from bytes that arrive in any pieces: the head, and a body with
 * Content-Length, in chunks, or until the connection closes. An event stream is parsed into events,
 * any other body is kept.
 *
 * A struct reply of zeros, reply_feed for each piece, reply_eof if the connection ends,
 * reply_release. One thread.
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
    REPLY_CHUNK_END,   /* the line end after the chunk */
    REPLY_TRAILER,     /* lines up to an empty one */
    REPLY_UNTIL_CLOSE, /* the rest */
    REPLY_DONE,
    REPLY_BAD
};

struct reply {
    enum reply_state state;
    bool no_body;            /* set by the caller for HEAD requests */
    bool stream, keep_alive; /* valid once the head is complete */
    int status;              /* 0: no head yet */
    uint64_t left;
    struct event_text head; /* head, then chunk size and trailer lines */
    struct event_text body;
    struct events events;
};

/* Both return false if nothing more must be read. */
struct reply_sink {
    bool (*head)(void *arg, int status);
    events_fn event;
};

/* Returns the number of bytes used: all of them, or those up to the end of the reply, up to an error
 * (state REPLY_BAD), or up to where the sink returned false. */
size_t reply_feed(struct reply *r, const char *p, size_t n, const struct reply_sink *sink, void *arg);
/* The connection has ended. True: the reply is complete. */
bool reply_eof(struct reply *r);
void reply_release(struct reply *r);

#endif
