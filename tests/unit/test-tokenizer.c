/* Tokenizers of small vocabularies: special tokens, flags, fallbacks, decoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "tests/lib/vocab-writer.h"

static struct orcd_error err = ORCD_ERROR_INIT;

static struct tokenizer *finish(struct vocab_writer *w)
{
    struct tokenizer *t;
    if (vw_finish(w, &t, &err))
        fail_msg("%s", err.msg);
    return t;
}

/* The ids of text as a string, "1 2 3". */
static const char *encode(const struct tokenizer *t, const char *text, unsigned flags)
{
    static char line[1024];
    int32_t *ids;
    size_t n, used = 0;
    if (tokenizer_encode(t, text, strlen(text), flags, &ids, &n, &err))
        fail_msg("%s", err.msg);
    line[0] = '\0';
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%d", i ? " " : "", (int)ids[i]);
    free(ids);
    return line;
}

static void assert_decoded(
    const struct tokenizer *t, const int32_t *ids, size_t n, bool special, const char *want)
{
    char *text;
    size_t bytes;
    assert_int_equal(tokenizer_decode(t, ids, n, special, &text, &bytes, &err), 0);
    assert_string_equal(text, want);
    assert_int_equal(bytes, strlen(want));
    free(text);
}

/* 0 <unk> 1 <s> 2 </s> 3 <0x00> ... 258 <0xFF> 259 ▁ 260 a 261 b 262 ab 263 ▁a 264 ▁ab
 * 265 <|end|> (control) 266 <tool> (user-defined) 267 <tool>x (user-defined) */
static void spm_tokens(struct vocab_writer *w)
{
    vw_init(w, "llama", "default");
    vw_token(w, "<unk>", 2, 0);
    vw_token(w, "<s>", 3, 0);
    vw_token(w, "</s>", 3, 0);
    vw_byte_tokens(w);
    vw_token(w, "\xe2\x96\x81", 1, -10);
    vw_token(w, "a", 1, -11);
    vw_token(w, "b", 1, -12);
    vw_token(w, "ab", 1, -1);
    vw_token(w,
        "\xe2\x96\x81"
        "a",
        1, -2);
    vw_token(w,
        "\xe2\x96\x81"
        "ab",
        1, -3);
    vw_token(w, "<|end|>", 3, 0);
    vw_token(w, "<tool>", 4, 0);
    vw_token(w, "<tool>x", 4, 0);
}

static void spm_merges_by_score(void **state)
{
    (void)state;
    struct vocab_writer w;
    spm_tokens(&w);
    struct tokenizer *t = finish(&w);
    assert_string_equal(tokenizer_kind(t), "gguf-spm");
    assert_string_equal(encode(t, "ab", 0), "264"); /* a+b (-1) before space+a (-2) */
    assert_string_equal(encode(t, "aab", 0), "263 262");
    assert_string_equal(encode(t, "a  a", 0), "263 259 263");
    assert_string_equal(encode(t, "", TOKENIZE_ADD_SPECIAL), "1");
    assert_string_equal(encode(t, "", 0), "");
    assert_string_equal(encode(t, "a\xc3\xa9", 0), "263 198 172"); /* é by bytes: 3 + 0xc3, 3 + 0xa9 */
    assert_string_equal(encode(t, "a", TOKENIZE_ADD_SPECIAL), "1 263");
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    tokenizer_free(t);
}

static void special_tokens_are_text_unless_asked_for(void **state)
{
    (void)state;
    struct vocab_writer w;
    spm_tokens(&w);
    struct tokenizer *t = finish(&w);
    /* Of <s> and <|end|> each character is a byte token. */
    assert_string_equal(encode(t, "<s>", 0), "259 63 118 65");
    assert_string_equal(encode(t, "<s>", TOKENIZE_PARSE_SPECIAL), "1");
    assert_string_equal(encode(t, "a<|end|>a", TOKENIZE_PARSE_SPECIAL), "263 265 263");
    assert_string_equal(encode(t, "<unk>", TOKENIZE_PARSE_SPECIAL), "0");
    /* User-defined tokens always count, the longest first. */
    assert_string_equal(encode(t, "a<tool>a", 0), "263 266 263");
    assert_string_equal(encode(t, "a<tool>xa", 0), "263 267 263");
    /* A BOS at the start of the text is not doubled; at other positions it stays. */
    unsigned both = TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL;
    assert_string_equal(encode(t, "<s>a", both), "1 263");
    assert_string_equal(encode(t, "a<s>", both), "1 263 1");
    assert_string_equal(encode(t, "<s>a", TOKENIZE_ADD_SPECIAL), "1 259 63 118 65 260");
    tokenizer_free(t);
}

