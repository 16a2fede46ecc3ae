/* Configuration from the environment: ORCD_HTTP_LISTEN=... sets http.listen. */
#include "config/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

#define PREFIX "ORCD_"

/* Variables that have the prefix but are no keys: other code of orcd reads them. */
static const char *const others[] = {"ORCD_CONFIG", "ORCD_API_KEY"};

/* The length of key's variable if name[0..n) begins with it; 0: it does not. */
static size_t spells(const char *name, size_t n, const char *key)
{
    size_t k = strlen(PREFIX);
    if (n < k + strlen(key))
        return 0;
    for (size_t i = 0; key[i]; i++) {
        char want = key[i] == '.' ? '_' : (char)toupper((unsigned char)key[i]);
        if (name[k + i] != want)
            return 0;
    }
    return k + strlen(key);
}

/* The row whose variable name[0..n) is; NULL: none. */
static const struct config_key *find_row(const struct config_table *t, const char *name, size_t n)
{
    const struct config_key *found = NULL;
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct config_key *k = &t->keys[i];
        size_t at = spells(name, n, k->name);
        if (at && k->type == CONFIG_OPEN && at < n && name[at] == '_')
            return k; /* an open row has precedence over keys */
        if (at == n && k->type != CONFIG_OPEN && !found)
            found = k;
    }
    return found;
}

/* ORCD_PLUGIN_OPTIONS_TOKEN_MS is token_ms of plugin.options. */
static int set_open(struct config_head *c, const struct config_key *k, const char *origin, const char *value,
    struct orcd_error *err)
{
    char key[256];
    size_t at = (size_t)snprintf(key, sizeof(key), "%s.", k->name);
    for (const char *p = origin + strlen(PREFIX) + at; *p && at + 1 < sizeof(key); p++)
        key[at++] = (char)tolower((unsigned char)*p);
    key[at] = 0;
    return config_set(c, key, value, origin, err);
}

static int set_variable(
    struct config_head *c, const char *name, size_t n, const char *value, struct orcd_error *err)
{
    char origin[128];
    snprintf(origin, sizeof(origin), "%.*s", (int)n, name);
    const struct config_key *k = find_row(c->table, name, n);
    if (k && k->type == CONFIG_OPEN)
        return set_open(c, k, origin, value, err);
    if (k) /* An empty variable means null where null is allowed. */
        return config_set(c, k->name, *value || k->fallback ? value : NULL, origin, err);
    for (size_t j = 0; j < ARRAY_LEN(others); j++)
        if (strcmp(origin, others[j]) == 0)
            return 0;
    log_debug("%s is not a key; ignored", origin);
    return 0;
}

int config_load_environment(struct config_head *c, char *const *envp, struct orcd_error *err)
{
    for (; *envp; envp++) {
        const char *name = *envp, *equals = strchr(name, '=');
        if (!equals || strncmp(name, PREFIX, strlen(PREFIX)) != 0 || equals - name > 100)
            continue;
        int rc = set_variable(c, name, (size_t)(equals - name), equals + 1, err);
        if (rc)
            return rc;
    }
    return 0;
}
