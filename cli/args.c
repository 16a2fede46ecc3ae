#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/util.h"
#include "cli.h"

static const char *verb_name = "";

#define ERROR_WAIT_MS 1000 /* nobody may read standard error; the end does not wait for it */

int cli_fail(int status, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (!cli_can_print(STDERR_FILENO, ERROR_WAIT_MS))
        return status;
    fprintf(stderr, "orcd%s%s: ", *verb_name ? " " : "", verb_name);
    cli_print_text(stderr, text, strlen(text));
    fputc('\n', stderr);
    return status;
}

void cli_sign(const char *verb)
{
    verb_name = verb;
}

static const struct cli_option *find_long(const struct cli_verb *v, const char *name, size_t n)
{
    for (const struct cli_option *o = v->options; o->name; o++)
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

static const struct cli_option *find_letter(const struct cli_verb *v, char letter)
{
    for (const struct cli_option *o = v->options; o->name; o++)
        if (o->letter && o->letter == letter)
            return o;
    return NULL;
}

static int give(struct cli_args *a, const struct cli_option *o, const char *value)
{
    if (a->n_given == CLI_MAX_GIVEN)
        return cli_fail(EX_USAGE, "too many options: at most %d are allowed", CLI_MAX_GIVEN);
    a->given[a->n_given].option = o;
    a->given[a->n_given++].value = value;
    return 0;
}

static int unknown_option(const struct cli_args *a, const char *word)
{
    const struct cli_option *best = NULL;
    unsigned best_at = name_reach(word + 2);
    char name[64] = "";
    if (word[1] == '-')
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
    for (const struct cli_option *o = a->verb->options; *name && o->name; o++) {
        unsigned d = name_distance(name, o->name);
        if (o->help && d < best_at) {
            best_at = d;
            best = o;
        }
    }
    return cli_fail(EX_USAGE, "unknown option '%s'%s%s%s; 'orcd %s --help' lists the options", word,
        best ? ", did you mean --" : "", best ? best->name : "", best ? "?" : "", verb_name);
}

/* Parses the option at argv[*i]. Reads the next word as its value if it needs one. */
static int parse_option(struct cli_args *a, int argc, char **argv, int *i)
{
    const char *word = argv[*i], *value = NULL;
    const struct cli_option *o;
    if (word[1] == '-') {
        const char *equals = strchr(word, '=');
        size_t n = equals ? (size_t)(equals - word - 2) : strlen(word) - 2;
        o = find_long(a->verb, word + 2, n);
        value = equals ? equals + 1 : NULL;
    } else {
        o = find_letter(a->verb, word[1]);
        value = word[2] ? word + 2 : NULL;
    }
    if (!o)
        return unknown_option(a, word);
    if (!o->arg && value)
        return cli_fail(EX_USAGE, "option --%s does not take a value", o->name);
    if (o->arg && !value) {
        if (*i + 1 >= argc)
            return cli_fail(EX_USAGE, "option --%s needs a value: %s", o->name, o->arg);
        value = argv[++*i];
    }
    return give(a, o, value);
}

int cli_parse(struct cli_args *a, const struct cli_verb *verb, int argc, char **argv)
{
    memset(a, 0, sizeof(*a));
    a->verb = verb;
    a->words = (const char *const *)argv;
    a->n_words = argc;
    verb_name = verb->name;
    bool options = true;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        if (options && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            cli_usage(verb, stdout);
            return -1;
        }
        if (options && word[0] == '-' && word[1]) {
            int rc = parse_option(a, argc, argv, &i);
            if (rc)
                return rc;
            continue;
        }
        if (a->n_positional >= verb->max)
            return cli_fail(EX_USAGE, "unexpected argument '%s' (a text with spaces needs quotes)", word);
        a->positional[a->n_positional++] = word;
    }
    if (a->n_positional < verb->min)
        return cli_fail(EX_USAGE, "missing argument %s; see 'orcd %s --help'", verb->arguments, verb->name);
    return 0;
}

const char *cli_value(const struct cli_args *a, const char *option)
{
    for (int i = a->n_given - 1; i >= 0; i--)
        if (strcmp(a->given[i].option->name, option) == 0)
            return a->given[i].value;
    return NULL;
}

bool cli_flag(const struct cli_args *a, const char *option)
{
    for (int i = 0; i < a->n_given; i++)
        if (strcmp(a->given[i].option->name, option) == 0)
            return true;
    return false;
}

const char *cli_positional(const struct cli_args *a, int i)
{
    return i < a->n_positional ? a->positional[i] : NULL;
}

int cli_number(const struct cli_args *a, const char *option, double min, double max, double *out)
{
    const char *text = cli_value(a, option);
    if (!text)
        return 0;
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (errno || *end || end == text || !isfinite(v) || v < min || v > max)
        return cli_fail(EX_USAGE, "--%s: '%s': must be a number from %.17g to %.17g", option, text, min, max);
    *out = v;
    return 0;
}

long long cli_duration_ms(const char *text)
{
    char *end;
    errno = 0;
    double v = isdigit((unsigned char)*text) ? strtod(text, &end) : -1;
    if (v < 0 || errno || !isfinite(v))
        return -1;
    double ms = strcmp(end, "s") == 0                            ? v * 1000
                : strcmp(end, "m") == 0                          ? v * 60000
                : strcmp(end, "ms") == 0 || strcmp(end, "") == 0 ? v
                                                                 : -1;
    return ms < 0 || ms > 86400000 ? -1 : (long long)llround(ms);
}
