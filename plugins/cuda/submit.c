/* Submit: a batch is checked and noted for the launcher. Abort only raises numbers. */
#include <string.h>

#include "plugins/common/batch.h"
#include "plugins/cuda/ctx.h"

/* Where row i may begin, and whether it may be chained. */
static int row_seq(struct orcd_ctx *ctx, const struct step_row *r, uint32_t i, struct orcd_error *err)
{
    if (r->seq >= ctx->params.n_sequences)
        return plugin_error(
            err, ORCD_E_INVALID, "sequence %u of %u", (unsigned)r->seq, (unsigned)ctx->params.n_sequences);
    struct cuda_seq *seq = &ctx->seqs[r->seq];
    if (!seq->open)
        return plugin_error(err, ORCD_E_NOT_FOUND, "sequence %u is not open", (unsigned)r->seq);
    if (seq->submit == ctx->submits)
        return plugin_error(err, ORCD_E_INVALID, "sequence %u has two rows", (unsigned)r->seq);
    seq->submit = ctx->submits;
    const uint32_t len = seq->in_flight ? seq->planned : seq->len;
    if (r->first_pos != len)
        return plugin_error(err, ORCD_E_INVALID, "row %u starts at %u, its sequence has %u tokens",
            (unsigned)i, (unsigned)r->first_pos, (unsigned)len);
    if (r->n_tokens > seq->reserved - len)
        return plugin_error(err, ORCD_E_INVALID, "row %u has %u tokens, its sequence room for %u",
            (unsigned)i, (unsigned)r->n_tokens, (unsigned)(seq->reserved - len));
    return 0;
}

static int row_outputs(struct orcd_ctx *ctx, const struct orcd_batch *b, struct step_row *r, uint32_t i,
    uint32_t *n_logits, uint64_t *at, struct orcd_error *err)
{
    if (r->want > ORCD_WANT_ALL || r->kind > ORCD_KIND_TOP_LOGPROBS)
        return plugin_error(err, ORCD_E_INVALID, "row %u wants %u of kind %u", (unsigned)i, (unsigned)r->want,
            (unsigned)r->kind);
    if (r->want == ORCD_WANT_NONE)
        return 0;
    if (r->kind != ORCD_KIND_LOGITS && !ctx->device->options.sampling)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "row %u: option sampling is off", (unsigned)i);
    if (r->kind != ORCD_KIND_LOGITS && r->want != ORCD_WANT_LAST)
        return plugin_error(
            err, ORCD_E_UNSUPPORTED, "row %u: tokens and logprobs of the last position only", (unsigned)i);
    if (r->kind == ORCD_KIND_TOKEN && !ctx->seqs[r->seq].has_sampler)
        return plugin_error(
            err, ORCD_E_INVALID, "row %u: sequence %u has no sampler", (unsigned)i, (unsigned)r->seq);
    if (r->kind == ORCD_KIND_TOP_LOGPROBS) {
        r->top_n = HAS_FIELD(b, top_n) && b->top_n ? b->top_n[i] : 0;
        if (r->top_n < 1 || r->top_n > CK_MAX_TOP || r->top_n > ctx->model->hp.n_vocab)
            return plugin_error(err, ORCD_E_INVALID, "row %u: %u logprobs, at most %u are given", (unsigned)i,
                (unsigned)r->top_n, CK_MAX_TOP);
    }
    r->n_logits = r->want == ORCD_WANT_ALL ? r->n_tokens : 1;
    if (r->n_logits > ctx->params.max_logits - *n_logits)
        return plugin_error(
            err, ORCD_E_INVALID, "more than %u positions want logits", (unsigned)ctx->params.max_logits);
    *n_logits += r->n_logits;
    r->logits_at = *at;
    if (r->kind == ORCD_KIND_LOGITS)
        *at += ((uint64_t)r->n_logits * ctx->model->hp.n_vocab + 15) / 16 * 16;
    return 0;
}

