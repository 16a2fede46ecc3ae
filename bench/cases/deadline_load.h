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
    bool counted;
};

enum deadline_fate {
    DEADLINE_FAILED, /* otherwise */
    DEADLINE_IN_TIME,
    DEADLINE_LATE,     /* complete, but after its deadline */
    DEADLINE_REFUSED,  /* predicted to be late, or late at arrival */
    DEADLINE_DOOMED,   /* taken, then ended by its deadline */
    DEADLINE_REJECTED, /* the queue was full */
    DEADLINE_HUNG_UP,
    DEADLINE_FATES
};

/* n requests that offer `per_s` a second, or all at once (0). Those of the first twentieth
 * and of the last quarter are not counted: the load begins before and goes on after those
 * that are. malloc'ed. */
struct deadline_request *deadline_requests(size_t n, double per_s, bool by_itself, uint64_t seed);

struct deadline_outcome {
    size_t offered, n[DEADLINE_FATES]; /* of those that are counted */
    double per_s;                      /* of a play of so many together: how many ended a second */
};

/* Plays them; `together` > 0: so many at a time, each as soon as one ends.
 * fates: one each; NULL. */
int deadline_play(const struct target *t, const struct deadline_request *requests, size_t n,
    enum deadline_policy policy, size_t together, enum deadline_fate *fates, struct deadline_outcome *out,
    struct orcd_error *err);

#endif
