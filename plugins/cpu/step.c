/*
 * Steps: submit hands one to the device's leader thread, wait collects it, abort only
 * raises numbers. Lengths of sequences change in wait, on the owner's thread.
 */
#include <string.h>

#include "plugins/common/batch.h"
#include "plugins/cpu/forward.h"

static uint64_t now_ns(const struct orcd_device *d)
{
    return d->host->now_ns();
}

/* ------------------------------------------------------------------ leader */

static uint64_t step_bytes_read(const struct orcd_ctx *ctx)
{
    const struct step *s = &ctx->step;
    const uint64_t token_bytes = ctx->kv.block_bytes / KV_TILE;
    uint64_t tokens = 0, bytes = 0;
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const struct step_row *r = &s->rows[i];
        tokens += r->done;
        bytes += r->done * (r->first_pos + r->done / 2 + 1) * token_bytes;
    }
    /* Of experts, those that the tokens of a sub-batch may have chosen. */
    const struct orcd_model *m = ctx->model;
    const uint64_t capacity = ctx->fwd.capacity, used = m->hp.n_experts_used, n = m->hp.n_experts;
    const uint64_t chosen = used * (tokens < capacity ? tokens : capacity);
    const uint64_t left = chosen < n ? m->expert_bytes / n * (n - chosen) : 0;
    return bytes + (tokens + capacity - 1) / capacity * (m->weight_bytes - left);
}

static void step_run(struct orcd_ctx *ctx)
{
    struct orcd_device *d = ctx->device;
    struct step *s = &ctx->step;
    struct forward *f = &ctx->fwd;
    s->started_ns = now_ns(d);
    f->n_cells = 0;
    f->ended = f->left_off = false;
    atomic_store(&f->next, 0);
    atomic_store(&f->stop, false);
    /* Whatever was aborted until now is looked at before anything is computed. */
    atomic_store(&f->abort_seen, atomic_load(&ctx->abort_count) - 1);
    f->error = plugin_fault(d->host, "cpu.step");
    if (f->error == 0)
        pool_run(d->pool, forward_step, ctx);
    s->error = f->error;
    uint64_t done = 0, aborted = 0;
    for (uint32_t i = 0; i < s->n_rows; i++) {
        struct step_row *r = &s->rows[i];
        if (s->error)
            r->done = 0;
        r->status = r->done == r->n_tokens ? 0 : ORCD_E_ABORTED;
        done += r->done;
        aborted += r->status != 0;
    }
    s->finished_ns = now_ns(d);
    atomic_fetch_add(&d->stats.steps, 1);
    atomic_fetch_add(&d->stats.rows, s->n_rows);
    atomic_fetch_add(&d->stats.tokens, done);
    atomic_fetch_add(&d->stats.rows_aborted, aborted);
    atomic_fetch_add(&d->stats.bytes_read, step_bytes_read(ctx));
    atomic_fetch_add(&d->stats.busy_ns, s->finished_ns - s->started_ns);
}

static void *leader_main(void *arg)
{
    struct orcd_device *d = arg;
    pthread_setname_np(pthread_self(), "orcd-cpu-0");
    pool_pin_self(d->pool);
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->queue && !d->quit)
            pthread_cond_wait(&d->wake, &d->lock);
        struct orcd_ctx *ctx = d->queue;
        if (!ctx)
            break;
        d->queue = ctx->next;
        if (!d->queue)
            d->queue_end = &d->queue;
        ctx->step.state = STEP_RUNNING;
        pthread_mutex_unlock(&d->lock);
        step_run(ctx);
        pthread_mutex_lock(&d->lock);
        ctx->step.state = STEP_DONE;
        pthread_cond_broadcast(&ctx->done);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

int cpu_leader_start(struct orcd_device *d, struct orcd_error *err)
{
    d->queue_end = &d->queue;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    const int rc = pool_thread_start(&d->leader, d->host, leader_main, d);
    if (rc)
        return plugin_error(err, ORCD_E_NOMEM, "cannot start the leader thread: %s", strerror(rc));
    d->leader_runs = true;
    return 0;
}

