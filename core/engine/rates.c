#include "engine/rates.h"

#include <math.h>

#include "base/clock.h"

#define MIN_PREFILL_TOKENS 32
/* A step gets twice its budget after this many that spent theirs, and again after twice as many, unless a
 * step costs less than this part of what was believed. */
#define PATIENCE_LEAST 4
#define PATIENCE_MOST 128
#define SURPRISE 0.75
#define HARDLY_MORE 1.125 /* a cost up to this many times another counts as the same */
#define LONGEST_GAP_NS NS_PER_MS
/* With fewer samples there are no predictions; the warm-up gives the first samples. */
#define MIN_PREFILL 4
#define MIN_DECODE 16
#define MIN_LENGTHS 4
#define BESIDE_STEPS 64 /* the mean of prompt tokens beside decode rows covers about this many steps */

/* The time that a step cost. The host's time between steps that follow each other counts; a pause
 * without work does not. */
static double cost_ns(struct rates *r, uint64_t started_ns, uint64_t finished_ns)
{
    uint64_t step = finished_ns - started_ns, before = r->finished_ns;
    r->finished_ns = finished_ns;
    if (before && started_ns > before) {
        uint64_t gap = started_ns - before;
        if (gap < LONGEST_GAP_NS || gap < step / 4)
            step += gap;
    }
    return (double)step;
}

/* The slices that n tokens are computed in. */
static uint32_t slices(uint32_t granule, uint32_t n)
{
    return granule > 1 ? n / granule + (n % granule != 0) : n;
}

static void learn_beside(_Atomic double *mean, uint32_t n)
{
    double old = atomic_load_explicit(mean, memory_order_relaxed);
    atomic_store_explicit(mean, old + (n - old) / BESIDE_STEPS, memory_order_relaxed);
}

static void learn_mixed(struct rates *r, uint32_t n_decode, uint32_t n_prefill, double ns)
{
    struct curve_view decode, mixed;
    curve_read(&r->decode, true, &decode);
    curve_read(&r->mixed, false, &mixed);
    double rows_ns = curve_at(&decode, n_decode);
    if (!(rows_ns > 0))
        return;
    double slice_ns = (ns > rows_ns ? ns - rows_ns : 1) / slices(r->granule, n_prefill);
    if (slice_ns < SURPRISE * curve_at(&mixed, n_prefill))
        r->patience = PATIENCE_LEAST;
    curve_learn(&r->mixed, n_prefill, slice_ns);
}

void rates_learn_step(
    struct rates *r, uint32_t n_decode, uint32_t n_prefill, uint64_t started_ns, uint64_t finished_ns)
{
    if (finished_ns <= started_ns || (!n_decode && !n_prefill))
        return;
    double ns = cost_ns(r, started_ns, finished_ns);
    uint32_t n_slices = slices(r->granule, n_prefill);
    atomic_store_explicit(&r->last_ns, finished_ns, memory_order_relaxed);
    if (!n_decode) {
        curve_learn(&r->alone, n_prefill, ns / n_slices);
        return;
    }
    learn_beside(&r->beside, n_slices);
    learn_beside(&r->beside_tokens, n_prefill);
    if (n_prefill)
        learn_mixed(r, n_decode, n_prefill, ns);
    else
        curve_learn(&r->decode, n_decode, ns);
}

void rates_learn_length(struct rates *r, uint32_t tokens, bool ended)
{
    if (tokens)
        lengths_learn(&r->lengths, tokens, ended);
}

