/* Vocabularies that are wrong or hostile. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "tests/lib/vocab-writer.h"

static struct orcd_error err = ORCD_ERROR_INIT;

static void spm(struct vocab_writer *w)
{
    vw_init(w, "llama", NULL);
    vw_token(w, "<unk>", 2, 0);
    vw_token(w, "<s>", 3, 0);
    vw_token(w, "</s>", 3, 0);
    vw_token(w, "a", 1, -1);
}

static void bpe(struct vocab_writer *w)
{
    vw_init(w, "gpt2", "gpt-2");
    vw_alphabet(w);
    vw_merge(w, "a b");
}

static void assert_refused(struct vocab_writer *w, int code, const char *part)
{
    struct tokenizer *t = (struct tokenizer *)1;
    assert_int_equal(vw_finish(w, &t, &err), code);
    assert_ptr_equal(t, (struct tokenizer *)1);
    if (!strstr(err.msg, part))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
}

static struct tokenizer *finish(struct vocab_writer *w)
{
    struct tokenizer *t;
    if (vw_finish(w, &t, &err))
        fail_msg("%s", err.msg);
    return t;
}

static void unknown_kinds_are_named(void **state)
{
    (void)state;
    struct vocab_writer w;
    vw_init(&w, "no_vocab", NULL);
    vw_token(&w, "a", 1, 0);
    assert_refused(&w, ORCD_E_UNSUPPORTED, "no vocabulary");
    vw_init(&w, "rwkv", NULL);
    vw_token(&w, "a", 1, 0);
    assert_refused(&w, ORCD_E_UNSUPPORTED, "rwkv");
    vw_init(&w, "gpt2", "superbpe");
    vw_alphabet(&w);
    assert_refused(
        &w, ORCD_E_UNSUPPORTED, "pre-tokenizer \"superbpe\" is not supported (known: default, gpt-2, ");

    /* No key at all. */
    struct gguf_writer f;
    gw_init(&f);
    gw_str(&f, "general.architecture", "llama");
    struct gw_buf file = gw_finish(&f);
    struct gguf *g;
    struct tokenizer *t;
    assert_int_equal(gguf_open_memory(&g, file.p, file.n, &err), 0);
    assert_int_equal(tokenizer_from_gguf(&t, g, &err), ORCD_E_UNSUPPORTED);
    gguf_close(g);
    gw_buf_free(&file);
    gw_free(&f);
}

static void lengths_must_agree(void **state)
{
    (void)state;
    struct vocab_writer w;
    float score = 1;
    int32_t type = 1;
    spm(&w);
    gw_put(&w.scores, &score, 4);
    assert_refused(&w, ORCD_E_INVALID, "scores");
    spm(&w);
    w.scores.n -= 4;
    assert_refused(&w, ORCD_E_INVALID, "scores");
    spm(&w);
    w.scores.n = 0;
    assert_refused(&w, ORCD_E_INVALID, "scores");
    bpe(&w);
    gw_put(&w.types, &type, 4);
    assert_refused(&w, ORCD_E_INVALID, "token_type");
    bpe(&w);
    w.n_merges = 0;
    assert_refused(&w, ORCD_E_INVALID, "merges");
    vw_init(&w, "llama", NULL);
    assert_refused(&w, ORCD_E_INVALID, "tokens");
}

static void wrong_types_are_refused(void **state)
{
    (void)state;
    static const char *const flags[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_bos_token"};
    struct vocab_writer w;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        spm(&w);
        gw_str(&w.file, flags[i], "1");
        assert_refused(&w, ORCD_E_INVALID, flags[i]);
    }
    spm(&w);
    w.scores.n = 0;
    gw_array_strings(&w.file, "tokenizer.ggml.scores", &w.tokens, w.n);
    assert_refused(&w, ORCD_E_INVALID, "scores");
    spm(&w);
    w.types.n = 0;
    gw_array(&w.file, "tokenizer.ggml.token_type", GGUF_F32, w.scores.p, w.n, 4);
    assert_refused(&w, ORCD_E_INVALID, "token_type");
}

