#include <stdlib.h>
#include <string.h>

#include "model/tokenizer-internal.h"

#include "base/util.h"
#include "model/tokenizer-regex.h"
#include "model/unicode-nfc.h"
#include "model/unicode.h"

/* A word that was encoded before in this text; its ids are in the output already. */
struct seen_word {
    uint32_t hash, at, n; /* its position and bytes in the text; n 0: the entry is free */
    uint32_t out, n_out;
};
#define SEEN_MAX_BYTES 128
#define SEEN_MAX_WORDS 32768

struct encoder {
    const struct tokenizer *t;
    struct id_list out;
    struct merge_room room;
    struct regex_room *regex_room;
    struct orcd_error *err; /* of the caller */
    int rc;                 /* what was set in err; 0 after a failure: out of memory */
    struct seen_word *seen; /* direct-mapped; NULL for a short text */
    size_t seen_mask;
    const char *base; /* seen_word.at is relative to this */
    char *spaced;     /* SPM: all normalized fragments, one after the other */
    size_t spaced_n;
};

static bool encode_word(struct encoder *e, const char *word, size_t n)
{
    const struct tokenizer *t = e->t;
    bool keep = e->seen && n <= SEEN_MAX_BYTES && e->out.n < UINT32_MAX;
    if (!keep && !t->ignore_merges)
        return tokenizer_merge_word(t, &e->room, word, n, &e->out);

    uint64_t h = n <= t->max_piece || keep ? map_hash_bytes(word, n, t->words.seed) : 0;
    struct seen_word *s = NULL;
    if (keep) {
        s = &e->seen[(h >> 20) & e->seen_mask];
        if (s->n == n && s->hash == (uint32_t)h && !memcmp(e->base + s->at, word, n))
            return id_list_push_n(&e->out, s->out, s->n_out);
    }
    size_t from = e->out.n;
    int32_t whole = -1;
    if (t->ignore_merges && n <= t->max_piece)
        whole = word_map_find_hashed(&t->words, t->piece_bytes, t->piece_off, word, n, h);
    bool ok = whole >= 0 ? id_list_push(&e->out, whole) : tokenizer_merge_word(t, &e->room, word, n, &e->out);
    if (ok && s)
        *s = (struct seen_word){(uint32_t)h, (uint32_t)(word - e->base), (uint32_t)n, (uint32_t)from,
            (uint32_t)(e->out.n - from)};
    return ok;
}

/* Cuts by expressions. */
static bool encode_cut(struct encoder *e, const char *p, size_t n)
{
    struct pre_cut cut;
    size_t k;
    pre_cut_init(&cut, e->t->pre, &e->regex_room, p, n);
    while ((e->rc = pre_cut_next(&cut, &k, e->err)) > 0) {
        if (!encode_word(e, p, k)) {
            e->rc = 0;
            return false;
        }
        p += k;
    }
    return !e->rc;
}

static bool encode_bpe(struct encoder *e, const char *p, size_t n)
{
    pre_scanner *scan = pretokenizer_scanner(e->t->pre);
    if (!scan)
        return encode_cut(e, p, n);
    while (n) {
        size_t k = scan(p, n);
        if (!encode_word(e, p, k))
            return false;
        p += k;
        n -= k;
    }
    return true;
}

/*
 * SPM replaces spaces by U+2581. Here U+2581 becomes a space, because pieces have spaces. If no token has a
 * space after another character, merges never cross such a place. Then the words between these places are
 * merged one by one, with the same result as merging the whole text.
 */
