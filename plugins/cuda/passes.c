/*
 * A step as passes: first its decode rows (of one token), in groups, then its prefill rows, in
 * slices. A slice is given up when nobody wants it any more: the launcher looks before each
 * layer, and is at most CUDA_LAYERS_AHEAD layers before the device.
 */
#include <string.h>

#include "plugins/cuda/pass.h"

static int failed(struct orcd_ctx *ctx, struct step *s, enum simt_status status)
{
    struct orcd_error err = {.size = sizeof(err)};
    const int rc = cuda_failed(ctx->device, status, &err, "a step");
    memcpy(s->text, err.msg, sizeof(s->text));
    return rc;
}

static int injected(struct orcd_ctx *ctx, struct step *s, const char *point)
{
    const int rc = plugin_fault(ctx->device->host, point);
    if (rc)
        strcpy(s->text, "injected");
    return rc;
}

/* A row that cannot go on: aborted, or one before it in its sequence was. */
static bool row_over(const struct orcd_ctx *ctx, const struct step *s, const struct step_row *r)
{
    return row_doomed(ctx, s, r) || ctx->seqs[r->seq].launched != r->first_pos + r->done;
}

/* Notes that cell c of a pass wants what row r wants at its last token. */
static void want(
    struct pass *p, struct group *g, struct step *s, struct step_row *r, uint32_t cell, uint32_t pos)
{
    const uint32_t i = p->n_wanted++;
    g->index[i] = cell;
    g->wanted_seq[i] = r->seq;
    g->wanted_pos[i] = pos;
    g->draw[i] = r->kind == ORCD_KIND_TOKEN          ? CK_DRAW_TOKEN
                 : r->kind == ORCD_KIND_TOP_LOGPROBS ? CK_DRAW_TOP
                                                     : CK_DRAW_NONE;
    g->n_top[i] = r->top_n;
    if (r->n_wanted++ == 0)
        r->wanted = s->n_wanted + i;
}

static bool wants(const struct step_row *r, uint32_t t)
{
    return r->want == ORCD_WANT_ALL || (r->want == ORCD_WANT_LAST && t + 1 == r->n_tokens);
}

static void add_cell(struct pass *p, struct group *g, struct step *s, struct step_row *r, uint32_t t)
{
    const uint32_t cell = p->rows++, pos = r->first_pos + t;
    g->token[cell] = s->tokens[r->token_start + t];
    g->seq[cell] = r->seq;
    g->pos[cell] = pos;
    if (wants(r, t))
        want(p, g, s, r, cell, pos);
}

/* The description goes to the same place in device memory. */
static enum simt_status send(struct orcd_ctx *ctx, struct step *s, uint64_t at, uint64_t bytes)
{
    return simt_copy_async(ctx->s.desc + at, s->desc + at, bytes, SIMT_TO_DEVICE, ctx->stream);
}

static void row_computed(struct orcd_ctx *ctx, struct step_row *r, uint32_t n)
{
    r->done += n;
    ctx->seqs[r->seq].launched += n;
}

/* ------------------------------------------------------------------ decode */

/* Group number `group`, of the rows from *next on. */
static int decode_group(struct orcd_ctx *ctx, struct step *s, uint32_t group, uint32_t *next)
{
    const uint64_t at = group * ctx->group_bytes;
    struct group g = group_at(s->desc + at, ctx->decode_rows);
    struct pass p = {.ctx = ctx,
        .at = group_at(ctx->s.desc + at, ctx->decode_rows),
        .decode = true,
        .n_splits = 1,
        .wanted = s->n_wanted};
    struct step_row *in[CUDA_DECODE_ROWS];
    for (; *next < s->n_rows && p.rows < ctx->decode_rows; ++*next) {
        struct step_row *r = &s->rows[*next];
        if (r->n_tokens != 1 || row_over(ctx, s, r))
            continue;
        const uint32_t splits = ck_n_splits(r->first_pos);
        /* Graphs are made for powers of two of splits. */
        while (p.n_splits < splits)
            p.n_splits *= 2;
        in[p.rows] = r;
        add_cell(&p, &g, s, r, 0);
    }
    if (p.rows == 0)
        return 0;
    p.every = p.n_wanted == p.rows;
    const int rc = injected(ctx, s, "cuda.decode");
    if (rc)
        return rc;
    p.status = send(ctx, s, at, ctx->group_bytes);
    if (p.status == SIMT_OK)
        graphs_run(&p, group);
    if (p.status != SIMT_OK)
        return failed(ctx, s, p.status);
    s->n_wanted += p.n_wanted;
    for (uint32_t i = 0; i < p.rows; i++)
        row_computed(ctx, in[i], 1);
    return 0;
}

static int decode(struct orcd_ctx *ctx, struct step *s)
{
    int rc = 0;
    uint32_t next = 0;
    for (uint32_t group = 0; next < s->n_rows && rc == 0; group++)
        rc = decode_group(ctx, s, group, &next);
    return rc;
}

