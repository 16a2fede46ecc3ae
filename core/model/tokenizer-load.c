/* Loads the vocabulary of a model file, which is not trusted. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer-internal.h"

#include "base/log.h"
#include "base/util.h"

#define NO_TEXT 128 /* a flag while loading: plain text never becomes this token */

/* The byte of a code point in the alphabet of byte-level BPE; -1: it is not in the alphabet. Printable
 * Latin-1 characters stand for themselves; the other 68 bytes follow from U+0100 on. */
static int alphabet_byte(uint32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255))
        return (int)cp;
    if (cp < 256 || cp >= 256 + 68)
        return -1;
    cp -= 256;
    return cp < 33 ? (int)cp : cp < 33 + 34 ? (int)(cp - 33 + 127) : 173;
}

bool tokenizer_alphabet_decode(const char *p, size_t n, char *out, size_t *n_out)
{
    size_t used = 0;
    while (n) {
        const unsigned char *s = (const unsigned char *)p;
        if (*s >= 33 && *s <= 126) { /* nearly all characters */
            out[used++] = *p++;
            n--;
            continue;
        }
        size_t k = utf8_char_len(p, n);
        int byte = k == 1   ? alphabet_byte(s[0])
                   : k == 2 ? alphabet_byte((uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f))
                            : -1;
        if (byte < 0)
            return false;
        out[used++] = (char)byte;
        p += k;
        n -= k;
    }
    *n_out = used;
    return true;
}