static void ids_beyond_the_vocabulary(void **state)
{
    (void)state;
    struct vocab_writer w;
    spm(&w);
    gw_u32(&w.file, "tokenizer.ggml.bos_token_id", 4);
    assert_refused(&w, ORCD_E_INVALID, "bos_token_id");
    spm(&w);
    gw_u32(&w.file, "tokenizer.ggml.eos_token_id", UINT32_MAX);
    assert_refused(&w, ORCD_E_INVALID, "eos_token_id");
    bpe(&w);
    gw_i32(&w.file, "tokenizer.ggml.eos_token_id", -1);
    assert_refused(&w, ORCD_E_INVALID, "eos_token_id");

    /* Not in use: ignored. */
    spm(&w);
    gw_u32(&w.file, "tokenizer.ggml.padding_token_id", UINT32_MAX);
    gw_u32(&w.file, "tokenizer.ggml.seperator_token_id", UINT32_MAX);
    gw_u32(&w.file, "tokenizer.ggml.unknown_token_id", 4);
    gw_u32(&w.file, "tokenizer.ggml.eot_token_id", 77);
    tokenizer_free(finish(&w));
    bpe(&w);
    gw_u32(&w.file, "tokenizer.ggml.bos_token_id", 1000);
    struct tokenizer *t = finish(&w);
    assert_int_equal(tokenizer_bos(t), -1);
    tokenizer_free(t);
}

static void assert_encodes(const struct tokenizer *t, const char *text, const int32_t *want, size_t n_want)
{
    int32_t *ids;
    size_t n;
    assert_int_equal(tokenizer_encode(t, text, strlen(text), 0, &ids, &n, &err), 0);
    assert_int_equal(n, n_want);
    assert_memory_equal(ids, want, n * sizeof(*ids));
    free(ids);
}

static void what_looks_like_a_byte_token(void **state)
{
    (void)state;
    static const char *const fakes[] = {"<0x-1>", "<0xZZ>", "<0x>", "<0x123>", "<0x1 >", "b"};
    struct vocab_writer w;
    spm(&w);
    int32_t first = (int32_t)w.n;
    for (size_t i = 0; i < ARRAY_LEN(fakes); i++)
        vw_token(&w, fakes[i], 6, -5);
    vw_token(&w, "<0x41>", 6, 0);
    vw_token(&w, "<0x41>", 6, 0);
    struct tokenizer *t = finish(&w);
    for (size_t i = 0; i < ARRAY_LEN(fakes); i++) {
        size_t n;
        const char *p = tokenizer_piece(t, first + (int32_t)i, false, &n);
        assert_int_equal(n, strlen(fakes[i]));
        assert_memory_equal(p, fakes[i], n);
    }
    size_t n;
    assert_int_equal(*tokenizer_piece(t, first + 6, false, &n), 'A');
    assert_int_equal(n, 1);
    /* The leading space and 'c' have neither a token nor byte tokens: they are unknown tokens. */
    const int32_t want[] = {0, 3, first + 5, first + 6, 0};
    assert_encodes(t, "abAc", want, ARRAY_LEN(want));
    tokenizer_free(t);
}

