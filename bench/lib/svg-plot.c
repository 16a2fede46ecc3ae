/* Lines, points, time lines, and how near each measure is to its bar. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "lib/report.h"
#include "lib/svg.h"

#define WIDTH 760.0
#define RIGHT 744.0
#define MAX_TICKS 24
#define MAX_POINTS 1500
#define LANE 30.0

struct range {
    double min, max;
};

static void widen(struct range *r, double v)
{
    if (isfinite(v)) {
        r->min = fmin(r->min, v);
        r->max = fmax(r->max, v);
    }
}

static void label(FILE *out, const char *css, double x, double y, const char *text)
{
    fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", css, x, y);
    html_text(out, text);
    fputs("</text>", out);
}

static void x_axis(FILE *out, const struct axis *a, double top, double bottom, const char *name)
{
    double ticks[MAX_TICKS];
    size_t n = axis_ticks(a, ticks, MAX_TICKS);
    for (size_t i = 0; i < n; i++) {
        double x = axis_at(a, ticks[i]);
        fprintf(
            out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x, top, x, bottom);
        fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%.6g</text>", x, bottom + 15, ticks[i]);
    }
    label(out, "name", (a->from + a->to) / 2, bottom + 33, name);
}

static void draw_series(FILE *out, const struct bench_series *s, const struct axis *x, const struct axis *y,
    bool lines, const char *css)
{
    size_t every = s->n / MAX_POINTS + 1;
    if (lines && s->n > 1) {
        fprintf(out, "<path class=\"line %s\" d=\"", css);
        bool open = false;
        for (size_t i = 0; i < s->n; i += every) {
            bool good = isfinite(s->x[i]) && isfinite(s->y[i]);
            if (good)
                fprintf(out, "%s%.1f %.1f", open ? "L" : "M", axis_at(x, s->x[i]), axis_at(y, s->y[i]));
            open = good;
        }
        fputs("\"/>", out);
    }
    if (lines && s->n > 80)
        return;
    for (size_t i = 0; i < s->n; i += every) {
        if (!isfinite(s->x[i]) || !isfinite(s->y[i]))
            continue;
        fprintf(out, "<circle class=\"%s %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"><title>",
            lines ? "knot" : "dust", css, axis_at(x, s->x[i]), axis_at(y, s->y[i]), lines ? "3.5" : "2.2");
        html_text(out, s->name);
        fprintf(out, ": %.5g, %.5g</title></circle>", s->x[i], s->y[i]);
    }
}

static void svg_lines(FILE *out, const struct bench_plot *p)
{
    const double top = 14, bottom = 250, left = 74;
    struct range rx = {INFINITY, -INFINITY}, ry = rx;
    for (const struct bench_series *s = p->series; s; s = s->next)
        for (size_t i = 0; i < s->n; i++) {
            widen(&rx, s->x[i]);
            widen(&ry, s->y[i]);
        }
    if (!(rx.min <= rx.max) || !(ry.min <= ry.max))
        return;
    bool log_x = p->kind == BENCH_LINES && rx.min > 0 && rx.max / rx.min >= 100,
         log_y = ry.min > 0 && ry.max / ry.min >= 200;
    if (!log_y && ry.min > 0 && ry.min < 0.6 * ry.max)
        ry.min = 0;
    struct axis x, y;
    double ticks[MAX_TICKS];
    axis_init(&x, rx.min, rx.max, log_x, left, RIGHT);
    axis_init(&y, ry.min, ry.max, log_y, bottom, top);
    fprintf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">", WIDTH, bottom + 44);
    x_axis(out, &x, top, bottom, p->x_label);
    size_t n = axis_ticks(&y, ticks, MAX_TICKS);
    for (size_t i = 0; i < n; i++) {
        double at = axis_at(&y, ticks[i]);
        fprintf(out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", left, at,
            RIGHT, at);
        fprintf(out, "<text class=\"row\" x=\"%.1f\" y=\"%.1f\">%.6g</text>", left - 8, at + 4, ticks[i]);
    }
    fprintf(out, "<text class=\"name\" transform=\"translate(16 %.1f) rotate(-90)\">", (top + bottom) / 2);
    html_text(out, p->y_label);
    fputs("</text>", out);
    size_t i = 0;
    for (const struct bench_series *s = p->series; s; s = s->next)
        draw_series(out, s, &x, &y, p->kind == BENCH_LINES, svg_css(i++));
    fputs("</svg>\n", out);
}

static void draw_span(
    FILE *out, const struct bench_series *s, size_t i, const struct axis *x, double y, const char *css)
{
    double from = axis_at(x, s->x[i]), to = axis_at(x, s->y[i]);
    char text[32];
    fputs("<g><title>", out);
    html_text(out, s->name);
    if (s->y[i] > s->x[i]) {
        bool inside = to > RIGHT - 60;
        bench_number_text(s->y[i] - s->x[i], text, sizeof(text));
        fprintf(out, ": %.5g to %.5g</title>", s->x[i], s->y[i]);
        fprintf(out, "<rect class=\"span %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"16\" rx=\"4\"/>",
            css, from, y - 8, to - from < 3 ? 3 : to - from);
        if (s->n == 1) /* in the span where there is no room beside it */
            fprintf(out, "<text class=\"took%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>",
                inside && to - from > 60 ? " in" : "",
                !inside          ? to + 7
                : to - from > 60 ? to - 8
                                 : from - 7,
                y + 4, inside ? "end" : "start", text);
    } else {
        bench_number_text(s->x[i], text, sizeof(text));
        fprintf(out, ": at %.5g</title>", s->x[i]);
        fprintf(out, "<path class=\"span %s\" d=\"M%.1f %.1fl7 7 -7 7 -7 -7Z\"/>", css, from, y - 7);
        if (s->n == 1)
            fprintf(out, "<text class=\"took\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>",
                from > RIGHT - 60 ? from - 12 : from + 12, y + 4, from > RIGHT - 60 ? "end" : "start", text);
    }
    fputs("</g>", out);
}

