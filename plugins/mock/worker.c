/*
 * The mock's device: one thread a context that takes its steps in order. Time is a
 * target on the monotonic clock, so that delays don't add up to a drift: a step takes
 * token_ms when it has decode rows (of one token), then prefill_us_per_token for each
 * token of its other rows, one row after another. Slices hold tokens of several rows; a
 * row takes slice_ms for each slice that it begins.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/thread.h"
#include "mock.h"

/* Under the lock. */
static bool doomed(const struct orcd_ctx *ctx, const struct mock_step *step, const struct mock_row *row)
{
    return step->ticket <= ctx->sequences[row->seq].doomed;
}

/* Rows of one token go together; each longer one is alone. */
static bool in_part(const struct mock_row *row, const struct mock_row *alone)
{
    return !row->ended && (alone ? row == alone : row->n_tokens == 1);
}

static bool part_doomed(
    const struct orcd_ctx *ctx, const struct mock_step *step, const struct mock_row *alone)
{
    for (uint32_t r = 0; r < step->n_rows; r++)
        if (in_part(&step->rows[r], alone) && !doomed(ctx, step, &step->rows[r]))
            return false;
    return true;
}

/* Under the lock: until the target, or until nobody wants this part any more, which is
 * seen at once or at the next multiple of look_ms. Returns the time that it ended at. */
static uint64_t pass_time(struct orcd_ctx *ctx, const struct mock_step *step, const struct mock_row *alone,
    uint64_t from, uint64_t target)
{
    uint64_t every = mock_options.look_ns, look = from;
    for (;;) {
        uint64_t now = mock_host->now_ns();
        if (now >= target)
            return target;
        if (now >= look && part_doomed(ctx, step, alone))
            return now;
        if (every && now >= look)
            look = now + every - (now - from) % every;
        uint64_t until = every && look < target ? look : target;
        struct timespec ts = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
        pthread_cond_timedwait(&ctx->work, &ctx->lock, &ts);
    }
}

/* ------------------------------------------------------------------- a row */

static void append(struct mock_sequence *s, const struct mock_row *row, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int32_t token = row->tokens[i] == ORCD_TOKEN_CHAINED ? s->sampled : row->tokens[i];
        s->tokens[s->len++] = token;
        mock_words_push(&s->words, token);
    }
}

static void sample(struct orcd_ctx *ctx, struct mock_sequence *s, struct mock_row *row)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct sample_result result;
    const struct sample_params *p = &s->params;
    /* Tokens gone by count for penalties only. */
    bool counts = p->repetition_penalty != 1 || p->frequency_penalty != 0 || p->presence_penalty != 0;
    int rc = sampler_begin(ctx->sampler, p, s->history, counts ? s->n_history : 0, &err);
    for (uint32_t i = s->n_history; counts && rc == 0 && i < s->len; i++)
        sampler_accept(ctx->sampler, s->tokens[i]);
    if (rc == 0)
        rc = sampler_draw(ctx->sampler, row->logits, s->len, &result, &err);
    row->status = rc;
    row->token = s->sampled = rc ? -1 : result.id;
}

/* Natural logarithms of the softmax, best first; ties by lowest id. */
static void top_logprobs(struct mock_row *row)
{
    const float *x = row->logits;
    double max = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < MOCK_N_VOCAB; i++)
        max = (double)x[i] > max ? (double)x[i] : max;
    for (uint32_t i = 0; i < MOCK_N_VOCAB; i++)
        sum += exp((double)x[i] - max);
    for (uint32_t i = 0; i < row->top_n; i++) {
        int32_t best = -1;
        for (int32_t id = 0; id < MOCK_N_VOCAB; id++) {
            bool taken = false;
            for (uint32_t j = 0; j < i; j++)
                taken = taken || row->top_ids[j] == id;
            if (!taken && (best < 0 || x[id] > x[best]))
                best = id;
        }
        row->top_ids[i] = best;
        row->top_logprobs[i] = (float)((double)x[best] - max - log(sum));
    }
}