static void flags_of_the_file_count(void **state)
{
    (void)state;
    struct vocab_writer w;
    spm_tokens(&w);
    gw_bool(&w.file, "tokenizer.ggml.add_bos_token", 0);
    gw_bool(&w.file, "tokenizer.ggml.add_eos_token", 1);
    gw_bool(&w.file, "tokenizer.ggml.add_space_prefix", 0);
    gw_u32(&w.file, "tokenizer.ggml.eos_token_id", 265);
    struct tokenizer *t = finish(&w);
    /* A prompt does not end in an EOS, whatever add_eos_token says. */
    assert_string_equal(encode(t, "ab", TOKENIZE_ADD_SPECIAL), "262");
    int32_t ids[] = {264, 264};
    assert_decoded(t, ids, 2, false, " ab ab");
    tokenizer_free(t);
}

/* In Gemma's vocabulary runs of spaces are user-defined tokens, with better scores than all words. */
static void user_defined_marks_are_spaces(void **state)
{
    (void)state;
    struct vocab_writer w;
    spm_tokens(&w);
    int32_t two = vw_token(&w, "\xe2\x96\x81\xe2\x96\x81", 4, 0);
    int32_t three = vw_token(&w, "\xe2\x96\x81\xe2\x96\x81\xe2\x96\x81", 4, 0);
    int32_t literal = vw_token(&w, "<\xe2\x96\x81>", 4, 0); /* no run */
    gw_bool(&w.file, "tokenizer.ggml.add_space_prefix", 0);
    struct tokenizer *t = finish(&w);
    char want[64];
    snprintf(want, sizeof(want), "260 %d 261 %d", (int)three, (int)two);
    assert_string_equal(encode(t, "a   b  ", 0), want);
    assert_decoded(t, (int32_t[]){260, three, 261, two}, 4, false, "a   b  ");
    assert_decoded(t, (int32_t[]){literal}, 1, false, "<\xe2\x96\x81>");
    tokenizer_free(t);
}

static void decoding_takes_the_added_space_away(void **state)
{
    (void)state;
    struct vocab_writer w;
    spm_tokens(&w);
    struct tokenizer *t = finish(&w);
    int32_t ids[] = {1, 264, 264, 265, 263, 267, 263};
    assert_decoded(t, ids, ARRAY_LEN(ids), false, "ab aba<tool>xa");
    assert_decoded(t, ids, ARRAY_LEN(ids), true, "<s>ab ab<|end|>a<tool>xa");
    /* A generation that continues a prompt keeps its first space. */
    struct detokenizer d;
    char out[256];
    detokenizer_init(&d, t, false);
    assert_int_equal(detokenizer_push(&d, 264, out, sizeof(out)), 3);
    assert_memory_equal(out, " ab", 3);
    assert_int_equal(detokenizer_push(&d, 4000, out, sizeof(out)), 0);
    assert_int_equal(detokenizer_push(&d, -1, out, sizeof(out)), 0);
    size_t n;
    assert_int_equal((tokenizer_piece(t, 264, false, &n), n), 3);
    assert_int_equal((tokenizer_piece(t, 1, false, &n), n), 0);
    assert_int_equal((tokenizer_piece(t, 1, true, &n), n), 3);
    assert_int_equal((tokenizer_piece(t, 3 + 0xff, false, &n), n), 1);
    assert_true(tokenizer_is_control(t, 1));
    assert_false(tokenizer_is_control(t, 266));
    tokenizer_free(t);
}

