/*
 * Measures a tokenizer: MB/s of encoding on one thread, in processor time, so that other load does
 * not count.
 *
 *   bench-tokenizer MODEL.gguf|TOKENIZER.json [TEXT-FILE...]
 *   bench-tokenizer pre NAME [TEXT-FILE...]
 *
 * Prints the time to load the vocabulary, best of 5; then the speed for each text file and for texts
 * of 1 MB that are built to be expensive, best of 3. pre: the speed of cutting into words alone, by the
 * pre-tokenizer of that name as the tokenizer uses it and by PCRE2 alone. Both cut the same words, but for
 * characters that are newer than PCRE2's Unicode version.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/tokenizer.h"
#include "model/tokenizer-pre.h"
#include "model/tokenizer-regex.h"

#define MEGABYTE 1000000

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* What is measured: a tokenizer or, if it is NULL, two pre-tokenizers. */
struct subject {
    const struct tokenizer *tokenizer;
    struct pretokenizer *used, *by_regex;
};

/* The words of a text, and a number that depends on where each ends. 0: an error. */
static size_t cut(const struct pretokenizer *p, const char *text, size_t n, uint64_t *sum)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct regex_room *room = NULL;
    struct pre_cut c;
    pre_scanner *scan = pretokenizer_scanner(p);
    size_t words = 0, k;
    int rc = 1;
    *sum = 0;
    pre_cut_init(&c, p, &room, text, n);
    for (size_t at = 0; at < n; at += k, words++) {
        if (scan)
            k = scan(text + at, n - at);
        else if ((rc = pre_cut_next(&c, &k, &err)) != 1)
            break;
        *sum = *sum * 31 + at + k;
    }
    if (rc != 1)
        fprintf(stderr, "%s\n", err.msg);
    regex_room_free(room);
    return rc == 1 ? words : 0;
}

static int measure_cuts(const struct subject *s, const char *name, const char *text, size_t n)
{
    const struct pretokenizer *const ways[] = {s->used, s->by_regex};
    double best[2] = {0};
    uint64_t sum[2];
    size_t words = 0;
    for (int run = 0; run < 6; run++) {
        int way = run & 1;
        double start = now();
        if (!(words = cut(ways[way], text, n, &sum[way])))
            return 1;
        double took = now() - start;
        best[way] = run < 2 || took < best[way] ? took : best[way];
    }
    printf("%-24s %9zu bytes %9zu words %8.1f MB/s, by PCRE2 %8.1f MB/s%s\n", name, n, words,
        (double)n / best[0] / 1e6, (double)n / best[1] / 1e6, sum[0] == sum[1] ? "" : ", OTHER WORDS");
    return 0;
}

static int measure(const struct subject *s, const char *name, const char *text, size_t n)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    double best = 0;
    size_t n_ids = 0;
    if (!s->tokenizer)
        return measure_cuts(s, name, text, n);
    for (int run = 0; run < 3; run++) {
        int32_t *ids;
        double start = now();
        if (tokenizer_encode(s->tokenizer, text, n, 0, &ids, &n_ids, &err)) {
            fprintf(stderr, "%s: %s\n", name, err.msg);
            return 1;
        }
        double took = now() - start;
        if (run == 0 || took < best)
            best = took;
        free(ids);
    }
    printf("%-24s %9zu bytes %9zu ids %9.3f ms %8.1f MB/s\n", name, n, n_ids, best * 1e3,
        (double)n / best / 1e6);
    return 0;
}

static int measure_file(const struct subject *s, const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t n = 0, cap = 0, got = 1;
    while (f && got) {
        if (n == cap) {
            cap = cap ? cap * 2 : 1 << 20;
            char *more = realloc(text, cap);
            if (!more)
                break;
            text = more;
        }
        got = fread(text + n, 1, cap - n, f);
        n += got;
    }
    if (!f) {
        perror(path);
        return 1;
    }
    fclose(f);
    const char *slash = strrchr(path, '/');
    int rc = measure(s, slash ? slash + 1 : path, text, n);
    free(text);
    return rc;
}

/* A text of the pattern over and over. */
static int measure_repeated(const struct subject *s, const char *name, const char *pattern)
{
    size_t k = strlen(pattern), n = MEGABYTE / k * k;
    char *text = malloc(n);
    if (!text)
        return 1;
    for (size_t i = 0; i < n; i += k)
        memcpy(text + i, pattern, k);
    int rc = measure(s, name, text, n);
    free(text);
    return rc;
}

