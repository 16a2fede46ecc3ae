/* The documents about keys that are made from the table: listings, the annotated file, the
 * part of orcd.yaml(5), merged values. */
#include "config/config.h"

#include <string.h>

#define NAME_BYTES 160

static const char *fallback(const struct config_key *k)
{
    return k->fallback ? k->fallback : "null";
}

static const char *type_text(const struct config_key *k, char *buf, size_t size)
{
    switch (k->type) {
    case CONFIG_INT:
        snprintf(
            buf, size, "%lld..%lld%s%s", (long long)k->min, (long long)k->max, *k->unit ? " " : "", k->unit);
        return buf;
    case CONFIG_BOOL:
        return "true|false";
    case CONFIG_CHOICE:
        return k->choices;
    case CONFIG_STRING:
    case CONFIG_OPEN:
        break;
    }
    return "text";
}

/* The name of a row as listings show it; returns buf. */
static const char *listed_name(const struct config_key *k, char *buf, size_t size)
{
    bool open = k->type == CONFIG_OPEN;
    snprintf(buf, size, "%s%s%s", k->name, open ? "." : "", open ? k->open->stands_for : "");
    return buf;
}

void config_list(const struct config_table *t, FILE *out)
{
    char type[64], name[NAME_BYTES];
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct config_key *k = &t->keys[i];
        fprintf(out, "%-28s %-22s %-16s %s\n", listed_name(k, name, sizeof(name)),
            type_text(k, type, sizeof(type)), fallback(k), k->help);
    }
}

/* Spaces around each |, where a line of a manual page may break. */
static void print_type_pod(FILE *out, const char *type)
{
    for (; *type; type++)
        fputs(*type == '|' ? " | " : (char[]){*type, 0}, out);
}

void config_list_pod(const struct config_table *t, FILE *out)
{
    char type[64], name[NAME_BYTES];
    fprintf(out, "=over 4\n\n");
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct config_key *k = &t->keys[i];
        fprintf(out, "=item B<%s> (", listed_name(k, name, sizeof(name)));
        print_type_pod(out, type_text(k, type, sizeof(type)));
        fprintf(out, "; default: %s)\n\n", fallback(k));
        fprintf(out, "%s.\n\n", k->type == CONFIG_OPEN ? k->open->help_pod : k->help);
    }
    fprintf(out, "=back\n");
}

/* Whether text must be quoted to stay a string in YAML. */
static bool needs_quotes(const char *text)
{
    return strpbrk(text, "#{}[]&*!|>'\"%@`,") || strstr(text, ": ") || !*text || *text == '-' || *text == ' ';
}

static void print_value(FILE *out, const char *text)
{
    if (!needs_quotes(text)) {
        fputs(text, out);
        return;
    }
    putc('\'', out);
    for (; *text; text++)
        fputs(*text == '\'' ? "''" : (char[]){*text, 0}, out);
    putc('\'', out);
}

static void indent(FILE *out, unsigned depth)
{
    fprintf(out, "%*s", (int)(2 * depth), "");
}

/* Prints the heads of the sections that name lies in but the row before it (previous) does
 * not. Returns the depth at which name's own line is indented. */
static unsigned print_heads(FILE *out, const char *previous, const char *name)
{
    size_t common = 0;
    unsigned depth = 0;
    for (size_t i = 0; name[i] && name[i] == previous[i]; i++)
        if (name[i] == '.') {
            common = i + 1;
            depth++;
        }
    for (const char *dot; (dot = strchr(name + common, '.')); common = (size_t)(dot + 1 - name)) {
        indent(out, depth++);
        fprintf(out, "%.*s:\n", (int)(dot - name - (ptrdiff_t)common), name + common);
    }
    return depth;
}

static void print_row(FILE *out, const struct config_key *k, unsigned depth)
{
    char buf[64];
    bool open = k->type == CONFIG_OPEN;
    indent(out, depth);
    fprintf(out, "# %s", open ? k->open->help_annotated : k->help);
    if (!open && k->type != CONFIG_STRING)
        fprintf(out, " (%s)", type_text(k, buf, sizeof(buf)));
    putc('\n', out);
    indent(out, depth);
    fprintf(out, "%s: ", strrchr(k->name, '.') + 1);
    if (open)
        fputs(k->open->empty, out);
    else
        print_value(out, fallback(k));
    putc('\n', out);
}

void config_annotated(const struct config_table *t, FILE *out)
{
    fputs(t->annotated_head, out);
    for (size_t s = 0; s < t->n_sections; s++) {
        const char *section = t->sections[s].name, *previous = "";
        size_t n = strlen(section);
        fprintf(out, "\n# %s\n", t->sections[s].help);
        for (size_t i = 0; i < t->n_keys; i++) {
            const struct config_key *k = &t->keys[i];
            if (strncmp(k->name, section, n) != 0 || k->name[n] != '.')
                continue;
            print_row(out, k, print_heads(out, previous, k->name));
            previous = k->name;
        }
    }
}

static void show_line(FILE *out, const char *key, const char *value, const char *origin)
{
    fprintf(out, "%-28s ", key);
    print_value(out, value);
    fprintf(out, "  # %s\n", origin ? origin : "default");
}

static void show_open(const struct config_head *c, const struct config_key *k, FILE *out)
{
    struct config_setting s;
    char key[NAME_BYTES];
    for (size_t i = 0; k->open->at(c, i, &s); i++) {
        snprintf(key, sizeof(key), "%s.%s", k->name, s.name);
        show_line(out, key, s.value, s.origin);
    }
}

void config_show(const struct config_head *c, FILE *out)
{
    const struct config_table *t = c->table;
    for (size_t i = 0; i < t->n_keys; i++) {
        const struct config_key *k = &t->keys[i];
        const char *at = (const char *)c + k->offset;
        char number[32];
        const char *value;
        if (k->type == CONFIG_OPEN) {
            show_open(c, k, out);
            continue;
        }
        if (k->type == CONFIG_INT) {
            snprintf(number, sizeof(number), "%lld", (long long)*(const int64_t *)(const void *)at);
            value = number;
        } else if (k->type == CONFIG_BOOL) {
            value = *(const bool *)at ? "true" : "false";
        } else {
            value = *(char *const *)(const void *)at;
        }
        show_line(out, k->name, value ? value : "null", c->origins ? c->origins[i] : NULL);
    }
}