void cpu_leader_stop(struct orcd_device *d)
{
    if (d->leader_runs) {
        pthread_mutex_lock(&d->lock);
        d->quit = true;
        pthread_cond_signal(&d->wake);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->leader, NULL);
        d->leader_runs = false;
    }
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->wake);
}

/* ------------------------------------------------------------------ submit */

/* Checks row i and writes its description; *at is where its logits begin. */
static int row_take(struct orcd_ctx *ctx, const struct orcd_batch *b, uint32_t i, uint32_t *n_logits,
    uint64_t *at, struct orcd_error *err)
{
    struct step *s = &ctx->step;
    struct step_row *r = &s->rows[i];
    *r = (struct step_row){.seq = b->seq[i],
        .first_pos = b->first_pos[i],
        .n_tokens = b->n_tokens[i],
        .token_start = s->n_tokens,
        .want = b->want[i]};
    struct kv_seq *seq = kv_seq_get(&ctx->kv, r->seq, err);
    if (!seq)
        return r->seq >= ctx->kv.n_seqs ? ORCD_E_INVALID : ORCD_E_NOT_FOUND;
    if (seq->submit == ctx->submits)
        return plugin_error(err, ORCD_E_INVALID, "sequence %u has two rows", (unsigned)r->seq);
    seq->submit = ctx->submits;
    if (r->first_pos != seq->len)
        return plugin_error(err, ORCD_E_INVALID, "row %u starts at %u, its sequence has %u tokens",
            (unsigned)i, (unsigned)r->first_pos, (unsigned)seq->len);
    if (r->n_tokens == 0 || r->n_tokens > ctx->params.max_batch_tokens - s->n_tokens)
        return plugin_error(err, ORCD_E_INVALID, "row %u has %u tokens, a step at most %u", (unsigned)i,
            (unsigned)r->n_tokens, (unsigned)ctx->params.max_batch_tokens);
    if (r->n_tokens > seq->reserved - seq->len)
        return plugin_error(err, ORCD_E_INVALID, "row %u has %u tokens, its sequence room for %u",
            (unsigned)i, (unsigned)r->n_tokens, (unsigned)(seq->reserved - seq->len));
    if (r->want > ORCD_WANT_ALL)
        return plugin_error(err, ORCD_E_INVALID, "row %u wants %u", (unsigned)i, (unsigned)r->want);
    if (r->want != ORCD_WANT_NONE && b->kind && b->kind[i] != ORCD_KIND_LOGITS)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "the cpu plugin does not sample: row %u", (unsigned)i);
    const int32_t *tokens = b->tokens + b->token_start[i];
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        if (tokens[t] < 0 || (uint32_t)tokens[t] >= ctx->model->hp.n_vocab)
            return plugin_error(err, ORCD_E_INVALID, "token %d of row %u", (int)tokens[t], (unsigned)i);
        s->tokens[s->n_tokens + t] = tokens[t];
    }
    s->n_tokens += r->n_tokens;
    r->n_logits = r->want == ORCD_WANT_ALL ? r->n_tokens : r->want == ORCD_WANT_LAST;
    if (r->n_logits > ctx->params.max_logits - *n_logits)
        return plugin_error(
            err, ORCD_E_INVALID, "more than %u positions want logits", (unsigned)ctx->params.max_logits);
    *n_logits += r->n_logits;
    r->logits_at = *at;
    *at += ((uint64_t)r->n_logits * ctx->model->hp.n_vocab + 15) / 16 * 16;
    return 0;
}

