/*
 * A private worker: this program again, as `orcd serve`, on a unix socket in a folder that only the
 * user may enter. It stops when its lifeline, a pipe held by this process, closes. That happens also
 * when this process is killed.
 *
 * 1. private_worker_start.
 * 2. Requests to w->url.
 * 3. private_worker_stop, also after a failed start.
 *
 * The main thread makes all calls.
 */
#ifndef ORCD_CLI_PRIVATE_WORKER_H
#define ORCD_CLI_PRIVATE_WORKER_H

#include <sys/types.h>

#include "cli.h"

struct private_worker {
    pid_t pid;
    int lifeline_fd, output_fd;
    char dir[128], url[160];
};

/* Starts a worker with the configuration options of a, and with model unless it is NULL. Waits until
 * it is ready. Returns 0, or an exit status after an error was printed, by the worker or here; or
 * 128 + SIGINT once wake_fd is readable. */
int private_worker_start(struct private_worker *w, const struct cli_args *a, const char *model, int wake_fd);
/* Stops the worker, waits for its end and removes its folder. A *w of zeros with both descriptors -1
 * is accepted too. */
void private_worker_stop(struct private_worker *w);

#endif
