/*
 * A worker of one's own: this program again, as `orcd serve` on a unix socket in a
 * folder that only we may enter. It ends when its lifeline, a pipe that we hold, closes,
 * which also happens when we are killed.
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

/* Starts one with the configuration options of a and waits until it is ready or fd
 * wake_fd becomes readable. Returns 0, or an exit status; the worker has said why. */
int private_worker_start(struct private_worker *w, const struct cli_args *a, const char *model, int wake_fd);
/* Ends it and removes its folder; takes one that was never started. */
void private_worker_stop(struct private_worker *w);

#endif
