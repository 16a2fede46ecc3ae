/* The report for people: one file, no scripts, nothing loaded from anywhere. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/util.h"
#include "lib/report.h"
#include "lib/svg.h"

#define MAX_SERIES 24
#define MAX_LIMITS 12
#define MAX_NAMES 16

/* Each target has one colour on the whole page, in order of appearance. */
struct palette {
    char names[MAX_NAMES][32];
    size_t n;
};

static const char *colour(struct palette *p, const char *target)
{
    size_t i = 0;
    if (strcmp(target, "echo") == 0)
        return "echo";
    while (i < p->n && strcmp(p->names[i], target) != 0)
        i++;
    if (i == p->n && p->n < MAX_NAMES)
        snprintf(p->names[p->n++], sizeof(p->names[0]), "%s", target);
    return svg_css(i);
}

struct page {
    const struct bench_report *report;
    struct palette palette;
    FILE *out;
};

static void put(FILE *out, const char *before, const char *text, const char *after)
{
    fputs(before, out);
    html_text(out, text);
    fputs(after, out);
}

enum grade { GRADE_NONE, GRADE_GOOD, GRADE_WARN, GRADE_BAD };
static const char *const grade_css[] = {"", "good", "warn", "bad"};

static enum grade grade_of(enum bench_verdict v)
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
    put(out, "orcd ", p->version, " &#183; ");
    html_text(out, p->cpu);
    fprintf(out, ", %u cores &#183; ", p->cores);
    put(out, "", p->kernel, " &#183; ");
    put(out, "", p->date, " &#183; ");
    put(out, "", p->mode, " mode</p>");
    put(out, "<code class=\"command\">", p->command, "</code><div class=\"tiles\">");
    fprintf(out, "<div class=\"tile %s\"><b>%u / %u</b><span>bars hold</span></div>",
        t.failed_bars ? "bad"
        : t.bars      ? "good"
                      : "",
        t.held + t.by_echo, t.bars);
    if (t.by_echo)
        tile(out, "warn", "of them by the echo server's figure", t.by_echo);
    tile(out, t.failed_bars ? "bad" : "", "bars fail", t.failed_bars);
    if (t.failed_cases)
        tile(out, "bad", "could not run", t.failed_cases);
    if (t.skipped)
        tile(out, "", "skipped", t.skipped);
    fputs("</div>\n<nav>", out);
    for (const struct bench_result *r = p->results; r; r = bench_next_case(r)) {
        put(out, "<a href=\"#", r->bench->name, "\">");
        fprintf(out, "<i class=\"%s\"></i>", grade_css[grade_case(r, bench_next_case(r))]);
        put(out, "", r->bench->name, "</a>");
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
    for (const struct bench_result *r = g->report->results; r; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next) {
            struct bench_summary s;
            bench_summarize(m->x, m->n, &s);
            for (unsigned i = 0; i < m->n_bars && n < cap; i++, n++) {
                double v = bench_statistic(&s, m->bars[i].of), limit = m->bars[i].limit;
                char number[32];
                bool plain = strcmp(m->unit, "1") == 0;
                bench_number_text(v, number, sizeof(number));
                snprintf(text[n][0], sizeof(text[n][0]), "%s: %s%s%s, %s", r->bench->name, m->id,
                    *m->variant ? ", " : "", m->variant, bench_statistic_name(m->bars[i].of));
                snprintf(text[n][1], sizeof(text[n][1]), "%s, bar %.6g%s%s", number, limit, plain ? "" : " ",
                    plain ? "" : m->unit);
                rows[n].label = text[n][0];
                rows[n].figures = text[n][1];
                rows[n].share = m->higher_is_better ? limit / v : v / limit;
                rows[n].verdict = bench_bar_verdict(m, &m->bars[i]);
            }
        }
    if (n) {
        fputs("<section class=\"card\"><div class=\"top\"><h2>Every bar</h2><p>what was measured, as a share "
              "of "
              "what is allowed; left is better</p></div><div class=\"scroll\">",
            g->out);
        svg_headroom(g->out, rows, n);
        fputs("</div></section>\n", g->out);
    }
    free(rows);
    free(text);
}