static void phi3_strips_behind_special_tokens(void **state)
{
    (void)state;
    for (int phi = 0; phi < 2; phi++) {
        struct vocab_writer w;
        spm_tokens(&w);
        gw_str(&w.file, "general.name", phi ? "My Phi-3 Mini" : "other");
        struct tokenizer *t = finish(&w);
        const char *got = encode(t,
            "a <|end|> \n\xe3\x80\x80"
            "a",
            TOKENIZE_PARSE_SPECIAL);
        if (phi)
            assert_string_equal(got, "263 259 265 263");
        else
            assert_string_equal(got, "263 259 265 259 259 13 230 131 131 260");
        assert_string_equal(encode(t, "<s> a", TOKENIZE_PARSE_SPECIAL), "1 259 263");
        tokenizer_free(t);
    }
}

static void ends_of_generation(void **state)
{
    (void)state;
    struct vocab_writer w;
    vw_init(&w, "gpt2", "qwen2");
    vw_alphabet(&w);
    int32_t endoftext = vw_token(&w, "<|endoftext|>", 3, 0);
    int32_t im_end = vw_token(&w, "<|im_end|>", 1, 0); /* its type should be control */
    int32_t im_start = vw_token(&w, "<|im_start|>", 3, 0);
    int32_t named = vw_token(&w, "<|stop|>", 3, 0);
    vw_merge(&w, "a b");
    gw_u32(&w.file, "tokenizer.ggml.eot_token_id", (uint32_t)named);
    gw_u32(&w.file, "tokenizer.ggml.bos_token_id", (uint32_t)endoftext);
    int32_t list[] = {65, 100000};
    gw_array(&w.file, "tokenizer.ggml.eos_token_ids", GGUF_I32, list, 2, 4);
    struct tokenizer *t = finish(&w);
    assert_true(tokenizer_is_eog(t, endoftext));
    assert_true(tokenizer_is_eog(t, im_end));
    assert_true(tokenizer_is_control(t, im_end));
    assert_true(tokenizer_is_eog(t, named));
    assert_true(tokenizer_is_eog(t, 65));
    assert_false(tokenizer_is_eog(t, im_start));
    assert_false(tokenizer_is_eog(t, 66));
    assert_false(tokenizer_is_eog(t, -1));
    assert_false(tokenizer_is_eog(t, 1 << 30));
    assert_string_equal(tokenizer_pre(t), "qwen2");
    assert_int_equal(tokenizer_eos(t), -1);
    assert_string_equal(encode(t, "a", TOKENIZE_ADD_SPECIAL), "97"); /* no add_bos in the file */
    tokenizer_free(t);
}

static void harmony_messages_end_without_ending_a_generation(void **state)
{
    (void)state;
    for (int harmony = 0; harmony < 2; harmony++) {
        struct vocab_writer w;
        vw_init(&w, "gpt2", "o200k");
        vw_alphabet(&w);
        int32_t end = vw_token(&w, "<|end|>", 3, 0);
        int32_t ret = vw_token(&w, "<|return|>", 3, 0);
        if (harmony)
            vw_token(&w, "<|call|>", 3, 0);
        vw_merge(&w, "a b");
        gw_u32(&w.file, "tokenizer.ggml.eot_token_id", (uint32_t)end);
        struct tokenizer *t = finish(&w);
        assert_int_equal(tokenizer_is_eog(t, end), !harmony);
        assert_true(tokenizer_is_eog(t, ret));
        assert_string_equal(tokenizer_pre(t), "o200k");
        tokenizer_free(t);
    }
}

