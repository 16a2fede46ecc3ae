#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "model/tokenizer-internal.h"

#include "base/log.h"
#include "base/util.h"

/* Reads the id of a special token; without the key *out is not changed. required: an id out of range is an
 * error, else a warning. */
static int special_id(const struct tokenizer *t, const struct gguf *g, const char *key, bool required,
    int32_t *out, struct orcd_error *err)
{
    int64_t v;
    int rc = gguf_get_i64(g, key, &v, err);
    if (rc)
        return rc == ORCD_E_NOT_FOUND ? 0 : rc;
    if (v >= 0 && v < t->n_vocab) {
        *out = (int32_t)v;
        return 0;
    }
    if (required)
        return error_set(err, ORCD_E_INVALID, "%s is %lld, but the vocabulary has %d tokens", key,
            (long long)v, (int)t->n_vocab);
    log_warn(
        "%s is %lld, but the vocabulary has %d tokens; it is ignored", key, (long long)v, (int)t->n_vocab);
    *out = -1;
    return 0;
}

static int get_flag(const struct gguf *g, const char *key, bool *out, struct orcd_error *err)
{
    int rc = gguf_get_bool(g, key, out, err);
    return rc == ORCD_E_NOT_FOUND ? 0 : rc;
}

static void mark_end(struct tokenizer *t, int32_t id)
{
    if (id >= 0)
        t->flags[id] |= TOKEN_EOG;
}

/* The defaults for keys that a model file does not have. row: of a BPE vocabulary. */
static void default_special_ids(struct tokenizer *t, const struct pre_row *row)
{
    bool spm = t->kind == KIND_SPM;
    t->unk = spm ? 0 : -1;
    t->bos = spm && t->n_vocab > 1 ? 1 : -1;
    t->eos = spm && t->n_vocab > 2 ? 2 : -1;
    t->add_bos = spm || row->add_bos;
    t->add_space_prefix = spm;
}

int tokenizer_load_special_ids(struct tokenizer *t, const struct gguf *g, struct orcd_error *err)
{
    static const char *const others[] = {
        "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.seperator_token_id", /* spelt so in the format */
        "tokenizer.ggml.separator_token_id",
        "tokenizer.ggml.cls_token_id",
        "tokenizer.ggml.mask_token_id",
    };
    int32_t eot = -1, eom = -1, unused = -1;
    int rc = get_flag(g, "tokenizer.ggml.add_bos_token", &t->add_bos, err);
    if (!rc && !t->from_json)
        rc = get_flag(g, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix, err);
    if (!rc)
        rc = special_id(t, g, "tokenizer.ggml.bos_token_id", t->add_bos, &t->bos, err);
    if (!rc)
        rc = special_id(t, g, "tokenizer.ggml.eos_token_id", true, &t->eos, err);
    if (!rc)
        rc = special_id(t, g, "tokenizer.ggml.unknown_token_id", false, &t->unk, err);
    if (!rc)
        rc = special_id(t, g, "tokenizer.ggml.eot_token_id", false, &eot, err);
    if (!rc)
        rc = special_id(t, g, "tokenizer.ggml.eom_token_id", false, &eom, err);
    for (size_t i = 0; !rc && i < ARRAY_LEN(others); i++)
        rc = special_id(t, g, others[i], false, &unused, err);
    if (rc)
        return rc;

    /* If <|end|> does not end a generation, an eot id that names it does not either. */
    bool end_goes_on = tokenizer_find_raw(t, "<|return|>") >= 0 && tokenizer_find_raw(t, "<|call|>") >= 0;
    if (!end_goes_on || eot != tokenizer_find_raw(t, "<|end|>"))
        mark_end(t, eot);
    mark_end(t, t->eos);
    mark_end(t, eom);

    struct gguf_array ids;
    if (!gguf_get_array(g, "tokenizer.ggml.eos_token_ids", &ids, NULL) && ids.type != GGUF_STRING &&
        ids.type != GGUF_ARRAY)
        for (uint64_t i = 0; i < ids.n; i++) {
            uint64_t id = gguf_array_u64(&ids, i);
            if (id < (uint64_t)t->n_vocab)
                mark_end(t, (int32_t)id);
        }
    return 0;
}

/* The row that tokenizer.ggml.pre names. */
static int find_pre(
    struct tokenizer *t, const struct gguf *g, const struct pre_row **row, struct orcd_error *err)
{
    struct gguf_str s, arch;
    int rc = gguf_get_str(g, "tokenizer.ggml.pre", &s, err);
    if (rc && rc != ORCD_E_NOT_FOUND)
        return rc;
    if (rc == ORCD_E_NOT_FOUND) {
        log_warn("tokenizer.ggml.pre is missing; the default pre-tokenizer may differ from the model's own");
        s = (struct gguf_str){"default", 7};
    }
    /* Files with this spelling of gpt-oss name a wrong pre-tokenizer. */
    if (!gguf_get_str(g, "general.architecture", &arch, NULL) && arch.n == 6 && !memcmp(arch.p, "gptoss", 6))
        s = (struct gguf_str){"gpt-4o", 6};
    *row = pre_row_find(s.p, s.n, &t->pre_name);
    char known[PRE_ROW_NAMES_BYTES];
    return *row ? 0
                : error_set(err, ORCD_E_UNSUPPORTED, "pre-tokenizer \"%.*s\" is not supported (known: %s)",
                      (int)min_u64(s.n, 64), s.p, pre_row_names(known, sizeof(known)));
}

