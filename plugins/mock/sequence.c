/* Sequences: reservations from the KV pool, token history, samplers. */
#include <stdlib.h>
#include <string.h>

#include "mock.h"

#define SAVE_MAGIC UINT32_C(0x4b434f4d)

struct save_header {
    uint32_t magic, version, len, start;
    int32_t sampled;
    uint32_t reserved;
};

/* Under the lock: the sequence, if it is open and idle. */
static int32_t get(struct orcd_ctx *ctx, uint32_t seq, struct mock_sequence **out, struct orcd_error *err)
{
    if (atomic_load(&ctx->model->device->lost))
        return error_set(err, ORCD_E_DEVICE_LOST, "mock: the device is lost");
    if (seq >= ctx->params.n_sequences)
        return error_set(err, ORCD_E_INVALID, "mock: no sequence %u", seq);
    struct mock_sequence *s = &ctx->sequences[seq];
    if (!s->open)
        return error_set(err, ORCD_E_INVALID, "mock: sequence %u is not open", seq);
    if (s->in_flight)
        return error_set(err, ORCD_E_BUSY, "mock: sequence %u has rows in flight", seq);
    *out = s;
    return 0;
}

/* Under the lock: changes what the sequence holds of the pool. */
static int32_t reserve(
    struct orcd_ctx *ctx, struct mock_sequence *s, uint32_t max_tokens, struct orcd_error *err)
{
    if (max_tokens == 0 || max_tokens > ctx->params.n_ctx)
        return error_set(err, ORCD_E_INVALID, "mock: %u tokens for a sequence, of at most %u", max_tokens,
            ctx->params.n_ctx);
    uint64_t others = ctx->kv_reserved - s->max_tokens;
    if (max_tokens > ctx->params.kv_tokens - others)
        return error_set(err, ORCD_E_OUT_OF_KV, "mock: %u tokens wanted, %llu of %llu are free", max_tokens,
            (unsigned long long)(ctx->params.kv_tokens - others), (unsigned long long)ctx->params.kv_tokens);
    if (max_tokens > s->room) {
        int32_t *tokens = realloc(s->tokens, sizeof(*tokens) * max_tokens);
        if (!tokens)
            return error_set(err, ORCD_E_NOMEM, "mock: out of memory");
        s->tokens = tokens;
        s->room = max_tokens;
    }
    ctx->kv_reserved = others + max_tokens;
    s->max_tokens = max_tokens;
    return 0;
}

static void sampler_release(struct mock_sequence *s)
{
    free(s->params.bias);
    free(s->history);
    s->params.bias = NULL;
    s->history = NULL;
    s->n_history = 0;
    s->has_sampler = false;
}

void mock_sequence_release(struct mock_sequence *s)
{
    sampler_release(s);
    free(s->tokens);
    s->tokens = NULL;
    s->room = 0;
}

/* Rewinds to n tokens. */
static void rewind_to(struct mock_sequence *s, uint32_t n)
{
    s->len = s->pending_len = n;
    s->start = 0;
    s->pending_sampled = false;
    mock_words_init(&s->words);
    for (uint32_t i = 0; i < n; i++)
        mock_words_push(&s->words, s->tokens[i]);
}

