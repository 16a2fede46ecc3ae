/*
 * Server-sent events: the bytes of a text/event-stream in, events out.
 *
 * Life cycle: a struct sse of zeros, sse_feed for each piece of the stream as it comes, sse_release.
 * Lines and events are bounded by SSE_EVENT_MAX. Threads: one at a time; no locks.
 */
#ifndef ORCD_CLIENT_SSE_H
#define ORCD_CLIENT_SSE_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

#define SSE_EVENT_MAX (1u << 20)

struct sse {
    char name[64], id[64]; /* of the event being read */
    char *data;            /* NUL-terminated */
    size_t n_data, line_n;
    char *line;
    bool after_cr;
};

/* Called per event; non-zero ends sse_feed, which returns it. */
typedef int (*sse_fn)(const char *name, const char *id, const char *data, void *arg);
int sse_feed(struct sse *s, const char *p, size_t n, sse_fn fn, void *arg, struct orcd_error *err);
void sse_release(struct sse *s);

#endif
