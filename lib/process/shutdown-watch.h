/*
 * A thread that watches the clock while a daemon shuts down: it ends the process shortly
 * before the grace is over, or at once on a second SIGTERM or SIGINT.
 *
 * 1. shutdown_watch_start when the shutdown begins.
 * 2. The daemon shuts down step by step. shutdown_watch_left_ms returns how long a step may
 *    take, and shutdown_watch_leave ends the process when a step cannot be waited for.
 * 3. shutdown_watch_stop when everything is freed.
 *
 * The thread that shuts the daemon down owns the watch and makes all calls. Between start
 * and stop only the watch's thread reads signal_fd.
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
    int late_status;  /* the exit status when the grace is over, */
    const char *late; /* and the reason that is logged then */
    /* Private to the watch. */
    uint64_t began_ns;
    pthread_t thread;
    bool runs;
    atomic_bool done;
};

void shutdown_watch_start(struct shutdown_watch *w);
/* How much is left of the first until_ms after shutdown_watch_start; 0: nothing. */
uint64_t shutdown_watch_left_ms(const struct shutdown_watch *w, uint64_t until_ms);
double shutdown_watch_elapsed_ms(const struct shutdown_watch *w);
/* Logs why, notifies systemd and ends the process. The watch's thread may call it too. */
_Noreturn void shutdown_watch_leave(const struct shutdown_watch *w, int status, const char *why);
void shutdown_watch_stop(struct shutdown_watch *w);

#endif