static int row_tokens(struct orcd_ctx *ctx, const struct orcd_batch *b, struct step *s, struct step_row *r,
    uint32_t i, struct orcd_error *err)
{
    if (r->n_tokens == 0 || r->n_tokens > ctx->params.max_batch_tokens - s->n_tokens)
        return plugin_error(err, ORCD_E_INVALID, "row %u has %u tokens, a step at most %u", (unsigned)i,
            (unsigned)r->n_tokens, (unsigned)ctx->params.max_batch_tokens);
    const int32_t *tokens = b->tokens + b->token_start[i];
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        const bool chained = t == 0 && tokens[t] == ORCD_TOKEN_CHAINED;
        if (chained && !ctx->seqs[r->seq].chains)
            return plugin_error(
                err, ORCD_E_INVALID, "row %u is chained to a token that was not drawn here", (unsigned)i);
        if (!chained && (tokens[t] < 0 || (uint32_t)tokens[t] >= ctx->model->hp.n_vocab))
            return plugin_error(err, ORCD_E_INVALID, "token %d of row %u", (int)tokens[t], (unsigned)i);
        s->tokens[s->n_tokens + t] = tokens[t];
    }
    s->n_tokens += r->n_tokens;
    return 0;
}

/* Checks row i and writes its description. */
static int row_take(struct orcd_ctx *ctx, const struct orcd_batch *b, struct step *s, uint32_t i,
    uint32_t *n_logits, uint64_t *at, struct orcd_error *err)
{
    struct step_row *r = &s->rows[i];
    *r = (struct step_row){.seq = b->seq[i],
        .first_pos = b->first_pos[i],
        .n_tokens = b->n_tokens[i],
        .token_start = s->n_tokens,
        .want = b->want[i],
        .kind = b->kind ? b->kind[i] : ORCD_KIND_LOGITS};
    int rc = row_seq(ctx, r, i, err);
    if (rc == 0)
        rc = row_tokens(ctx, b, s, r, i, err);
    return rc == 0 ? row_outputs(ctx, b, r, i, n_logits, at, err) : rc;
}

/* Nothing can fail any more: the sequences learn of their rows. */
static void rows_begin(struct orcd_ctx *ctx, struct step *s)
{
    for (uint32_t i = 0; i < s->n_rows; i++) {
        struct step_row *r = &s->rows[i];
        struct cuda_seq *seq = &ctx->seqs[r->seq];
        if (seq->in_flight++ == 0) {
            seq->launched = seq->len;
            seq->spoiled = false;
        }
        seq->planned = r->first_pos + r->n_tokens;
        seq->chains = r->want == ORCD_WANT_LAST && r->kind == ORCD_KIND_TOKEN;
        r->send_table = seq->table_changed;
        r->send_sampler = seq->sampler_changed;
        seq->table_changed = seq->sampler_changed = false;
    }
}

int cuda_submit(struct orcd_ctx *ctx, const struct orcd_batch *b, struct orcd_error *err)
{
    struct orcd_device *d = ctx->device;
    if (atomic_load(&d->lost))
        return plugin_error(err, ORCD_E_DEVICE_LOST, "the device is lost");
    if (ctx->n_submitted - ctx->n_collected >= d->options.max_inflight)
        return plugin_error(err, ORCD_E_BUSY, "%u steps are in flight", (unsigned)d->options.max_inflight);
    const int wrong = batch_check(b, ctx->params.max_batch_rows, ctx->has_ticket, ctx->last_ticket, err);
    if (wrong)
        return wrong;
    struct step *s = &ctx->steps[ctx->n_submitted % CUDA_STEPS];
    const uint64_t submitted_ns = d->host->now_ns();
    uint32_t n_logits = 0;
    uint64_t at = 0;
    s->n_tokens = 0;
    ctx->submits++;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const int rc = row_take(ctx, b, s, i, &n_logits, &at, err);
        if (rc)
            return rc;
    }
    s->n_rows = b->n_rows;
    s->ticket = ctx->last_ticket = b->ticket;
    ctx->has_ticket = true;
    s->submitted_ns = submitted_ns;
    s->error = 0;
    rows_begin(ctx, s);
    pthread_mutex_lock(&ctx->lock);
    s->state = STEP_QUEUED;
    ctx->n_submitted++;
    pthread_cond_signal(&ctx->wake);
    pthread_mutex_unlock(&ctx->lock);
    return 0;
}

void cuda_abort(struct orcd_ctx *ctx, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs)
{
    rows_doom(ctx->doomed, ctx->params.n_sequences, ticket, seqs, n_seqs);
}
