/*
 * Hot paths alone, on one thread, with inputs that never change: what `orcd bench --ci`
 * counts the instructions of. One row a case in micro.c, its functions in micro/.
 */
#ifndef ORCD_BENCH_MICRO_H
#define ORCD_BENCH_MICRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct micro_case {
    const char *name;  /* "sse_token" */
    const char *title; /* what one run is */
    /* Runs of the short measurement; the long one has twice as many, and the difference
     * is the figure, so that setup and whatever happens once cost nothing. */
    uint32_t runs;
    int (*setup)(const char *model, struct orcd_error *err); /* NULL: none. model: a GGUF file, or NULL */
    void (*run)(uint64_t n);
};

/* The loop that all others are divided by. */
extern const struct micro_case micro_calibration;
extern const struct micro_case micro_cases[]; /* ended by a row without a name */
/* Also the calibration; NULL: there is none of that name. */
const struct micro_case *micro_find(const char *name);

/* For the cases: a result that the compiler may not throw away. */
extern volatile uint64_t micro_sink;
/* A number from a fixed sequence. */
uint32_t micro_random(uint64_t *state);
/* n bytes of words, the same at every call; malloc'ed and NUL-terminated. odd: with
 * quotes, newlines and characters beyond ASCII. NULL: out of memory. */
char *micro_text(size_t n, bool odd);
int micro_no_memory(struct orcd_error *err); /* sets the error and returns it */

#define MICRO_SETUP(name) int micro_setup_##name(const char *model, struct orcd_error *err)
#define MICRO_RUN(name) void micro_run_##name(uint64_t n)

/* name, runs, title; the functions are micro_setup_NAME and micro_run_NAME. */
#define MICRO_CASES(CASE)                                                                                    \
    CASE(deadline_check, 100000, "the look at one running job: deadline and cancel flag")                    \
    CASE(rfc3339, 10000, "an X-Deadline header to nanoseconds")                                              \
    CASE(job_publish, 1000, "a job of 64 tokens: each published and read, then its end")                     \
    CASE(queue, 10000, "one job into a queue of 100 and one out of it")                                      \
    CASE(                                                                                                    \
        engine_step, 100, "a round of the engine thread: decode of 8 rows over a plugin that costs nothing") \
    CASE(outtext, 5000, "a token to text, with two stop strings to look for")                                \
    CASE(sse_token, 3000, "a token event")                                                                   \
    CASE(sse_token_escapes, 3000, "a token event whose text has to be escaped")                              \
    CASE(sse_token_logprobs, 300, "a token event with 5 logprobs")                                           \
    CASE(json_scan, 10, "the check of a body of 32 KB before it is parsed")                                  \
    CASE(execute_request, 10, "a body of 32 KB to a request: checked, parsed, tokenized to bytes")           \
    CASE(tokenizer_encode, 8, "32 KB of text to tokens of the demo model")                                   \
    CASE(sampler_greedy, 20, "greedy among 32768 logits")                                                    \
    CASE(sampler_top, 20, "top-k 40 and top-p 0.9 among 32768 logits")                                       \
    CASE(metric_observe, 20000, "one value into a histogram")                                                \
    CASE(metrics_render, 10, "the answer to GET /metrics")                                                   \
    CASE(health_render, 300, "the answer to GET /health")                                                    \
    CASE(gguf_open, 50, "the directory of the demo model")

#define MICRO_DECLARE(name, runs, title)                                                                     \
    MICRO_SETUP(name);                                                                                       \
    MICRO_RUN(name);
MICRO_CASES(MICRO_DECLARE)
#undef MICRO_DECLARE

#endif
