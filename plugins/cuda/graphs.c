/*
 * Decode passes as captured graphs. What changes from step to step is in device memory, so a graph
 * serves all steps of as many rows whose contexts need as many splits.
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

/* The entry of the key, or the one to put it into: a free one, else the longest unused. */
static struct graph_entry *find(struct orcd_ctx *ctx, const struct graph_key *key)
{
    struct graph_entry *best = &ctx->graphs[0];
    for (uint32_t i = 0; i < CUDA_GRAPHS; i++) {
        struct graph_entry *e = &ctx->graphs[i];
        if (e->exec && same(&e->key, key))
            return e;
        if (best->exec && (!e->exec || e->used < best->used))
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

static bool capture(struct pass *p, const struct graph_key *key, struct graph_entry *e)
{
    struct orcd_ctx *ctx = p->ctx;
    struct simt_graph *graph = NULL;
    p->status = drop(ctx, e);
    if (p->status == SIMT_OK)
        p->status = simt_capture_begin(ctx->stream);
    if (p->status != SIMT_OK)
        return false;
    layers(p, key->with_end);
    /* Also after a failure, so that the stream is usable again. */
    const enum simt_status ended = simt_capture_end(ctx->stream, &graph);
    if (p->status == SIMT_OK)
        p->status = ended;
    if (p->status == SIMT_OK)
        p->status = simt_graph_instantiate(&e->exec, graph);
    if (ended == SIMT_OK)
        simt_graph_destroy(graph);
    e->key = *key;
    return p->status == SIMT_OK;
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
    if (!(e->exec && same(&e->key, &key)) && !capture(p, &key, e))
        return false;
    e->used = ++ctx->graph_clock;
    p->status = simt_graph_launch(e->exec, ctx->stream);
    return p->status == SIMT_OK && (key.with_end || forward_end(p));
}

void graphs_free(struct orcd_ctx *ctx)
{
    for (uint32_t i = 0; i < CUDA_GRAPHS; i++)
        if (ctx->graphs[i].exec)
            simt_graph_exec_destroy(ctx->graphs[i].exec);
}
