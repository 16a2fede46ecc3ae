/*
 * Loads the merges of a vocabulary, which are not trusted. Each merge needs three lookups in tables that
 * are larger than the caches. So merges are processed in batches: each step is done for the whole batch
 * before the next step begins, and prefetches the memory that the next step will read.
 *
 * In most vocabularies the results of merges are numbered in the order of their ranks: if the token after
 * the last result has the right bytes, its lookup is saved.
 */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/tokenizer-internal.h"

#define BATCH 32
#define TEXT_BYTES (64 * 1024)

enum { LEFT, RIGHT, BOTH, WORDS }; /* the words of a merge; BOTH is its result, WORDS their number */

struct merge {
    uint32_t rank;
    const char *text; /* left and right */
    size_t n_left, n;
    int unknown; /* the first words, which must be looked up; BOTH may be known already */
    uint64_t hash[WORDS];
    int32_t id[WORDS];
};

struct merge_loader {
    struct tokenizer *t;
    struct merge merges[BATCH];
    unsigned n;
    char *text;
    size_t n_text, size;
    int64_t base; /* the id of the last result minus its rank */
};

static int32_t find(const struct tokenizer *t, const struct merge *m, int word)
{
    const char *p = m->text + (word == RIGHT ? m->n_left : 0);
    size_t n = word == LEFT ? m->n_left : word == RIGHT ? m->n - m->n_left : m->n;
    return word_map_find_hashed(&t->words, t->piece_bytes, t->piece_off, p, n, m->hash[word]);
}

/* Adds all merges of the batch and empties it. False: out of memory. */
static bool add_batch(struct merge_loader *b)
{
    struct tokenizer *t = b->t;
    int32_t at_home[BATCH][WORDS];
    for (unsigned i = 0; i < b->n; i++)
        for (int w = 0; w < b->merges[i].unknown; w++) {
            at_home[i][w] = word_map_home(&t->words, b->merges[i].hash[w]);
            if (at_home[i][w] >= 0)
                __builtin_prefetch(&t->piece_off[at_home[i][w]]);
        }
    for (unsigned i = 0; i < b->n; i++)
        for (int w = 0; w < b->merges[i].unknown; w++)
            if (at_home[i][w] >= 0)
                __builtin_prefetch(t->piece_bytes + t->piece_off[at_home[i][w]]);
    for (unsigned i = 0; i < b->n; i++) {
        struct merge *m = &b->merges[i];
        for (int w = 0; w < m->unknown; w++)
            m->id[w] = find(t, m, w);
        if (m->id[BOTH] >= 0)
            b->base = (int64_t)m->id[BOTH] - m->rank;
        pair_map_prefetch(&t->merges, (uint32_t)m->id[LEFT], (uint32_t)m->id[RIGHT]);
    }
    bool ok = true;
    for (unsigned i = 0; i < b->n && ok; i++) {
        const struct merge *m = &b->merges[i];
        if (m->id[LEFT] >= 0 && m->id[RIGHT] >= 0 && m->id[BOTH] >= 0)
            ok =
                pair_map_add(&t->merges, (uint32_t)m->id[LEFT], (uint32_t)m->id[RIGHT], m->rank, m->id[BOTH]);
    }
    b->n = 0;
    b->n_text = 0;
    return ok;
}

/* The id of a merge's result if it is the token after the last result, else -1. */
static int32_t both_expected(const struct merge_loader *l, const struct merge *m)
{
    const struct tokenizer *t = l->t;
    int64_t id = l->base + m->rank;
    if (id < 0 || id >= t->n_vocab || !(t->flags[id] & TOKEN_WORD))
        return -1;
    size_t n;
    const char *p = token_bytes(t, (int32_t)id, &n);
    return n == m->n && !memcmp(p, m->text, n) ? (int32_t)id : -1;
}

