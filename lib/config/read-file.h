/* Reads small files whole, up to a limit. No state: any thread. */
#ifndef ORCD_CONFIG_READ_FILE_H
#define ORCD_CONFIG_READ_FILE_H

#include <stddef.h>

#include "base/error.h"

#define READ_FILE_BYTES_MAX 65536

/* The whole file, malloc'ed and NUL-terminated. check (NULL: none) may refuse the open
 * descriptor before a byte is read; with check, opening a FIFO does not wait for a writer.
 * NOT_FOUND, PERMISSION, IO; INVALID: more than READ_FILE_BYTES_MAX. On failure the bytes
 * read so far are erased. */
int read_file(const char *path, int (*check)(int fd, const char *path, struct orcd_error *err), char **text,
    size_t *n, struct orcd_error *err);

#endif
