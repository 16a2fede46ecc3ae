/*
 * A server with one free slot, a job that holds it, and a job that waits for it. When the first job
 * ends, the second shows it at once: its response begins when the slot is free (with a peer: the first
 * token for its prompt of eight tokens arrives).
 *
 * 1. slot_start.
 * 2. slot_ready; the case ends the holder, by a cancel for example; slot_freed; slot_pass. Again.
 * 3. slot_stop.
 *
 * One thread.
 */
#ifndef ORCD_BENCH_CASES_SLOT_H
#define ORCD_BENCH_CASES_SLOT_H

#include "lib/ask.h"
#include "lib/bench.h"

#define SLOT_MAX_BESIDE 7

struct slot_params {
    const char *const *settings; /* for a worker of orcd, in addition to model.slots; NULL: none */
    bool prefill;                /* the holder is to be in prefill, else in decode */
    bool whole;                  /* the holder requests an answer in one piece */
    uint32_t prompt_tokens, max_tokens;
    uint32_t beside; /* other streams that run all the time, on slots of their own */
    double phase_ms; /* slot_ready waits for a random part of this */
};

struct slot {
    const struct bench_run *b;
    struct slot_params params;
    struct target *target;
    struct load *load;
    struct ask jobs[2], side, beside[SLOT_MAX_BESIDE];
    unsigned holder; /* the index in jobs of the job that holds the slot */
    unsigned serial;
    uint64_t random;
};

int slot_start(
    struct slot *s, const struct bench_run *b, const struct slot_params *p, struct orcd_error *err);
void slot_stop(struct slot *s); /* accepts one that failed to start */

/* Returns when the holder is in the wanted phase and another job waits. */
int slot_ready(struct slot *s, struct orcd_error *err);
struct ask *slot_holder(struct slot *s);
struct ask *slot_waiting(struct slot *s);
/* Waits until the waiting job has got the slot. *at_ns: when that was seen, on the monotonic clock. */
int slot_freed(struct slot *s, uint64_t *at_ns, struct orcd_error *err);
/* To be called when the waiting job has got the slot and the old holder is done: makes it the holder.
 * (With `whole` and with a peer it was a short stream and is done too.) */
void slot_pass(struct slot *s);

double slot_random(struct slot *s); /* [0, 1) */

/* Adds the observations that a histogram of the server got between two texts of its metrics, each as
 * the upper bound of its bucket; those above the last finite bound as that bound. */
void slot_add_histogram(struct bench_measure *m, const char *before, const char *after, const char *name);

#endif
