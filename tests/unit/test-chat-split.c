/* Splits generations into reasoning and content, wherever the tokens are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "chat/chat.h"
#include "tests/lib/vocab-writer.h"

static struct orcd_error err = ORCD_ERROR_INIT;
static const char *const harmony_marks[] = {
    "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>", "<|constrain|>"};

static struct tokenizer *make_tokenizer(int32_t think_type)
{
    struct vocab_writer w;
    struct tokenizer *t;
    vw_init(&w, "gpt2", "qwen2");
    vw_alphabet(&w);
    int32_t eos = vw_token(&w, "</s>", 3, 0);
    for (size_t i = 0; i < ARRAY_LEN(harmony_marks); i++)
        vw_token(&w, harmony_marks[i], 3, 0);
    vw_token(&w, "<|im_end|>", 3, 0);
    vw_token(&w, "<|eot_id|>", 3, 0);
    vw_token(&w, "<think>", think_type, 0);
    vw_token(&w, "</think>", think_type, 0);
    vw_merge(&w, "a b");
    gw_u32(&w.file, "tokenizer.ggml.eos_token_id", (uint32_t)eos);
    if (vw_finish(&w, &t, &err))
        fail_msg("%s", err.msg);
    return t;
}

struct heard {
    char text[2][512];
    size_t n[2];
    int last; /* channel; -1: nothing yet */
    unsigned turns;
};

static void hear(void *arg, enum chat_channel channel, const char *p, size_t n)
{
    struct heard *h = arg;
    assert_true(n > 0);
    assert_true(h->n[channel] + n < sizeof(h->text[0]));
    memcpy(h->text[channel] + h->n[channel], p, n);
    h->n[channel] += n;
    h->turns += h->last != (int)channel;
    h->last = (int)channel;
}

static void assert_heard(const struct heard *h, const char *reasoning, const char *content)
{
    if (strcmp(h->text[CHAT_REASONING], reasoning) != 0 || strcmp(h->text[CHAT_CONTENT], content) != 0)
        fail_msg("thought \"%s\", said \"%s\"; should be \"%s\", \"%s\"", h->text[CHAT_REASONING],
            h->text[CHAT_CONTENT], reasoning, content);
}

