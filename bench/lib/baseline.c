#include "lib/baseline.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/report.h"

#define FILE_MAX (256l << 20)

struct bench_baseline {
    char date[40], version[32];
    struct bench_result *results; /* one a case and target; `skipped` holds the case's name */
    struct json_object *root;     /* units point into it */
};

static const char *text_of(struct json_object *o, const char *name)
{
    struct json_object *v;
    if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
        return NULL;
    return json_object_get_string(v);
}

static struct json_object *array_of(struct json_object *o, const char *name)
{
    struct json_object *v;
    if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_array))
        return NULL;
    return v;
}

static bool take_measure(struct bench_result *r, struct json_object *o)
{
    const char *id = text_of(o, "id"), *variant = text_of(o, "variant");
    const char *target = text_of(o, "target"), *unit = text_of(o, "unit");
    struct json_object *samples = array_of(o, "samples");
    if (!id || !variant || !target || !unit || !samples)
        return false;
    struct bench_measure *m = bench_measure_new(r, target, id, variant, unit);
    size_t n = json_object_array_length(samples);
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(samples, i);
        if (v && !json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
            return false;
        bench_add(m, v ? json_object_get_double(v) : NAN);
    }
    return true;
}

static bool take_result(struct bench_baseline *b, struct json_object *o)
{
    const char *name = text_of(o, "case");
    struct json_object *measures = array_of(o, "measures");
    struct bench_result *r = calloc(1, sizeof(*r));
    if (!r)
        return false;
    r->next = b->results;
    b->results = r;
    if (!name || !measures || strlen(name) >= sizeof(r->skipped))
        return false;
    snprintf(r->skipped, sizeof(r->skipped), "%s", name);
    size_t n = json_object_array_length(measures);
    for (size_t i = 0; i < n; i++)
        if (!take_measure(r, json_object_array_get_idx(measures, i)))
            return false;
    return true;
}

static bool take_root(struct bench_baseline *b)
{
    struct json_object *version, *results = array_of(b->root, "results");
    const char *schema = text_of(b->root, "schema");
    if (!results || !schema || strcmp(schema, BENCH_SCHEMA) != 0 ||
        !json_object_object_get_ex(b->root, "schema_version", &version) ||
        json_object_get_int(version) != BENCH_SCHEMA_VERSION)
        return false;
    const char *date = text_of(b->root, "date"), *orcd = text_of(b->root, "orcd");
    snprintf(b->date, sizeof(b->date), "%s", date ? date : "");
    snprintf(b->version, sizeof(b->version), "%s", orcd ? orcd : "");
    size_t n = json_object_array_length(results);
    for (size_t i = 0; i < n; i++)
        if (!take_result(b, json_object_array_get_idx(results, i)))
            return false;
    return true;
}

static int read_file(const char *path, char **text, size_t *n, struct orcd_error *err)
{
    FILE *f = fopen(path, "re");
    long size = -1;
    if (!f)
        return error_set_errno(err,
            errno == ENOENT   ? ORCD_E_NOT_FOUND
            : errno == EACCES ? ORCD_E_PERMISSION
                              : ORCD_E_IO,
            errno, "%s", path);
    if (fseek(f, 0, SEEK_END) == 0)
        size = ftell(f);
    rewind(f);
    char *buf = size >= 0 && size <= FILE_MAX ? malloc((size_t)size + 1) : NULL;
    size_t got = buf ? fread(buf, 1, (size_t)size, f) : 0;
    fclose(f);
    if (!buf || got != (size_t)size) {
        free(buf);
        return error_set(err, ORCD_E_IO, "cannot read %s: read error, or more than 256 MiB", path);
    }
    buf[got] = 0;
    *text = buf;
    *n = got;
    return 0;
}

int bench_baseline_load(struct bench_baseline **out, const char *path, struct orcd_error *err)
{
    char *text = NULL;
    size_t n = 0;
    int rc = read_file(path, &text, &n, err);
    if (rc)
        return rc;
    struct bench_baseline *b = calloc(1, sizeof(*b));
    struct json_tokener *tok = json_tokener_new();
    if (b && tok && n <= INT32_MAX)
        b->root = json_tokener_parse_ex(tok, text, (int)n);
    json_tokener_free(tok);
    free(text);
    if (!b || !b->root || !json_object_is_type(b->root, json_type_object) || !take_root(b)) {
        bench_baseline_free(b);
        return error_set(
            err, ORCD_E_INVALID, "%s does not contain results of this version of orcd bench", path);
    }
    *out = b;
    return 0;
}

void bench_baseline_free(struct bench_baseline *b)
{
    if (!b)
        return;
    bench_result_free(b->results);
    json_object_put(b->root);
    free(b);
}

const char *bench_baseline_date(const struct bench_baseline *b)
{
    return b->date;
}

const char *bench_baseline_version(const struct bench_baseline *b)
{
    return b->version;
}

const struct bench_measure *bench_baseline_find(
    const struct bench_baseline *b, const char *case_name, const struct bench_measure *m)
{
    for (const struct bench_result *r = b ? b->results : NULL; r; r = r->next) {
        if (strcmp(r->skipped, case_name) != 0)
            continue;
        for (const struct bench_measure *o = r->measures; o; o = o->next)
            if (strcmp(o->id, m->id) == 0 && strcmp(o->variant, m->variant) == 0 &&
                strcmp(o->target, m->target) == 0 && strcmp(o->unit, m->unit) == 0)
                return o;
    }
    return NULL;
}
