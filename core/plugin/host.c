/* Opens, starts and stops a plugin. */
#include "plugin/host.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/internal.h"

/* dlerror() names the plugin by its descriptor, `name`; the user knows it by its path. */
static int load_failed(const struct plugin *p, const char *name, struct orcd_error *err)
{
    const char *why = dlerror(), *at = why ? strstr(why, name) : NULL;
    if (!at)
        return error_set(err, ORCD_E_ABI, "%s: %s", p->path, why ? why : "dlopen failed");
    const char *rest = at + strlen(name);
    if (at == why)
        return error_set(err, ORCD_E_ABI, "%s%s", p->path, rest);
    return error_set(err, ORCD_E_ABI, "%s: %.*sthe plugin%s", p->path, (int)(at - why), why, rest);
}

/* The loader opens the descriptor that was checked. It recognizes loaded libraries by this very name, so
 * the descriptor is never closed: its number must not refer to another file later. */
static int load(struct plugin *p, int fd, struct orcd_error *err)
{
    char name[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    dlerror();
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return load_failed(p, name, err);
    union { /* ISO C has no conversion from an object pointer */
        void *object;
        orcd_plugin_entry function;
    } entry = {.object = dlsym(handle, "orcd_plugin_v1")};
    if (!entry.object)
        return error_set(err, ORCD_E_ABI,
            "%s is not an orcd plugin of ABI %d: it has no symbol orcd_plugin_v1", p->path, ORCD_ABI_MAJOR);
    const struct orcd_plugin *theirs = entry.function(&plugin_host_table);
    if (!theirs)
        return error_set(
            err, ORCD_E_ABI, "%s: the plugin does not support this host; it has logged why", p->path);
    return plugin_handshake(p, theirs, err);
}

/* A plugin is never unloaded, so its struct plugin is kept until the process ends. */
static void remember(struct plugin *p)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct plugin *all;
    pthread_mutex_lock(&lock);
    p->next = all;
    all = p;
    pthread_mutex_unlock(&lock);
}

int plugin_open(
    struct plugin **out, const char *dir, const char *name, bool allow_path, struct orcd_error *err)
{
    struct plugin *p = calloc(1, sizeof(*p));
    if (!p)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    int fd, rc = plugin_find(&fd, &p->path, dir ? dir : plugin_default_dir(), name, allow_path, err);
    if (rc == 0)
        rc = load(p, fd, err);
    if (rc) {
        plugin_handshake_free(p);
        free(p->path);
        free(p);
        return rc;
    }
    remember(p);
    log_debug("plugin %s %s from %s", p->table.name, p->table.version, p->path);
    *out = p;
    return 0;
}

int plugin_start(
    struct plugin *p, const struct plugin_setting *settings, size_t n_settings, struct orcd_error *err)
{
    if (p->started)
        return error_set(err, ORCD_E_INTERNAL, "plugin %s has already been started", p->table.name);
    int rc = plugin_options_apply(p, settings, n_settings, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    rc = plugin_answer(p, "init", p->table.init(&theirs), &theirs, err);
    if (rc)
        return rc;
    /* An option may have lowered it. */
    uint32_t inflight = p->theirs->max_inflight;
    if (inflight >= 1 && inflight < p->table.max_inflight)
        p->table.max_inflight = inflight;
    p->started = true;
    return 0;
}

void plugin_stop(struct plugin *p)
{
    if (!p || !p->started)
        return;
    p->table.fini();
    p->started = false;
}

const struct orcd_plugin *plugin_table(const struct plugin *p)
{
    return &p->table;
}

const char *plugin_path(const struct plugin *p)
{
    return p->path;
}
