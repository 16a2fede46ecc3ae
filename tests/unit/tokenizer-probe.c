/*
 * Runs the tokenizer, for tests in other languages; not installed.
 *
 *   tokenizer-probe pre NAME [regex]  words of each text; regex: without a scanner
 *   tokenizer-probe names             the names of all pre-tokenizers, a list a line
 *   tokenizer-probe encode MODEL [special] [parse]
 *                                     ids of each text
 *   tokenizer-probe encode-json FILE MODEL [special] [parse]
 *                                     the same by a tokenizer.json; MODEL may be -
 *   tokenizer-probe nfc               each text in NFC, a byte as a number
 *   tokenizer-probe unicode           the Unicode version of the tables
 *
 * It reads texts from standard input, each as a u32 length and its bytes, and writes for each text a u32
 * count and that many u32.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer-pre.h"
#include "model/tokenizer-regex.h"
#include "model/tokenizer.h"
#include "model/unicode-nfc.h"
#include "model/unicode.h"

static void put_u32(uint32_t v)
{
    fwrite(&v, sizeof(v), 1, stdout);
}

struct cutter {
    struct pretokenizer *pre;
    struct regex_room *room;
};

static int cutter_init(struct cutter *c, int argc, char **argv)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const char *own;
    const struct pre_row *row = pre_row_find(argv[2], strlen(argv[2]), &own);
    if (!row)
        return 2;
    if (!pretokenizer_new(&c->pre, &row->list, argc < 4, &err))
        return 0;
    fprintf(stderr, "%s\n", err.msg);
    return 1;
}

/* The bytes of the next word at text + at; 0: an error. */
static size_t next_word(struct pre_cut *cut, pre_scanner *scan, const char *text, size_t left)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    size_t n = 0;
    if (scan)
        return scan(text, left);
    if (pre_cut_next(cut, &n, &err) < 0)
        fprintf(stderr, "%s\n", err.msg);
    return n;
}

static int words(struct cutter *c, const char *text, uint32_t n)
{
    struct pre_cut cut;
    uint32_t count = 0, *v = malloc(n * sizeof(*v) + 1);
    pre_scanner *scan = pretokenizer_scanner(c->pre);
    pre_cut_init(&cut, c->pre, &c->room, text, n);
    for (size_t at = 0, k; v && at < n; at += k) {
        if (!(k = next_word(&cut, scan, text + at, n - at))) {
            free(v);
            return 1;
        }
        v[count++] = (uint32_t)k;
    }
    put_u32(count);
    fwrite(v, sizeof(*v), count, stdout);
    free(v);
    return 0;
}

static int names(void)
{
    const struct pre_row *row;
    for (size_t i = 0; (row = pre_row_at(i)); i++)
        for (const char *const *name = row->names; *name; name++)
            printf("%s%c", *name, name[1] ? ' ' : '\n');
    return 0;
}

static int encode(const struct tokenizer *t, const char *text, uint32_t n, unsigned flags)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    int32_t *ids;
    size_t n_ids;
    if (tokenizer_encode(t, text, n, flags, &ids, &n_ids, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    put_u32((uint32_t)n_ids);
    fwrite(ids, sizeof(*ids), n_ids, stdout);
    free(ids);
    return 0;
}

static int nfc(const char *text, uint32_t n)
{
    char *out = NULL;
    size_t n_out = n;
    bool same = unicode_is_nfc(text, n);
    if (!same && !unicode_nfc(text, n, &out, &n_out))
        return 1;
    put_u32((uint32_t)n_out);
    for (size_t i = 0; i < n_out; i++)
        put_u32((unsigned char)(same ? text : out)[i]);
    free(out);
    return 0;
}

/* argv[2]: a model, or with json a tokenizer.json and then a model or "-". */
static struct tokenizer *load(char **argv, bool json)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct tokenizer *t = NULL;
    struct gguf *g = NULL;
    const char *model = json ? argv[3] : argv[2];
    bool ok = (json && !strcmp(model, "-")) || !gguf_open(&g, model, &err);
    if (ok && (json ? tokenizer_from_json(&t, argv[2], g, &err) : tokenizer_from_gguf(&t, g, &err)))
        ok = false;
    gguf_close(g);
    if (!ok)
        fprintf(stderr, "%s\n", err.msg);
    return ok ? t : NULL;
}

int main(int argc, char **argv)
{
    struct tokenizer *t = NULL;
    unsigned flags = 0;
    struct cutter cutter = {NULL, NULL};
    bool form = argc == 2 && !strcmp(argv[1], "nfc");
    if (argc == 2 && !strcmp(argv[1], "unicode"))
        return puts(unicode_version) < 0;
    if (argc == 2 && !strcmp(argv[1], "names"))
        return names();
    bool json = argc > 3 && !strcmp(argv[1], "encode-json");
    if (argc < 3 && !form)
        return 2;
    if (!form && !strcmp(argv[1], "pre")) {
        int failed = cutter_init(&cutter, argc, argv);
        if (failed)
            return failed;
    } else if (!form) {
        if (!(t = load(argv, json)))
            return 1;
        for (int i = json ? 4 : 3; i < argc; i++)
            flags |= !strcmp(argv[i], "special") ? TOKENIZE_ADD_SPECIAL : TOKENIZE_PARSE_SPECIAL;
    }
    uint32_t n;
    int rc = 0;
    while (!rc && fread(&n, sizeof(n), 1, stdin) == 1) {
        char *text = malloc((size_t)n + 1);
        if (!text || fread(text, 1, n, stdin) != n)
            rc = 1;
        else if (form)
            rc = nfc(text, n);
        else if (t)
            rc = encode(t, text, n, flags);
        else
            rc = words(&cutter, text, n);
        free(text);
    }
    regex_room_free(cutter.room);
    pretokenizer_free(cutter.pre);
    tokenizer_free(t);
    return rc;
}
