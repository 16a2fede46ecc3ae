/*
 * Calls that a case tells as a story: begin one, wait until something came of it, let
 * time pass, begin the next. Everything that came is written down with the time at
 * which the kernel had it (monotonic nanoseconds; 0: it did not come).
 */
#ifndef ORCD_BENCH_ASK_H
#define ORCD_BENCH_ASK_H

#include "lib/load.h"
#include "lib/target.h"

#define ASK_TOKENS 16 /* times of the last tokens that are kept */

struct ask {
    struct load *load;
    struct load_call *call; /* NULL: not begun, or over */
    char job_id[40];        /* of ask_job */
    bool keep;              /* set before: leave the connection open afterwards */
    struct load_conn *conn; /* ... here */

    uint64_t sent_ns; /* just before the last byte was given to the kernel */
    uint64_t head_ns, started_ns, first_ns, end_ns, closed_ns;
    uint64_t token_ns[ASK_TOKENS]; /* of token i at i % ASK_TOKENS */
    uint32_t n_tokens;
    int status;            /* of the head; 0: none */
    bool failed;           /* an error event, or a status of 400 and above */
    char code[40];         /* of that error */
    char finish[24];       /* finish_reason of an end event */
    bool done;             /* the call is over: */
    enum load_outcome how; /* ... like this */
    char body[1024];       /* of an answer that is no stream, cut to this */
    bool watched;          /* load_run() stops at its news */
};

/* Forgets all; a kept connection is closed. The call must be over or never begun. */
void ask_reset(struct ask *a);

/* A job. headers: further lines, each with \r\n; NULL. The ask must live until the call
 * is done or the load is freed. */
int ask_job(struct ask *a, struct load *l, const struct target *t, const struct target_prompt *p,
    const char *headers, struct orcd_error *err);
/* Any request; `a->conn`, if there is one, is used. body: NULL for none. */
int ask_path(struct ask *a, struct load *l, const struct target *t, const char *method, const char *path,
    const char *body, struct orcd_error *err);

int ask_url(struct ask *a, struct load *l, const char *url, const char *method, const char *path,
    const char *body, struct orcd_error *err);

enum ask_point { ASK_HEAD, ASK_STARTED, ASK_TOKEN, ASK_END, ASK_DONE };
/* Runs the load until this came of the call (ASK_TOKEN: n tokens). False: it did not
 * within the time, or the call ended without it. */
bool ask_until(struct ask *a, enum ask_point what, uint32_t n, uint64_t timeout_ms);
/* Runs the load until that time. */
void ask_pass(struct load *l, uint64_t until_ns);
/* Closes the call and waits for its end. Time just before the close. */
uint64_t ask_close(struct ask *a, enum load_close how);

#endif
