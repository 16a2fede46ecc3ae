#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUE_SHOWN 80 /* bytes of a wrong value in a message */

static void *field(const struct config_head *c, const struct config_key *k)
{
    return (char *)(uintptr_t)c + k->offset;
}

static void replace(char **at, char *value)
{
    free(*at);
    *at = value;
}

void config_init(struct config_head *c, const struct config_table *t)
{
    memset(c, 0, t->size);
    c->table = t;
    c->origins = calloc(t->n_keys, sizeof(*c->origins));
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct config_key *k = &t->keys[i];
        if (!k->fallback || k->type == CONFIG_OPEN)
            continue;
        if (k->type == CONFIG_INT)
            *(int64_t *)field(c, k) = strtoll(k->fallback, NULL, 10);
        else if (k->type == CONFIG_BOOL)
            *(bool *)field(c, k) = strcmp(k->fallback, "true") == 0;
        else
            *(char **)field(c, k) = strdup(k->fallback);
    }
}

void config_release(struct config_head *c)
{
    const struct config_table *t = c->table;
    if (!t)
        return;
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct config_key *k = &t->keys[i];
        if (k->type == CONFIG_STRING || k->type == CONFIG_CHOICE)
            free(*(char **)field(c, k));
        else if (k->type == CONFIG_OPEN)
            k->open->release(c);
        if (c->origins)
            free(c->origins[i]);
    }
    free(c->origins);
    memset(c, 0, t->size);
}

static bool in_choices(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *p = choices; n && p;) {
        const char *bar = strchr(p, '|');
        size_t m = bar ? (size_t)(bar - p) : strlen(p);
        if (m == n && memcmp(p, value, n) == 0)
            return true;
        p = bar ? bar + 1 : NULL;
    }
    return false;
}

bool config_is_text(const char *value, int64_t max)
{
    size_t n = strlen(value);
    if (n == 0 || n > (uint64_t)max)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
            return false;
    return true;
}

/* Decimal digits with an optional sign, nothing else, no overflow. */
static bool parse_int(const char *text, int64_t *out)
{
    const char *p = text + (*text == '-');
    if (!isdigit((unsigned char)*p))
        return false;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || *end)
        return false;
    *out = v;
    return true;
}

int config_refuse(
    const char *origin, const char *key, const char *value, const char *allowed, struct orcd_error *err)
{
    char shown[VALUE_SHOWN];
    snprintf(shown, sizeof(shown), "%s", value ? value : "null");
    return error_set(err, ORCD_E_INVALID, "%s: %s: '%s': must be %s", origin, key, shown, allowed);
}

static int unknown_key(
    const struct config_table *t, const char *origin, const char *key, struct orcd_error *err)
{
    const char *near = config_key_nearest(t, key);
    if (config_section_find(t, key))
        return error_set(
            err, ORCD_E_INVALID, "%s: %s: is a section, not a key; it cannot have a value", origin, key);
    return error_set(err, ORCD_E_INVALID, "%s: %.64s: unknown key%s%s%s", origin, key,
        near ? "; did you mean " : " (orcd config --list shows all keys)", near ? near : "", near ? "?" : "");
}

int config_set(
    struct config_head *c, const char *key, const char *value, const char *origin, struct orcd_error *err)
{
    if (!c->origins)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    const struct config_key *k = config_open_find(c->table, key);
    if (k && key[strlen(k->name)])
        return k->open->set(c, key, value, origin, err);
    k = config_key_find(c->table, key);
    if (!k)
        return unknown_key(c->table, origin, key, err);
    int64_t number = 0;
    bool ok = false;
    switch (k->type) {
    case CONFIG_INT:
        ok = value && parse_int(value, &number) && number >= k->min && number <= k->max;
        break;
    case CONFIG_BOOL:
        ok = value && (strcmp(value, "true") == 0 || strcmp(value, "false") == 0);
        break;
    case CONFIG_CHOICE:
        ok = value && in_choices(k->choices, value);
        break;
    case CONFIG_STRING:
        ok = value ? config_is_text(value, k->max) : !k->fallback;
        break;
    case CONFIG_OPEN:
        break;
    }
    char allowed[256];
    if (!ok)
        return config_refuse(origin, key, value, config_key_allowed(k, allowed, sizeof(allowed)), err);
    bool is_pointer = k->type == CONFIG_STRING || k->type == CONFIG_CHOICE;
    char *new_origin = strdup(origin), *text = is_pointer && value ? strdup(value) : NULL;
    if (!new_origin || (is_pointer && value && !text)) {
        free(new_origin);
        free(text);
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    }
    if (k->type == CONFIG_INT)
        *(int64_t *)field(c, k) = number;
    else if (k->type == CONFIG_BOOL)
        *(bool *)field(c, k) = *value == 't';
    else
        replace(field(c, k), text);
    replace(&c->origins[k - c->table->keys], new_origin);
    return 0;
}

const char *config_default_path(void)
{
    const char *named = getenv("ORCD_CONFIG");
    if (named && *named)
        return named;
    if (access(ORCD_SYSCONFDIR "/orcd.yaml", F_OK) == 0)
        return ORCD_SYSCONFDIR "/orcd.yaml";
    return access("/etc/orcd.yaml", F_OK) == 0 ? "/etc/orcd.yaml" : NULL;
}

const char *config_origin(const struct config_head *c, const char *key)
{
    const struct config_key *k = config_key_find(c->table, key);
    const char *origin = k ? c->origins[k - c->table->keys] : NULL;
    return origin ? origin : "default";
}

int config_validate(const struct config_head *c, struct orcd_error *err)
{
    if (!c->origins)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    const struct config_table *t = c->table;
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct config_key *k = &t->keys[i];
        bool is_pointer = k->type == CONFIG_STRING || k->type == CONFIG_CHOICE;
        if (is_pointer && k->fallback && !*(char **)field(c, k))
            return error_set(err, ORCD_E_NOMEM, "out of memory");
    }
    return t->validate ? t->validate(c, err) : 0;
}
