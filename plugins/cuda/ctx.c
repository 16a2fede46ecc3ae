/* Contexts: what they need is added up first, compared with what is free, then taken at once. */
#include <string.h>

#include "plugins/common/carve.h"
#include "plugins/cuda/pass.h"

#define ALIGN UINT64_C(256)
#define WORKSPACE_BYTES (UINT64_C(32) << 20) /* cuBLASLt's own advice for Hopper */

struct ck_kv ctx_kv(const struct orcd_ctx *ctx, uint32_t layer)
{
    const struct cuda_layer *l = &ctx->model->layers[layer];
    ck_half *k = ctx->s.kv + ctx->layer_kv[layer];
    return (struct ck_kv){.k = k,
        .v = k + (uint64_t)l->n_kv_heads * CK_PAGE * ctx->model->hp.head_dim_k,
        .page_stride = ctx->pages.bytes / sizeof(ck_half),
        .table = ctx->s.table,
        .table_ld = ctx->pages.per_seq};
}

struct ck_history ctx_history(const struct orcd_ctx *ctx)
{
    return (struct ck_history){
        .token_at = ctx->s.token_at, .table = ctx->s.table, .table_ld = ctx->pages.per_seq};
}

/* ------------------------------------------------------------------- sizes */

static uint64_t layer_kv_elements(const struct orcd_model *m, uint32_t layer)
{
    /* Counts and head sizes are at most 2^20 and 2^10. */
    return (uint64_t)m->layers[layer].n_kv_heads * ((uint64_t)m->hp.head_dim_k + m->hp.head_dim_v);
}

uint64_t cuda_kv_token_bytes(const struct orcd_model *m)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < m->hp.n_layers; i++)
        n += layer_kv_elements(m, i); /* below 2^52 */
    return n * sizeof(ck_half) + sizeof(int32_t);
}

static uint64_t act_bytes(uint64_t rows, uint64_t ld, uint64_t terms)
{
    /* Rows and lengths are bounded: far below 2^64. */
    return rows * ld * terms + rows * (ld / 32) * terms * 2 * sizeof(float) + rows * ld * sizeof(float) +
           4 * ALIGN;
}

static void lengths(struct scratch *s, const struct orcd_model *m)
{
    const struct orcd_hparams *hp = &m->hp;
    s->ld_embd = up_to(hp->n_embd, 32);
    s->ld_q = up_to(m->max_heads * hp->head_dim_k, 32);
    s->ld_k = up_to(m->max_kv_heads * hp->head_dim_k, 32);
    s->ld_v = up_to(m->max_kv_heads * hp->head_dim_v, 32);
    s->ld_att = up_to(m->max_heads * hp->head_dim_v, 32);
    s->ld_ff = up_to(m->max_ff, 32);
    s->ld_experts = up_to(hp->n_experts, 32);
    s->ld_vocab = up_to(hp->n_vocab, 16);
}

static uint32_t widest(const struct scratch *s)
{
    uint32_t n = s->ld_embd > s->ld_att ? s->ld_embd : s->ld_att;
    return n > s->ld_ff ? n : s->ld_ff;
}

