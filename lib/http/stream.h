/*
 * The bytes of an event stream: the content reader of its response. When the library requests
 * a chunk, the exchange's work formats events directly into the library's buffer. The work
 * knows what the events say; this module knows how they are sent: the rest of an event that
 * did not fit, pings, the probe of a half-closed client, the end.
 *
 * The thread that has the exchange (wake.h) owns its struct stream_out: the loop thread, or a
 * producer while it is LENT. The loop may read sent_ns at any time.
 */
#ifndef ORCD_HTTP_STREAM_H
#define ORCD_HTTP_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct exchange;

struct stream_out {
    /* Set by the work. */
    uint32_t tick_ms; /* tick_due is set at most this often; 0: never. Set before the stream begins */
    bool tick_due;    /* set by the loop, cleared by the work */
    bool closed;      /* its last event is on its way */
    /* Set by lib. */
    bool chunked; /* HTTP/1.1: the library sends the stream in chunks */
    bool probe;   /* send a comment, so that the kernel reports whether the client has closed */
    bool ping_due;
    uint64_t ticked_ns;
    char *rest; /* of an event that did not fit, malloc'ed */
    size_t n_rest, rest_at;
    bool chunk_out; /* the library got bytes and has not requested more since */
    atomic_uint_fast64_t sent_ns;
    /* The part of a chunk sent past the library that the kernel did not accept, malloc'ed. */
    char *left;
    size_t n_left, left_at;
    bool left_waits; /* until the socket accepts more */
    bool broken;     /* the client cannot get a whole stream any more */
};

/* The library's content reader: cls is the exchange. Loop thread. */
ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max);
void stream_release(struct stream_out *out);

#endif
