/* Stop strings, and where they count in conversations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "engine/outtext.h"
#include "tests/lib/vocab-writer.h"

static struct orcd_error err = ORCD_ERROR_INIT;
static const char *const marks[] = {
    "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>", "<|im_end|>"};
/* Tokens of more than a byte. */
static const char *const words[] = {
    "END", "EN", "<think>", "</think>", "</think>b", "final", "\xc4\x8a\xc4\x8a"};

static struct tokenizer *make_tokenizer(void)
{
    struct vocab_writer w;
    struct tokenizer *t;
    vw_init(&w, "gpt2", "qwen2");
    vw_alphabet(&w);
    int32_t eos = vw_token(&w, "</s>", 3, 0);
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        vw_token(&w, marks[i], 3, 0);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        vw_token(&w, words[i], 1, 0);
    vw_merge(&w, "a b");
    gw_u32(&w.file, "tokenizer.ggml.eos_token_id", (uint32_t)eos);
    if (vw_finish(&w, &t, &err))
        fail_msg("%s", err.msg);
    return t;
}

enum { FIRST_WORD = 256 + 1 + ARRAY_LEN(marks) };

/* The next token of a script: {mark}, else a byte or, in whole words, the longest one. */
static int32_t next_token(const struct tokenizer *t, const char **in, bool whole_words)
{
    if (**in == '{') {
        char mark[32];
        size_t n = strcspn(*in, "}");
        snprintf(mark, sizeof(mark), "<|%.*s|>", (int)n - 1, *in + 1);
        *in += n + 1;
        int32_t id = tokenizer_special_id(t, mark);
        assert_true(id >= 0);
        return id;
    }
    int32_t best = (unsigned char)**in;
    size_t best_n = 1;
    for (size_t i = 0; whole_words && i < ARRAY_LEN(words); i++) {
        size_t n;
        const char *p = tokenizer_piece(t, FIRST_WORD + (int32_t)i, false, &n);
        if (n > best_n && strncmp(*in, p, n) == 0) {
            best = FIRST_WORD + (int32_t)i;
            best_n = n;
        }
    }
    *in += best_n;
    return best;
}

struct row {
    const char *family; /* NULL: not a conversation */
    const char *stops[3];
    const char *in, *shown;
    bool stopped;
    uint32_t n_marks;
    bool no_thinking;
};

