/* Somebody who waits for the ready callback: a listener on loopback with its own thread,
 * which takes one request a connection and answers 200. */
#ifndef ORCD_BENCH_CASES_RECEIVER_H
#define ORCD_BENCH_CASES_RECEIVER_H

#include <stdint.h>

#include "base/error.h"

struct receiver;

int receiver_start(struct receiver **out, struct orcd_error *err);
void receiver_stop(struct receiver *r); /* takes NULL */
const char *receiver_url(const struct receiver *r);
/* When the next request that nobody asked for yet was whole, at most timeout_ms from now;
 * 0: none came. */
uint64_t receiver_wait(struct receiver *r, uint64_t timeout_ms);

#endif