/* Without the lock: the sequence has a row in flight, so it is ours. */
static void compute(struct orcd_ctx *ctx, struct mock_row *row)
{
    struct mock_sequence *s = &ctx->sequences[row->seq];
    uint32_t first = row->want == ORCD_WANT_ALL ? 0 : row->n_tokens - 1;
    append(s, row, first);
    for (uint32_t i = first; i < row->n_tokens; i++) {
        struct mock_row one = *row;
        one.tokens += i;
        append(s, &one, 1);
        if (row->want == ORCD_WANT_NONE)
            continue;
        if (s->start == 0 && i + 1 == row->n_tokens)
            s->start = s->len;
        uint32_t generated = s->start ? s->len - s->start : 0;
        mock_words_logits(&s->words, generated, row->logits + (size_t)row->n_logits++ * MOCK_N_VOCAB);
    }
    row->status = 0;
    row->kept = s->len;
    if (row->want == ORCD_WANT_NONE)
        return;
    if (mock_fault("logits") == MOCK_EFFECT_NAN)
        for (uint32_t i = 0; i < row->n_logits * MOCK_N_VOCAB; i++)
            row->logits[i] = NAN;
    if (row->kind == ORCD_KIND_TOKEN)
        sample(ctx, s, row);
    else if (row->kind == ORCD_KIND_TOP_LOGPROBS)
        top_logprobs(row);
}

/* What was computed of it stays. */
static void cut_short(struct orcd_ctx *ctx, struct mock_row *row, uint32_t computed)
{
    struct mock_sequence *s = &ctx->sequences[row->seq];
    if (s->len == row->first_pos)
        append(s, row, computed);
    row->status = ORCD_E_ABORTED;
    row->kept = s->len;
    row->ended = true;
    atomic_fetch_add(&ctx->model->device->rows_aborted, 1);
}

/* ------------------------------------------------------------------ a step */

/* A longer row behind `before` tokens of others. */
static uint64_t row_ns(uint64_t before, uint32_t n)
{
    const struct mock_options *o = &mock_options;
    uint64_t slice = o->slice_tokens, begun = (before + slice - 1) / slice;
    return n * o->prefill_ns_per_token + ((before + n + slice - 1) / slice - begun) * o->slice_ns;
}

/* How many tokens of a row of its own are through after this time; whole slices are. */
static uint64_t tokens_in(uint64_t ns)
{
    const struct mock_options *o = &mock_options;
    uint64_t slice = o->slice_ns ? o->slice_tokens : 1;
    uint64_t each = slice * o->prefill_ns_per_token + o->slice_ns;
    return each ? ns / each * slice : 0;
}

/* Ends the rows of a part that lasted from `from` to `to`. Lock held at entry and exit. */
static void end_part(struct orcd_ctx *ctx, struct mock_step *step, const struct mock_row *alone,
    uint64_t from, uint64_t to, bool complete)
{
    for (uint32_t r = 0; r < step->n_rows; r++) {
        struct mock_row *row = &step->rows[r];
        if (!in_part(row, alone))
            continue;
        /* The row before was cut short, or has not sampled what this one is chained to. */
        const struct mock_sequence *s = &ctx->sequences[row->seq];
        bool broken = s->len != row->first_pos || (row->tokens[0] == ORCD_TOKEN_CHAINED && s->sampled < 0);
        if (doomed(ctx, step, row) || broken) {
            uint64_t done = alone && !complete ? tokens_in(to - from) : 0;
            cut_short(ctx, row, (uint32_t)(done < row->n_tokens ? done : row->n_tokens - 1));
            continue;
        }
        pthread_mutex_unlock(&ctx->lock);
        compute(ctx, row);
        pthread_mutex_lock(&ctx->lock);
        row->ended = true;
    }
}

/* One part: its time, then its rows. */
static uint64_t run_part(struct orcd_ctx *ctx, struct mock_step *step, const struct mock_row *alone,
    uint64_t from, uint64_t duration)
{
    uint64_t to = part_doomed(ctx, step, alone) ? from : pass_time(ctx, step, alone, from, from + duration);
    end_part(ctx, step, alone, from, to, to == from + duration && duration);
    return to;
}