int cpu_submit(struct orcd_ctx *ctx, const struct orcd_batch *b, struct orcd_error *err)
{
    struct orcd_device *d = ctx->device;
    struct step *s = &ctx->step;
    if (cpu_ctx_busy(ctx))
        return plugin_error(err, ORCD_E_BUSY, "a step is in flight");
    const int wrong = batch_check(b, ctx->params.max_batch_rows, ctx->has_ticket, ctx->last_ticket, err);
    if (wrong)
        return wrong;
    const uint64_t submitted_ns = now_ns(d);
    uint32_t n_logits = 0;
    uint64_t at = 0;
    s->n_tokens = 0;
    ctx->submits++;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const int rc = row_take(ctx, b, i, &n_logits, &at, err);
        if (rc)
            return rc;
    }
    s->n_rows = b->n_rows;
    s->ticket = ctx->last_ticket = b->ticket;
    ctx->has_ticket = true;
    s->submitted_ns = submitted_ns;
    ctx->next = NULL;
    pthread_mutex_lock(&d->lock);
    s->state = STEP_QUEUED;
    *d->queue_end = ctx;
    d->queue_end = &ctx->next;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

/* -------------------------------------------------------------------- wait */

bool cpu_ctx_busy(struct orcd_ctx *ctx)
{
    pthread_mutex_lock(&ctx->device->lock);
    const bool busy = ctx->step.state != STEP_IDLE;
    pthread_mutex_unlock(&ctx->device->lock);
    return busy;
}

bool cpu_seq_busy(struct orcd_ctx *ctx, uint32_t seq)
{
    if (!cpu_ctx_busy(ctx))
        return false;
    for (uint32_t i = 0; i < ctx->step.n_rows; i++)
        if (ctx->step.rows[i].seq == seq)
            return true;
    return false;
}

void cpu_step_drain(struct orcd_ctx *ctx)
{
    struct orcd_device *d = ctx->device;
    pthread_mutex_lock(&d->lock);
    while (ctx->step.state == STEP_QUEUED || ctx->step.state == STEP_RUNNING)
        pthread_cond_wait(&ctx->done, &d->lock);
    ctx->step.state = STEP_IDLE;
    pthread_mutex_unlock(&d->lock);
}

static void result_row(struct orcd_ctx *ctx, struct orcd_result *result, uint32_t i)
{
    const struct step_row *r = &ctx->step.rows[i];
    struct kv_seq *seq = &ctx->kv.seqs[r->seq];
    seq->len = r->first_pos + r->done;
    const bool gives = r->status == 0 && r->n_logits > 0;
    result->status[i] = r->status;
    result->kept[i] = seq->len;
    result->logits[i] = gives ? ctx->logits + r->logits_at : NULL;
    result->n_logits[i] = gives ? r->n_logits : 0;
    if (result->token)
        result->token[i] = -1;
    if (HAS_FIELD(result, top_logprobs) && result->top_ids && result->top_logprobs) {
        result->top_ids[i] = NULL;
        result->top_logprobs[i] = NULL;
    }
}

int cpu_wait(struct orcd_ctx *ctx, struct orcd_result *result, struct orcd_error *err)
{
    struct step *s = &ctx->step;
    if (!cpu_ctx_busy(ctx))
        return plugin_error(err, ORCD_E_INVALID, "no step is in flight");
    const int wrong = result_check(result, s->n_rows, err);
    if (wrong)
        return wrong;
    cpu_step_drain(ctx);
    if (s->error)
        return plugin_error(err, s->error, "step %llu failed", (unsigned long long)s->ticket);
    result->n_rows = s->n_rows;
    result->ticket = s->ticket;
    for (uint32_t i = 0; i < s->n_rows; i++)
        result_row(ctx, result, i);
    if (HAS_FIELD(result, collected_ns)) {
        result->submitted_ns = s->submitted_ns;
        result->started_ns = s->started_ns;
        result->finished_ns = s->finished_ns;
        result->collected_ns = now_ns(ctx->device);
    }
    return 0;
}

/* ------------------------------------------------------------------- abort */

void cpu_abort(struct orcd_ctx *ctx, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs)
{
    rows_doom(ctx->doomed, ctx->params.n_sequences, ticket, seqs, n_seqs);
    atomic_fetch_add_explicit(&ctx->abort_count, 1, memory_order_release);
}
