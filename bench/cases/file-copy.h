/*
 * The cost of only copying a file, as a reference for loading a model from it.
 *
 * file_copy_open, the functions below as often as wanted, file_copy_close. One thread calls them;
 * file_copy_speed starts threads of its own and waits for them.
 */
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
void file_copy_close(struct file_copy *f); /* accepts one that was never opened, with fd -1 */
/* Allocates and touches as much memory as a load needs, and frees it: in a virtual machine the host may
 * have taken free pages away, and the first to use them would pay for their return. */
void file_copy_back_memory(const struct file_copy *f);
/* Bytes per second of copying the mapped file into memory that is new to the process, on as many threads
 * as there are processors. 0: out of memory. */
double file_copy_speed(const struct file_copy *f);
/* Asks the system to drop its cached pages of the file. False: most of them are still cached. */
bool file_copy_evict(const struct file_copy *f);

#endif
