/*
 * Configuration: defaults < file < environment < command line, merged, then validated.
 * A program supplies a table of its keys (config/table.h) and the struct that they fill.
 * Several programs may share one file; each reads its own sections.
 *
 * The struct begins with a struct config_head, to which all calls get a pointer:
 *
 *     struct pool_config {
 *         struct config_head head;
 *         char *listen;
 *         int64_t kill_ms;
 *     };
 *
 * 1. config_init sets the defaults.
 * 2. config_load_file, config_load_environment and config_set, in this order: a later
 *    value of a key replaces the earlier one.
 * 3. config_validate; afterwards the program reads the fields of the struct.
 * 4. config_release, whatever failed before.
 *
 * One thread at a time; after config_validate any thread may read. The text of a field is
 * valid until its key is set again or config_release.
 */
#ifndef ORCD_CONFIG_CONFIG_H
#define ORCD_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "config/table.h"

struct config_head {
    const struct config_table *table;
    char **origins; /* where the value of each row came from; NULL: a default */
};

void config_init(struct config_head *c, const struct config_table *t);
void config_release(struct config_head *c); /* clears the struct; may be called twice */
/* key is dotted ("http.listen", "plugin.options.device"); value NULL: null; origin is
 * shown to users ("--set", "ORCD_HTTP_LISTEN", "/etc/orcd.yaml:12"). */
int config_set(
    struct config_head *c, const char *key, const char *value, const char *origin, struct orcd_error *err);
int config_load_file(struct config_head *c, const char *path, struct orcd_error *err);
int config_load_environment(struct config_head *c, char *const *envp, struct orcd_error *err);
/* The file that is used without --config: ORCD_CONFIG, sysconfdir, /etc; NULL: none. */
const char *config_default_path(void);
/* config_set has checked single values; this checks rules that involve several keys. */
int config_validate(const struct config_head *c, struct orcd_error *err);

void config_list(const struct config_table *t, FILE *out);      /* every key: type, range, default, text */
void config_list_pod(const struct config_table *t, FILE *out);  /* the same for orcd.yaml(5) */
void config_annotated(const struct config_table *t, FILE *out); /* the annotated default file */
void config_show(const struct config_head *c, FILE *out);       /* merged values and their origins */

/* For a table's own checks: */

/* Where the value of a key came from, "default" included. */
const char *config_origin(const struct config_head *c, const char *key);
/* 1 to max bytes without control characters. */
bool config_is_text(const char *value, int64_t max);
/* "ORIGIN: KEY: 'VALUE': must be ALLOWED" */
int config_refuse(
    const char *origin, const char *key, const char *value, const char *allowed, struct orcd_error *err);

#endif
