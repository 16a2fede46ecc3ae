/*
 * A plain server with the same pattern of events, for comparison: one thread in a child
 * process, an epoll set, a timerfd and send(), nothing between the clock and the socket.
 * It answers any request but the three below with an event stream; once all streams are open, each gets a
 * token event of a worker's size every interval, stamped just before the first send of
 * its tick. GET /health is answered at once, GET /wait as soon as another
 * connection ends, POST /read when its body was read (the head in one piece). What the
 * same client sees of it is what this machine takes at least.
 */
#ifndef ORCD_BENCH_ECHO_H
#define ORCD_BENCH_ECHO_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct echo;

struct echo_pattern {
    unsigned n_streams;   /* 1 .. 1024 */
    uint64_t interval_ns; /* between two events of one stream */
    unsigned groups;      /* streams take turns in so many groups, spread evenly over the interval;
                             those of one group come at one instant */
};

int echo_start(struct echo **out, const struct echo_pattern *p, struct orcd_error *err);
const char *echo_url(const struct echo *e);
void echo_stop(struct echo *e); /* ends the child; takes NULL */

#endif
