/* The table of keys behind config.h: one row a key. */
#ifndef ORCD_CONFIG_CONFIG_TABLE_H
#define ORCD_CONFIG_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_type { CONFIG_STRING, CONFIG_CHOICE, CONFIG_INT, CONFIG_BOOL };

struct config_key {
    const char *name; /* "http.listen" */
    enum config_type type;
    int64_t min, max;     /* INT: the range; STRING: bytes */
    const char *choices;  /* CHOICE: "a|b|c" */
    const char *fallback; /* as text; NULL: null, and null is allowed */
    const char *unit;     /* "" when it has none */
    const char *help;
    size_t offset; /* into struct config: char *, int64_t or bool */
};

/* Sections in the order of the file, each with a line of text. */
struct config_section {
    const char *name, *help;
};

extern const struct config_key config_keys[];
extern const size_t config_n_keys;
extern const struct config_section config_sections[];
extern const size_t config_n_sections;

#define CONFIG_MAX_OPTIONS 64 /* plugin.options.* */
#define CONFIG_OPTIONS_PREFIX "plugin.options."

/* Index of a key, or -1. */
int config_key_find(const char *name);
bool config_section_find(const char *name); /* also "plugin.options" and "http.tls" */
/* "an integer from 1 to 1024 (tokens)"; returns buf. */
const char *config_key_allowed(const struct config_key *k, char *buf, size_t size);
/* The known key nearest to name, or NULL when none is near. */
const char *config_key_nearest(const char *name);

/* Where each value came from; NULL: a default. */
struct config_origin {
    char *option[CONFIG_MAX_OPTIONS];
    char *key[]; /* config_n_keys */
};

#endif