/* ----------------------------------------------------------------- prefill */

struct slice {
    struct pass pass;
    struct group host;
    struct share *shares; /* room for prefill_shares() */
    uint32_t n_shares, n_cells;
    bool fixed; /* heights of products follow from rows */
};

/* Takes what there is room for of the row, in shares of a height each. False: the slice is full. */
static bool slice_take(const struct orcd_ctx *ctx, struct slice *sl, struct step_row *r)
{
    for (uint32_t from = r->done; from < r->n_tokens;) {
        const uint32_t left = r->n_tokens - from, room = ctx->slice - sl->n_cells;
        const uint32_t height = sl->fixed ? prefill_height(ctx->slice, left) : left < room ? left : room;
        if (height > room || height == 0)
            return false;
        const struct share sh = {.row = r,
            .from = from,
            .first = sl->n_cells,
            .n = left < height ? left : height,
            .height = height};
        sl->shares[sl->n_shares++] = sh;
        sl->n_cells += sh.n;
        from += sh.n;
    }
    return true;
}

static void slice_plan(const struct orcd_ctx *ctx, const struct step *s, struct slice *sl)
{
    bool room = true;
    for (uint32_t i = 0; i < s->n_rows && room; i++) {
        struct step_row *r = &s->rows[i];
        if (r->n_tokens > 1 && r->done < r->n_tokens && !row_over(ctx, s, r))
            room = slice_take(ctx, sl, r);
    }
}

static void add_tiles(struct slice *sl, const struct share *sh)
{
    for (uint32_t t = 0; t < sh->n; t += CK_TILE)
        sl->host.tiles[sl->pass.n_tiles++] = (struct ck_tile){.first = sh->first + t,
            .count = sh->n - t < CK_TILE ? sh->n - t : CK_TILE,
            .seq = sh->row->seq,
            .pos = sh->row->first_pos + sh->from + t};
}

static void slice_fill(struct step *s, struct slice *sl)
{
    for (uint32_t i = 0; i < sl->n_shares; i++) {
        const struct share *sh = &sl->shares[i];
        for (uint32_t t = 0; t < sh->n; t++)
            add_cell(&sl->pass, &sl->host, s, sh->row, sh->from + t);
        add_tiles(sl, sh);
    }
}

/* Looks at the aborts. The others' cells are computed with those of an aborted row in between. */
static bool slice_wanted(const struct orcd_ctx *ctx, const struct step *s, struct slice *sl)
{
    bool wanted = false;
    for (uint32_t i = 0; i < sl->n_shares; i++) {
        struct share *sh = &sl->shares[i];
        sh->dropped = sh->dropped || row_doomed(ctx, s, sh->row);
        wanted = wanted || !sh->dropped;
    }
    return wanted;
}

/* Waits until the device has come near enough. */
static enum simt_status layer_begins(struct orcd_ctx *ctx)
{
    return simt_event_sync(ctx->layer_done[ctx->layers_launched % CUDA_LAYERS_AHEAD]);
}

static enum simt_status layer_ends(struct orcd_ctx *ctx)
{
    return simt_event_record(ctx->layer_done[ctx->layers_launched++ % CUDA_LAYERS_AHEAD], ctx->stream);
}

/* All layers; *given_up when nobody wants the slice any more. */
static int slice_layers(struct orcd_ctx *ctx, struct step *s, struct slice *sl, bool *given_up)
{
    struct pass *p = &sl->pass;
    forward_begin(p);
    for (uint32_t i = 0; i < ctx->model->hp.n_layers && p->status == SIMT_OK; i++) {
        p->status = layer_begins(ctx);
        const int rc = injected(ctx, s, "cuda.layer");
        if (rc)
            return rc;
        *given_up = !slice_wanted(ctx, s, sl);
        if (*given_up)
            return 0;
        if (p->status == SIMT_OK && forward_layer(p, i))
            p->status = layer_ends(ctx);
    }
    if (p->status == SIMT_OK)
        forward_end(p);
    return p->status == SIMT_OK ? 0 : failed(ctx, s, p->status);
}

/* One slice; *more is false when there was none left. */
static int slice_run(struct orcd_ctx *ctx, struct step *s, struct share *shares, bool *more)
{
    const bool gemm = ctx->blas != NULL;
    struct slice sl = {.shares = shares, .fixed = gemm && ctx->device->options.fixed_height};
    slice_plan(ctx, s, &sl);
    *more = sl.n_cells != 0;
    if (!*more)
        return 0;
    const uint64_t at = s->slices_at, bytes = group_size(sl.n_cells);
    sl.host = group_at(s->desc + at, sl.n_cells);
    sl.pass = (struct pass){.ctx = ctx,
        .at = group_at(ctx->s.desc + at, sl.n_cells),
        .gemm = gemm,
        .shares = sl.fixed ? shares : NULL,
        .n_shares = sl.n_shares,
        .wanted = s->n_wanted};
    slice_fill(s, &sl);
    s->slices_at += bytes;
    s->n_slices++;
    sl.pass.status = send(ctx, s, at, bytes);
    bool given_up = false;
    const int rc = slice_layers(ctx, s, &sl, &given_up);
    if (rc || given_up)
        return rc;
    s->n_wanted += sl.pass.n_wanted;
    for (uint32_t i = 0; i < sl.n_shares; i++)
        if (!sl.shares[i].dropped)
            row_computed(ctx, sl.shares[i].row, sl.shares[i].n);
    return 0;
}

