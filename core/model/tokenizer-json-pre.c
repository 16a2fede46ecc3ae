/*
 * Loads the pipeline of a tokenizer.json: normalizer, pre-tokenizer and post-processor. Each is an object
 * with a type, or a sequence of such objects. Known combinations are recognized as a whole. All others are
 * refused by name, because leaving a part out would change ids.
 */
#include <string.h>

#include "base/util.h"
#include "model/tokenizer-json.h"

#define MARK "\xe2\x96\x81" /* U+2581, which replaces a space */
#define PARTS_MAX 8
#define NESTED_MAX 4
#define SHOWN 160 /* bytes of an unknown expression in a message */

/* One object of the pipeline, with the members of all types. */
struct part {
    struct json_text type, prepend, content, behavior, replacement, prepend_scheme;
    struct json_text pattern;
    bool is_regex, has_scheme;
    bool add_prefix_space, use_regex, invert, split, individual_digits;
    char *list, *single; /* the parts of a sequence; the elements of a template */
};

struct parts {
    struct part v[PARTS_MAX];
    size_t n;
};

static bool read_pattern(struct json_reader *r, struct part *p)
{
    struct json_text key;
    if (json_peek(r) == '"') { /* older files have a plain string */
        p->is_regex = false;
        return json_string(r, &p->pattern);
    }
    json_open(r, '{');
    for (bool first = true; json_next(r, '}', &first);) {
        if (!json_key(r, &key))
            return false;
        p->is_regex = json_text_is(key, "Regex");
        json_string(r, &p->pattern);
    }
    return !r->error;
}

static bool read_member(struct json_reader *r, struct part *p, struct json_text key)
{
    const struct {
        const char *name;
        struct json_text *out;
    } texts[] = {
        {"type", &p->type},
        {"prepend", &p->prepend},
        {"content", &p->content},
        {"behavior", &p->behavior},
        {"replacement", &p->replacement},
        {"prepend_scheme", &p->prepend_scheme},
    };
    const struct {
        const char *name;
        bool *out;
    } flags[] = {
        {"add_prefix_space", &p->add_prefix_space},
        {"use_regex", &p->use_regex},
        {"invert", &p->invert},
        {"split", &p->split},
        {"individual_digits", &p->individual_digits},
    };
    if (json_peek(r) == 'n')
        return json_null(r);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (json_text_is(key, texts[i].name))
            return json_string(r, texts[i].out);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (json_text_is(key, flags[i].name))
            return json_bool(r, flags[i].out);
    if (json_text_is(key, "pattern"))
        return read_pattern(r, p);
    if (json_text_is(key, "normalizers") || json_text_is(key, "pretokenizers") ||
        json_text_is(key, "processors"))
        p->list = r->p;
    else if (json_text_is(key, "single"))
        p->single = r->p;
    return json_skip(r);
}

static bool read_part(struct json_reader *r, struct part *p)
{
    struct json_text key;
    *p = (struct part){.use_regex = true, .split = true};
    json_open(r, '{');
    for (bool first = true; json_next(r, '}', &first);)
        if (!json_key(r, &key) || !read_member(r, p, key))
            return false;
    if (!r->error && !p->type.n)
        return json_fail(r, "an object has no type");
    p->has_scheme = p->prepend_scheme.n > 0;
    return !r->error;
}

/* Appends the part at r or, if it is a sequence, its parts. */
static bool read_parts(const struct json_file *f, struct json_reader *r, struct parts *out, unsigned depth)
{
    struct part p;
    if (!read_part(r, &p))
        return false;
    if (!json_text_is(p.type, "Sequence")) {
        if (out->n == PARTS_MAX)
            return json_fail(r, "a sequence is too long");
        out->v[out->n++] = p;
        return true;
    }
    if (depth == NESTED_MAX || !p.list)
        return json_fail(r, p.list ? "nested too deeply" : "a sequence has no parts");
    struct json_reader inner = json_file_at(f, p.list);
    json_open(&inner, '[');
    for (bool first = true; json_next(&inner, ']', &first);)
        if (!read_parts(f, &inner, out, depth + 1))
            break;
    if (inner.error)
        *r = inner;
    return !inner.error;
}

static int load_parts(const struct json_file *f, char *at, struct parts *out, struct orcd_error *err)
{
    struct json_reader r = json_file_at(f, at);
    out->n = 0;
    if (!at || read_parts(f, &r, out, 0))
        return 0;
    return json_file_error(f, &r, err);
}

static int unknown_part(const char *what, const struct part *p, const char *why, struct orcd_error *err)
{
    return error_set(err, ORCD_E_UNSUPPORTED, "%s \"%.*s\"%s%s is not supported", what,
        (int)min_u64(p->type.n, 64), p->type.p, *why ? " " : "", why);
}

