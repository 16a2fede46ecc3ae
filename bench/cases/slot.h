/*
 * A server with one slot to win: a job that has it, and one that waits for it. What ends
 * the first shows at once in the second, whose response begins when the slot is free (with
 * a peer: whose first token, of a prompt of eight, comes).
 */
#ifndef ORCD_BENCH_CASES_SLOT_H
#define ORCD_BENCH_CASES_SLOT_H

#include "lib/ask.h"
#include "lib/bench.h"

#define SLOT_MAX_BESIDE 7

struct slot_params {
    const char *const *settings; /* of ours, besides model.slots; NULL */
    bool prefill;                /* the job is to be caught in its prompt, else in its answer */
    bool whole;                  /* it asks for an answer in one piece */
    uint32_t prompt_tokens, max_tokens;
    uint32_t beside; /* other streams that go on all the time */
    double phase_ms; /* the moment is drawn from so many milliseconds */
};

struct slot {
    const struct bench_run *b;
    struct slot_params params;
    struct target *target;
    struct load *load;
    struct ask jobs[2], side, beside[SLOT_MAX_BESIDE];
    unsigned holder; /* which of jobs has the slot */
    unsigned serial;
    uint64_t random;
};

int slot_start(
    struct slot *s, const struct bench_run *b, const struct slot_params *p, struct orcd_error *err);
void slot_stop(struct slot *s); /* takes one that failed to start */

/* When it returns, the holder is where it is to be caught, and another job waits. */
int slot_ready(struct slot *s, struct orcd_error *err);
struct ask *slot_holder(struct slot *s);
struct ask *slot_waiting(struct slot *s);
/* Waits until the waiting job has the slot: when that showed, on the monotonic clock. */
int slot_freed(struct slot *s, uint64_t *at_ns, struct orcd_error *err);
/* The waiting job has the slot: it is the holder now (if answers come whole, and with a
 * peer, it was a short stream and both are over). The holder before must be over. */
void slot_pass(struct slot *s);

double slot_random(struct slot *s); /* [0, 1) */

/* Adds the observations that a histogram of the server had between two texts of its
 * metrics, each as the upper bound of its bucket (the last finite one beyond it). */
void slot_add_histogram(struct bench_measure *m, const char *before, const char *after, const char *name);

#endif
