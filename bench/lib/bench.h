/*
 * The interface of a benchmark case. Each case has a file in bench/cases/ and a row in cases.c.
 *
 * cli/bench.c calls run() on the main thread, one case at a time, once per target (once only, if the
 * case needs no server). run() starts the servers that it needs, drives them with the load generator,
 * fills in the measures of *r, and stops the servers. It prints nothing. It returns 0, or an error code
 * with err set if it failed to run; a bar that fails is not an error.
 */
#ifndef ORCD_BENCH_BENCH_H
#define ORCD_BENCH_BENCH_H

#include "lib/load.h"
#include "lib/result.h"
#include "lib/target.h"

struct bench_run {
    bool quick;
    uint64_t seed;
    const struct target_kind *target; /* the server under test */
    const char *model;                /* a GGUF file for the cpu plugin and for peers; NULL: none */
    double scale;                     /* multiplies the numbers of samples; normally 1 */
};

/* The number of samples to take: quick or full, by the mode, times scale, at least 1. */
size_t bench_count(const struct bench_run *b, size_t quick, size_t full);
/* Shows on standard error, if that is a terminal, what is running now. what NULL: clears the line. */
void bench_progress(const struct bench_run *b, const char *what, double fraction);

enum bench_case_flags {
    BENCH_PEERS = 1, /* applies also to peers: servers other than orcd */
    BENCH_MOCK = 2,  /* needs the mock plugin's delays */
    BENCH_LOCAL = 4, /* needs no server */
    BENCH_NAMED = 8, /* one of the seven of the specification */
    BENCH_LONG = 16  /* runs only when named (the soak) */
};

struct bench_case {
    const char *name;  /* "cancellation_latency" */
    const char *title; /* "POST /v2/cancel to slot free" */
    unsigned flags;
    int (*run)(const struct bench_run *b, struct bench_result *r, struct orcd_error *err);
};
extern const struct bench_case *const bench_cases[]; /* ended by NULL */

#endif
