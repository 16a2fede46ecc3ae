/*
 * Somebody who watches the clock while a daemon ends: a thread that ends the process
 * shortly before the grace is over, or at once on a second SIGTERM or SIGINT.
 *
 * 1. shutdown_watch_start when the end begins.
 * 2. The daemon winds down. shutdown_watch_left_ms says how long a step may take, and
 *    shutdown_watch_leave ends the process when a step cannot be waited for.
 * 3. shutdown_watch_stop when all is freed.
 *
 * The thread that ends the daemon owns the watch and makes all calls; meanwhile only the
 * watch reads the signals' descriptor.
 */
#ifndef ORCD_PROCESS_SHUTDOWN_WATCH_H
#define ORCD_PROCESS_SHUTDOWN_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct shutdown_watch {
    /* Set by the caller before shutdown_watch_start. */
    uint64_t grace_ms;
    int signal_fd;    /* of signals_open */
    int late_status;  /* the process's exit status when the grace is over, */
    const char *late; /* and what the log says then */
    /* The watch's own. */
    uint64_t began_ns;
    pthread_t thread;
    bool runs;
    atomic_bool done;
};

void shutdown_watch_start(struct shutdown_watch *w);
/* What is left of the first until_ms of the end; 0: nothing. */
uint64_t shutdown_watch_left_ms(const struct shutdown_watch *w, uint64_t until_ms);
double shutdown_watch_elapsed_ms(const struct shutdown_watch *w);
/* Logs why, tells the supervisor, ends the process. The watch's thread may call it too. */
_Noreturn void shutdown_watch_leave(const struct shutdown_watch *w, int status, const char *why);
void shutdown_watch_stop(struct shutdown_watch *w);

#endif