static const struct row rows[] = {
    {NULL, {"END"}, "<think>END</think>", "<think>", true, 0, false},
    {NULL, {"END"}, "never EN", "never EN", false, 0, false},
    {"llama3", {"END"}, "<think>END", "<think>", true, 0, false},
    /* Reasoning is not content. */
    {"qwen3", {"END"}, "<think>a END b</think>\n\nc END d", "<think>a END b</think>\n\nc ", true, 0, false},
    {"qwen3", {"END"}, "<think>a EN</think>D b", "<think>a EN</think>D b", false, 0, false},
    {"qwen3", {"END"}, "<think>a END b", "<think>a END b", false, 0, false},
    {"qwen3", {"END"}, "said END no", "said ", true, 0, false},
    {"qwen3", {"END"}, "said EN", "said EN", false, 0, false},
    {"qwen3", {"END"}, "<think>END", "<think>", true, 0, true},
    /* Marks and the line breaks around them are not content either. */
    {"qwen3", {"\n"}, "<think>\na\n</think>\n\nb\nc", "<think>\na\n</think>\n\nb", true, 0, false},
    {"qwen3", {"think"}, "<think>x</think>ok thinking", "<think>x</think>ok ", true, 0, false},
    {"qwen3", {"</think>"}, "<think>a</think>b</think>c", "<think>a</think>b", true, 0, false},
    {"qwen3", {"k>b"}, "<think>a</think>bk>b", "<think>a</think>b", true, 0, false},
    /* Text that might become a mark, but did not. */
    {"qwen3", {"<th"}, "<thing", "", true, 0, false},
    {"qwen3", {"<th"}, "<think>a<th</think>b", "<think>a<th</think>b", false, 0, false},
    {"qwen3", {"\n"}, "\n\nanswer", "", true, 0, false},
    {"qwen3", {"\n"}, "\n\n<think>a</think>b", "\n\n<think>a</think>b", false, 0, false},
    {"qwen3", {"\n"}, "\n", "", false, 0, false}, /* nothing follows, so it is content */
    {"qwen3", {"ing", "<t"}, "<thing", "", true, 0, false},
    {"qwen3", {"thi"}, "<thi", "<", false, 0, false},
    /* The template's own marks end the answer anywhere. */
    {"qwen3", {"END", "<|im"}, "<think>a END<|im_end|>b", "<think>a END", true, 1, false},
    {"qwen3", {"<|im"}, "<think>a<|im_end|>b", "<think>a", true, 1, false},
    /* Harmony: headers, reasoning, and the final channel. */
    {"gpt-oss", {"END"}, "{channel}analysis{message}END{end}{start}assistant{channel}final{message}so END no",
        "analysisENDassistantfinalso ", true, 0, false},
    {"gpt-oss", {"final"}, "{channel}final{message}the final word", "finalthe ", true, 0, false},
    {"gpt-oss", {"lth"}, "{channel}final{message}the", "finalthe", false, 0, false},
    {"gpt-oss", {"END"}, "{channel}final{message}aEN{end}{start}assistant{channel}final{message}D b",
        "finalaENassistantfinalD b", false, 0, false},
    {"gpt-oss", {"END"}, "{channel}final{message}aEN{end}{start}assistant{channel}final{message}DEND",
        "finalaENassistantfinalD", true, 0, false},
    {"gpt-oss", {"END"}, "an answer END in short", "an answer ", false, 0, false},
    {"gpt-oss", {"END"}, "an answer END that no header is as long as", "an answer ", true, 0, false},
    {"gpt-oss", {"END"}, "an EN", "an EN", false, 0, false},
    {"gpt-oss", {"an"}, "analysis{message}an", "analysis", true, 0, false},
};

static void run(const struct tokenizer *tok, const struct row *row, bool whole_words)
{
    struct request r = {.n_marks = row->n_marks};
    struct chat_template *chat = NULL;
    struct outtext o;
    struct chat_options options = {.enable_thinking = row->no_thinking ? 0 : -1};
    for (; r.n_stop < ARRAY_LEN(row->stops) && row->stops[r.n_stop]; r.n_stop++) {
        r.stop[r.n_stop].n = (uint32_t)strlen(row->stops[r.n_stop]);
        memcpy(r.stop[r.n_stop].text, row->stops[r.n_stop], r.stop[r.n_stop].n);
    }
    if (row->family) {
        assert_int_equal(chat_template_from_text(&chat, NULL, 0, tok, row->family, &err), 0);
        assert_string_equal(chat_family(chat), row->family);
        chat_split_init(&r.answer, chat, &options);
    }
    assert_int_equal(outtext_init(&o, tok, &err), 0);
    outtext_begin(&o, tok, &r);
    char shown[1024] = "", last[1024];
    size_t n = 0, most = JOB_STOP_BYTES + JOB_HELD_CHARACTER;
    bool stopped = false;
    for (const char *in = row->in; *in && !stopped;)
        n += outtext_push(&o, next_token(tok, &in, whole_words), shown + n, &stopped);
    if (!stopped) {
        size_t n_last = outtext_peek(&o, last, most), flushed = outtext_flush(&o, shown + n, &stopped);
        assert_int_equal(n_last, flushed); /* a partial answer ends with this text */
        assert_memory_equal(last, shown + n, flushed);
        n += flushed;
    }
    shown[n] = 0;
    if (strcmp(shown, row->shown) != 0 || stopped != row->stopped)
        fail_msg("%s: \"%s\" shows \"%s\"%s", row->family ? row->family : "no family", row->in, shown,
            stopped ? " and stops" : "");
    outtext_release(&o);
    chat_template_free(chat);
}

