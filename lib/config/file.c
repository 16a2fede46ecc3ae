/*
 * Reads orcd.yaml through libyaml's event interface. Mappings and scalars are accepted, and
 * lists below a free-form row. Aliases, anchors, tags, duplicate keys, a second document,
 * more than 64 KB or 16 levels are errors. Sections of other programs are skipped.
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/util.h"
#include "config/read-file.h"

#define DEPTH_MAX 16
#define KEY_BYTES 128
#define SEEN_MAX 512

struct reader {
    struct config_head *config;
    const char *path;
    struct orcd_error *err;
    char key[DEPTH_MAX][KEY_BYTES]; /* the dotted key at each depth; [0] is "" */
    size_t line[DEPTH_MAX];         /* of that key */
    bool list[DEPTH_MAX];           /* a list is open at that depth, not a mapping */
    unsigned items[DEPTH_MAX];      /* of that list, so far */
    unsigned depth;                 /* open mappings and lists */
    unsigned skipped;               /* open ones inside a section of another program */
    bool have_key;                  /* a key was read, its value comes next */
    char *seen[SEEN_MAX];
    size_t n_seen;
    unsigned documents;
};

static int fail(struct reader *r, const yaml_event_t *e, const char *key, const char *text)
{
    return error_set(r->err, ORCD_E_INVALID, "%s:%zu: %s%s%s", r->path, e->start_mark.line + 1, key,
        *key ? ": " : "", text);
}

static int remember(struct reader *r, const yaml_event_t *e, const char *key)
{
    for (size_t i = 0; i < r->n_seen; i++)
        if (strcmp(r->seen[i], key) == 0)
            return fail(r, e, key, "duplicate key");
    if (r->n_seen == SEEN_MAX)
        return fail(r, e, key, "too many keys");
    r->seen[r->n_seen] = strdup(key);
    if (!r->seen[r->n_seen])
        return error_set(r->err, ORCD_E_NOMEM, "out of memory");
    r->n_seen++;
    return 0;
}

static bool is_free_form(const struct reader *r, const char *key)
{
    const struct config_key *k = config_open_find(r->config->table, key);
    return k && k->open->free_form;
}

/* The next value belongs to name, in the open mapping or list. */
static int enter_key(struct reader *r, const yaml_event_t *e, const char *name)
{
    const char *above = r->key[r->depth - 1];
    char key[KEY_BYTES];
    int n = snprintf(key, sizeof(key), "%s%s%s", above, *above ? "." : "", name);
    if (n < 0 || (size_t)n >= sizeof(key))
        return fail(r, e, above, "a key is too long");
    memcpy(r->key[r->depth], key, sizeof(key));
    r->line[r->depth] = e->start_mark.line + 1;
    r->have_key = true;
    return remember(r, e, r->key[r->depth]);
}

static int take_key(struct reader *r, const yaml_event_t *e)
{
    const char *name = (const char *)e->data.scalar.value, *above = r->key[r->depth - 1];
    if (strlen(name) != e->data.scalar.length || (strchr(name, '.') && !is_free_form(r, above)))
        return fail(r, e, above, "a key must not contain dots here; write a section as an indented block");
    return enter_key(r, e, name);
}

/* The items of a list get their numbers as keys. */
static int take_item(struct reader *r, const yaml_event_t *e)
{
    char name[16];
    snprintf(name, sizeof(name), "%u", r->items[r->depth]++);
    return enter_key(r, e, name);
}

static bool is_null(const yaml_event_t *e)
{
    const char *v = (const char *)e->data.scalar.value;
    return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (*v == 0 || strcmp(v, "~") == 0 || strcmp(v, "null") == 0);
}

static int set(struct reader *r, const char *value)
{
    char origin[4096];
    snprintf(origin, sizeof(origin), "%s:%zu", r->path, r->line[r->depth]);
    return config_set(r->config, r->key[r->depth], value, origin, r->err);
}

static int take_value(struct reader *r, const yaml_event_t *e)
{
    const char *key = r->key[r->depth], *value = (const char *)e->data.scalar.value;
    r->have_key = false;
    if (strlen(value) != e->data.scalar.length)
        return fail(r, e, key, "the value contains a NUL character");
    if (is_null(e)) {
        if (config_section_find(r->config->table, key)) /* a section whose keys are all commented out */
            return 0;
        value = NULL;
    }
    return set(r, value);
}

static int descend(struct reader *r, const yaml_event_t *e, bool list)
{
    if (r->depth + 1 >= DEPTH_MAX)
        return fail(r, e, r->key[r->depth], "nested too deeply");
    r->have_key = false;
    r->depth++;
    r->list[r->depth] = list;
    r->items[r->depth] = 0;
    return 0;
}

