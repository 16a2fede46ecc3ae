/* The JSON form of a report; baseline.c reads it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "json/out.h"
#include "lib/baseline.h"
#include "lib/report.h"

/* Nine digits whatever the magnitude; what is not finite is null. */
static void put_number(struct json_out *o, const char *key, double v)
{
    char text[40];
    if (!isfinite(v)) {
        json_out_null(o, key);
        return;
    }
    snprintf(text, sizeof(text), "%.9g", v);
    if (!key) {
        if (o->comma)
            json_out_raw(o, ",", 1);
    } else {
        json_out_open(o, key, ' '); /* a blank where a bracket would be */
    }
    json_out_raw(o, text, strlen(text));
    o->comma = true;
}

static void put_numbers(struct json_out *o, const char *key, const double *x, size_t n)
{
    json_out_open(o, key, '[');
    for (size_t i = 0; i < n; i++)
        put_number(o, NULL, x[i]);
    json_out_close(o, ']');
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double *bench_thin(const double *x, size_t n, size_t max, size_t *n_out)
{
    double *copy = malloc((n ? n : 1) * sizeof(*copy));
    if (!copy)
        exit(EX_OSERR);
    if (n)
        memcpy(copy, x, n * sizeof(*copy));
    *n_out = n;
    if (n <= max)
        return copy;
    qsort(copy, n, sizeof(*copy), by_value);
    for (size_t i = 0; i < max; i++)
        copy[i] = copy[i * (n - 1) / (max - 1)];
    *n_out = max;
    return copy;
}

static void put_summary(struct json_out *o, const struct bench_summary *s)
{
    json_out_open(o, "summary", '{');
    put_number(o, "min", s->min);
    put_number(o, "median", s->median);
    put_number(o, "median_low", s->low);
    put_number(o, "median_high", s->high);
    put_number(o, "mad", s->mad);
    put_number(o, "mean", s->mean);
    put_number(o, "p95", s->p95);
    put_number(o, "p99", s->p99);
    put_number(o, "p999", s->p999);
    put_number(o, "max", s->max);
    json_out_u64(o, "mild_outliers", s->mild);
    json_out_u64(o, "severe_outliers", s->severe);
    json_out_close(o, '}');
}

static void put_bars(struct json_out *o, const struct bench_measure *m)
{
    static const char *const verdicts[] = {
        [BENCH_HOLDS] = "holds", [BENCH_HOLDS_BY_ECHO] = "holds_by_echo", [BENCH_FAILS] = "fails"};
    json_out_open(o, "bars", '[');
    for (unsigned i = 0; i < m->n_bars; i++) {
        const struct bench_bar *bar = &m->bars[i];
        json_out_open(o, NULL, '{');
        json_out_text(o, "statistic", bench_statistic_name(bar->of));
        put_number(o, "limit", bar->limit);
        json_out_text(o, "where", bar->where);
        put_number(o, "value", bench_bar_value(m, bar->of));
        put_number(o, "echo", m->echo && m->echo->n ? bench_bar_value(m->echo, bar->of) : NAN);
        json_out_text(o, "verdict", verdicts[bench_bar_verdict(m, bar)]);
        json_out_close(o, '}');
    }
    json_out_close(o, ']');
}

static void put_change(
    struct json_out *o, const struct bench_report *p, const char *case_name, const struct bench_measure *m)
{
    struct bench_change c;
    if (!bench_report_change(p, case_name, m, &c))
        return;
    json_out_open(o, "change", '{');
    put_number(o, "median", c.change);
    put_number(o, "low", c.low);
    put_number(o, "high", c.high);
    json_out_bool(o, "significant", c.significant);
    json_out_close(o, '}');
}

static void put_measure(
    struct json_out *o, const struct bench_report *p, const char *case_name, const struct bench_measure *m)
{
    struct bench_summary s;
    size_t n;
    bench_summarize(m->x, m->n, &s);
    json_out_open(o, NULL, '{');
    json_out_text(o, "id", m->id);
    json_out_text(o, "variant", m->variant);
    json_out_text(o, "target", m->target);
    json_out_text(o, "unit", m->unit);
    json_out_bool(o, "higher_is_better", m->higher_is_better);
    json_out_u64(o, "n", m->n);
    put_summary(o, &s);
    json_out_u64(o, "rounds", m->n_rounds);
    put_bars(o, m);
    put_change(o, p, case_name, m);
    double *x = bench_thin(m->x, m->n, BENCH_SAMPLES_KEPT, &n);
    json_out_bool(o, "in_order_of_time", n == m->n); /* else by rank, evenly spaced */
    put_numbers(o, "samples", x, n);
    free(x);
    json_out_close(o, '}');
}

static void put_plot(struct json_out *o, const struct bench_plot *plot)
{
    static const char *const kinds[] = {
        [BENCH_LINES] = "lines", [BENCH_POINTS] = "points", [BENCH_TIMELINE] = "timeline"};
    json_out_open(o, NULL, '{');
    json_out_text(o, "title", plot->title);
    json_out_text(o, "kind", kinds[plot->kind]);
    json_out_text(o, "x_label", plot->x_label);
    json_out_text(o, "y_label", plot->y_label);
    json_out_open(o, "series", '[');
    for (const struct bench_series *s = plot->series; s; s = s->next) {
        json_out_open(o, NULL, '{');
        json_out_text(o, "name", s->name);
        put_numbers(o, "x", s->x, s->n);
        put_numbers(o, "y", s->y, s->n);
        json_out_close(o, '}');
    }
    json_out_close(o, ']');
    json_out_close(o, '}');
}

static void put_result(struct json_out *o, const struct bench_report *p, const struct bench_result *r)
{
    json_out_open(o, NULL, '{');
    json_out_text(o, "case", r->bench->name);
    json_out_text(o, "title", r->bench->title);
    json_out_text(o, "target", r->target);
    put_number(o, "seconds", r->seconds);
    json_out_text(o, "skipped", *r->skipped ? r->skipped : NULL);
    json_out_text(o, "failed", *r->failed ? r->failed : NULL);
    json_out_open(o, "measures", '[');
    for (const struct bench_measure *m = r->measures; m; m = m->next)
        put_measure(o, p, r->bench->name, m);
    json_out_close(o, ']');
    json_out_open(o, "plots", '[');
    for (const struct bench_plot *plot = r->plots; plot; plot = plot->next)
        put_plot(o, plot);
    json_out_close(o, ']');
    json_out_close(o, '}');
}

void bench_report_json(const struct bench_report *p, FILE *out)
{
    struct json_out o;
    size_t n;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "schema", BENCH_SCHEMA);
    json_out_u64(&o, "schema_version", BENCH_SCHEMA_VERSION);
    json_out_text(&o, "orcd", p->version);
    json_out_text(&o, "date", p->date);
    json_out_text(&o, "mode", p->mode);
    json_out_text(&o, "command", p->command);
    json_out_open(&o, "machine", '{');
    json_out_text(&o, "cpu", p->cpu);
    json_out_u64(&o, "cores", p->cores);
    json_out_text(&o, "kernel", p->kernel);
    json_out_close(&o, '}');
    put_number(&o, "noise", p->noise);
    json_out_open(&o, "results", '[');
    for (const struct bench_result *r = p->results; r; r = r->next)
        put_result(&o, p, r);
    json_out_close(&o, ']');
    json_out_close(&o, '}');
    char *text = json_out_take(&o, &n);
    if (!text)
        exit(EX_OSERR);
    fwrite(text, 1, n, out);
    fputc('\n', out);
    free(text);
}
