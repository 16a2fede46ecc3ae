/* Distributions: the densities above, and below one strip per series with its percentiles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/util.h"
#include "lib/report.h"
#include "lib/svg.h"

#define WIDTH 760.0
#define LEFT 132.0
#define RIGHT 744.0
#define CURVE_TOP 34.0
#define CURVE_BASE 150.0
#define STRIP 26.0
#define GRID 260  /* points of a curve */
#define KEPT 3000 /* samples that a curve is made from */
#define FEW 8     /* fewer are dots */
#define MAX_TICKS 24
#define OUTLIERS 40
#define NEAR 3 /* times the range of the samples: a bar is drawn to scale */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorted, finite, at most KEPT. */
static double *prepare(const struct svg_series *s, size_t *n)
{
    double *x = bench_thin(s->x, s->n, KEPT, n);
    size_t m = 0;
    for (size_t i = 0; i < *n; i++)
        if (isfinite(x[i]))
            x[m++] = x[i];
    qsort(x, m, sizeof(*x), by_value);
    *n = m;
    return x;
}

static void number_axis(FILE *out, const struct axis *a, double top, double base, const char *unit)
{
    double ticks[MAX_TICKS];
    char text[32];
    size_t n = axis_ticks(a, ticks, MAX_TICKS);
    for (size_t i = 0; i < n; i++) {
        double x = axis_at(a, ticks[i]);
        snprintf(text, sizeof(text), "%.6g", ticks[i]);
        fprintf(
            out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x, top, x, base);
        fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%s</text>", x, base + 15, text);
    }
    fprintf(out, "<text class=\"unit\" x=\"%.1f\" y=\"%.1f\">", LEFT - 10, base + 15);
    html_text(out, strcmp(unit, "1") ? unit : "share");
    fputs("</text>", out);
}

static double spread(const double *v, size_t n)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (v[i] - mean) * (v[i] - mean) / (double)n;
    double sd = sqrt(square), iqr = (bench_quantile(v, n, 0.75) - bench_quantile(v, n, 0.25)) / 1.34;
    return iqr > 0 && iqr < sd ? iqr : sd;
}

/* A kernel density over the positions in the drawing, its peak as high as there is room. */
static void draw_curve(FILE *out, const struct axis *a, const double *x, size_t n, const char *css)
{
    double *at = malloc(n * sizeof(*at)), height[GRID], peak = 0;
    if (!at)
        exit(EX_OSERR);
    for (size_t i = 0; i < n; i++)
        at[i] = axis_at(a, x[i]);
    double width = 0.9 * spread(at, n) * pow((double)n, -0.2);
    width = width < 1.6 ? 1.6 : width;
    for (int g = 0; g < GRID; g++) {
        double p = LEFT + (RIGHT - LEFT) * g / (GRID - 1);
        height[g] = 0;
        for (size_t i = 0; i < n; i++) {
            double d = (p - at[i]) / width;
            if (fabs(d) < 5)
                height[g] += exp(-0.5 * d * d);
        }
        peak = height[g] > peak ? height[g] : peak;
    }
    free(at);
    int from = 0, to = GRID - 1;
    while (from < GRID - 2 && height[from + 1] < peak / 1000)
        from++;
    while (to > from + 1 && height[to - 1] < peak / 1000)
        to--;
    for (int fill = 1; fill >= 0; fill--) {
        fprintf(out, "<path class=\"%s %s\" d=\"M", fill ? "area" : "curve", css);
        if (fill)
            fprintf(out, "%.1f %.1fL", LEFT + (RIGHT - LEFT) * from / (GRID - 1), CURVE_BASE);
        for (int g = from; g <= to; g++)
            fprintf(out, "%s%.1f %.1f", g == from ? "" : " ", LEFT + (RIGHT - LEFT) * g / (GRID - 1),
                CURVE_BASE - height[g] / peak * (CURVE_BASE - CURVE_TOP - 6));
        if (fill)
            fprintf(out, " %.1f %.1fZ", LEFT + (RIGHT - LEFT) * to / (GRID - 1), CURVE_BASE);
        fputs("\"/>", out);
    }
}

static void mark(FILE *out, const char *css, double x, double y, double half, double wide)
{
    fprintf(out, "<rect class=\"mark %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"1\"/>",
        css, x - wide / 2, y - half, wide, 2 * half);
}

