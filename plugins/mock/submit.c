/* The host's side of a step: hand in, doom, collect. */
#include <string.h>

#include "mock.h"

static uint32_t wanted_logits(const struct mock_row *row)
{
    return row->want == ORCD_WANT_ALL ? row->n_tokens : row->want == ORCD_WANT_LAST;
}

/* Under the lock. NULL, or why the row can't be. */
static const char *check_row(const struct orcd_ctx *ctx, const struct mock_row *row, bool two_rows)
{
    if (row->seq >= ctx->params.n_sequences || !ctx->sequences[row->seq].open)
        return "is not of an open sequence";
    const struct mock_sequence *s = &ctx->sequences[row->seq];
    if (two_rows)
        return "is the sequence's second in one step";
    if (row->n_tokens == 0 || row->first_pos != s->pending_len)
        return "does not continue its sequence";
    if (row->n_tokens > s->max_tokens - s->pending_len)
        return "goes beyond what its sequence reserved";
    if (row->want > ORCD_WANT_ALL || row->kind > ORCD_KIND_TOP_LOGPROBS ||
        (row->want == ORCD_WANT_ALL && row->kind != ORCD_KIND_LOGITS))
        return "wants what there is not";
    if (row->kind == ORCD_KIND_TOKEN && row->want && !s->has_sampler)
        return "wants a token but its sequence has no sampler";
    if (row->kind == ORCD_KIND_TOP_LOGPROBS && row->want && (!row->top_n || row->top_n > MOCK_N_VOCAB))
        return "wants no or too many logprobs";
    for (uint32_t i = 0; i < row->n_tokens; i++) {
        int32_t token = row->tokens[i];
        if (token == ORCD_TOKEN_CHAINED && (i || !s->pending_sampled))
            return "is chained to a token that the plugin did not sample";
        if (token != ORCD_TOKEN_CHAINED && (token < 0 || token >= MOCK_N_VOCAB))
            return "has a token outside the vocabulary";
    }
    return NULL;
}

/* Under the lock. Reads the batch into the step; changes nothing else that shows. */
static int32_t read_batch(
    struct orcd_ctx *ctx, const struct orcd_batch *b, struct mock_step *step, struct orcd_error *err)
{
    const struct orcd_ctx_params *p = &ctx->params;
    if (b->n_rows == 0 || b->n_rows > p->max_batch_rows || b->ticket <= ctx->last_ticket)
        return error_set(err, ORCD_E_INVALID, "mock: a step of %u rows with ticket %llu after %llu",
            b->n_rows, (unsigned long long)b->ticket, (unsigned long long)ctx->last_ticket);
    uint64_t n_tokens = 0, n_logits = 0;
    size_t at = 0;
    ctx->n_batches++;
    for (uint32_t r = 0; r < b->n_rows; r++) {
        struct mock_row *row = &step->rows[r];
        *row = (struct mock_row){.seq = b->seq[r],
            .first_pos = b->first_pos[r],
            .n_tokens = b->n_tokens[r],
            .want = b->want[r],
            .kind = b->kind[r],
            .top_n = b->top_n ? b->top_n[r] : 0,
            .token = -1};
        if (row->n_tokens > p->max_batch_tokens - n_tokens)
            return error_set(err, ORCD_E_INVALID, "mock: more than %u tokens in a step", p->max_batch_tokens);
        row->tokens = memcpy(
            step->tokens + n_tokens, b->tokens + b->token_start[r], sizeof(*step->tokens) * row->n_tokens);
        n_tokens += row->n_tokens;
        bool two_rows = false;
        if (row->seq < p->n_sequences) {
            two_rows = ctx->sequences[row->seq].batch == ctx->n_batches;
            ctx->sequences[row->seq].batch = ctx->n_batches;
        }
        const char *why = check_row(ctx, row, two_rows);
        if (why)
            return error_set(err, ORCD_E_INVALID, "mock: row %u (sequence %u) %s", r, row->seq, why);
        n_logits += wanted_logits(row);
        if (n_logits > p->max_logits)
            return error_set(err, ORCD_E_INVALID, "mock: more than %u logits in a step", p->max_logits);
        row->logits = step->logits + at;
        at += ((size_t)wanted_logits(row) * MOCK_N_VOCAB + 15) / 16 * 16;
        row->top_ids = step->top_ids + (size_t)r * MOCK_N_VOCAB;
        row->top_logprobs = step->top_logprobs + (size_t)r * MOCK_N_VOCAB;
    }
    return 0;
}

