#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "mock.h"

/* Floats for max_logits positions, each row's first one at a multiple of 64 bytes. */
static size_t logits_floats(const struct orcd_ctx_params *p)
{
    return (size_t)p->max_logits * MOCK_N_VOCAB + (size_t)p->max_batch_rows * 16;
}

static bool step_init(struct mock_step *s, const struct orcd_ctx_params *p)
{
    size_t top = (size_t)p->max_batch_rows * MOCK_N_VOCAB;
    s->rows = calloc(p->max_batch_rows, sizeof(*s->rows));
    s->tokens = calloc(p->max_batch_tokens, sizeof(*s->tokens));
    s->logits = mock_host->alloc(logits_floats(p) * sizeof(float), 64);
    s->top_ids = malloc(top * sizeof(*s->top_ids));
    s->top_logprobs = malloc(top * sizeof(*s->top_logprobs));
    return s->rows && s->tokens && s->logits && s->top_ids && s->top_logprobs;
}

static void release(struct orcd_ctx *ctx)
{
    for (uint32_t i = 0; ctx->sequences && i < ctx->params.n_sequences; i++)
        mock_sequence_release(&ctx->sequences[i]);
    for (uint32_t i = 0; i < MOCK_MAX_INFLIGHT; i++) {
        struct mock_step *s = &ctx->steps[i];
        free(s->rows);
        free(s->tokens);
        if (s->logits)
            mock_host->free(s->logits);
        free(s->top_ids);
        free(s->top_logprobs);
    }
    sampler_free(ctx->sampler);
    free(ctx->sequences);
    free(ctx);
}

static int32_t check_params(
    const struct orcd_model *model, const struct orcd_ctx_params *p, struct orcd_error *err)
{
    if (p->n_sequences == 0 || p->n_ctx == 0 || p->max_batch_tokens == 0 || p->max_batch_rows == 0 ||
        p->n_sequences > 4096 || p->n_ctx > mock_options.context || p->max_batch_tokens > 1 << 20 ||
        p->max_batch_rows > p->n_sequences || p->max_logits > p->max_batch_tokens)
        return error_set(
            err, ORCD_E_INVALID, "mock: a context of %u sequences, %u tokens each", p->n_sequences, p->n_ctx);
    uint64_t kv;
    if (__builtin_mul_overflow(p->kv_tokens, MOCK_KV_BYTES_PER_TOKEN, &kv) ||
        kv > mock_options.memory_bytes - model->weight_bytes)
        return error_set(err, ORCD_E_DEVICE_MEMORY, "mock: a KV pool of %llu tokens does not fit",
            (unsigned long long)p->kv_tokens);
    return 0;
}

int32_t mock_ctx_new(struct orcd_model *model, const struct orcd_ctx_params *params, struct orcd_ctx **out,
    struct orcd_error *err)
{
    int32_t rc = mock_fault_check("ctx_new", err);
    if (rc == 0)
        rc = check_params(model, params, err);
    if (rc)
        return rc;
    struct orcd_ctx *ctx = calloc(1, sizeof(*ctx));
    if (!ctx)
        return error_set(err, ORCD_E_NOMEM, "mock: out of memory");
    ctx->model = model;
    ctx->params = *params;
    ctx->sequences = calloc(params->n_sequences, sizeof(*ctx->sequences));
    bool ok = ctx->sequences && sampler_new(&ctx->sampler, MOCK_N_VOCAB, err) == 0;
    for (uint32_t i = 0; i < MOCK_MAX_INFLIGHT; i++)
        ok = ok && step_init(&ctx->steps[i], params);
    ok = ok && pthread_mutex_init(&ctx->lock, NULL) == 0;
    ok = ok && clock_cond_init(&ctx->work) == 0 && clock_cond_init(&ctx->done) == 0;
    ok = ok && pthread_create(&ctx->worker, NULL, mock_worker, ctx) == 0;
    if (!ok) {
        release(ctx);
        return error_set(err, ORCD_E_NOMEM, "mock: out of memory for a context");
    }
    ctx->kv_bytes = params->kv_tokens * MOCK_KV_BYTES_PER_TOKEN;
    atomic_fetch_add(&model->device->ours_bytes, ctx->kv_bytes);
    *out = ctx;
    return 0;
}

void mock_ctx_free(struct orcd_ctx *ctx)
{
    if (!ctx)
        return;
    pthread_mutex_lock(&ctx->lock);
    ctx->stop = true;
    pthread_cond_broadcast(&ctx->work);
    pthread_mutex_unlock(&ctx->lock);
    pthread_join(ctx->worker, NULL);
    pthread_cond_destroy(&ctx->work);
    pthread_cond_destroy(&ctx->done);
    pthread_mutex_destroy(&ctx->lock);
    atomic_fetch_sub(&ctx->model->device->ours_bytes, ctx->kv_bytes);
    release(ctx);
}
