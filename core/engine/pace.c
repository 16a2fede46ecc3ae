#include "engine/pace.h"

#include "base/util.h"

void pace_learn(struct pace *p, uint64_t duration_ns)
{
    p->durations[p->n++ % PACE_STEPS] = duration_ns;
}

uint64_t pace_due_ns(const struct pace *p)
{
    uint64_t shortest = UINT64_MAX;
    if (p->n < PACE_STEPS)
        return 0;
    for (uint32_t i = 0; i < PACE_STEPS; i++)
        shortest = min_u64(shortest, p->durations[i]);
    uint64_t margin = max_u64(shortest / 4, PACE_MARGIN_NS);
    return shortest > margin ? p->from_ns + min_u64(shortest - margin, PACE_MOST_NS) : 0;
}
