/*
 * Starts another program as a child: in a process group of its own (the terminal's Ctrl-C
 * is ours), with no signal blocked, with SIGINT, SIGTERM and SIGPIPE as they are by
 * default, and with descriptors in their places.
 *
 * Descriptors of ours that are not to stay open in children have O_CLOEXEC.
 *
 * 1. spawn_child. It returns when the program runs, or has failed to.
 * 2. spawn_wait, once. Until then no other process gets its pid.
 *
 * Any thread may call; each child is waited for by one thread.
 */
#ifndef ORCD_PROCESS_SPAWN_H
#define ORCD_PROCESS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#define SPAWN_NULL (-1) /* /dev/null, to read */
#define SPAWN_KEEP (-2) /* ours of that number, if it is open and has no O_CLOEXEC */
#define SPAWN_MAX_FDS 16

struct spawn_params {
    const char *path;         /* without a '/' it is looked for in PATH */
    const char *const *words; /* its argv, ended by NULL */
    char *const *environment; /* NULL: ours */
    /* What becomes its descriptors 0, 1, 2, ...: descriptors of ours, which stay ours, in any order,
     * or one of the above. */
    const int *fds;
    size_t n_fds;
    bool dies_with_thread; /* SIGKILL when the thread that called spawn_child ends */
};

/* Errors: NOT_FOUND, PERMISSION, IO; then there is no child. */
int spawn_child(const struct spawn_params *p, pid_t *pid, struct orcd_error *err);
/* Waits for its end; *status is that of waitpid(2). False: it is no child of ours. */
bool spawn_wait(pid_t pid, int *status);

#endif
