#include "engine/admit.h"

#include "base/clock.h"
#include "engine/device.h"
#include "engine/end.h"
#include "engine/engine-internal.h"

/* The number of leading tokens that the slot's KV and the prompt share. It is less than the prompt's
 * length, because the last token must be computed for its logits. */
static uint32_t shared_prefix(const struct slot *s, const struct request *r)
{
    uint32_t max = s->n_history < r->n_tokens - 1 ? s->n_history : r->n_tokens - 1;
    uint32_t n = 0;
    while (n < max && s->history[n] == r->tokens[n])
        n++;
    return n;
}

/* The idle slot with the longest shared prefix; among equals an empty one, then the one used least
 * recently. NULL: no slot is idle. */
static struct slot *slot_choose(struct engine *e, const struct request *r, uint32_t *shared)
{
    struct slot *best = NULL;
    uint32_t best_shared = 0;
    for (uint32_t i = 0; i < e->params.n_slots; i++) {
        struct slot *s = &e->slots[i];
        if (s->job)
            continue;
        uint32_t n = shared_prefix(s, r);
        bool better =
            !best || n > best_shared ||
            (n == best_shared && best->n_history && (!s->n_history || s->last_used_ns < best->last_used_ns));
        if (better) {
            best = s;
            best_shared = n;
        }
    }
    *shared = best_shared;
    return best;
}

static void admission_failed(
    struct engine *e, struct slot *s, struct job *j, int rc, const struct orcd_error *err)
{
    if (rc == ORCD_E_OUT_OF_KV || rc == ORCD_E_DEVICE_MEMORY) {
        engine_end_job(e, j, API_VRAM_OOM, FINISH_NONE, "the KV cache has no room for %u tokens: %.100s",
            j->request.n_tokens + j->request.max_tokens, err->msg);
        return;
    }
    if (rc == ORCD_E_DEVICE_LOST) {
        device_lost(e, err);
        return;
    }
    engine_end_job(e, j, API_BACKEND_ERROR, FINISH_NONE, "%.140s", err->msg);
    slot_close(e, s);
}

/* Ends a job that is late, or certain to be late, so that it does not take a slot. */
static bool drop_late(struct engine *e, struct job *j, uint32_t shared)
{
    uint64_t deadline = j->request.deadline_ns;
    if (!deadline)
        return false;
    if (clock_mono_ns() >= deadline) {
        engine_job_abort(e, j, ABORT_DEADLINE);
        return true;
    }
    if (!predict_is_doomed(&e->predict, j, shared))
        return false;
    engine_end_job(e, j, API_DEADLINE_EXCEEDED, FINISH_NONE, "the deadline can no longer be met");
    return true;
}

void engine_admit(struct engine *e)
{
    for (;;) {
        struct job *j = registry_next(&e->registry);
        if (!j)
            return;
        struct orcd_error err = ORCD_ERROR_INIT;
        uint32_t shared;
        struct slot *s = slot_choose(e, &j->request, &shared);
        bool wait = !s;
        if (s && drop_late(e, j, shared)) {
            /* It was ended; try the next job. */
        } else if (s) {
            int rc = slot_open(e, s, &j->request, shared, &err);
            if (!rc && registry_take(&e->registry, j))
                slot_begin(e, s, j);
            else if (rc == ORCD_E_OUT_OF_KV && atomic_load(&e->registry.slots_busy))
                wait = true; /* a running job will free some of the KV */
            else if (rc)
                admission_failed(e, s, j, rc, &err);
        }
        job_unref(j);
        if (wait)
            return;
    }
}
