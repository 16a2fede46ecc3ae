#include "http/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void http_error_set(struct http_error *e, enum api_code code, const char *fmt, ...)
{
    if (e->code)
        return; /* the first error is kept */
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->message, sizeof(e->message), fmt, args);
    va_end(args);
    e->code = code;
}

void http_error_detail_field(struct http_error *e, const char *path, const char *field)
{
    struct json_out o;
    char name[128], text[sizeof(e->details)];
    size_t n;
    snprintf(name, sizeof(name), "%s%s", path, field);
    snprintf(e->param, sizeof(e->param), "%s%s", path, field);
    json_out_fixed(&o, text, sizeof(text));
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "field", name);
    json_out_close(&o, '}');
    if (json_out_take(&o, &n)) /* a very long name may not fit: then there are no details */
        memcpy(e->details, text, n + 1);
}

void http_error_detail_numbers(
    struct http_error *e, const char *a, uint64_t a_value, const char *b, uint64_t b_value)
{
    snprintf(e->details, sizeof(e->details), "{\"%s\":%llu,\"%s\":%llu}", a, (unsigned long long)a_value, b,
        (unsigned long long)b_value);
}

void http_error_put_details(struct json_out *o, const char *details)
{
    if (!details[0])
        return;
    json_out_raw(o, ",\"details\":", 11);
    json_out_raw(o, details, strlen(details));
}

static void write_native(struct json_out *o, const struct http_error *e, const char *correlation_id)
{
    json_out_open(o, NULL, '{');
    json_out_open(o, "error", '{');
    json_out_text(o, "code", api_code_name(e->code));
    json_out_text(o, "message", e->message);
    http_error_put_details(o, e->details);
    json_out_text(o, "correlation_id", correlation_id);
    json_out_close(o, '}');
    json_out_close(o, '}');
}

char *http_error_body(const struct http_error *e, const char *correlation_id, size_t *n)
{
    struct json_out o;
    json_out_growing(&o);
    if (e->shape)
        e->shape->write(&o, e, correlation_id);
    else
        write_native(&o, e, correlation_id);
    json_out_raw(&o, "\n", 1);
    return json_out_take(&o, n);
}
