#include "config/table.h"

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/util.h"

/* True if name is `above` itself or lies below it. */
static bool is_or_lies_below(const char *name, const char *above)
{
    size_t n = strlen(above);
    return strncmp(name, above, n) == 0 && (name[n] == '.' || !name[n]);
}

const struct config_key *config_key_find(const struct config_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_keys; i++)
        if (t->keys[i].type != CONFIG_OPEN && strcmp(t->keys[i].name, name) == 0)
            return &t->keys[i];
    return NULL;
}

const struct config_key *config_open_find(const struct config_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_keys; i++)
        if (t->keys[i].type == CONFIG_OPEN && is_or_lies_below(name, t->keys[i].name))
            return &t->keys[i];
    return NULL;
}

/* A section is a name below which some key lies, and an open row itself. */
bool config_section_find(const struct config_table *t, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; n && i < t->n_keys; i++) {
        const struct config_key *k = &t->keys[i];
        if (is_or_lies_below(k->name, name) && (k->name[n] || k->type == CONFIG_OPEN))
            return true;
    }
    return false;
}

bool config_section_is_foreign(const struct config_table *t, const char *name)
{
    for (const char *const *f = t->foreign; f && *f; f++)
        if (strcmp(*f, name) == 0)
            return true;
    return false;
}

/* "a|b|c" as "one of a, b, c", cut at the buffer's end. */
static void list_choices(const char *choices, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "one of ");
    for (const char *p = choices; *p && n + 3 < size; p++) {
        if (*p == '|')
            buf[n++] = ',';
        buf[n++] = *p == '|' ? ' ' : *p;
    }
    buf[n < size ? n : size - 1] = 0;
}

const char *config_key_allowed(const struct config_key *k, char *buf, size_t size)
{
    const char *or_null = k->fallback ? "" : ", or null";
    switch (k->type) {
    case CONFIG_INT:
        snprintf(buf, size, "an integer from %lld to %lld%s%s%s", (long long)k->min, (long long)k->max,
            *k->unit ? " (" : "", k->unit, *k->unit ? ")" : "");
        break;
    case CONFIG_BOOL:
        snprintf(buf, size, "true or false");
        break;
    case CONFIG_CHOICE:
        list_choices(k->choices, buf, size);
        break;
    case CONFIG_STRING:
        snprintf(
            buf, size, "text of 1 to %lld bytes without control characters%s", (long long)k->max, or_null);
        break;
    case CONFIG_OPEN: /* has no value of its own */
        *buf = 0;
        break;
    }
    return buf;
}

static const char *leaf(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

const char *config_key_nearest(const struct config_table *t, const char *name)
{
    const char *best = NULL;
    unsigned best_at = name_reach(name);
    for (size_t i = 0; i < t->n_keys; i++) {
        unsigned d = name_distance(name, t->keys[i].name);
        if (t->keys[i].type != CONFIG_OPEN && d < best_at) {
            best_at = d;
            best = t->keys[i].name;
        }
    }
    /* The right key in the wrong section. */
    for (size_t i = 0; !best && i < t->n_keys; i++)
        if (t->keys[i].type != CONFIG_OPEN && strcmp(leaf(name), leaf(t->keys[i].name)) == 0)
            best = t->keys[i].name;
    return best;
}