/* Smallest to largest as a thin line, the middle half thick, p95 and p99 as ticks. */
static void draw_strip(
    FILE *out, const struct axis *a, const struct svg_series *s, const double *x, size_t n, double y)
{
    struct bench_summary u;
    bench_summarize(s->x, s->n, &u);
    fprintf(out, "<g><title>");
    html_text(out, s->label);
    fprintf(out, ": n %zu, median %.4g, p95 %.4g, p99 %.4g, p99.9 %.4g, max %.4g</title>", s->n, u.median,
        u.p95, u.p99, u.p999, u.max);
    fprintf(out, "<rect class=\"hit\" x=\"0\" y=\"%.1f\" width=\"%.0f\" height=\"%.1f\"/>", y - STRIP / 2,
        WIDTH, STRIP);
    fprintf(out, "<text class=\"row %s\" x=\"%.1f\" y=\"%.1f\">", s->css, LEFT - 10, y + 4);
    html_text(out, s->label);
    fputs("</text>", out);
    if (n >= FEW) {
        double q1 = axis_at(a, bench_quantile(x, n, 0.25)), q3 = axis_at(a, bench_quantile(x, n, 0.75));
        fprintf(out, "<line class=\"reach %s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", s->css,
            axis_at(a, x[0]), y, axis_at(a, u.p99), y);
        fprintf(out, "<rect class=\"half %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"10\" rx=\"3\"/>",
            s->css, q1, y - 5, q3 - q1 < 1 ? 1 : q3 - q1);
        mark(out, s->css, axis_at(a, u.p95), y, 6, 2);
        mark(out, s->css, axis_at(a, u.p99), y, 8, 2.5);
        size_t beyond = 0;
        for (size_t i = n; i > 0 && x[i - 1] > u.p99 && beyond < OUTLIERS; i--, beyond++)
            fprintf(out, "<circle class=\"far %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"1.8\"/>", s->css,
                axis_at(a, x[i - 1]), y);
    } else {
        for (size_t i = 0; i < n; i++)
            fprintf(out, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>", s->css,
                axis_at(a, x[i]), y);
    }
    fprintf(out, "<circle class=\"median %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/></g>\n", s->css,
        axis_at(a, u.median), y);
}

/* p50, p95 and p99 of the first series, into its curve. Labels keep out of each other's way. */
static void draw_percentiles(FILE *out, const struct axis *a, const struct svg_series *s, double base)
{
    struct bench_summary u;
    bench_summarize(s->x, s->n, &u);
    const struct {
        const char *name;
        double v;
    } rows[] = {{"p50", u.median}, {"p95", u.p95}, {"p99", u.p99}};
    double taken = -100;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[32];
        double x = axis_at(a, rows[i].v);
        bench_number_text(rows[i].v, text, sizeof(text));
        fprintf(out, "<line class=\"pct %s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", s->css, x,
            CURVE_TOP - 2, x, base);
        double at = x < taken + 66 ? taken + 66 : x;
        if (at > RIGHT - 24)
            continue;
        taken = at;
        fprintf(out,
            "<text class=\"pct %s\" x=\"%.1f\" y=\"%.1f\">%s <tspan class=\"strong\">%s</tspan></text>",
            s->css, at, CURVE_TOP - 8, rows[i].name, text);
    }
}

/* Bars in range are lines; of the others an arrow tells where they are. */
static void draw_limits(
    FILE *out, const struct axis *a, const struct svg_limit *limits, size_t n, double base, double bottom)
{
    for (size_t i = 0; i < n; i++) {
        bool above = limits[i].at > a->max, below = !(limits[i].at >= a->min);
        double x = axis_at(a, limits[i].at), y = CURVE_TOP + 12 + 14 * (double)(i % 6);
        bool left = above || (!below && x > RIGHT - 130);
        const char *css = limits[i].failed ? " bad" : "";
        if (!above && !below)
            fprintf(out, "<line class=\"limit%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", css, x,
                CURVE_TOP, x, bottom);
        fprintf(out, "<text class=\"limit%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s", css,
            above || below ? x : x + (left ? -5 : 5), y < base ? y : base, left ? "end" : "start",
            below ? "&#9666; " : "");
        html_text(out, limits[i].label);
        fputs(above ? " &#9656;</text>" : "</text>", out);
    }
}

