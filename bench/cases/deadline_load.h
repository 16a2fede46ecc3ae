/*
 * A load of requests with deadlines, played at a worker of ours: Poisson arrivals, mixed
 * prompts, answers and deadlines, all drawn from one seed, so that the same requests come
 * at the same moments whatever the policy.
 */
#ifndef ORCD_BENCH_CASES_DEADLINE_LOAD_H
#define ORCD_BENCH_CASES_DEADLINE_LOAD_H

#include "lib/bench.h"

/* The mock's rates, and what an answer takes by itself. */
#define DEADLINE_TOKEN_MS 5.0
#define DEADLINE_PREFILL_MS 0.1 /* a prompt token */

enum deadline_policy {
    DEADLINE_SENT,   /* X-Deadline: earliest deadline first, feasibility, aborts */
    DEADLINE_UNSAID, /* none: first come first served; what is late is late */
    DEADLINE_HANG_UP /* none, but the client hangs up when it is late */
};

struct deadline_request {
    double at_ms; /* after the start */
    double budget_ms;
    uint32_t prompt, tokens;
    bool by_itself; /* the answer may end before `tokens` */
};

/* n requests that offer `per_s` a second, or all at once (0). malloc'ed. */
struct deadline_request *deadline_requests(size_t n, double per_s, bool by_itself, uint64_t seed);

struct deadline_outcome {
    size_t offered, in_time, late; /* late: complete, but after its deadline */
    size_t refused;                /* predicted to be late, or late at arrival */
    size_t doomed;                 /* taken, then ended by its deadline */
    size_t rejected;               /* the queue was full */
    size_t hung_up, failed;
    double seconds; /* first arrival to last end */
};

/* Plays them; `together` > 0: so many at a time, each as soon as one ends. */
int deadline_play(const struct target *t, const struct deadline_request *requests, size_t n,
    enum deadline_policy policy, size_t together, struct deadline_outcome *out, struct orcd_error *err);

#endif
