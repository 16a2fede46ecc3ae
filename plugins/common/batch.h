/*
 * Steps as the host hands them over: what is checked before one is taken or collected, and the numbers that
 * an abort raises. The same for every plugin that computes.
 *
 * Nothing here has state or memory of its own.
 *
 * Order of calls: submit calls batch_check() before it notes anything, wait calls result_check() before it
 * waits, both on the host's owner thread. rows_doom() is abort: any thread calls it, also while a step runs.
 */
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
