/*
 * A load of requests with deadlines for a worker of orcd: Poisson arrivals, mixed prompts, answers
 * and deadlines. All are drawn from one seed, so that every policy gets the same requests at the same
 * times.
 *
 * deadline_requests, deadline_play as often as wanted, free. One thread.
 */
#ifndef ORCD_BENCH_CASES_DEADLINE_LOAD_H
#define ORCD_BENCH_CASES_DEADLINE_LOAD_H

#include "lib/bench.h"

/* The speeds of the mock, and so the time of an answer that runs alone. */
#define DEADLINE_TOKEN_MS 5.0
#define DEADLINE_PREFILL_MS 0.1 /* per prompt token */

enum deadline_policy {
    DEADLINE_SENT,   /* X-Deadline is sent: earliest deadline first, refusals, aborts */
    DEADLINE_UNSAID, /* not sent: first come, first served; late answers are completed */
    DEADLINE_HANG_UP /* not sent, but the client disconnects at the deadline */
};

struct deadline_request {
    double at_ms; /* after the start */
    double budget_ms;
    uint32_t prompt, tokens;
    bool by_itself; /* the answer may end before it has `tokens` tokens */
    bool counted;   /* part of the figures */
};

enum deadline_fate {
    DEADLINE_FAILED, /* for another reason */
    DEADLINE_IN_TIME,
    DEADLINE_LATE,     /* complete, but after its deadline */
    DEADLINE_REFUSED,  /* predicted to be late, or already late on arrival */
    DEADLINE_DOOMED,   /* accepted, then ended by its deadline */
    DEADLINE_REJECTED, /* the queue was full */
    DEADLINE_HUNG_UP,
    DEADLINE_FATES
};

/* n requests that arrive at `per_s` per second, or all at once (0); malloc'ed. The first twentieth and
 * the last quarter are not counted, so that those that are counted run under the full load. */
struct deadline_request *deadline_requests(size_t n, double per_s, bool by_itself, uint64_t seed);

struct deadline_outcome {
    size_t offered, n[DEADLINE_FATES]; /* of the counted requests */
    double per_s;                      /* with `together`: requests that ended per second */
};

/* Sends the requests to t. together > 0: keeps this many running, whatever their arrival times. Sets
 * fates[i] of each request unless fates is NULL. */
int deadline_play(const struct target *t, const struct deadline_request *requests, size_t n,
    enum deadline_policy policy, size_t together, enum deadline_fate *fates, struct deadline_outcome *out,
    struct orcd_error *err);

#endif
