/* The orcd program: one row per verb (verbs.c), one file per verb. */
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
    const char *help; /* NULL: not shown */
};

struct cli_args;

struct cli_verb {
    const char *name;
    const char *arguments; /* "[MODEL]", "" when it takes none */
    int min, max;          /* how many of them */
    const char *summary;
    const struct cli_option *options; /* ended by a row without a name */
    int (*run)(const struct cli_args *a);
    bool hidden;
};

extern const struct cli_verb cli_verbs[]; /* ended by a row without a name */
const struct cli_verb *cli_verb_find(const char *name);

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
    const char *const *words; /* as they came, what follows the verb */
    int n_words;
};

/* Parses what follows the verb. Returns 0, or EX_USAGE after saying why; -1: --help was
 * given and answered. */
int cli_parse(struct cli_args *a, const struct cli_verb *verb, int argc, char **argv);
bool cli_flag(const struct cli_args *a, const char *option);
const char *cli_value(const struct cli_args *a, const char *option); /* the last one; NULL */
const char *cli_positional(const struct cli_args *a, int i);         /* NULL when absent */
/* Number of an option in [min, max]; *out is untouched when it was not given. */
int cli_number(const struct cli_args *a, const char *option, double min, double max, double *out);
/* "1500", "1500ms", "2s", "1m" to milliseconds; -1 when it is none of them. */
long long cli_duration_ms(const char *text);

/* "orcd VERB: text" on standard error; returns status. */
int cli_fail(int status, const char *fmt, ...) ORCD_PRINTF(2, 3);
/* The VERB that cli_fail prints from here on, in place of the one that was parsed. A private
 * worker reports its errors as those of the verb that the user typed. verb is kept. */
void cli_sign(const char *verb);

void cli_usage(const struct cli_verb *verb, FILE *out);
void cli_help(FILE *out);
void cli_bash_completion(FILE *out);
void cli_verbs_list(FILE *out); /* verbs and options, for tests of the documentation */

/* Options that several verbs share. */
#define CLI_CONFIG_OPTIONS                                                                                   \
    {"config", 'c', "FILE", "configuration file (default: ORCD_CONFIG, then the system's orcd.yaml)"},       \
        {"set", 0, "KEY=VALUE", "set a key of orcd.yaml(5); may be repeated"},                               \
        {"plugin", 'p', "NAME", "plugin.name: auto, cuda, cpu, mock or another plugin in plugin.dir"},       \
    {                                                                                                        \
        "gpu-device", 0, "N", "plugin.options.device: the device to use, as orcd plugins numbers it"         \
    }
#define CLI_URL_OPTIONS                                                                                      \
    {"url", 'u', "URL", "the worker: http://host:port or unix:/path (default: http.listen)"},                \
    {                                                                                                        \
        "api-key-file", 0, "FILE", "file with the API key (default: the variable ORCD_API_KEY)"              \
    }

/* Defaults, file, environment, then the options above and --listen, and a model. 0, or
 * an exit status after saying why. config_release is the caller's after 0. */
int cli_config(const struct cli_args *a, const char *model, struct config *config);
/* The demo model that came with orcd: installed or in the source tree; NULL: none. */
const char *cli_demo_model(void);

/* A file of the source tree, for a program that runs in its build tree (config.status
 * lies beside it); it may be absent. NULL: this one does not. Overwritten by the next
 * call. */
const char *cli_source_file(const char *name);

/* The worker that a client verb talks to: --url or http.listen. buf holds it. */
int cli_worker_url(const struct cli_args *a, char *buf, size_t size);
/* --api-key-file or ORCD_API_KEY; *key is NULL when there is none, else malloc'ed. */
int cli_api_key(const struct cli_args *a, char **key);
/* GET or POST with an answer of at most 16 MB. Returns 0, or an exit status after
 * saying why. *body is malloc'ed. */
int cli_exchange(const struct cli_args *a, const char *method, const char *path, const char *request,
    int *status, char **body, bool quiet);
/* Prints "code: message" of an error body; returns the exit status for it. */
int cli_api_error(int status, const char *body);

/* Text for a terminal: control characters other than newline and tab become '?', so
 * that a model or a server cannot drive the terminal. Elsewhere bytes go as they are. */
void cli_print_text(FILE *out, const char *text, size_t n);

/* A progress bar on standard error, when that is a terminal. */
bool progress_wanted(void);
void progress_show(const char *what, double fraction);
void progress_clear(void);

/* orcd bench --ci */
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