static struct chat_template *named(const struct tokenizer *tok, const char *name)
{
    struct chat_template *t;
    if (chat_template_from_text(&t, NULL, 0, tok, name, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(chat_family(t), name);
    return t;
}

static const struct {
    const char *in, *reasoning, *content;
} thoughts[] = {
    {"<think>\nwhy\n</think>\n\nbecause", "why", "because"},
    {"<think>\n\n</think>\n\nanswer", "", "answer"},
    {"<think></think>answer", "", "answer"},
    {"\n\n<think>a\nb\n\nc\n\n\n</think>x\n\ny\n", "a\nb\n\nc", "x\n\ny\n"},
    {"no thought, <think>not one</think> either", "", "no thought, <think>not one</think> either"},
    {"\n\nanswer", "", "\n\nanswer"},
    {"<think>a < b, </thin, </think is not, <</think>ok", "a < b, </thin, </think is not, <", "ok"},
    {"<think>a</think>b</think>c<think>d", "a", "b</think>c<think>d"},
    {"<think>cut\n\n</thi", "cut\n\n</thi", ""},
    {"<think>cut\n", "cut\n", ""},
    {"<think", "", "<think"},
    {"<thinker>", "", "<thinker>"},
    {"<<think>a</think>", "", "<<think>a</think>"},
    {"<think>\n</think>\n", "", ""},
    {"<think>\n</</think></think>", "</", "</think>"},
    {"", "", ""},
};

static void split_text(struct heard *h, const struct chat_template *t, const struct chat_options *o,
    const char *in, const size_t *cuts, size_t n_cuts)
{
    struct chat_split s;
    size_t at = 0, n = strlen(in);
    *h = (struct heard){.last = -1};
    chat_split_init(&s, t, o);
    for (size_t i = 0; i <= n_cuts; i++) {
        size_t to = i < n_cuts ? cuts[i] : n;
        char *piece = malloc(to - at + 1);
        assert_non_null(piece);
        memcpy(piece, in + at, to - at);
        chat_split_push(&s, 65, piece, to - at, hear, h);
        free(piece);
        at = to;
    }
    chat_split_finish(&s, hear, h);
}

static void test_think(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer(4);
    struct chat_template *t = named(tok, "qwen3");
    struct heard h;
    for (size_t i = 0; i < ARRAY_LEN(thoughts); i++) {
        const char *in = thoughts[i].in;
        size_t n = strlen(in), cuts[128];
        assert_true(n < ARRAY_LEN(cuts));
        for (size_t k = 0; k < n; k++)
            cuts[k] = k;
        split_text(&h, t, NULL, in, cuts, n); /* byte by byte */
        assert_heard(&h, thoughts[i].reasoning, thoughts[i].content);
        assert_true(h.turns <= 2); /* reasoning, then content, and never back */
        for (size_t a = 0; a <= n; a++)
            for (size_t b = a; b <= n; b++) {
                split_text(&h, t, NULL, in, (const size_t[]){a, b}, 2);
                assert_heard(&h, thoughts[i].reasoning, thoughts[i].content);
            }
    }
    chat_template_free(t);
    tokenizer_free(tok);
}

static void test_no_thinking(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer(4);
    struct chat_template *qwen = named(tok, "qwen3"), *llama = named(tok, "llama3");
    struct chat_options o = {.enable_thinking = 0};
    struct heard h;
    split_text(&h, qwen, &o, "<think>said</think>", NULL, 0);
    assert_heard(&h, "", "<think>said</think>");
    split_text(&h, llama, NULL, "<think>said</think>", NULL, 0);
    assert_heard(&h, "", "<think>said</think>");
    chat_template_free(qwen);
    chat_template_free(llama);
    tokenizer_free(tok);
}

/* Marks that are control tokens have no text. */
static void test_think_tokens(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer(3);
    struct chat_template *t = named(tok, "qwen3");
    int32_t open = tokenizer_special_id(tok, "<think>"), close = tokenizer_special_id(tok, "</think>");
    struct heard h = {.last = -1};
    struct chat_split s;
    chat_split_init(&s, t, NULL);
    chat_split_push(&s, open, "", 0, hear, &h);
    assert_int_equal(s.channel, CHAT_REASONING);
    chat_split_push(&s, 65, "\nwhy\n", 5, hear, &h);
    chat_split_push(&s, close, "", 0, hear, &h);
    assert_int_equal(s.channel, CHAT_CONTENT);
    chat_split_push(&s, 65, "\n\nbecause", 9, hear, &h);
    chat_split_push(&s, open, "", 0, hear, &h);
    chat_split_push(&s, -1, "!", 1, hear, &h);
    chat_split_finish(&s, hear, &h);
    assert_heard(&h, "why", "because!");
    chat_template_free(t);
    tokenizer_free(tok);
}

/* Text with marks in {}: "{channel}final{message}x". */
static void split_harmony(
    struct heard *h, const struct tokenizer *tok, const struct chat_template *t, const char *in, size_t piece)
{
    struct chat_split s;
    *h = (struct heard){.last = -1};
    chat_split_init(&s, t, NULL);
    while (*in) {
        char mark[32];
        size_t n;
        if (*in == '{') {
            n = strcspn(in, "}");
            snprintf(mark, sizeof(mark), "<|%.*s|>", (int)n - 1, in + 1);
            int32_t id = tokenizer_special_id(tok, mark);
            assert_true(id >= 0);
            chat_split_push(&s, id, "", 0, hear, h);
            in += n + 1;
            continue;
        }
        n = strcspn(in, "{");
        n = n < piece ? n : piece;
        struct chat_split tried = s; /* a copy may be tried and thrown away */
        struct heard other = {.last = -1};
        chat_split_push(&tried, 65, in, n, hear, &other);
        chat_split_push(&s, 65, in, n, hear, h);
        in += n;
    }
    chat_split_finish(&s, hear, h);
}

static void test_harmony(void **state)
{
    (void)state;
    static const struct {
        const char *in, *reasoning, *content;
    } rows[] = {
        {"{channel}analysis{message}Let me see.{end}{start}assistant{channel}final{message}Four.{return}",
            "Let me see.", "Four."},
        {"{channel}final{message}Four.", "", "Four."},
        {"{message}Four.{return}", "", "Four."},
        {"{channel}analysis{message}a{end}{start}assistant{channel}analysis{message}b{end}"
         "{start}assistant{channel}final{message}<|end|> is text",
            "ab", "<|end|> is text"},
        {"{channel}commentary to=functions.f {constrain}json{message}[1]{call}", "[1]", ""},
        {"{channel}analysis{message}cut", "cut", ""},
        {"{channel}ana", "", ""},
        {"{end}{end}{start}assistant{message}x{end}lost", "", "x"},
        {"an answer without any mark", "", "an answer without any mark"},
        {"an answer without any mark that is longer than a header ever gets to be", "",
            "an answer without any mark that is longer than a header ever gets to be"},
        {"{channel}a channel of a name that is longer than all that is kept of it{message}x{return}", "x",
            ""},
    };
    struct tokenizer *tok = make_tokenizer(4);
    struct chat_template *t = named(tok, "gpt-oss");
    struct heard h;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 1; piece < 80; piece++) {
            split_harmony(&h, tok, t, rows[i].in, piece);
            assert_heard(&h, rows[i].reasoning, rows[i].content);
        }
    }
    chat_template_free(t);
    tokenizer_free(tok);
}

/* Random tokens and texts: no byte is given out twice, and none that was not pushed. */
static void test_hostile(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer(3);
    static const char *const names[] = {"qwen3", "gpt-oss", "chatml"};
    static const char *const texts[] = {
        "", "\n", "<", "<think>", "</think>", "<thi", "nk>", "</", "x", "final"};
    uint32_t seed = 7;
    for (size_t f = 0; f < ARRAY_LEN(names); f++) {
        struct chat_template *t = named(tok, names[f]);
        for (int run = 0; run < 2000; run++) {
            struct heard h = {.last = -1};
            struct chat_split s;
            size_t given = 0;
            chat_split_init(&s, t, NULL);
            for (int i = 0; i < 24; i++) {
                seed = seed * 1664525 + 1013904223;
                const char *text = texts[(seed >> 24) % ARRAY_LEN(texts)];
                int32_t id = (int32_t)((seed >> 8) % 300) - 20;
                given += strlen(text);
                chat_split_push(&s, id, text, strlen(text), hear, &h);
            }
            chat_split_finish(&s, hear, &h);
            assert_true(h.n[0] + h.n[1] <= given);
        }
        chat_template_free(t);
    }
    tokenizer_free(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_think),
        cmocka_unit_test(test_no_thinking),
        cmocka_unit_test(test_think_tokens),
        cmocka_unit_test(test_harmony),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