/* --- measures --- */

struct group {
    const struct bench_measure *m[MAX_SERIES];
    size_t n;
};

static bool same(const struct bench_measure *a, const struct bench_measure *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->variant, b->variant) == 0;
}

static void group_add(struct group *group, const struct bench_measure *m)
{
    for (size_t i = 0; i < group->n; i++)
        if (group->m[i] == m)
            return;
    if (group->n < MAX_SERIES)
        group->m[group->n++] = m;
}

/* Is it only there to be held against? Then it is drawn with those that are. */
static bool is_echo(
    const struct bench_result *first, const struct bench_result *end, const struct bench_measure *m)
{
    for (; first != end; first = first->next)
        for (const struct bench_measure *o = first->measures; o; o = o->next)
            if (o->echo == m)
                return true;
    return false;
}

/* All targets' measures like this one, and the echo servers that they are held against. */
static void group_find(struct group *group, const struct bench_result *first, const struct bench_result *end,
    const struct bench_measure *like)
{
    group->n = 0;
    for (const struct bench_result *r = first; r != end; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next)
            if (same(m, like) && !is_echo(first, end, m))
                group_add(group, m);
    for (size_t i = 0, n = group->n; i < n; i++)
        if (group->m[i]->echo)
            group_add(group, group->m[i]->echo);
}

static void number_row(FILE *out, const char *name, const struct bench_summary *s, size_t n,
    double (*get)(const struct bench_summary *))
{
    fprintf(out, "<tr><th>%s</th>", name);
    for (size_t i = 0; i < n; i++) {
        char text[32];
        bench_number_text(get(&s[i]), text, sizeof(text));
        fprintf(out, "<td>%s</td>", text);
    }
    fputs("</tr>", out);
}

#define GETTER(field)                                                                                        \
    static double get_##field(const struct bench_summary *s)                                                 \
    {                                                                                                        \
        return s->field;                                                                                     \
    }
GETTER(median)
GETTER(mad)
GETTER(p95)
GETTER(p99)
GETTER(p999)
GETTER(max)

static void interval_row(FILE *out, const struct bench_summary *s, size_t n)
{
    fputs("<tr><th>95 %</th>", out);
    for (size_t i = 0; i < n; i++) {
        char low[32], high[32];
        bench_number_text(s[i].low, low, sizeof(low));
        bench_number_text(s[i].high, high, sizeof(high));
        fprintf(out, "<td><small>%s&#8201;&#8211;&#8201;%s</small></td>", low, high);
    }
    fputs("</tr>", out);
}

static void counts_rows(FILE *out, const struct bench_summary *s, size_t n)
{
    fputs("<tr><th>outliers</th>", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "<td><small>%zu + %zu</small></td>", s[i].mild, s[i].severe);
    fputs("</tr><tr><th>samples</th>", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "<td><small>%zu</small></td>", s[i].n);
    fputs("</tr>", out);
}

static void change_row(struct page *g, const char *case_name, const struct group *group)
{
    fputs("<tr><th>change</th>", g->out);
    for (size_t i = 0; i < group->n; i++) {
        struct bench_change c;
        const struct bench_measure *m = group->m[i];
        if (!bench_report_change(g->report, case_name, m, &c)) {
            fputs("<td></td>", g->out);
            continue;
        }
        const char *css = !c.significant ? "" : (c.change < 0) != m->higher_is_better ? "good" : "bad";
        fprintf(g->out,
            "<td><span class=\"chip "
            "%s\">%+.1f&#8201;%%</span><br/><small>%+.1f&#8201;&#8230;&#8201;%+.1f</small></td>",
            css, c.change * 100, c.low * 100, c.high * 100);
    }
    fputs("</tr>", g->out);
}

