/*
 * Decode passes as captured graphs. What changes from step to step is in device memory, so a graph
 * serves all steps of as many rows whose contexts need as many splits.
 *
 * Numbers of rows that traffic comes by most are captured when the context is made. For another one a graph
 * of a kind (as many nodes, as a rule the same kernels) gets the new parameters, the longest unused of them:
 * that neither waits for the device nor builds anything. Only what no graph is of a kind with is instantiated
 * in the middle of traffic.
 */
#include "plugins/cuda/pass.h"

static bool layers(struct pass *p, bool with_end)
{
    bool good = forward_begin(p);
    for (uint32_t i = 0; i < p->ctx->model->hp.n_layers && good; i++)
        good = forward_layer(p, i);
    return good && (!with_end || forward_end(p));
}

static bool same(const struct graph_key *a, const struct graph_key *b)
{
    return a->group == b->group && a->rows == b->rows && a->n_splits == b->n_splits &&
           a->with_end == b->with_end;
}

static uint32_t power_of_two_from(uint32_t n)
{
    uint32_t power = 1;
    while (power < n)
        power *= 2;
    return power;
}

/* Whether passes have the same launches but for their parameters: products go by powers of two of rows,
 * splits need to be combined. */
static bool of_a_kind(const struct graph_key *a, const struct graph_key *b)
{
    return power_of_two_from(a->rows) == power_of_two_from(b->rows) &&
           (a->n_splits > 1) == (b->n_splits > 1) && a->with_end == b->with_end;
}

static struct graph_entry *find(struct orcd_ctx *ctx, const struct graph_key *key)
{
    for (uint32_t i = 0; i < CUDA_GRAPHS; i++)
        if (ctx->graphs[i].exec && same(&ctx->graphs[i].key, key))
            return &ctx->graphs[i];
    return NULL;
}

/* The longest unused entry of those of a kind with key; key NULL: a free one, else the longest unused of all.
 */
static struct graph_entry *oldest(struct orcd_ctx *ctx, const struct graph_key *key)
{
    struct graph_entry *best = NULL;
    for (uint32_t i = 0; i < CUDA_GRAPHS; i++) {
        struct graph_entry *e = &ctx->graphs[i];
        if (!e->exec && !key)
            return e;
        if (e->exec && (!key || of_a_kind(&e->key, key)) && (!best || e->used < best->used))
            best = e;
    }
    return best;
}

/* An exec that is replaced may still be running: its work is awaited. */
static enum simt_status drop(struct orcd_ctx *ctx, struct graph_entry *e)
{
    if (!e->exec)
        return SIMT_OK;
    const enum simt_status status = simt_stream_sync(ctx->stream);
    simt_graph_exec_destroy(e->exec);
    e->exec = NULL;
    return status;
}

static enum simt_status instantiate(
    struct orcd_ctx *ctx, const struct graph_key *key, struct simt_graph *graph, struct graph_entry **out)
{
    struct graph_entry *e = oldest(ctx, NULL);
    enum simt_status status = drop(ctx, e);
    if (status == SIMT_OK)
        status = simt_graph_instantiate(&e->exec, graph);
    e->key = *key;
    *out = e;
    return status;
}

/* A running exec may be updated: that counts from its next launch on. */
static enum simt_status update(
    struct orcd_ctx *ctx, const struct graph_key *key, struct simt_graph *graph, struct graph_entry **out)
{
    struct graph_entry *e = oldest(ctx, key);
    int updated = 0;
    const enum simt_status status = e ? simt_graph_update(e->exec, graph, &updated) : SIMT_OK;
    if (status != SIMT_OK)
        return status;
    if (!updated)
        return instantiate(ctx, key, graph, out);
    e->key = *key;
    *out = e;
    return SIMT_OK;
}

/* The pass as a graph in an entry of its own, or in place of one of a kind. NULL: p->status. */
static struct graph_entry *capture(struct pass *p, const struct graph_key *key, bool own)
{
    struct orcd_ctx *ctx = p->ctx;
    struct simt_graph *graph = NULL;
    struct graph_entry *e = NULL;
    p->status = simt_capture_begin(ctx->stream);
    if (p->status != SIMT_OK)
        return NULL;
    layers(p, key->with_end);
    /* Also after a failure, so that the stream is usable again. */
    const enum simt_status ended = simt_capture_end(ctx->stream, &graph);
    if (p->status == SIMT_OK)
        p->status = ended;
    if (p->status == SIMT_OK)
        p->status = own ? instantiate(ctx, key, graph, &e) : update(ctx, key, graph, &e);
    if (ended == SIMT_OK)
        simt_graph_destroy(graph);
    return p->status == SIMT_OK ? e : NULL;
}

bool graphs_run(struct pass *p, uint32_t group)
{
    struct orcd_ctx *ctx = p->ctx;
    /* Where a graph has the end in it, its wanted positions are numbered as it was captured. */
    const struct graph_key key = {.group = group,
        .rows = p->rows,
        .n_splits = p->n_splits,
        .with_end = p->every && p->wanted == group * ctx->decode_rows};
    if (!ctx->device->options.graphs)
        return layers(p, true);
    struct graph_entry *e = find(ctx, &key);
    if (!e)
        e = capture(p, &key, false);
    if (!e)
        return false;
    e->used = ++ctx->graph_clock;
    p->status = simt_graph_launch(e->exec, ctx->stream);
    return p->status == SIMT_OK && (key.with_end || forward_end(p));
}

static enum simt_status capture_rows(struct orcd_ctx *ctx, uint32_t rows, uint32_t n_splits)
{
    /* A row more than logits are had of is never wanted with all others. */
    if (rows > ctx->decode_rows || rows > ctx->params.max_logits)
        return SIMT_OK;
    struct pass p = {.ctx = ctx,
        .at = group_at(ctx->s.desc, ctx->decode_rows),
        .rows = rows,
        .n_splits = n_splits,
        .n_wanted = rows,
        .decode = true,
        .every = true};
    const struct graph_key key = {.rows = rows, .n_splits = n_splits, .with_end = true};
    capture(&p, &key, true);
    return p.status;
}

enum simt_status graphs_make(struct orcd_ctx *ctx)
{
    static const uint32_t rows[] = {1, 2, 4, 8, 16, 32};
    /* A second of each kind at least, for two numbers of rows between that take turns. */
    static const uint32_t more[] = {3, 6, 12, 24};
    _Static_assert(6 * 7 + 4 * 2 <= CUDA_GRAPHS, "splits are powers of two up to CK_SPLITS");
    enum simt_status status = SIMT_OK;
    if (!ctx->device->options.graphs)
        return status;
    /* The first ones give way first: those of the longest contexts. */
    for (uint32_t n = power_of_two_from(ck_n_splits(ctx->params.n_ctx - 1)); n > 0; n /= 2) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && status == SIMT_OK; i++)
            status = capture_rows(ctx, rows[i], n);
        for (size_t i = 0; i < sizeof(more) / sizeof(more[0]) && status == SIMT_OK && n <= 2; i++)
            status = capture_rows(ctx, more[i], n);
    }
    return status;
}

void graphs_free(struct orcd_ctx *ctx)
{
    for (uint32_t i = 0; i < CUDA_GRAPHS; i++)
        if (ctx->graphs[i].exec)
            simt_graph_exec_destroy(ctx->graphs[i].exec);
}
