/* The table on standard output: measures of all targets side by side. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "lib/report.h"

static const char *verdict_text(enum bench_verdict v)
{
    return v == BENCH_HOLDS ? "ok" : v == BENCH_HOLDS_BY_ECHO ? "ok (echo)" : "FAILS";
}

struct layout {
    const struct bench_report *report;
    const struct bench_result *first, *end; /* of one case */
    FILE *out;
    int name, target; /* widths; target 0: there is only one, the headline names it */
};

static int widest(int have, const char *text)
{
    int n = (int)strlen(text);
    return n > have ? n : have;
}

static void find_layout(struct layout *l)
{
    const char *target = NULL;
    bool several = false;
    int width = 6;
    l->name = 7;
    for (const struct bench_result *r = l->first; r != l->end; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next) {
            l->name = widest(l->name, m->id);
            width = widest(width, m->target);
            several |= target && strcmp(target, m->target) != 0;
            target = m->target;
        }
    l->target = several ? width : 0;
}

/* Where a further line about a measure begins: under the numbers. */
static int numbers_at(const struct layout *l)
{
    return 4 + l->name + (l->target ? 2 + l->target : 0);
}

static void print_change(const struct layout *l, const struct bench_measure *m)
{
    struct bench_change c;
    if (!bench_report_change(l->report, l->first->bench->name, m, &c))
        return;
    const char *says = !c.significant                          ? "no change beyond noise"
                       : (c.change < 0) != m->higher_is_better ? "better"
                                                               : "WORSE";
    fprintf(l->out, "%*s%+.1f %% since the baseline, 95 %% between %+.1f and %+.1f: %s\n", numbers_at(l) + 10,
        "", c.change * 100, c.low * 100, c.high * 100, says);
}

/* Where the middle of several rounds is what counts: that figure. */
static void print_verdict(const struct layout *l, const struct bench_measure *m, const struct bench_bar *bar)
{
    char value[24], echo[24];
    fputs(verdict_text(bench_bar_verdict(m, bar)), l->out);
    if (m->n_rounds >= BENCH_ROUNDS) {
        bench_number_text(bench_bar_value(m, bar->of), value, sizeof(value));
        fprintf(l->out, ", %s in the middle round of %u", value, m->n_rounds);
        if (m->echo && m->echo->n) {
            bench_number_text(bench_bar_value(m->echo, bar->of), echo, sizeof(echo));
            fprintf(l->out, " (echo %s)", echo);
        }
    }
    fputc('\n', l->out);
}

static void print_measure(const struct layout *l, const struct bench_measure *m)
{
    struct bench_summary s;
    char cell[5][24], bar[64];
    bench_summarize(m->x, m->n, &s);
    const double values[] = {s.median, s.mad, s.p95, s.p99, s.max};
    fprintf(l->out, "    %-*s", l->name, m->id);
    if (l->target)
        fprintf(l->out, "  %-*s", l->target, m->target);
    fprintf(l->out, " %8zu", m->n);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        bench_number_text(values[i], cell[i], sizeof(cell[i]));
        fprintf(l->out, " %8s", cell[i]);
    }
    fprintf(l->out, " %s", strcmp(m->unit, "1") ? m->unit : "");
    int used = (int)(strcmp(m->unit, "1") ? strlen(m->unit) : 0);
    for (unsigned i = 0; i < m->n_bars; i++) {
        bench_bar_text(m, &m->bars[i], bar, sizeof(bar));
        fprintf(l->out, "%*s%-20s ", i ? numbers_at(l) + 62 : used < 6 ? 6 - used : 1, "", bar);
        print_verdict(l, m, &m->bars[i]);
    }
    if (m->n_bars == 0)
        fputc('\n', l->out);
    print_change(l, m);
}

static bool same(const struct bench_measure *a, const struct bench_measure *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->variant, b->variant) == 0;
}

/* The first measure of the case, over all targets, for which test(m, key) is true. */
static const struct bench_measure *first_like(const struct layout *l,
    bool (*test)(const struct bench_measure *, const struct bench_measure *), const struct bench_measure *key)
{
    for (const struct bench_result *r = l->first; r != l->end; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next)
            if (test(m, key))
                return m;
    return NULL;
}

static bool same_variant(const struct bench_measure *a, const struct bench_measure *b)
{
    return strcmp(a->variant, b->variant) == 0;
}

/* One variant: its measures, each with all targets one under the other. */
static void print_variant(const struct layout *l, const struct bench_measure *of)
{
    if (*of->variant)
        fprintf(l->out, "  %s\n", of->variant);
    for (const struct bench_result *r = l->first; r != l->end; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next) {
            if (!same_variant(m, of) || first_like(l, same, m) != m)
                continue;
            for (const struct bench_result *q = l->first; q != l->end; q = q->next)
                for (const struct bench_measure *n = q->measures; n; n = n->next)
                    if (same(m, n))
                        print_measure(l, n);
        }
}

static void print_head(const struct layout *l)
{
    static const char *const columns[] = {"n", "median", "mad", "p95", "p99", "max"};
    const struct bench_measure *any = NULL;
    for (const struct bench_result *r = l->first; r != l->end && !any; r = r->next)
        any = r->measures;
    fprintf(l->out, "%s: %s", l->first->bench->name, l->first->bench->title);
    if (any && !l->target)
        fprintf(l->out, " (%s)", any->target);
    fputc('\n', l->out);
    if (!any)
        return;
    fprintf(l->out, "    %-*s", l->name, "");
    if (l->target)
        fprintf(l->out, "  %-*s", l->target, "");
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        fprintf(l->out, " %8s", columns[i]);
    fputc('\n', l->out);
}

void bench_table(const struct bench_report *p, const struct bench_result *r, FILE *out)
{
    struct layout l = {.report = p, .first = r, .end = bench_next_case(r), .out = out};
    find_layout(&l);
    print_head(&l);
    for (const struct bench_result *q = r; q != l.end; q = q->next)
        for (const struct bench_measure *m = q->measures; m; m = m->next)
            if (first_like(&l, same_variant, m) == m)
                print_variant(&l, m);
    for (const struct bench_result *q = r; q != l.end; q = q->next) {
        const char *name = *q->target ? q->target : "bench";
        if (*q->skipped)
            fprintf(out, "    %s: skipped: %s\n", name, q->skipped);
        if (*q->failed)
            fprintf(out, "    %s: FAILED: %s\n", name, q->failed);
    }
    fputc('\n', out);
    fflush(out);
}