static void svg_timeline(FILE *out, const struct bench_plot *p)
{
    const double top = 10, left = 190;
    struct range r = {INFINITY, -INFINITY};
    size_t lanes = 0;
    for (const struct bench_series *s = p->series; s; s = s->next, lanes++)
        for (size_t i = 0; i < s->n; i++) {
            widen(&r, s->x[i]);
            widen(&r, s->y[i]);
        }
    if (!(r.min <= r.max))
        return;
    struct axis x;
    double bottom = top + LANE * (double)lanes;
    axis_init(&x, r.min, r.max, false, left, RIGHT);
    fprintf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">", WIDTH, bottom + 44);
    x_axis(out, &x, top, bottom, p->x_label);
    size_t lane = 0;
    for (const struct bench_series *s = p->series; s; s = s->next, lane++) {
        double y = top + LANE * ((double)lane + 0.5);
        if (lane % 2 == 0)
            fprintf(out, "<rect class=\"lane\" x=\"0\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"6\"/>",
                y - LANE / 2, RIGHT, LANE);
        label(out, "row", left - 12, y + 4, s->name);
        size_t every = s->n / MAX_POINTS + 1;
        for (size_t i = 0; i < s->n; i += every)
            if (isfinite(s->x[i]) && isfinite(s->y[i]))
                draw_span(out, s, i, &x, y, svg_css(lane));
    }
    fputs("</svg>\n", out);
}

void svg_plot(FILE *out, const struct bench_plot *p)
{
    if (p->kind == BENCH_TIMELINE)
        svg_timeline(out, p);
    else
        svg_lines(out, p);
}

static bool new_group(const struct svg_headroom *rows, size_t i)
{
    return i == 0 || strcmp(rows[i].group, rows[i - 1].group) != 0;
}

void svg_headroom(FILE *out, const struct svg_headroom *rows, size_t n)
{
    static const char *const css[] = {
        [BENCH_HOLDS] = "good", [BENCH_HOLDS_BY_ECHO] = "echoed", [BENCH_FAILS] = "bad"};
    const double wide = 1120, left = 556, right = 950, row = 20, top = 24;
    struct axis a;
    double min = 0.1, max = 3;
    for (size_t i = 0; i < n; i++)
        if (rows[i].share > 0 && isfinite(rows[i].share)) {
            min = fmin(min, rows[i].share);
            max = fmax(max, rows[i].share);
        }
    axis_init(&a, fmax(min, 1e-5), fmin(max, 1e4), true, left, right);
    size_t lines = n;
    for (size_t i = 0; i < n; i++)
        lines += new_group(rows, i);
    double bottom = top + row * (double)lines, one = axis_at(&a, 1), y = top - row / 2;
    fprintf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">", wide, bottom + 10);
    fprintf(out, "<rect class=\"over\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", one, top,
        right - one, bottom - top);
    double ticks[MAX_TICKS];
    size_t n_ticks = axis_ticks(&a, ticks, MAX_TICKS);
    for (size_t i = 0; i < n_ticks; i++) {
        double x = axis_at(&a, ticks[i]);
        bool bar = fabs(ticks[i] - 1) < 1e-9;
        fprintf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
            bar ? "limit" : "grid", x, top, x, bottom);
        if (bar)
            fprintf(out, "<text class=\"tick strong\" x=\"%.1f\" y=\"%.1f\">the bar</text>", x, top - 8);
        else if (fabs(x - one) > 40)
            fprintf(
                out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%.6g&#215;</text>", x, top - 8, ticks[i]);
    }
    for (size_t i = 0; i < n; i++) {
        double x = isfinite(rows[i].share) ? axis_at(&a, rows[i].share) : right;
        const char *c = css[rows[i].verdict];
        y += row;
        if (new_group(rows, i)) {
            fprintf(out, "<line class=\"grid\" x1=\"0\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", y - row / 2,
                wide, y - row / 2);
            label(out, "group", 0, y + 5, rows[i].group);
            y += row;
        }
        label(out, "row", left - 14, y + 4, rows[i].label);
        fprintf(out, "<line class=\"stem %s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", c, left, y,
            x, y);
        fprintf(out, "<circle class=\"head %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", c, x, y);
        label(out, "figures", right + 14, y + 4, rows[i].figures);
    }
    fputs("</svg>\n", out);
}
