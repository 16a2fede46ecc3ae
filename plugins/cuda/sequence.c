/*
 * Sequences: their pages, reserved when they are opened, and their samplers. The host's copies
 * of tables and samplers are brought to the device by the next step that has a row of theirs.
 */
#include <math.h>

#include "plugins/cuda/ctx.h"

static uint32_t pages_for(uint32_t tokens)
{
    return tokens / CK_PAGE + (tokens % CK_PAGE != 0);
}

int pages_init(struct orcd_ctx *ctx, struct orcd_error *err)
{
    const struct orcd_host *host = ctx->device->host;
    struct pages *p = &ctx->pages;
    p->free = plugin_alloc(host, p->n, sizeof(*p->free));
    ctx->seqs = plugin_alloc(host, ctx->params.n_sequences, sizeof(*ctx->seqs));
    if (!p->free || !ctx->seqs)
        return plugin_error(
            err, ORCD_E_NOMEM, "no memory for %u sequences", (unsigned)ctx->params.n_sequences);
    for (uint32_t i = 0; i < p->n; i++)
        p->free[i] = p->n - 1 - i;
    p->n_free = p->n;
    return 0;
}

void pages_release(struct orcd_ctx *ctx)
{
    plugin_free(ctx->device->host, ctx->pages.free);
    plugin_free(ctx->device->host, ctx->seqs);
}

static int seq_idle(struct orcd_ctx *ctx, uint32_t seq, struct cuda_seq **out, struct orcd_error *err)
{
    if (seq >= ctx->params.n_sequences)
        return plugin_error(
            err, ORCD_E_INVALID, "sequence %u of %u", (unsigned)seq, (unsigned)ctx->params.n_sequences);
    if (ctx->seqs[seq].in_flight)
        return plugin_error(err, ORCD_E_BUSY, "sequence %u has a row in flight", (unsigned)seq);
    *out = &ctx->seqs[seq];
    return 0;
}

static int seq_get(struct orcd_ctx *ctx, uint32_t seq, struct cuda_seq **out, struct orcd_error *err)
{
    const int rc = seq_idle(ctx, seq, out, err);
    if (rc == 0 && !(*out)->open)
        return plugin_error(err, ORCD_E_NOT_FOUND, "sequence %u is not open", (unsigned)seq);
    return rc;
}

static int set_reserved(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    struct pages *p = &ctx->pages;
    struct cuda_seq *s = &ctx->seqs[seq];
    uint32_t *table = ctx->table + (uint64_t)seq * p->per_seq;
    if (max_tokens > ctx->params.n_ctx)
        return plugin_error(err, ORCD_E_INVALID, "%u tokens are more than the context's %u",
            (unsigned)max_tokens, (unsigned)ctx->params.n_ctx);
    const uint64_t others = p->tokens_reserved - s->reserved;
    if (max_tokens > p->tokens - others)
        return plugin_error(err, ORCD_E_OUT_OF_KV, "%u tokens wanted, %llu of %llu are free",
            (unsigned)max_tokens, (unsigned long long)(p->tokens - others), (unsigned long long)p->tokens);
    const uint32_t want = pages_for(max_tokens);
    s->table_changed = s->table_changed || want > s->n_pages;
    while (s->n_pages > want)
        p->free[p->n_free++] = table[--s->n_pages];
    /* The pool has a page for each part of one that a reservation leaves unused. */
    while (s->n_pages < want)
        table[s->n_pages++] = p->free[--p->n_free];
    p->tokens_reserved = others + max_tokens;
    s->reserved = max_tokens;
    return 0;
}

int cuda_seq_open(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    struct cuda_seq *s = NULL;
    int rc = seq_idle(ctx, seq, &s, err);
    if (rc == 0 && s->open)
        rc = plugin_error(err, ORCD_E_INVALID, "sequence %u is open already", (unsigned)seq);
    if (rc == 0)
        rc = set_reserved(ctx, seq, max_tokens, err);
    if (rc)
        return rc;
    s->open = true;
    s->len = 0;
    s->has_sampler = s->chains = false;
    return 0;
}

