/* Makes a plugin's answer to a call safe to pass on. */
#include "plugin/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

#ifdef ORCD_DEBUG
void plugin_rule_broken(const char *rule)
{
    log_error("plugin rule broken by the host: %s", rule);
    abort();
}
#endif

void plugin_clean_field(char *text, size_t size)
{
    text[size - 1] = 0;
    size_t left = strlen(text);
    while (left) {
        size_t n = utf8_char_len(text, left);
        if (n == 0 || (n == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f))) {
            *text = '?';
            n = 1;
        }
        text += n;
        left -= n;
    }
}

bool plugin_text_ok(const char *text, size_t max)
{
    size_t n = text ? strnlen(text, max + 1) : max + 1;
    if (n > max || !utf8_valid(text, n))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

char *plugin_text_copy(const char *text, size_t max)
{
    return plugin_text_ok(text, max) ? strdup(text) : NULL;
}

int plugin_answer(
    const struct plugin *p, const char *what, int32_t rc, struct orcd_error *theirs, struct orcd_error *err)
{
    if (rc == 0)
        return 0;
    if (rc > 0 || strcmp(error_name(rc), "UNKNOWN") == 0)
        return error_set(err, ORCD_E_INTERNAL, "plugin %s: %s returned %d, which is not an error code",
            p->table.name, what, rc);
    plugin_clean_field(theirs->msg, sizeof(theirs->msg));
    if (!theirs->msg[0])
        return error_set(err, rc, "plugin %s: %s failed (%s)", p->table.name, what, error_name(rc));
    return error_set(err, rc, "%s", theirs->msg);
}
