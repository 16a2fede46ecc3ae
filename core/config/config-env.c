/* ORCD_HTTP_LISTEN=... is http.listen. */
#include "config/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "config/config-table.h"

#define PREFIX "ORCD_"
#define OPTIONS_PREFIX "ORCD_PLUGIN_OPTIONS_"

/* Variables that are not keys but ours all the same. */
static const char *const others[] = {"ORCD_CONFIG", "ORCD_API_KEY"};

/* name[0..n) is the key's variable. */
static bool names_key(const char *name, size_t n, const char *key)
{
    size_t k = strlen(PREFIX);
    if (n != k + strlen(key))
        return false;
    for (size_t i = 0; key[i]; i++) {
        char want = key[i] == '.' ? '_' : (char)toupper((unsigned char)key[i]);
        if (name[k + i] != want)
            return false;
    }
    return true;
}

static int set_option(struct config *c, const char *name, size_t n, const char *value, struct orcd_error *err)
{
    char key[128] = CONFIG_OPTIONS_PREFIX, origin[128];
    size_t at = strlen(key);
    for (size_t i = strlen(OPTIONS_PREFIX); i < n && at + 1 < sizeof(key); i++)
        key[at++] = (char)tolower((unsigned char)name[i]);
    key[at] = 0;
    snprintf(origin, sizeof(origin), "%.*s", (int)n, name);
    return config_set(c, key, value, origin, err);
}

int config_load_environment(struct config *c, char *const *envp, struct orcd_error *err)
{
    for (; *envp; envp++) {
        const char *name = *envp, *equals = strchr(name, '=');
        if (!equals || strncmp(name, PREFIX, strlen(PREFIX)) != 0 || equals - name > 100)
            continue;
        size_t n = (size_t)(equals - name);
        const char *value = equals + 1;
        if (strncmp(name, OPTIONS_PREFIX, strlen(OPTIONS_PREFIX)) == 0) {
            int rc = set_option(c, name, n, value, err);
            if (rc)
                return rc;
            continue;
        }
        size_t i = 0;
        while (i < config_n_keys && !names_key(name, n, config_keys[i].name))
            i++;
        char origin[128];
        snprintf(origin, sizeof(origin), "%.*s", (int)n, name);
        if (i < config_n_keys) {
            /* Empty means null where null is allowed. */
            const char *v = *value || config_keys[i].fallback ? value : NULL;
            int rc = config_set(c, config_keys[i].name, v, origin, err);
            if (rc)
                return rc;
            continue;
        }
        bool known = false;
        for (size_t j = 0; j < ARRAY_LEN(others); j++)
            known = known || strcmp(origin, others[j]) == 0;
        if (!known)
            log_debug("%s is not a key; ignored", origin);
    }
    return 0;
}