static void odd_tokens_are_harmless(void **state)
{
    (void)state;
    struct vocab_writer w;
    spm(&w);
    vw_token(&w, "", 1, 5);
    vw_token(&w, "", 3, 5);
    vw_token(&w, "", 4, 5);
    vw_token(&w, "a", 1, 7); /* a duplicate: the first one counts */
    vw_token(&w, "aa", 1, NAN);
    vw_token(&w, "aaaa", 99, INFINITY);
    vw_token(&w, "\xff\xfe", 1, 0);
    vw_token(&w, "\xe2\x96\x81", 1, 0);
    struct tokenizer *t = finish(&w);
    const int32_t want[] = {11, 9, 3};
    assert_encodes(t, "aaaaa", want, ARRAY_LEN(want));
    int32_t *ids;
    size_t n;
    /* Not valid UTF-8: only safety is guaranteed. */
    assert_int_equal(tokenizer_encode(t, "a\xff\xfe\xe2\x96", 5, TOKENIZE_PARSE_SPECIAL, &ids, &n, &err), 0);
    free(ids);
    tokenizer_free(t);

    vw_init(&w, "gpt2", "llama3");
    vw_token(&w, "", 1, 0);
    vw_token(&w, "a", 1, 0);
    vw_token(&w, "a b", 1, 0); /* a space is not of the byte alphabet */
    vw_token(&w, "\xff", 1, 0);
    vw_merge(&w, "a ");
    vw_merge(&w, " a");
    vw_merge(&w, "a a");
    vw_merge(&w, "\xff a");
    t = finish(&w);
    const int32_t only_a[] = {1, 1};
    assert_encodes(t, "a b a", only_a, ARRAY_LEN(only_a)); /* the rest has no token, and there is no <unk> */
    size_t k;
    assert_memory_equal(tokenizer_piece(t, 2, false, &k), "a b", 3);
    tokenizer_free(t);

    /* Default ids 1 and 2 in a vocabulary of one. */
    vw_init(&w, "llama", NULL);
    vw_token(&w, "x", 1, 0);
    t = finish(&w);
    assert_int_equal(tokenizer_bos(t), -1);
    assert_int_equal(tokenizer_eos(t), -1);
    tokenizer_free(t);
}

/* A score that is NaN is the worst; a literal space in a token is not the space of a text. */
static void scores_and_spaces_that_are_none(void **state)
{
    (void)state;
    struct vocab_writer w;
    spm(&w);
    vw_token(&w, "b", 1, -1);
    vw_token(&w, "ab", 1, NAN);
    int32_t ba = vw_token(&w, "ba", 1, -1000);
    vw_token(&w, " ", 1, 0);
    struct tokenizer *t = finish(&w);
    const int32_t want[] = {0, 3, ba};
    assert_encodes(t, "aba", want, ARRAY_LEN(want));
    tokenizer_free(t);
}

/* Merging ends even if merges use each other's results, and long runs of them stay cheap. */
static void merges_end(void **state)
{
    (void)state;
    struct vocab_writer w;
    vw_init(&w, "gpt2", "gpt-2");
    vw_alphabet(&w);
    char token[70] = "";
    for (int n = 2; n <= 64; n++) {
        memset(token, 'a', (size_t)n);
        vw_token(&w, token, 1, 0);
    }
    for (int n = 64; n >= 2; n--) { /* longest first, every way to split */
        for (int k = 1; k < n; k++) {
            char merge[80];
            memset(merge, 'a', (size_t)n + 1);
            merge[k] = ' ';
            merge[n + 1] = '\0';
            vw_merge(&w, merge);
        }
    }
    struct tokenizer *t = finish(&w);
    size_t n = 100000, n_ids, n_text;
    char *text = malloc(n), *back;
    int32_t *ids;
    memset(text, 'a', n);
    assert_int_equal(tokenizer_encode(t, text, n, 0, &ids, &n_ids, &err), 0);
    assert_int_equal(tokenizer_decode(t, ids, n_ids, false, &back, &n_text, &err), 0);
    assert_int_equal(n_text, n);
    assert_memory_equal(back, text, n);
    free(back);
    free(ids);
    free(text);
    tokenizer_free(t);
}

static void too_long_a_text_is_refused(void **state)
{
    (void)state;
    struct tokenizer *t;
    int32_t *ids = NULL;
    size_t n = 7;
    assert_int_equal(tokenizer_new_bytes(&t, &err), 0);
    assert_int_equal(tokenizer_encode(t, "", SIZE_MAX, 0, &ids, &n, &err), ORCD_E_INVALID);
    assert_null(ids);
    assert_int_equal(n, 7);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_kinds_are_named),
        cmocka_unit_test(lengths_must_agree),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(ids_beyond_the_vocabulary),
        cmocka_unit_test(what_looks_like_a_byte_token),
        cmocka_unit_test(odd_tokens_are_harmless),
        cmocka_unit_test(scores_and_spaces_that_are_none),
        cmocka_unit_test(merges_end),
        cmocka_unit_test(too_long_a_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
