#include "model/unicode-nfc.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define HANGUL_S 0xac00u
#define HANGUL_L 0x1100u
#define HANGUL_V 0x1161u
#define HANGUL_T 0x11a7u
#define N_L 19u
#define N_V 21u
#define N_T 28u
#define N_S (N_L * N_V * N_T)

/* Reads the character at the start of text. If there is none: the first byte, *n is 1, returns false. */
static bool read_char(const char *text, size_t left, uint32_t *cp, size_t *n)
{
    const unsigned char *p = (const unsigned char *)text;
    switch (*n = utf8_char_len(text, left)) {
    case 1:
        *cp = p[0];
        return true;
    case 2:
        *cp = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        return true;
    case 3:
        *cp = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        return true;
    case 4:
        *cp = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 |
              (p[3] & 0x3f);
        return true;
    default:
        *n = 1;
        *cp = p[0];
        return false;
    }
}

static size_t write_char(char *p, uint32_t cp)
{
    if (cp < 0x80) {
        p[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        p[0] = (char)(0xc0 | cp >> 6);
        p[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        p[0] = (char)(0xe0 | cp >> 12);
        p[1] = (char)(0x80 | (cp >> 6 & 63));
        p[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    p[0] = (char)(0xf0 | cp >> 18);
    p[1] = (char)(0x80 | (cp >> 12 & 63));
    p[2] = (char)(0x80 | (cp >> 6 & 63));
    p[3] = (char)(0x80 | (cp & 63));
    return 4;
}

static bool needs_care(uint32_t cp)
{
    uint32_t block = cp >> 8;
    if (block >= nfc_index_blocks)
        return false;
    return nfc_blocks[(size_t)nfc_index[block] * 32 + ((cp & 255) >> 3)] >> (cp & 7) & 1;
}

bool unicode_is_nfc(const char *text, size_t n)
{
    for (size_t i = 0, k; i < n; i += k) {
        uint64_t eight;
        uint32_t cp;
        k = 1;
        if (n - i >= 8 && (memcpy(&eight, text + i, 8), !(eight & UINT64_C(0x8080808080808080)))) {
            k = 8;
            continue;
        }
        if ((unsigned char)text[i] < 0xcc) /* characters below U+0300 never need care */
            k = max_u64(1, utf8_char_len(text + i, n - i));
        else if (read_char(text + i, n - i, &cp, &k) && needs_care(cp))
            return false;
    }
    return true;
}

static unsigned combining_class(uint32_t cp)
{
    uint32_t lo = 0, hi = nfc_n_classes;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (nfc_classes[mid].last < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < nfc_n_classes && nfc_classes[lo].first <= cp ? nfc_classes[lo].class : 0;
}

/* The composition of a and b; 0: they do not compose. */
static uint32_t compose(uint32_t a, uint32_t b)
{
    if (a - HANGUL_L < N_L && b - HANGUL_V < N_V)
        return HANGUL_S + ((a - HANGUL_L) * N_V + (b - HANGUL_V)) * N_T;
    if (a - HANGUL_S < N_S && (a - HANGUL_S) % N_T == 0 && b > HANGUL_T && b < HANGUL_T + N_T)
        return a + (b - HANGUL_T);
    uint32_t lo = 0, hi = nfc_n_pairs;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        const struct nfc_pair *p = &nfc_pairs[mid];
        if (p->a < a || (p->a == a && p->b < b))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < nfc_n_pairs && nfc_pairs[lo].a == a && nfc_pairs[lo].b == b ? nfc_pairs[lo].cp : 0;
}

/* The code points that are being normalized: a starter and the characters after it, up to the next character
 * that does not need care. */
struct mark {
    uint32_t cp, class;
};
struct run {
    struct mark *v, *sorted;
    size_t n, cap;
};

static bool run_push(struct run *r, uint32_t cp)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64, bytes;
        if (__builtin_mul_overflow(cap, sizeof(*r->v), &bytes))
            return false;
        struct mark *v = realloc(r->v, bytes);
        if (!v)
            return false;
        r->v = v;
        struct mark *sorted = realloc(r->sorted, bytes);
        if (!sorted)
            return false;
        r->sorted = sorted;
        r->cap = cap;
    }
    r->v[r->n++] = (struct mark){cp, combining_class(cp)};
    return true;
}

/* Pushes the full canonical decomposition. It recurses at most a few steps. */
static bool run_push_split(struct run *r, uint32_t cp)
{
    if (cp - HANGUL_S < N_S) {
        uint32_t s = cp - HANGUL_S, t = s % N_T;
        return run_push(r, HANGUL_L + s / (N_V * N_T)) && run_push(r, HANGUL_V + s % (N_V * N_T) / N_T) &&
               (!t || run_push(r, HANGUL_T + t));
    }
    uint32_t lo = 0, hi = nfc_n_splits;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (nfc_splits[mid].cp < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == nfc_n_splits || nfc_splits[lo].cp != cp)
        return run_push(r, cp);
    return run_push_split(r, nfc_splits[lo].a) && (!nfc_splits[lo].b || run_push(r, nfc_splits[lo].b));
}

/* Sorts marks between starters by class, stable. It is a counting sort, because a hostile run may be as long
 * as the text. */
static void sort_marks(struct run *r, size_t from, size_t to)
{
    size_t at[256] = {0}, sum = 0;
    bool ordered = true;
    for (size_t i = from; i < to; i++) {
        at[r->v[i].class & 255]++;
        ordered &= i == from || r->v[i - 1].class <= r->v[i].class;
    }
    if (ordered)
        return;
    for (size_t c = 0; c < 256; c++) {
        size_t n = at[c];
        at[c] = sum;
        sum += n;
    }
    for (size_t i = from; i < to; i++)
        r->sorted[at[r->v[i].class & 255]++] = r->v[i];
    memcpy(r->v + from, r->sorted, (to - from) * sizeof(*r->v));
}

/* Orders, composes and writes the run, and empties it. Returns the bytes written. */
static size_t run_flush(struct run *r, char *out)
{
    for (size_t i = 0, end; i < r->n; i = end) {
        end = i + 1;
        if (!r->v[i].class)
            continue;
        while (end < r->n && r->v[end].class)
            end++;
        sort_marks(r, i, end);
    }
    size_t kept = 0, starter = SIZE_MAX, bytes = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct mark m = r->v[i];
        bool reaches = starter != SIZE_MAX && (kept - 1 == starter || r->v[kept - 1].class < m.class);
        uint32_t both = reaches ? compose(r->v[starter].cp, m.cp) : 0;
        if (both) {
            r->v[starter].cp = both;
            continue;
        }
        if (!m.class)
            starter = kept;
        r->v[kept++] = m;
    }
    for (size_t i = 0; i < kept; i++)
        bytes += write_char(out + bytes, r->v[i].cp);
    r->n = 0;
    return bytes;
}

bool unicode_nfc(const char *text, size_t n, char **out, size_t *n_out)
{
    struct run r = {0};
    size_t bytes, used = 0, before = SIZE_MAX; /* position of a written starter that marks may follow */
    if (__builtin_mul_overflow(n, (size_t)3, &bytes) || __builtin_add_overflow(bytes, (size_t)4, &bytes))
        return false;
    char *p = malloc(bytes);
    bool ok = p != NULL;
    for (size_t i = 0, k; ok && i < n; i += k) {
        uint32_t cp;
        bool valid = read_char(text + i, n - i, &cp, &k);
        if (valid && needs_care(cp)) {
            if (!r.n && before != SIZE_MAX) { /* take back the starter that was written already */
                uint32_t starter;
                size_t n_starter;
                read_char(text + before, n - before, &starter, &n_starter);
                used -= n_starter;
                ok = run_push_split(&r, starter);
            }
            ok = ok && run_push_split(&r, cp);
            continue;
        }
        if (r.n)
            used += run_flush(&r, p + used);
        memcpy(p + used, text + i, k);
        used += k;
        before = valid ? i : SIZE_MAX;
    }
    if (ok && r.n)
        used += run_flush(&r, p + used);
    free(r.v);
    free(r.sorted);
    if (!ok) {
        free(p);
        return false;
    }
    *out = p;
    *n_out = used;
    return true;
}
