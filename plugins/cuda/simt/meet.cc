/* Threads of a launch that wait for each other: the block's barrier, warp operations. The last to
 * arrive does what is to be done for all and goes on; the others become runnable. */
#include "engine.h"

#include <stdio.h>

namespace simt
{
namespace detail
{

namespace
{

/* Everybody of the meeting is there: ends it and lets all but `self` go on. */
void meeting_end(engine &e, unsigned w, unsigned index, unsigned own)
{
    warp_state &ws = e.warps[w];
    meeting m = ws.meetings[index];
    ws.meetings[index] = ws.meetings[--ws.n_meetings];
    if (m.end) {
        lanes all = {m.arrived, ws.in, ws.out, m.file, m.line};
        m.end(all);
    }
    if (m.orders && watch)
        watch->warp(m.arrived);
    make_runnable(e, w, m.arrived & ~own);
}

void barrier_end(engine &e, unsigned own_warp, unsigned own)
{
    if (watch)
        watch->barrier();
    e.result = e.kind == BARRIER_OR ? e.sum != 0 : e.sum;
    e.arrived = 0;
    for (unsigned w = 0; w < e.n_warps; w++) {
        unsigned waiting = e.warps[w].at_barrier;
        e.warps[w].at_barrier = 0;
        make_runnable(e, w, w == own_warp ? waiting & ~own : waiting);
    }
}

} // namespace

void leave(engine &e, fiber &f)
{
    unsigned w = f.linear / 32, bit = 1u << f.linear % 32;
    warp_state &ws = e.warps[w];
    ws.live &= ~bit;
    e.n_live--;
    f.copies.clear();
    f.groups.clear();
    for (unsigned i = 0; i < ws.n_meetings;) {
        unsigned needed = ws.meetings[i].mask & ws.live;
        if ((ws.meetings[i].mask & bit) && (ws.meetings[i].arrived & needed) == needed)
            meeting_end(e, w, i, 0);
        else
            i++;
    }
    if (e.n_live && e.arrived == e.n_live)
        barrier_end(e, 0, 0);
}

void tell_stuck(const engine &e)
{
    /* one line a place */
    struct place {
        const char *file, *what;
        int line;
        unsigned count, first;
    };
    std::vector<place> places;
    for (unsigned t = 0; t < e.n_threads; t++) {
        const warp_state &ws = e.warps[t / 32];
        if (!(ws.live >> t % 32 & 1) || !e.fibers[t].stack)
            continue;
        const fiber &f = e.fibers[t];
        const char *what = ws.at_barrier >> t % 32 & 1 ? "syncthreads" : "a warp operation";
        size_t i = 0;
        while (i < places.size() &&
               !(same_place(places[i].file, places[i].line, f.file, f.line) && places[i].what == what))
            i++;
        if (i == places.size())
            places.push_back({f.file, what, f.line, 0, t});
        places[i].count++;
    }
    char text[900];
    size_t used = 0;
    text[0] = 0;
    for (const place &p : places)
        if (used < sizeof text) {
            int n = snprintf(text + used, sizeof text - used, "; %u in %s at %s:%d (first: thread %u)",
                p.count, p.what, p.file, p.line, p.first);
            used += n > 0 ? static_cast<size_t>(n) : 0;
        }
    misuse("%s: block (%u, %u, %u) is stuck, %u threads wait for what never comes%s", name_of(e), e.view.x,
        e.view.y, e.view.z, e.n_live, text);
}

int barrier(barrier_kind kind, int value, const char *file, int line)
{
    engine &e = mine();
    fiber &f = me();
    if (e.arrived == 0) {
        e.kind = kind;
        e.sum = 0;
        e.file = file;
        e.line = line;
        e.told = false;
    } else if ((e.kind != kind || !same_place(e.file, e.line, file, line)) && !e.told) {
        e.told = true;
        misuse("%s: thread %u waits in syncthreads at %s:%d, others in that at %s:%d", name_of(e), f.linear,
            file, line, e.file, e.line);
    }
    e.sum += value != 0;
    f.file = file;
    f.line = line;
    if (++e.arrived == e.n_live) {
        barrier_end(e, f.linear / 32, 1u << f.linear % 32);
        reconsider(e, f);
    } else {
        e.warps[f.linear / 32].at_barrier |= 1u << f.linear % 32;
        switch_away(e, f);
    }
    return e.result;
}

void collective(unsigned mask, void (*end)(const lanes &), bool orders, const void *in, void *out,
    const char *file, int line)
{
    engine &e = mine();
    fiber &f = me();
    unsigned w = f.linear / 32, l = f.linear % 32, bit = 1u << l;
    warp_state &ws = e.warps[w];
    if (!(mask & bit)) {
        misuse("%s: lane %u calls a warp operation at %s:%d with mask %08x, which is without it", name_of(e),
            l, file, line, mask);
        mask |= bit;
    }
    unsigned i = 0;
    while (i < ws.n_meetings &&
           !(ws.meetings[i].mask == mask && ws.meetings[i].end == end && !(ws.meetings[i].arrived & bit)))
        i++;
    if (i == ws.n_meetings) {
        ws.meetings[i] = {mask, 0, end, file, line, orders};
        ws.n_meetings++;
    }
    meeting &m = ws.meetings[i];
    if (!same_place(m.file, m.line, file, line)) {
        misuse("%s: lane %u of warp %u is in a warp operation at %s:%d, others in that at %s:%d", name_of(e),
            l, w, file, line, m.file, m.line);
        m.file = file;
        m.line = line;
    }
    m.arrived |= bit;
    ws.in[l] = in;
    ws.out[l] = out;
    f.file = file;
    f.line = line;
    unsigned needed = mask & ws.live;
    if ((m.arrived & needed) == needed) {
        meeting_end(e, w, i, bit);
        reconsider(e, f);
    } else {
        switch_away(e, f);
    }
}

void fence()
{
    if (watch)
        watch->fence();
}

void dependence_wait()
{
    mine().waited = true;
    if (watch)
        watch->waited();
}

} // namespace detail
} // namespace simt