/* A column a target. */
static void measure_table(struct page *g, const char *case_name, const struct group *group)
{
    static struct bench_summary s[MAX_SERIES];
    FILE *out = g->out;
    fputs("<div class=\"scroll\"><table><tr><td></td>", out);
    for (size_t i = 0; i < group->n; i++) {
        bench_summarize(group->m[i]->x, group->m[i]->n, &s[i]);
        fprintf(
            out, "<th class=\"target\"><i class=\"key %s\"></i>", colour(&g->palette, group->m[i]->target));
        put(out, "", group->m[i]->target, "</th>");
    }
    fputs("</tr>", out);
    bool single = true;
    for (size_t i = 0; i < group->n; i++)
        single &= group->m[i]->n == 1;
    number_row(out, single ? "value" : "median", s, group->n, get_median);
    if (single) {
        if (g->report->baseline)
            change_row(g, case_name, group);
        fputs("</table></div>", out);
        return;
    }
    interval_row(out, s, group->n);
    number_row(out, "MAD", s, group->n, get_mad);
    number_row(out, "p95", s, group->n, get_p95);
    number_row(out, "p99", s, group->n, get_p99);
    number_row(out, "p99.9", s, group->n, get_p999);
    number_row(out, "max", s, group->n, get_max);
    counts_rows(out, s, group->n);
    if (g->report->baseline)
        change_row(g, case_name, group);
    fputs("</table></div>", out);
}

/* The bars, with the target's name where there are several. */
static void bar_chips(FILE *out, const struct group *group)
{
    static const char *const says[] = {
        [BENCH_HOLDS] = "&#10003;", [BENCH_HOLDS_BY_ECHO] = "&#10003; by echo", [BENCH_FAILS] = "&#10007;"};
    size_t with = 0;
    for (size_t i = 0; i < group->n; i++)
        with += group->m[i]->n_bars != 0;
    for (size_t i = 0; i < group->n; i++)
        for (unsigned j = 0; j < group->m[i]->n_bars; j++) {
            const struct bench_measure *m = group->m[i];
            const struct bench_bar *bar = &m->bars[j];
            char text[64];
            enum bench_verdict v = bench_bar_verdict(m, bar);
            bench_bar_text(m, bar, text, sizeof(text));
            fprintf(out, "<span class=\"chip %s\" title=\"", grade_css[grade_of(v)]);
            put(out, "", bar->where, "\">");
            if (with > 1)
                put(out, "", m->target, ": ");
            put(out, "", text, " ");
            fprintf(out, "%s</span>", says[v]);
        }
}

/* Limits of all targets, each value once. */
static size_t find_limits(const struct group *group, struct svg_limit *limits, char (*text)[64])
{
    size_t n = 0;
    for (size_t i = 0; i < group->n; i++)
        for (unsigned j = 0; j < group->m[i]->n_bars; j++) {
            const struct bench_bar *bar = &group->m[i]->bars[j];
            bool failed = bench_bar_verdict(group->m[i], bar) == BENCH_FAILS, known = false;
            bench_bar_text(group->m[i], bar, text[n], sizeof(text[n]));
            for (size_t k = 0; k < n; k++)
                if (strcmp(limits[k].label, text[n]) == 0) {
                    known = true;
                    limits[k].failed |= failed;
                }
            if (!known && n < MAX_LIMITS - 1) {
                limits[n] = (struct svg_limit){text[n], bar->limit, failed};
                n++;
            }
        }
    return n;
}

