#include "engine/rates.h"

#include "base/clock.h"

#define MIN_PREFILL_TOKENS 32
#define LONGEST_GAP_NS NS_PER_MS
/* With fewer samples there are no predictions; the warm-up step gives the first samples. */
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

void rates_learn_step(
    struct rates *r, uint32_t n_decode, uint32_t n_prefill, uint64_t started_ns, uint64_t finished_ns)
{
    if (finished_ns <= started_ns || (!n_decode && !n_prefill))
        return;
    double ns = cost_ns(r, started_ns, finished_ns);
    atomic_store_explicit(&r->last_ns, finished_ns, memory_order_relaxed);
    if (!n_decode) {
        curve_learn(&r->alone, n_prefill, ns / n_prefill);
        return;
    }
    double beside = atomic_load_explicit(&r->beside, memory_order_relaxed);
    beside += (n_prefill - beside) / BESIDE_STEPS;
    atomic_store_explicit(&r->beside, beside, memory_order_relaxed);
    if (!n_prefill) {
        curve_learn(&r->decode, n_decode, ns);
        return;
    }
    struct curve_view decode;
    curve_read(&r->decode, true, &decode);
    double rows_ns = curve_at(&decode, n_decode);
    if (rows_ns > 0)
        curve_learn(&r->mixed, n_prefill, (ns > rows_ns ? ns - rows_ns : 1) / n_prefill);
}

void rates_learn_length(struct rates *r, uint32_t tokens, bool ended)
{
    if (tokens)
        lengths_learn(&r->lengths, tokens, ended);
}

void rates_read(const struct rates *r, struct rates_view *out)
{
    out->max_rows = r->max_rows;
    out->beside = atomic_load_explicit(&r->beside, memory_order_relaxed);
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
        ns += curve_at(n_decode ? &v->mixed : &v->alone, n_prefill) * n_prefill;
    return ns;
}

double rates_busy_step_ns(const struct rates_view *v, uint32_t n_decode)
{
    uint32_t tokens = v->beside > 1 ? (uint32_t)v->beside : 1;
    return rates_step_ns(v, n_decode, 0) + v->beside * curve_at(&v->mixed, tokens);
}

uint32_t rates_budget(const struct rates_view *v, uint32_t n_decode, double slice_ns)
{
    double decode = curve_at(&v->decode, n_decode);
    double room = (2 * decode > slice_ns ? 2 * decode : slice_ns) - decode;
    /* The time of a token depends a little on their number, so two rounds are enough. */
    double tokens = MIN_PREFILL_TOKENS;
    for (int i = 0; i < 2; i++) {
        double per_token = curve_at(&v->mixed, tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX);
        tokens = room > MIN_PREFILL_TOKENS * per_token ? room / per_token : MIN_PREFILL_TOKENS;
    }
    return tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
}

uint32_t rates_prefill_budget(const struct rates *r, uint32_t n_decode, uint64_t slice_ns)
{
    struct rates_view v;
    rates_read(r, &v);
    return rates_budget(&v, n_decode, (double)slice_ns);
}
