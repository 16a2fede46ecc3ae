/* Files that hold secrets: API keys, the callback's secret. No state: any thread. */
#ifndef ORCD_CONFIG_SECRETS_H
#define ORCD_CONFIG_SECRETS_H

#include <stddef.h>

#include "base/error.h"

#define SECRETS_MAX 256

/* One secret a line (16 to 512 printable characters without spaces); blank lines and
 * lines that begin with # are skipped. The file must be a regular file (else INVALID), owned
 * by root or the process's user and without access for group or others (else PERMISSION).
 * The array is malloc'ed; secrets_free frees it. Messages never contain a secret. */
int secrets_read(const char *path, char ***secrets, size_t *n, struct orcd_error *err);
void secrets_free(char **secrets, size_t n); /* erases them first; secrets may be NULL */

#endif
