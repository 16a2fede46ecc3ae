/* The table of options of a plugin, and the user's settings for them. */
#include "plugin/internal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static bool option_name_ok(const char *name)
{
    if (!plugin_text_ok(name, PLUGIN_MAX_NAME) || !(name[0] >= 'a' && name[0] <= 'z'))
        return false;
    for (const char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_'))
            return false;
    return true;
}

/* ------------------------------------------------------------------- values */

static int check_range(const struct orcd_option *o, double v, const char *value, struct orcd_error *err)
{
    if ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max))
        return 0;
    return error_set(err, ORCD_E_INVALID, "option %s: %s is out of range; it must be %.15g to %.15g%s%s",
        o->name, value, o->min, o->max, o->unit[0] ? " " : "", o->unit);
}

static const char *bool_text(const char *value)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(value, yes[i]) == 0)
            return "true";
        if (strcmp(value, no[i]) == 0)
            return "false";
    }
    return NULL;
}

/* Checks a value; *passed is the text that is passed to the plugin. */
static int check_value(
    const struct orcd_option *o, const char *value, const char **passed, struct orcd_error *err)
{
    char *end;
    *passed = value;
    switch (o->type) {
    case ORCD_OPT_INT: {
        errno = 0;
        long long v = strtoll(value, &end, 10);
        if (end == value || *end || errno)
            return error_set(err, ORCD_E_INVALID, "option %s: \"%s\" is not a whole number", o->name, value);
        return check_range(o, (double)v, value, err);
    }
    case ORCD_OPT_FLOAT: {
        double v = strtod(value, &end);
        if (end == value || *end || !isfinite(v))
            return error_set(err, ORCD_E_INVALID, "option %s: \"%s\" is not a number", o->name, value);
        return check_range(o, v, value, err);
    }
    case ORCD_OPT_BOOL:
        *passed = bool_text(value);
        if (!*passed)
            return error_set(err, ORCD_E_INVALID, "option %s: \"%s\" is not true or false", o->name, value);
        return 0;
    default:
        if (!utf8_valid(value, strlen(value)) || strlen(value) > PLUGIN_MAX_VALUE)
            return error_set(err, ORCD_E_INVALID, "option %s: the value is longer than %d bytes or not UTF-8",
                o->name, PLUGIN_MAX_VALUE);
        return 0;
    }
}

/* -------------------------------------------------------------------- table */

static int copy_row(struct plugin *p, uint32_t i, const struct orcd_option *from, struct orcd_error *err)
{
    struct orcd_option *o = &p->options[i];
    const size_t needed = offsetof(struct orcd_option, help) + sizeof(from->help);
    if (from->size < needed)
        return error_set(err, ORCD_E_ABI,
            "%s: row %u of the plugin's options has %u bytes; it must have at least %zu", p->path, i,
            from->size, needed);
    if (!option_name_ok(from->name))
        return error_set(err, ORCD_E_ABI,
            "%s: row %u of the plugin's options has an invalid name; a-z, 0-9 and _ are allowed", p->path, i);
    /* plugin_options_free() frees a half-copied row, too: the fields that were not copied are NULL. */
    o->size = sizeof(*o);
    o->name = plugin_text_copy(from->name, PLUGIN_MAX_NAME);
    o->fallback = plugin_text_copy(from->fallback, PLUGIN_MAX_TEXT);
    o->unit = from->unit ? plugin_text_copy(from->unit, PLUGIN_MAX_NAME) : strdup("");
    o->help = from->help ? plugin_text_copy(from->help, PLUGIN_MAX_TEXT) : strdup("");
    if (!o->name || !o->fallback || !o->unit || !o->help)
        return error_set(err, ORCD_E_ABI,
            "%s: option %s: its default, unit or help is missing, too long or not plain text", p->path,
            from->name);
    if (from->type < ORCD_OPT_INT || from->type > ORCD_OPT_STRING)
        return error_set(err, ORCD_E_ABI, "%s: option %s has unknown type %u", p->path, o->name, from->type);
    if (!isfinite(from->min) || !isfinite(from->max) || from->min > from->max)
        return error_set(err, ORCD_E_ABI, "%s: option %s has an invalid range", p->path, o->name);
    o->type = from->type;
    o->min = from->min;
    o->max = from->max;
    for (uint32_t j = 0; j < i; j++)
        if (strcmp(p->options[j].name, o->name) == 0)
            return error_set(err, ORCD_E_ABI, "%s: option %s appears twice", p->path, o->name);
    const char *passed;
    struct orcd_error why = ORCD_ERROR_INIT;
    if (check_value(o, o->fallback, &passed, &why))
        return error_set(err, ORCD_E_ABI, "%s: the plugin's own default is invalid: %s", p->path, why.msg);
    return 0;
}