/* *row is set for a BPE vocabulary. */
static int load_kind(
    struct tokenizer *t, const struct gguf *g, const struct pre_row **row, struct orcd_error *err)
{
    struct gguf_str s;
    int rc = gguf_get_str(g, "tokenizer.ggml.model", &s, err);
    if (rc == ORCD_E_NOT_FOUND || (!rc && s.n == 8 && !memcmp(s.p, "no_vocab", 8)))
        return error_set(err, ORCD_E_UNSUPPORTED, "the file has no vocabulary (known: llama, gpt2)");
    if (rc)
        return rc;
    if (s.n == 5 && !memcmp(s.p, "llama", 5)) {
        t->kind = KIND_SPM;
        t->pre_name = "";
        return 0;
    }
    if (s.n != 4 || memcmp(s.p, "gpt2", 4) != 0)
        return error_set(err, ORCD_E_UNSUPPORTED,
            "tokenizer model \"%.*s\" is not supported (known: llama, gpt2)", (int)min_u64(s.n, 64), s.p);
    t->kind = KIND_BPE;
    t->by_merges = true;
    rc = find_pre(t, g, row, err);
    if (!rc)
        rc = pretokenizer_new(&t->pre, &(*row)->list, true, err);
    if (!rc)
        t->ignore_merges = (*row)->whole_words;
    return rc;
}

int tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g, struct orcd_error *err)
{
    struct tokenizer *t = calloc(1, sizeof(*t));
    if (!t)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the vocabulary");
    const struct pre_row *row = NULL;
    int rc = load_kind(t, g, &row, err);
    if (!rc)
        rc = tokenizer_load_vocab(t, g, err);
    if (!rc && t->kind == KIND_BPE)
        rc = tokenizer_load_merges(t, g, err);
    if (!rc) {
        default_special_ids(t, row);
        rc = tokenizer_load_special_ids(t, g, err);
    }
    if (!rc && !tokenizer_special_init(t))
        rc = error_set(err, ORCD_E_NOMEM, "out of memory for the special tokens");
    if (rc) {
        tokenizer_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

int tokenizer_new_bytes(struct tokenizer **out, struct orcd_error *err)
{
    static const char bos_text[] = "<|bos|>", eos_text[] = "<|eos|>";
    enum { N = 258 };
    struct tokenizer *t = calloc(1, sizeof(*t));
    if (t) {
        t->kind = KIND_BYTES;
        t->pre_name = "";
        t->n_vocab = N;
        t->piece_bytes = malloc(256 + sizeof(bos_text) + sizeof(eos_text));
        t->piece_off = malloc((N + 1) * sizeof(*t->piece_off));
        t->type = malloc(N);
        t->flags = calloc(N, 1);
    }
    if (!t || !t->piece_bytes || !t->piece_off || !t->type || !t->flags) {
        tokenizer_free(t);
        return error_set(err, ORCD_E_NOMEM, "out of memory for the byte tokenizer");
    }
    for (int i = 0; i < 256; i++) {
        t->piece_bytes[i] = (char)i;
        t->piece_off[i] = (size_t)i;
        t->byte_id[i] = i;
    }
    memset(t->type, TOKEN_BYTE, N);
    t->type[256] = t->type[257] = TOKEN_CONTROL;
    t->flags[257] = TOKEN_EOG;
    t->piece_off[256] = 256;
    t->piece_off[257] = 256 + sizeof(bos_text) - 1;
    t->piece_off[258] = t->piece_off[257] + sizeof(eos_text) - 1;
    memcpy(t->piece_bytes + t->piece_off[256], bos_text, sizeof(bos_text) - 1);
    memcpy(t->piece_bytes + t->piece_off[257], eos_text, sizeof(eos_text) - 1);
    t->max_piece = sizeof(eos_text) - 1;
    t->bos = 256;
    t->eos = 257;
    t->unk = -1;
    t->add_bos = true;
    if (!tokenizer_special_init(t)) {
        tokenizer_free(t);
        return error_set(err, ORCD_E_NOMEM, "out of memory for the byte tokenizer");
    }
    *out = t;
    return 0;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    pretokenizer_free(t->pre);
    word_map_clear(&t->words);
    pair_map_clear(&t->merges);
    pair_map_clear(&t->trie);
    free(t->trie_id);
    free(t->piece_bytes);
    free(t->piece_off);
    free(t->type);
    free(t->flags);
    free(t->rank);
    free(t);
}

const char *tokenizer_piece(const struct tokenizer *t, int32_t id, bool special, size_t *n)
{
    *n = 0;
    if (id < 0 || id >= t->n_vocab || (!special && tokenizer_is_control(t, id)))
        return "";
    return token_bytes(t, id, n);
}

size_t tokenizer_max_piece_bytes(const struct tokenizer *t)
{
    return t->max_piece;
}

int32_t tokenizer_n_vocab(const struct tokenizer *t)
{
    return t->n_vocab;
}

const char *tokenizer_kind(const struct tokenizer *t)
{
    return t->from_json          ? "hf-json"
           : t->kind == KIND_SPM ? "gguf-spm"
           : t->kind == KIND_BPE ? "gguf-bpe"
                                 : "bytes";
}

const char *tokenizer_pre(const struct tokenizer *t)
{
    return t->pre_name;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

bool tokenizer_is_eog(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n_vocab && (t->flags[id] & TOKEN_EOG);
}

bool tokenizer_is_control(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n_vocab && (t->type[id] == TOKEN_CONTROL || t->type[id] == TOKEN_UNKNOWN);
}
