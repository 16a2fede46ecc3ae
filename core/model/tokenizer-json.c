/*
 * Loads a tokenizer from a tokenizer.json, the file that models are published with. It fills in the same
 * structure as the vocabulary of a model file, so that encoding is the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "model/tokenizer-json.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)
#define FILE_NAME "tokenizer.json"

int json_file_error(const struct json_file *f, const struct json_reader *r, struct orcd_error *err)
{
    return error_set(err, ORCD_E_INVALID, "%s at byte %zu", r->error ? r->error : "invalid JSON",
        (size_t)(r->p - f->start));
}

/* Notes where a value begins, unless it is null. */
static bool note(struct json_reader *r, char **at)
{
    if (*at)
        return json_fail(r, "a member appears twice");
    if (json_peek(r) == 'n')
        return json_null(r);
    *at = r->p;
    return json_skip(r);
}

static bool read_model(struct json_file *f, struct json_reader *r)
{
    struct json_text key;
    if (f->has_model)
        return json_fail(r, "a member appears twice");
    f->has_model = true;
    json_open(r, '{');
    for (bool first = true; json_next(r, '}', &first);) {
        if (!json_key(r, &key))
            return false;
        if (json_text_is(key, "vocab")) {
            note(r, &f->vocab);
        } else if (json_text_is(key, "merges")) {
            note(r, &f->merges);
        } else if (json_text_is(key, "type")) {
            f->has_type = json_string(r, &f->type);
        } else if (json_peek(r) == 'n') {
            json_null(r);
        } else if (json_text_is(key, "unk_token")) {
            f->has_unk = json_string(r, &f->unk_token);
        } else if (json_text_is(key, "continuing_subword_prefix")) {
            json_string(r, &f->prefix);
        } else if (json_text_is(key, "end_of_word_suffix")) {
            json_string(r, &f->suffix);
        } else if (json_text_is(key, "fuse_unk")) {
            json_bool(r, &f->fuse_unk);
        } else if (json_text_is(key, "byte_fallback")) {
            json_bool(r, &f->byte_fallback);
        } else if (json_text_is(key, "ignore_merges")) {
            json_bool(r, &f->ignore_merges);
        } else {
            json_skip(r);
        }
    }
    return !r->error;
}

/* Reads the text once: small members are read, for the others the position of their value is noted. */
static int read_file_parts(struct json_file *f, struct orcd_error *err)
{
    struct json_reader r = json_file_at(f, f->start);
    struct json_text key;
    json_open(&r, '{');
    for (bool first = true; json_next(&r, '}', &first);) {
        if (!json_key(&r, &key))
            break;
        if (json_text_is(key, "model"))
            read_model(f, &r);
        else if (json_text_is(key, "added_tokens"))
            note(&r, &f->added_tokens);
        else if (json_text_is(key, "normalizer"))
            note(&r, &f->normalizer);
        else if (json_text_is(key, "pre_tokenizer"))
            note(&r, &f->pre_tokenizer);
        else if (json_text_is(key, "post_processor"))
            note(&r, &f->post_processor);
        else
            json_skip(&r);
    }
    if (!json_end(&r))
        return json_file_error(f, &r, err);
    if (!f->has_model)
        return error_set(err, ORCD_E_INVALID, "the file has no model");
    if (f->has_type && !json_text_is(f->type, "BPE"))
        return error_set(err, ORCD_E_UNSUPPORTED, "model type \"%.*s\" is not supported (known: BPE)",
            (int)min_u64(f->type.n, 64), f->type.p);
    if (f->prefix.n || f->suffix.n)
        return error_set(
            err, ORCD_E_UNSUPPORTED, "continuing_subword_prefix and end_of_word_suffix are not supported");
    if (!f->vocab || !f->merges)
        return error_set(err, ORCD_E_INVALID, "the model has no %s", f->vocab ? "merges" : "vocab");
    return 0;
}

/* Sets *id to the token that the post-processor adds; -1: none. */
static int find_added(const struct tokenizer *t, struct json_text text, int32_t *id, struct orcd_error *err)
{
    *id = -1;
    for (int32_t i = 0; text.n && i < t->n_vocab; i++) {
        size_t n;
        const char *p = token_bytes(t, i, &n);
        if (n == text.n && !memcmp(p, text.p, n)) {
            *id = i;
            return 0;
        }
    }
    return text.n ? error_set(err, ORCD_E_INVALID, "\"%.*s\" of the post-processor is not a token",
                        (int)min_u64(text.n, 64), text.p)
                  : 0;
}

