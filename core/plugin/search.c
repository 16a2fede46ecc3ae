/*
 * Finds the file of a plugin. The file that is checked is the file that is loaded: the directory is
 * opened once and checked through its descriptor; the file is opened relative to it, without following
 * a link, and checked through its own descriptor; the loader later opens that descriptor. Renaming or
 * replacing a file or directory in between changes nothing. Since only root and the user that orcd runs
 * as may write to the file, its contents can be trusted, too.
 */
#include "plugin/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

#define SUFFIX ".so"
#define MAX_LISTED 64

static bool name_ok(const char *name, size_t n)
{
    if (n == 0 || n > PLUGIN_MAX_NAME)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '-'))
            return false;
    return true;
}

const char *plugin_default_dir(void)
{
    static _Thread_local char dir[PATH_MAX + 64];
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n <= 0)
        return ORCD_PLUGIN_DIR;
    exe[n] = 0;
    char *slash = strrchr(exe, '/');
    if (!slash)
        return ORCD_PLUGIN_DIR;
    *slash = 0;
    snprintf(dir, sizeof(dir), "%s/config.status", exe);
    if (access(dir, F_OK) == 0) {
        snprintf(dir, sizeof(dir), "%s/plugins", exe);
        return dir;
    }
    snprintf(dir, sizeof(dir), "%s/../lib/orcd/plugins", exe);
    return access(dir, F_OK) == 0 ? dir : ORCD_PLUGIN_DIR;
}

/* The file must be owned by root or by the user that orcd runs as, and no other user may write to it. */
static int check_owner(const struct stat *st, const char *path, struct orcd_error *err)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return error_set(err, ORCD_E_PERMISSION,
            "%s is owned by user %u; it must be owned by root or by user %u", path, (unsigned)st->st_uid,
            (unsigned)geteuid());
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return error_set(err, ORCD_E_PERMISSION,
            "%s can be written by users other than its owner (mode %03o); run chmod go-w on it", path,
            (unsigned)st->st_mode & 0777);
    return 0;
}

static int open_dir(int *out, const char *dir, struct orcd_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(
            err, errno == ENOENT ? ORCD_E_NOT_FOUND : ORCD_E_IO, errno, "plugin directory %s", dir);
    struct stat st;
    int rc = fstat(fd, &st) ? error_set_errno(err, ORCD_E_IO, errno, "plugin directory %s", dir)
                            : check_owner(&st, dir, err);
    if (rc)
        close(fd);
    else
        *out = fd;
    return rc;
}

/* Writes the names of the plugins in dir to text: "cpu, mock" or "no plugins". */
static void describe(const char *dir, char *text, size_t size)
{
    char **names;
    size_t n, at = 0;
    snprintf(text, size, "no plugins");
    if (plugin_list(dir, &names, &n, NULL))
        return;
    for (size_t i = 0; i < n; i++) {
        if (at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s", i ? ", " : "", names[i]);
        free(names[i]);
    }
    free(names);
}

/* Splits a path into its directory (malloc'ed) and the name in it. */
static int split(const char *path, char **dir, const char **file, struct orcd_error *err)
{
    const char *slash = strrchr(path, '/');
    *file = slash + 1;
    *dir = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    return *dir ? 0 : error_set(err, ORCD_E_NOMEM, "out of memory");
}

static int open_file(int *out, int dir_fd, const char *dir, const char *file, const char *path,
    const char *name, struct orcd_error *err)
{
    /* NONBLOCK: a FIFO must not block here; fstat() below refuses it. */
    int fd = openat(dir_fd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        char there[256];
        describe(dir, there, sizeof(there));
        return error_set(err, ORCD_E_NOT_FOUND, "no plugin %s in %s; it has %s", name, dir, there);
    }
    if (fd < 0 && errno == ELOOP)
        return error_set(
            err, ORCD_E_PERMISSION, "%s is a symbolic link; a plugin must be a regular file", path);
    if (fd < 0)
        return error_set_errno(err, errno == EACCES ? ORCD_E_PERMISSION : ORCD_E_IO, errno, "%s", path);
    struct stat st;
    int rc = 0;
    if (fstat(fd, &st))
        rc = error_set_errno(err, ORCD_E_IO, errno, "%s", path);
    else if (!S_ISREG(st.st_mode))
        rc = error_set(err, ORCD_E_INVALID, "%s is not a regular file", path);
    else
        rc = check_owner(&st, path, err);
    if (rc)
        close(fd);
    else
        *out = fd;
    return rc;
}

int plugin_find(
    int *fd, char **path, const char *dir, const char *name, bool allow_path, struct orcd_error *err)
{
    char *own_dir = NULL, *full = NULL, own_file[PLUGIN_MAX_NAME + sizeof(SUFFIX)];
    const char *file;
    int rc, dir_fd = -1;
    if (strchr(name, '/')) {
        if (!allow_path)
            return error_set(
                err, ORCD_E_PERMISSION, "%s is a path; name a plugin in %s without one", name, dir);
        rc = split(name, &own_dir, &file, err);
        if (rc)
            return rc;
        dir = own_dir;
    } else {
        if (!name_ok(name, strlen(name)))
            return error_set(
                err, ORCD_E_INVALID, "invalid plugin name \"%s\"; a-z, 0-9 and - are allowed", name);
        snprintf(own_file, sizeof(own_file), "%s" SUFFIX, name);
        file = own_file;
    }
    size_t size = strlen(dir) + strlen(file) + 2;
    full = malloc(size);
    if (!full) {
        rc = error_set(err, ORCD_E_NOMEM, "out of memory");
        goto out;
    }
    snprintf(full, size, "%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", file);
    rc = open_dir(&dir_fd, dir, err);
    if (rc)
        goto out;
    rc = open_file(fd, dir_fd, dir, file, full, name, err);
    close(dir_fd);
    if (rc == 0) {
        *path = full;
        full = NULL;
    }
out:
    free(full);
    free(own_dir);
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int plugin_list(const char *dir, char ***names, size_t *n, struct orcd_error *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return error_set_errno(
            err, errno == ENOENT ? ORCD_E_NOT_FOUND : ORCD_E_IO, errno, "plugin directory %s", dir);
    char **list = calloc(MAX_LISTED, sizeof(*list));
    size_t count = 0;
    int rc = list ? 0 : error_set(err, ORCD_E_NOMEM, "out of memory");
    for (struct dirent *e; rc == 0 && count < MAX_LISTED && (e = readdir(d));) {
        size_t len = strlen(e->d_name), suffix = sizeof(SUFFIX) - 1;
        if (len <= suffix || strcmp(e->d_name + len - suffix, SUFFIX) || !name_ok(e->d_name, len - suffix))
            continue;
        list[count] = strndup(e->d_name, len - suffix);
        if (!list[count])
            rc = error_set(err, ORCD_E_NOMEM, "out of memory");
        else
            count++;
    }
    closedir(d);
    if (rc) {
        for (size_t i = 0; i < count; i++)
            free(list[i]);
        free(list);
        return rc;
    }
    qsort(list, count, sizeof(*list), compare_names);
    *names = list;
    *n = count;
    return 0;
}
