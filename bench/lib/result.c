#include "lib/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static void *need(void *p)
{
    if (!p) {
        fputs("orcd bench: out of memory\n", stderr);
        exit(EX_OSERR);
    }
    return p;
}

static void grow(double **x, size_t n, size_t *cap)
{
    if (n < *cap)
        return;
    size_t bytes, more = *cap ? *cap * 2 : 256;
    if (__builtin_mul_overflow(more, sizeof(**x), &bytes))
        need(NULL);
    *x = need(realloc(*x, bytes));
    *cap = more;
}

struct bench_measure *bench_measure_new(
    struct bench_result *r, const char *target, const char *id, const char *variant, const char *unit)
{
    struct bench_measure *m = need(calloc(1, sizeof(*m))), **end = &r->measures;
    snprintf(m->id, sizeof(m->id), "%s", id);
    snprintf(m->variant, sizeof(m->variant), "%s", variant);
    snprintf(m->target, sizeof(m->target), "%s", target);
    m->unit = unit;
    while (*end)
        end = &(*end)->next;
    return *end = m;
}

void bench_add(struct bench_measure *m, double x)
{
    grow(&m->x, m->n, &m->cap);
    m->x[m->n++] = x;
}

void bench_round(struct bench_measure *m)
{
    if (m->n_rounds < sizeof(m->round_at) / sizeof(m->round_at[0]))
        m->round_at[m->n_rounds++] = m->n;
}

void bench_bar(struct bench_measure *m, enum bench_statistic of, double limit, const char *where)
{
    if (m->n_bars == sizeof(m->bars) / sizeof(m->bars[0]))
        abort(); /* a case with too many bars is a mistake in the case */
    m->bars[m->n_bars++] = (struct bench_bar){of, limit, where};
}

struct bench_plot *bench_plot_new(struct bench_result *r, enum bench_plot_kind kind, const char *title,
    const char *x_label, const char *y_label)
{
    struct bench_plot *p = need(calloc(1, sizeof(*p))), **end = &r->plots;
    p->kind = kind;
    snprintf(p->title, sizeof(p->title), "%s", title);
    snprintf(p->x_label, sizeof(p->x_label), "%s", x_label);
    snprintf(p->y_label, sizeof(p->y_label), "%s", y_label);
    while (*end)
        end = &(*end)->next;
    return *end = p;
}

struct bench_series *bench_series_new(struct bench_plot *p, const char *name)
{
    struct bench_series *s = need(calloc(1, sizeof(*s))), **end = &p->series;
    snprintf(s->name, sizeof(s->name), "%s", name);
    while (*end)
        end = &(*end)->next;
    return *end = s;
}

void bench_point(struct bench_series *s, double x, double y)
{
    size_t cap = s->cap;
    grow(&s->x, s->n, &cap);
    grow(&s->y, s->n, &s->cap);
    s->x[s->n] = x;
    s->y[s->n++] = y;
}

static void plot_free(struct bench_plot *p)
{
    while (p->series) {
        struct bench_series *s = p->series;
        p->series = s->next;
        free(s->x);
        free(s->y);
        free(s);
    }
    free(p);
}

void bench_result_free(struct bench_result *r)
{
    while (r) {
        struct bench_result *next = r->next;
        while (r->measures) {
            struct bench_measure *m = r->measures;
            r->measures = m->next;
            free(m->x);
            free(m);
        }
        while (r->plots) {
            struct bench_plot *p = r->plots;
            r->plots = p->next;
            plot_free(p);
        }
        free(r);
        r = next;
    }
}
