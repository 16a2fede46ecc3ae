#include "config/read-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads to the end; stops with an error at one byte more than is allowed. */
static int read_all(int fd, const char *path, char *buf, size_t *have, struct orcd_error *err)
{
    while (*have <= READ_FILE_BYTES_MAX) {
        ssize_t got = read(fd, buf + *have, READ_FILE_BYTES_MAX + 1 - *have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, ORCD_E_IO, errno, "%s", path);
        if (got == 0)
            return 0;
        *have += (size_t)got;
    }
    return error_set(err, ORCD_E_INVALID, "%s: larger than %d bytes", path, READ_FILE_BYTES_MAX);
}

int read_file(const char *path, int (*check)(int fd, const char *path, struct orcd_error *err), char **text,
    size_t *n, struct orcd_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | (check ? O_NONBLOCK : 0));
    if (fd < 0) {
        int code = errno == ENOENT ? ORCD_E_NOT_FOUND : errno == EACCES ? ORCD_E_PERMISSION : ORCD_E_IO;
        return error_set_errno(err, code, errno, "%s", path);
    }
    char *buf = malloc(READ_FILE_BYTES_MAX + 2);
    size_t have = 0;
    int rc = buf ? 0 : error_set(err, ORCD_E_NOMEM, "out of memory");
    if (rc == 0 && check)
        rc = check(fd, path, err);
    if (rc == 0)
        rc = read_all(fd, path, buf, &have, err);
    close(fd);
    if (rc) {
        if (buf)
            explicit_bzero(buf, have);
        free(buf);
        return rc;
    }
    buf[have] = 0;
    *text = buf;
    *n = have;
    return 0;
}
