/*
 * Calls that a case makes one after the other: start one, wait until something arrives, let time
 * pass, start the next. Each thing that arrives is recorded with the time at which the kernel
 * received it (monotonic nanoseconds; 0: it has not arrived).
 *
 * 1. A struct ask of zeros; set `keep` or `conn` if wanted.
 * 2. ask_job, ask_path or ask_url starts a call.
 * 3. ask_until and ask_pass run the load. ask_close ends the call early.
 * 4. ask_reset before the next call.
 *
 * One thread, that of the load. A struct ask must live until its call is done or the load is freed.
 */
#ifndef ORCD_BENCH_ASK_H
#define ORCD_BENCH_ASK_H

#include "lib/load.h"
#include "lib/target.h"

#define ASK_TOKENS 16 /* times of the last tokens that are kept */

struct ask {
    struct load *load;
    struct load_call *call; /* NULL: not started, or done */
    char job_id[40];        /* of ask_job */
    bool keep;              /* set by the caller: keep the connection open after the call */
    struct load_conn *conn; /* the connection that was kept */

    uint64_t sent_ns; /* just before the last byte was passed to the kernel */
    uint64_t head_ns, started_ns, first_ns, end_ns, closed_ns;
    uint64_t token_ns[ASK_TOKENS]; /* token i is at i % ASK_TOKENS */
    uint32_t n_tokens;
    int status;            /* HTTP status of the head; 0: no head yet */
    bool failed;           /* an error event, or a status of 400 and above */
    char code[40];         /* of that error */
    char finish[24];       /* finish_reason of an end event */
    bool done;             /* the call is over */
    enum load_outcome how; /* how it ended */
    char body[1024];       /* the beginning of an answer that is not a stream */
    bool watched;          /* load_run() stops when something arrives */
};

/* Closes a kept connection and clears *a. The call must be done or never started. */
void ask_reset(struct ask *a);

/* Sends a job. headers: additional lines, each ending with \r\n; NULL: none. */
int ask_job(struct ask *a, struct load *l, const struct target *t, const struct target_prompt *p,
    const char *headers, struct orcd_error *err);
/* Sends any request to a target, or to a URL. Uses a->conn unless it is NULL. body NULL: none. */
int ask_path(struct ask *a, struct load *l, const struct target *t, const char *method, const char *path,
    const char *body, struct orcd_error *err);

int ask_url(struct ask *a, struct load *l, const char *url, const char *method, const char *path,
    const char *body, struct orcd_error *err);

enum ask_point { ASK_HEAD, ASK_STARTED, ASK_TOKEN, ASK_END, ASK_DONE };
/* Runs the load until `what` has arrived (ASK_TOKEN: n tokens). False: the time is over, or the call
 * ended without it. */
bool ask_until(struct ask *a, enum ask_point what, uint32_t n, uint64_t timeout_ms);
/* Runs the load until until_ns. */
void ask_pass(struct load *l, uint64_t until_ns);
/* Closes the call and waits for its end. Returns the time just before the close. */
uint64_t ask_close(struct ask *a, enum load_close how);

#endif
