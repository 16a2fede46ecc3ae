/* The table on standard output: measures of all targets side by side. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "lib/report.h"

static const char *verdict_text(enum bench_verdict v)
{
    return v == BENCH_HOLDS ? "ok" : v == BENCH_HOLDS_BY_ECHO ? "ok (echo)" : "FAILS";
}

struct widths {
    int name, target;
};

static void row_name(const struct bench_measure *m, char *buf, size_t size)
{
    snprintf(buf, size, "%s%s%s", m->id, *m->variant ? ", " : "", m->variant);
}

static void find_widths(const struct bench_result *r, const struct bench_result *end, struct widths *w)
{
    char name[sizeof(((struct bench_measure *)0)->id) + sizeof(((struct bench_measure *)0)->variant) + 2];
    *w = (struct widths){7, 6};
    for (; r != end; r = r->next)
        for (const struct bench_measure *m = r->measures; m; m = m->next) {
            row_name(m, name, sizeof(name));
            w->name = max_u64((uint64_t)w->name, strlen(name));
            w->target = max_u64((uint64_t)w->target, strlen(m->target));
        }
}

static void print_change(const struct bench_report *p, const char *case_name, const struct bench_measure *m,
    const struct widths *w, FILE *out)
{
    struct bench_change c;
    if (!bench_report_change(p, case_name, m, &c))
        return;
    const char *says = !c.significant                          ? "no change beyond noise"
                       : (c.change < 0) != m->higher_is_better ? "better"
                                                               : "WORSE";
    fprintf(out, "%*s%+.1f %% since the baseline, 95 %% between %+.1f and %+.1f: %s\n",
        w->name + w->target + 13, "", c.change * 100, c.low * 100, c.high * 100, says);
}

static void print_measure(const struct bench_report *p, const char *case_name, const struct bench_measure *m,
    const struct widths *w, FILE *out)
{
    struct bench_summary s;
    char name[128], cell[5][24], bar[64];
    row_name(m, name, sizeof(name));
    bench_summarize(m->x, m->n, &s);
    const double values[] = {s.median, s.p95, s.p99, s.max, s.mad};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        bench_number_text(values[i], cell[i], sizeof(cell[i]));
    fprintf(out, "  %-*s  %-*s %7zu %9s %9s %9s %9s %9s  %-5s", w->name, name, w->target, m->target, m->n,
        cell[0], cell[4], cell[1], cell[2], cell[3], strcmp(m->unit, "1") ? m->unit : "");
    for (unsigned i = 0; i < m->n_bars; i++) {
        bench_bar_text(m, &m->bars[i], bar, sizeof(bar));
        if (i)
            fprintf(out, "\n%*s", w->name + w->target + 67, "");
        fprintf(out, "  %-22s %s", bar, verdict_text(bench_bar_verdict(m, &m->bars[i])));
    }
    fputc('\n', out);
    print_change(p, case_name, m, w, out);
}

static bool same(const struct bench_measure *a, const struct bench_measure *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->variant, b->variant) == 0;
}

/* Was one like it printed with an earlier result of this case? */
static bool printed(
    const struct bench_result *first, const struct bench_result *r, const struct bench_measure *m)
{
    for (; first != r; first = first->next)
        for (const struct bench_measure *o = first->measures; o; o = o->next)
            if (same(o, m))
                return true;
    return false;
}

void bench_table(const struct bench_report *p, const struct bench_result *r, FILE *out)
{
    const struct bench_result *end = bench_next_case(r);
    struct widths w;
    find_widths(r, end, &w);
    fprintf(out, "%s: %s\n", r->bench->name, r->bench->title);
    bool any = false;
    for (const struct bench_result *q = r; q != end; q = q->next)
        any |= q->measures != NULL;
    if (any)
        fprintf(out, "  %-*s  %-*s %7s %9s %9s %9s %9s %9s  %-5s  %s\n", w.name, "measure", w.target,
            "target", "n", "median", "mad", "p95", "p99", "max", "unit", "bar");
    for (const struct bench_result *q = r; q != end; q = q->next)
        for (const struct bench_measure *m = q->measures; m; m = m->next) {
            if (printed(r, q, m))
                continue;
            print_measure(p, r->bench->name, m, &w, out);
            for (const struct bench_result *o = q->next; o != end; o = o->next)
                for (const struct bench_measure *n = o->measures; n; n = n->next)
                    if (same(m, n))
                        print_measure(p, r->bench->name, n, &w, out);
        }
    for (const struct bench_result *q = r; q != end; q = q->next) {
        const char *name = *q->target ? q->target : "bench";
        if (*q->skipped)
            fprintf(out, "  %s: skipped: %s\n", name, q->skipped);
        if (*q->failed)
            fprintf(out, "  %s: FAILED: %s\n", name, q->failed);
    }
    fputc('\n', out);
    fflush(out);
}
