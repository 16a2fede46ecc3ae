/* Wait: the oldest step's end on the device, then what it gave. Lengths of sequences change here,
 * on the owner's thread. */
#include <stdio.h>
#include <string.h>

#include "plugins/common/batch.h"
#include "plugins/cuda/ctx.h"

static uint64_t bytes_read(const struct orcd_ctx *ctx, const struct step *s, uint64_t tokens)
{
    const struct orcd_model *m = ctx->model;
    const uint64_t token_bytes = cuda_kv_token_bytes(m), used = m->hp.n_experts_used, n = m->hp.n_experts;
    uint64_t bytes = 0, decoded = 0;
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const struct step_row *r = &s->rows[i];
        bytes += r->done * (r->first_pos + r->done / 2 + 1) * token_bytes;
        decoded += r->n_tokens == 1 && r->done;
    }
    const uint64_t passes = (decoded + ctx->decode_rows - 1) / ctx->decode_rows + s->n_slices;
    /* Of experts, those that the tokens of a pass may have chosen. */
    const uint64_t each = passes ? tokens / passes : 0;
    const uint64_t left = used * each < n ? m->expert_bytes / n * (n - used * each) : 0;
    return bytes + passes * (m->weight_bytes - left);
}

static void count(struct orcd_ctx *ctx, struct step *s)
{
    struct cuda_stats *stats = &ctx->device->stats;
    uint64_t tokens = 0, aborted = 0;
    float ms = 0;
    for (uint32_t i = 0; i < s->n_rows; i++) {
        tokens += s->rows[i].done;
        aborted += s->rows[i].status == ORCD_E_ABORTED;
    }
    uint64_t busy = 0;
    if (s->error == 0 && simt_event_elapsed(&ms, s->begin, s->end) == SIMT_OK && ms > 0)
        busy = (uint64_t)((double)ms * 1e6);
    /* Behind another step it has not begun when it was put there. */
    if (busy && s->finished_ns - s->started_ns > busy)
        s->started_ns = s->finished_ns - busy;
    atomic_fetch_add(&stats->steps, 1);
    atomic_fetch_add(&stats->rows, s->n_rows);
    atomic_fetch_add(&stats->tokens, tokens);
    atomic_fetch_add(&stats->rows_aborted, aborted);
    atomic_fetch_add(&stats->bytes_read, bytes_read(ctx, s, tokens));
    atomic_fetch_add(&stats->busy_ns, busy);
}

/* Until the oldest step is through on the device. */
static struct step *oldest(struct orcd_ctx *ctx)
{
    struct step *s = &ctx->steps[ctx->n_collected % CUDA_STEPS];
    pthread_mutex_lock(&ctx->lock);
    while (s->state != STEP_LAUNCHED)
        pthread_cond_wait(&ctx->launched, &ctx->lock);
    pthread_mutex_unlock(&ctx->lock);
    if (s->error == ORCD_E_ABORTED)
        return s;
    /* After a failure too: what was launched still uses the step's memory. */
    const enum simt_status status = s->error ? simt_stream_sync(ctx->stream) : simt_event_sync(s->end);
    if (status != SIMT_OK) {
        struct orcd_error err = {.size = sizeof(err)};
        const int rc = cuda_failed(ctx->device, status, &err, "waiting for a step");
        if (s->error == 0 || rc == ORCD_E_DEVICE_LOST) {
            s->error = rc;
            memcpy(s->text, err.msg, sizeof(s->text));
        }
    }
    s->finished_ns = ctx->device->host->now_ns();
    return s;
}

static void row_end(struct orcd_ctx *ctx, struct step *s, struct step_row *r)
{
    struct cuda_seq *seq = &ctx->seqs[r->seq];
    if (s->error || seq->spoiled)
        r->done = 0;
    /* Behind an aborted row, first_pos is where the sequence never came to. */
    if (r->done)
        seq->len = r->first_pos + r->done;
    r->status = r->done == r->n_tokens ? 0 : ORCD_E_ABORTED;
    if (r->status == 0 && r->n_logits && r->kind == ORCD_KIND_TOKEN && s->token[r->wanted] < 0) {
        r->status = ORCD_E_DEVICE; /* no logit is a number */
        seq->spoiled = true;
    }
    if (r->status)
        seq->chains = false;
    seq->in_flight--;
}

