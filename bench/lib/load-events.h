/*
 * Parses server-sent events from body bytes that arrive in any pieces. Nothing is allocated per
 * event: buffers grow to the longest line or event, at most EVENTS_MAX.
 *
 * A struct events of zeros, events_feed for each piece, events_release. One thread.
 */
#ifndef ORCD_BENCH_LOAD_EVENTS_H
#define ORCD_BENCH_LOAD_EVENTS_H

#include "lib/load.h"

#define EVENTS_MAX (1u << 20) /* bytes of a line, and of an event's data */

struct event_text {
    char *p;
    size_t n, cap;
};
bool event_text_add(
    struct event_text *t, const char *p, size_t n, size_t max); /* false: too long. Keeps a NUL at the end */

struct events {
    struct event_text line, data; /* the line so far; the data lines so far */
    char name[32];
    bool has_data, has_id, after_cr;
};

/* Returns false if nothing more must be read: the receiver has closed its call. */
typedef bool (*events_fn)(
    void *arg, enum load_event_kind kind, uint64_t at_us, const char *data, size_t n_data);

enum events_result { EVENTS_MORE, EVENTS_STOPPED, EVENTS_TOO_LONG };
enum events_result events_feed(struct events *e, const char *p, size_t n, events_fn fn, void *arg);
void events_release(struct events *e);

#endif