int32_t mock_submit(struct orcd_ctx *ctx, const struct orcd_batch *batch, struct orcd_error *err)
{
    int32_t rc = mock_fault_check("submit", err);
    if (rc == ORCD_E_DEVICE_LOST)
        atomic_store(&ctx->model->device->lost, true);
    if (rc)
        return rc;
    uint64_t now = mock_host->now_ns();
    pthread_mutex_lock(&ctx->lock);
    struct mock_step *step = &ctx->steps[ctx->n_submitted % mock_options.max_inflight];
    if (atomic_load(&ctx->model->device->lost))
        rc = error_set(err, ORCD_E_DEVICE_LOST, "mock: the device is lost");
    else if (ctx->n_submitted - ctx->n_collected >= mock_options.max_inflight)
        rc = error_set(err, ORCD_E_BUSY, "mock: all steps are in flight");
    else
        rc = read_batch(ctx, batch, step, err);
    if (rc == 0) {
        step->ticket = ctx->last_ticket = batch->ticket;
        step->n_rows = batch->n_rows;
        step->error = 0;
        step->submitted_ns = now;
        step->state = MOCK_STEP_QUEUED;
        for (uint32_t r = 0; r < step->n_rows; r++) {
            const struct mock_row *row = &step->rows[r];
            struct mock_sequence *s = &ctx->sequences[row->seq];
            s->in_flight++;
            s->pending_len = row->first_pos + row->n_tokens;
            s->pending_sampled = row->kind == ORCD_KIND_TOKEN && row->want;
        }
        ctx->n_submitted++;
    }
    pthread_mutex_unlock(&ctx->lock);
    if (rc == 0)
        pthread_cond_signal(&ctx->work);
    return rc;
}

void mock_abort(struct orcd_ctx *ctx, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs)
{
    pthread_mutex_lock(&ctx->lock);
    for (uint32_t i = 0; i < n_seqs; i++) {
        if (seqs[i] >= ctx->params.n_sequences)
            continue;
        struct mock_sequence *s = &ctx->sequences[seqs[i]];
        s->doomed = ticket > s->doomed ? ticket : s->doomed;
    }
    pthread_cond_broadcast(&ctx->work);
    pthread_mutex_unlock(&ctx->lock);
}

/* --------------------------------------------------------------------- wait */

static void deliver(const struct mock_step *step, struct orcd_result *res)
{
    res->n_rows = step->n_rows;
    res->ticket = step->ticket;
    for (uint32_t r = 0; r < step->n_rows; r++) {
        const struct mock_row *row = &step->rows[r];
        bool ok = row->status == 0 && row->want;
        res->status[r] = row->status;
        res->kept[r] = row->kept;
        res->logits[r] = ok && row->kind == ORCD_KIND_LOGITS ? row->logits : NULL;
        res->n_logits[r] = ok && row->kind == ORCD_KIND_LOGITS ? row->n_logits : 0;
        res->token[r] = ok && row->kind == ORCD_KIND_TOKEN ? row->token : -1;
        bool top = ok && row->kind == ORCD_KIND_TOP_LOGPROBS;
        if (res->top_ids)
            res->top_ids[r] = top ? row->top_ids : NULL;
        if (res->top_logprobs)
            res->top_logprobs[r] = top ? row->top_logprobs : NULL;
    }
    res->submitted_ns = step->submitted_ns;
    res->started_ns = step->started_ns;
    res->finished_ns = step->finished_ns;
    res->collected_ns = mock_host->now_ns();
}

int32_t mock_wait(struct orcd_ctx *ctx, struct orcd_result *result, struct orcd_error *err)
{
    int32_t rc = 0;
    pthread_mutex_lock(&ctx->lock);
    if (ctx->n_submitted == ctx->n_collected) {
        pthread_mutex_unlock(&ctx->lock);
        return error_set(err, ORCD_E_INVALID, "mock: no step is in flight");
    }
    struct mock_step *step = &ctx->steps[ctx->n_collected % mock_options.max_inflight];
    if (result->row_capacity < step->n_rows) {
        pthread_mutex_unlock(&ctx->lock);
        return error_set(err, ORCD_E_INVALID, "mock: the result has room for %u rows of %u",
            result->row_capacity, step->n_rows);
    }
    while (step->state != MOCK_STEP_DONE)
        pthread_cond_wait(&ctx->done, &ctx->lock);
    if (step->error)
        rc = error_set(err, step->error, "mock: step %llu ended: %s", (unsigned long long)step->ticket,
            error_name(step->error));
    else
        deliver(step, result);
    /* The host learns of the error now: what it submits from here on is not affected. */
    if (step->error && step->error != ORCD_E_ABORTED)
        ctx->poisoned = ctx->last_ticket;
    for (uint32_t r = 0; r < step->n_rows; r++) {
        struct mock_sequence *s = &ctx->sequences[step->rows[r].seq];
        if (--s->in_flight == 0) {
            if (s->pending_len != s->len)
                s->pending_sampled = false;
            s->pending_len = s->len;
        }
    }
    step->state = MOCK_STEP_FREE;
    ctx->n_collected++;
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}