/* Sets *marks if spaces become U+2581. */
static int load_normalizer(struct tokenizer *t, struct json_file *f, bool *marks, struct orcd_error *err)
{
    struct parts parts;
    int rc = load_parts(f, f->normalizer, &parts, err);
    for (size_t i = 0; !rc && i < parts.n; i++) {
        const struct part *p = &parts.v[i];
        if (json_text_is(p->type, "NFC"))
            t->nfc = true;
        else if (json_text_is(p->type, "Prepend") && json_text_is(p->prepend, MARK))
            t->add_space_prefix = true;
        else if (json_text_is(p->type, "Replace") && !p->is_regex && json_text_is(p->pattern, " ") &&
                 json_text_is(p->content, MARK))
            *marks = true;
        else if (json_text_is(p->type, "Prepend") || json_text_is(p->type, "Replace"))
            rc = unknown_part("normalizer", p, "of anything but U+2581 for the space", err);
        else
            rc = unknown_part("normalizer", p, "", err);
    }
    if (!rc && t->add_space_prefix && !*marks)
        rc = error_set(err, ORCD_E_UNSUPPORTED,
            "normalizer \"Prepend\" without \"Replace\" of the space is not supported");
    return rc;
}

/* A Split by an expression of the table. alone: there is no other. */
static int split_expression(const struct part *p, bool alone, const char **expression, struct orcd_error *err)
{
    const char *known = p->is_regex ? pre_expression_find(p->pattern.p, p->pattern.n) : NULL;
    const struct pre_list list = {{known}};
    bool isolated = json_text_is(p->behavior, "Isolated") && !p->invert;
    /* What has a scanner matches every character, so there is no text between matches. */
    bool kept = json_text_is(p->behavior, "Removed") && p->invert && alone && pre_list_scanner(&list);
    if (!known) {
        char names[PRE_ROW_NAMES_BYTES];
        return error_set(err, ORCD_E_UNSUPPORTED,
            "the pre-tokenizer's expression %.*s%s is not supported (known: those of %s)",
            (int)min_u64(p->pattern.n, SHOWN), p->pattern.p ? p->pattern.p : "",
            p->pattern.n > SHOWN ? "..." : "", pre_row_names(names, sizeof(names)));
    }
    *expression = known;
    if (isolated || kept)
        return 0;
    return error_set(err, ORCD_E_UNSUPPORTED,
        "pre-tokenizer \"Split\" with behavior \"%.*s\"%s is not supported", (int)min_u64(p->behavior.n, 32),
        p->behavior.p ? p->behavior.p : "", p->invert ? ", inverted," : "");
}

/* The expression that part i cuts by; NULL: it cuts nothing. */
static int part_expression(
    const struct parts *parts, size_t i, const char **expression, struct orcd_error *err)
{
    const struct part *p = &parts->v[i];
    const char *text = NULL;
    bool last = i + 1 == parts->n;
    if (json_text_is(p->type, "Split"))
        return split_expression(p, parts->n == 2, expression, err);
    if (json_text_is(p->type, "Digits"))
        text = p->individual_digits ? "\\p{N}" : "\\p{N}+";
    else if (!last)
        return unknown_part("pre-tokenizer", p, "in a sequence", err);
    else if (p->use_regex)
        text = PRE_GPT2_EXPRESSION;
    *expression = text ? pre_expression_find(text, strlen(text)) : NULL;
    return 0;
}

static int load_byte_level(struct tokenizer *t, const struct parts *parts, struct orcd_error *err)
{
    const struct part *last = &parts->v[parts->n - 1];
    struct pre_list list = {{NULL}};
    size_t n = 0;
    t->kind = KIND_BPE;
    if (last->add_prefix_space)
        return unknown_part("pre-tokenizer", last, "with add_prefix_space", err);
    for (size_t i = 0; i < parts->n; i++) {
        const char *expression = NULL;
        int rc = part_expression(parts, i, &expression, err);
        if (rc)
            return rc;
        if (expression && n == PRE_EXPRESSIONS)
            return unknown_part("pre-tokenizer", &parts->v[i], "after so many others", err);
        if (expression)
            list.expression[n++] = expression;
    }
    if (!n)
        return unknown_part("pre-tokenizer", last, "without an expression", err);
    const struct pre_row *row = pre_row_of(&list);
    t->pre_name = row ? row->names[0] : "";
    return pretokenizer_new(&t->pre, &list, true, err);
}

