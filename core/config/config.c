#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config-table.h"

#define VALUE_SHOWN 80 /* bytes of a wrong value in a message */

static void *field(const struct config *c, const struct config_key *k)
{
    return (char *)(uintptr_t)c + k->offset;
}

static void replace(char **at, char *value)
{
    free(*at);
    *at = value;
}

void config_init(struct config *c)
{
    memset(c, 0, sizeof(*c));
    c->origins = calloc(1, sizeof(*c->origins) + config_n_keys * sizeof(c->origins->key[0]));
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        if (!k->fallback)
            continue;
        if (k->type == CONFIG_INT)
            *(int64_t *)field(c, k) = strtoll(k->fallback, NULL, 10);
        else if (k->type == CONFIG_BOOL)
            *(bool *)field(c, k) = strcmp(k->fallback, "true") == 0;
        else
            *(char **)field(c, k) = strdup(k->fallback);
    }
}

void config_release(struct config *c)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->type == CONFIG_STRING || k->type == CONFIG_CHOICE)
            free(*(char **)field(c, k));
        if (c->origins)
            free(c->origins->key[i]);
    }
    for (size_t i = 0; i < c->plugin.n_options; i++) {
        free((char *)(uintptr_t)c->plugin.options[i].key);
        free((char *)(uintptr_t)c->plugin.options[i].value);
        free(c->origins->option[i]);
    }
    free(c->plugin.options);
    free(c->origins);
    memset(c, 0, sizeof(*c));
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

static bool is_text(const char *value, int64_t max)
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

static bool option_name_ok(const char *name)
{
    if (*name < 'a' || *name > 'z')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) && strlen(name) <= 64;
}

static int refuse(
    const char *origin, const char *key, const char *value, const char *allowed, struct orcd_error *err)
{
    char shown[VALUE_SHOWN];
    snprintf(shown, sizeof(shown), "%s", value ? value : "null");
    return error_set(err, ORCD_E_INVALID, "%s: %s: '%s': must be %s", origin, key, shown, allowed);
}

static int set_option(
    struct config *c, const char *key, const char *value, const char *origin, struct orcd_error *err)
{
    const char *name = key + strlen(CONFIG_OPTIONS_PREFIX);
    if (!option_name_ok(name))
        return error_set(err, ORCD_E_INVALID, "%s: %s: an option's name has a-z, 0-9 and _", origin, key);
    if (!value || !is_text(value, 4096))
        return refuse(origin, key, value, "text of 1 to 4096 bytes without control characters", err);
    size_t i = 0;
    while (i < c->plugin.n_options && strcmp(c->plugin.options[i].key, name) != 0)
        i++;
    if (i == CONFIG_MAX_OPTIONS)
        return error_set(
            err, ORCD_E_INVALID, "%s: %s: more than %d plugin options", origin, key, CONFIG_MAX_OPTIONS);
    char *new_value = strdup(value), *new_origin = strdup(origin), *new_key = strdup(name);
    struct plugin_setting *grown = c->plugin.options;
    if (i == c->plugin.n_options)
        grown = realloc(c->plugin.options, (i + 1) * sizeof(*grown));
    if (grown)
        c->plugin.options = grown;
    if (!grown || !new_value || !new_origin || !new_key) {
        free(new_value);
        free(new_origin);
        free(new_key);
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    }
    if (i < c->plugin.n_options) {
        free((char *)(uintptr_t)grown[i].key);
        free((char *)(uintptr_t)grown[i].value);
    } else {
        c->plugin.n_options++;
    }
    grown[i].key = new_key;
    grown[i].value = new_value;
    replace(&c->origins->option[i], new_origin);
    return 0;
}

static int unknown_key(const char *origin, const char *key, struct orcd_error *err)
{
    const char *near = config_key_nearest(key);
    if (config_section_find(key))
        return error_set(
            err, ORCD_E_INVALID, "%s: %s: is a section, not a key; it takes no value", origin, key);
    return error_set(err, ORCD_E_INVALID, "%s: %.64s: unknown key%s%s%s", origin, key,
        near ? "; did you mean " : " (orcd config --list names all)", near ? near : "", near ? "?" : "");
}

