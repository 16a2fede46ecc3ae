/*
 * The echo server: a minimal server with the same pattern of events as a worker, for comparison. It
 * is a child process with one thread, an epoll set, a timerfd and send(); nothing is between the
 * clock and the socket. The latency that a client measures with it is the least that this machine can
 * do.
 *
 * GET /health is answered at once, GET /wait as soon as another connection ends, POST /read when its
 * body has been read (the head must arrive in one piece). Any other request is answered with an event
 * stream. Once all streams are open, each gets a token event of a worker's size every interval,
 * stamped just before the first send of its tick.
 *
 * echo_start, requests to echo_url, echo_stop: one thread.
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
    unsigned groups;      /* the streams are in this many groups, whose ticks are spread evenly over the
                             interval; the streams of a group get their events at one instant */
};

int echo_start(struct echo **out, const struct echo_pattern *p, struct orcd_error *err);
const char *echo_url(const struct echo *e);
void echo_stop(struct echo *e); /* ends the child; accepts NULL */

#endif
