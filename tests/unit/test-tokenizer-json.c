/* tokenizer.json: small files, malformed ones, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/tokenizer.h"
#include "tests/lib/gguf-writer.h"

static struct orcd_error err = ORCD_ERROR_INIT;

#define BYTES "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define MODEL                                                                                                \
    "\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4},\"merges\":[\"a b\",[\"ab\",\"c\"]]}"
#define SPACES                                                                                               \
    "\"normalizer\":{\"normalizers\":[{\"prepend\":\"\xe2\x96\x81\",\"type\":\"Prepend\"},{\"type\":"        \
    "\"Replace\","                                                                                           \
    "\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}],\"type\":\"Sequence\"}"

static int load(struct tokenizer **t, const char *text, size_t n)
{
    char *copy = malloc(n ? n : 1); /* exactly this long, so that a sanitizer sees reads beyond the end */
    assert_non_null(copy);
    memcpy(copy, text, n);
    int rc = tokenizer_from_json_text(t, copy, n, NULL, &err);
    free(copy);
    return rc;
}

static struct tokenizer *load_good(const char *text)
{
    struct tokenizer *t = NULL;
    if (load(&t, text, strlen(text)))
        fail_msg("%s: %s", text, err.msg);
    return t;
}

static void assert_ids(const struct tokenizer *t, const char *text, unsigned flags, const char *want)
{
    char have[256] = "";
    int32_t *ids;
    size_t n, used = 0;
    assert_int_equal(tokenizer_encode(t, text, strlen(text), flags, &ids, &n, &err), 0);
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(have + used, sizeof(have) - used, "%s%d", i ? " " : "", (int)ids[i]);
    free(ids);
    assert_string_equal(have, want);
}

static void assert_refused(const char *text, int code, const char *part)
{
    struct tokenizer *t = (struct tokenizer *)1;
    int rc = load(&t, text, strlen(text));
    if (rc != code || !strstr(err.msg, part))
        fail_msg("%.300s: %d \"%s\" does not say \"%s\"", text, rc, err.msg, part);
    assert_ptr_equal(t, (struct tokenizer *)1);
}

static void both_spellings_of_merges(void **state)
{
    (void)state;
    struct tokenizer *t = load_good("{" BYTES "," MODEL "}");
    assert_string_equal(tokenizer_kind(t), "hf-json");
    assert_string_equal(tokenizer_pre(t), "gpt-2");
    assert_int_equal(tokenizer_n_vocab(t), 5);
    assert_ids(t, "abcab", 0, "4 3");
    assert_ids(t, "cba", 0, "2 1 0");
    tokenizer_free(t);
    /* Members in another order, and unknown members. */
    t = load_good(" { \"x\" : [ 1 , -2.5e+3 , { \"y\" : null } ] ," MODEL
                  ", \"decoder\":{\"type\":\"?\"}," BYTES " } \n");
    assert_ids(t, "abcab", 0, "4 3");
    tokenizer_free(t);
}

static void added_tokens(void **state)
{
    (void)state;
    struct tokenizer *t = load_good(
        "{\"added_tokens\":[{\"id\":9,\"content\":\"<|im_end|>\",\"special\":true},"
        "{\"id\":7,\"content\":\"<x>\",\"special\":false,\"lstrip\":true,\"rstrip\":true},"
        "{\"id\":0,\"content\":\"a\",\"special\":false}]," BYTES "," MODEL
        ",\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},{\"type\":"
        "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<|im_end|>\",\"type_id\":0}},"
        "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"<x>\",\"type_id\":0}}]}]}}");
    assert_int_equal(tokenizer_n_vocab(t), 10);
    assert_true(tokenizer_is_control(t, 9));
    assert_true(tokenizer_is_eog(t, 9));
    assert_int_equal(tokenizer_bos(t), 9);
    assert_int_equal(tokenizer_eos(t), 7);
    assert_ids(t, "bc \n<x>\t b", 0, "1 2 7 1");
    assert_ids(t, "b<|im_end|>c", TOKENIZE_PARSE_SPECIAL, "1 9 2");
    assert_ids(t, "b", TOKENIZE_ADD_SPECIAL, "9 1");
    /* Holes are tokens without text. */
    size_t n;
    tokenizer_piece(t, 5, true, &n);
    assert_int_equal(n, 0);
    tokenizer_free(t);
}