int config_set(
    struct config *c, const char *key, const char *value, const char *origin, struct orcd_error *err)
{
    if (!c->origins)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    if (strncmp(key, CONFIG_OPTIONS_PREFIX, strlen(CONFIG_OPTIONS_PREFIX)) == 0)
        return set_option(c, key, value, origin, err);
    int at = config_key_find(key);
    if (at < 0)
        return unknown_key(origin, key, err);
    const struct config_key *k = &config_keys[at];
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
        ok = value ? is_text(value, k->max) : !k->fallback;
        break;
    }
    char allowed[256];
    if (!ok)
        return refuse(origin, key, value, config_key_allowed(k, allowed, sizeof(allowed)), err);
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
    replace(&c->origins->key[at], new_origin);
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

static const char *origin_of(const struct config *c, const char *key)
{
    const char *origin = c->origins->key[config_key_find(key)];
    return origin ? origin : "default";
}

int config_validate(const struct config *c, struct orcd_error *err)
{
    if (!c->origins)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        bool is_pointer = k->type == CONFIG_STRING || k->type == CONFIG_CHOICE;
        if (is_pointer && k->fallback && !*(char **)field(c, k))
            return error_set(err, ORCD_E_NOMEM, "out of memory");
    }
    const char *tls = c->http.tls_cert ? "http.tls.cert" : c->http.tls_key ? "http.tls.key" : NULL;
    if (tls)
        return error_set(err, ORCD_E_UNSUPPORTED,
            "%s: %s: TLS is not in this version; must be null, with a proxy that speaks TLS in front",
            origin_of(c, tls), tls);
    if (c->shutdown.drain_ms >= c->shutdown.grace_ms)
        return error_set(err, ORCD_E_INVALID,
            "%s: shutdown.drain_ms: '%lld': must be less than shutdown.grace_ms (%lld)",
            origin_of(c, "shutdown.drain_ms"), (long long)c->shutdown.drain_ms,
            (long long)c->shutdown.grace_ms);
    if (c->deadlines.default_ms > c->deadlines.max_ms)
        return error_set(err, ORCD_E_INVALID,
            "%s: deadlines.default_ms: '%lld': must be at most deadlines.max_ms (%lld)",
            origin_of(c, "deadlines.default_ms"), (long long)c->deadlines.default_ms,
            (long long)c->deadlines.max_ms);
    if (c->deadlines.min_remaining_ms > c->deadlines.max_ms)
        return error_set(err, ORCD_E_INVALID,
            "%s: deadlines.min_remaining_ms: '%lld': must be at most deadlines.max_ms (%lld)",
            origin_of(c, "deadlines.min_remaining_ms"), (long long)c->deadlines.min_remaining_ms,
            (long long)c->deadlines.max_ms);
    if (c->model.max_batch_tokens < c->model.slots)
        return error_set(err, ORCD_E_INVALID,
            "%s: model.max_batch_tokens: '%lld': must be at least model.slots (%lld)",
            origin_of(c, "model.max_batch_tokens"), (long long)c->model.max_batch_tokens,
            (long long)c->model.slots);
    if (c->worker.callback_secret_file && !c->worker.callback_url)
        return error_set(err, ORCD_E_INVALID,
            "%s: worker.callback_secret_file: '%s': means nothing without worker.callback_url",
            origin_of(c, "worker.callback_secret_file"), c->worker.callback_secret_file);
    if (c->worker.callback_url && strncmp(c->worker.callback_url, "http://", 7) != 0)
        return error_set(err, ORCD_E_INVALID, "%s: worker.callback_url: '%s': must begin with http://",
            origin_of(c, "worker.callback_url"), c->worker.callback_url);
    return 0;
}
