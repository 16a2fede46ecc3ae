/*
 * The orcd program: its verbs, their options, and what the files of the verbs share.
 *
 * verbs.c has one row per verb; each verb has a file of its own. The parser, the help texts, the
 * completion and the OPTIONS of the manual pages come from these rows.
 *
 * 1. main() finds the verb and calls cli_parse.
 * 2. It calls the verb's function, which reads its options with cli_flag, cli_value and the others,
 *    does its work and returns an exit status of sysexits.h.
 *
 * Everything here runs on the main thread. The struct cli_args lives as long as the process; what
 * cli_value and cli_positional return points into argv.
 */
#ifndef ORCD_CLI_CLI_H
#define ORCD_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/error.h"
#include "config-table.h"

struct cli_option {
    const char *name; /* "listen" for --listen */
    char letter;      /* 'm' for -m; 0: none */
    const char *arg;  /* "ADDRESS"; NULL: a flag */
    const char *help; /* NULL: hidden, for use by the program itself */
};

struct cli_args;

struct cli_verb {
    const char *name;
    const char *arguments; /* "[MODEL]"; "": none */
    int min, max;          /* the number of arguments */
    const char *summary;
    const struct cli_option *options; /* ended by a row without a name */
    int (*run)(const struct cli_args *a);
    bool hidden;
};

extern const struct cli_verb cli_verbs[];               /* ended by a row without a name */
const struct cli_verb *cli_verb_find(const char *name); /* NULL: no such verb */
int cli_verb_unknown(const char *name);                 /* prints an error; returns EX_USAGE */

#define CLI_MAX_GIVEN 256

struct cli_args {
    const struct cli_verb *verb;
    struct {
        const struct cli_option *option;
        const char *value; /* NULL for a flag */
    } given[CLI_MAX_GIVEN];
    int n_given;
    const char *positional[16];
    int n_positional;
    const char *const *words; /* the command line after the verb, unchanged */
    int n_words;
};

/* Parses the command line after the verb. Returns 0, or EX_USAGE after printing an error, or -1
 * after printing the help that --help requests. */
int cli_parse(struct cli_args *a, const struct cli_verb *verb, int argc, char **argv);
bool cli_flag(const struct cli_args *a, const char *option);
const char *cli_value(const struct cli_args *a, const char *option); /* the last one; NULL: not given */
const char *cli_positional(const struct cli_args *a, int i);         /* NULL: not given */
/* Reads an option that must be a number from min to max. Returns 0, or EX_USAGE after printing an
 * error. *out keeps its value if the option was not given. */
int cli_number(const struct cli_args *a, const char *option, double min, double max, double *out);
/* "1500", "1500ms", "2s", "1m" to milliseconds; -1 for any other text. */
long long cli_duration_ms(const char *text);

/* Prints "orcd VERB: text" on standard error and returns status. */
int cli_fail(int status, const char *fmt, ...) ORCD_PRINTF(2, 3);
/* From here on cli_fail prints this verb in place of the parsed one. A private worker signs its
 * errors with the verb that the user typed. The text must live as long as the process. */
void cli_sign(const char *verb);

void cli_usage(const struct cli_verb *verb, FILE *out);
void cli_help(FILE *out);
void cli_bash_completion(FILE *out);
void cli_verbs_list(FILE *out); /* verbs and options, for the tests of the documentation */

/* Options that several verbs share. Help texts are phrases: a full stop follows in the manual. */
#define CLI_CONFIG_OPTIONS                                                                                   \
    {"config", 'c', "FILE", "configuration file (default: ORCD_CONFIG, then SYSCONFDIR/orcd.yaml)"},         \
        {"set", 0, "KEY=VALUE", "set a key of orcd.yaml(5); may be repeated"},                               \
        {"plugin", 'p', "NAME", "plugin.name: auto, cuda, cpu, mock or another plugin in plugin.dir"},       \
    {                                                                                                        \
        "gpu-device", 0, "N", "plugin.options.device: the device to use, as orcd plugins numbers it"         \
    }
#define CLI_URL_OPTIONS                                                                                      \
    {"url", 'u', "URL",                                                                                      \
        "the worker: http[s]://host:port or unix:/path (default: ORCD_URL, else http.listen)"},              \
    {                                                                                                        \
        "api-key-file", 0, "FILE", "file with the API key (default: the variable ORCD_API_KEY)"              \
    }

/* Builds the configuration from, in this order, the defaults, the file, the environment, the
 * options above with --listen, and model unless it is NULL. It also sets up the log. Returns 0, and
 * the caller must call config_release; or an exit status after printing an error. */
int cli_config(const struct cli_args *a, const char *model, struct config *config);
/* The path of the demo model, in the source tree or installed; NULL: not found. */
const char *cli_demo_model(void);

/* The path of a file in the source tree, which need not exist. NULL: this program does not run in
 * its build tree (config.status lies beside it there). The next call overwrites the text. */
const char *cli_source_file(const char *name);

/* Writes the URL of the worker that a client verb talks to into buf: --url, else ORCD_URL,
 * else http.listen.
 * Returns 0, or an exit status after printing an error. */
int cli_worker_url(const struct cli_args *a, char *buf, size_t size);
const char *cli_named_url(const struct cli_args *a); /* --url or ORCD_URL; NULL: neither is given */
/* The key from --api-key-file or ORCD_API_KEY, malloc'ed; *key is NULL if neither is set. Returns 0,
 * or an exit status after printing an error. */
int cli_api_key(const struct cli_args *a, char **key);
void cli_api_key_free(char *key); /* wipes the key; key may be NULL */
/* Sends one request to that worker and reads the answer, at most 16 MB. Returns 0 and the answer's
 * HTTP status, whatever it is, and its body, malloc'ed; or an exit status after printing an error. */
int cli_exchange(const struct cli_args *a, const char *method, const char *path, const char *request,
    int *status, char **body, bool quiet);
/* Prints "CODE: message" of the body of an error answer; returns the exit status for its HTTP
 * status. */
int cli_api_error(int status, const char *body);

/* Prints text from a model or a server. On a terminal, control characters other than newline and
 * tab become '?', so that the text cannot drive the terminal. Elsewhere the bytes are unchanged. */
void cli_print_text(FILE *out, const char *text, size_t n);

/* A progress bar on standard error. */
bool progress_wanted(void); /* standard error is a terminal */
void progress_show(const char *what, double fraction);
void progress_clear(void);
/* Whether a line can be printed without waiting for whoever reads it; waits timeout_ms for that. */
bool cli_can_print(int fd, int timeout_ms);

/* orcd bench --ci; returns the exit status. */
int cli_bench_ci(const struct cli_args *a);

int verb_serve(const struct cli_args *a);
int verb_run(const struct cli_args *a);
int verb_chat(const struct cli_args *a);
int verb_cancel(const struct cli_args *a);
int verb_health(const struct cli_args *a);
int verb_metrics(const struct cli_args *a);
int verb_plugins(const struct cli_args *a);
int verb_inspect(const struct cli_args *a);
int verb_eval(const struct cli_args *a);
int verb_config(const struct cli_args *a);
int verb_bench(const struct cli_args *a);
int verb_help(const struct cli_args *a);

#endif
