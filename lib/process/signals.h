/*
 * The signals of a daemon, read from a descriptor instead of caught.
 *
 * 1. signals_open, on the main thread before there is another: SIGTERM, SIGINT and SIGHUP
 *    are blocked, and all threads inherit that. Signals that would end the process for nothing
 *    (SIGPIPE, SIGXFSZ, SIGUSR1, SIGALRM and their kind) are ignored.
 * 2. signals_next when the descriptor is readable, by one thread at a time.
 * 3. close, when the process is about to end. The signals stay blocked.
 */
#ifndef ORCD_PROCESS_SIGNALS_H
#define ORCD_PROCESS_SIGNALS_H

#include <sys/types.h>

#include "base/error.h"

int signals_open(int *fd, struct orcd_error *err);
/* The next pending signal; 0: none. *from (NULL: not wanted) is set to its sender. */
int signals_next(int fd, pid_t *from);
/* In a child, between fork and exec: undoes signals_open. Safe there. */
void signals_default(void);

#endif
