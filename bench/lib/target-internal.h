/* Shared by the files of a target (target*.c). */
#ifndef ORCD_BENCH_TARGET_INTERNAL_H
#define ORCD_BENCH_TARGET_INTERNAL_H

#include <stddef.h>

#include "lib/target.h"

struct target {
    struct target_kind kind;
    struct target_times times;
    char url[300];
    char model_id[128]; /* the name of the model in an OpenAI server */
    pid_t pid;
    int pid_fd;          /* readable when the server has ended; -1: none */
    int out_fd, log_fd;  /* its standard output (workers of orcd only); the file with the rest; -1: none */
    bool keep_log, gone; /* gone: the server has ended, and status is valid */
    int status;
    char line[512]; /* the beginning of a line of its standard output */
    size_t n_line;
    char *log;
};

/* Starts the program; words ends with NULL. The standard output of a worker of orcd is a pipe, all other
 * output goes to the log. */
int target_exec(struct target *t, const char *path, const char *const *words, struct orcd_error *err);
/* From here on the log cannot grow, unless keep_log is set. */
void target_log_seal(struct target *t);
/* Whether the server has ended; then t->status is valid. Waits up to timeout_ms; -1: no limit. */
bool target_ended(struct target *t, int timeout_ms);
/* Sends a GET. Returns the HTTP status, or a negative error code. body may be NULL; else *body is
 * malloc'ed. */
int target_get(const struct target *t, const char *path, int timeout_ms, char **body);

#endif