static void spaces_as_marks(void **state)
{
    (void)state;
    static const char head[] =
        "{" SPACES ",\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":";
    static const char tail[] =
        "\"vocab\":{\"<unk>\":0,\"<0x78>\":1,\"\\u2581\":2,\"a\":3,\"b\":4,\"\\u2581a\":5,\"ab\":6},"
        "\"merges\":[[\"a\",\"b\"],[\"\\u2581\",\"a\"]]},\"added_tokens\":[{\"id\":7,\"content\":\"<s>\","
        "\"special\":true},"
        "{\"id\":0,\"content\":\"<unk>\",\"special\":true}]}";
    char text[1024];
    snprintf(text, sizeof(text), "%strue,\"byte_fallback\":true,%s", head, tail);
    struct tokenizer *t = load_good(text);
    assert_int_equal(tokenizer_bos(t), 7);
    assert_ids(t, "a", 0, "5");
    assert_ids(t, "ab a", 0, "2 6 5"); /* by merges, not by scores */
    assert_ids(t, "<s>a<s>", TOKENIZE_PARSE_SPECIAL, "7 5 7");
    assert_ids(t, "axyyb", 0, "5 1 0 4"); /* x is a byte token, both y are one unknown */
    tokenizer_free(t);
    snprintf(text, sizeof(text), "%sfalse,\"byte_fallback\":false,%s", head, tail);
    t = load_good(text);
    assert_ids(t, "axyyb", 0, "5 0 0 0 4");
    tokenizer_free(t);
}

static void metaspace_schemes(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *plain, *spaced, *after;
    } cases[] = {
        {"\"prepend_scheme\":\"first\"", "4", "4", "6 2"},
        {"\"prepend_scheme\":\"always\"", "4", "4", "6 4"},
        {"\"prepend_scheme\":\"never\"", "2", "4", "6 2"},
        {"\"add_prefix_space\":true", "4", "4", "6 4"},
        {"\"add_prefix_space\":false", "2", "4", "6 2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[1024];
        snprintf(text, sizeof(text),
            "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",%s,\"split\":false},"
            "\"model\":{\"vocab\":{\"\\u2581\":1,\"a\":2,\"\\u2581a\":4},\"merges\":[\"\\u2581 a\"]},"
            "\"added_tokens\":[{\"id\":6,\"content\":\"<s>\",\"special\":true}]}",
            cases[i].scheme);
        struct tokenizer *t = load_good(text);
        assert_ids(t, "a", 0, cases[i].plain);
        assert_ids(t, " a", 0, cases[i].spaced);
        assert_ids(t, "<s>a", TOKENIZE_PARSE_SPECIAL, cases[i].after);
        tokenizer_free(t);
    }
}

