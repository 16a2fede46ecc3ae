/*
 * Merges one word, for BPE and SPM: of all pairs of neighbouring symbols that are a token together, the pair
 * with the lowest rank (ties: the leftmost) becomes one symbol, until there is no such pair. A rank is the
 * number of a merge or, without merges, an inverted score.
 *
 * Short words are scanned. For long words there is a heap of (rank, position) with only those pairs that
 * come before both of their neighbours: the next pair to merge is always one of them, and a run of equal
 * letters has only one. Outdated entries stay in the heap; they are recognized because the rank of their
 * symbol has changed. So a word costs O(n log n), whatever it contains.
 */
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer-internal.h"

#include "base/util.h"

#define SCAN_BYTES 48 /* up to this length scanning is faster than the heap */

bool id_list_push(struct id_list *l, int32_t id)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64, bytes;
        if (__builtin_mul_overflow(cap, sizeof(*l->v), &bytes))
            return false;
        int32_t *v = realloc(l->v, bytes);
        if (!v)
            return false;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = id;
    return true;
}

bool id_list_push_n(struct id_list *l, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!id_list_push(l, l->v[from + i]))
            return false;
    return true;
}

void merge_room_clear(struct merge_room *room)
{
    free(room->symbols);
    free(room->heap);
    *room = (struct merge_room){0};
}

static bool room_for_symbols(struct merge_room *room, size_t n)
{
    if (n <= room->symbols_cap)
        return true;
    size_t cap = n < 256 ? 256 : n, bytes;
    if (__builtin_mul_overflow(cap, sizeof(struct symbol), &bytes))
        return false;
    free(room->symbols);
    room->symbols_cap = 0;
    room->symbols = malloc(bytes);
    if (!room->symbols)
        return false;
    room->symbols_cap = cap;
    return true;
}

static bool room_for_heap(struct merge_room *room, size_t n)
{
    if (n <= room->heap_cap)
        return true;
    size_t cap = max_u64(n, room->heap_cap * 2), bytes;
    if (__builtin_mul_overflow(cap, sizeof(uint64_t), &bytes))
        return false;
    uint64_t *heap = realloc(room->heap, bytes);
    if (!heap)
        return false;
    room->heap = heap;
    room->heap_cap = cap;
    return true;
}

/* A word that is being merged. */
struct word {
    const struct tokenizer *t;
    const char *text;
    uint32_t n;
    struct symbol *s;
};

/* Finds the token that the symbol at i and the next one merge into. */
static inline void find_merge(const struct word *w, uint32_t i)
{
    struct symbol *a = &w->s[i];
    a->rank = NO_RANK;
    if (a->next >= w->n)
        return;
    const struct symbol *b = &w->s[a->next];
    if (w->t->by_merges) {
        if (a->id < 0 || b->id < 0)
            return;
        const struct pair_slot *m = pair_map_find(&w->t->merges, (uint32_t)a->id, (uint32_t)b->id);
        if (m) {
            a->rank = m->x;
            a->merged = m->y;
        }
        return;
    }
    size_t n = b->next - i;
    if (n > w->t->max_piece)
        return;
    int32_t id = word_map_find(&w->t->words, w->t->piece_bytes, w->t->piece_off, w->text + i, n);
    if (id >= 0) {
        a->rank = w->t->rank[id];
        a->merged = id;
    }
}

/* Merges the symbol at i with the next one and finds the merges of the two new pairs. */
static inline void merge_at(const struct word *w, uint32_t i)
{
    struct symbol *a = &w->s[i];
    struct symbol *gone = &w->s[a->next];
    a->id = a->merged;
    a->next = gone->next;
    gone->rank = NO_RANK;
    if (a->next < w->n)
        w->s[a->next].prev = i;
    find_merge(w, i);
    if (a->prev != NO_SYMBOL)
        find_merge(w, a->prev);
}

static void merge_by_scan(const struct word *w)
{
    for (;;) {
        uint32_t best = NO_SYMBOL, rank = NO_RANK;
        for (uint32_t i = 0; i < w->n; i = w->s[i].next)
            if (w->s[i].rank < rank) {
                rank = w->s[i].rank;
                best = i;
            }
        if (best == NO_SYMBOL)
            return;
        merge_at(w, best);
    }
}

/* A heap with four children per node is half as deep as one with two, and the children are in one or two
 * cache lines. */
static void heap_down(uint64_t *heap, size_t n, size_t i)
{
    uint64_t key = heap[i];
    for (size_t child; (child = 4 * i + 1) < n;) {
        size_t end = child + 4 < n ? child + 4 : n, least = child;
        for (child++; child < end; child++)
            if (heap[child] < heap[least])
                least = child;
        if (key <= heap[least])
            break;
        heap[i] = heap[least];
        i = least;
    }
    heap[i] = key;
}

static void heap_up(uint64_t *heap, size_t i)
{
    uint64_t key = heap[i];
    for (size_t up; i && heap[up = (i - 1) / 4] > key; i = up)
        heap[i] = heap[up];
    heap[i] = key;
}

static inline uint64_t heap_key(const struct word *w, uint32_t i)
{
    return (uint64_t)w->s[i].rank << 32 | i;
}