static void test_stops(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        run(tok, &rows[i], false);
        run(tok, &rows[i], true);
    }
    tokenizer_free(tok);
}

/* Of a long undecided text, no more is held back than a job has room for. */
static void test_undecided_for_long(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer();
    static char in[2000], shown[2000];
    memset(in, '\n', 1000);
    strcpy(in + 1000, "<think>why</think>\nbe\ncause");
    memcpy(shown, in, 1000);
    strcpy(shown + 1000, "<think>why</think>\nbe");
    struct chat_template *chat;
    struct request r = {.n_stop = 1, .stop = {{.n = 1, .text = "\n"}}};
    struct outtext o;
    assert_int_equal(chat_template_from_text(&chat, NULL, 0, tok, "qwen3", &err), 0);
    chat_split_init(&r.answer, chat, NULL);
    assert_int_equal(outtext_init(&o, tok, &err), 0);
    outtext_begin(&o, tok, &r);
    static char out[2000];
    size_t n = 0;
    bool stopped = false;
    for (const char *p = in; *p && !stopped; p++) {
        n += outtext_push(&o, (unsigned char)*p, out + n, &stopped);
        assert_true(o.n < JOB_STOP_BYTES);
    }
    assert_true(stopped);
    assert_int_equal(n, strlen(shown));
    assert_memory_equal(out, shown, n);
    outtext_release(&o);
    chat_template_free(chat);
    tokenizer_free(tok);
}

/* Random texts: nothing is shown twice, and nothing is lost but the text from a stop string on. */
static void test_any(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer();
    static const char *const families[] = {"qwen3", "gpt-oss", "llama3"};
    static const char *const stops[] = {"END", "\n", "<", "th", "final", "D"};
    uint32_t seed = 3;
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        struct chat_template *chat;
        assert_int_equal(chat_template_from_text(&chat, NULL, 0, tok, families[f], &err), 0);
        for (int k = 0; k < 4000; k++) {
            struct request r = {0};
            struct outtext o;
            char raw[1024], shown[1024];
            size_t n_raw = 0, n = 0;
            bool stopped = false;
            for (size_t i = 0; i < 2; i++) {
                const char *s = stops[((seed = seed * 1664525 + 1013904223) >> 16) % ARRAY_LEN(stops)];
                r.stop[i].n = (uint32_t)strlen(s);
                memcpy(r.stop[i].text, s, r.stop[i].n);
            }
            r.n_stop = 1 + (uint32_t)k % 2;
            r.n_marks = (uint32_t)k / 2 % (r.n_stop + 1);
            chat_split_init(&r.answer, chat, NULL);
            assert_int_equal(outtext_init(&o, tok, &err), 0);
            outtext_begin(&o, tok, &r);
            for (int i = 0; i < 30 && !stopped; i++) {
                seed = seed * 1664525 + 1013904223;
                static const char letters[] = "\n<thEND>/ink";
                int32_t id = seed >> 28 > 8
                                 ? letters[(seed >> 16) % (sizeof(letters) - 1)]
                                 : 257 + (int32_t)((seed >> 16) % (ARRAY_LEN(marks) + ARRAY_LEN(words)));
                size_t n_piece;
                const char *piece = tokenizer_piece(tok, id, false, &n_piece);
                memcpy(raw + n_raw, piece, n_piece);
                n_raw += n_piece;
                n += outtext_push(&o, id, shown + n, &stopped);
                assert_true(n <= n_raw && o.n < JOB_STOP_BYTES);
            }
            bool undecided = o.undecided;
            if (!stopped)
                n += outtext_flush(&o, shown + n, &stopped);
            assert_memory_equal(raw, shown, n);
            assert_true(n == n_raw || stopped || undecided);
            outtext_release(&o);
        }
        chat_template_free(chat);
    }
    tokenizer_free(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_undecided_for_long),
        cmocka_unit_test(test_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
