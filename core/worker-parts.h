/* What the worker-*.c files share; no other file includes this. */
#ifndef ORCD_WORKER_PARTS_H
#define ORCD_WORKER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "chat/chat.h"
#include "engine/engine.h"
#include "api/api.h"
#include "http/server.h"
#include "model/model.h"
#include "health.h"
#include "plugin/host.h"
#include "worker.h"

/*
 * The main thread owns it. While `loader_running`, the loader thread owns plugin, backend,
 * tokenizer, chat and load_error, and the main thread reads only the atomics.
 */
struct worker {
    const struct config *config;
    const struct worker_hooks *hooks;
    char *keys_text; /* of the file of API keys, until the server has it; NULL: none */
    size_t keys_bytes;
    struct stat keys_read, keys_seen; /* the file as it was when it was read, and at the last look */
    char *callback_secret;

    struct plugin *plugin;
    struct model *model; /* NULL: the plugin needs none */
    struct tokenizer *tokenizer;
    struct chat_template *chat; /* made with the tokenizer */
    struct backend *backend;
    struct engine *engine;
    struct health *health;
    struct api *api;
    struct http_server *http;
    uint32_t n_ctx; /* tokens of a slot */

    pthread_t loader;
    bool loader_running;
    atomic_bool load_stop;              /* main -> loader: stop loading */
    atomic_bool vocab_failed;           /* vocabulary thread -> loader: stop loading, it would be useless */
    atomic_bool load_done;              /* loader -> main: load_status and load_error may be read */
    atomic_uint load_permille;          /* progress, for systemd's status line */
    atomic_uint_fast64_t load_moved_ns; /* when the load last ended a phase or made progress */
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

/* Opens the plugin and the model file, reads key files, determines n_ctx: finds every error
 * that can be found before the worker listens. Returns an exit status. */
int worker_prepare(struct worker *w, struct orcd_error *err);
/* The text of the file of API keys, malloc'ed (secrets_text_free); NULL: none is configured. */
int worker_keys_read(struct worker *w, char **text, size_t *bytes, struct orcd_error *err);
/* SIGHUP: reads them again. On failure they stay as they were, and the log says why. */
void worker_keys_hangup(struct worker *w);
/* At each tick: reads them again if the file has changed, and is no longer written. */
void worker_keys_watch(struct worker *w);
/* Starts the loader thread. */
int worker_load_start(struct worker *w, struct orcd_error *err);
/* Notifies worker.callback_url that the worker is ready, on a thread of its own. */
void worker_callback_start(struct worker *w);
/* Drains, aborts the remaining jobs, sends their last events, frees everything. Returns the
 * exit status; may end the process. */
int worker_shutdown(struct worker *w, int status);

#endif
