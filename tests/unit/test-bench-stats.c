/* Statistics, verdicts and the JSON of orcd bench, against answers worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "lib/report.h"

static void near(double have, double want)
{
    if (!(fabs(have - want) <= 1e-9 * fmax(1, fabs(want))))
        fail_msg("have %.17g, want %.17g", have, want);
}

/* 1, 2, ... n */
static double *count_up(size_t n)
{
    double *x = malloc(n * sizeof(*x));
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (double)i + 1;
    return x;
}

static uint64_t random_state = 7;
static double uniform(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(random_state >> 12) + 0.5) * 0x1p-52;
}

static void test_quantiles(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double q, want;
    } rows[] = {{1, 0.5, 1}, {1, 0.999, 1}, {20, 0.95, 19}, {20, 0.96, 20}, {20, 0.99, 20}, {100, 0.95, 95},
        {100, 0.99, 99}, {100, 0.999, 100}, {1000, 0.999, 999}, {1000, 0.001, 1}, {10, 0, 1}, {10, 1, 10}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double *x = count_up(rows[i].n);
        near(bench_quantile(x, rows[i].n, rows[i].q), rows[i].want);
        free(x);
    }
}

static void test_summary(void **state)
{
    (void)state;
    /* Quartiles 3.25 and 7.75: fences at -3.5 and 14.5, outer ones at -10.25 and 21.25. */
    const double x[] = {100, 1, 9, 2, 8, 3, 7, 4, 6, 5};
    const double mild[] = {16, 1, 9, 2, 8, 3, 7, 4, 6, 5};
    struct bench_summary s;
    bench_summarize(x, 10, &s);
    assert_int_equal(s.n, 10);
    near(s.min, 1);
    near(s.max, 100);
    near(s.mean, 14.5);
    near(s.median, 5.5);
    near(s.mad, 2.5 * 1.4826);
    near(s.p95, 100);
    assert_int_equal(s.mild, 0);
    assert_int_equal(s.severe, 1);
    bench_summarize(mild, 10, &s);
    assert_int_equal(s.mild, 1);
    assert_int_equal(s.severe, 0);
    near(x[0], 100); /* inputs stay as they are */

    const double odd[] = {5, 1, 4};
    bench_summarize(odd, 3, &s);
    near(s.median, 4);
    near(s.mad, 1.4826);
    near(bench_statistic(&s, BENCH_MEDIAN), 4);
    near(bench_statistic(&s, BENCH_MAX), 5);
    near(bench_statistic(&s, BENCH_MIN), 1);
    near(bench_statistic(&s, BENCH_MEAN), 10 / 3.0);

    bench_summarize(NULL, 0, &s);
    assert_int_equal(s.n, 0);
    assert_true(isnan(s.median) && isnan(s.p99) && isnan(s.low));
    const double bad[] = {1, NAN, 2};
    bench_summarize(bad, 3, &s);
    near(s.median, 2);
    assert_true(isinf(s.max));
}

static void test_interval(void **state)
{
    (void)state;
    struct bench_summary s;
    const double one[] = {42}, two[] = {0, 1};
    bench_summarize(one, 1, &s);
    near(s.low, 42);
    near(s.high, 42);
    bench_summarize(two, 2, &s); /* medians 0, 0.5, 1 with 1/4, 1/2, 1/4 */
    near(s.low, 0);
    near(s.high, 1);
    /* Of 1..11, the median of a resample is at most 2 with probability 0.0072 and at most
     * 3 with 0.0513 (binomial): the 2.5 % point is 3, and by symmetry the other is 9. */
    double *x = count_up(11);
    bench_summarize(x, 11, &s);
    near(s.low, 3);
    near(s.high, 9);
    free(x);
    /* Of 1..12, the mean of the sixth and the seventh draw: at most 3 with probability
     * 0.0161 and at most 3.5 with 0.0356, counted over all resamples. */
    x = count_up(12);
    bench_summarize(x, 12, &s);
    near(s.low, 3.5);
    near(s.high, 9.5);
    free(x);
}

static void test_coverage(void **state)
{
    (void)state;
    /* The true median of an exponential distribution is ln 2. */
    int trials = 400, covered = 0;
    for (int i = 0; i < trials; i++) {
        double x[51];
        struct bench_summary s;
        for (size_t j = 0; j < ARRAY_LEN(x); j++)
            x[j] = -log(uniform());
        bench_summarize(x, ARRAY_LEN(x), &s);
        covered += s.low <= M_LN2 && M_LN2 <= s.high;
        assert_true(s.low <= s.median && s.median <= s.high);
    }
    assert_in_range(covered, 0.92 * trials, 0.98 * trials);
}

