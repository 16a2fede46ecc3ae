/* The file of API keys: read at the start, and again on SIGHUP or when it has changed. Main thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/secrets.h"
#include "worker-parts.h"

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A file that is not there is as it was: it may be about to be replaced. */
static void look(struct worker *w, struct stat *st)
{
    if (stat(w->config->http.api_keys_file, st))
        *st = w->keys_read;
}

int worker_keys_read(struct worker *w, char **text, size_t *bytes, struct orcd_error *err)
{
    const char *path = w->config->http.api_keys_file;
    *text = NULL;
    *bytes = 0;
    if (!path)
        return 0;
    look(w, &w->keys_read); /* before it is read: a change while we read is seen later */
    w->keys_seen = w->keys_read;
    int rc = secrets_text(path, text, bytes, err);
    if (rc)
        error_prefix(err, "http.api_keys_file");
    return rc;
}

static void reload(struct worker *w)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    char *text;
    size_t bytes;
    int rc = worker_keys_read(w, &text, &bytes, &err);
    if (!rc)
        rc = http_server_set_keys(w->http, text, bytes, &err);
    if (rc)
        log_error("the API keys stay as they were: %s", err.msg);
    else
        log_info("the API keys were read again");
    secrets_text_free(text, bytes);
}

void worker_keys_hangup(struct worker *w)
{
    if (w->config->http.api_keys_file)
        reload(w);
    else
        log_info(
            "SIGHUP ignored: a worker reads nothing again but its API keys (http.api_keys_file); restart it");
}

void worker_keys_watch(struct worker *w)
{
    struct stat now;
    if (!w->config->http.api_keys_file)
        return;
    look(w, &now);
    const bool still = same(&now, &w->keys_seen); /* nobody is writing it */
    w->keys_seen = now;
    if (still && !same(&now, &w->keys_read))
        reload(w);
}
