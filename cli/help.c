#include <string.h>

#include "cli.h"

/* Tables, and the pages made of them, have SYSCONFDIR where users are shown the folder of this build. */
static void print_help(const char *help, FILE *out)
{
    static const char name[] = "SYSCONFDIR";
    const char *at = strstr(help, name);
    if (at)
        fprintf(out, "%.*s%s%s\n", (int)(at - help), help, ORCD_SYSCONFDIR, at + sizeof(name) - 1);
    else
        fprintf(out, "%s\n", help);
}

static void print_option(const struct cli_option *o, FILE *out)
{
    char left[48];
    if (!o->help)
        return;
    snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
        o->letter ? "," : " ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    fprintf(out, "  %-28s ", left);
    print_help(o->help, out);
}

void cli_usage(const struct cli_verb *verb, FILE *out)
{
    fprintf(out, "usage: orcd %s%s%s%s\n\n%s\n", verb->name, verb->options->name ? " [OPTION...]" : "",
        *verb->arguments ? " " : "", verb->arguments, verb->summary);
    if (verb->options->name)
        fprintf(out, "\noptions:\n");
    for (const struct cli_option *o = verb->options; o->name; o++)
        print_option(o, out);
    fprintf(out, "  %-28s %s\n", "-h, --help", "print this text");
    fprintf(out, "\nmanual: man %s%s\n", verb->run == verb_help ? "" : "orcd-",
        verb->run == verb_help ? "orcd" : verb->name);
}

void cli_help(FILE *out)
{
    fprintf(out, "usage: orcd VERB [OPTION...] [ARGUMENT...]\n\n"
                 "Serves a large language model. Every millisecond counts.\n\nverbs:\n");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        char left[32];
        snprintf(left, sizeof(left), "%s %s", v->name, v->arguments);
        if (!v->hidden)
            fprintf(out, "  %-18s %s\n", left, v->summary);
    }
    fprintf(out,
        "\n'orcd help VERB' lists a verb's options; 'orcd --version' prints the version and how it was "
        "built.\nTo begin: orcd run 'Once upon a time'\n");
}

void cli_verbs_list(FILE *out)
{
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        fprintf(out, "%s\n", v->name);
        for (const struct cli_option *o = v->options; o->name; o++)
            if (o->help)
                fprintf(out, "%s --%s\n", v->name, o->name);
    }
}

/* The OPTIONS section of a verb's manual page. */
static void options_pod(const struct cli_verb *verb, FILE *out)
{
    fprintf(out, "=over 4\n\n");
    for (const struct cli_option *o = verb->options; o->name; o++) {
        if (!o->help)
            continue;
        char letter[8] = "";
        if (o->letter)
            snprintf(letter, sizeof(letter), "B<-%c>, ", o->letter);
        fprintf(out, "=item %sB<--%s>%s%s%s\n\n", letter, o->name, o->arg ? " I<" : "", o->arg ? o->arg : "",
            o->arg ? ">" : "");
        fprintf(out, "%s.\n\n", o->help);
    }
    fprintf(out, "=item B<-h>, B<--help>\n\nprint a summary of the options.\n\n=back\n");
}

/* Names are not quoted: those of verbs, options and keys have letters, digits, '.', '_' and '-' only. */
void cli_bash_completion(FILE *out)
{
    fputs("# bash completion for orcd; made by: orcd help --bash-completion\n"
          "_orcd()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W '",
        out);
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        fprintf(out, "%s ", v->name);
    fputs("--help --version' -- \"$cur\"))\n        return\n    fi\n"
          "    case $prev in\n"
          "    --set)\n        compopt -o nospace 2>/dev/null\n        COMPREPLY=($(compgen -S = -W '",
        out);
    for (size_t i = 0; i < worker_config_table.n_keys; i++) {
        const struct config_key *k = &worker_config_table.keys[i];
        if (k->type != CONFIG_OPEN)
            fprintf(out, "%s%s", i ? " " : "", k->name);
    }
    fputs(
        "' -- \"$cur\"))\n        return ;;\n"
        "    --plugin|-p)\n"
        "        COMPREPLY=($(compgen -W 'auto cuda cpu mock' -- \"$cur\"))\n        return ;;\n"
        "    --on-deadline)\n"
        "        COMPREPLY=($(compgen -W 'error partial' -- \"$cur\"))\n        return ;;\n"
        "    --config|-c|--check|--text|--logits|--api-key-file|--model|-m|--json|--html|--baseline|--save)\n"
        "        compopt -o filenames 2>/dev/null\n"
        "        COMPREPLY=($(compgen -f -- \"$cur\"))\n        return ;;\n"
        "    esac\n"
        "    case $verb:$cur in\n",
        out);
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        fprintf(out, "    %s:-*)\n        COMPREPLY=($(compgen -W '", v->name);
        for (const struct cli_option *o = v->options; o->name; o++)
            if (o->help)
                fprintf(out, "--%s ", o->name);
        fputs("--help' -- \"$cur\")) ;;\n", out);
    }
    fputs("    serve:*|inspect:*|eval:*)\n        compopt -o filenames 2>/dev/null\n"
          "        COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
          "    esac\n}\ncomplete -F _orcd orcd\n",
        out);
}

int verb_help(const struct cli_args *a)
{
    const char *name = cli_positional(a, 0);
    if (cli_flag(a, "bash-completion")) {
        cli_bash_completion(stdout);
    } else if (cli_flag(a, "list")) {
        cli_verbs_list(stdout);
    } else if (name) {
        const struct cli_verb *v = cli_verb_find(name);
        if (!v)
            return cli_fail(EX_USAGE, "unknown verb '%s'; 'orcd --help' lists the verbs", name);
        if (cli_flag(a, "pod"))
            options_pod(v, stdout);
        else
            cli_usage(v, stdout);
    } else {
        cli_help(stdout);
    }
    return EX_OK;
}