/* "<0x41>" -> 0x41; -1 for any other text. */
static int byte_token(const char *p, size_t n)
{
    if (n != 6 || memcmp(p, "<0x", 3) || p[5] != '>')
        return -1;
    int value = 0;
    for (int i = 3; i < 5; i++) {
        int digit = p[i] >= '0' && p[i] <= '9'   ? p[i] - '0'
                    : p[i] >= 'A' && p[i] <= 'F' ? p[i] - 'A' + 10
                    : p[i] >= 'a' && p[i] <= 'f' ? p[i] - 'a' + 10
                                                 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Maps scores to ranks in reverse order: the best score has the lowest rank. */
static uint32_t score_rank(double score)
{
    float f = isnan(score) ? -INFINITY : (float)score + 0.0f; /* -0 becomes 0 */
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return ~(bits & UINT32_C(0x80000000) ? ~bits : bits | UINT32_C(0x80000000));
}

static int out_of_memory(struct orcd_error *err)
{
    return error_set(err, ORCD_E_NOMEM, "out of memory for the vocabulary");
}

/* Reads an array with one number per token. Returns 0, NOT_FOUND or INVALID. */
static int per_token_array(const struct tokenizer *t, const struct gguf *g, const char *key,
    struct gguf_array *a, struct orcd_error *err)
{
    int rc = gguf_get_array(g, key, a, err);
    if (rc)
        return rc;
    if (a->type == GGUF_STRING || a->type == GGUF_ARRAY)
        return error_set(err, ORCD_E_INVALID, "%s is not an array of numbers", key);
    if (a->n != (uint64_t)t->n_vocab)
        return error_set(err, ORCD_E_INVALID, "%s has %llu elements for %d tokens", key,
            (unsigned long long)a->n, (int)t->n_vocab);
    return 0;
}

static int load_types(
    struct tokenizer *t, const struct gguf *g, bool *has_byte_tokens, struct orcd_error *err)
{
    struct gguf_array a;
    t->type = malloc((size_t)t->n_vocab);
    t->flags = calloc((size_t)t->n_vocab, 1);
    if (!t->type || !t->flags)
        return out_of_memory(err);
    memset(t->type, TOKEN_NORMAL, (size_t)t->n_vocab);
    *has_byte_tokens = false;
    int rc = per_token_array(t, g, "tokenizer.ggml.token_type", &a, err);
    if (rc == ORCD_E_NOT_FOUND)
        return 0;
    if (rc)
        return rc;
    if (a.type == GGUF_F32 || a.type == GGUF_F64)
        return error_set(err, ORCD_E_INVALID, "tokenizer.ggml.token_type is not an array of integers");
    for (int32_t i = 0; i < t->n_vocab; i++) {
        uint64_t type = gguf_array_u64(&a, (uint64_t)i);
        if (type >= TOKEN_NORMAL && type <= TOKEN_BYTE)
            t->type[i] = (uint8_t)type;
        *has_byte_tokens |= type == TOKEN_BYTE;
    }
    return 0;
}

static int load_scores(struct tokenizer *t, const struct gguf *g, struct orcd_error *err)
{
    struct gguf_array a;
    size_t bytes;
    int rc = per_token_array(t, g, "tokenizer.ggml.scores", &a, err);
    if (rc == ORCD_E_NOT_FOUND)
        return error_set(
            err, ORCD_E_INVALID, "tokenizer.ggml.scores is missing; a llama vocabulary needs it");
    if (rc)
        return rc;
    if (__builtin_mul_overflow((size_t)t->n_vocab, sizeof(*t->rank), &bytes) || !(t->rank = malloc(bytes)))
        return out_of_memory(err);
    for (int32_t i = 0; i < t->n_vocab; i++)
        t->rank[i] = score_rank(gguf_array_f64(&a, (uint64_t)i));
    return 0;
}

/* Writes the bytes of token i, which is not special; *n_out <= raw.n. */
static void write_piece(
    struct tokenizer *t, int32_t i, struct gguf_str raw, bool by_pattern, char *out, size_t *n_out)
{
    *n_out = 0;
    if (t->kind == KIND_BPE) {
        if (tokenizer_alphabet_decode(raw.p, raw.n, out, n_out))
            return;
        t->flags[i] |= NO_TEXT;
        memcpy(out, raw.p, raw.n);
        *n_out = raw.n;
        return;
    }
    int byte = by_pattern || t->type[i] == TOKEN_BYTE ? byte_token(raw.p, raw.n) : -1;
    if (byte >= 0) {
        t->type[i] = TOKEN_BYTE;
        out[(*n_out)++] = (char)byte;
        return;
    }
    for (size_t k = 0; k < raw.n;) {
        if (raw.n - k >= 3 && !memcmp(raw.p + k, "\xe2\x96\x81", 3)) {
            out[(*n_out)++] = ' ';
            k += 3;
        } else {
            if (raw.p[k] == ' ') /* no text has it: spaces of a text become U+2581 */
                t->flags[i] |= NO_TEXT;
            out[(*n_out)++] = raw.p[k++];
        }
    }
}

/* U+2581 alone, once or more. */
static bool only_marks(struct gguf_str raw)
{
    for (size_t i = 0; i < raw.n; i++)
        if (raw.p[i] != "\xe2\x96\x81"[i % 3])
            return false;
    return raw.n && raw.n % 3 == 0;
}

static bool source_next(struct token_source *s, struct gguf_str *out)
{
    if (!s->list)
        return gguf_array_next(&s->strings, out);
    if (!s->left)
        return false;
    s->left--;
    *out = *s->list++;
    return true;
}

int tokenizer_load_pieces(
    struct tokenizer *t, struct token_source source, bool by_pattern, struct orcd_error *err)
{
    struct token_source s = source;
    struct gguf_str raw;
    size_t total = 0, bytes;
    t->max_piece = 4;
    while (source_next(&s, &raw)) {
        if (__builtin_add_overflow(total, raw.n, &total))
            return out_of_memory(err);
        t->max_piece = max_u64(t->max_piece, raw.n);
    }
    if (__builtin_mul_overflow((size_t)t->n_vocab + 1, sizeof(*t->piece_off), &bytes))
        return out_of_memory(err);
    t->piece_off = malloc(bytes);
    t->piece_bytes = malloc(total + 1);
    if (!t->piece_off || !t->piece_bytes)
        return out_of_memory(err);

    s = source;
    size_t used = 0;
    for (int32_t i = 0; i < t->n_vocab; i++) {
        size_t n;
        if (!source_next(&s, &raw))
            return error_set(err, ORCD_E_INVALID, "the list of tokens ends early");
        t->piece_off[i] = used;
        /* Gemma's runs of spaces are user-defined, but written as in all other tokens. */
        if (t->kind == KIND_SPM && t->type[i] == TOKEN_USER_DEFINED && only_marks(raw))
            t->type[i] = TOKEN_NORMAL;
        if (t->type[i] == TOKEN_CONTROL || t->type[i] == TOKEN_UNKNOWN || t->type[i] == TOKEN_USER_DEFINED) {
            memcpy(t->piece_bytes + used, raw.p, raw.n);
            n = raw.n;
        } else {
            write_piece(t, i, raw, by_pattern, t->piece_bytes + used, &n);
            /* A token that only looks like a byte token is a normal token. */
            if (t->type[i] == TOKEN_BYTE && (t->kind == KIND_BPE || n != 1 || byte_token(raw.p, raw.n) < 0))
                t->type[i] = TOKEN_NORMAL;
        }
        used += n;
    }
    t->piece_off[t->n_vocab] = used;
    return 0;
}

/* Words on their way into the table. When a word arrives, its place in the table is prefetched; the word
 * is put there after WORDS_AHEAD others have arrived. */
#define WORDS_AHEAD 32
struct words_ahead {
    int32_t id[WORDS_AHEAD];
    uint64_t hash[WORDS_AHEAD];
    unsigned n; /* words that have arrived */
};

static void word_put(struct tokenizer *t, const struct words_ahead *a, unsigned i)
{
    int32_t id = a->id[i % WORDS_AHEAD];
    if (word_map_add(&t->words, t->piece_bytes, t->piece_off, id, a->hash[i % WORDS_AHEAD]))
        t->flags[id] |= TOKEN_WORD;
}

static void word_came(struct tokenizer *t, struct words_ahead *a, int32_t id, const char *p, size_t n)
{
    if (a->n >= WORDS_AHEAD)
        word_put(t, a, a->n);
    uint64_t h = map_hash_bytes(p, n, t->words.seed);
    word_map_prefetch(&t->words, h);
    a->id[a->n % WORDS_AHEAD] = id;
    a->hash[a->n % WORDS_AHEAD] = h;
    a->n++;
}

static void words_end(struct tokenizer *t, const struct words_ahead *a)
{
    for (unsigned i = a->n < WORDS_AHEAD ? 0 : a->n - WORDS_AHEAD; i < a->n; i++)
        word_put(t, a, i);
}

int tokenizer_index_words(struct tokenizer *t, struct orcd_error *err)
{
    struct words_ahead ahead = {.n = 0};
    if (!word_map_init(&t->words, (size_t)t->n_vocab))
        return out_of_memory(err);
    for (int i = 0; i < 256; i++)
        t->byte_id[i] = -1;
    t->split_words = true;
    for (int32_t id = 0; id < t->n_vocab; id++) {
        size_t n;
        const char *p = token_bytes(t, id, &n);
        bool text = !(t->flags[id] & NO_TEXT);
        t->flags[id] &= (uint8_t)~NO_TEXT;
        if (t->type[id] == TOKEN_BYTE && t->byte_id[(unsigned char)*p] < 0)
            t->byte_id[(unsigned char)*p] = id;
        if (!n || !text || (t->type[id] != TOKEN_NORMAL && t->type[id] != TOKEN_UNUSED))
            continue;
        word_came(t, &ahead, id, p, n);
        if (t->kind == KIND_BPE && n == 1 && t->byte_id[(unsigned char)*p] < 0)
            t->byte_id[(unsigned char)*p] = id;
        for (size_t i = 1; i < n; i++)
            if (p[i] == ' ' && p[i - 1] != ' ')
                t->split_words = false;
    }
    words_end(t, &ahead);
    return 0;
}

int tokenizer_load_vocab(struct tokenizer *t, const struct gguf *g, struct orcd_error *err)
{
    struct gguf_array tokens;
    bool has_byte_tokens;
    int rc = gguf_get_array(g, "tokenizer.ggml.tokens", &tokens, err);
    if (rc == ORCD_E_NOT_FOUND)
        return error_set(err, ORCD_E_INVALID, "tokenizer.ggml.tokens is missing");
    if (rc)
        return rc;
    if (tokens.type != GGUF_STRING || tokens.n == 0 || tokens.n >= INT32_MAX)
        return error_set(err, ORCD_E_INVALID, "tokenizer.ggml.tokens is not an array of 1 to 2^31-2 strings");
    t->n_vocab = (int32_t)tokens.n;
    rc = load_types(t, g, &has_byte_tokens, err);
    if (!rc && t->kind == KIND_SPM)
        rc = load_scores(t, g, err);
    if (!rc)
        rc = tokenizer_load_pieces(
            t, (struct token_source){.strings = gguf_array_strings(&tokens)}, !has_byte_tokens, err);
    if (rc)
        return rc;
    tokenizer_mark_tokens(t, g);
    return tokenizer_index_words(t, err);
}
