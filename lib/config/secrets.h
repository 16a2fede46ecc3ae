/* Files that hold secrets: API keys, the callback's secret. No state: any thread. */
#ifndef ORCD_CONFIG_SECRETS_H
#define ORCD_CONFIG_SECRETS_H

#include <stddef.h>

#include "base/error.h"

#define SECRETS_MAX 256

/* The whole text of such a file, malloc'ed; secrets_text_free() erases and frees it. The file must be a
 * regular file (else INVALID), owned by root or the process's user and without access for others, nor for
 * its group, which may only read a file of root's (else PERMISSION). */
int secrets_text(const char *path, char **text, size_t *bytes, struct orcd_error *err);
void secrets_text_free(char *text, size_t bytes); /* text may be NULL */

/* The secrets in such a file: the first word of each line (16 to 512 printable characters); blank lines and
 * lines that begin with # are skipped. The array is malloc'ed; secrets_free frees it. Messages never contain
 * a secret. */
int secrets_read(const char *path, char ***secrets, size_t *n, struct orcd_error *err);
void secrets_free(char **secrets, size_t n); /* erases them first; secrets may be NULL */

#endif
