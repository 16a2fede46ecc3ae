/* Jobs, and the tokenizer whose tokens are bytes, for the micro cases that need them. One thread. */
#ifndef ORCD_BENCH_MICRO_JOBS_H
#define ORCD_BENCH_MICRO_JOBS_H

#include "bench/micro.h"
#include "engine/job.h"

/* The one tokenizer, shared by all cases; NULL: err is set. */
struct tokenizer *micro_bytes(struct orcd_error *err);
/* Creates a job with a prompt of n_tokens tokens, all 'a', and greedy sampling. */
int micro_job(struct job **out, uint32_t n_tokens, uint32_t max_tokens, struct orcd_error *err);

#endif