static bool encode_spm(struct encoder *e, const char *p, size_t n, bool first)
{
    char *start = e->spaced + e->spaced_n, *q = start;
    bool begins = *p == ' ' || (n >= 3 && !memcmp(p, "\xe2\x96\x81", 3));
    if (e->t->add_space_prefix && (first || !e->t->prefix_first) && !(begins && e->t->prefix_once))
        *q++ = ' ';
    for (size_t i = 0; i < n;) {
        if (n - i >= 3 && !memcmp(p + i, "\xe2\x96\x81", 3)) {
            *q++ = ' ';
            i += 3;
        } else {
            *q++ = p[i++];
        }
    }
    e->spaced_n += (size_t)(q - start);
    if (!e->t->split_words)
        return tokenizer_merge_word(e->t, &e->room, start, (size_t)(q - start), &e->out);
    while (start < q) {
        char *end = start;
        while (end < q && *end == ' ')
            end++;
        while (end < q && *end != ' ')
            end++;
        if (!encode_word(e, start, (size_t)(end - start)))
            return false;
        start = end;
    }
    return true;
}

/* Words are remembered by their position in the text, so they are not remembered for a normalized copy. */
static bool encode_nfc(struct encoder *e, const char *p, size_t n)
{
    char *copy;
    size_t n_copy;
    if (!unicode_nfc(p, n, &copy, &n_copy))
        return false;
    struct seen_word *seen = e->seen;
    e->seen = NULL;
    bool ok = encode_bpe(e, copy, n_copy);
    e->seen = seen;
    free(copy);
    return ok;
}

/* first: this fragment is at the start of the text. */
static bool encode_plain(struct encoder *e, const char *p, size_t n, bool first)
{
    if (!n)
        return true;
    switch (e->t->kind) {
    case KIND_BPE:
        return e->t->nfc && !unicode_is_nfc(p, n) ? encode_nfc(e, p, n) : encode_bpe(e, p, n);
    case KIND_SPM:
        return encode_spm(e, p, n, first);
    default:
        for (size_t i = 0; i < n; i++)
            if (!id_list_push(&e->out, e->t->byte_id[(unsigned char)p[i]]))
                return false;
        return true;
    }
}

static size_t strip_end(const char *p, size_t n)
{
    while (n) {
        size_t k = 1;
        while (k < n && k < 4 && ((unsigned char)p[n - k] & 0xc0) == 0x80)
            k++;
        size_t len;
        if (!(unicode_class_at((const unsigned char *)p + n - k, (const unsigned char *)p + n, &len) &
                UC_SPACE) ||
            len != k)
            break;
        n -= k;
    }
    return n;
}

static size_t space_bytes(const char *p, size_t n)
{
    size_t i = 0, len;
    while (i < n &&
           (unicode_class_at((const unsigned char *)p + i, (const unsigned char *)p + n, &len) & UC_SPACE))
        i += len;
    return i;
}

/* Whether the token is in brackets, like the tokens that have a meaning for a model. */
static bool is_bracketed(const struct tokenizer *t, int32_t id)
{
    size_t n;
    const char *p = token_bytes(t, id, &n);
    return n > 2 && ((*p == '<' && p[n - 1] == '>') || (*p == '[' && p[n - 1] == ']'));
}

/* The plain parts of a text, in order. */
struct plain_parts {
    const struct tokenizer_range *range;
    size_t n;
};

/* The special token at text + i that ends in the same part; -1: none. */
static int32_t special_in(struct encoder *e, const char *text, size_t n, size_t i, bool parse_special,
    struct plain_parts *parts, size_t *bytes)
{
    while (parts->n && i >= parts->range->at + parts->range->n) {
        parts->range++;
        parts->n--;
    }
    bool plain = parts->n && i >= parts->range->at;
    size_t end = !parts->n ? n : plain ? parts->range->at + parts->range->n : parts->range->at;
    int32_t id = tokenizer_special_at(e->t, text + i, end - i, parse_special && !plain, bytes);
    return plain && id >= 0 && is_bracketed(e->t, id) ? -1 : id;
}

