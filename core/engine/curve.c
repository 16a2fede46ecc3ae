#include "engine/curve.h"

#define SLOWEST 64    /* a shape moves by at least this part of a sample's distance */
#define STEEPEST 2.0  /* a sample counts as at most this many times its shape */
#define STRANGEST 4.0 /* a bucket's first sample counts as at most this many times the estimate for it */

/* Halfway between the first and the last count of a bucket. */
static double bucket_middle(uint32_t b)
{
    return curve_first(b) + (b < 4 ? 0 : (UINT32_C(1) << (b / 2 - 1)) / 2.0);
}

static void fill(const double *known, bool grows, double *out)
{
    int last = -1, before = -1;
    for (int b = 0; b < CURVE_BUCKETS; b++) {
        out[b] = known[b];
        if (!(known[b] > 0))
            continue;
        for (int gap = last + 1; gap < b; gap++) {
            double from = bucket_middle((uint32_t)(last < 0 ? 0 : last)), to = bucket_middle((uint32_t)b);
            double share = last < 0 ? 1 : (bucket_middle((uint32_t)gap) - from) / (to - from);
            out[gap] = last < 0 ? known[b] : known[last] + share * (known[b] - known[last]);
        }
        before = last;
        last = b;
    }
    double slope = 0;
    if (grows && before >= 0) {
        slope =
            (known[last] - known[before]) / (bucket_middle((uint32_t)last) - bucket_middle((uint32_t)before));
        double steepest = known[last] / bucket_middle((uint32_t)last);
        slope = slope < 0 ? 0 : slope > steepest ? steepest : slope;
    }
    for (int b = last + 1; last >= 0 && b < CURVE_BUCKETS; b++)
        out[b] = known[last] + slope * (bucket_middle((uint32_t)b) - bucket_middle((uint32_t)last));
}

static double get(const _Atomic double *x)
{
    return atomic_load_explicit(x, memory_order_relaxed);
}

static void set(_Atomic double *x, double value)
{
    atomic_store_explicit(x, value, memory_order_relaxed);
}

static void read_shapes(const struct curve *c, double *out)
{
    for (uint32_t b = 0; b < CURVE_BUCKETS; b++)
        out[b] = get(&c->shape[b]);
}

/* The bucket's new shape after a sample x, which was divided by the pace. */
static double shape_after(const struct curve *c, uint32_t bucket, double x)
{
    double old = get(&c->shape[bucket]);
    if (c->seen[bucket] == 0) {
        double known[CURVE_BUCKETS], expected[CURVE_BUCKETS];
        read_shapes(c, known);
        fill(known, true, expected);
        double most = STRANGEST * expected[bucket];
        return most > 0 && x > most ? most : x;
    }
    uint32_t weight = c->seen[bucket] < SLOWEST ? c->seen[bucket] + 1 : SLOWEST;
    x = x < STEEPEST * old ? x : STEEPEST * old;
    return old + (x - old) / weight;
}

/* The mean of the middle half; with fewer than four values, the lower median. */
static double middle_half(double *x, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        double value = x[i];
        uint32_t at = i;
        for (; at > 0 && x[at - 1] > value; at--)
            x[at] = x[at - 1];
        x[at] = value;
    }
    if (n < 4)
        return x[(n - 1) / 2];
    double sum = 0;
    for (uint32_t i = n / 4; i < n - n / 4; i++)
        sum += x[i];
    return sum / (n - n / 4 * 2);
}

void curve_learn(struct curve *c, uint32_t count, double x)
{
    uint32_t bucket = curve_bucket(count), n = atomic_load_explicit(&c->n, memory_order_relaxed);
    double pace = n ? get(&c->pace) : 1, ratios[CURVE_RING];
    if (!(x > 0))
        return;
    set(&c->shape[bucket], shape_after(c, bucket, x / pace));
    if (c->seen[bucket] < UINT32_MAX)
        c->seen[bucket]++;
    c->ring_x[n % CURVE_RING] = x;
    c->ring_bucket[n % CURVE_RING] = bucket;
    uint32_t have = n < CURVE_RING ? n + 1 : CURVE_RING;
    for (uint32_t i = 0; i < have; i++)
        ratios[i] = c->ring_x[i] / get(&c->shape[c->ring_bucket[i]]);
    set(&c->pace, middle_half(ratios, have));
    /* When the counter wraps, the ring still counts as full. */
    atomic_store_explicit(&c->n, n == UINT32_MAX ? CURVE_RING * 2 - 1 : n + 1, memory_order_relaxed);
}

void curve_read(const struct curve *c, bool grows, struct curve_view *out)
{
    double known[CURVE_BUCKETS], pace = get(&c->pace);
    read_shapes(c, known);
    fill(known, grows, out->at);
    for (uint32_t b = 0; b < CURVE_BUCKETS; b++)
        out->at[b] *= pace;
    out->n = atomic_load_explicit(&c->n, memory_order_relaxed);
}