/* Loads the special ids. Those of the model file replace those of the post-processor. */
static int load_special_ids(
    struct tokenizer *t, const struct json_file *f, const struct gguf *g, struct orcd_error *err)
{
    int rc = find_added(t, f->before, &t->bos, err);
    if (!rc)
        rc = find_added(t, f->after, &t->eos, err);
    if (rc)
        return rc;
    t->add_bos = t->bos >= 0;
    if (t->kind == KIND_SPM && t->bos < 0)
        t->bos = tokenizer_find_raw(t, "<s>");
    if (t->kind == KIND_SPM && t->eos < 0)
        t->eos = tokenizer_find_raw(t, "</s>");
    if (g)
        return tokenizer_load_special_ids(t, g, err);
    if (t->eos >= 0)
        t->flags[t->eos] |= TOKEN_EOG;
    return 0;
}

int tokenizer_from_json_text(
    struct tokenizer **out, char *text, size_t n, const struct gguf *g, struct orcd_error *err)
{
    struct json_file f = {.start = text, .end = text + n};
    struct tokenizer *t = calloc(1, sizeof(*t));
    if (!t)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the vocabulary");
    t->from_json = true;
    t->by_merges = true;
    int rc = read_file_parts(&f, err);
    if (!rc)
        rc = json_load_pipeline(t, &f, err);
    if (!rc)
        rc = json_load_vocab(t, &f, g, err);
    t->fuse_unk = f.fuse_unk;
    if (!rc)
        rc = load_special_ids(t, &f, g, err);
    if (!rc && !tokenizer_special_init(t))
        rc = error_set(err, ORCD_E_NOMEM, "out of memory for the special tokens");
    if (rc) {
        tokenizer_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

static int read_text(const char *path, char **text, size_t *n, struct orcd_error *err)
{
    struct stat st;
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set_errno(err,
            errno == ENOENT                     ? ORCD_E_NOT_FOUND
            : errno == EACCES || errno == EPERM ? ORCD_E_PERMISSION
                                                : ORCD_E_IO,
            errno, "%s", path);
    size_t size = 0, used = 0;
    char *p = NULL;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        rc = error_set(err, ORCD_E_INVALID, "%s is not a regular file", path);
    else if (st.st_size < 0 || (uint64_t)st.st_size > FILE_BYTES_MAX)
        rc = error_set(err, ORCD_E_INVALID, "%s is longer than %zu bytes", path, FILE_BYTES_MAX);
    else if (!(p = malloc((size = (size_t)st.st_size) + 1)))
        rc = error_set(err, ORCD_E_NOMEM, "out of memory for %s", path);
    while (!rc && used < size) {
        ssize_t k = read(fd, p + used, size - used);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            rc = error_set_errno(err, ORCD_E_IO, errno, "%s", path);
        if (k <= 0)
            break;
        used += (size_t)k;
    }
    close(fd);
    if (rc) {
        free(p);
        return rc;
    }
    *text = p;
    *n = used;
    return 0;
}

int tokenizer_from_json(
    struct tokenizer **out, const char *path, const struct gguf *g, struct orcd_error *err)
{
    char *text = NULL;
    size_t n = 0;
    int rc = read_text(path, &text, &n, err);
    if (rc)
        return rc;
    rc = tokenizer_from_json_text(out, text, n, g, err);
    free(text);
    if (rc)
        error_prefix(err, "%s", path);
    return rc;
}

/* tokenizer.json in the folder of the model; NULL: out of memory. */
static char *path_beside(const char *model_path)
{
    const char *slash = strrchr(model_path, '/');
    size_t n = slash ? (size_t)(slash - model_path) + 1 : 0;
    char *path = malloc(n + sizeof(FILE_NAME));
    if (path) {
        memcpy(path, model_path, n);
        memcpy(path + n, FILE_NAME, sizeof(FILE_NAME));
    }
    return path;
}

int tokenizer_open(struct tokenizer **out, const struct gguf *g, const char *model_path, const char *source,
    struct orcd_error *err)
{
    struct orcd_error why = ORCD_ERROR_INIT;
    bool json = strcmp(source, "hf-json") == 0;
    int rc = json ? ORCD_E_UNSUPPORTED : tokenizer_from_gguf(out, g, &why);
    if (rc == 0)
        return 0;
    char *path = path_beside(model_path);
    if (!path)
        return error_set(err, ORCD_E_NOMEM, "out of memory for a path");
    bool may = rc == ORCD_E_UNSUPPORTED && strcmp(source, "auto") == 0;
    if (json || (may && access(path, F_OK) == 0)) {
        if (!json)
            log_info("the model file: %s; using %s", why.msg, path);
        rc = tokenizer_from_json(out, path, g, err);
    } else {
        rc = error_set(err, rc, "%s%s%s", why.msg, may ? "; there is no " : "", may ? path : "");
    }
    free(path);
    return rc;
}