/* Decodes one side of a merge to its bytes. False: no token has such bytes. */
static bool side_text(const struct tokenizer *t, struct gguf_str raw, char *out, size_t *n_out)
{
    if (t->kind == KIND_BPE)
        return tokenizer_alphabet_decode(raw.p, raw.n, out, n_out);
    size_t used = 0;
    for (size_t i = 0; i < raw.n;) {
        if (raw.n - i >= 3 && !memcmp(raw.p + i, "\xe2\x96\x81", 3)) {
            out[used++] = ' ';
            i += 3;
        } else if (raw.p[i] == ' ') {
            return false;
        } else {
            out[used++] = raw.p[i++];
        }
    }
    *n_out = used;
    return true;
}

struct merge_loader *merge_loader_new(struct tokenizer *t, size_t expected)
{
    struct merge_loader *l = malloc(sizeof(*l));
    if (!l)
        return NULL;
    l->t = t;
    l->n = 0;
    l->n_text = 0;
    l->base = -1;
    l->size = max_u64(TEXT_BYTES, t->max_piece + 1);
    l->text = malloc(l->size);
    if (l->text && pair_map_init(&t->merges, expected))
        return l;
    free(l->text);
    free(l);
    return NULL;
}

bool merge_loader_put(struct merge_loader *l, struct gguf_str left, struct gguf_str right, uint32_t rank)
{
    const struct tokenizer *t = l->t;
    if (left.n > t->max_piece || right.n > t->max_piece - left.n)
        return true; /* longer than any token */
    if ((l->n == BATCH || left.n + right.n > l->size - l->n_text) && !add_batch(l))
        return false;
    char *text = l->text + l->n_text;
    size_t n_left, n_right;
    if (!side_text(t, left, text, &n_left) || !side_text(t, right, text + n_left, &n_right))
        return true;
    const struct word_map *words = &t->words;
    struct merge *m = &l->merges[l->n++];
    *m = (struct merge){.rank = rank, .text = text, .n_left = n_left, .n = n_left + n_right};
    m->id[BOTH] = both_expected(l, m);
    m->unknown = m->id[BOTH] >= 0 ? BOTH : WORDS;
    m->hash[LEFT] = map_hash_bytes(text, n_left, words->seed);
    m->hash[RIGHT] = map_hash_bytes(text + n_left, n_right, words->seed);
    if (m->unknown == WORDS)
        m->hash[BOTH] = map_hash_bytes(text, m->n, words->seed);
    for (int w = 0; w < m->unknown; w++)
        word_map_prefetch(words, m->hash[w]);
    l->n_text += m->n;
    return true;
}

bool merge_loader_end(struct merge_loader *l)
{
    bool ok = l && add_batch(l);
    if (l)
        free(l->text);
    free(l);
    return ok;
}

/* A merge may begin with a space. */
bool tokenizer_merge_split(struct gguf_str merge, struct gguf_str *left, struct gguf_str *right)
{
    const char *space = merge.n > 1 ? memchr(merge.p + 1, ' ', merge.n - 1) : NULL;
    if (!space)
        return false;
    *left = (struct gguf_str){merge.p, (size_t)(space - merge.p)};
    *right = (struct gguf_str){space + 1, merge.n - left->n - 1};
    return true;
}

int tokenizer_load_merges(struct tokenizer *t, const struct gguf *g, struct orcd_error *err)
{
    struct gguf_array merges;
    int rc = gguf_get_array(g, "tokenizer.ggml.merges", &merges, err);
    if (rc == ORCD_E_NOT_FOUND)
        return error_set(err, ORCD_E_INVALID, "tokenizer.ggml.merges is missing; a gpt2 vocabulary needs it");
    if (rc)
        return rc;
    if (merges.type != GGUF_STRING || merges.n >= NO_RANK)
        return error_set(err, ORCD_E_INVALID, "tokenizer.ggml.merges is not an array of strings");
    struct merge_loader *l = merge_loader_new(t, (size_t)merges.n);
    struct gguf_array_cursor c = gguf_array_strings(&merges);
    struct gguf_str raw, left, right;
    bool ok = l != NULL;
    for (uint32_t rank = 0; ok && gguf_array_next(&c, &raw); rank++)
        if (tokenizer_merge_split(raw, &left, &right))
            ok = merge_loader_put(l, left, right, rank);
    ok = merge_loader_end(l) && ok;
    return ok ? 0 : error_set(err, ORCD_E_NOMEM, "out of memory for the vocabulary");
}
