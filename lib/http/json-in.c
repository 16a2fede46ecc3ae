#include "http/json-in.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json/scan.h"

json_object *json_in_parse(const char *text, size_t n, struct http_error *error)
{
    struct json_tokener *t = json_tokener_new_ex(JSON_SCAN_DEPTH + 1);
    json_object *root = NULL;
    bool no_memory = !t;
    if (t && n <= INT32_MAX) {
        root = json_tokener_parse_ex(t, text, (int)n);
        /* A number at the top level ends only with the text; no request is one, so it is refused. */
        no_memory = !root && json_tokener_get_error(t) == json_tokener_success &&
                    text[strspn(text, " \t\r\n")] != 'n';
        if (!root || json_tokener_get_error(t) != json_tokener_success) {
            json_object_put(root);
            root = NULL;
        }
    }
    if (t)
        json_tokener_free(t);
    if (no_memory) /* it says success and returns nothing, as for a null */
        http_error_set(error, API_OUT_OF_MEMORY, "out of memory");
    else if (!root)
        http_error_set(error, API_INVALID_REQUEST, "request body must be a JSON object");
    return root;
}

void json_in_fail(struct json_in *in, const char *field, const char *fmt, ...)
{
    char text[192];
    if (in->error->code)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    http_error_set(in->error, API_INVALID_REQUEST, "%s%.64s %s", in->path, field, text);
    http_error_detail_field(in->error, in->path, field);
}

void json_in_unknown(struct json_in *in, const char *field)
{
    if (in->error->code)
        return;
    http_error_set(in->error, API_INVALID_REQUEST, "unknown field %s%.64s", in->path, field);
    http_error_detail_field(in->error, in->path, field);
}

bool json_in_type(struct json_in *in, const char *field, json_object *v, json_type type, const char *what)
{
    if (in->error->code)
        return false;
    if (json_object_is_type(v, type))
        return true;
    json_in_fail(in, field, "must be %s", what);
    return false;
}

bool json_in_u64(
    struct json_in *in, const char *field, json_object *v, uint64_t lo, uint64_t hi, uint64_t *out)
{
    if (!json_in_type(in, field, v, json_type_int, "an integer"))
        return false;
    /* json-c returns 0 as the uint64 of a negative number, so the sign is checked as well. */
    uint64_t value = json_object_get_uint64(v);
    if (json_object_get_int64(v) < 0 || value < lo || value > hi) {
        json_in_fail(in, field, "must be %llu to %llu", (unsigned long long)lo, (unsigned long long)hi);
        return false;
    }
    *out = value;
    return true;
}

bool json_in_i64(struct json_in *in, const char *field, json_object *v, int64_t lo, int64_t hi, int64_t *out)
{
    if (!json_in_type(in, field, v, json_type_int, "an integer"))
        return false;
    int64_t value = json_object_get_int64(v);
    if (value < lo || value > hi || json_object_get_uint64(v) > INT64_MAX) {
        json_in_fail(in, field, "must be %lld to %lld", (long long)lo, (long long)hi);
        return false;
    }
    *out = value;
    return true;
}

bool json_in_f32(
    struct json_in *in, const char *field, json_object *v, double lo, double hi, bool lo_open, float *out)
{
    if (in->error->code)
        return false;
    if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int)) {
        json_in_fail(in, field, "must be a number");
        return false;
    }
    double value = json_object_get_double(v);
    float narrow = (float)value;
    if (!isfinite(value) || value < lo || value > hi || (lo_open && narrow <= (float)lo)) {
        json_in_fail(in, field, "must be %s%g to %g", lo_open ? "more than " : "", lo, hi);
        return false;
    }
    *out = narrow;
    return true;
}

bool json_in_bool(struct json_in *in, const char *field, json_object *v, bool *out)
{
    if (!json_in_type(in, field, v, json_type_boolean, "true or false"))
        return false;
    *out = json_object_get_boolean(v);
    return true;
}

bool json_in_text(struct json_in *in, const char *field, json_object *v, const char **s, size_t *n)
{
    if (!json_in_type(in, field, v, json_type_string, "a string"))
        return false;
    *s = json_object_get_string(v);
    *n = (size_t)json_object_get_string_len(v);
    return true;
}
