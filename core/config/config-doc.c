/* Everything that tells people about keys, made from the table. */
#include "config/config.h"

#include <string.h>

#include "config/config-table.h"

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
        break;
    }
    return "text";
}

void config_list(FILE *out)
{
    char buf[64];
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        fprintf(out, "%-28s %-22s %-16s %s\n", k->name, type_text(k, buf, sizeof(buf)), fallback(k), k->help);
    }
    fprintf(out, "%-28s %-22s %-16s %s\n", "plugin.options.NAME", "text", "the plugin's",
        "an option of the plugin (orcd plugins NAME lists them)");
}

void config_list_pod(FILE *out)
{
    char buf[64];
    fprintf(out, "=over 4\n\n");
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        const char *type = type_text(k, buf, sizeof(buf));
        fprintf(out, "=item B<%s> (%s; default: %s)\n\n", k->name, type, fallback(k));
        fprintf(out, "%s.\n\n", k->help);
    }
    fprintf(out, "=item B<plugin.options.NAME> (text; default: the plugin's)\n\n");
    fprintf(out, "an option of the plugin; C<orcd plugins NAME> lists them.\n\n=back\n");
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

void config_annotated(FILE *out)
{
    char buf[64];
    fputs("# orcd.yaml: configuration of an orcd worker; orcd.yaml(5) says more.\n"
          "# Every key is shown with its default. The command line goes before the environment\n"
          "# (ORCD_HTTP_LISTEN is http.listen), that before this file. Check: orcd config --check FILE\n",
        out);
    for (size_t s = 0; s < config_n_sections; s++) {
        const char *section = config_sections[s].name;
        size_t n = strlen(section);
        bool in_tls = false;
        fprintf(out, "\n# %s\n%s:\n", config_sections[s].help, section);
        for (size_t i = 0; i < config_n_keys; i++) {
            const struct config_key *k = &config_keys[i];
            if (strncmp(k->name, section, n) != 0 || k->name[n] != '.')
                continue;
            const char *leaf = k->name + n + 1;
            bool tls = strncmp(leaf, "tls.", 4) == 0;
            if (tls && !in_tls)
                fputs("  tls:\n", out);
            in_tls = tls;
            const char *indent = tls ? "    " : "  ";
            fprintf(out, "%s# %s", indent, k->help);
            if (k->type != CONFIG_STRING)
                fprintf(out, " (%s)", type_text(k, buf, sizeof(buf)));
            fprintf(out, "\n%s%s: ", indent, tls ? leaf + 4 : leaf);
            print_value(out, fallback(k));
            putc('\n', out);
        }
        if (strcmp(section, "plugin") == 0)
            fputs("  # the plugin's own options; orcd plugins NAME lists them\n  options: {}\n", out);
    }
}

static void show_line(FILE *out, const char *key, const char *value, const char *origin)
{
    fprintf(out, "%-28s ", key);
    print_value(out, value);
    fprintf(out, "  # %s\n", origin ? origin : "default");
}

void config_show(const struct config *c, FILE *out)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        const char *at = (const char *)c + k->offset;
        char number[32];
        const char *value;
        if (k->type == CONFIG_INT) {
            snprintf(number, sizeof(number), "%lld", (long long)*(const int64_t *)(const void *)at);
            value = number;
        } else if (k->type == CONFIG_BOOL) {
            value = *(const bool *)at ? "true" : "false";
        } else {
            value = *(char *const *)(const void *)at;
        }
        show_line(out, k->name, value ? value : "null", c->origins ? c->origins->key[i] : NULL);
    }
    for (size_t i = 0; i < c->plugin.n_options; i++) {
        char key[96];
        snprintf(key, sizeof(key), CONFIG_OPTIONS_PREFIX "%s", c->plugin.options[i].key);
        show_line(out, key, c->plugin.options[i].value, c->origins->option[i]);
    }
}