/* What a pass of `rows` cells computes in. */
static void carve_pass(struct scratch *s, struct carve *c, const struct orcd_model *m, uint64_t rows)
{
    const struct orcd_hparams *hp = &m->hp;
    const uint64_t used = hp->n_experts ? hp->n_experts_used : 1, pairs = rows * used;
    s->x = carve_take(c, rows, s->ld_embd, sizeof(float));
    s->q = carve_take(c, rows, s->ld_q, sizeof(float));
    s->k = carve_take(c, rows, s->ld_k, sizeof(float));
    s->v = carve_take(c, rows, s->ld_v, sizeof(float));
    s->att = carve_take(c, rows, s->ld_att, sizeof(float));
    s->gate = carve_take(c, pairs, s->ld_ff, sizeof(float));
    s->up = carve_take(c, rows, s->ld_ff, sizeof(float));
    s->tmp = carve_take(c, rows, s->ld_embd, sizeof(float));
    s->cs = carve_take(c, rows, hp->rope_dims + 1, sizeof(float));
    s->cs_local = carve_take(c, rows, hp->rope_dims + 1, sizeof(float));
    uint64_t act = act_bytes(rows, widest(s), 1);
    if (hp->n_experts && act_bytes(pairs, s->ld_ff, 2) > act)
        act = act_bytes(pairs, s->ld_ff, 2);
    s->act = carve_take(c, act, 1, 1);
    s->halves = carve_take(c, rows, widest(s), sizeof(ck_half));
    s->halves_scale = carve_take(c, rows, 1, sizeof(float));
    s->inv_freq = carve_take(c, hp->rope_dims / 2 + 1, 1, sizeof(double));
    s->inv_freq_local = carve_take(c, hp->rope_dims / 2 + 1, 1, sizeof(double));
    if (!hp->n_experts)
        return;
    s->router = carve_take(c, rows, s->ld_experts, sizeof(float));
    s->route_expert = carve_take(c, pairs, 1, sizeof(int32_t));
    s->route_weight = carve_take(c, pairs, 1, sizeof(float));
    s->pair_order = carve_take(c, pairs, 1, sizeof(uint32_t));
    s->pair_first = carve_take(c, (uint64_t)hp->n_experts + 1, 1, sizeof(uint32_t));
    s->pair_out = carve_take(c, pairs, s->ld_embd, sizeof(float));
}

/* Everything on the device. */
static void carve_device(struct orcd_ctx *ctx, struct scratch *s, struct carve *c)
{
    const struct orcd_model *m = ctx->model;
    const struct orcd_ctx_params *p = &ctx->params;
    const uint64_t rows = ctx->slice > ctx->decode_rows ? ctx->slice : ctx->decode_rows;
    const uint64_t drawn = p->max_logits < rows ? p->max_logits : rows;
    lengths(s, m);
    carve_pass(s, c, m, rows);
    s->partial = carve_take(
        c, ck_attn_partial(ctx->decode_rows, m->max_heads, CK_SPLITS, m->hp.head_dim_v), 1, sizeof(float));
    s->logits = carve_take(c, p->max_logits, s->ld_vocab, sizeof(float));
    s->sampling = carve_take(c, ck_sample_scratch((uint32_t)drawn, m->hp.n_vocab), 1, 1);
    if (ctx->blas) {
        s->expanded = carve_take(c, m->largest_expanded, 1, sizeof(ck_half));
        s->workspace = carve_take(c, WORKSPACE_BYTES, 1, 1);
    }
    s->kv = carve_take(c, ctx->pages.n, ctx->pages.bytes, 1);
    s->token_at = carve_take(c, ctx->pages.n, CK_PAGE, sizeof(int32_t));
    s->chain = carve_take(c, p->n_sequences, 1, sizeof(int32_t));
    s->table = carve_take(c, p->n_sequences, ctx->pages.per_seq, sizeof(uint32_t));
    s->samplers = carve_take(c, p->n_sequences, 1, sizeof(struct ck_sampler));
    s->desc = carve_take(c, ctx->desc_bytes, 1, 1);
    s->token = carve_take(c, p->max_logits, 1, sizeof(int32_t));
    s->top_ids = carve_take(c, p->max_logits, CK_MAX_TOP, sizeof(int32_t));
    s->top_logprobs = carve_take(c, p->max_logits, CK_MAX_TOP, sizeof(float));
}

/* Everything that is pinned. */
static void carve_pinned(struct orcd_ctx *ctx, struct carve *c)
{
    const struct orcd_ctx_params *p = &ctx->params;
    const uint64_t n = p->max_logits, row = ((uint64_t)ctx->model->hp.n_vocab + 15) / 16 * 16;
    ctx->table = carve_take(c, p->n_sequences, ctx->pages.per_seq, sizeof(uint32_t));
    ctx->samplers = carve_take(c, p->n_sequences, 1, sizeof(struct ck_sampler));
    for (uint32_t i = 0; i < CUDA_STEPS; i++) {
        struct step *s = &ctx->steps[i];
        s->desc = carve_take(c, ctx->desc_bytes, 1, 1);
        s->logits = carve_take(c, n, row, sizeof(float));
        s->token = carve_take(c, n, 1, sizeof(int32_t));
        s->top_ids = carve_take(c, n, CK_MAX_TOP, sizeof(int32_t));
        s->top_logprobs = carve_take(c, n, CK_MAX_TOP, sizeof(float));
    }
}