static int prefill(struct orcd_ctx *ctx, struct step *s)
{
    bool more = false;
    for (uint32_t i = 0; i < s->n_rows; i++)
        more = more || s->rows[i].n_tokens > 1;
    if (!more)
        return 0;
    struct share *shares = plugin_alloc(ctx->device->host, prefill_shares(ctx), sizeof(*shares));
    if (!shares) {
        strcpy(s->text, "no memory for a slice");
        return ORCD_E_NOMEM;
    }
    int rc = 0;
    while (more && rc == 0)
        rc = slice_run(ctx, s, shares, &more);
    plugin_free(ctx->device->host, shares);
    return rc;
}

/* -------------------------------------------------------------------- step */

/* Tables and samplers that the host changed. */
static enum simt_status send_changes(struct orcd_ctx *ctx, struct step *s)
{
    enum simt_status status = SIMT_OK;
    for (uint32_t i = 0; i < s->n_rows && status == SIMT_OK; i++) {
        const struct step_row *r = &s->rows[i];
        const uint64_t at = (uint64_t)r->seq * ctx->pages.per_seq;
        if (r->send_table)
            status = simt_copy_async(ctx->s.table + at, ctx->table + at,
                ctx->seqs[r->seq].n_pages * sizeof(*ctx->table), SIMT_TO_DEVICE, ctx->stream);
        if (r->send_sampler && status == SIMT_OK)
            status = simt_copy_async(ctx->s.samplers + r->seq, ctx->samplers + r->seq, sizeof(*ctx->samplers),
                SIMT_TO_DEVICE, ctx->stream);
    }
    return status;
}

static enum simt_status fetch_logits(struct orcd_ctx *ctx, struct step *s, const struct step_row *r)
{
    const uint64_t n = ctx->model->hp.n_vocab, ld = ctx->s.ld_vocab;
    const float *from = ctx->s.logits + r->wanted * ld;
    float *to = s->logits + r->logits_at;
    if (n == ld)
        return simt_copy_async(to, from, r->n_wanted * n * sizeof(float), SIMT_TO_HOST, ctx->stream);
    enum simt_status status = SIMT_OK;
    for (uint64_t i = 0; i < r->n_wanted && status == SIMT_OK; i++)
        status = simt_copy_async(to + i * n, from + i * ld, n * sizeof(float), SIMT_TO_HOST, ctx->stream);
    return status;
}

static enum simt_status fetch(struct orcd_ctx *ctx, struct step *s)
{
    const uint64_t n = s->n_wanted;
    bool token = false, top = false;
    enum simt_status status = SIMT_OK;
    for (uint32_t i = 0; i < s->n_rows && status == SIMT_OK; i++) {
        const struct step_row *r = &s->rows[i];
        if (r->done != r->n_tokens || r->n_logits == 0)
            continue;
        token = token || r->kind == ORCD_KIND_TOKEN;
        top = top || r->kind == ORCD_KIND_TOP_LOGPROBS;
        if (r->kind == ORCD_KIND_LOGITS)
            status = fetch_logits(ctx, s, r);
    }
    if (status == SIMT_OK && token)
        status = simt_copy_async(s->token, ctx->s.token, n * sizeof(int32_t), SIMT_TO_HOST, ctx->stream);
    if (status == SIMT_OK && top)
        status = simt_copy_async(
            s->top_ids, ctx->s.top_ids, n * CK_MAX_TOP * sizeof(int32_t), SIMT_TO_HOST, ctx->stream);
    if (status == SIMT_OK && top)
        status = simt_copy_async(
            s->top_logprobs, ctx->s.top_logprobs, n * CK_MAX_TOP * sizeof(float), SIMT_TO_HOST, ctx->stream);
    return status;
}

int step_launch(struct orcd_ctx *ctx, struct step *s)
{
    int rc = injected(ctx, s, "cuda.step");
    if (rc)
        return rc;
    enum simt_status status = simt_event_record(s->begin, ctx->stream);
    if (status == SIMT_OK)
        status = send_changes(ctx, s);
    if (status != SIMT_OK)
        return failed(ctx, s, status);
    rc = decode(ctx, s);
    if (rc == 0)
        rc = prefill(ctx, s);
    if (rc)
        return rc;
    status = fetch(ctx, s);
    if (status == SIMT_OK)
        status = simt_event_record(s->end, ctx->stream);
    return status == SIMT_OK ? 0 : failed(ctx, s, status);
}
