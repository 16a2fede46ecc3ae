/*
 * What a benchmark case gets and how it is registered: one file a case in bench/cases/,
 * one row in cases.c. A case starts the servers that it needs, drives them with the load
 * generator, and fills in measures; it prints nothing.
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
    const char *model;                /* a GGUF file for the cpu plugin and for peers; NULL */
    double scale;                     /* of sample counts; 1 */
};

/* Sample counts: so many in quick mode, so many in full mode, times scale, at least 1. */
size_t bench_count(const struct bench_run *b, size_t quick, size_t full);
/* On standard error of a terminal: what is going on now. */
void bench_progress(const struct bench_run *b, const char *what, double fraction);

enum bench_case_flags {
    BENCH_PEERS = 1, /* means something for a server that is not ours */
    BENCH_MOCK = 2,  /* needs the mock plugin's delays */
    BENCH_LOCAL = 4, /* needs no server */
    BENCH_NAMED = 8, /* one of the seven of the specification */
    BENCH_LONG = 16  /* only when it is named (the soak) */
};

struct bench_case {
    const char *name;  /* "cancellation_latency" */
    const char *title; /* "POST /v2/cancel to slot free" */
    unsigned flags;
    int (*run)(const struct bench_run *b, struct bench_result *r, struct orcd_error *err);
};
extern const struct bench_case *const bench_cases[]; /* ended by NULL */

#endif
