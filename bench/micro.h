/*
 * Micro cases: single hot paths, on one thread, with inputs that never change. `orcd bench --ci`
 * counts their instructions. Each case has a row in MICRO_CASES below and its functions in micro/.
 *
 * 1. setup, once.
 * 2. run(n): n runs. Nothing is released: the process ends afterwards.
 */
#ifndef ORCD_BENCH_MICRO_H
#define ORCD_BENCH_MICRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct micro_case {
    const char *name;  /* "sse_token" */
    const char *title; /* what one run does */
    /* Runs of the short measurement. The long one has twice as many, and the figure is the
     * difference, so that setup and other one-time costs are not in it. */
    uint32_t runs;
    int (*setup)(const char *model, struct orcd_error *err); /* may be NULL. model: a GGUF file; NULL: none */
    void (*run)(uint64_t n);
};

/* The loop whose count divides all others. */
extern const struct micro_case micro_calibration;
extern const struct micro_case micro_cases[]; /* ended by a row without a name */
/* Finds the calibration too. NULL: no case has this name. */
const struct micro_case *micro_find(const char *name);

/* Cases write results here, so that the compiler cannot remove the work. */
extern volatile uint64_t micro_sink;
/* The next number of a fixed sequence. */
uint32_t micro_random(uint64_t *state);
/* n bytes of words, the same in every call, malloc'ed and NUL-terminated. odd: with quotes, newlines
 * and characters that are not ASCII. NULL: out of memory. */
char *micro_text(size_t n, bool odd);
int micro_no_memory(struct orcd_error *err); /* sets the error and returns its code */

#define MICRO_SETUP(name) int micro_setup_##name(const char *model, struct orcd_error *err)
#define MICRO_RUN(name) void micro_run_##name(uint64_t n)

/* name, runs, title. The functions are micro_setup_NAME and micro_run_NAME. */
#define MICRO_CASES(CASE)                                                                                    \
    CASE(deadline_check, 100000, "check one running job: deadline and cancel flag")                          \
    CASE(rfc3339, 10000, "convert an X-Deadline header to nanoseconds")                                      \
    CASE(job_publish, 1000, "a job of 64 tokens: publish and read each, then end the job")                   \
    CASE(queue, 10000, "put one job into a queue of 100, take one out")                                      \
    CASE(engine_step, 100,                                                                                   \
        "one round of the engine thread: decode 8 rows with a plugin that computes nothing")                 \
    CASE(outtext, 5000, "convert a token to text and search it for two stop strings")                        \
    CASE(sse_token, 3000, "format a token event")                                                            \
    CASE(sse_token_escapes, 3000, "format a token event whose text needs escapes")                           \
    CASE(sse_token_logprobs, 300, "format a token event with 5 logprobs")                                    \
    CASE(json_scan, 10, "check a body of 32 KB before it is parsed")                                         \
    CASE(execute_request, 10, "convert a body of 32 KB to a request: check, parse, tokenize to bytes")       \
    CASE(tokenizer_encode, 8, "tokenize 32 KB of text for the demo model")                                   \
    CASE(sampler_greedy, 20, "choose the most probable of 32768 tokens")                                     \
    CASE(sampler_top, 20, "draw from 32768 logits with top-k 40 and top-p 0.9")                              \
    CASE(metric_observe, 20000, "add one value to a histogram")                                              \
    CASE(metrics_render, 10, "format the answer to GET /metrics")                                            \
    CASE(health_render, 300, "format the answer to GET /health")                                             \
    CASE(gguf_open, 50, "parse the keys and the tensor list of the demo model")

#define MICRO_DECLARE(name, runs, title)                                                                     \
    MICRO_SETUP(name);                                                                                       \
    MICRO_RUN(name);
MICRO_CASES(MICRO_DECLARE)
#undef MICRO_DECLARE

#endif
