#include "config/secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/read-file.h"

#define SECRET_MIN 16
#define SECRET_BYTES_MAX 512

static int check_owner(int fd, const char *path, struct orcd_error *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return error_set_errno(err, ORCD_E_IO, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ORCD_E_INVALID, "%s: not a regular file", path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return error_set(
            err, ORCD_E_PERMISSION, "%s: must be owned by root or by the user that runs this program", path);
    if (st.st_mode & (st.st_uid == 0 ? 037 : 077))
        return error_set(err, ORCD_E_PERMISSION,
            "%s: mode %04o gives access to group or others; must be 0600 or stricter (chmod 600), or 0640 if "
            "root owns it",
            path, (unsigned)(st.st_mode & 07777));
    return 0;
}

static int add(char ***list, size_t *n, const char *path, unsigned line, const char *p, size_t len,
    struct orcd_error *err)
{
    if (len < SECRET_MIN || len > SECRET_BYTES_MAX)
        return error_set(err, ORCD_E_INVALID, "%s:%u: a key must have %d to %d characters", path, line,
            SECRET_MIN, SECRET_BYTES_MAX);
    for (size_t i = 0; i < len; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return error_set(
                err, ORCD_E_INVALID, "%s:%u: a key must be printable characters without spaces", path, line);
    if (*n == SECRETS_MAX)
        return error_set(
            err, ORCD_E_INVALID, "%s:%u: the file must hold at most %d keys", path, line, SECRETS_MAX);
    (*list)[*n] = strndup(p, len);
    if (!(*list)[*n])
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    ++*n;
    return 0;
}

static int split(
    const char *text, size_t bytes, const char *path, char ***list, size_t *n, struct orcd_error *err)
{
    unsigned line = 1;
    for (const char *p = text, *end = text + bytes; p < end; line++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((eol ? eol : end) - p);
        while (len && (p[len - 1] == ' ' || p[len - 1] == '\r' || p[len - 1] == '\t'))
            len--;
        if (len && *p != '#') {
            for (size_t i = 0; i < len; i++)
                if (p[i] == ' ' || p[i] == '\t')
                    len = i;
            int rc = add(list, n, path, line, p, len, err);
            if (rc)
                return rc;
        }
        p = eol ? eol + 1 : end;
    }
    return *n ? 0 : error_set(err, ORCD_E_INVALID, "%s: contains no key", path);
}

int secrets_text(const char *path, char **text, size_t *bytes, struct orcd_error *err)
{
    return read_file(path, check_owner, text, bytes, err);
}

void secrets_text_free(char *text, size_t bytes)
{
    if (text)
        explicit_bzero(text, bytes);
    free(text);
}

int secrets_read(const char *path, char ***secrets, size_t *n, struct orcd_error *err)
{
    char *text, **list = NULL;
    size_t bytes, found = 0;
    int rc = secrets_text(path, &text, &bytes, err);
    if (rc)
        return rc;
    list = calloc(SECRETS_MAX, sizeof(*list));
    rc = list ? split(text, bytes, path, &list, &found, err) : error_set(err, ORCD_E_NOMEM, "out of memory");
    secrets_text_free(text, bytes);
    if (rc) {
        secrets_free(list, found);
        return rc;
    }
    *secrets = list;
    *n = found;
    return 0;
}

void secrets_free(char **secrets, size_t n)
{
    for (size_t i = 0; secrets && i < n; i++) {
        explicit_bzero(secrets[i], strlen(secrets[i]));
        free(secrets[i]);
    }
    free(secrets);
}
