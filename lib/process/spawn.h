/*
 * Starts another program as a child: in its own process group (so Ctrl-C in the terminal
 * reaches the parent only), with no signal blocked, with the default actions of SIGINT,
 * SIGTERM and all that signals_open ignores, and with the descriptors that the caller chooses.
 *
 * The child also inherits every other descriptor of the parent that has no O_CLOEXEC.
 *
 * 1. spawn_child. It returns when the program runs or could not be started.
 * 2. spawn_wait, once. Until then no other process gets its pid.
 *
 * Any thread may call these functions; one thread waits for each child.
 */
#ifndef ORCD_PROCESS_SPAWN_H
#define ORCD_PROCESS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#define SPAWN_NULL (-1) /* /dev/null, to read */
#define SPAWN_KEEP (-2) /* the parent's descriptor of that number, if open and without O_CLOEXEC */
#define SPAWN_MAX_FDS 16

struct spawn_params {
    const char *path;         /* without a '/' it is searched in PATH */
    const char *const *words; /* its argv, ended by NULL */
    char *const *environment; /* NULL: the parent's */
    /* fds[i] becomes the child's descriptor i: a descriptor of the parent, which stays open there, or
     * one of the constants above. */
    const int *fds;
    size_t n_fds;
    bool dies_with_thread; /* SIGKILL when the thread that called spawn_child ends */
};

/* Errors: NOT_FOUND, PERMISSION, IO; then there is no child. */
int spawn_child(const struct spawn_params *p, pid_t *pid, struct orcd_error *err);
/* Waits until the child ends; *status is that of waitpid(2). False: pid is not a child of this
 * process. */
bool spawn_wait(pid_t pid, int *status);

#endif
