#include <stdatomic.h>

#include "plugins/common/batch.h"

int batch_check(const struct orcd_batch *b, uint32_t max_rows, bool has_ticket, uint64_t last_ticket,
    struct orcd_error *err)
{
    if (b->size < offsetof(struct orcd_batch, top_n) || !b->seq || !b->first_pos || !b->n_tokens ||
        !b->token_start || !b->tokens || !b->want)
        return plugin_error(err, ORCD_E_INVALID, "the batch is incomplete");
    if (b->n_rows == 0 || b->n_rows > max_rows)
        return plugin_error(
            err, ORCD_E_INVALID, "%u rows, a step has 1 to %u", (unsigned)b->n_rows, (unsigned)max_rows);
    if (b->ticket == UINT64_MAX || (has_ticket && b->ticket <= last_ticket))
        return plugin_error(err, ORCD_E_INVALID, "ticket %llu after %llu", (unsigned long long)b->ticket,
            (unsigned long long)last_ticket);
    return 0;
}

int result_check(const struct orcd_result *r, uint32_t n_rows, struct orcd_error *err)
{
    if (r->size < offsetof(struct orcd_result, token) || r->row_capacity < n_rows || !r->status || !r->kept ||
        !r->logits || !r->n_logits)
        return plugin_error(err, ORCD_E_INVALID, "the result has no room for %u rows", (unsigned)n_rows);
    return 0;
}

void rows_doom(
    _Atomic uint64_t *doomed, uint32_t n_sequences, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs)
{
    const uint64_t below = ticket == UINT64_MAX ? ticket : ticket + 1;
    for (uint32_t i = 0; i < n_seqs; i++) {
        if (seqs[i] >= n_sequences)
            continue;
        uint64_t old = atomic_load_explicit(&doomed[seqs[i]], memory_order_relaxed);
        while (old < below && !atomic_compare_exchange_weak_explicit(
                                  &doomed[seqs[i]], &old, below, memory_order_release, memory_order_relaxed))
            ;
    }
}
