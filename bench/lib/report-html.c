/* The HTML report: one file without scripts, which loads nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/util.h"
#include "lib/html-page.h"

const char *page_colour(struct page *g, const char *target)
{
    size_t i = 0;
    if (strcmp(target, "echo") == 0)
        return "echo";
    while (i < g->n_names && strcmp(g->names[i], target) != 0)
        i++;
    if (i == g->n_names && g->n_names < PAGE_COLOURS)
        snprintf(g->names[g->n_names++], sizeof(g->names[0]), "%s", target);
    return svg_css(i);
}

void page_put(struct page *g, const char *before, const char *text, const char *after)
{
    fputs(before, g->out);
    html_text(g->out, text);
    fputs(after, g->out);
}

const char *const grade_css[] = {"", "good", "warn", "bad"};

enum grade grade_of(enum bench_verdict v)
{
    return v == BENCH_HOLDS ? GRADE_GOOD : v == BENCH_HOLDS_BY_ECHO ? GRADE_WARN : GRADE_BAD;
}

static enum grade grade_case(const struct bench_result *r, const struct bench_result *end)
{
    enum grade g = GRADE_NONE;
    for (; r != end; r = r->next) {
        if (*r->failed)
            return GRADE_BAD;
        for (const struct bench_measure *m = r->measures; m; m = m->next)
            for (unsigned i = 0; i < m->n_bars; i++) {
                enum grade of_bar = grade_of(bench_bar_verdict(m, &m->bars[i]));
                g = of_bar > g ? of_bar : g;
            }
    }
    return g;
}

/* --- the top of the page --- */

static void tile(FILE *out, const char *css, const char *text, unsigned n)
{
    fprintf(out, "<div class=\"tile %s\"><b>%u</b><span>%s</span></div>", css, n, text);
}

static void page_head(struct page *g)
{
    const struct bench_report *p = g->report;
    struct bench_totals t;
    FILE *out = g->out;
    bench_report_totals(p, &t);
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'\"/>"
          "<title>orcd bench</title><style>",
        out);
    fputs(bench_report_style, out);
    fputs("</style></head>\n<body><main><h1>orcd bench</h1><p class=\"lead\">", out);
    page_put(g, "orcd ", p->version, " &#183; ");
    html_text(out, p->cpu);
    fprintf(out, ", %u cores &#183; ", p->cores);
    page_put(g, "", p->kernel, " &#183; ");
    page_put(g, "", p->date, " &#183; ");
    page_put(g, "", p->mode, " mode</p>");
    page_put(g, "<code class=\"command\">", p->command, "</code><div class=\"tiles\">");
    fprintf(out, "<div class=\"tile %s\"><b>%u / %u</b><span>bars hold</span></div>",
        t.failed_bars ? "bad"
        : t.bars      ? "good"
                      : "",
        t.held + t.by_echo, t.bars);
    if (t.by_echo)
        tile(out, "warn", "of these by the echo server's figure", t.by_echo);
    tile(out, t.failed_bars ? "bad" : "", "bars fail", t.failed_bars);
    if (t.failed_cases)
        tile(out, "bad", "could not run", t.failed_cases);
    if (t.skipped)
        tile(out, "", "skipped", t.skipped);
    fputs("</div>\n<nav>", out);
    for (const struct bench_result *r = p->results; r; r = bench_next_case(r)) {
        page_put(g, "<a href=\"#", r->bench->name, "\">");
        fprintf(out, "<i class=\"%s\"></i>", grade_css[grade_case(r, bench_next_case(r))]);
        page_put(g, "", r->bench->name, "</a>");
    }
    fputs("</nav>\n", out);
}

