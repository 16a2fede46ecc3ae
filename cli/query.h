/*
 * What orcd run and orcd chat share: they send requests to a worker, a private one or the one that
 * --url names, and print the answers as they stream. The first Ctrl-C cancels the answer, the second
 * one ends the process.
 *
 * 1. query_open.
 * 2. query_connect; with a private worker this takes as long as the load of the model.
 * 3. For each request: query_name_job, query_params, query_send.
 * 4. query_close, also after a failure.
 *
 * The main thread makes all calls. One query at a time: the handler of SIGINT and its pipe belong to
 * the process.
 */
#ifndef ORCD_CLI_QUERY_H
#define ORCD_CLI_QUERY_H

#include <json-c/json.h>
#include <signal.h>

#include "cli.h"
#include "private-worker.h"

#define QUERY_INTERRUPTED (128 + SIGINT)

struct query {
    const struct cli_args *args;
    struct private_worker worker;
    char url[1024], job_id[64];
    char *key;
    long long deadline_ms; /* -1: none */
    bool json;
    bool show_thoughts; /* print the model's reasoning too */
    bool keep;          /* keep the text of the answer in `said` */
    bool stats;         /* print the speed of each answer */
    bool hides_length;  /* CONTEXT_LENGTH_EXCEEDED is not printed, but set in too_long */

    /* The last answer: */
    bool cancelled, ended, thinking, too_long;
    char last;  /* the last character printed; 0: none */
    int status; /* the exit status of an error event; 0: no such event */
    char *said; /* malloc'ed */
    size_t n_said;
};

/* Reads --json and --deadline, and installs the handler of SIGINT. This and the functions below
 * return 0, or an exit status after printing an error. */
int query_open(struct query *q, const struct cli_args *a);
/* Uses the worker that --url or ORCD_URL names; else, unless an option asks for another model, plugin or
 * setting, the one that listens at the configured address; else starts a private one with --model, the
 * configured model or the demo model. */
int query_connect(struct query *q);
/* Whether the worker's model has a chat template. */
int query_has_template(struct query *q, bool *has);
void query_close(struct query *q);

/* Reads all of standard input; *text is malloc'ed. */
int query_read_stdin(char **text, size_t *n);
/* Adds the options that are fields of the request's params. */
int query_params(const struct cli_args *a, struct json_object *params);
/* Puts a new job_id, "PREFIX-...", into q and into the request. */
void query_name_job(struct query *q, const char *prefix, struct json_object *request);
/* Sends the request and prints the answer. QUERY_INTERRUPTED: Ctrl-C has cancelled it. */
int query_send(struct query *q, struct json_object *request);

/* Waits until standard input is readable or at its end. False: Ctrl-C was pressed since the last call
 * or since query_forget_interrupt. */
bool query_wait_input(void);
void query_forget_interrupt(void);

#endif