/* The step is over; after a failure all that were submitted with it end too. */
static void step_end(struct orcd_ctx *ctx, struct step *s)
{
    for (uint32_t i = 0; i < s->n_rows; i++)
        row_end(ctx, s, &s->rows[i]);
    count(ctx, s);
    pthread_mutex_lock(&ctx->lock);
    s->state = STEP_IDLE;
    ctx->n_collected++;
    if (s->error && s->error != ORCD_E_ABORTED) {
        /* The launcher sees `broken` for those that it has not begun. */
        while (ctx->n_launched != ctx->n_submitted) {
            ctx->broken = true;
            pthread_cond_wait(&ctx->launched, &ctx->lock);
        }
        for (uint64_t i = ctx->n_collected; i < ctx->n_submitted; i++) {
            struct step *later = &ctx->steps[i % CUDA_STEPS];
            if (later->error == 0)
                snprintf(later->text, sizeof(later->text), "a step before this one failed");
            later->error = ORCD_E_ABORTED;
        }
        /* The launcher has nothing to do now. What it had begun of them still uses their memory. */
        simt_stream_sync(ctx->stream);
        ctx->broken = false;
    }
    pthread_mutex_unlock(&ctx->lock);
}

void steps_drain(struct orcd_ctx *ctx)
{
    while (ctx->n_collected != ctx->n_submitted)
        step_end(ctx, oldest(ctx));
}

static void result_row(struct orcd_ctx *ctx, struct step *s, struct orcd_result *out, uint32_t i)
{
    const struct step_row *r = &s->rows[i];
    const bool gives = r->status == 0 && r->n_logits > 0;
    const bool logits = gives && r->kind == ORCD_KIND_LOGITS;
    const bool top = gives && r->kind == ORCD_KIND_TOP_LOGPROBS;
    out->status[i] = r->status;
    out->kept[i] = ctx->seqs[r->seq].len;
    out->logits[i] = logits ? s->logits + r->logits_at : NULL;
    out->n_logits[i] = logits ? r->n_logits : 0;
    if (HAS_FIELD(out, token) && out->token)
        out->token[i] = gives && r->kind == ORCD_KIND_TOKEN ? s->token[r->wanted] : -1;
    if (HAS_FIELD(out, top_logprobs) && out->top_ids && out->top_logprobs) {
        out->top_ids[i] = top ? s->top_ids + (uint64_t)r->wanted * CK_MAX_TOP : NULL;
        out->top_logprobs[i] = top ? s->top_logprobs + (uint64_t)r->wanted * CK_MAX_TOP : NULL;
    }
}

int cuda_wait(struct orcd_ctx *ctx, struct orcd_result *result, struct orcd_error *err)
{
    if (ctx->n_collected == ctx->n_submitted)
        return plugin_error(err, ORCD_E_INVALID, "no step is in flight");
    const int wrong = result_check(result, ctx->steps[ctx->n_collected % CUDA_STEPS].n_rows, err);
    if (wrong)
        return wrong;
    simt_device_use(ctx->device->info.index);
    struct step *s = oldest(ctx);
    step_end(ctx, s);
    if (s->error)
        return plugin_error(err, s->error, "step %llu: %s", (unsigned long long)s->ticket, s->text);
    result->n_rows = s->n_rows;
    result->ticket = s->ticket;
    for (uint32_t i = 0; i < s->n_rows; i++)
        result_row(ctx, s, result, i);
    if (HAS_FIELD(result, collected_ns)) {
        result->submitted_ns = s->submitted_ns;
        result->started_ns = s->started_ns;
        result->finished_ns = s->finished_ns;
        result->collected_ns = ctx->device->host->now_ns();
    }
    return 0;
}