void rates_read(const struct rates *r, struct rates_view *out)
{
    out->max_rows = r->max_rows;
    out->granule = r->granule ? r->granule : 1;
    out->beside = atomic_load_explicit(&r->beside, memory_order_relaxed);
    out->beside_tokens = atomic_load_explicit(&r->beside_tokens, memory_order_relaxed);
    curve_read(&r->decode, true, &out->decode);
    curve_read(&r->alone, false, &out->alone);
    curve_read(&r->mixed, false, &out->mixed);
    uint32_t n_prefill = out->alone.n + out->mixed.n;
    if (!out->mixed.n)
        out->mixed = out->alone;
    if (!out->alone.n)
        out->alone = out->mixed;
    out->last_ns = atomic_load_explicit(&r->last_ns, memory_order_relaxed);
    out->known = n_prefill >= MIN_PREFILL && out->decode.n >= MIN_DECODE &&
                 atomic_load_explicit(&r->lengths.n, memory_order_relaxed) >= MIN_LENGTHS;
}

double rates_step_ns(const struct rates_view *v, uint32_t n_decode, uint32_t n_prefill)
{
    uint32_t rows = v->max_rows && n_decode > v->max_rows ? v->max_rows : n_decode;
    double ns = n_decode ? curve_at(&v->decode, rows) * n_decode / rows : 0;
    if (n_prefill)
        ns += curve_at(n_decode ? &v->mixed : &v->alone, n_prefill) * slices(v->granule, n_prefill);
    return ns;
}

double rates_busy_step_ns(const struct rates_view *v, uint32_t n_decode)
{
    /* Of a step with one slice, if steps have less. */
    double tokens = v->beside > 0 && v->beside < 1 ? v->beside_tokens / v->beside : v->beside_tokens;
    return rates_step_ns(v, n_decode, 0) + v->beside * curve_at(&v->mixed, (uint32_t)tokens);
}

/* Whole slices of n tokens; n where none fits. */
static uint32_t whole(uint32_t granule, uint32_t n)
{
    return granule > 1 && n > granule ? n - n % granule : n;
}

uint32_t rates_whole(const struct rates_view *v, uint32_t n)
{
    return whole(v->granule, n);
}

/* How many slices fit into this time; at least `least`, or the most that hardly cost more than these. */
static double fitting(const struct rates_view *v, uint32_t least, double ns)
{
    const double *at = v->mixed.at;
    double same_ns = HARDLY_MORE * least * curve_at(&v->mixed, least * v->granule), most = least;
    for (uint32_t b = curve_bucket(least * v->granule); b < CURVE_BUCKETS; b++) {
        uint32_t end = b + 1 < CURVE_BUCKETS ? curve_first(b + 1) - 1 : UINT32_MAX;
        double first = slices(v->granule, curve_first(b)), last = end / v->granule;
        if (first <= last && first * at[b] <= ns)
            most = fmax(most, fmin(floor(ns / at[b]), last));
        else if (first <= last && first * at[b] <= same_ns)
            most = fmax(most, first);
    }
    return most;
}

uint32_t rates_budget(const struct rates_view *v, uint32_t n_decode, double slice_ns)
{
    double decode = curve_at(&v->decode, n_decode);
    double room = (2 * decode > slice_ns ? 2 * decode : slice_ns) - decode;
    double tokens = fitting(v, slices(v->granule, MIN_PREFILL_TOKENS), room) * v->granule;
    return tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
}

uint32_t rates_prefill_budget(struct rates *r, uint32_t n_decode, uint32_t room, uint64_t slice_ns)
{
    struct rates_view v;
    room = whole(r->granule, room);
    r->budget = UINT32_MAX;
    if (!n_decode)
        return room;
    rates_read(r, &v);
    uint32_t budget = rates_budget(&v, n_decode, (double)slice_ns);
    if (budget >= room)
        return room;
    r->budget = budget;
    if (r->n_spent < (r->patience ? r->patience : PATIENCE_LEAST))
        return budget;
    return budget < room / 2 ? 2 * budget : room;
}

void rates_composed(struct rates *r, uint32_t n_prefill)
{
    if (n_prefill == r->budget)
        r->n_spent++;
    if (n_prefill <= r->budget)
        return;
    uint32_t patience = r->patience ? r->patience : PATIENCE_LEAST;
    r->patience = patience < PATIENCE_MOST ? 2 * patience : PATIENCE_MOST;
    r->n_spent = 0;
}
