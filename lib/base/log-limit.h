/*
 * At most so many lines a second of one kind, where strangers decide how often it happens: refusals, wrong
 * keys. What was left out is counted, and the next line says how many.
 *
 * A struct log_limit is static, zeroed memory. Any thread may call log_limit_allows(), at any time.
 */
#ifndef ORCD_BASE_LOG_LIMIT_H
#define ORCD_BASE_LOG_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct log_limit {
    atomic_uint_fast64_t second; /* of the monotonic clock, in which n were allowed */
    atomic_uint_fast32_t n;
    atomic_uint_fast64_t left_out;
};

/* True: write the line, with *left_out as the number of those that were not written before it. */
bool log_limit_allows(struct log_limit *l, uint32_t per_second, uint64_t *left_out);

#endif