static int take_mapping(struct reader *r, const yaml_event_t *e)
{
    const struct config_table *t = r->config->table;
    const char *key = r->key[r->depth];
    if (r->depth == 0) {
        r->key[0][0] = 0;
    } else if (!r->have_key) {
        return fail(r, e, r->key[r->depth - 1], "a mapping cannot be a key");
    } else if (!config_section_find(t, key) && !is_free_form(r, key)) {
        if (config_key_find(t, key) || config_open_find(t, key))
            return fail(r, e, key, "must be a value, not a section");
        return set(r, NULL); /* reports the key as unknown */
    }
    return descend(r, e, false);
}

static int take_list(struct reader *r, const yaml_event_t *e)
{
    const char *key = r->depth ? r->key[r->have_key ? r->depth : r->depth - 1] : "";
    if (!r->have_key || !is_free_form(r, key))
        return fail(r, e, key, "lists are not supported here");
    if (e->data.sequence_start.anchor)
        return fail(r, e, key, "anchors are not supported");
    if (e->data.sequence_start.tag)
        return fail(r, e, key, "tags are not supported");
    return descend(r, e, true);
}

/* The event belongs to a section of another program: it is inside its value or begins it. */
static bool is_foreign(const struct reader *r)
{
    return r->skipped ||
           (r->depth == 1 && r->have_key && config_section_is_foreign(r->config->table, r->key[1]));
}

static int skip(struct reader *r, const yaml_event_t *e)
{
    if (e->type == YAML_MAPPING_START_EVENT || e->type == YAML_SEQUENCE_START_EVENT)
        r->skipped++;
    else if (e->type == YAML_MAPPING_END_EVENT || e->type == YAML_SEQUENCE_END_EVENT)
        r->skipped--;
    r->have_key = false;
    return 0;
}

static bool begins_value(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT || e->type == YAML_MAPPING_START_EVENT ||
           e->type == YAML_SEQUENCE_START_EVENT;
}

static int take_event(struct reader *r, const yaml_event_t *e)
{
    if (is_foreign(r))
        return skip(r, e);
    int rc = r->list[r->depth] && !r->have_key && begins_value(e) ? take_item(r, e) : 0;
    if (rc)
        return rc;
    const char *key = r->depth ? r->key[r->have_key ? r->depth : r->depth - 1] : "";
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++r->documents > 1)
            return fail(r, e, "", "a second document is not supported");
        if (e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end)
            return fail(r, e, "", "tags are not supported");
        return 0;
    case YAML_ALIAS_EVENT:
        return fail(r, e, key, "aliases are not supported");
    case YAML_SEQUENCE_START_EVENT:
        return take_list(r, e);
    case YAML_MAPPING_START_EVENT:
        if (e->data.mapping_start.anchor)
            return fail(r, e, key, "anchors are not supported");
        if (e->data.mapping_start.tag)
            return fail(r, e, key, "tags are not supported");
        return take_mapping(r, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        r->have_key = false;
        return 0;
    case YAML_SCALAR_EVENT:
        if (e->data.scalar.anchor)
            return fail(r, e, key, "anchors are not supported");
        if (e->data.scalar.tag)
            return fail(r, e, key, "tags are not supported");
        if (r->depth == 0)
            return is_null(e) ? 0 : fail(r, e, "", "sections with keys are expected here");
        return r->have_key ? take_value(r, e) : take_key(r, e);
    default:
        return 0;
    }
}

static int parse(struct reader *r, const char *text, size_t n)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return error_set(r->err, ORCD_E_NOMEM, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    int rc = 0;
    bool more = true;
    while (rc == 0 && more) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            size_t line = parser.error == YAML_READER_ERROR ? parser.mark.line : parser.problem_mark.line;
            rc = error_set(r->err, ORCD_E_INVALID, "%s:%zu: invalid YAML: %s", r->path, line + 1,
                parser.problem ? parser.problem : "malformed");
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        rc = take_event(r, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return rc;
}

int config_load_file(struct config_head *c, const char *path, struct orcd_error *err)
{
    char *text = NULL;
    size_t n = 0;
    int rc = read_file(path, NULL, &text, &n, err);
    if (rc)
        return rc;
    struct reader *r = calloc(1, sizeof(*r));
    if (!r) {
        free(text);
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    }
    r->config = c;
    r->path = path;
    r->err = err;
    rc = parse(r, text, n);
    for (size_t i = 0; i < r->n_seen; i++)
        free(r->seen[i]);
    free(r);
    free(text);
    return rc;
}