static void what_is_unknown_is_named(void **state)
{
    (void)state;
    const int no = ORCD_E_UNSUPPORTED;
    assert_refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", no, "Unigram");
    assert_refused("{" MODEL "}", no, "neither");
    assert_refused("{\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MODEL "}", no, "Whitespace");
    assert_refused("{" BYTES ",\"normalizer\":{\"type\":\"Strip\"}," MODEL "}", no, "Strip");
    assert_refused(
        "{" BYTES
        ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" \"},\"content\":\"\"}," MODEL "}",
        no, "Replace");
    assert_refused("{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}," MODEL "}", no,
        "add_prefix_space");
    assert_refused(
        "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"use_regex\":false}," MODEL "}", no, "ByteLevel");
    assert_refused("{" SPACES "," BYTES "," MODEL "}", no, "normalizer");
    assert_refused("{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Punctuation\"},{"
                   "\"type\":\"ByteLevel\"}]}," MODEL "}",
        no, "Punctuation");
    assert_refused("{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{"
                   "\"type\":\"Digits\"},{\"type\":\"ByteLevel\"}]}," MODEL "}",
        no, "ByteLevel");
    assert_refused("{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
                   "\"pattern\":{\"Regex\":\"[a-z]+\"},"
                   "\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"use_regex\":false}]}," MODEL "}",
        no, "[a-z]+");
    assert_refused(
        "{" BYTES ",\"post_processor\":{\"type\":\"RobertaProcessing\"}," MODEL "}", no, "RobertaProcessing");
    assert_refused("{" BYTES ",\"model\":{\"continuing_subword_prefix\":\"##\",\"vocab\":{},\"merges\":[]}}",
        no, "continuing_subword_prefix");
    assert_refused("{" BYTES ",\"added_tokens\":[{\"id\":5,\"content\":\"x\",\"single_word\":true}]," MODEL
                   "}",
        no, "single_word");
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    const int no = ORCD_E_INVALID;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "object is expected"},
        {"[]", "object is expected"},
        {"{}", "no model"},
        {"{\"model\":null}", "object"},
        {"{\"model\":{}}", "no vocab"},
        {"{\"model\":{\"vocab\":{}}}", "no merges"},
        {"{" BYTES ",\"model\":{\"vocab\":{},\"merges\":[]}}", "empty"},
        {"{" BYTES "," MODEL "," MODEL "}", "twice"},
        {"{" BYTES "," BYTES "," MODEL "}", "twice"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":0},\"vocab\":{},\"merges\":[]}}", "twice"},
        {"{" BYTES ",\"model\":{\"vocab\":[\"a\"],\"merges\":[]}}", "object is expected"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}", "number"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":1.5},\"merges\":[]}}", "integer"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":00},\"merges\":[]}}", "invalid number"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":1e3},\"merges\":[]}}", "integer"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", "number"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":4294967296},\"merges\":[]}}", "too large"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":18446744073709551616},\"merges\":[]}}", "too large"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":4294967295},\"merges\":[]}}", "4294967295"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "two tokens"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"ab\"]}}", "merge"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "merge"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"b\",\"c\"]]}}", "merge"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[7]}}", "array"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":0},\"merges\":{}}}", "array is expected"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"u\"}}", "unk_token"},
        {"{" BYTES ",\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]," MODEL "}", "two tokens"},
        {"{" BYTES ",\"added_tokens\":[{\"id\":9}]," MODEL "}", "without id or content"},
        {"{" BYTES ",\"added_tokens\":[{\"content\":\"x\"}]," MODEL "}", "without id or content"},
        {"{" BYTES ",\"added_tokens\":[{\"id\":4000000000,\"content\":\"x\"}]," MODEL "}", "4000000000"},
        {"{" BYTES ",\"added_tokens\":{}," MODEL "}", "array is expected"},
        {"{" BYTES ",\"normalizer\":{}," MODEL "}", "no type"},
        {"{" BYTES ",\"normalizer\":{\"type\":\"Sequence\"}," MODEL "}", "no parts"},
        {"{" BYTES ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
         "\"id\":\"?\"}}]}," MODEL "}",
            "not a token"},
        {"{" BYTES ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{}]}," MODEL "}",
            "neither"},
        {"{" BYTES "," MODEL "} x", "after the end"},
        {"{" BYTES "," MODEL ",}", "string"},
        {"{" BYTES " " MODEL "}", "comma"},
        {"{" BYTES ",\"x\":[1,]," MODEL "}", "value"},
        {"{" BYTES ",\"x\":01," MODEL "}", "number"},
        {"{" BYTES ",\"x\":-," MODEL "}", "number"},
        {"{" BYTES ",\"x\":tru," MODEL "}", "value"},
        {"{" BYTES ",\"x\":[}," MODEL "}", "value"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"\\ud800\":0},\"merges\":[]}}", "escape"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"\\ud800\\u0041\":0},\"merges\":[]}}", "escape"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"\\ud800\\ue000\":0},\"merges\":[]}}", "escape"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"\\udc00\":0},\"merges\":[]}}", "escape"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"\\u00g0\":0},\"merges\":[]}}", "escape"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"\\x\":0},\"merges\":[]}}", "escape"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"\n\":0},\"merges\":[]}}", "control"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"\xff\":0},\"merges\":[]}}", "UTF-8"},
        {"{" BYTES ",\"model\":{\"vocab\":{\"\xed\xa0\x80\":0},\"merges\":[]}}", "UTF-8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_refused(cases[i].text, no, cases[i].part);
}

