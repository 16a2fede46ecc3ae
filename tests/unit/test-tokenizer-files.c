/* Real vocabularies: the published ids, and every text is decoded to itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/tokenizer.h"
#include "model/unicode.h"

static const char *const names[] = {"gpt-2", "llama-bpe", "llama-spm", "phi-3"};
static struct orcd_error err = ORCD_ERROR_INIT;

static void shared_path(char *out, size_t n, const char *rest, const char *suffix)
{
    const char *shared = getenv("ORCD_SHARED");
    snprintf(out, n, "%s/data/%s%s", shared ? shared : "../shared", rest, suffix);
}

static struct tokenizer *open_vocabulary(const char *rest)
{
    char path[4096];
    struct gguf *g;
    struct tokenizer *t;
    shared_path(path, sizeof(path), rest, ".gguf");
    if (gguf_open(&g, path, &err) || tokenizer_from_gguf(&t, g, &err))
        fail_msg("%s", err.msg);
    gguf_close(g);
    return t;
}

static char *read_text(const char *name, const char *suffix)
{
    char path[4096], part[64];
    snprintf(part, sizeof(part), "tokenizers/%s", name);
    shared_path(path, sizeof(path), part, suffix);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = malloc(1 << 16);
    size_t n = fread(text, 1, (1 << 16) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static void published_vectors(void **state)
{
    (void)state;
    static const char cut[] = "\n__ggml_vocab_test__\n";
    for (size_t v = 0; v < ARRAY_LEN(names); v++) {
        char part[64];
        snprintf(part, sizeof(part), "tokenizers/%s", names[v]);
        struct tokenizer *t = open_vocabulary(part);
        char *in = read_text(names[v], ".inp"), *out = read_text(names[v], ".out");
        const char *p = in, *want = out;
        int cases = 0;
        for (const char *end; (end = strstr(p, cut)); p = end + strlen(cut)) {
            int32_t *ids;
            size_t n;
            assert_int_equal(tokenizer_encode(t, p, (size_t)(end - p), 0, &ids, &n, &err), 0);
            for (size_t i = 0; i < n; i++) {
                char *after;
                long id = strtol(want, &after, 10);
                if (memchr(want, '\n', (size_t)(after - want)) || id != ids[i])
                    fail_msg("%s, case %d: id %zu is %d", names[v], cases, i, (int)ids[i]);
                want = after;
            }
            while (*want == ' ')
                want++;
            if (*want && *want++ != '\n')
                fail_msg("%s, case %d: more ids are wanted", names[v], cases);
            free(ids);
            cases++;
        }
        assert_int_equal(cases, 46);
        free(in);
        free(out);
        tokenizer_free(t);
    }
}

static uint64_t random_state = 9;
static uint32_t random_u32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

/* Draws a class, then a character of it, so that rare classes are tested. */
static size_t put_random(char *p, unsigned class)
{
    for (;;) {
        uint32_t c = random_u32() % ((random_u32() & 3) ? 0x3000 : 0x110000);
        if ((c >= 0xd800 && c < 0xe000) || !(unicode_class_of(c) & class))
            continue;
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
}

static size_t random_text(char *p, size_t cap)
{
    size_t n = 0, want = random_u32() % (cap - 32);
    while (n < want) {
        size_t k = random_u32() % 4 ? put_random(p + n, 1u << random_u32() % 11) : (p[n] = ' ', 1);
        char one[4];
        memcpy(one, p + n, k);
        n += k;
        for (unsigned again = random_u32() % 8 == 0 ? random_u32() % 5 : 0; again--; n += k)
            memcpy(p + n, one, k);
    }
    return n;
}

/* Decodes in steps of random sizes, like a generation. */
static void assert_streamed(
    const struct tokenizer *t, const int32_t *ids, size_t n_ids, const char *text, size_t n)
{
    struct detokenizer d;
    size_t cap = 3 * (tokenizer_max_piece_bytes(t) + 4), used = 0;
    char *out = malloc(cap), *all = malloc(n + cap);
    detokenizer_init(&d, t, true);
    for (size_t i = 0; i <= n_ids; i++) {
        size_t k = i < n_ids ? detokenizer_push(&d, ids[i], out, cap) : detokenizer_flush(&d, out, cap);
        assert_true(k <= cap);
        assert_true(utf8_valid(out, k));
        assert_true(used + k <= n);
        memcpy(all + used, out, k);
        used += k;
    }
    assert_int_equal(used, n);
    assert_memory_equal(all, text, n);
    free(out);
    free(all);
}

static void every_text_comes_back(void **state)
{
    (void)state;
    static const char *const files[] = {"tokenizers/gpt-2", "tokenizers/llama-bpe", "tokenizers/llama-spm",
        "tokenizers/phi-3", "models/stories260K", "models/qwen2-tiny-f16", "models/gpt-oss-tiny-mxfp4"};
    for (size_t v = 0; v < ARRAY_LEN(files); v++) {
        struct tokenizer *t = open_vocabulary(files[v]);
        bool spm = !strcmp(tokenizer_kind(t), "gguf-spm");
        for (int round = 0; round < 3000; round++) {
            char text[400];
            size_t n = random_text(text, sizeof(text)), n_ids, n_back;
            /* In SPM U+2581 is the space, so a literal U+2581 becomes a space, by design. */
            for (size_t i = 0; spm && i + 2 < n; i++)
                if (!memcmp(text + i, "\xe2\x96\x81", 3))
                    memcpy(text + i, "...", 3);
            int32_t *ids;
            char *back;
            assert_int_equal(tokenizer_encode(t, text, n, round & 1, &ids, &n_ids, &err), 0);
            for (size_t i = 0; i < n_ids; i++)
                assert_in_range(ids[i], 0, tokenizer_n_vocab(t) - 1);
            assert_int_equal(tokenizer_decode(t, ids, n_ids, false, &back, &n_back, &err), 0);
            if (n_back != n || memcmp(back, text, n) != 0)
                fail_msg("%s: \"%.*s\" came back as \"%s\"", files[v], (int)n, text, back);
            assert_streamed(t, ids, n_ids, text, n);
            free(back);
            free(ids);
        }
        tokenizer_free(t);
    }
}

static void special_tokens_of_phi3(void **state)
{
    (void)state;
    struct tokenizer *t = open_vocabulary("tokenizers/phi-3");
    static const char text[] = "<|user|>\nHi<|end|>\n<|assistant|>\n";
    const int32_t want[] = {1, 32010, 6324, 32007, 32001};
    int32_t *ids;
    size_t n;
    assert_int_equal(tokenizer_encode(t, text, strlen(text), TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL,
                         &ids, &n, &err),
        0);
    assert_int_equal(n, ARRAY_LEN(want));
    assert_memory_equal(ids, want, sizeof(want));
    free(ids);
    assert_true(tokenizer_is_eog(t, 32000));
    assert_true(tokenizer_is_eog(t, 32007));
    assert_false(tokenizer_is_eog(t, 32001));
    tokenizer_free(t);
}

int main(void)
{
    char path[4096];
    shared_path(path, sizeof(path), "tokenizers/gpt-2", ".gguf");
    FILE *f = fopen(path, "rb");
    if (!f) {
        puts("1..0 # SKIP needs the shared vocabularies");
        return 77;
    }
    fclose(f);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(every_text_comes_back),
        cmocka_unit_test(special_tokens_of_phi3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