uint64_t cuda_scratch_bytes(const struct orcd_model *m)
{
    struct scratch s = {0};
    struct carve c = {.align = ALIGN};
    lengths(&s, m);
    carve_pass(&s, &c, m, m->device->options.prefill_slice);
    carve_take(&c, m->largest_expanded, 1, sizeof(ck_half));
    carve_take(&c, WORKSPACE_BYTES, 1, 1);
    return c.overflow ? UINT64_MAX : c.at;
}

/* --------------------------------------------------------------------- new */

static int shape(struct orcd_ctx *ctx, struct orcd_error *err)
{
    const struct orcd_model *m = ctx->model;
    const struct orcd_ctx_params *p = &ctx->params;
    const struct cuda_options *o = &ctx->device->options;
    ctx->slice = o->prefill_slice < p->max_batch_tokens ? o->prefill_slice : p->max_batch_tokens;
    ctx->decode_rows = p->max_batch_rows < CUDA_DECODE_ROWS ? p->max_batch_rows : CUDA_DECODE_ROWS;
    ctx->decode_groups = (p->max_batch_rows + ctx->decode_rows - 1) / ctx->decode_rows;
    ctx->group_bytes = group_size(ctx->decode_rows);
    ctx->desc_bytes =
        ctx->decode_groups * ctx->group_bytes + groups_size(p->max_batch_tokens, prefill_shares(ctx));

    struct pages *pages = &ctx->pages;
    uint64_t n;
    pages->tokens = p->kv_tokens;
    pages->per_seq = p->n_ctx / CK_PAGE + (p->n_ctx % CK_PAGE != 0);
    /* Each sequence may leave most of its last page unused. */
    if (__builtin_add_overflow(p->kv_tokens / CK_PAGE + 1, (uint64_t)p->n_sequences, &n) ||
        n > UINT32_MAX / 2)
        return plugin_error(
            err, ORCD_E_INVALID, "a KV cache of %llu tokens is too large", (unsigned long long)p->kv_tokens);
    pages->n = (uint32_t)n;
    pages->bytes = (cuda_kv_token_bytes(m) - sizeof(int32_t)) * CK_PAGE;
    ctx->layer_kv = plugin_alloc(ctx->device->host, m->hp.n_layers, sizeof(*ctx->layer_kv));
    if (!ctx->layer_kv)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for a context");
    for (uint32_t i = 0; i + 1 < m->hp.n_layers; i++)
        ctx->layer_kv[i + 1] = ctx->layer_kv[i] + layer_kv_elements(m, i) * CK_PAGE;
    return 0;
}

static int host_side(struct orcd_ctx *ctx, struct orcd_error *err)
{
    const struct orcd_host *host = ctx->device->host;
    const struct orcd_ctx_params *p = &ctx->params;
    ctx->doomed = plugin_alloc(host, p->n_sequences, sizeof(*ctx->doomed));
    bool all = ctx->doomed != NULL;
    for (uint32_t i = 0; i < CUDA_STEPS; i++) {
        struct step *s = &ctx->steps[i];
        s->rows = plugin_alloc(host, p->max_batch_rows, sizeof(*s->rows));
        s->tokens = plugin_alloc(host, p->max_batch_tokens, sizeof(*s->tokens));
        all = all && s->rows && s->tokens;
    }
    if (!all)
        return plugin_error(
            err, ORCD_E_NOMEM, "no memory for steps of %u tokens", (unsigned)p->max_batch_tokens);
    return pages_init(ctx, err);
}

/* Without cuBLASLt prompts are slower; that is said once. */
static int blas_open(struct orcd_ctx *ctx, struct orcd_error *err)
{
    struct orcd_device *d = ctx->device;
    if (!d->options.blas)
        return 0;
    const enum simt_status status = simt_blas_open(&ctx->blas);
    if (status == SIMT_NO_BLAS) {
        cuda_log(d, ORCD_LOG_WARN, "%s: prompts are computed without tensor cores", simt_error_text());
        return 0;
    }
    return status == SIMT_OK ? 0 : cuda_failed(d, status, err, "opening cuBLASLt");
}