static void escapes_are_characters(void **state)
{
    (void)state;
    struct tokenizer *t =
        load_good("{" BYTES ",\"model\":{\"vocab\":{\"\\u0061\":0,\"\\\"\\\\\\/\":1},\"merges\":[]},"
                  "\"added_tokens\":[{\"id\":2,\"content\":\"\\ud83d\\ude00\\n\\u0000\\t\"}]}");
    size_t n;
    const char *p = tokenizer_piece(t, 2, true, &n);
    assert_int_equal(n, 7);
    assert_memory_equal(p, "\xf0\x9f\x98\x80\n\0\t", 7);
    p = tokenizer_piece(t, 1, true, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(p, "\"\\/", 3);
    assert_ids(t, "a", 0, "0");
    tokenizer_free(t);
}

static const char whole[] =
    "{\"added_tokens\":[{\"id\":5,\"content\":\"<s>\",\"special\":true,\"rstrip\":true}],\"normalizer\":{"
    "\"type\":\"NFC\"}," BYTES
    ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},"
    "{\"Sequence\":{\"id\":\"A\"}}]}," MODEL "}";

static void cut_anywhere(void **state)
{
    (void)state;
    for (size_t n = 0; n < strlen(whole); n++) {
        struct tokenizer *t = NULL;
        assert_int_equal(load(&t, whole, n), ORCD_E_INVALID);
    }
    tokenizer_free(load_good(whole));
}

/* Any single byte is replaced by any other: the result is an error or a tokenizer, never a crash. */
static void changed_anywhere(void **state)
{
    (void)state;
    static const char bytes[] = {
        '"', '\\', '{', '}', '[', ']', ',', ':', '9', '-', 'n', ' ', '\0', '\xff', '\xe2'};
    char text[sizeof(whole)];
    for (size_t i = 0; i < strlen(whole); i++)
        for (size_t b = 0; b < sizeof(bytes); b++) {
            memcpy(text, whole, sizeof(whole));
            text[i] = bytes[b];
            struct tokenizer *t = NULL;
            if (load(&t, text, strlen(whole)) == 0) {
                int32_t *ids;
                size_t n;
                assert_int_equal(
                    tokenizer_encode(t, "<s> abc e\xcc\x81", 11, TOKENIZE_PARSE_SPECIAL, &ids, &n, &err), 0);
                free(ids);
            }
            tokenizer_free(t);
        }
}

/* The text is head, n times middle, and tail. */
static void assert_repeated_refused(
    const char *head, const char *middle, size_t n, const char *tail, const char *part)
{
    size_t k = strlen(middle), at = strlen(head), bytes = at + n * k + strlen(tail);
    char *text = malloc(bytes + 1);
    assert_non_null(text);
    memcpy(text, head, at);
    for (size_t i = 0; i < n; i++, at += k)
        memcpy(text + at, middle, k);
    memcpy(text + at, tail, strlen(tail) + 1);
    assert_refused(text, ORCD_E_INVALID, part);
    free(text);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    assert_repeated_refused(
        "{" BYTES "," MODEL ",\"added_tokens\":[{\"id\":9,\"content\":\"", "x", 2000000, "\"}]}", "too long");
    assert_repeated_refused("{" BYTES "," MODEL ",\"added_tokens\":[",
        "{\"id\":9,\"content\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"},", 40000, "null]}", "too long");
}

