/*
 * Bytes out: the content reader of an event stream. The library asks for a chunk; events
 * are formatted straight into its buffer by the exchange's work, which knows what they
 * say; here is known what they are sent in: rests of events that did not fit, pings, the
 * probe of a half-closed client, the end.
 *
 * A struct stream_out belongs to whoever has the exchange (wake.h): the loop thread, or
 * the engine thread while it is LENT. sent_ns may be read by the loop at any time.
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
    uint32_t tick_ms; /* how often tick_due is set at most; 0: never. Set before the stream begins */
    bool tick_due;    /* set by the loop, cleared by the work */
    bool closed;      /* its last event is on its way */
    /* The loop's. */
    bool chunked; /* HTTP/1.1: so the library sends a stream */
    bool probe;   /* send a comment and let the kernel say whether the client is there */
    bool ping_due;
    uint64_t ticked_ns;
    char *rest; /* of an event that did not fit, malloc'ed */
    size_t n_rest, rest_at;
    bool chunk_out; /* bytes were given to the library and it has not come back yet */
    atomic_uint_fast64_t sent_ns;
    /* Of a chunk that was sent past the library and the kernel did not take whole, malloc'ed. */
    char *left;
    size_t n_left, left_at;
    bool left_waits; /* for the socket to take more */
    bool broken;     /* the client cannot get a whole stream any more */
};

/* The library's content reader: cls is the exchange. Loop thread. */
ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max);
void stream_release(struct stream_out *out);

#endif
