/*
 * The receiver of ready callbacks: a listener on the loopback address, with a thread of its own, which
 * reads one request per connection and answers 200.
 *
 * receiver_start, receiver_wait for each request, receiver_stop: one thread calls these.
 */
#ifndef ORCD_BENCH_CASES_RECEIVER_H
#define ORCD_BENCH_CASES_RECEIVER_H

#include <stdint.h>

#include "base/error.h"

struct receiver;

int receiver_start(struct receiver **out, struct orcd_error *err);
void receiver_stop(struct receiver *r); /* accepts NULL */
const char *receiver_url(const struct receiver *r);
/* Waits for the next request. Returns the time when it was complete; 0: none arrived within
 * timeout_ms. */
uint64_t receiver_wait(struct receiver *r, uint64_t timeout_ms);

#endif