static void test_change(void **state)
{
    (void)state;
    double before[200], after[200], same[200], little[200];
    for (size_t i = 0; i < 200; i++) {
        before[i] = 100 + uniform();
        after[i] = 110 + uniform();
        same[i] = 100 + uniform();
        little[i] = 101 + uniform();
    }
    struct bench_change c;
    bench_compare(before, 200, after, 200, 0.02, &c);
    assert_true(c.significant && c.low < c.change && c.change < c.high);
    assert_true(c.change > 0.098 && c.change < 0.101 && c.high - c.low < 0.005);
    bench_compare(after, 200, before, 200, 0.02, &c);
    assert_true(c.significant && c.high < 0 && c.change < -0.08);
    bench_compare(before, 200, same, 200, 0, &c);
    assert_false(c.significant);
    assert_true(c.low <= 0 && c.high >= 0);
    bench_compare(before, 200, little, 200, 0.02, &c); /* certain, but within the noise */
    assert_true(!c.significant && c.low > 0);
    bench_compare(before, 200, little, 200, 0.005, &c);
    assert_true(c.significant);
    bench_compare(before, 0, little, 200, 0, &c);
    assert_true(isnan(c.change) && !c.significant);
    const double zero[] = {0, 0, 0};
    bench_compare(zero, 3, zero, 3, 0, &c);
    assert_true(c.change == 0 && !c.significant);
    bench_compare(zero, 3, before, 200, 0, &c);
    assert_true(isinf(c.change) && c.significant);
}

static void test_verdicts(void **state)
{
    (void)state;
    struct bench_result r = {0};
    struct bench_measure *m = bench_measure_new(&r, "t", "id", "", "us");
    struct bench_measure *echo = bench_measure_new(&r, "echo", "id", "", "us");
    struct bench_bar holds = {BENCH_MEDIAN, 10, "bar"}, fails = {BENCH_MEDIAN, 9.999, "bar"};
    assert_int_equal(bench_bar_verdict(m, &holds), BENCH_FAILS); /* nothing measured */
    bench_add(m, 9);
    bench_add(m, 10);
    bench_add(m, 11);
    assert_int_equal(bench_bar_verdict(m, &holds), BENCH_HOLDS);
    assert_int_equal(bench_bar_verdict(m, &fails), BENCH_FAILS);
    m->echo = echo;
    assert_int_equal(bench_bar_verdict(m, &fails), BENCH_FAILS); /* an echo without samples */
    bench_add(echo, 6.6);
    assert_int_equal(bench_bar_verdict(m, &fails), BENCH_FAILS); /* 9.9 */
    bench_add(echo, 7);
    bench_add(echo, 7);
    assert_int_equal(bench_bar_verdict(m, &fails), BENCH_HOLDS_BY_ECHO); /* 10.5 */
    assert_int_equal(bench_bar_verdict(m, &holds), BENCH_HOLDS);         /* not by the echo */
    struct bench_bar of_max = {BENCH_MAX, 10, "bar"};
    assert_int_equal(bench_bar_verdict(m, &of_max), BENCH_FAILS); /* 11 against 10.5 */
    struct bench_bar of_least = {BENCH_MIN, 10, "bar"};
    assert_float_equal(bench_bar_value(m, BENCH_MAX), 11, 0);
    m->round_at[0] = 0; /* 9; 10; 11 */
    m->round_at[1] = 1;
    m->round_at[2] = 2;
    m->n_rounds = 2;
    assert_float_equal(bench_bar_value(m, BENCH_MAX), 11, 0); /* too few rounds to count */
    m->n_rounds = 3;
    assert_float_equal(bench_bar_value(m, BENCH_MAX), 10, 0);
    assert_int_equal(bench_bar_verdict(m, &of_max), BENCH_HOLDS);
    assert_int_equal(bench_bar_verdict(m, &of_least), BENCH_HOLDS);
    bench_round(m); /* without samples yet: no round */
    assert_float_equal(bench_bar_value(m, BENCH_MIN), 10, 0);
    m->n_rounds = 0;
    m->higher_is_better = true;
    assert_int_equal(bench_bar_verdict(m, &fails), BENCH_HOLDS);
    struct bench_bar more = {BENCH_MEDIAN, 10.001, "bar"};
    assert_int_equal(bench_bar_verdict(m, &more), BENCH_FAILS); /* the echo rule is for latencies */
    bench_add(m, NAN);
    assert_int_equal(bench_bar_verdict(m, &fails), BENCH_FAILS);
    m->higher_is_better = false;
    bench_bar(m, BENCH_P95, 1, "bar");
    assert_int_equal(m->n_bars, 1);
    for (struct bench_measure *next; (m = r.measures); r.measures = next) {
        next = m->next;
        free(m->x);
        free(m);
    }
}

static const struct bench_case hostile = {"hostile", "<b>\"quotes\"\\ & \x01\xff", 0, NULL};
#define VARIANT "300 \"streams\", <spread>"