static void bpe_merges_by_rank(void **state)
{
    (void)state;
    static const char *const pres[] = {"gpt-2", "llama-v3", "tekken"};
    for (size_t i = 0; i < ARRAY_LEN(pres); i++) {
        struct vocab_writer w;
        vw_init(&w, "gpt2", pres[i]);
        vw_alphabet(&w);
        int32_t ab = vw_token(&w, "ab", 1, 0);
        int32_t bc = vw_token(&w, "bc", 1, 0);
        int32_t space_a = vw_token(&w,
            "\xc4\xa0"
            "a",
            1, 0);
        int32_t abc = vw_token(&w, "abc", 1, 0); /* no merge gives it */
        int32_t bos = vw_token(&w, "<bos>", 3, 0);
        vw_merge(&w, "b c");
        vw_merge(&w, "a b");
        vw_merge(&w, "a b c"); /* its sides are not tokens */
        vw_merge(&w, "x");     /* not a merge */
        vw_merge(&w, "");
        vw_merge(&w, "\xc4\xa0 a");
        gw_u32(&w.file, "tokenizer.ggml.bos_token_id", (uint32_t)bos);
        struct tokenizer *t = finish(&w);
        char want[64];
        bool llama = i > 0;
        assert_string_equal(tokenizer_kind(t), "gguf-bpe");
        snprintf(want, sizeof(want), "%d", (int)ab);
        assert_string_equal(encode(t, "ab", 0), want);
        /* b+c comes first; with ignore_merges the whole word counts. */
        snprintf(want, sizeof(want), llama ? "%d" : "97 %d", llama ? (int)abc : (int)bc);
        assert_string_equal(encode(t, "abc", 0), want);
        snprintf(want, sizeof(want), "32 %d", (int)ab); /* a+b before space+a */
        assert_string_equal(encode(t, " ab", 0), want);
        snprintf(want, sizeof(want), "%d", (int)space_a);
        assert_string_equal(encode(t, " a", 0), want);
        snprintf(want, sizeof(want), llama ? "%d 97" : "97", (int)bos);
        assert_string_equal(encode(t, "a", TOKENIZE_ADD_SPECIAL), want);
        tokenizer_free(t);
    }
}

/* In xabcd the pair ab (rank 2) is outdated when bcd is merged first. The pair of a and bcd (rank 4) comes
 * after xa (rank 3), in a short word and in a long one. */
static void overtaken_pairs_do_not_count(void **state)
{
    (void)state;
    struct vocab_writer w;
    vw_init(&w, "gpt2", "gpt-2");
    vw_alphabet(&w);
    vw_token(&w, "cd", 1, 0);
    int32_t bcd = vw_token(&w, "bcd", 1, 0);
    vw_token(&w, "ab", 1, 0);
    int32_t xa = vw_token(&w, "xa", 1, 0);
    vw_token(&w, "abcd", 1, 0);
    vw_merge(&w, "c d");
    vw_merge(&w, "b cd");
    vw_merge(&w, "a b");
    vw_merge(&w, "x a");
    vw_merge(&w, "a bcd");
    struct tokenizer *t = finish(&w);
    for (size_t repeat = 1; repeat <= 40; repeat++) {
        char text[5 * 40];
        int32_t *ids;
        size_t n;
        for (size_t i = 0; i < repeat; i++)
            memcpy(text + 5 * i, "xabcd", 5);
        assert_int_equal(tokenizer_encode(t, text, 5 * repeat, 0, &ids, &n, &err), 0);
        assert_int_equal(n, 2 * repeat);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(ids[i], i & 1 ? bcd : xa);
        free(ids);
    }
    tokenizer_free(t);
}

static void bytes_are_their_own_tokens(void **state)
{
    (void)state;
    struct tokenizer *t;
    assert_int_equal(tokenizer_new_bytes(&t, &err), 0);
    assert_string_equal(tokenizer_kind(t), "bytes");
    assert_int_equal(tokenizer_n_vocab(t), 258);
    assert_string_equal(encode(t, "a\xc3\xa9", 0), "97 195 169");
    assert_string_equal(encode(t, "a", TOKENIZE_ADD_SPECIAL), "256 97");
    assert_true(tokenizer_is_eog(t, 257));
    assert_false(tokenizer_is_eog(t, 256));
    int32_t ids[] = {256, 'h', 'i', 0xc3, 0xa9, 257};
    assert_decoded(t, ids, ARRAY_LEN(ids), false, "hi\xc3\xa9");
    tokenizer_free(t);
}

