/*
 * struct plugin and the functions that the files of core/plugin share; all other code includes host.h.
 *
 * Life cycle: plugin_open() allocates a struct plugin and keeps it until the process ends.
 * Threads: the thread that opens and starts a plugin writes it; afterwards any thread may read it.
 * Order of calls in plugin_open(): plugin_find(), dlopen(), plugin_handshake(), which calls
 * plugin_options_copy(). plugin_start() calls plugin_options_apply().
 */
#ifndef ORCD_PLUGIN_INTERNAL_H
#define ORCD_PLUGIN_INTERNAL_H

#ifdef HAVE_CONFIG_H
#include "config.h" /* ORCD_DEBUG */
#endif

#include <stdbool.h>

#include "plugin/host.h"

#define PLUGIN_MAX_OPTIONS 256
#define PLUGIN_MAX_NAME 64
#define PLUGIN_MAX_TEXT 1024
#define PLUGIN_MAX_VALUE 65536
/* The host never has more steps than this in flight. */
#define PLUGIN_MAX_INFLIGHT 2
/* The largest n_vocab that the host accepts from a plugin. */
#define PLUGIN_MAX_VOCAB (UINT32_C(1) << 24)

struct plugin {
    struct orcd_plugin table; /* the host's copy, with its own strings and options */
    const struct orcd_plugin *theirs;
    struct orcd_option *options;
    char *path;
    bool started;
    struct plugin *next; /* in the list of all opened plugins */
};

#ifdef ORCD_DEBUG
void plugin_rule_broken(const char *rule) __attribute__((noreturn));
#define PLUGIN_RULE(cond, text)                                                                              \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            plugin_rule_broken(text);                                                                        \
    } while (0)
#else
#define PLUGIN_RULE(cond, text) ((void)0)
#endif

/* search.c: opens a file that only root or the user that orcd runs as can have written. *path is its
 * path, malloc'ed, for messages. */
int plugin_find(
    int *fd, char **path, const char *dir, const char *name, bool allow_path, struct orcd_error *err);

/* options.c: checks the plugin's table of options and copies it. */
int plugin_options_copy(struct plugin *p, struct orcd_error *err);
void plugin_options_free(struct plugin *p);
/* Checks the settings and calls configure(). */
int plugin_options_apply(
    struct plugin *p, const struct plugin_setting *settings, size_t n_settings, struct orcd_error *err);

/* handshake.c: checks the plugin's table and copies it into p->table. */
int plugin_handshake(struct plugin *p, const struct orcd_plugin *theirs, struct orcd_error *err);
void plugin_handshake_free(struct plugin *p);
/* Copies a plugin's string: UTF-8 without control characters, at most max bytes. NULL: it is not such a
 * string, or out of memory. */
char *plugin_text_copy(const char *text, size_t max);
bool plugin_text_ok(const char *text, size_t max);

/* answer.c: makes a plugin's return code and error safe. Returns 0, or a known code with err filled in
 * from `theirs`: terminated, one line, never empty. `what` names the slot. */
int plugin_answer(
    const struct plugin *p, const char *what, int32_t rc, struct orcd_error *theirs, struct orcd_error *err);
/* Makes a fixed-size text field of an answer safe: terminated, no control characters. */
void plugin_clean_field(char *text, size_t size);

/* table.c: the host's functions for plugins. */
extern const struct orcd_host plugin_host_table;

#endif
