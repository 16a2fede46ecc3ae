/* Timers, and the conversion of the kernel's receive stamps to the monotonic clock. */
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "base/util.h"
#include "lib/load-internal.h"

#define OFFSET_EVERY_NS (100 * NS_PER_MS) /* the offset changes when somebody sets the clock */

void load_offset_update(struct load *l, uint64_t now)
{
    if (l->offset_at_ns && now - l->offset_at_ns < OFFSET_EVERY_NS)
        return;
    l->real_offset_ns = clock_real_offset_ns();
    l->offset_at_ns = now;
}

uint64_t load_from_real(const struct load *l, uint64_t real_ns)
{
    return real_ns ? real_ns - (uint64_t)l->real_offset_ns : 0;
}

/* --- a binary heap ------------------------------------------------------------------- */

static bool before(const struct load_timer *a, const struct load_timer *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

int timers_add(struct load *l, const struct load_timer *t)
{
    if (l->n_timers == l->timers_cap) {
        size_t cap = l->timers_cap ? l->timers_cap * 2 : 64;
        struct load_timer *p = reallocarray(l->timers, cap, sizeof(*p));
        if (!p)
            return ORCD_E_NOMEM;
        l->timers = p;
        l->timers_cap = cap;
    }
    struct load_timer new = *t;
    new.order = l->order++;
    size_t i = l->n_timers++;
    for (; i && before(&new, &l->timers[(i - 1) / 2]); i = (i - 1) / 2)
        l->timers[i] = l->timers[(i - 1) / 2];
    l->timers[i] = new;
    return 0;
}

bool timers_take(struct load *l, uint64_t now, struct load_timer *out)
{
    if (!l->n_timers || l->timers[0].at_ns > now)
        return false;
    *out = l->timers[0];
    struct load_timer last = l->timers[--l->n_timers];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < l->n_timers) {
        if (child + 1 < l->n_timers && before(&l->timers[child + 1], &l->timers[child]))
            child++;
        if (!before(&l->timers[child], &last))
            break;
        l->timers[i] = l->timers[child];
        i = child;
    }
    l->timers[i] = last;
    return true;
}

/* A timerfd, since a timeout of epoll's comes up to 50 us late. */
void timers_arm(struct load *l, uint64_t until_ns)
{
    uint64_t at = until_ns;
    if (l->n_timers && (!at || l->timers[0].at_ns < at))
        at = max_u64(l->timers[0].at_ns, 1);
    if (at == l->armed_ns)
        return;
    struct itimerspec spec = {.it_value = clock_timespec(at)};
    timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    l->armed_ns = at;
}
