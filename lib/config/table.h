/*
 * The table that a program supplies: its part of orcd.yaml, one row per key. The parser, the
 * environment, the listings and the annotated file all work from the table; nothing else
 * knows a key.
 *
 * A table is constant data and exists as long as the process. Any thread may read it.
 */
#ifndef ORCD_CONFIG_TABLE_H
#define ORCD_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct config_head;

enum config_type { CONFIG_STRING, CONFIG_CHOICE, CONFIG_INT, CONFIG_BOOL, CONFIG_OPEN };

struct config_key {
    const char *name; /* "http.listen" */
    enum config_type type;
    int64_t min, max;     /* INT: the range; STRING: bytes */
    const char *choices;  /* CHOICE: "a|b|c" */
    const char *fallback; /* as text; NULL: null, and null is allowed. OPEN: only shown */
    const char *unit;     /* "": none */
    const char *help;
    size_t offset;                  /* into the struct: char *, int64_t or bool. OPEN: not used */
    const struct config_open *open; /* OPEN only */
};

/* One setting below an open row. */
struct config_setting {
    const char *name; /* what follows the row's name and a dot */
    const char *value, *origin;
};

/* An open row: users name what lies below it ("plugin.options.device"). The program
 * keeps these settings. */
struct config_open {
    /* Lists, sections and names with dots may lie below it. They arrive as dotted keys, items of a
     * list with their number: "pool.start.0.plugin". False: only names with values. */
    bool free_form;
    const char *stands_for; /* in listings, in place of what users name: "NAME" */
    const char *empty;      /* in the annotated file: "{}" or "[]" */
    const char *help_pod, *help_annotated;
    /* Checks one value and keeps a copy. key is the whole dotted key; value NULL: null. A later
     * value of the same key replaces the earlier one. */
    int (*set)(struct config_head *c, const char *key, const char *value, const char *origin,
        struct orcd_error *err);
    bool (*at)(const struct config_head *c, size_t i, struct config_setting *out); /* false: i is too large */
    void (*release)(struct config_head *c);
};

/* Sections in the order of the annotated file, each with a line of text. If several tables
 * have rows in one section, only one of them lists it. */
struct config_section {
    const char *name, *help;
};

struct config_table {
    size_t size; /* of the struct that the rows fill; it begins with a struct config_head */
    const struct config_key *keys;
    size_t n_keys;
    const struct config_section *sections;
    size_t n_sections;
    /* Sections of the same file that only other programs read. They are skipped unchecked. Ended by
     * NULL; NULL: none. */
    const char *const *foreign;
    const char *annotated_head; /* the first lines of the annotated file */
    /* Checks rules that involve several keys; single values were checked before. NULL: no rules. */
    int (*validate)(const struct config_head *c, struct orcd_error *err);
};

/* The row of a key; NULL: none. An open row has no value of its own and is never returned. */
const struct config_key *config_key_find(const struct config_table *t, const char *name);
/* The open row that name is or lies below; NULL: none. */
const struct config_key *config_open_find(const struct config_table *t, const char *name);
/* True if some key lies below name ("http", "http.tls") or name is an open row
 * ("plugin.options"). */
bool config_section_find(const struct config_table *t, const char *name);
bool config_section_is_foreign(const struct config_table *t, const char *name);
/* "an integer from 1 to 1024 (tokens)"; returns buf. */
const char *config_key_allowed(const struct config_key *k, char *buf, size_t size);
/* The known key whose spelling is nearest to name; NULL: none is near. */
const char *config_key_nearest(const struct config_table *t, const char *name);

#endif