static int memory(struct orcd_ctx *ctx, struct orcd_error *err)
{
    struct orcd_device *d = ctx->device;
    struct scratch s = {0};
    struct carve c = {.align = ALIGN};
    carve_device(ctx, &s, &c);
    ctx->device_bytes = c.at;
    struct carve pinned = {.align = ALIGN};
    carve_pinned(ctx, &pinned);
    if (c.overflow || pinned.overflow)
        return plugin_error(err, ORCD_E_INVALID, "the context is too large");
    int rc = cuda_need(d, ctx->device_bytes, "a context", err);
    if (rc == 0)
        rc = cuda_alloc(d, ctx->device_bytes, &ctx->device_memory, "a context", err);
    if (rc)
        return rc;
    const enum simt_status status = simt_host_alloc(&ctx->pinned_memory, pinned.at);
    if (status != SIMT_OK)
        return cuda_failed(d, status, err, "pinned memory of a context");
    c = (struct carve){.align = ALIGN, .base = ctx->device_memory};
    carve_device(ctx, &ctx->s, &c);
    pinned = (struct carve){.align = ALIGN, .base = ctx->pinned_memory};
    carve_pinned(ctx, &pinned);
    memset(ctx->pinned_memory, 0, pinned.at);
    return 0;
}

/* What is on the device once and for all, and what has never been written: zero. */
static int first_contents(struct orcd_ctx *ctx, struct orcd_error *err)
{
    const struct orcd_model *m = ctx->model;
    const bool is_long = m->inv_freq_long && ctx->params.n_ctx > m->hp.rope_orig_ctx;
    const double *inv_freq = is_long ? m->inv_freq_long : m->inv_freq;
    const uint64_t bytes = m->hp.rope_dims / 2 * sizeof(double);
    enum simt_status status = simt_memset_async(ctx->device_memory, 0, ctx->device_bytes, ctx->stream);
    if (status == SIMT_OK)
        status = simt_stream_sync(ctx->stream);
    if (status == SIMT_OK && inv_freq)
        status = simt_copy(ctx->s.inv_freq, inv_freq, bytes, SIMT_TO_DEVICE);
    if (status == SIMT_OK && m->inv_freq_local)
        status = simt_copy(ctx->s.inv_freq_local, m->inv_freq_local, bytes, SIMT_TO_DEVICE);
    if (status == SIMT_OK && ctx->blas)
        status = simt_blas_workspace(ctx->blas, ctx->s.workspace, WORKSPACE_BYTES);
    return status == SIMT_OK ? 0 : cuda_failed(ctx->device, status, err, "preparing a context");
}

static int stream_and_events(struct orcd_ctx *ctx, struct orcd_error *err)
{
    enum simt_status status = simt_stream_create(&ctx->stream, 1);
    if (status == SIMT_OK)
        simt_stream_pdl(ctx->stream, ctx->device->options.pdl);
    for (int i = 0; i < CUDA_LAYERS_AHEAD && status == SIMT_OK; i++)
        status = simt_event_create(&ctx->layer_done[i], 0);
    for (uint32_t i = 0; i < CUDA_STEPS && status == SIMT_OK; i++) {
        status = simt_event_create(&ctx->steps[i].begin, 1);
        if (status == SIMT_OK)
            status = simt_event_create(&ctx->steps[i].end, 1);
    }
    return status == SIMT_OK ? 0 : cuda_failed(ctx->device, status, err, "making a context's stream");
}

/* What takes long the first time: not in the middle of traffic. */
static int first_times(struct orcd_ctx *ctx, struct orcd_error *err)
{
    enum simt_status status = prefill_products(ctx);
    if (status != SIMT_OK)
        return cuda_failed(ctx->device, status, err, "the first products of prefill");
    status = graphs_make(ctx);
    return status == SIMT_OK ? 0 : cuda_failed(ctx->device, status, err, "capturing decode steps");
}

