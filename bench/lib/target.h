/*
 * A target: a server under test. It is a worker of orcd, started for a case with the settings of the
 * case; or a peer (another server), started by a command or already running.
 *
 * 1. target_parse, once for each --target.
 * 2. target_start; or target_spawn and target_wait_ready.
 * 3. Requests to target_url; the figures below.
 * 4. target_stop.
 *
 * One thread, but for target_wait_exit.
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
    const char *plugin;  /* of a worker of orcd; NULL: a peer */
    const char *url;     /* of a peer that already runs; else NULL */
    const char *command; /* that starts a peer; else NULL */
};
int target_parse(struct target_kind *k, const char *text, struct orcd_error *err);

struct target;

struct target_params {
    const char *const *settings; /* "model.slots=1", ..., NULL; for workers of orcd only. NULL: none */
    const char *model;           /* NULL: none */
    bool keep_log;               /* keep its standard error, for target_log() */
};

/* Starts the server and waits until it is ready. A worker of orcd is this program (/proc/self/exe
 * serve). UNSUPPORTED: settings for a peer. */
int target_start(struct target **out, const struct target_kind *kind, const struct target_params *p,
    struct orcd_error *err);
/* The same, but returns at once after the start; target_wait_ready must follow. */
int target_spawn(struct target **out, const struct target_kind *kind, const struct target_params *p,
    struct orcd_error *err);
int target_wait_ready(struct target *t, uint64_t timeout_ms, struct orcd_error *err);
/* Sends SIGTERM, after 10 s SIGKILL, and frees the target; accepts NULL. Returns the exit status, -1:
 * unknown. */
int target_stop(struct target *t);

/* Waits until a server that was started here ends by itself or by a signal that the case sent. Sets the
 * time of its end and its status: that of exit, or 128 + signal. BUSY: it is still running. One thread
 * may call this while another one uses the target. */
int target_wait_exit(
    struct target *t, uint64_t timeout_ms, uint64_t *exited_ns, int *status, struct orcd_error *err);

const char *target_url(const struct target *t);
enum target_api target_api(const struct target *t);
pid_t target_pid(const struct target *t); /* 0: not started here */
struct target_times {
    uint64_t spawned_ns, listening_ns, ready_ns; /* monotonic: start, first connection accepted, first 200 */
};
void target_times(const struct target *t, struct target_times *out);
const char *target_log(const struct target *t); /* its standard error so far */

/* From /proc; 0: unknown. */
uint64_t target_rss_bytes(const struct target *t);
uint64_t target_cpu_ns(const struct target *t); /* user and system, all threads */
unsigned target_fds(const struct target *t);
/* One sample of GET /metrics. The name includes labels: `orcd_requests_total{outcome="stop"}`. NAN:
 * no such sample. */
double target_metric(const struct target *t, const char *name);
/* The same from the text of target_metrics, which is malloc'ed. */
char *target_metrics(const struct target *t);
double target_metric_of(const char *text, const char *name);

/* The request for a completion, in the form that this kind of server expects. Its buffers belong to the
 * request; target_request_release frees them. */
struct target_prompt {
    const char *job_id; /* for workers of orcd only */
    const char *text;
    uint32_t n_tokens; /* > 0: a prompt of this many token ids in place of text, ... */
    uint64_t salt;     /* ... drawn from this salt, so that no two prompts are the same */
    uint32_t max_tokens;
    bool stream, timestamps; /* timestamps: tokens carry the time when they were sampled (orcd only) */
    const char *params;      /* additional members of "params", `"seed":1`; NULL: none */
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
