#include "lib/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define RESAMPLES 4000
#define SEED UINT64_C(0x6f72636462656e63)

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A copy in rising order; what is no number counts as the largest. NULL: n is 0. */
static double *sorted_copy(const double *x, size_t n)
{
    if (n == 0)
        return NULL;
    double *s = malloc(n * sizeof(*s));
    if (!s)
        exit(EX_OSERR);
    for (size_t i = 0; i < n; i++)
        s[i] = isnan(x[i]) ? INFINITY : x[i];
    qsort(s, n, sizeof(*s), by_value);
    return s;
}

double bench_quantile(const double *sorted, size_t n, double q)
{
    double rank = ceil(q * (double)n - 1e-9); /* 0.95 * 20 is 19, whatever its last bit */
    size_t k = rank < 1 ? 1 : (size_t)rank;
    return sorted[(k > n ? n : k) - 1];
}

static double middle(const double *sorted, size_t n)
{
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* Between the two neighbours in proportion, as spreadsheets do: for the fences. */
static double interpolated(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t k = (size_t)at;
    return k + 1 >= n ? sorted[n - 1] : sorted[k] + (at - (double)k) * (sorted[k + 1] - sorted[k]);
}

/* --- random numbers: xoshiro256**, seeded by splitmix64 --- */

struct rng {
    uint64_t s[4];
};

static void rng_seed(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        r->s[i] = z ^ (z >> 31);
    }
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

/* In (0, 1). */
static double rng_uniform(struct rng *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return ((double)(result >> 12) + 0.5) * 0x1p-52;
}

static double rng_normal(struct rng *r)
{
    return sqrt(-2 * log(rng_uniform(r))) * cos(6.283185307179586 * rng_uniform(r));
}

/* Gamma of shape a >= 1 by the method of Marsaglia and Tsang (2000). */
static double rng_gamma(struct rng *r, double a)
{
    double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rng_normal(r), v = 1 + c * x;
        v = v * v * v;
        if (v > 0 && log(rng_uniform(r)) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

static double pick(const double *sorted, size_t n, double u)
{
    size_t i = (size_t)(u * (double)n);
    return sorted[i < n ? i : n - 1];
}

/*
 * The median of one bootstrap resample, without the resample: the k-th smallest of n
 * uniform draws has a Beta(k, n + 1 - k) distribution, and the draw u names the sample
 * at rank u x n. For even n the next larger draw is u + (1 - u) x Beta(1, n - k).
 */
static double resampled_median(const double *sorted, size_t n, struct rng *r)
{
    double k = (double)((n + 1) / 2);
    double a = rng_gamma(r, k), b = rng_gamma(r, (double)n + 1 - k);
    double u = a / (a + b);
    if (n % 2)
        return pick(sorted, n, u);
    double next = u + (1 - u) * (1 - pow(rng_uniform(r), 1 / ((double)n - k)));
    return (pick(sorted, n, u) + pick(sorted, n, next)) / 2;
}

static double *new_resamples(void)
{
    double *m = malloc(RESAMPLES * sizeof(*m));
    if (!m)
        exit(EX_OSERR);
    return m;
}

static void interval(double *m, double *low, double *high)
{
    qsort(m, RESAMPLES, sizeof(*m), by_value);
    *low = bench_quantile(m, RESAMPLES, 0.025);
    *high = bench_quantile(m, RESAMPLES, 0.975);
    free(m);
}

void bench_summarize(const double *x, size_t n, struct bench_summary *out)
{
    struct bench_summary s = {.n = n};
    double *sorted = sorted_copy(x, n);
    if (!sorted) {
        s.min = s.max = s.mean = s.median = s.mad = s.p95 = s.p99 = s.p999 = s.low = s.high = NAN;
        *out = s;
        return;
    }
    s.min = sorted[0];
    s.max = sorted[n - 1];
    for (size_t i = 0; i < n; i++)
        s.mean += sorted[i] / (double)n;
    s.median = middle(sorted, n);
    s.p95 = bench_quantile(sorted, n, 0.95);
    s.p99 = bench_quantile(sorted, n, 0.99);
    s.p999 = bench_quantile(sorted, n, 0.999);
    double q1 = interpolated(sorted, n, 0.25), q3 = interpolated(sorted, n, 0.75), range = q3 - q1;
    for (size_t i = 0; i < n; i++) {
        double beyond = sorted[i] < q1 ? q1 - sorted[i] : sorted[i] - q3;
        s.severe += beyond > 3 * range;
        s.mild += beyond > 1.5 * range && beyond <= 3 * range;
    }
    struct rng r;
    rng_seed(&r, SEED);
    double *m = new_resamples();
    for (size_t i = 0; i < RESAMPLES; i++)
        m[i] = resampled_median(sorted, n, &r);
    interval(m, &s.low, &s.high);
    for (size_t i = 0; i < n; i++)
        sorted[i] = fabs(sorted[i] - s.median);
    qsort(sorted, n, sizeof(*sorted), by_value);
    s.mad = 1.4826 * middle(sorted, n);
    free(sorted);
    *out = s;
}

double bench_statistic(const struct bench_summary *s, enum bench_statistic of)
{
    switch (of) {
    case BENCH_MEDIAN:
        return s->median;
    case BENCH_P95:
        return s->p95;
    case BENCH_P99:
        return s->p99;
    case BENCH_P999:
        return s->p999;
    case BENCH_MAX:
        return s->max;
    case BENCH_MEAN:
        return s->mean;
    case BENCH_MIN:
        return s->min;
    }
    return NAN;
}

static double relative(double before, double after)
{
    return before == after ? 0 : before == 0 ? copysign(INFINITY, after) : (after - before) / fabs(before);
}

void bench_compare(const double *before, size_t n_before, const double *after, size_t n_after, double noise,
    struct bench_change *out)
{
    struct bench_change c = {NAN, NAN, NAN, false};
    double *b = sorted_copy(before, n_before), *a = sorted_copy(after, n_after);
    if (a && b) {
        struct rng r;
        rng_seed(&r, SEED);
        double *m = new_resamples();
        for (size_t i = 0; i < RESAMPLES; i++) {
            double from = resampled_median(b, n_before, &r);
            m[i] = relative(from, resampled_median(a, n_after, &r));
        }
        c.change = relative(middle(b, n_before), middle(a, n_after));
        interval(m, &c.low, &c.high);
        c.significant = (c.low > 0 || c.high < 0) && fabs(c.change) > noise;
    }
    free(a);
    free(b);
    *out = c;
}

double bench_bar_value(const struct bench_measure *m, enum bench_statistic of)
{
    struct bench_summary s;
    double each[sizeof(m->round_at) / sizeof(m->round_at[0])];
    size_t n = 0;
    for (unsigned i = 0; i < m->n_rounds; i++) {
        size_t from = m->round_at[i], to = i + 1 < m->n_rounds ? m->round_at[i + 1] : m->n;
        if (to == from)
            continue;
        bench_summarize(m->x + from, to - from, &s);
        each[n++] = bench_statistic(&s, of);
    }
    if (n >= BENCH_ROUNDS) {
        qsort(each, n, sizeof(*each), by_value);
        return middle(each, n);
    }
    bench_summarize(m->x, m->n, &s);
    return bench_statistic(&s, of);
}

enum bench_verdict bench_bar_verdict(const struct bench_measure *m, const struct bench_bar *bar)
{
    for (size_t i = 0; i < m->n; i++)
        if (!isfinite(m->x[i]))
            return BENCH_FAILS;
    if (m->n == 0)
        return BENCH_FAILS;
    double value = bench_bar_value(m, bar->of);
    if (m->higher_is_better ? value >= bar->limit : value <= bar->limit)
        return BENCH_HOLDS;
    if (m->higher_is_better || !m->echo || m->echo->n == 0)
        return BENCH_FAILS;
    return value <= BENCH_ECHO_FACTOR * bench_bar_value(m->echo, bar->of) ? BENCH_HOLDS_BY_ECHO : BENCH_FAILS;
}