static uint64_t decode_ns(const struct orcd_ctx *ctx)
{
    const struct mock_options *o = &mock_options;
    uint64_t jitter = o->jitter_ns ? mock_mix(o->seed ^ mock_mix(ctx->n_done)) % (o->jitter_ns + 1) : 0;
    return o->token_ns + jitter;
}

static void run_rows(struct orcd_ctx *ctx, struct mock_step *step)
{
    uint64_t at = step->started_ns, before = 0;
    bool decodes = false;
    for (uint32_t r = 0; r < step->n_rows; r++)
        decodes = decodes || step->rows[r].n_tokens == 1;
    if (decodes)
        at = run_part(ctx, step, NULL, at, decode_ns(ctx));
    for (uint32_t r = 0; r < step->n_rows; r++) {
        const struct mock_row *row = &step->rows[r];
        if (row->n_tokens == 1)
            continue;
        at = run_part(ctx, step, row, at, row_ns(before, row->n_tokens));
        before += row->n_tokens;
    }
    ctx->target_ns = at;
}

static void count(struct orcd_ctx *ctx, const struct mock_step *step)
{
    struct orcd_device *d = ctx->model->device;
    uint64_t tokens = 0;
    for (uint32_t r = 0; r < step->n_rows && !step->error; r++)
        if (step->rows[r].kept > step->rows[r].first_pos)
            tokens += step->rows[r].kept - step->rows[r].first_pos;
    atomic_fetch_add(&d->steps, 1);
    atomic_fetch_add(&d->rows, step->n_rows);
    atomic_fetch_add(&d->tokens, tokens);
    atomic_fetch_add(&d->bytes_read, ctx->model->weight_bytes + tokens * MOCK_KV_BYTES_PER_TOKEN);
    atomic_fetch_add(&d->busy_ns, step->finished_ns - step->started_ns);
}

/* Under the lock. */
static void run_step(struct orcd_ctx *ctx, struct mock_step *step)
{
    step->started_ns = ctx->target_ns > step->submitted_ns ? ctx->target_ns : step->submitted_ns;
    enum mock_effect effect = mock_fault("wait");
    pthread_mutex_unlock(&ctx->lock);
    int code = mock_effect_apply(effect);
    if (!code && mock_host->fault)
        code = mock_host->fault("wait");
    pthread_mutex_lock(&ctx->lock);
    if (atomic_load(&ctx->model->device->lost))
        code = ORCD_E_DEVICE_LOST;
    if (step->ticket <= ctx->poisoned) {
        step->error = ORCD_E_ABORTED;
    } else if (code) {
        step->error = code;
        ctx->poisoned = UINT64_MAX; /* until the host has collected this */
        if (code == ORCD_E_DEVICE_LOST)
            atomic_store(&ctx->model->device->lost, true);
    } else {
        run_rows(ctx, step);
        if (effect == MOCK_EFFECT_ROW_FAIL && step->rows[0].status == 0)
            step->rows[0].status = ORCD_E_DEVICE;
    }
    step->finished_ns = mock_host->now_ns();
    if (step->started_ns > step->finished_ns)
        step->started_ns = step->finished_ns;
    count(ctx, step);
}

void *mock_worker(void *arg)
{
    struct orcd_ctx *ctx = arg;
    thread_wakes_early(); /* a device shares no processor with who waits for it */
    pthread_mutex_lock(&ctx->lock);
    for (;;) {
        while (ctx->n_done == ctx->n_submitted && !ctx->stop)
            pthread_cond_wait(&ctx->work, &ctx->lock);
        if (ctx->n_done == ctx->n_submitted)
            break; /* steps in flight end first */
        struct mock_step *step = &ctx->steps[ctx->n_done % mock_options.max_inflight];
        run_step(ctx, step);
        step->state = MOCK_STEP_DONE;
        ctx->n_done++;
        pthread_mutex_unlock(&ctx->lock); /* who waits finds it free */
        pthread_cond_broadcast(&ctx->done);
        pthread_mutex_lock(&ctx->lock);
    }
    pthread_mutex_unlock(&ctx->lock);
    return NULL;
}