int32_t mock_seq_open(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    int32_t rc = mock_fault_check("seq_open", err);
    if (rc)
        return rc;
    pthread_mutex_lock(&ctx->lock);
    struct mock_sequence *s = seq < ctx->params.n_sequences ? &ctx->sequences[seq] : NULL;
    if (atomic_load(&ctx->model->device->lost))
        rc = error_set(err, ORCD_E_DEVICE_LOST, "mock: the device is lost");
    else if (!s || s->open)
        rc = error_set(err, ORCD_E_INVALID, "mock: sequence %u is %s", seq, s ? "open already" : "not there");
    else
        rc = reserve(ctx, s, max_tokens, err);
    if (rc == 0) {
        s->open = true;
        s->in_flight = 0;
        rewind_to(s, 0);
    }
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

int32_t mock_seq_reserve(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    int32_t rc = mock_fault_check("seq_reserve", err);
    if (rc)
        return rc;
    struct mock_sequence *s;
    pthread_mutex_lock(&ctx->lock);
    rc = get(ctx, seq, &s, err);
    if (rc == 0 && max_tokens < s->len)
        rc = error_set(
            err, ORCD_E_INVALID, "mock: sequence %u has %u tokens, more than %u", seq, s->len, max_tokens);
    if (rc == 0)
        rc = reserve(ctx, s, max_tokens, err);
    if (rc == 0)
        s->start = 0; /* a new job continues here */
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

int32_t mock_seq_close(struct orcd_ctx *ctx, uint32_t seq, struct orcd_error *err)
{
    struct mock_sequence *s;
    pthread_mutex_lock(&ctx->lock);
    int32_t rc = get(ctx, seq, &s, err);
    if (rc == 0) {
        ctx->kv_reserved -= s->max_tokens;
        s->max_tokens = 0;
        s->open = false;
        sampler_release(s);
    }
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

int32_t mock_seq_len(struct orcd_ctx *ctx, uint32_t seq, uint32_t *len, struct orcd_error *err)
{
    struct mock_sequence *s;
    pthread_mutex_lock(&ctx->lock);
    int32_t rc = get(ctx, seq, &s, err);
    if (rc == 0)
        *len = s->len;
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

int32_t mock_seq_trim(struct orcd_ctx *ctx, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err)
{
    struct mock_sequence *s;
    pthread_mutex_lock(&ctx->lock);
    int32_t rc = get(ctx, seq, &s, err);
    if (rc == 0) {
        if (n < s->len)
            rewind_to(s, n);
        s->start = 0;
        *kept = s->len;
    }
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

/* ------------------------------------------------------------------ sampler */

static int32_t copy_sampler(struct mock_sequence *s, const struct orcd_sampler *from, struct orcd_error *err)
{
    struct sample_bias *bias = NULL;
    int32_t *history = NULL;
    if (from->n_bias) {
        bias = calloc(from->n_bias, sizeof(*bias));
        for (uint32_t i = 0; bias && i < from->n_bias; i++)
            bias[i] = (struct sample_bias){.id = from->bias_ids[i], .value = from->bias_values[i]};
    }
    if (from->n_history) {
        history = malloc(sizeof(*history) * from->n_history);
        if (history)
            memcpy(history, from->history, sizeof(*history) * from->n_history);
    }
    if ((from->n_bias && !bias) || (from->n_history && !history)) {
        free(bias);
        free(history);
        return error_set(err, ORCD_E_NOMEM, "mock: out of memory");
    }
    sampler_release(s);
    s->params = (struct sample_params){
        .temperature = from->temperature,
        .top_p = from->top_p,
        .min_p = from->min_p,
        .typical_p = from->typical_p,
        .top_k = from->top_k,
        .repetition_penalty = from->repetition_penalty,
        .repeat_last_n = from->repeat_last_n,
        .frequency_penalty = from->frequency_penalty,
        .presence_penalty = from->presence_penalty,
        .seed = from->seed,
        .bias = bias,
        .n_bias = from->n_bias,
    };
    s->history = history;
    s->n_history = from->n_history;
    s->has_sampler = true;
    return 0;
}

int32_t mock_seq_sampler(
    struct orcd_ctx *ctx, uint32_t seq, const struct orcd_sampler *sampler, struct orcd_error *err)
{
    const uint32_t known = ORCD_S_TOP_K | ORCD_S_TOP_P | ORCD_S_MIN_P | ORCD_S_TYPICAL | ORCD_S_REPETITION |
                           ORCD_S_COUNTS | ORCD_S_BIAS;
    if (!mock_options.sampling)
        return error_set(err, ORCD_E_UNSUPPORTED, "mock: option sampling is off");
    if (sampler && sampler->size < offsetof(struct orcd_sampler, reserved))
        return error_set(err, ORCD_E_INVALID, "mock: a sampler of %u bytes", sampler->size);
    if (sampler && sampler->required_features & ~known)
        return error_set(err, ORCD_E_UNSUPPORTED, "mock: unknown sampling rules 0x%x",
            sampler->required_features & ~known);
    if (sampler && sampler->n_bias > SAMPLE_MAX_BIAS)
        return error_set(err, ORCD_E_UNSUPPORTED, "mock: more than %d biases", SAMPLE_MAX_BIAS);
    struct mock_sequence *s;
    pthread_mutex_lock(&ctx->lock);
    int32_t rc = get(ctx, seq, &s, err);
    if (rc == 0 && sampler)
        rc = copy_sampler(s, sampler, err);
    else if (rc == 0)
        sampler_release(s);
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

/* --------------------------------------------------------- fork, save, load */

static int32_t copy_sampler_of(
    struct mock_sequence *to, const struct mock_sequence *from, struct orcd_error *err)
{
    if (!from->has_sampler) {
        sampler_release(to);
        return 0;
    }
    const struct sample_params *p = &from->params;
    int32_t ids[SAMPLE_MAX_BIAS];
    float values[SAMPLE_MAX_BIAS];
    for (uint32_t i = 0; i < p->n_bias; i++) {
        ids[i] = p->bias[i].id;
        values[i] = p->bias[i].value;
    }
    struct orcd_sampler same = {.size = sizeof(same),
        .seed = p->seed,
        .temperature = p->temperature,
        .top_p = p->top_p,
        .min_p = p->min_p,
        .typical_p = p->typical_p,
        .top_k = p->top_k,
        .repeat_last_n = p->repeat_last_n,
        .repetition_penalty = p->repetition_penalty,
        .frequency_penalty = p->frequency_penalty,
        .presence_penalty = p->presence_penalty,
        .n_bias = p->n_bias,
        .bias_ids = ids,
        .bias_values = values,
        .history = from->history,
        .n_history = from->n_history};
    return copy_sampler(to, &same, err);
}

int32_t mock_seq_fork(struct orcd_ctx *ctx, uint32_t from, uint32_t to, uint32_t n, struct orcd_error *err)
{
    struct mock_sequence *a, *b;
    pthread_mutex_lock(&ctx->lock);
    int32_t rc = get(ctx, from, &a, err);
    if (rc == 0)
        rc = get(ctx, to, &b, err);
    if (rc == 0 && (a == b || n > a->len || n > b->max_tokens))
        rc = error_set(err, ORCD_E_INVALID, "mock: %u tokens of sequence %u do not go into %u", n, from, to);
    if (rc == 0)
        rc = copy_sampler_of(b, a, err);
    if (rc == 0) {
        if (n)
            memcpy(b->tokens, a->tokens, sizeof(*b->tokens) * n);
        rewind_to(b, n);
    }
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

int32_t mock_seq_save(struct orcd_ctx *ctx, uint32_t seq, void *buf, uint64_t *bytes, struct orcd_error *err)
{
    struct mock_sequence *s;
    pthread_mutex_lock(&ctx->lock);
    int32_t rc = get(ctx, seq, &s, err);
    if (rc == 0) {
        uint64_t needed = sizeof(struct save_header) + sizeof(*s->tokens) * (uint64_t)s->len;
        struct save_header h = {
            .magic = SAVE_MAGIC, .version = 1, .len = s->len, .start = s->start, .sampled = s->sampled};
        if (buf && *bytes < needed) {
            rc = error_set(err, ORCD_E_INVALID, "mock: %llu bytes are needed", (unsigned long long)needed);
        } else {
            if (buf) {
                memcpy(buf, &h, sizeof(h));
                if (s->len)
                    memcpy((char *)buf + sizeof(h), s->tokens, sizeof(*s->tokens) * s->len);
            }
            *bytes = needed;
        }
    }
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

static bool saved_ok(
    const struct mock_sequence *s, const struct save_header *h, const void *buf, uint64_t bytes)
{
    if (h->magic != SAVE_MAGIC || h->version != 1 || h->len > s->max_tokens || h->start > h->len + 1 ||
        bytes != sizeof(*h) + sizeof(*s->tokens) * (uint64_t)h->len)
        return false;
    for (uint32_t i = 0; i < h->len; i++) {
        int32_t token;
        memcpy(&token, (const char *)buf + sizeof(*h) + i * sizeof(token), sizeof(token));
        if (token < 0 || token >= MOCK_N_VOCAB)
            return false;
    }
    return true;
}

int32_t mock_seq_load(
    struct orcd_ctx *ctx, uint32_t seq, const void *buf, uint64_t bytes, struct orcd_error *err)
{
    struct save_header h;
    struct mock_sequence *s;
    if (bytes < sizeof(h))
        return error_set(err, ORCD_E_INVALID, "mock: not a saved sequence");
    memcpy(&h, buf, sizeof(h));
    pthread_mutex_lock(&ctx->lock);
    int32_t rc = get(ctx, seq, &s, err);
    if (rc == 0 && !saved_ok(s, &h, buf, bytes))
        rc = error_set(err, ORCD_E_INVALID, "mock: not a saved sequence, or longer than was reserved");
    if (rc == 0) {
        if (h.len)
            memcpy(s->tokens, (const char *)buf + sizeof(h), sizeof(*s->tokens) * h.len);
        rewind_to(s, h.len);
        s->start = h.start;
        s->sampled = h.sampled;
    }
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}