/* Every bar in one drawing: how much of it is used. */
static void headroom(struct page *g)
{
    size_t n = 0, cap = 0;
    struct bench_totals t;
    bench_report_totals(g->report, &t);
    cap = t.bars;
    struct svg_headroom *rows = calloc(cap + 1, sizeof(*rows));
    char(*text)[2][260] = calloc(cap + 1, sizeof(*text));
    if (!rows || !text)
        exit(EX_OSERR);
    const char *only = NULL;
    bool several = false;
    for (const struct bench_result *r = g->report->results; r; r = r->next) {
        if (!r->measures || !*r->target)
            continue;
        several |= only && strcmp(only, r->target) != 0;
        only = r->target;
    }
    for (const struct bench_result *r = g->report->results; r; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next) {
            for (unsigned i = 0; i < m->n_bars && n < cap; i++, n++) {
                double v = bench_bar_value(m, m->bars[i].of), limit = m->bars[i].limit;
                char number[32];
                bool plain = strcmp(m->unit, "1") == 0;
                bench_number_text(v, number, sizeof(number));
                snprintf(text[n][0], sizeof(text[n][0]), "%s%s%s%s%s, %s", several ? m->target : "",
                    several ? ": " : "", m->id, *m->variant ? ", " : "", m->variant,
                    bench_statistic_name(m->bars[i].of));
                snprintf(text[n][1], sizeof(text[n][1]), "%s, bar %.6g%s%s", number, limit, plain ? "" : " ",
                    plain ? "" : m->unit);
                rows[n].group = r->bench->name;
                rows[n].label = text[n][0];
                rows[n].figures = text[n][1];
                rows[n].share = v == limit ? 1 : m->higher_is_better ? limit / v : v / limit;
                rows[n].verdict = bench_bar_verdict(m, &m->bars[i]);
            }
        }
    if (n) {
        fputs("<section class=\"card\"><div class=\"top\"><h2>Every bar</h2>"
              "<p>each value as a share of its limit; further left is better</p></div><div class=\"scroll\">",
            g->out);
        svg_headroom(g->out, rows, n);
        fputs("</div></section>\n", g->out);
    }
    free(rows);
    free(text);
}

static void plot(struct page *g, const struct bench_plot *p, const char *target, bool named)
{
    FILE *out = g->out;
    page_put(g, "<section class=\"plot\"><h3>", p->title, "");
    if (named)
        page_put(g, " &#183; ", target, "");
    fputs("</h3>", out);
    if (p->kind != BENCH_TIMELINE && p->series && (p->series->next || strcmp(p->series->name, p->title))) {
        size_t i = 0;
        fputs("<div class=\"legend\">", out);
        for (const struct bench_series *s = p->series; s; s = s->next) {
            fprintf(out, "<span><i class=\"key %s\"></i>", svg_css(i++));
            page_put(g, "", s->name, "</span>");
        }
        fputs("</div>", out);
    }
    svg_plot(out, p);
    fputs("</section>\n", out);
}

static void card(struct page *g, const struct bench_result *first)
{
    static const char *const says[] = {"measured", "holds", "holds, by the echo server", "fails"};
    const struct bench_result *end = bench_next_case(first);
    enum grade grade = grade_case(first, end);
    FILE *out = g->out;
    double seconds = 0;
    bool any = false;
    size_t targets = 0;
    for (const struct bench_result *r = first; r != end; r = r->next) {
        seconds += r->seconds;
        any |= r->measures != NULL;
        targets += r->plots != NULL;
    }
    page_put(g, "<section class=\"card\" id=\"", first->bench->name, "\"><div class=\"top\">");
    page_put(g, "<h2>", first->bench->name, "</h2>");
    page_put(g, "<p>", first->bench->title, "");
    if (any)
        fprintf(out, " &#183; %.*f s", seconds < 10, seconds);
    fprintf(out, "</p><span class=\"badge %s\">%s</span></div>", grade_css[grade],
        any || grade == GRADE_BAD ? says[grade] : "skipped");
    for (const struct bench_result *r = first; r != end; r = r->next) {
        if (*r->failed) {
            page_put(g, "<p class=\"note bad\">", r->target, ": ");
            page_put(g, "", r->failed, "</p>");
        }
    }
    for (const struct bench_result *r = first; r != end; r = r->next)
        for (const struct bench_plot *p = r->plots; p; p = p->next)
            plot(g, p, r->target, targets > 1);
    page_measures(g, first, end);
    for (const struct bench_result *r = first; r != end; r = r->next)
        if (*r->skipped) {
            page_put(g, "<p class=\"note\">", *r->target ? r->target : "skipped", ": ");
            page_put(g, "", r->skipped, "</p>");
        }
    fputs("</section>\n", out);
}

void bench_report_html(const struct bench_report *p, FILE *out)
{
    struct page g = {.report = p, .out = out};
    page_head(&g);
    headroom(&g);
    for (const struct bench_result *r = p->results; r; r = bench_next_case(r))
        card(&g, r);
    fputs(
        "<footer>Percentiles by nearest rank; the interval is that of the median, by bootstrap; outliers by "
        "Tukey's fences, mild + severe. Each curve fills the height, whatever the number of samples; below "
        "it are the middle half, the median, p95 and p99, and the largest samples.",
        out);
    if (p->baseline) {
        page_put(&g, " Before: orcd ", bench_baseline_version(p->baseline), "");
        page_put(&g, " of ", bench_baseline_date(p->baseline), ".");
    }
    fputs("</footer></main></body></html>\n", out);
}