static void fill_report(struct bench_report *p)
{
    static const char *const words[] = {"--model", "it's here"};
    bench_report_begin(p, "quick", 2, words);
    struct bench_result *r = p->results = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->bench = &hostile;
    snprintf(r->target, sizeof(r->target), "orcd-mock");
    struct bench_measure *few = bench_measure_new(r, "orcd-mock", "few", VARIANT, "us");
    struct bench_measure *many = bench_measure_new(r, "orcd-mock", "many", "", "1");
    const double x[] = {3, -1.25e-7, 123456789.125, INFINITY};
    for (size_t i = 0; i < ARRAY_LEN(x); i++)
        bench_add(few, x[i]);
    bench_bar(few, BENCH_P95, 2, "specification");
    for (int i = 0; i < 10000; i++)
        bench_add(many, (double)(i * 7919 % 10000));
    struct bench_plot *plot = bench_plot_new(r, BENCH_TIMELINE, "a cancel", "ms", "");
    bench_point(bench_series_new(plot, "</svg>"), 1, 2);
}

static void test_round_trip(void **state)
{
    (void)state;
    char path[] = "/tmp/orcd-bench-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    struct bench_report p;
    fill_report(&p);
    bench_report_json(&p, f);
    long size = ftell(f);
    assert_int_equal(fclose(f), 0);
    struct orcd_error err = ORCD_ERROR_INIT;
    struct bench_baseline *b = NULL;
    assert_int_equal(bench_baseline_load(&b, path, &err), 0);
    assert_string_equal(bench_baseline_date(b), p.date);
    struct bench_measure key = *p.results->measures;
    const struct bench_measure *m = bench_baseline_find(b, "hostile", &key);
    assert_non_null(m);
    assert_int_equal(m->n, 4);
    near(m->x[0], 3);
    near(m->x[1], -1.25e-7);
    near(m->x[2], 123456789);
    assert_true(isnan(m->x[3]));
    key.unit = "ms";
    assert_null(bench_baseline_find(b, "hostile", &key));
    key.unit = "us";
    snprintf(key.target, sizeof(key.target), "other");
    assert_null(bench_baseline_find(b, "hostile", &key));
    assert_null(bench_baseline_find(b, "other", p.results->measures));
    assert_null(bench_baseline_find(NULL, "hostile", p.results->measures));
    m = bench_baseline_find(b, "hostile", p.results->measures->next);
    assert_non_null(m);
    assert_int_equal(m->n, BENCH_SAMPLES_KEPT);
    near(m->x[0], 0);
    near(m->x[m->n - 1], 9999);
    struct bench_summary s;
    bench_summarize(m->x, m->n, &s);
    assert_true(fabs(s.median - 4999.5) < 5 && fabs(s.p99 - 9899) < 10);
    p.baseline = b; /* the report's now */
    struct bench_change c;
    assert_true(bench_report_change(&p, "hostile", p.results->measures->next, &c));
    assert_false(c.significant);
    assert_int_equal(p.results->measures->n_bars, 1);
    struct bench_totals t;
    bench_report_totals(&p, &t);
    assert_int_equal(t.bars, 1);
    assert_int_equal(t.failed_bars, 1);
    bench_report_release(&p);

    for (long cut = 0; cut < size - 2; cut += 1 + size / 50) { /* a file that was cut is none */
        assert_int_equal(truncate(path, size - 2 - cut), 0);
        b = (struct bench_baseline *)&err;
        assert_int_equal(bench_baseline_load(&b, path, &err), ORCD_E_INVALID);
        assert_ptr_equal(b, &err);
    }
    unlink(path);
    assert_int_equal(bench_baseline_load(&b, path, &err), ORCD_E_NOT_FOUND);
}

static void test_not_ours(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "[]", "{}", "{\"schema\":\"orcd-bench\",\"schema_version\":1}",
        "{\"schema\":\"orcd-bench\",\"schema_version\":2,\"results\":[]}",
        "{\"schema\":\"orcd-bench\",\"schema_version\":1,\"results\":[1]}",
        "{\"schema\":\"orcd-bench\",\"schema_version\":1,\"results\":[null]}",
        "{\"schema\":\"orcd-bench\",\"schema_version\":1,\"results\":[{\"case\":\"a\",\"measures\":[null]}]}",
        "{\"schema\":\"orcd-bench\",\"schema_version\":1,\"results\":[{\"case\":\"a\",\"measures\":[{\"id\":"
        "\"x\","
        "\"variant\":\"\",\"target\":\"t\",\"unit\":\"us\",\"samples\":[\"1\"]}]}]}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char path[] = "/tmp/orcd-bench-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
        close(fd);
        struct orcd_error err = ORCD_ERROR_INIT;
        struct bench_baseline *b;
        assert_int_equal(bench_baseline_load(&b, path, &err), ORCD_E_INVALID);
        unlink(path);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *want;
    } rows[] = {{0, "0"}, {0.5, "0.500"}, {1.234, "1.23"}, {12.34, "12.3"}, {123.4, "123"},
        {1234567, "1234567"}, {12345678, "1.23e+07"}, {1.5e-5, "1.50e-05"}, {-2.5, "-2.50"}, {NAN, "-"},
        {INFINITY, "-"}};
    char text[32];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bench_number_text(rows[i].v, text, sizeof(text));
        assert_string_equal(text, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