/* One U+FFFD for each maximal part that begins a character but does not continue it. */
static void invalid_bytes_become_replacement_characters(void **state)
{
    (void)state;
#define R "\xef\xbf\xbd"
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\xff", R},
        {"\x80\x80", R R},
        {"\xe2\x82", R},
        {"\xe2\x82"
         "a",
            R "a"},
        {"\xe2\x82\xe2\x82\xac", R "\xe2\x82\xac"},
        {"\xf0\x9f\x98", R},
        {"\xf0\x9f\x98\xff", R R},
        {"\xc0\xaf", R R}, /* overlong */
        {"\xe0\x80\xaf", R R R},
        {"\xed\xa0\x80", R R R},       /* a surrogate */
        {"\xf4\x90\x80\x80", R R R R}, /* beyond U+10FFFF */
        {"\xf1\x80\x80\xe1\x80\xc2"
         "b",
            R R R "b"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    };
    struct tokenizer *t;
    assert_int_equal(tokenizer_new_bytes(&t, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int32_t ids[16];
        size_t n = strlen(cases[i].in);
        for (size_t k = 0; k < n; k++)
            ids[k] = (unsigned char)cases[i].in[k];
        assert_decoded(t, ids, n, false, cases[i].out);
    }
    tokenizer_free(t);
}

/* Random bytes: the output of each step is valid UTF-8, all outputs together are the decoded sequence, and
 * valid text is not changed. */
static void detokenizer_is_whole_at_every_step(void **state)
{
    (void)state;
    struct tokenizer *t;
    uint64_t x = 42;
    assert_int_equal(tokenizer_new_bytes(&t, &err), 0);
    for (int round = 0; round < 20000; round++) {
        static const unsigned char likely[] = {
            'a', 0x80, 0xbf, 0xc2, 0xe0, 0xa0, 0xed, 0x9f, 0xf0, 0x90, 0xf4, 0x8f};
        int32_t ids[24];
        unsigned char in[24];
        size_t n = 0;
        for (; n < ARRAY_LEN(ids) && (x >> 40) % 24; n++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            in[n] = (x >> 33) & 3 ? likely[(x >> 50) % sizeof(likely)] : (unsigned char)(x >> 56);
            ids[n] = in[n];
        }
        x = x * 6364136223846793005u + 1442695040888963407u;
        char *whole, joined[24 * 3 + 4];
        size_t whole_n, used = 0;
        assert_int_equal(tokenizer_decode(t, ids, n, false, &whole, &whole_n, &err), 0);
        struct detokenizer d;
        detokenizer_init(&d, t, true);
        for (size_t i = 0; i < n; i++) {
            size_t k = detokenizer_push(&d, ids[i], joined + used, sizeof(joined) - used);
            assert_true(utf8_valid(joined + used, k));
            used += k;
        }
        used += detokenizer_flush(&d, joined + used, sizeof(joined) - used);
        assert_int_equal(used, whole_n);
        assert_memory_equal(joined, whole, used);
        assert_true(utf8_valid(whole, whole_n));
        if (utf8_valid((char *)in, n)) {
            assert_int_equal(whole_n, n);
            assert_memory_equal(whole, in, n);
        }
        free(whole);
    }
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spm_merges_by_score),
        cmocka_unit_test(special_tokens_are_text_unless_asked_for),
        cmocka_unit_test(flags_of_the_file_count),
        cmocka_unit_test(user_defined_marks_are_spaces),
        cmocka_unit_test(decoding_takes_the_added_space_away),
        cmocka_unit_test(phi3_strips_behind_special_tokens),
        cmocka_unit_test(ends_of_generation),
        cmocka_unit_test(harmony_messages_end_without_ending_a_generation),
        cmocka_unit_test(bpe_merges_by_rank),
        cmocka_unit_test(overtaken_pairs_do_not_count),
        cmocka_unit_test(bytes_are_their_own_tokens),
        cmocka_unit_test(invalid_bytes_become_replacement_characters),
        cmocka_unit_test(detokenizer_is_whole_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
