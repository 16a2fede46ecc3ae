/*
 * How the threads of a step go on together: items from a counter, looks at the aborts, barriers. The course
 * of a step changes in the serial part of a barrier alone, so all threads take the same way.
 */
#include "plugins/cpu/forward.h"

bool lane_stopped(struct lane *lane)
{
    struct orcd_ctx *ctx = lane->ctx;
    struct forward *f = &ctx->fwd;
    if (atomic_load_explicit(&f->stop, memory_order_relaxed))
        return true;
    const unsigned count = atomic_load_explicit(&ctx->abort_count, memory_order_acquire);
    if (count == atomic_load_explicit(&f->abort_seen, memory_order_relaxed))
        return false;
    for (uint32_t i = 0; i < ctx->step.n_rows; i++) {
        const struct step_row *r = &ctx->step.rows[i];
        if (r->done < r->n_tokens && !row_doomed(ctx, r)) {
            atomic_store_explicit(&f->abort_seen, count, memory_order_relaxed);
            return false;
        }
    }
    atomic_store_explicit(&f->stop, true, memory_order_relaxed);
    return true;
}

uint32_t lane_next(struct lane *lane, uint32_t n)
{
    const uint32_t i = atomic_fetch_add_explicit(&lane->ctx->fwd.next, 1, memory_order_relaxed);
    return i < n && !lane_stopped(lane) ? i : UINT32_MAX;
}

bool barrier(struct lane *lane, void (*serial)(void *lane))
{
    pool_sync(lane->ctx->device->pool, serial, lane);
    lane->begins_layer = false; /* from here on the layer's products have inputs, which no cell may leave */
    return !lane->ctx->fwd.ended && !lane->ctx->fwd.left_off;
}

void serial_course(void *arg)
{
    struct lane *lane = arg;
    struct orcd_ctx *ctx = lane->ctx;
    struct forward *f = &ctx->fwd;
    atomic_store_explicit(&f->next, 0, memory_order_relaxed);
    if (lane_stopped(lane))
        f->ended = true;
    if (!lane->begins_layer || f->ended)
        return;
    const int rc = plugin_fault(ctx->device->host, "cpu.layer");
    if (rc) {
        f->error = rc;
        f->ended = true;
    } else if (lane->layer > 0) {
        cells_compact(ctx);
        f->left_off = f->n_cells == 0;
    }
}

void serial_items(void *arg)
{
    struct lane *lane = arg;
    serial_course(lane);
    const uint32_t n = *lane->n_items;
    for (uint32_t i = 0; i < n && !lane->ctx->fwd.ended; i++)
        lane->item(lane, i);
}

bool each_item(
    struct lane *lane, const uint32_t *n, uint64_t width, void (*fn)(struct lane *lane, uint32_t item))
{
    lane->item = fn;
    lane->n_items = n;
    if (*n * width <= SERIAL_FLOATS)
        return barrier(lane, serial_items);
    if (!barrier(lane, serial_course))
        return false;
    uint32_t i;
    while ((i = lane_next(lane, *n)) != UINT32_MAX)
        fn(lane, i);
    return barrier(lane, serial_course);
}

bool each_cell(struct lane *lane, uint64_t width, void (*fn)(struct lane *lane, uint32_t cell))
{
    return each_item(lane, &lane->ctx->fwd.n_cells, width, fn);
}
