/* Loads the tokens and merges of a tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/tokenizer-json.h"

#define TOKENS_MAX (1u << 20) /* if no model file gives their number */
#define ROWS_MAX (1u << 24)
#define MERGES_MAX (1u << 24)
#define ADDED_BYTES_MAX (1u << 20) /* of all together; the trie that finds them needs far more memory */

static int out_of_memory(struct orcd_error *err)
{
    return error_set(err, ORCD_E_NOMEM, "out of memory for the vocabulary");
}

/* The rows of the model's token table, which may have more rows than the vocabulary has tokens. */
static uint32_t model_rows(const struct gguf *g)
{
    const struct gguf_tensor *rows = g ? gguf_tensor_find(g, "token_embd.weight") : NULL;
    struct gguf_array tokens;
    uint64_t n = 0;
    if (rows)
        n = rows->dims[1];
    else if (g && !gguf_get_array(g, "tokenizer.ggml.tokens", &tokens, NULL))
        n = tokens.n;
    return n <= ROWS_MAX ? (uint32_t)n : 0; /* a larger table is not a model's */
}

struct tokens {
    struct gguf_str *text; /* by id; p NULL: no token has this id */
    uint8_t *type, *flags;
    uint32_t cap, n; /* the number of ids allowed; the highest id + 1 */
};

static int check_id(const struct tokens *v, uint32_t id, struct json_text text, struct orcd_error *err)
{
    if (id < v->cap)
        return 0;
    return error_set(err, ORCD_E_INVALID, "token \"%.*s\" has the id %u, but the model has %u tokens",
        (int)min_u64(text.n, 64), text.p, id, v->cap);
}

static int read_vocab(const struct json_file *f, struct tokens *v, struct orcd_error *err)
{
    struct json_reader r = json_file_at(f, f->vocab);
    struct json_text text;
    uint32_t id;
    json_open(&r, '{');
    for (bool first = true; json_next(&r, '}', &first);) {
        if (!json_key(&r, &text) || !json_u32(&r, &id))
            break;
        int rc = check_id(v, id, text, err);
        if (rc)
            return rc;
        if (v->text[id].p)
            return error_set(err, ORCD_E_INVALID, "two tokens have the id %u: \"%.*s\" and \"%.*s\"", id,
                (int)min_u64(v->text[id].n, 64), v->text[id].p, (int)min_u64(text.n, 64), text.p);
        v->text[id] = (struct gguf_str){text.p, text.n};
        v->type[id] = TOKEN_NORMAL;
        v->n = (uint32_t)max_u64(v->n, (uint64_t)id + 1);
    }
    return r.error ? json_file_error(f, &r, err) : 0;
}

struct added {
    struct json_text content;
    uint32_t id;
    bool has_id, special, lstrip, rstrip, single_word;
};

static bool read_added_token(struct json_reader *r, struct added *a)
{
    struct json_text key;
    *a = (struct added){0};
    json_open(r, '{');
    for (bool first = true; json_next(r, '}', &first);) {
        if (!json_key(r, &key))
            return false;
        if (json_text_is(key, "id"))
            a->has_id = json_u32(r, &a->id);
        else if (json_text_is(key, "content"))
            json_string(r, &a->content);
        else if (json_text_is(key, "special"))
            json_bool(r, &a->special);
        else if (json_text_is(key, "lstrip"))
            json_bool(r, &a->lstrip);
        else if (json_text_is(key, "rstrip"))
            json_bool(r, &a->rstrip);
        else if (json_text_is(key, "single_word"))
            json_bool(r, &a->single_word);
        else
            json_skip(r);
    }
    if (!r->error && (!a->has_id || !a->content.n))
        return json_fail(r, "an added token without id or content");
    return !r->error;
}

static int add_token(struct tokens *v, const struct added *a, struct orcd_error *err)
{
    int rc = check_id(v, a->id, a->content, err);
    if (rc)
        return rc;
    if (a->single_word)
        return error_set(err, ORCD_E_UNSUPPORTED, "added token \"%.*s\": single_word is not supported",
            (int)min_u64(a->content.n, 64), a->content.p);
    struct gguf_str *at = &v->text[a->id];
    if (at->p && (at->n != a->content.n || memcmp(at->p, a->content.p, at->n) != 0))
        return error_set(err, ORCD_E_INVALID, "two tokens have the id %u: \"%.*s\" and \"%.*s\"", a->id,
            (int)min_u64(at->n, 64), at->p, (int)min_u64(a->content.n, 64), a->content.p);
    *at = (struct gguf_str){a->content.p, a->content.n};
    v->type[a->id] = a->special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
    v->flags[a->id] = (uint8_t)((a->lstrip ? TOKEN_LSTRIP : 0) | (a->rstrip ? TOKEN_RSTRIP : 0));
    v->n = (uint32_t)max_u64(v->n, (uint64_t)a->id + 1);
    return 0;
}

static int read_added_tokens(const struct json_file *f, struct tokens *v, struct orcd_error *err)
{
    if (!f->added_tokens)
        return 0;
    struct json_reader r = json_file_at(f, f->added_tokens);
    struct added a;
    size_t bytes = 0;
    json_open(&r, '[');
    for (bool first = true; json_next(&r, ']', &first);) {
        if (!read_added_token(&r, &a))
            break;
        bytes += a.content.n;
        if (bytes > ADDED_BYTES_MAX) {
            json_fail(&r, "the added tokens are too long");
            break;
        }
        int rc = add_token(v, &a, err);
        if (rc)
            return rc;
    }
    return r.error ? json_file_error(f, &r, err) : 0;
}