static void measure(struct page *g, const char *case_name, const struct group *group)
{
    static char names[MAX_SERIES][48], texts[MAX_LIMITS][64];
    struct svg_series series[2 * MAX_SERIES];
    struct svg_limit limits[MAX_LIMITS];
    size_t n = 0, n_limits = find_limits(group, limits, texts);
    const struct bench_measure *first = group->m[0];
    put(g->out, "<section class=\"measure\"><h3>", first->id, "");
    put(g->out, *first->variant ? " <span>" : "<span>", first->variant, "</span></h3>");
    bar_chips(g->out, group);
    fputs("<div class=\"flex\"><div>", g->out);
    for (size_t i = 0; i < group->n; i++) {
        const struct bench_measure *m = group->m[i];
        series[n++] = (struct svg_series){m->target, colour(&g->palette, m->target), m->x, m->n};
        const struct bench_measure *before = bench_baseline_find(g->report->baseline, case_name, m);
        if (!before)
            continue;
        snprintf(names[i], sizeof(names[i]), "%s before", m->target);
        series[n++] = (struct svg_series){names[i], "base", before->x, before->n};
    }
    svg_distribution(g->out, series, n, limits, n_limits, first->unit);
    if (first->n >= 20) {
        fputs("<details><summary>in order of time</summary>", g->out);
        svg_in_time(g->out, &series[0], first->unit);
        fputs("</details>", g->out);
    }
    fputs("</div>", g->out);
    measure_table(g, case_name, group);
    fputs("</div></section>\n", g->out);
}

static void plot(struct page *g, const struct bench_plot *p, const char *target, bool named)
{
    FILE *out = g->out;
    put(out, "<section class=\"plot\"><h3>", p->title, "");
    if (named)
        put(out, " &#183; ", target, "");
    fputs("</h3>", out);
    if (p->kind != BENCH_TIMELINE && p->series && (p->series->next || strcmp(p->series->name, p->title))) {
        size_t i = 0;
        fputs("<div class=\"legend\">", out);
        for (const struct bench_series *s = p->series; s; s = s->next) {
            fprintf(out, "<span><i class=\"key %s\"></i>", svg_css(i++));
            put(out, "", s->name, "</span>");
        }
        fputs("</div>", out);
    }
    svg_plot(out, p);
    fputs("</section>\n", out);
}

/* Was one like it drawn with an earlier one? */
static bool drawn(
    const struct bench_result *first, const struct bench_result *end, const struct bench_measure *m)
{
    for (const struct bench_result *r = first; r != end; r = r->next)
        for (const struct bench_measure *o = r->measures; o; o = o->next) {
            if (o == m)
                return false;
            if (same(o, m) && !is_echo(first, end, o))
                return true;
        }
    return false;
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
    put(out, "<section class=\"card\" id=\"", first->bench->name, "\"><div class=\"top\">");
    put(out, "<h2>", first->bench->name, "</h2>");
    put(out, "<p>", first->bench->title, "");
    if (any)
        fprintf(out, " &#183; %.*f s", seconds < 10, seconds);
    fprintf(out, "</p><span class=\"badge %s\">%s</span></div>", grade_css[grade],
        any || grade == GRADE_BAD ? says[grade] : "skipped");
    for (const struct bench_result *r = first; r != end; r = r->next) {
        if (*r->failed) {
            put(out, "<p class=\"note bad\">", r->target, ": ");
            put(out, "", r->failed, "</p>");
        }
    }
    for (const struct bench_result *r = first; r != end; r = r->next)
        for (const struct bench_plot *p = r->plots; p; p = p->next)
            plot(g, p, r->target, targets > 1);
    for (const struct bench_result *r = first; r != end; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next) {
            struct group group;
            if (is_echo(first, end, m) || drawn(first, end, m))
                continue;
            group_find(&group, first, end, m);
            measure(g, first->bench->name, &group);
        }
    for (const struct bench_result *r = first; r != end; r = r->next)
        if (*r->skipped) {
            put(out, "<p class=\"note\">", *r->target ? r->target : "skipped", ": ");
            put(out, "", r->skipped, "</p>");
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
    fputs("<footer>Percentiles by nearest rank; the interval is that of the median, by bootstrap; outliers "
          "by Tukey's "
          "fences, mild + severe. A curve is as high as there is room, whatever the number of samples; below "
          "it the "
          "middle half, the median, p95 and p99, and the largest samples.",
        out);
    if (p->baseline) {
        put(out, " Before: orcd ", bench_baseline_version(p->baseline), "");
        put(out, " of ", bench_baseline_date(p->baseline), ".");
    }
    fputs("</footer></main></body></html>\n", out);
}
