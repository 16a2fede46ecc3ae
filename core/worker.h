/* Runs one worker, from its configuration to the exit status of the process. */
#ifndef ORCD_WORKER_H
#define ORCD_WORKER_H

#include "config-table.h"

/* The worker calls these while it starts; each may be NULL. */
struct worker_hooks {
    /* Main thread: the worker listens, and loading goes on. */
    void (*listening)(const char *url, void *arg);
    /* Loader thread, at most 20 times a second: load progress, 0..1. */
    void (*progress)(double fraction, void *arg);
    /* Main thread: the model is loaded. */
    void (*ready)(const char *url, double load_seconds, void *arg);
    void *arg;
    int stop_fd; /* readable or closed: shut down; -1: signals only */
};

/* The exit status if the plugin did not return within shutdown.grace_ms: the first number
 * after those of sysexits.h, so that it means nothing else. */
#define WORKER_EXIT_HUNG 79

/* Runs until SIGTERM, SIGINT, POST /v2/shutdown or stop_fd. Returns a sysexits.h status; if
 * it is not 0, err has the reason. On the main thread, once per process: it takes over the
 * signals, and it ends the process if the plugin hangs during the shutdown or a second
 * signal arrives. */
int worker_run(const struct config *config, const struct worker_hooks *hooks, struct orcd_error *err);

#endif