static size_t put_utf8(char *p, uint32_t c)
{
    if (c < 0x80) {
        p[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        p[0] = (char)(0xc0 | c >> 6);
        p[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        p[0] = (char)(0xe0 | c >> 12);
        p[1] = (char)(0x80 | (c >> 6 & 63));
        p[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    p[0] = (char)(0xf0 | c >> 18);
    p[1] = (char)(0x80 | (c >> 12 & 63));
    p[2] = (char)(0x80 | (c >> 6 & 63));
    p[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* Characters from first to last, drawn with a fixed seed. */
static int measure_random(const struct subject *s, const char *name, uint32_t first, uint32_t last)
{
    char *text = malloc(MEGABYTE + 4);
    uint64_t x = 88172645463325252u;
    size_t n = 0;
    if (!text)
        return 1;
    while (n < MEGABYTE) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint32_t c = first + (uint32_t)(x >> 20) % (last - first + 1);
        if (c < 0xd800 || c > 0xdfff)
            n += put_utf8(text + n, c);
    }
    int rc = measure(s, name, text, n);
    free(text);
    return rc;
}

/* Loads the tokenizer of a GGUF file, or a tokenizer.json alone. */
static int load(struct tokenizer **t, const char *path, double *took, struct orcd_error *err)
{
    size_t n = strlen(path);
    struct gguf *g = NULL;
    bool json = n > 5 && strcmp(path + n - 5, ".json") == 0;
    int rc = json ? 0 : gguf_open(&g, path, err);
    double start = now();
    if (!rc)
        rc = json ? tokenizer_from_json(t, path, NULL, err) : tokenizer_from_gguf(t, g, err);
    *took = now() - start;
    gguf_close(g);
    return rc;
}

static int measure_texts(const struct subject *s, char **files, int n)
{
    int rc = 0;
    for (int i = 0; i < n; i++)
        rc |= measure_file(s, files[i]);
    rc |= measure_repeated(s, "one letter", "a");
    rc |= measure_repeated(s, "spaces", " ");
    rc |= measure_repeated(s, "newlines", "\n");
    rc |= measure_repeated(s, "digits", "7");
    rc |= measure_repeated(s, "one CJK character", "\xe4\xb8\xad");
    rc |= measure_repeated(s, "alternating", "ab");
    rc |= measure_repeated(s, "alternating with spaces", "a ");
    rc |= measure_repeated(s, "capitals and marks", "A\xcc\x81");
    rc |= measure_repeated(s, "zalgo", "e\xcc\x81\xcc\x82\xcc\xa3\xcd\x85\xcc\xb4\xcd\x9c");
    rc |= measure_repeated(s, "emoji", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9");
    rc |= measure_repeated(s, "punctuation", "\"!?");
    rc |= measure_random(s, "random letters", 'a', 'z');
    rc |= measure_random(s, "random ASCII", 1, 126);
    rc |= measure_random(s, "random CJK", 0x4e00, 0x9fff);
    rc |= measure_random(s, "random characters", 1, 0x10ffff);
    return rc;
}

static int bench_pre(char **argv, int argc)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct subject s = {NULL};
    const char *own;
    const struct pre_row *row = pre_row_find(argv[2], strlen(argv[2]), &own);
    if (!row || pretokenizer_new(&s.used, &row->list, true, &err) ||
        pretokenizer_new(&s.by_regex, &row->list, false, &err)) {
        fprintf(stderr, "%s: %s\n", argv[2], row ? err.msg : "unknown pre-tokenizer");
        return 1;
    }
    int rc = measure_texts(&s, argv + 3, argc - 3);
    pretokenizer_free(s.used);
    pretokenizer_free(s.by_regex);
    return rc;
}

int main(int argc, char **argv)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct tokenizer *t = NULL;
    double best = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: bench-tokenizer MODEL.gguf|TOKENIZER.json|pre NAME [TEXT-FILE...]\n");
        return 64;
    }
    if (argc > 2 && strcmp(argv[1], "pre") == 0)
        return bench_pre(argv, argc);
    for (int run = 0; run < 5; run++) {
        double took;
        tokenizer_free(t);
        t = NULL;
        if (load(&t, argv[1], &took, &err)) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        best = run == 0 || took < best ? took : best;
    }
    printf("%s %s: %d tokens, loaded in %.1f ms\n", tokenizer_kind(t), tokenizer_pre(t),
        (int)tokenizer_n_vocab(t), best * 1e3);
    int rc = measure_texts(&(struct subject){.tokenizer = t}, argv + 2, argc - 2);
    tokenizer_free(t);
    return rc;
}
