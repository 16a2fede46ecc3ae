#include "metrics/metrics.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void metrics_observe(struct metrics_histogram *h, double value)
{
    const struct metrics_buckets *b = h->buckets;
    unsigned i = 0;
    if (!isfinite(value))
        return;
    while (i < b->n && value > b->le[i])
        i++;
    atomic_fetch_add_explicit(&h->n[i], 1, memory_order_relaxed);
    double old = atomic_load_explicit(&h->sum, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        &h->sum, &old, old + value, memory_order_relaxed, memory_order_relaxed)) {}
}

/* Label values: backslash, quote and newline are escaped, other control bytes dropped. */
static void label_copy(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n + 3 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\\' || c == '"')
            out[n++] = '\\';
        if (c >= 0x20 && c != 0x7f)
            out[n++] = (char)c;
    }
    out[n] = 0;
}

void metrics_set_info(struct metrics *m, const char *const (*labels)[2], unsigned n)
{
    size_t at = 0;
    if (atomic_load(&m->has_info))
        return;
    for (unsigned i = 0; i < n && at < sizeof(m->info); i++) {
        char value[64];
        label_copy(value, sizeof(value), labels[i][1]);
        at += (size_t)snprintf(
            m->info + at, sizeof(m->info) - at, "%s%s=\"%s\"", i ? "," : "", labels[i][0], value);
    }
    atomic_store(&m->has_info, true);
}

/* --- exposition ---------------------------------------------------------------- */

struct text {
    char *s;
    size_t n, cap;
    bool failed;
};

static void text_add(struct text *t, const char *fmt, ...) ORCD_PRINTF(2, 3);
static void text_add(struct text *t, const char *fmt, ...)
{
    for (;;) {
        va_list args;
        va_start(args, fmt);
        int n = t->failed ? 0 : vsnprintf(t->s + t->n, t->cap - t->n, fmt, args);
        va_end(args);
        if (t->failed || n < 0)
            return;
        if ((size_t)n < t->cap - t->n) {
            t->n += (size_t)n;
            return;
        }
        char *bigger = realloc(t->s, t->cap * 2 + (size_t)n);
        if (!bigger) {
            t->failed = true;
            return;
        }
        t->s = bigger;
        t->cap = t->cap * 2 + (size_t)n;
    }
}

/* "name{labels}" is one series of the family "name"; a family's header comes once,
 * before its first series (the table keeps a family's rows together). */
static size_t family_length(const char *name)
{
    return strcspn(name, "{");
}

static bool family_begins(const char *name, const char *before)
{
    size_t n = family_length(name);
    return !before || family_length(before) != n || strncmp(name, before, n) != 0;
}

static void text_header(struct text *t, const char *name, const char *type, const char *help)
{
    int n = (int)family_length(name);
    text_add(t, "# HELP %.*s %s\n# TYPE %.*s %s\n", n, name, help, n, name, type);
}

static void render_counter(struct text *t, const struct metrics_counter *c)
{
    text_header(t, c->name, "counter", c->help);
    for (unsigned i = 0; i < (c->values ? c->n_values : 1); i++) {
        unsigned long long v = atomic_load_explicit(&c->n[i], memory_order_relaxed);
        if (!c->values)
            text_add(t, "%s %llu\n", c->name, v);
        else if (c->values[i])
            text_add(t, "%s{%s=\"%s\"} %llu\n", c->name, c->label, c->values[i], v);
    }
}

/* A gauge may have a value that only grows, kept by somebody else, such as the kernel. */
static const char *gauge_type(const char *name)
{
    const size_t n = family_length(name), k = strlen("_total");
    return n > k && strncmp(name + n - k, "_total", k) == 0 ? "counter" : "gauge";
}

static void render_gauge(struct text *t, const struct metrics_gauge *g)
{
    text_add(t, "%s %.17g\n", g->name, atomic_load_explicit(&g->value, memory_order_relaxed));
}

static void render_histogram(struct text *t, const struct metrics_histogram *h)
{
    int base = (int)family_length(h->name);
    /* Labels of the name, without braces: "" or "phase=\"decode\"". */
    const char *labels = h->name[base] ? h->name + base + 1 : "";
    int n_labels = *labels ? (int)strlen(labels) - 1 : 0;
    const char *comma = n_labels ? "," : "";
    unsigned long long total = 0;
    for (unsigned i = 0; i <= h->buckets->n; i++) {
        total += atomic_load_explicit(&h->n[i], memory_order_relaxed);
        if (i < h->buckets->n)
            text_add(t, "%.*s_bucket{%.*s%sle=\"%g\"} %llu\n", base, h->name, n_labels, labels, comma,
                h->buckets->le[i], total);
        else
            text_add(
                t, "%.*s_bucket{%.*s%sle=\"+Inf\"} %llu\n", base, h->name, n_labels, labels, comma, total);
    }
    double sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
    text_add(t, "%.*s_sum%s %.17g\n", base, h->name, h->name + base, sum);
    text_add(t, "%.*s_count%s %llu\n", base, h->name, h->name + base, total);
}

char *metrics_render(struct metrics *m, size_t *n)
{
    struct text t = {.s = malloc(32768), .cap = 32768};
    if (!t.s)
        return NULL;
    for (unsigned i = 0; i < m->n_counters; i++)
        render_counter(&t, &m->counters[i]);
    for (unsigned i = 0; i < m->n_gauges; i++) {
        const struct metrics_gauge *g = &m->gauges[i];
        if (family_begins(g->name, i ? g[-1].name : NULL))
            text_header(&t, g->name, gauge_type(g->name), g->help);
        render_gauge(&t, g);
    }
    for (unsigned i = 0; i < m->n_histograms; i++) {
        const struct metrics_histogram *h = &m->histograms[i];
        if (family_begins(h->name, i ? h[-1].name : NULL))
            text_header(&t, h->name, "histogram", h->help);
        render_histogram(&t, h);
    }
    if (atomic_load(&m->has_info)) {
        text_header(&t, m->info_name, "gauge", m->info_help);
        text_add(&t, "%s{%s} 1\n", m->info_name, m->info);
    }
    if (t.failed) {
        free(t.s);
        return NULL;
    }
    *n = t.n;
    return t.s;
}

static void list_family(
    const char *name, const char *before, const char *type, const char *help, metrics_emit emit, void *arg)
{
    char family[96];
    if (!family_begins(name, before))
        return;
    snprintf(family, sizeof(family), "%.*s", (int)family_length(name), name);
    emit(family, type, help, arg);
}

void metrics_list(const struct metrics *m, metrics_emit emit, void *arg)
{
    for (unsigned i = 0; i < m->n_counters; i++)
        list_family(m->counters[i].name, NULL, "counter", m->counters[i].help, emit, arg);
    for (unsigned i = 0; i < m->n_gauges; i++)
        list_family(m->gauges[i].name, i ? m->gauges[i - 1].name : NULL, gauge_type(m->gauges[i].name),
            m->gauges[i].help, emit, arg);
    for (unsigned i = 0; i < m->n_histograms; i++)
        list_family(m->histograms[i].name, i ? m->histograms[i - 1].name : NULL, "histogram",
            m->histograms[i].help, emit, arg);
    if (m->info_name)
        emit(m->info_name, "gauge", m->info_help, arg);
}
