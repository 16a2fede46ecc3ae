/* What the files of a target share. */
#ifndef ORCD_BENCH_TARGET_INTERNAL_H
#define ORCD_BENCH_TARGET_INTERNAL_H

#include <stddef.h>

#include "lib/target.h"

struct target {
    struct target_kind kind;
    struct target_times times;
    char url[300];
    char model_id[128]; /* what an OpenAI server calls its model */
    pid_t pid;
    int pid_fd;          /* readable when it has ended; -1 */
    int out_fd, log_fd;  /* its standard output (ours only); the file with the rest; -1 */
    bool keep_log, gone; /* gone: waited for, status is known */
    int status;
    char line[512]; /* of its standard output, not whole yet */
    size_t n_line;
    char *log;
};

/* Starts the program: words is ended by NULL. A server of ours gets a pipe for its
 * standard output; everything else goes to the log. */
int target_exec(struct target *t, const char *path, const char *const *words, struct orcd_error *err);
/* From here on its log may not grow, unless it is to be kept. */
void target_log_seal(struct target *t);
/* Ended? Then its status is known afterwards. timeout_ms -1: wait. */
bool target_ended(struct target *t, int timeout_ms);
/* One GET. The status, or negative; *body (malloc'ed) may be NULL. */
int target_get(const struct target *t, const char *path, int timeout_ms, char **body);

#endif
