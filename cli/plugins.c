#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plugin/host.h"

static const char *const option_types[] = {"?", "int", "float", "bool", "string"};

static void print_options(const struct orcd_plugin *p)
{
    if (p->n_options)
        printf("options:\n");
    for (uint32_t i = 0; i < p->n_options; i++) {
        const struct orcd_option *o = (const void *)((const char *)p->options + (size_t)i * p->option_stride);
        printf("  %-24s %-7s", o->name, option_types[o->type <= ORCD_OPT_STRING ? o->type : 0]);
        if (o->min != 0 || o->max != 0)
            printf(
                " %.12g..%.12g%s%s", o->min, o->max, o->unit && *o->unit ? " " : "", o->unit ? o->unit : "");
        printf(" (default: %s)  %s\n", o->fallback ? o->fallback : "", o->help ? o->help : "");
    }
}

static void print_device(uint32_t i, const struct orcd_device_info *d)
{
    printf("  %u: %s, %.1f GiB", i, d->name, (double)d->memory_bytes / (1u << 30));
    if (d->compute_major)
        printf(", compute %u.%u", d->compute_major, d->compute_minor);
    if (*d->driver)
        printf(", driver %s", d->driver);
    if (*d->runtime)
        printf(", %s", d->runtime);
    putchar('\n');
}

/* Starts the plugin, because only a started one knows its devices. If it cannot start, its error is
 * printed in their place. */
static int print_devices(struct plugin *plugin, const struct config *c)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const struct orcd_plugin *p = plugin_table(plugin);
    uint32_t n = 0;
    int rc = plugin_start(plugin, c->plugin.options, c->plugin.n_options, &err);
    rc = rc ? rc : p->device_count(&n, &err);
    if (rc) {
        printf("devices: none: %s\n", err.msg);
        return rc;
    }
    printf("devices:\n");
    for (uint32_t i = 0; i < n && i < 64; i++) {
        struct orcd_device_info d = {.size = sizeof(d)};
        if (p->device_info(i, &d, &err) == 0) {
            d.name[sizeof(d.name) - 1] = d.driver[sizeof(d.driver) - 1] = d.runtime[sizeof(d.runtime) - 1] =
                0;
            print_device(i, &d);
        } else {
            printf("  %u: %s\n", i, err.msg);
        }
    }
    plugin_stop(plugin);
    return 0;
}

static int describe(const char *dir, const char *name, const struct config *c)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct plugin *plugin;
    int rc = plugin_open(&plugin, dir, name, false, &err);
    if (rc)
        return cli_fail(error_exit_status(rc), "%s", err.msg);
    const struct orcd_plugin *p = plugin_table(plugin);
    printf("%s %s: %s\n", p->name, p->version, p->description);
    printf("file: %s\nABI: %d.%u\nsteps in flight: %u\nneeds a model file: %s\nweights: %s\n",
        plugin_path(plugin), ORCD_ABI_MAJOR, p->minor, p->max_inflight,
        p->flags & ORCD_PLUGIN_NEEDS_MODEL ? "yes" : "no",
        p->flags & ORCD_PLUGIN_VRAM_ONLY ? "in device memory only" : "in memory");
    print_options(p);
    rc = print_devices(plugin, c);
    return rc ? error_exit_status(rc) : EX_OK;
}

static int list(const char *dir)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    char **names;
    size_t n;
    int rc = plugin_list(dir, &names, &n, &err);
    if (rc)
        return cli_fail(error_exit_status(rc), "%s", err.msg);
    printf("plugins in %s:\n", dir);
    for (size_t i = 0; i < n; i++) {
        struct plugin *plugin;
        rc = plugin_open(&plugin, dir, names[i], false, &err);
        if (rc) {
            printf("  %-12s unusable: %s\n", names[i], err.msg);
        } else {
            const struct orcd_plugin *p = plugin_table(plugin);
            printf("  %-12s %-8s ABI %d.%-3u %s\n", names[i], p->version, ORCD_ABI_MAJOR, p->minor,
                p->description);
        }
        free(names[i]);
    }
    free(names);
    return EX_OK;
}

int verb_plugins(const struct cli_args *a)
{
    struct config c;
    int rc = cli_config(a, NULL, &c);
    if (rc)
        return rc;
    const char *dir = c.plugin.dir ? c.plugin.dir : plugin_default_dir(), *name = cli_positional(a, 0);
    rc = name ? describe(dir, name, &c) : list(dir);
    config_release(&c.head);
    return rc;
}