int cuda_seq_reserve(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    struct cuda_seq *s = NULL;
    const int rc = seq_get(ctx, seq, &s, err);
    if (rc)
        return rc;
    if (max_tokens < s->len)
        return plugin_error(err, ORCD_E_INVALID, "sequence %u holds %u tokens, more than %u", (unsigned)seq,
            (unsigned)s->len, (unsigned)max_tokens);
    return set_reserved(ctx, seq, max_tokens, err);
}

int cuda_seq_close(struct orcd_ctx *ctx, uint32_t seq, struct orcd_error *err)
{
    struct cuda_seq *s = NULL;
    const int rc = seq_get(ctx, seq, &s, err);
    if (rc)
        return rc;
    set_reserved(ctx, seq, 0, err);
    s->open = s->has_sampler = s->chains = false;
    s->len = 0;
    return 0;
}

int cuda_seq_len(struct orcd_ctx *ctx, uint32_t seq, uint32_t *len, struct orcd_error *err)
{
    struct cuda_seq *s = NULL;
    const int rc = seq_get(ctx, seq, &s, err);
    if (rc)
        return rc;
    *len = s->len;
    return 0;
}

int cuda_seq_trim(struct orcd_ctx *ctx, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err)
{
    struct cuda_seq *s = NULL;
    const int rc = seq_get(ctx, seq, &s, err);
    if (rc)
        return rc;
    if (s->len > n) {
        s->len = n;
        s->chains = false;
    }
    *kept = s->len;
    return 0;
}

/* ----------------------------------------------------------------- sampler */

static int sampler_check(const struct orcd_sampler *x, struct orcd_error *err)
{
    const uint32_t known = ORCD_S_TOP_K | ORCD_S_TOP_P | ORCD_S_MIN_P | ORCD_S_REPETITION | ORCD_S_COUNTS;
    if (x->size < offsetof(struct orcd_sampler, reserved))
        return plugin_error(err, ORCD_E_INVALID, "a sampler of %u bytes", (unsigned)x->size);
    if (x->required_features & ~known)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "the device does not do the sampling rules 0x%x",
            (unsigned)(x->required_features & ~known));
    if (x->n_bias)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "the device does not do biases");
    if (!isfinite(x->temperature) || x->temperature < 0 || !isfinite(x->top_p) || !isfinite(x->min_p) ||
        !isfinite(x->repetition_penalty) || !isfinite(x->frequency_penalty) || !isfinite(x->presence_penalty))
        return plugin_error(err, ORCD_E_INVALID, "a sampling parameter is not a number");
    return 0;
}

int cuda_seq_sampler(struct orcd_ctx *ctx, uint32_t seq, const struct orcd_sampler *x, struct orcd_error *err)
{
    struct cuda_seq *s = NULL;
    if (!ctx->device->options.sampling)
        return plugin_error(err, ORCD_E_UNSUPPORTED, "option sampling is off");
    int rc = seq_get(ctx, seq, &s, err);
    if (rc == 0 && x)
        rc = sampler_check(x, err);
    if (rc)
        return rc;
    s->has_sampler = x != NULL;
    s->chains = false;
    if (!x)
        return 0;
    /* The prompt's tokens are in the pages by the time that anything is drawn. */
    ctx->samplers[seq] = (struct ck_sampler){.seed = x->seed,
        .temperature = x->temperature,
        .top_p = x->required_features & ORCD_S_TOP_P ? x->top_p : 1,
        .min_p = x->required_features & ORCD_S_MIN_P ? x->min_p : 0,
        .log_min_p = x->min_p > 0 ? log((double)x->min_p) : 0,
        .top_k = x->required_features & ORCD_S_TOP_K ? x->top_k : 0,
        .repetition_penalty = x->required_features & ORCD_S_REPETITION ? x->repetition_penalty : 1,
        .frequency_penalty = x->required_features & ORCD_S_COUNTS ? x->frequency_penalty : 0,
        .presence_penalty = x->required_features & ORCD_S_COUNTS ? x->presence_penalty : 0,
        .repeat_last_n = x->required_features & ORCD_S_REPETITION ? x->repeat_last_n : 0,
        .n_prompt = x->n_history,
        .features = x->required_features};
    s->sampler_changed = true;
    return 0;
}