static int ctx_build(struct orcd_ctx *ctx, struct orcd_error *err)
{
    int rc = shape(ctx, err);
    if (rc == 0)
        rc = host_side(ctx, err);
    if (rc == 0)
        rc = blas_open(ctx, err);
    if (rc == 0)
        rc = memory(ctx, err);
    if (rc == 0)
        rc = stream_and_events(ctx, err);
    if (rc == 0)
        rc = first_contents(ctx, err);
    if (rc == 0)
        rc = first_times(ctx, err);
    if (rc == 0)
        rc = cuda_need(ctx->device, 0, "nothing", err); /* notes what is free now */
    return rc == 0 ? launcher_start(ctx, err) : rc;
}

static int check_params(const struct orcd_model *m, const struct orcd_ctx_params *p, struct orcd_error *err)
{
    if (p->size < offsetof(struct orcd_ctx_params, max_logits) + sizeof(p->max_logits))
        return plugin_error(err, ORCD_E_INVALID, "the context's parameters are incomplete");
    if (p->n_sequences < 1 || p->n_sequences > CUDA_MAX_SEQUENCES || p->n_ctx < 1 || p->n_ctx > INT32_MAX ||
        p->max_batch_tokens < 1 || p->max_batch_tokens > CUDA_MAX_BATCH_TOKENS || p->max_batch_rows < 1 ||
        p->max_batch_rows > CUDA_MAX_SEQUENCES || p->kv_tokens < 1)
        return plugin_error(err, ORCD_E_INVALID, "%u sequences of %u tokens, steps of %u rows and %u tokens",
            (unsigned)p->n_sequences, (unsigned)p->n_ctx, (unsigned)p->max_batch_rows,
            (unsigned)p->max_batch_tokens);
    if (m->position_embd.n_rows && p->n_ctx > m->position_embd.n_rows)
        return plugin_error(err, ORCD_E_INVALID, "a context of %u tokens; the model has learnt %u positions",
            (unsigned)p->n_ctx, (unsigned)m->position_embd.n_rows);
    return 0;
}

int cuda_ctx_new(
    struct orcd_model *m, const struct orcd_ctx_params *params, struct orcd_ctx **out, struct orcd_error *err)
{
    const struct orcd_host *host = m->device->host;
    int rc = cuda_enter(m->device, err);
    if (rc == 0)
        rc = check_params(m, params, err);
    if (rc)
        return rc;
    struct orcd_ctx *ctx = plugin_alloc(host, 1, sizeof(*ctx));
    if (!ctx)
        return plugin_error(err, ORCD_E_NOMEM, "no memory for a context");
    ctx->model = m;
    ctx->device = m->device;
    ctx->params = *params;
    pthread_mutex_init(&ctx->lock, NULL);
    pthread_cond_init(&ctx->wake, NULL);
    pthread_cond_init(&ctx->launched, NULL);
    rc = ctx_build(ctx, err);
    if (rc) {
        cuda_ctx_free(ctx);
        return rc;
    }
    *out = ctx;
    return 0;
}

void cuda_ctx_free(struct orcd_ctx *ctx)
{
    if (!ctx)
        return;
    const struct orcd_host *host = ctx->device->host;
    simt_device_use(ctx->device->info.index);
    /* Nobody will read what is in flight. */
    for (uint32_t i = 0; ctx->doomed && i < ctx->params.n_sequences; i++)
        cuda_abort(ctx, UINT64_MAX, &i, 1);
    launcher_stop(ctx);
    steps_drain(ctx);
    graphs_free(ctx);
    for (uint32_t i = 0; i < CUDA_STEPS; i++) {
        simt_event_destroy(ctx->steps[i].begin);
        simt_event_destroy(ctx->steps[i].end);
        plugin_free(host, ctx->steps[i].rows);
        plugin_free(host, ctx->steps[i].tokens);
    }
    for (int i = 0; i < CUDA_LAYERS_AHEAD; i++)
        simt_event_destroy(ctx->layer_done[i]);
    simt_stream_destroy(ctx->stream);
    simt_blas_close(ctx->blas);
    cuda_release(ctx->device, ctx->device_memory, ctx->device_bytes);
    simt_host_free(ctx->pinned_memory);
    pages_release(ctx);
    plugin_free(host, ctx->layer_kv);
    plugin_free(host, ctx->doomed);
    pthread_cond_destroy(&ctx->launched);
    pthread_cond_destroy(&ctx->wake);
    pthread_mutex_destroy(&ctx->lock);
    plugin_free(host, ctx);
}