static int load_metaspace(struct tokenizer *t, const struct part *p, bool marks, struct orcd_error *err)
{
    if (marks || t->nfc)
        return unknown_part("pre-tokenizer", p, "with this normalizer", err);
    if (!json_text_is(p->replacement, MARK))
        return unknown_part("pre-tokenizer", p, "with another replacement than U+2581", err);
    if (p->split)
        return unknown_part("pre-tokenizer", p, "with split", err);
    bool first = json_text_is(p->prepend_scheme, "first");
    if (p->has_scheme && !first && !json_text_is(p->prepend_scheme, "always") &&
        !json_text_is(p->prepend_scheme, "never"))
        return unknown_part("pre-tokenizer", p, "with this prepend_scheme", err);
    t->prefix_once = true;
    t->prefix_first = first;
    t->add_space_prefix = p->has_scheme ? !json_text_is(p->prepend_scheme, "never") : p->add_prefix_space;
    return 0;
}

static int load_pre_tokenizer(struct tokenizer *t, struct json_file *f, bool marks, struct orcd_error *err)
{
    struct parts parts;
    int rc = load_parts(f, f->pre_tokenizer, &parts, err);
    if (rc)
        return rc;
    const struct part *last = parts.n ? &parts.v[parts.n - 1] : NULL;
    if (last && json_text_is(last->type, "ByteLevel"))
        return marks ? unknown_part("pre-tokenizer", last, "with this normalizer", err)
                     : load_byte_level(t, &parts, err);
    t->kind = KIND_SPM;
    t->pre_name = "";
    if (parts.n == 1 && json_text_is(last->type, "Metaspace"))
        return load_metaspace(t, last, marks, err);
    /* This Split never finds a space, because the normalizer has replaced them all. */
    bool nothing = parts.n == 1 && marks && json_text_is(last->type, "Split") && !last->is_regex &&
                   json_text_is(last->pattern, " ");
    if (parts.n && !nothing)
        return unknown_part("pre-tokenizer", last, parts.n > 1 ? "in a sequence" : "", err);
    if (t->nfc)
        return error_set(err, ORCD_E_UNSUPPORTED,
            "normalizer \"NFC\" without a byte-level pre-tokenizer is not supported");
    if (!marks)
        return error_set(err, ORCD_E_UNSUPPORTED,
            "a BPE model with neither a byte-level pre-tokenizer nor U+2581 for the space is not supported");
    return 0;
}

/* [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, ...] */
static bool read_template(struct json_file *f, struct json_reader *r)
{
    bool after = false;
    json_open(r, '[');
    for (bool first = true; json_next(r, ']', &first);) {
        struct json_text kind, key, id = {0};
        bool none = true;
        json_open(r, '{');
        for (bool one = true; json_next(r, '}', &one);) {
            if (!json_key(r, &kind) || !none)
                return json_fail(r, "a template's element has more than one member");
            none = false;
            json_open(r, '{');
            for (bool member = true; json_next(r, '}', &member);)
                if (!json_key(r, &key) || !(json_text_is(key, "id") ? json_string(r, &id) : json_skip(r)))
                    return false;
        }
        if (r->error)
            return false;
        bool text = !none && json_text_is(kind, "Sequence");
        struct json_text *put = after ? &f->after : &f->before;
        if (none || !id.n || (!text && !json_text_is(kind, "SpecialToken")))
            return json_fail(r, "a template's element is neither a token nor a text");
        if ((text && after) || (!text && put->n))
            return json_fail(r, "a template has more than a token before and one after a text");
        if (text)
            after = true;
        else
            *put = id;
    }
    return !r->error;
}

static int load_post_processor(struct json_file *f, struct orcd_error *err)
{
    struct parts parts;
    int rc = load_parts(f, f->post_processor, &parts, err);
    for (size_t i = 0; !rc && i < parts.n; i++) {
        const struct part *p = &parts.v[i];
        if (json_text_is(p->type, "ByteLevel")) /* changes offsets only */
            continue;
        if (!json_text_is(p->type, "TemplateProcessing") || !p->single) {
            rc = unknown_part("post-processor", p, "", err);
            continue;
        }
        struct json_reader r = json_file_at(f, p->single);
        if (!read_template(f, &r))
            rc = json_file_error(f, &r, err);
    }
    return rc;
}

int json_load_pipeline(struct tokenizer *t, struct json_file *f, struct orcd_error *err)
{
    bool marks = false;
    int rc = load_normalizer(t, f, &marks, err);
    if (!rc)
        rc = load_pre_tokenizer(t, f, marks, err);
    if (!rc && t->kind == KIND_SPM && f->ignore_merges)
        rc = error_set(
            err, ORCD_E_UNSUPPORTED, "ignore_merges without a byte-level pre-tokenizer is not supported");
    if (!rc)
        rc = load_post_processor(f, err);
    t->ignore_merges = f->ignore_merges;
    return rc;
}