/* Whether the pair at i comes before both pairs that it shares a symbol with. */
static inline bool is_local_minimum(const struct word *w, uint32_t i)
{
    const struct symbol *a = &w->s[i];
    return a->rank != NO_RANK && (a->prev == NO_SYMBOL || w->s[a->prev].rank > a->rank) &&
           (a->next >= w->n || w->s[a->next].rank >= a->rank);
}

/* Puts the pair at i into the heap if it belongs there and is not in it yet. */
static inline void heap_offer(const struct word *w, uint64_t *heap, size_t *n, uint32_t i)
{
    if (w->s[i].queued == w->s[i].rank || !is_local_minimum(w, i))
        return;
    w->s[i].queued = w->s[i].rank;
    heap[*n] = heap_key(w, i);
    heap_up(heap, (*n)++);
}

static bool merge_by_heap(const struct word *w, struct merge_room *room)
{
    size_t n = 0;
    for (uint32_t i = 0; i < w->n; i = w->s[i].next)
        n += is_local_minimum(w, i);
    if (!room_for_heap(room, n))
        return false;
    uint64_t *heap = room->heap;
    n = 0;
    for (uint32_t i = 0; i < w->n; i = w->s[i].next)
        if (is_local_minimum(w, i)) {
            w->s[i].queued = w->s[i].rank;
            heap[n++] = heap_key(w, i);
        }
    for (size_t i = (n + 3) / 4; i--;)
        heap_down(heap, n, i);

    while (n) {
        uint64_t key = heap[0];
        uint32_t i = (uint32_t)key, rank = (uint32_t)(key >> 32);
        heap[0] = heap[--n];
        if (n)
            heap_down(heap, n, 0);
        if (w->s[i].queued == rank)
            w->s[i].queued = NO_RANK;
        /* An outdated entry. The rank of a merged symbol is NO_RANK, which no entry has. */
        if (w->s[i].rank != rank)
            continue;
        merge_at(w, i);
        if (!room_for_heap(room, n + 4))
            return false;
        heap = room->heap;
        /* The two new pairs, and the two pairs beside them. */
        uint32_t before = w->s[i].prev, after = w->s[i].next;
        heap_offer(w, heap, &n, i);
        if (after < w->n)
            heap_offer(w, heap, &n, after);
        if (before != NO_SYMBOL) {
            heap_offer(w, heap, &n, before);
            if (w->s[before].prev != NO_SYMBOL)
                heap_offer(w, heap, &n, w->s[before].prev);
        }
    }
    return true;
}

/* Pushes a character that is not a token: as byte tokens if the vocabulary has all of them, else as the
 * unknown token (fuse: unless that is the last token already), else not at all. */
static bool push_bytes(const struct tokenizer *t, const char *p, size_t n, bool fuse, struct id_list *out)
{
    /* In SPM a space is U+2581, so its bytes are those of U+2581. */
    if (t->kind == KIND_SPM && n == 1 && *p == ' ') {
        p = "\xe2\x96\x81";
        n = 3;
    }
    for (size_t i = 0; i < n; i++)
        if (t->byte_id[(unsigned char)p[i]] < 0)
            return t->unk < 0 || (fuse && out->v[out->n - 1] == t->unk) || id_list_push(out, t->unk);
    for (size_t i = 0; i < n; i++)
        if (!id_list_push(out, t->byte_id[(unsigned char)p[i]]))
            return false;
    return true;
}

bool tokenizer_merge_word(
    const struct tokenizer *t, struct merge_room *room, const char *word, size_t n, struct id_list *out)
{
    struct symbol few[SCAN_BYTES];
    struct word w = {t, word, (uint32_t)n, few};
    if (n > SCAN_BYTES) {
        if (!room_for_symbols(room, n))
            return false;
        w.s = room->symbols;
    }
    uint32_t prev = NO_SYMBOL;
    for (uint32_t i = 0; i < w.n;) {
        size_t len = 1;
        int32_t id;
        if (t->kind == KIND_BPE) {
            id = t->byte_id[(unsigned char)word[i]];
        } else {
            len = utf8_char_len(word + i, n - i);
            if (!len)
                len = 1;
            id = word_map_find(&t->words, t->piece_bytes, t->piece_off, word + i, len);
        }
        w.s[i] = (struct symbol){
            .prev = prev, .next = i + (uint32_t)len, .id = id, .rank = NO_RANK, .queued = NO_RANK};
        prev = i;
        i += (uint32_t)len;
    }
    for (uint32_t i = 0; i < w.n; i = w.s[i].next)
        find_merge(&w, i);

    if (n <= SCAN_BYTES)
        merge_by_scan(&w);
    else if (!merge_by_heap(&w, room))
        return false;

    bool fuse = false;
    for (uint32_t i = 0; i < w.n; i = w.s[i].next) {
        bool ok = w.s[i].id >= 0 ? id_list_push(out, w.s[i].id)
                                 : push_bytes(t, word + i, w.s[i].next - i, fuse, out);
        if (!ok)
            return false;
        fuse = t->fuse_unk && w.s[i].id < 0;
    }
    return true;
}