/* Finds the special tokens and encodes the text between them. */
static bool encode_text(
    struct encoder *e, const char *text, size_t n, bool parse_special, struct plain_parts parts)
{
    const struct tokenizer *t = e->t;
    size_t start = 0;
    if (t->has_special[parse_special])
        for (size_t i = 0; i < n;) {
            size_t k;
            int32_t id = special_in(e, text, n, i, parse_special, &parts, &k);
            if (id < 0) {
                i++;
                continue;
            }
            size_t plain = i - start;
            if (t->flags[id] & TOKEN_LSTRIP)
                plain = strip_end(text + start, plain);
            if (!encode_plain(e, text + start, plain, start == 0) || !id_list_push(&e->out, id))
                return false;
            i += k;
            if (t->flags[id] & TOKEN_RSTRIP)
                i += space_bytes(text + i, n - i);
            start = i;
        }
    return encode_plain(e, text + start, n - start, start == 0);
}

static bool encoder_init(
    struct encoder *e, const struct tokenizer *t, const char *text, size_t n, struct orcd_error *err)
{
    *e = (struct encoder){.t = t, .base = text, .err = err};
    if (t->kind == KIND_SPM) {
        /* A space may be added before each fragment; there are at most n + 1 of them. */
        e->spaced = malloc(2 * n + 1);
        if (!e->spaced)
            return false;
        e->base = e->spaced;
    }
    if (t->kind != KIND_BYTES && n >= 64 && (t->kind == KIND_BPE || t->split_words)) {
        size_t words = 64;
        while (words < n / 8 && words < SEEN_MAX_WORDS)
            words *= 2;
        e->seen = calloc(words, sizeof(*e->seen));
        if (!e->seen)
            return false;
        e->seen_mask = words - 1;
    }
    return true;
}

static void encoder_clear(struct encoder *e)
{
    merge_room_clear(&e->room);
    regex_room_free(e->regex_room);
    free(e->seen);
    free(e->spaced);
    free(e->out.v);
}

static int encode_parts(const struct tokenizer *t, const char *text, size_t n, unsigned flags,
    struct plain_parts parts, int32_t **ids, size_t *n_ids, struct orcd_error *err)
{
    if (n > TOKENIZER_MAX_TEXT)
        return error_set(err, ORCD_E_INVALID,
            "a text of %zu bytes is too long to tokenize; at most %zu are allowed", n, TOKENIZER_MAX_TEXT);
    bool special = flags & TOKENIZE_ADD_SPECIAL;
    bool bos = special && t->add_bos && t->bos >= 0;
    struct encoder e;
    bool ok = encoder_init(&e, t, text, n, err) && (!bos || id_list_push(&e.out, t->bos)) &&
              encode_text(&e, text, n, flags & TOKENIZE_PARSE_SPECIAL, parts);
    size_t n_out = ok ? e.out.n : 0;
    if (ok && !e.out.v) /* an empty list must be an allocation, too */
        ok = id_list_push(&e.out, 0);
    if (!ok) {
        encoder_clear(&e);
        return e.rc ? e.rc : error_set(err, ORCD_E_NOMEM, "out of memory to tokenize %zu bytes", n);
    }
    if (bos && n_out > 1 && e.out.v[1] == t->bos)
        memmove(e.out.v, e.out.v + 1, --n_out * sizeof(*e.out.v));
    *ids = e.out.v;
    *n_ids = n_out;
    e.out.v = NULL;
    encoder_clear(&e);
    return 0;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, unsigned flags, int32_t **ids,
    size_t *n_ids, struct orcd_error *err)
{
    return encode_parts(t, text, n, flags, (struct plain_parts){NULL, 0}, ids, n_ids, err);
}

int tokenizer_encode_marked(const struct tokenizer *t, const char *text, size_t n,
    const struct tokenizer_range *plain, size_t n_plain, int32_t **ids, size_t *n_ids, struct orcd_error *err)
{
    unsigned flags = TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL;
    return encode_parts(t, text, n, flags, (struct plain_parts){plain, n_plain}, ids, n_ids, err);
}
