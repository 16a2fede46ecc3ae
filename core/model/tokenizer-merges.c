/*
 * The merges of a byte-level BPE vocabulary, which is not trusted. Each is three lookups
 * in tables larger than the caches. So they are taken in batches: one step of all before
 * the next step of any, and each step asks the memory for what the next will read.
 */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/tokenizer-internal.h"

#define BATCH 32
#define TEXT_BYTES (64 * 1024)

enum { LEFT, RIGHT, BOTH, WORDS };

struct merge {
    uint32_t rank;
    const char *text; /* left and right */
    size_t n_left, n;
    uint64_t hash[WORDS];
    int32_t id[WORDS];
};

struct batch {
    struct merge merges[BATCH];
    unsigned n;
    char *text;
    size_t n_text, size;
};

static int32_t find(const struct tokenizer *t, const struct merge *m, int word)
{
    const char *p = m->text + (word == RIGHT ? m->n_left : 0);
    size_t n = word == LEFT ? m->n_left : word == RIGHT ? m->n - m->n_left : m->n;
    return word_map_find_hashed(&t->words, t->piece_bytes, t->piece_off, p, n, m->hash[word]);
}

/* Adds all of them and empties it. False: out of memory. */
static bool batch_add(struct batch *b, struct tokenizer *t)
{
    int32_t at_home[BATCH][WORDS];
    for (unsigned i = 0; i < b->n; i++)
        for (int w = 0; w < WORDS; w++) {
            at_home[i][w] = word_map_home(&t->words, b->merges[i].hash[w]);
            if (at_home[i][w] >= 0)
                __builtin_prefetch(&t->piece_off[at_home[i][w]]);
        }
    for (unsigned i = 0; i < b->n; i++)
        for (int w = 0; w < WORDS; w++)
            if (at_home[i][w] >= 0)
                __builtin_prefetch(t->piece_bytes + t->piece_off[at_home[i][w]]);
    for (unsigned i = 0; i < b->n; i++) {
        struct merge *m = &b->merges[i];
        for (int w = 0; w < WORDS; w++)
            m->id[w] = find(t, m, w);
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

/* "left right"; there is room. A merge may begin with a space. What names no tokens is
 * ignored. */
static void batch_put(struct batch *b, const struct tokenizer *t, struct gguf_str raw, uint32_t rank)
{
    const char *space = raw.n > 1 ? memchr(raw.p + 1, ' ', raw.n - 1) : NULL;
    char *text = b->text + b->n_text;
    if (!space)
        return;
    size_t n_left, n_right, raw_left = (size_t)(space - raw.p);
    if (!tokenizer_alphabet_decode(raw.p, raw_left, text, &n_left) ||
        !tokenizer_alphabet_decode(space + 1, raw.n - raw_left - 1, text + n_left, &n_right))
        return;
    const struct word_map *words = &t->words;
    struct merge *m = &b->merges[b->n++];
    *m = (struct merge){.rank = rank, .text = text, .n_left = n_left, .n = n_left + n_right};
    m->hash[LEFT] = map_hash_bytes(text, n_left, words->seed);
    m->hash[RIGHT] = map_hash_bytes(text + n_left, n_right, words->seed);
    m->hash[BOTH] = map_hash_bytes(text, m->n, words->seed);
    for (int w = 0; w < WORDS; w++)
        word_map_prefetch(words, m->hash[w]);
    b->n_text += m->n;
}

int tokenizer_load_merges(struct tokenizer *t, const struct gguf *g, struct orcd_error *err)
{
    struct gguf_array merges;
    int rc = gguf_get_array(g, "tokenizer.ggml.merges", &merges, err);
    if (rc == ORCD_E_NOT_FOUND)
        return error_set(err, ORCD_E_INVALID, "tokenizer.ggml.merges is absent: a gpt2 vocabulary needs it");
    if (rc)
        return rc;
    if (merges.type != GGUF_STRING || merges.n >= NO_RANK)
        return error_set(err, ORCD_E_INVALID, "tokenizer.ggml.merges: not an array of strings");
    struct batch b = {.size = max_u64(TEXT_BYTES, t->max_piece + 1)};
    b.text = malloc(b.size);
    bool ok = b.text && pair_map_init(&t->merges, (size_t)merges.n);
    struct gguf_array_cursor c = gguf_array_strings(&merges);
    struct gguf_str raw;
    for (uint32_t rank = 0; ok && gguf_array_next(&c, &raw); rank++) {
        if (raw.n > t->max_piece + 1)
            continue; /* longer than any token */
        if (b.n == BATCH || raw.n > b.size - b.n_text)
            ok = batch_add(&b, t);
        if (ok)
            batch_put(&b, t, raw, rank);
    }
    ok = ok && batch_add(&b, t);
    free(b.text);
    return ok ? 0 : error_set(err, ORCD_E_NOMEM, "no memory for the vocabulary");
}
