#include "engine/device.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/end.h"

#define PROBE_MS 1000

void device_lost(struct engine *e, const struct orcd_error *err)
{
    registry_break(&e->registry, API_DEVICE_LOST);
    engine_end_all(e, API_DEVICE_LOST, err->msg);
    for (uint32_t i = 0; i < e->params.n_slots; i++) {
        struct slot *s = &e->slots[i];
        s->open = s->chained = false;
        s->n_history = s->n_fed = s->rows_in_flight = 0;
    }
    e->n_steps = 0;
    atomic_store(&e->pending_since_ns, 0);
    atomic_store(&e->device_lost, true);
}

uint64_t device_probe_due(struct engine *e)
{
    const uint32_t most = e->params.max_failures;
    if (!most || atomic_load(&e->failed_in_row) < most || atomic_load(&e->device_lost)) {
        e->probe_due_ns = 0;
        return UINT64_MAX;
    }
    if (!e->probe_due_ns)
        e->probe_due_ns = clock_mono_ns() + PROBE_MS * NS_PER_MS;
    return e->probe_due_ns;
}

void device_probed(struct engine *e, int rc)
{
    e->probe_due_ns = 0;
    if (!rc)
        atomic_store(&e->failed_in_row, 0);
    else
        log_debug("the device fails a probe, too: %s", error_name(rc));
}