/* Finds the unknown token; unk_token is its text. */
static int find_unknown(
    struct tokenizer *t, const struct json_file *f, struct tokens *v, struct orcd_error *err)
{
    t->unk = -1;
    if (!f->has_unk)
        return 0;
    for (uint32_t id = 0; id < v->n; id++)
        if (v->text[id].n == f->unk_token.n && v->text[id].p &&
            !memcmp(v->text[id].p, f->unk_token.p, f->unk_token.n)) {
            t->unk = (int32_t)id;
            if (v->type[id] != TOKEN_USER_DEFINED)
                v->type[id] = TOKEN_UNKNOWN;
            return 0;
        }
    return error_set(err, ORCD_E_INVALID, "unk_token \"%.*s\" is not a token of the vocabulary",
        (int)min_u64(f->unk_token.n, 64), f->unk_token.p);
}

static int read_merges(struct tokenizer *t, const struct json_file *f, struct orcd_error *err)
{
    struct json_reader r = json_file_at(f, f->merges);
    struct merge_loader *l = merge_loader_new(t, (size_t)t->n_vocab);
    bool ok = l != NULL;
    uint32_t rank = 0;
    json_open(&r, '[');
    for (bool first = true; ok && json_next(&r, ']', &first); rank++) {
        struct json_text a, b;
        struct gguf_str left, right;
        if (rank == MERGES_MAX) {
            json_fail(&r, "too many merges");
            break;
        }
        if (json_peek(&r) == '"') {
            if (!json_string(&r, &a))
                break;
            if (!tokenizer_merge_split((struct gguf_str){a.p, a.n}, &left, &right)) {
                json_fail(&r, "a merge is not two tokens with a space between");
                break;
            }
        } else {
            bool one = true;
            if (!json_open(&r, '[') || !json_next(&r, ']', &one) || !json_string(&r, &a) ||
                !json_next(&r, ']', &one) || !json_string(&r, &b) || json_next(&r, ']', &one) || r.error) {
                json_fail(&r, "a merge is not two tokens");
                break;
            }
            left = (struct gguf_str){a.p, a.n};
            right = (struct gguf_str){b.p, b.n};
        }
        ok = merge_loader_put(l, left, right, rank);
    }
    ok = merge_loader_end(l) && ok;
    if (!ok)
        return out_of_memory(err);
    return r.error ? json_file_error(f, &r, err) : 0;
}

/* A folder may have the tokenizer.json of another model, so it is compared with the model's own vocabulary.
 * A few tokens may have been edited, not many. */
static int compare_with_model(const struct tokens *v, const struct gguf *g, struct orcd_error *err)
{
    struct gguf_array tokens;
    struct gguf_str own;
    if (!g || gguf_get_array(g, "tokenizer.ggml.tokens", &tokens, NULL) || tokens.type != GGUF_STRING)
        return 0;
    struct gguf_array_cursor c = gguf_array_strings(&tokens);
    uint32_t id = 0, differ = 0, first = 0;
    struct gguf_str first_own = {0};
    for (; id < v->n && gguf_array_next(&c, &own); id++) {
        const struct gguf_str *t = &v->text[id];
        if (v->type[id] != TOKEN_NORMAL || (t->n == own.n && !memcmp(t->p, own.p, own.n)))
            continue;
        if (!differ++) {
            first = id;
            first_own = own;
        }
    }
    if (differ <= id / 16)
        return 0;
    return error_set(err, ORCD_E_INVALID,
        "not the vocabulary of this model: token %u is \"%.*s\", but \"%.*s\" in the model file", first,
        (int)min_u64(v->text[first].n, 64), v->text[first].p, (int)min_u64(first_own.n, 64), first_own.p);
}

static int load_tokens(struct tokenizer *t, const struct json_file *f, const struct gguf *g, struct tokens *v,
    struct orcd_error *err)
{
    int rc = read_vocab(f, v, err);
    if (!rc)
        rc = read_added_tokens(f, v, err);
    if (!rc)
        rc = find_unknown(t, f, v, err);
    if (!rc)
        rc = compare_with_model(v, g, err);
    if (rc)
        return rc;
    if (!v->n)
        return error_set(err, ORCD_E_INVALID, "the vocabulary is empty");
    uint32_t rows = model_rows(g);
    t->n_vocab = (int32_t)(rows ? rows : v->n);
    t->type = v->type;
    t->flags = v->flags;
    v->type = v->flags = NULL;
    struct token_source source = {.list = v->text, .left = (size_t)t->n_vocab};
    return tokenizer_load_pieces(t, source, t->kind == KIND_SPM && f->byte_fallback, err);
}

int json_load_vocab(struct tokenizer *t, struct json_file *f, const struct gguf *g, struct orcd_error *err)
{
    uint32_t n_vocab = model_rows(g);
    struct tokens v = {.cap = n_vocab ? n_vocab : TOKENS_MAX};
    v.text = calloc(v.cap, sizeof(*v.text));
    v.type = malloc(v.cap);
    v.flags = calloc(v.cap, 1);
    int rc;
    if (v.text && v.type && v.flags) {
        memset(v.type, TOKEN_UNUSED, v.cap);
        rc = load_tokens(t, f, g, &v, err);
    } else {
        rc = out_of_memory(err);
    }
    free(v.text);
    free(v.type);
    free(v.flags);
    if (rc)
        return rc;
    tokenizer_mark_tokens(t, NULL);
    rc = tokenizer_index_words(t, err);
    return rc ? rc : read_merges(t, f, err);
}
