#include "json/out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

void json_out_fixed(struct json_out *o, char *buf, size_t size)
{
    *o = (struct json_out){.s = buf, .cap = size, .failed = size == 0};
}

void json_out_growing(struct json_out *o)
{
    *o = (struct json_out){.s = malloc(512), .cap = 512, .grows = true};
    o->failed = !o->s;
}

/* Room for n more bytes and a NUL. */
static bool room(struct json_out *o, size_t n)
{
    size_t need, bigger;
    if (o->failed)
        return false;
    if (n < o->cap - o->n)
        return true;
    o->failed = true;
    if (!o->grows || __builtin_add_overflow(o->n, n, &need) ||
        __builtin_add_overflow(need, need + 1, &bigger))
        return false;
    char *s = realloc(o->s, bigger);
    if (!s)
        return false;
    o->s = s;
    o->cap = bigger;
    o->failed = false;
    return true;
}

void json_out_raw(struct json_out *o, const char *s, size_t n)
{
    if (!n || !room(o, n))
        return;
    memcpy(o->s + o->n, s, n);
    o->n += n;
}

char *json_out_take(struct json_out *o, size_t *n)
{
    if (o->failed) {
        if (o->grows)
            free(o->s);
        o->s = NULL;
        return NULL;
    }
    o->s[o->n] = 0;
    *n = o->n;
    return o->s;
}

void json_out_escaped(struct json_out *o, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    size_t plain = 0; /* bytes before s that are copied unchanged */
    while (n) {
        unsigned char c = (unsigned char)*s;
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            s++, n--, plain++;
            continue;
        }
        size_t k = c < 0x80 ? 0 : utf8_char_len(s, n);
        if (k) {
            s += k, n -= k, plain += k;
            continue;
        }
        json_out_raw(o, s - plain, plain);
        plain = 0;
        char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        if (c >= 0x80) {
            json_out_raw(o, "\xef\xbf\xbd", 3);
        } else if (c == '"' || c == '\\') {
            esc[1] = (char)c;
            json_out_raw(o, esc, 2);
        } else if (c == '\n' || c == '\r' || c == '\t') {
            esc[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
            json_out_raw(o, esc, 2);
        } else {
            json_out_raw(o, esc, sizeof(esc));
        }
        s++, n--;
    }
    json_out_raw(o, s - plain, plain);
}

static void begin(struct json_out *o, const char *key)
{
    if (o->comma)
        json_out_raw(o, ",", 1);
    o->comma = true;
    if (!key)
        return;
    json_out_raw(o, "\"", 1);
    json_out_escaped(o, key, strlen(key));
    json_out_raw(o, "\":", 2);
}

void json_out_open(struct json_out *o, const char *key, char bracket)
{
    begin(o, key);
    json_out_raw(o, &bracket, 1);
    o->comma = false;
}

void json_out_close(struct json_out *o, char bracket)
{
    json_out_raw(o, &bracket, 1);
    o->comma = true;
}

void json_out_text_n(struct json_out *o, const char *key, const char *s, size_t n)
{
    begin(o, key);
    json_out_raw(o, "\"", 1);
    json_out_escaped(o, s, n);
    json_out_raw(o, "\"", 1);
}

void json_out_text(struct json_out *o, const char *key, const char *s)
{
    if (s)
        json_out_text_n(o, key, s, strlen(s));
    else
        json_out_null(o, key);
}

void json_out_digits(struct json_out *o, uint64_t v)
{
    char digits[20];
    size_t n = sizeof(digits);
    do
        digits[--n] = (char)('0' + v % 10);
    while (v /= 10);
    json_out_raw(o, digits + n, sizeof(digits) - n);
}

void json_out_u64(struct json_out *o, const char *key, uint64_t v)
{
    begin(o, key);
    json_out_digits(o, v);
}

void json_out_i64(struct json_out *o, const char *key, int64_t v)
{
    begin(o, key);
    if (v < 0)
        json_out_raw(o, "-", 1);
    json_out_digits(o, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void json_out_f64(struct json_out *o, const char *key, double v, int decimals)
{
    char text[64];
    if (!isfinite(v) || fabs(v) > 1e18) {
        json_out_null(o, key);
        return;
    }
    begin(o, key);
    json_out_raw(o, text, (size_t)snprintf(text, sizeof(text), "%.*f", decimals, v));
}

void json_out_bool(struct json_out *o, const char *key, bool v)
{
    begin(o, key);
    json_out_raw(o, v ? "true" : "false", v ? 4 : 5);
}

void json_out_null(struct json_out *o, const char *key)
{
    begin(o, key);
    json_out_raw(o, "null", 4);
}
