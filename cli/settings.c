/* The configuration of a command line, and the paths of files that orcd comes with. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli.h"

extern char **environ;

static int set_option(struct config *c, const char *key, const char *value, const char *origin)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    return config_set(&c->head, key, value, origin, &err) ? cli_fail(EX_USAGE, "%s", err.msg) : 0;
}

static int set_pair(struct config *c, const char *pair)
{
    const char *equals = strchr(pair, '=');
    char key[160];
    if (!equals || (size_t)(equals - pair) >= sizeof(key))
        return cli_fail(EX_USAGE, "--set: '%s': must be KEY=VALUE", pair);
    snprintf(key, sizeof(key), "%.*s", (int)(equals - pair), pair);
    const char *value = equals + 1;
    return set_option(c, key, strcmp(value, "null") == 0 ? NULL : value, "--set");
}

static int apply_options(const struct cli_args *a, struct config *c)
{
    static const struct {
        const char *option, *key, *origin;
    } direct[] = {
        {"plugin", "plugin.name", "--plugin"},
        {"gpu-device", "plugin.options.device", "--gpu-device"},
        {"listen", "http.listen", "--listen"},
    };
    for (int i = 0; i < a->n_given; i++) {
        const char *name = a->given[i].option->name;
        int rc = strcmp(name, "set") == 0 ? set_pair(c, a->given[i].value) : 0;
        for (size_t j = 0; rc == 0 && j < sizeof(direct) / sizeof(direct[0]); j++)
            if (strcmp(name, direct[j].option) == 0)
                rc = set_option(c, direct[j].key, a->given[i].value, direct[j].origin);
        if (rc)
            return rc;
    }
    return 0;
}

static int config_status(int code)
{
    return code == ORCD_E_NOT_FOUND || code == ORCD_E_PERMISSION || code == ORCD_E_IO
               ? error_exit_status(code)
               : EX_CONFIG;
}

static int log_level(const char *text)
{
    return *text == 'e'   ? ORCD_LOG_ERROR
           : *text == 'w' ? ORCD_LOG_WARN
           : *text == 'i' ? ORCD_LOG_INFO
                          : ORCD_LOG_DEBUG;
}

int cli_config(const struct cli_args *a, const char *model, struct config *c)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const char *path = cli_value(a, "config");
    config_init(&c->head, &worker_config_table);
    path = path ? path : config_default_path();
    int rc = path ? config_load_file(&c->head, path, &err) : 0;
    rc = rc ? rc : config_load_environment(&c->head, environ, &err);
    int status = rc ? cli_fail(config_status(rc), "%s", err.msg) : 0;
    status = status ? status : apply_options(a, c);
    if (status == 0 && model)
        status = set_option(c, "model.path", model, "command line");
    rc = status ? 0 : config_validate(&c->head, &err);
    if (rc)
        status = cli_fail(EX_CONFIG, "%s", err.msg);
    if (status) {
        config_release(&c->head);
        return status;
    }
    log_setup(log_level(c->log.level), c->log.format[0] == 't'   ? LOG_FORMAT_TEXT
                                       : c->log.format[0] == 'j' ? LOG_FORMAT_JSON
                                                                 : LOG_FORMAT_AUTO);
    return 0;
}

/* The folder of this program, without a slash at the end; NULL: unknown. */
static const char *program_folder(void)
{
    static char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = 0;
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = 0;
    return slash ? exe : NULL;
}

const char *cli_source_file(const char *name)
{
    static char path[4096];
    const char *folder = program_folder();
    snprintf(path, sizeof(path), "%.4000s/config.status", folder ? folder : "");
    if (!folder || access(path, F_OK) != 0)
        return NULL;
    snprintf(path, sizeof(path), "%s/%s", ORCD_SOURCE_DIR, name);
    return path;
}

const char *cli_demo_model(void)
{
    static char path[4096];
    const char *folder = program_folder(), *source = cli_source_file("share/demo/orcd-demo.gguf");
    if (source)
        return access(source, R_OK) == 0 ? source : NULL;
    if (folder) { /* the program is PREFIX/bin/orcd; PREFIX may have been moved */
        snprintf(path, sizeof(path), "%.4000s/../share/orcd/demo/orcd-demo.gguf", folder);
        if (access(path, R_OK) == 0)
            return path;
    }
    snprintf(path, sizeof(path), "%s/demo/orcd-demo.gguf", ORCD_DATADIR);
    return access(path, R_OK) == 0 ? path : NULL;
}