static bool find_range(double *const *x, const size_t *n, size_t n_series, const struct svg_limit *limits,
    size_t n_limits, double *min, double *max)
{
    *min = INFINITY;
    *max = -INFINITY;
    for (size_t i = 0; i < n_series; i++)
        if (n[i]) {
            *min = fmin(*min, x[i][0]);
            *max = fmax(*max, x[i][n[i] - 1]);
        }
    if (!isfinite(*min))
        return false;
    double from = *min, to = *max;
    for (size_t i = 0; i < n_limits; i++) /* bars that are near belong in sight */
        if (from > 0 && limits[i].at > from / NEAR && limits[i].at < to * NEAR) {
            *min = fmin(*min, limits[i].at);
            *max = fmax(*max, limits[i].at);
        }
    return true;
}

void svg_distribution(FILE *out, const struct svg_series *series, size_t n_series,
    const struct svg_limit *limits, size_t n_limits, const char *unit)
{
    double **x = calloc(n_series + 1, sizeof(*x));
    size_t *n = calloc(n_series + 1, sizeof(*n)), curves = 0;
    double min, max;
    struct axis a;
    if (!x || !n)
        exit(EX_OSERR);
    for (size_t i = 0; i < n_series; i++) {
        x[i] = prepare(&series[i], &n[i]);
        curves += n[i] >= FEW;
    }
    if (find_range(x, n, n_series, limits, n_limits, &min, &max)) {
        double base = curves ? CURVE_BASE : CURVE_TOP, bottom = base + 8 + STRIP * (double)n_series;
        bool log = min > 0 && max / min > 6;
        double room = curves ? 0.05 : 0;
        if (log)
            axis_init(&a, min / pow(max / min, room), max * pow(max / min, room), log, LEFT, RIGHT);
        else
            axis_init(&a, min >= 0 ? fmax(0, min - room * (max - min)) : min, max + room * (max - min), log,
                LEFT, RIGHT);
        fprintf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">", WIDTH, bottom + 22);
        number_axis(out, &a, CURVE_TOP, bottom, unit);
        if (curves)
            fprintf(out, "<line class=\"ground\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", LEFT,
                CURVE_BASE, RIGHT, CURVE_BASE);
        for (size_t i = n_series; i > 0; i--)
            if (n[i - 1] >= FEW)
                draw_curve(out, &a, x[i - 1], n[i - 1], series[i - 1].css);
        draw_limits(out, &a, limits, n_limits, base, bottom);
        if (n[0] >= FEW)
            draw_percentiles(out, &a, &series[0], base);
        for (size_t i = 0; i < n_series; i++)
            if (n[i])
                draw_strip(out, &a, &series[i], x[i], n[i], base + 8 + STRIP * ((double)i + 0.5));
        fputs("</svg>\n", out);
    }
    for (size_t i = 0; i < n_series; i++)
        free(x[i]);
    free(x);
    free(n);
}

#define TIME_HEIGHT 96.0
#define TIME_POINTS 1500

void svg_in_time(FILE *out, const struct svg_series *s, const char *unit)
{
    double min = INFINITY, max = -INFINITY, ticks[MAX_TICKS];
    for (size_t i = 0; i < s->n; i++)
        if (isfinite(s->x[i])) {
            min = fmin(min, s->x[i]);
            max = fmax(max, s->x[i]);
        }
    if (!isfinite(min))
        return;
    struct axis x, y;
    axis_init(&x, 0, (double)(s->n > 1 ? s->n - 1 : 1), false, 64, RIGHT);
    axis_init(&y, min, max, min > 0 && max / min > 6, TIME_HEIGHT, 8);
    fprintf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">", WIDTH, TIME_HEIGHT + 10);
    size_t n = axis_ticks(&y, ticks, MAX_TICKS);
    for (size_t i = 0, every = n / 5 + 1; i < n; i += every) {
        double at = axis_at(&y, ticks[i]);
        fprintf(out, "<line class=\"grid\" x1=\"64\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", at, RIGHT, at);
        fprintf(out, "<text class=\"row\" x=\"58\" y=\"%.1f\">%.6g ", at + 4, ticks[i]);
        html_text(out, strcmp(unit, "1") ? unit : "");
        fputs("</text>", out);
    }
    size_t every = s->n / TIME_POINTS + 1;
    for (size_t i = 0; i < s->n; i++)
        if (isfinite(s->x[i]) && (i % every == 0 || s->x[i] == max))
            fprintf(out, "<circle class=\"dust %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"1.7\"/>", s->css,
                axis_at(&x, (double)i), axis_at(&y, s->x[i]));
    fputs("</svg>\n", out);
}
