/*
 * What orcd run and orcd chat share: a request to a worker, its own or another, and the
 * answer as it streams. Ctrl-C cancels the answer; a second one ends the process.
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
    bool show_thoughts; /* text that is reasoning is printed too */
    bool keep;          /* the answer's text in `said` */

    /* of the last answer */
    bool cancelled, ended, thinking;
    char last; /* last character printed */
    int status;
    char *said; /* malloc'ed */
    size_t n_said;
};

/* Reads --json and --deadline, catches SIGINT. 0, or an exit status after saying why. */
int query_open(struct query *q, const struct cli_args *a);
/* --url, else a private worker with --model, the configuration's or the demo model. */
int query_connect(struct query *q);
void query_close(struct query *q);

/* All of standard input, malloc'ed. */
int query_read_stdin(char **text, size_t *n);
/* Options that are params of the request. */
int query_params(const struct cli_args *a, struct json_object *params);
/* A fresh job_id, "PREFIX-...", in q and in the request. */
void query_name_job(struct query *q, const char *prefix, struct json_object *request);
/* Sends the request and prints the answer. */
int query_send(struct query *q, struct json_object *request);

/* Waits for standard input. False: Ctrl-C came since the last call or since
 * query_forget_interrupt. */
bool query_wait_input(void);
void query_forget_interrupt(void);

#endif
