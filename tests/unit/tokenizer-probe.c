/*
 * What the tokenizer does, for tests in other languages; not installed.
 *
 *   tokenizer-probe pre NAME          words of each text
 *   tokenizer-probe encode MODEL [special] [parse]
 *                                     ids of each text
 *   tokenizer-probe unicode           the Unicode version of the tables
 *
 * Texts come on standard input, each as a u32 length and its bytes; for each one
 * goes out: a u32 count and that many u32, the words' lengths or the ids.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer-pre.h"
#include "model/tokenizer.h"
#include "model/unicode.h"

static void put_u32(uint32_t v)
{
    fwrite(&v, sizeof(v), 1, stdout);
}

static void words(enum pretokenizer pre, const char *text, uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < n; count++)
        at += (uint32_t)pretokenizer_next(pre, text + at, n - at);
    put_u32(count);
    for (uint32_t at = 0; at < n;) {
        uint32_t k = (uint32_t)pretokenizer_next(pre, text + at, n - at);
        put_u32(k);
        at += k;
    }
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

int main(int argc, char **argv)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct tokenizer *t = NULL;
    unsigned flags = 0;
    int pre = -1;
    if (argc == 2 && !strcmp(argv[1], "unicode"))
        return puts(unicode_version) < 0;
    if (argc < 3)
        return 2;
    if (!strcmp(argv[1], "pre")) {
        pre = pretokenizer_find(argv[2], strlen(argv[2]));
        if (pre < 0)
            return 2;
    } else {
        struct gguf *g = NULL;
        bool ok = !gguf_open(&g, argv[2], &err) && !tokenizer_from_gguf(&t, g, &err);
        gguf_close(g);
        if (!ok) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        for (int i = 3; i < argc; i++)
            flags |= !strcmp(argv[i], "special") ? TOKENIZE_ADD_SPECIAL : TOKENIZE_PARSE_SPECIAL;
    }
    uint32_t n;
    int rc = 0;
    while (!rc && fread(&n, sizeof(n), 1, stdin) == 1) {
        char *text = malloc((size_t)n + 1);
        if (!text || fread(text, 1, n, stdin) != n)
            rc = 1;
        else if (t)
            rc = encode(t, text, n, flags);
        else
            words((enum pretokenizer)pre, text, n);
        free(text);
    }
    tokenizer_free(t);
    return rc;
}
