/* One worker wired together: configuration in, exit status out. */
#ifndef ORCD_WORKER_H
#define ORCD_WORKER_H

#include "config-table.h"

struct worker_hooks {
    /* The address is known, loading goes on. Main thread. NULL: none. */
    void (*listening)(const char *url, void *arg);
    /* Load progress, 0..1. Loader thread, at most 20 times a second. */
    void (*progress)(double fraction, void *arg);
    void (*ready)(const char *url, double load_seconds, void *arg);
    void *arg;
    int stop_fd; /* readable or closed: shut down; -1: signals only */
};

/* Exit status when the plugin did not let go within shutdown.grace_ms: the first one
 * beyond those of sysexits.h, so that nothing else has it. */
#define WORKER_EXIT_HUNG 79

/* Runs until SIGTERM, SIGINT, POST /v2/shutdown or stop_fd. Returns a sysexits.h
 * status; err says why when it is not 0. Once per process: it takes over the signals
 * and, when the plugin hangs at the end or a second signal comes, ends the process. */
int worker_run(const struct config *config, const struct worker_hooks *hooks, struct orcd_error *err);

#endif
