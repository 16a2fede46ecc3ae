#include <string.h>

#include "plugins/cpu/forward.h"

/* Groups, wanted cells and where their logits go. Rows lie in the logits buffer in
 * their order, so the wanted cells of a sub-batch are few even runs of it. */
static void cells_index(struct orcd_ctx *ctx)
{
    struct forward *f = &ctx->fwd;
    const uint32_t n_vocab = ctx->model->hp.n_vocab;
    f->n_groups = f->n_runs = f->n_wanted = 0;
    for (uint32_t i = 0; i < f->n_cells; i++) {
        struct cell *c = &f->cells[i];
        struct cell_group *g = f->n_groups ? &f->groups[f->n_groups - 1] : NULL;
        if (g && f->cells[g->first].row == c->row && g->count < GROUP_CELLS)
            g->count++;
        else
            f->groups[f->n_groups++] = (struct cell_group){.first = i, .count = 1};
        if (!c->want)
            continue;
        const struct step_row *r = &ctx->step.rows[c->row];
        const uint64_t nth = r->want == ORCD_WANT_ALL ? c->pos - r->first_pos : 0;
        const uint64_t at = r->logits_at + nth * n_vocab;
        c->wanted = f->n_wanted++;
        struct logit_run *run = f->n_runs ? &f->runs[f->n_runs - 1] : NULL;
        if (run && run->count == 1 && at > run->at) {
            run->stride = at - run->at;
            run->count++;
        } else if (run && run->count > 1 && at == run->at + run->count * run->stride) {
            run->count++;
        } else {
            f->runs[f->n_runs++] =
                (struct logit_run){.first = c->wanted, .count = 1, .at = at, .stride = n_vocab};
        }
    }
}

uint32_t cells_fill(struct orcd_ctx *ctx)
{
    struct forward *f = &ctx->fwd;
    struct step *s = &ctx->step;
    f->n_cells = 0;
    f->compact_seen = atomic_load_explicit(&ctx->abort_count, memory_order_acquire);
    for (uint32_t r = 0; r < s->n_rows && f->n_cells < f->capacity; r++) {
        const struct step_row *row = &s->rows[r];
        if (row->done == row->n_tokens || row_doomed(ctx, row))
            continue;
        for (uint32_t t = row->done; t < row->n_tokens && f->n_cells < f->capacity; t++)
            f->cells[f->n_cells++] = (struct cell){.row = r,
                .pos = row->first_pos + t,
                .token = s->tokens[row->token_start + t],
                .want =
                    row->want == ORCD_WANT_ALL || (row->want == ORCD_WANT_LAST && t + 1 == row->n_tokens)};
    }
    cells_index(ctx);
    return f->n_cells;
}

void cells_compact(struct orcd_ctx *ctx)
{
    struct forward *f = &ctx->fwd;
    const uint32_t seen = atomic_load_explicit(&ctx->abort_count, memory_order_acquire);
    if (seen == f->compact_seen)
        return;
    f->compact_seen = seen;
    const uint64_t embd = ctx->model->hp.n_embd, pairs = rope_floats(ctx->model);
    const uint64_t used = ctx->model->hp.n_experts_used;
    uint32_t to = 0;
    for (uint32_t i = 0; i < f->n_cells; i++) {
        if (row_doomed(ctx, &ctx->step.rows[f->cells[i].row]))
            continue;
        if (to != i) {
            f->cells[to] = f->cells[i];
            memcpy(f->x + to * embd, f->x + i * embd, embd * sizeof(float));
            memcpy(f->tmp + to * embd, f->tmp + i * embd, embd * sizeof(float));
            if (f->routes)
                memcpy(f->routes + to * used, f->routes + i * used, used * sizeof(*f->routes));
            memcpy(f->cos + to * pairs, f->cos + i * pairs, pairs * sizeof(float));
            memcpy(f->sin + to * pairs, f->sin + i * pairs, pairs * sizeof(float));
        }
        to++;
    }
    if (to != f->n_cells) {
        f->n_cells = to;
        cells_index(ctx);
    }
}

void cells_finish(struct orcd_ctx *ctx)
{
    struct forward *f = &ctx->fwd;
    for (uint32_t i = 0; i < f->n_cells; i++)
        ctx->step.rows[f->cells[i].row].done++;
    f->n_cells = 0;
}
