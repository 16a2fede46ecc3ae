/*
 * A server under test: a worker of ours that is started for a case with the settings
 * that the case wants, a peer that is started by a command, or one that runs already.
 */
#ifndef ORCD_BENCH_TARGET_H
#define ORCD_BENCH_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum target_api { TARGET_ORCD, TARGET_OPENAI, TARGET_LLAMACPP };

/* From --target:  orcd-mock | orcd-cpu | orcd-PLUGIN | NAME=openai:http://host:port |
 * NAME=llama.cpp:http://host:port | NAME=llama.cpp:exec:COMMAND with {port} and {model} */
struct target_kind {
    char name[32];
    enum target_api api;
    const char *plugin;  /* of ours; NULL: not ours */
    const char *url;     /* runs already; NULL */
    const char *command; /* to start; NULL */
};
int target_parse(struct target_kind *k, const char *text, struct orcd_error *err);

struct target;

struct target_params {
    const char *const *settings; /* "model.slots=1", ...; NULL-terminated; NULL. Ours only */
    const char *model;           /* NULL: none */
    bool keep_log;               /* its standard error, for target_log() */
};

/* Starts and waits until /health says ready. UNSUPPORTED: settings were given and the
 * server is not ours. The worker of ours is this very program (/proc/self/exe serve). */
int target_start(struct target **out, const struct target_kind *kind, const struct target_params *p,
    struct orcd_error *err);
/* The same, but returns at once after the fork; `target_wait_ready` follows. */
int target_spawn(struct target **out, const struct target_kind *kind, const struct target_params *p,
    struct orcd_error *err);
int target_wait_ready(struct target *t, uint64_t timeout_ms, struct orcd_error *err);
/* SIGTERM, then SIGKILL after 10 s; frees. Takes NULL. Returns the exit status, -1: unknown. */
int target_stop(struct target *t);

/* Waits for a server that was started here to end by itself (or by a signal of the
 * case's): the time when it had, and its status: of exit, or 128 + signal. BUSY: it
 * runs still. Threads: one at a time; others may use the target meanwhile. */
int target_wait_exit(
    struct target *t, uint64_t timeout_ms, uint64_t *exited_ns, int *status, struct orcd_error *err);

const char *target_url(const struct target *t);
enum target_api target_api(const struct target *t);
pid_t target_pid(const struct target *t); /* 0: not started by us */
struct target_times {
    uint64_t spawned_ns, listening_ns, ready_ns; /* monotonic: fork, first connection accepted, first 200 */
};
void target_times(const struct target *t, struct target_times *out);
const char *target_log(const struct target *t); /* what it wrote to standard error so far */

/* From /proc; 0 where unknown. */
uint64_t target_rss_bytes(const struct target *t);
uint64_t target_cpu_ns(const struct target *t); /* user and system, all threads */
unsigned target_fds(const struct target *t);
/* One sample of GET /metrics, labels in the name: `orcd_requests_total{outcome="stop"}`.
 * NAN: not there. */
double target_metric(const struct target *t, const char *name);
/* The same from a text that was fetched with target_metrics (malloc'ed). */
char *target_metrics(const struct target *t);
double target_metric_of(const char *text, const char *name);

/* The request that asks this kind of server for a streamed completion. Buffers belong to
 * the request; release frees. */
struct target_prompt {
    const char *job_id; /* ours only */
    const char *text;
    uint32_t n_tokens; /* > 0: a prompt of so many tokens (ids) in place of text, never the same twice */
    uint64_t salt;     /* ... made from this */
    uint32_t max_tokens;
    bool stream, timestamps; /* timestamps: tokens carry when they were sampled (ours) */
    const char *params;      /* further members of "params", `"seed":1`; NULL */
};
struct target_request {
    const char *path;
    char *body;
    size_t n_body;
};
int target_request(struct target_request *out, const struct target *t, const struct target_prompt *p,
    struct orcd_error *err);
void target_request_release(struct target_request *r);

#endif
