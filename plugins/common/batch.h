/* Steps as the host hands them over, whatever computes them. The cuda plugin uses it too. */
#ifndef ORCD_COMMON_BATCH_H
#define ORCD_COMMON_BATCH_H

#include <stdbool.h>

#include "plugins/common/util.h"

/* The batch is whole, has 1 to max_rows rows and a ticket above the last one, if there was
 * one. INVALID. */
int batch_check(const struct orcd_batch *b, uint32_t max_rows, bool has_ticket, uint64_t last_ticket,
    struct orcd_error *err);

/* The host's arrays have room for n_rows. INVALID. */
int result_check(const struct orcd_result *r, uint32_t n_rows, struct orcd_error *err);

/* Abort: rows of these sequences in steps up to ticket are doomed. doomed[i] is the ticket from
 * which on sequence i is not; it only grows. Any thread. */
void rows_doom(
    _Atomic uint64_t *doomed, uint32_t n_sequences, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs);

#endif
