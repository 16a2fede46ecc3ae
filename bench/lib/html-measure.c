/* The measures in the HTML report: a drawing and a table each. */
#include <stdlib.h>
#include <string.h>

#include "lib/html-page.h"

#define MAX_SERIES 24
#define MAX_LIMITS 12
#define FEW 8 /* fewer samples have no percentiles worth a row */

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
GETTER(min)

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

static void counts_rows(FILE *out, const struct bench_summary *s, size_t n, bool outliers)
{
    fputs(outliers ? "<tr><th>outliers</th>" : "<tr>", out);
    for (size_t i = 0; i < n && outliers; i++)
        fprintf(out, "<td><small>%zu + %zu</small></td>", s[i].mild, s[i].severe);
    fputs(outliers ? "</tr><tr><th>samples</th>" : "<th>samples</th>", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "<td><small>%zu</small></td>", s[i].n);
    fputs("</tr>", out);
}

static void change_row(struct page *g, const char *case_name, const struct group *group)
{
    struct bench_change any;
    size_t known = 0;
    for (size_t i = 0; i < group->n; i++)
        known += bench_report_change(g->report, case_name, group->m[i], &any);
    if (!known)
        return;
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
        fprintf(out, "<th class=\"target\"><i class=\"key %s\"></i>", page_colour(g, group->m[i]->target));
        page_put(g, "", group->m[i]->target, "</th>");
    }
    fputs("</tr>", out);
    bool few = true;
    for (size_t i = 0; i < group->n; i++)
        few &= group->m[i]->n < FEW;
    number_row(out, "median", s, group->n, get_median);
    if (few) {
        number_row(out, "min", s, group->n, get_min);
        number_row(out, "max", s, group->n, get_max);
        counts_rows(out, s, group->n, false);
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
    counts_rows(out, s, group->n, true);
    change_row(g, case_name, group);
    fputs("</table></div>", out);
}

/* The bars, with the target's name where there are several. */
static void bar_chips(struct page *g, const struct group *group)
{
    FILE *out = g->out;
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
            page_put(g, "", bar->where, "\">");
            if (with > 1)
                page_put(g, "", m->target, ": ");
            page_put(g, "", text, " ");
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
    page_put(g, "<section class=\"measure\"><h3>", first->id, "");
    page_put(g, *first->variant ? " <span>" : "<span>", first->variant, "</span></h3>");
    bar_chips(g, group);
    fputs("<div class=\"flex\"><div>", g->out);
    for (size_t i = 0; i < group->n; i++) {
        const struct bench_measure *m = group->m[i];
        series[n++] = (struct svg_series){m->target, page_colour(g, m->target), m->x, m->n};
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

/* One value, or the same again and again: nothing to draw. */
static bool is_flat(const struct group *group)
{
    for (size_t i = 0; i < group->n; i++) {
        const struct bench_measure *m = group->m[i];
        for (size_t k = 1; k < m->n; k++)
            if (m->x[k] != m->x[0])
                return false;
        if (m->n == 0)
            return false;
    }
    return true;
}

static void value_row(
    struct page *g, const char *case_name, const struct group *group, const struct bench_measure *m)
{
    FILE *out = g->out;
    char text[32];
    struct bench_change c;
    bench_number_text(m->x[0], text, sizeof(text));
    page_put(g, "<tr><th><b>", m->id, "</b> ");
    page_put(g, "", m->variant, "</th><td>");
    fprintf(out, "<i class=\"key %s\"></i>", page_colour(g, m->target));
    page_put(g, "", m->target, "</td><td><b>");
    fputs(text, out);
    page_put(g, "</b> <small>", strcmp(m->unit, "1") ? m->unit : "", "</small></td><td>");
    if (m->n > 1)
        fprintf(out, "<small>&#215;&#8201;%zu</small>", m->n);
    fputs("</td><td>", out);
    struct group alone = {.m = {m}, .n = 1};
    bar_chips(g, group->n > 1 ? &alone : group);
    if (bench_report_change(g->report, case_name, m, &c))
        fprintf(out, "<span class=\"chip\">%+.1f&#8201;%%</span>", c.change * 100);
    fputs("</td></tr>", out);
}

/* Measures without a spread need no plot. */
static void values(struct page *g, const struct bench_result *first, const struct bench_result *end)
{
    bool open = false;
    for (const struct bench_result *r = first; r != end; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next) {
            struct group group;
            if (is_echo(first, end, m) || drawn(first, end, m))
                continue;
            group_find(&group, first, end, m);
            if (!is_flat(&group))
                continue;
            fputs(open ? "" : "<section class=\"measure\"><div class=\"scroll\"><table class=\"values\">",
                g->out);
            open = true;
            for (size_t i = 0; i < group.n; i++)
                value_row(g, first->bench->name, &group, group.m[i]);
        }
    fputs(open ? "</table></div></section>\n" : "", g->out);
}

void page_measures(struct page *g, const struct bench_result *first, const struct bench_result *end)
{
    values(g, first, end);
    for (const struct bench_result *r = first; r != end; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next) {
            struct group group;
            if (is_echo(first, end, m) || drawn(first, end, m))
                continue;
            group_find(&group, first, end, m);
            if (!is_flat(&group))
                measure(g, first->bench->name, &group);
        }
}