int plugin_options_copy(struct plugin *p, struct orcd_error *err)
{
    struct orcd_plugin *t = &p->table;
    const void *from = t->options;
    uint32_t n = t->n_options, stride = t->option_stride;
    t->options = NULL;
    t->n_options = 0;
    t->option_stride = sizeof(struct orcd_option);
    if (n == 0)
        return 0;
    if (!from || n > PLUGIN_MAX_OPTIONS || stride < sizeof(uint32_t) * 2 || stride > 4096 ||
        stride % _Alignof(struct orcd_option))
        return error_set(err, ORCD_E_ABI,
            "%s: the plugin's table of options (%u rows of %u bytes) is invalid", p->path, n, stride);
    if (!t->configure)
        return error_set(err, ORCD_E_ABI, "%s: the plugin has options but no configure()", p->path);
    p->options = calloc(n, sizeof(*p->options));
    if (!p->options)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    t->options = p->options;
    t->n_options = n;
    for (uint32_t i = 0; i < n; i++) {
        const struct orcd_option *row = (const void *)((const char *)from + (size_t)i * stride);
        if (row->size > stride)
            return error_set(
                err, ORCD_E_ABI, "%s: row %u of the plugin's options is longer than its stride", p->path, i);
        int rc = copy_row(p, i, row, err);
        if (rc)
            return rc;
    }
    return 0;
}

void plugin_options_free(struct plugin *p)
{
    for (uint32_t i = 0; p->options && i < p->table.n_options; i++) {
        free((char *)p->options[i].name);
        free((char *)p->options[i].fallback);
        free((char *)p->options[i].unit);
        free((char *)p->options[i].help);
    }
    free(p->options);
}

/* ----------------------------------------------------------------- settings */

/* Edit distance (insert, delete, replace, each 1) of texts of at most PLUGIN_MAX_NAME. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[PLUGIN_MAX_NAME + 1];
    size_t na = strnlen(a, PLUGIN_MAX_NAME), nb = strnlen(b, PLUGIN_MAX_NAME);
    for (size_t j = 0; j <= nb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[nb];
}

static int unknown_option(const struct plugin *p, const char *key, struct orcd_error *err)
{
    const char *best = NULL;
    unsigned least = 4; /* a larger distance is not a typing error */
    for (uint32_t i = 0; i < p->table.n_options; i++) {
        unsigned d = distance(key, p->options[i].name);
        if (d < least && d < strlen(p->options[i].name)) {
            least = d;
            best = p->options[i].name;
        }
    }
    if (best)
        return error_set(
            err, ORCD_E_INVALID, "plugin %s has no option %.64s: did you mean %s?", p->table.name, key, best);
    char all[256] = "none";
    for (uint32_t i = 0, at = 0; i < p->table.n_options && at < sizeof(all); i++)
        at += (uint32_t)snprintf(all + at, sizeof(all) - at, "%s%s", i ? ", " : "", p->options[i].name);
    return error_set(
        err, ORCD_E_INVALID, "plugin %s has no option %.64s; it has: %s", p->table.name, key, all);
}

static const struct orcd_option *find_option(const struct plugin *p, const char *key)
{
    for (uint32_t i = 0; i < p->table.n_options; i++)
        if (strcmp(p->options[i].name, key) == 0)
            return &p->options[i];
    return NULL;
}

static int tell(struct plugin *p, const char *key, const char *value, struct orcd_error *err)
{
    struct orcd_error theirs = ORCD_ERROR_INIT;
    return plugin_answer(p, "configure", p->table.configure(key, value, &theirs), &theirs, err);
}

int plugin_options_apply(
    struct plugin *p, const struct plugin_setting *settings, size_t n_settings, struct orcd_error *err)
{
    /* All settings are checked before any value is passed to the plugin. */
    for (size_t i = 0; i < n_settings; i++) {
        const struct orcd_option *o = find_option(p, settings[i].key);
        const char *passed;
        if (!o)
            return unknown_option(p, settings[i].key, err);
        int rc = check_value(o, settings[i].value, &passed, err);
        if (rc) {
            error_prefix(err, "plugin %s", p->table.name);
            return rc;
        }
    }
    if (!p->table.configure)
        return 0;
    for (uint32_t k = 0; k < p->table.n_options; k++) {
        const struct orcd_option *o = &p->options[k];
        const char *value = o->fallback, *passed;
        for (size_t i = 0; i < n_settings; i++)
            if (strcmp(settings[i].key, o->name) == 0)
                value = settings[i].value; /* the last setting of an option counts */
        int rc = check_value(o, value, &passed, err);
        if (rc == 0)
            rc = tell(p, o->name, passed, err);
        if (rc) {
            error_prefix(err, "plugin %s: option %s", p->table.name, o->name);
            return rc;
        }
    }
    return tell(p, NULL, NULL, err);
}
