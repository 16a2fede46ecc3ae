/* Escaped text, and axes. */
#include "lib/svg.h"

#include <math.h>
#include <string.h>

#include "base/util.h"

void html_text(FILE *out, const char *s)
{
    size_t left = strlen(s);
    while (left) {
        size_t n = utf8_char_len(s, left);
        unsigned char ch = (unsigned char)*s;
        bool c1 = n == 2 && ch == 0xc2 && (unsigned char)s[1] < 0xa0;
        if (n == 0 || ch < 0x20 || ch == 0x7f || c1)
            fputs("\xef\xbf\xbd", out);
        else if (ch == '&')
            fputs("&amp;", out);
        else if (ch == '<')
            fputs("&lt;", out);
        else if (ch == '>')
            fputs("&gt;", out);
        else if (ch == '"')
            fputs("&quot;", out);
        else if (ch == '\'')
            fputs("&#39;", out);
        else
            fwrite(s, 1, n, out);
        n = n ? n : 1;
        s += n;
        left -= n;
    }
}

void axis_init(struct axis *a, double min, double max, bool log, double from, double to)
{
    a->log = log;
    a->from = from;
    a->to = to;
    if (log) {
        double room = pow(max / min, 0.03);
        room = room < 1.02 ? 1.02 : room;
        a->min = min / room;
        a->max = max * room;
    } else {
        double room = (max - min) * 0.03;
        room = room > 0 ? room : fabs(max) > 0 ? fabs(max) * 0.05 : 1;
        a->min = min >= 0 && min - room < 0 ? 0 : min - room;
        a->max = max + room;
    }
}

double axis_at(const struct axis *a, double v)
{
    double share =
        a->log ? (log(v) - log(a->min)) / (log(a->max) - log(a->min)) : (v - a->min) / (a->max - a->min);
    share = !(share > 0) ? 0 : share > 1 ? 1 : share;
    return a->from + share * (a->to - a->from);
}

static size_t linear_ticks(const struct axis *a, double *ticks, size_t size)
{
    double raw = (a->max - a->min) / 6, step = pow(10, floor(log10(raw)));
    step *= raw / step > 5 ? 10 : raw / step > 2 ? 5 : raw / step > 1 ? 2 : 1;
    size_t n = 0;
    for (double k = ceil(a->min / step - 1e-9); k * step <= a->max * (1 + 1e-12) && n < size; k++)
        ticks[n++] = k * step + 0.0; /* no -0 */
    return n;
}

size_t axis_ticks(const struct axis *a, double *ticks, size_t size)
{
    static const double few[] = {1}, some[] = {1, 3}, more[] = {1, 2, 5}, most[] = {1, 2, 3, 5, 7};
    size_t n = 0;
    if (!a->log)
        return linear_ticks(a, ticks, size);
    double decades = log10(a->max / a->min);
    if (decades < 0.6)
        return linear_ticks(a, ticks, size);
    const double *steps = decades > 5 ? few : decades > 3 ? some : decades > 1.2 ? more : most;
    size_t n_steps = decades > 5 ? 1 : decades > 3 ? 2 : decades > 1.2 ? 3 : 5;
    for (int e = (int)floor(log10(a->min)); e <= (int)ceil(log10(a->max)); e++)
        for (size_t i = 0; i < n_steps; i++) {
            double v = steps[i] * pow(10, e);
            if (v >= a->min && v <= a->max && n < size)
                ticks[n++] = v;
        }
    return n;
}

const char *svg_css(size_t i)
{
    static const char *const names[] = {"s0", "s1", "s2", "s3", "s4", "s5"};
    return names[i % ARRAY_LEN(names)];
}