static void depth_is_bounded(void **state)
{
    (void)state;
    assert_repeated_refused("{\"x\":", "[", 1000000, "", "deeply");
    assert_repeated_refused("{\"x\":", "{\"a\":", 1000000, "", "deeply");
    assert_repeated_refused("{" BYTES "," MODEL ",\"normalizer\":",
        "{\"type\":\"Sequence\",\"normalizers\":[", 6, "{\"type\":\"NFC\"}]}]}]}]}]}]}}", "deeply");
    assert_repeated_refused("{" BYTES "," MODEL ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[",
        "{\"type\":\"NFC\"},", 5000, "{\"type\":\"NFC\"}]}}", "too long");
}

/* A model file with eight tokens; its special ids are those of the file. */
static struct gguf *open_model(struct gw_buf *file, const char *first)
{
    struct gguf_writer w;
    struct gw_buf tokens = {0};
    struct gguf *g;
    const char *const own[] = {first, "b", "c", "ab", "abc", "<x>", "<y>", "[PAD]"};
    gw_init(&w);
    gw_str(&w, "general.architecture", "llama");
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        gw_put_str(&tokens, own[i]);
    gw_array_strings(&w, "tokenizer.ggml.tokens", &tokens, ARRAY_LEN(own));
    gw_u32(&w, "tokenizer.ggml.bos_token_id", 6);
    gw_u32(&w, "tokenizer.ggml.eos_token_id", 5);
    gw_bool(&w, "tokenizer.ggml.add_bos_token", 1);
    *file = gw_finish(&w);
    gw_buf_free(&tokens);
    gw_free(&w);
    assert_int_equal(gguf_open_memory(&g, file->p, file->n, &err), 0);
    return g;
}

static void the_model_file_goes_first(void **state)
{
    (void)state;
    struct gw_buf file;
    struct tokenizer *t = NULL;
    struct gguf *g = open_model(&file, "a");
    char text[] = "{" BYTES "," MODEL "}";
    if (tokenizer_from_json_text(&t, text, strlen(text), g, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(tokenizer_n_vocab(t), 8);
    assert_int_equal(tokenizer_bos(t), 6);
    assert_int_equal(tokenizer_eos(t), 5);
    assert_true(tokenizer_is_eog(t, 5));
    assert_ids(t, "ab", TOKENIZE_ADD_SPECIAL, "6 3");
    tokenizer_free(t);
    char beyond[] = "{" BYTES ",\"added_tokens\":[{\"id\":8,\"content\":\"x\"}]," MODEL "}";
    assert_int_equal(tokenizer_from_json_text(&t, beyond, strlen(beyond), g, &err), ORCD_E_INVALID);
    assert_non_null(strstr(err.msg, "8"));
    gguf_close(g);
    gw_buf_free(&file);

    g = open_model(&file, "z");
    char other[] = "{" BYTES "," MODEL "}";
    assert_int_equal(tokenizer_from_json_text(&t, other, strlen(other), g, &err), ORCD_E_INVALID);
    assert_non_null(strstr(err.msg, "not the vocabulary of this model"));
    gguf_close(g);
    gw_buf_free(&file);
}

static void files(void **state)
{
    (void)state;
    struct tokenizer *t = (struct tokenizer *)1;
    char folder[] = "/tmp/orcd-json-XXXXXX", path[64], model[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/tokenizer.json", folder);
    snprintf(model, sizeof(model), "%s/model.gguf", folder);
    assert_int_equal(tokenizer_from_json(&t, path, NULL, &err), ORCD_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(tokenizer_from_json(&t, folder, NULL, &err), ORCD_E_INVALID);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("{" BYTES "," MODEL "}", f);
    fclose(f);

    /* A model file without a vocabulary. */
    struct gguf_writer w;
    gw_init(&w);
    gw_str(&w, "general.architecture", "llama");
    struct gw_buf file = gw_finish(&w);
    struct gguf *g;
    assert_int_equal(gguf_open_memory(&g, file.p, file.n, &err), 0);
    assert_int_equal(tokenizer_open(&t, g, model, "gguf", &err), ORCD_E_UNSUPPORTED);
    assert_int_equal(tokenizer_open(&t, g, model, "auto", &err), 0);
    assert_string_equal(tokenizer_kind(t), "hf-json");
    tokenizer_free(t);
    assert_int_equal(tokenizer_open(&t, g, model, "hf-json", &err), 0);
    tokenizer_free(t);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tokenizer_open(&t, g, model, "hf-json", &err), ORCD_E_NOT_FOUND);
    assert_int_equal(tokenizer_open(&t, g, model, "auto", &err), ORCD_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, path));
    gguf_close(g);
    gw_buf_free(&file);
    gw_free(&w);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_spellings_of_merges),
        cmocka_unit_test(added_tokens),
        cmocka_unit_test(spaces_as_marks),
        cmocka_unit_test(metaspace_schemes),
        cmocka_unit_test(what_is_unknown_is_named),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(escapes_are_characters),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(changed_anywhere),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(the_model_file_goes_first),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
