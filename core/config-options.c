/* plugin.options.*: settings whose names only the plugin knows. They are kept as text. */
#include "config-table.h"

#include <stdlib.h>
#include <string.h>

static bool name_ok(const char *name)
{
    if (*name < 'a' || *name > 'z')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) && strlen(name) <= 64;
}

static int set(
    struct config_head *head, const char *key, const char *value, const char *origin, struct orcd_error *err)
{
    struct config *c = (struct config *)head;
    const char *name = key + strlen(CONFIG_OPTIONS ".");
    if (!name_ok(name))
        return error_set(err, ORCD_E_INVALID,
            "%s: %s: an option's name must begin with a-z and have only a-z, 0-9 and _", origin, key);
    if (!value || !config_is_text(value, 4096))
        return config_refuse(origin, key, value, "text of 1 to 4096 bytes without control characters", err);
    size_t i = 0;
    while (i < c->plugin.n_options && strcmp(c->plugin.options[i].key, name) != 0)
        i++;
    if (i == CONFIG_MAX_OPTIONS)
        return error_set(err, ORCD_E_INVALID, "%s: %s: at most %d plugin options are supported", origin, key,
            CONFIG_MAX_OPTIONS);
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
    free(c->plugin.option_origins[i]);
    c->plugin.option_origins[i] = new_origin;
    return 0;
}

static bool at(const struct config_head *head, size_t i, struct config_setting *out)
{
    const struct config *c = (const struct config *)head;
    if (i >= c->plugin.n_options)
        return false;
    *out = (struct config_setting){
        c->plugin.options[i].key, c->plugin.options[i].value, c->plugin.option_origins[i]};
    return true;
}

static void release(struct config_head *head)
{
    struct config *c = (struct config *)head;
    for (size_t i = 0; i < c->plugin.n_options; i++) {
        free((char *)(uintptr_t)c->plugin.options[i].key);
        free((char *)(uintptr_t)c->plugin.options[i].value);
        free(c->plugin.option_origins[i]);
    }
    free(c->plugin.options);
}

const struct config_open config_plugin_options = {
    .stands_for = "NAME",
    .empty = "{}",
    .help_pod = "an option of the plugin; B<orcd plugins> I<NAME> lists them",
    .help_annotated = "the plugin's own options; orcd plugins NAME lists them",
    .set = set,
    .at = at,
    .release = release,
};
