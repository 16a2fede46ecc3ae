/* Shared by the files of this room. */
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
/* n_vocab that a plugin may claim. */
#define PLUGIN_MAX_VOCAB (UINT32_C(1) << 24)

struct plugin {
    struct orcd_plugin table; /* our copy; strings and options are ours */
    const struct orcd_plugin *theirs;
    struct orcd_option *options;
    char *path;
    bool started;
    struct plugin *next; /* of all that were opened */
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

/* search.c: an open descriptor of a file that only root or we could have written, and
 * its path (malloc'ed) for people. */
int plugin_find(
    int *fd, char **path, const char *dir, const char *name, bool allow_path, struct orcd_error *err);

/* options.c: checks the table that the plugin offers and copies it. */
int plugin_options_copy(struct plugin *p, struct orcd_error *err);
void plugin_options_free(struct plugin *p);
/* Checks settings and calls configure. */
int plugin_options_apply(
    struct plugin *p, const struct plugin_setting *settings, size_t n_settings, struct orcd_error *err);

/* handshake.c: checks the plugin's table and copies it into p->table. */
int plugin_handshake(struct plugin *p, const struct orcd_plugin *theirs, struct orcd_error *err);
void plugin_handshake_free(struct plugin *p);
/* A copy of a plugin's string: UTF-8 without control characters, at most max bytes;
 * NULL when it is not that (or memory is out). */
char *plugin_text_copy(const char *text, size_t max);
bool plugin_text_ok(const char *text, size_t max);

/* answer.c: a plugin's return code made safe. 0, or a known code with err filled in from
 * `theirs`: terminated, one line, never empty. `what` names the slot. */
int plugin_answer(
    const struct plugin *p, const char *what, int32_t rc, struct orcd_error *theirs, struct orcd_error *err);
/* Makes a fixed-size text field of an answer safe: terminated, no control characters. */
void plugin_clean_field(char *text, size_t size);

/* table.c: what the host offers. */
extern const struct orcd_host plugin_host_table;

#endif
