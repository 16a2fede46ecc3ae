/* What moving a file's bytes costs with nothing else to do: the measure of a model load. */
#ifndef ORCD_BENCH_CASES_FILE_COPY_H
#define ORCD_BENCH_CASES_FILE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct file_copy {
    int fd;
    uint64_t bytes;
};

int file_copy_open(struct file_copy *f, const char *path, struct orcd_error *err);
void file_copy_close(struct file_copy *f); /* takes one that was never opened, fd -1 */
/* Touches as much free memory as a load takes and gives it back: in a virtual machine the
 * host may have taken free pages away, and whoever comes first pays for their return. */
void file_copy_back_memory(const struct file_copy *f);
/* Bytes a second of copying the mapped file into memory that is new to the process, on
 * as many threads as there are processors. 0: no memory. */
double file_copy_speed(const struct file_copy *f);
/* Asks the system to forget what it holds of the file. False: it still has most of it. */
bool file_copy_evict(const struct file_copy *f);

#endif
