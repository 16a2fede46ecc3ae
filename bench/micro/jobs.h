/* Jobs and the vocabulary of bytes, for the cases that need some. */
#ifndef ORCD_BENCH_MICRO_JOBS_H
#define ORCD_BENCH_MICRO_JOBS_H

#include "bench/micro.h"
#include "engine/job.h"

/* One tokenizer for all; NULL: err is set. */
struct tokenizer *micro_bytes(struct orcd_error *err);
/* A job of n_tokens prompt tokens, all 'a', that asks for greedy tokens. */
int micro_job(struct job **out, uint32_t n_tokens, uint32_t max_tokens, struct orcd_error *err);

#endif
