/* What the files of the worker share; nobody else includes this. */
#ifndef ORCD_WORKER_PARTS_H
#define ORCD_WORKER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "chat/chat.h"
#include "engine/engine.h"
#include "api/api.h"
#include "http/server.h"
#include "model/model.h"
#include "health.h"
#include "plugin/host.h"
#include "worker.h"

/*
 * Owned by the main thread; while `loader_running`, the loader thread owns plugin,
 * backend, tokenizer and load_error, and main reads only the atomics.
 */
struct worker {
    const struct config *config;
    const struct worker_hooks *hooks;
    char **api_keys;
    size_t n_api_keys;
    char *callback_secret;

    struct plugin *plugin;
    struct model *model; /* NULL: the plugin needs none */
    struct tokenizer *tokenizer;
    struct chat_template *chat; /* beside the tokenizer */
    struct backend *backend;
    struct engine *engine;
    struct health *health;
    struct api *api;
    struct http_server *http;
    uint32_t n_ctx; /* tokens of a slot */

    pthread_t loader;
    bool loader_running;
    atomic_bool load_stop;              /* main -> loader: give up */
    atomic_bool vocab_failed;           /* vocabulary thread -> loader: the load is in vain */
    atomic_bool load_done;              /* loader -> main: load_status and load_error may be read */
    atomic_uint load_permille;          /* for the supervisor */
    atomic_uint_fast64_t load_moved_ns; /* when a phase ended or progress was told last */
    uint64_t load_started_ns, progress_told_ns;
    double http_ms;                        /* process start to listening */
    double device_ms, load_ms, warm_up_ms; /* valid when load_done */
    int load_status;                       /* 0 or ORCD_E_ */
    struct orcd_error load_error;

    int wake_fd; /* eventfd: load_done or shutdown_asked changed */
    int signal_fd;
    atomic_bool shutdown_asked; /* by POST /v2/shutdown */
    bool shutting_down;
};

/* Opens plugin and model file, reads keys, settles n_ctx: whatever can be refused
 * before anybody is told that we listen. Returns an exit status. */
int worker_prepare(struct worker *w, struct orcd_error *err);
/* Starts the loader thread. */
int worker_load_start(struct worker *w, struct orcd_error *err);
/* Tells worker.callback_url that we are ready, on a thread of its own. */
void worker_callback_start(struct worker *w);
/* Drains, aborts, flushes, frees. Returns the exit status; may end the process. */
int worker_shutdown(struct worker *w, int status);

#endif
