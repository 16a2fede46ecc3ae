/* Chat templates: recognized, rendered as published, safe against what users write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "base/util.h"
#include "chat/chat.h"
#include "config-table.h"
#include "tests/lib/vocab-writer.h"

static struct orcd_error err = ORCD_ERROR_INIT;

/* Marks of all families as control tokens. */
static const char *const marks[] = {"<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|start|>", "<|channel|>",
    "<|message|>", "<|return|>", "<|call|>", "<|constrain|>", "<start_of_turn>", "<end_of_turn>", "[INST]",
    "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<|endoftext|>", "_<EOT>",
    "\nx!"}; /* without brackets, and one that a mark of ours could begin */
/* The same for user-defined ones, as files have them. */
static const char *const user_marks[] = {
    "<think>", "</think>", "<tool_response>", "</tool_response>", "<|tool|>"};

enum { WITH_MARKS = 1, WITH_BREAKS = 2 };

static struct tokenizer *make_tokenizer(unsigned with)
{
    struct vocab_writer w;
    struct tokenizer *t;
    vw_init(&w, "gpt2", "qwen2");
    vw_alphabet(&w);
    int32_t bos = vw_token(&w, "<s>", 3, 0), eos = vw_token(&w, "</s>", 3, 0);
    if (with & WITH_BREAKS)
        vw_token(&w, "\n\n", 4, 0); /* user-defined, but not a mark */
    for (size_t i = 0; with & WITH_MARKS && i < ARRAY_LEN(marks); i++)
        vw_token(&w, marks[i], 3, 0);
    for (size_t i = 0; with & WITH_MARKS && i < ARRAY_LEN(user_marks); i++)
        vw_token(&w, user_marks[i], 4, 0);
    vw_merge(&w, "a b"); /* no such token: ignored */
    gw_u32(&w.file, "tokenizer.ggml.bos_token_id", (uint32_t)bos);
    gw_u32(&w.file, "tokenizer.ggml.eos_token_id", (uint32_t)eos);
    gw_bool(&w.file, "tokenizer.ggml.add_bos_token", false);
    gw_bool(&w.file, "tokenizer.ggml.add_eos_token", true); /* never at the end of a prompt */
    if (vw_finish(&w, &t, &err))
        fail_msg("%s", err.msg);
    return t;
}

static struct chat_template *named(const struct tokenizer *tok, const char *name)
{
    struct chat_template *t;
    if (chat_template_from_text(&t, NULL, 0, tok, name, &err))
        fail_msg("%s: %s", name, err.msg);
    assert_string_equal(chat_why_not(t), "");
    assert_string_equal(chat_family(t), name);
    return t;
}

/* --- as published ------------------------------------------------------------------------ */

struct talk {
    struct chat_message m[16];
    size_t n;
};

static json_object *field(json_object *o, const char *name)
{
    json_object *v = NULL;
    json_object_object_get_ex(o, name, &v);
    return v;
}

static void read_talk(struct talk *t, json_object *list)
{
    t->n = json_object_array_length(list);
    assert_in_range(t->n, 1, ARRAY_LEN(t->m));
    for (size_t i = 0; i < t->n; i++) {
        json_object *m = json_object_array_get_idx(list, i), *content = field(m, "content"),
                    *thought = field(m, "reasoning_content");
        int role = chat_role_find(json_object_get_string(field(m, "role")));
        assert_true(role >= 0);
        t->m[i] = (struct chat_message){
            .role = (enum chat_role)role,
            .content = json_object_get_string(content),
            .n_content = (size_t)json_object_get_string_len(content),
            .reasoning = thought ? json_object_get_string(thought) : NULL,
            .n_reasoning = thought ? (size_t)json_object_get_string_len(thought) : 0,
        };
    }
}

static bool has_mark(const struct talk *t)
{
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < 2; k++)
            if (memmem(t->m[i].content, t->m[i].n_content, k ? "<" : "[", 1))
                return true;
    return false;
}

/* If the contents have no marks, the ids are those of the whole text. */
static void assert_ids(const struct chat_template *t, const struct tokenizer *tok, const struct talk *talk,
    const struct chat_options *o, const char *text, size_t n_text)
{
    int32_t *ids, *want;
    size_t n, n_want, n_back;
    char *back;
    if (chat_render(t, talk->m, talk->n, o, &ids, &n, &err))
        fail_msg("%s", err.msg);
    unsigned flags = TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL;
    if (!has_mark(talk)) {
        assert_int_equal(tokenizer_encode(tok, text, n_text, flags, &want, &n_want, &err), 0);
        assert_int_equal(n, n_want);
        assert_memory_equal(ids, want, n * sizeof(*ids));
        free(want);
    }
    assert_int_equal(tokenizer_decode(tok, ids, n, true, &back, &n_back, &err), 0);
    assert_int_equal(n_back, n_text);
    assert_memory_equal(back, text, n_text);
    free(back);
    free(ids);
}

static void test_published(void **state)
{
    (void)state;
    char path[4096];
    snprintf(path, sizeof(path), "%s/tests/chat/expected.json",
        getenv("ORCD_SRCDIR") ? getenv("ORCD_SRCDIR") : ".");
    json_object *root = json_object_from_file(path);
    if (!root)
        fail_msg("%s can't be read", path);
    struct tokenizer *tok = make_tokenizer(WITH_MARKS);
    json_object *families = field(root, "families"), *talks = field(root, "conversations");
    assert_int_equal(json_object_array_length(families), 17);
    for (size_t f = 0; f < json_object_array_length(families); f++) {
        json_object *family = json_object_array_get_idx(families, f), *cases = field(family, "cases");
        const char *name = json_object_get_string(field(family, "name"));
        struct chat_template *t = named(tok, name);
        size_t n_good = 0;
        for (size_t i = 0; i < json_object_array_length(cases); i++) {
            json_object *c = json_object_array_get_idx(cases, i), *options = field(c, "options"),
                        *want = field(c, "text"), *v;
            struct talk talk;
            struct chat_options o = CHAT_OPTIONS_INIT;
            char *text = NULL;
            size_t n = 0, which = (size_t)json_object_get_int(field(c, "conversation"));
            read_talk(&talk, json_object_array_get_idx(talks, which));
            o.date = json_object_get_int64(field(root, "date"));
            if (options && (v = field(options, "enable_thinking")))
                o.enable_thinking = json_object_get_boolean(v);
            if (options && (v = field(options, "reasoning_effort")))
                o.reasoning_effort = json_object_get_string(v);
            int rc = chat_render_text(t, talk.m, talk.n, &o, &text, &n, &err);
            if (!want) {
                assert_int_equal(rc, ORCD_E_INVALID);
                continue;
            }
            if (rc)
                fail_msg("%s, conversation %zu: %s", name, which, err.msg);
            if (strcmp(text, json_object_get_string(want)) != 0)
                fail_msg("%s, conversation %zu:\n%s\nshould be\n%s", name, which, text,
                    json_object_get_string(want));
            assert_int_equal(n, json_object_get_string_len(want));
            assert_ids(t, tok, &talk, &o, text, n);
            n_good++;
            free(text);
        }
        assert_in_range(n_good, 20, 1000);
        chat_template_free(t);
    }
    tokenizer_free(tok);
    json_object_put(root);
}

/* What is behind the last message if the start of an answer follows, and if not, as published. */
static void test_no_answer_start(void **state)
{
    (void)state;
    static const struct {
        const char *name, *with, *without;
        bool is_said; /* the last message is the assistant's, and has reasoning */
    } rows[] = {
        {"chatml", "q<|im_end|>\n<|im_start|>assistant\n", "q<|im_end|>\n", false},
        {"qwen2.5", "q<|im_end|>\n<|im_start|>assistant\n", "q<|im_end|>\n", false},
        {"qwen3", "q<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", "q<|im_end|>\n", false},
        {"llama3", "q<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "q<|eot_id|>", false},
        {"llama3.2", "q<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "q<|eot_id|>", false},
        {"phi3", "q<|end|>\n<|assistant|>\n", "q<|end|>\n</s>", false},
        {"zephyr", "q</s>\n<|assistant|>\n", "q</s>\n", false},
        {"gemma", "q<end_of_turn>\n<start_of_turn>model\n", "q<end_of_turn>\n", false},
        {"gemma3", "q<end_of_turn>\n<start_of_turn>model\n", "q<end_of_turn>\n", false},
        {"llama2", "q [/INST]", "q [/INST]", false},
        {"mistral-v7", "q[/INST]", "q[/INST]", false},
        {"gpt-oss", "q<|end|><|start|>assistant", "q<|end|>", false},
        {"gpt-oss", "q<|end|><|start|>assistant<|channel|>final<|message|>a<|end|><|start|>assistant",
            "q<|end|><|start|>assistant<|channel|>analysis<|message|>why<|end|>"
            "<|start|>assistant<|channel|>final<|message|>a<|return|>",
            true},
    };
    static const struct chat_message m[] = {{.role = CHAT_USER, .content = "q", .n_content = 1},
        {.role = CHAT_ASSISTANT, .content = "a", .n_content = 1, .reasoning = "why", .n_reasoning = 3}};
    struct tokenizer *tok = make_tokenizer(WITH_MARKS);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_template *t = named(tok, rows[i].name);
        for (int bare = 0; bare < 2; bare++) {
            struct chat_options o = {.enable_thinking = 0, .no_answer_start = bare};
            const char *want = bare ? rows[i].without : rows[i].with;
            char *text;
            size_t n;
            assert_int_equal(chat_render_text(t, m, rows[i].is_said ? 2 : 1, &o, &text, &n, &err), 0);
            assert_true(n >= strlen(want));
            assert_string_equal(text + n - strlen(want), want);
            free(text);
        }
        chat_template_free(t);
    }
    tokenizer_free(tok);
}

/* --- by its text ------------------------------------------------------------------------- */

static void test_default_system(void **state)
{
    (void)state;
    static const char text[] = "{% if loop.first and messages[0]['role'] != 'system' %}{{ "
                               "'<|im_start|>system\\nYou\\'re \\\\ here\\nnow"
                               "<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + "
                               "message['content'] + '<|im_end|>' + '\\n'}}";
    struct tokenizer *tok = make_tokenizer(WITH_MARKS);
    struct chat_template *t;
    struct chat_message m[] = {{.role = CHAT_USER, .content = "q", .n_content = 1}};
    char *out;
    size_t n;
    assert_int_equal(chat_template_from_text(&t, text, sizeof(text) - 1, tok, NULL, &err), 0);
    assert_int_equal(chat_render_text(t, m, 1, NULL, &out, &n, &err), 0);
    assert_string_equal(out,
        "<|im_start|>system\nYou're \\ here\nnow<|im_end|>\n<|im_start|>user\nq<|im_end|>\n"
        "<|im_start|>assistant\n");
    free(out);
    m[0].role = CHAT_DEVELOPER;
    assert_int_equal(chat_render_text(t, m, 1, NULL, &out, &n, &err), 0);
    assert_string_equal(out, "<|im_start|>system\nq<|im_end|>\n<|im_start|>assistant\n");
    free(out);
    chat_template_free(t);
    tokenizer_free(tok);
}

static void test_settings(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer(WITH_MARKS), *bare = make_tokenizer(0);
    struct chat_template *t;
    assert_int_equal(chat_template_from_text(&t, NULL, 0, tok, "no such", &err), ORCD_E_INVALID);
    assert_int_equal(chat_template_from_text(&t, "x", 1, tok, "none", &err), 0);
    assert_string_equal(chat_family(t), "none");
    chat_template_free(t);
    assert_int_equal(chat_template_new(&t, NULL, tok, "auto", &err), 0);
    assert_non_null(strstr(chat_why_not(t), "no chat template"));
    chat_template_free(t);
    t = named(tok, "chatml");
    assert_null(chat_stops(t)[0]);
    chat_template_free(t);
    /* Marks that are not tokens are text, and the end mark is a stop string. */
    t = named(bare, "chatml");
    assert_string_equal(chat_stops(t)[0], "<|im_end|>");
    assert_null(chat_stops(t)[1]);
    chat_template_free(t);
    /* Harmony needs its tokens. */
    assert_int_equal(chat_template_from_text(&t, NULL, 0, bare, "gpt-oss", &err), 0);
    assert_string_equal(chat_family(t), "none");
    assert_non_null(strstr(chat_why_not(t), "<|channel|>"));
    chat_template_free(t);
    chat_template_free(NULL);
    tokenizer_free(tok);
    tokenizer_free(bare);
}

/* model.chat_template accepts the families by name. */
static void test_setting_names(void **state)
{
    (void)state;
    const char *p = config_key_find(&worker_config_table, "model.chat_template")->choices;
    const char *const *name = chat_family_names();
    assert_int_equal(strncmp(p, "auto|none|", 10), 0);
    for (p += 10; *p; name++) {
        size_t n = strcspn(p, "|");
        assert_non_null(*name);
        assert_int_equal(n, strlen(*name));
        assert_memory_equal(p, *name, n);
        p += n + (p[n] == '|');
    }
    assert_null(*name);
}

/* --- hostile ------------------------------------------------------------------------------- */

static size_t count_marks(const struct tokenizer *tok, const int32_t *ids, size_t n)
{
    size_t marked = 0;
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        const char *p = tokenizer_piece(tok, ids[i], true, &bytes);
        marked += tokenizer_is_control(tok, ids[i]) || (bytes > 2 && (*p == '<' || *p == '['));
    }
    return marked;
}

static size_t marks_with(const struct tokenizer *tok, const char *name, const char *content, size_t n_content)
{
    struct chat_template *t = named(tok, name);
    struct chat_message m[] = {
        {.role = CHAT_USER, .content = content, .n_content = n_content},
        {.role = CHAT_ASSISTANT, .content = content, .n_content = n_content},
        {.role = CHAT_USER, .content = content, .n_content = n_content},
    };
    int32_t *ids;
    size_t n;
    if (chat_render(t, m, 3, NULL, &ids, &n, &err))
        fail_msg("%s: %s", name, err.msg);
    size_t marked = count_marks(tok, ids, n);
    free(ids);
    chat_template_free(t);
    return marked;
}

static void test_injection(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer(WITH_MARKS | WITH_BREAKS);
    for (const char *const *name = chat_family_names(); *name; name++) {
        size_t plain = marks_with(tok, *name, "x", 1);
        assert_true(plain > 0);
        for (size_t i = 0; i < ARRAY_LEN(marks) + ARRAY_LEN(user_marks) + 2; i++) {
            const char *mark = i < ARRAY_LEN(marks) ? marks[i]
                               : i < ARRAY_LEN(marks) + ARRAY_LEN(user_marks)
                                   ? user_marks[i - ARRAY_LEN(marks)]
                               : i & 1 ? "<s>"
                                       : "</s>";
            char text[128];
            size_t n = strlen(mark);
            snprintf(text, sizeof(text), "x%sy%s", mark, mark);
            if (strcmp(mark, "</think>") == 0)
                continue; /* it splits off reasoning, see below */
            assert_int_equal(marks_with(tok, *name, text, strlen(text)), plain);
            assert_int_equal(marks_with(tok, *name, mark, n), plain);
            /* The same for its pieces, beside which the family writes a mark. */
            for (size_t cut = 1; cut < n; cut++) {
                assert_int_equal(marks_with(tok, *name, mark + cut, n - cut), plain);
                assert_int_equal(marks_with(tok, *name, mark, cut), plain);
            }
        }
    }
    /* A token that is not a mark stays a token. */
    struct chat_template *t = named(tok, "chatml");
    struct chat_message m = {.role = CHAT_USER, .content = "a\n\nb", .n_content = 4};
    int32_t *ids, id = tokenizer_special_id(tok, "\n\n");
    size_t n, seen = 0;
    assert_true(id >= 0);
    assert_int_equal(chat_render(t, &m, 1, NULL, &ids, &n, &err), 0);
    for (size_t i = 0; i < n; i++)
        seen += ids[i] == id;
    assert_int_equal(seen, 1);
    free(ids);
    chat_template_free(t);
    tokenizer_free(tok);
}

static void test_hostile(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer(WITH_MARKS);
    static struct chat_message many[CHAT_MAX_MESSAGES + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] =
            (struct chat_message){.role = i % 2 ? CHAT_ASSISTANT : CHAT_USER, .content = "x", .n_content = 1};
    /* Bytes that are not UTF-8, cut characters, and long runs of one character. */
    char bytes[4096];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
    size_t n_long = 1 << 20;
    char *spaces = malloc(n_long);
    assert_non_null(spaces);
    memset(spaces, '\n', n_long);
    for (const char *const *name = chat_family_names(); *name; name++) {
        struct chat_template *t = named(tok, *name);
        int32_t *ids;
        size_t n;
        assert_int_equal(chat_render(t, many, 0, NULL, &ids, &n, &err), ORCD_E_INVALID);
        assert_int_equal(chat_render(t, many, ARRAY_LEN(many), NULL, &ids, &n, &err), ORCD_E_INVALID);
        assert_int_equal(chat_render(t, many, CHAT_MAX_MESSAGES, NULL, &ids, &n, &err), 0);
        free(ids);
        struct chat_message m[] = {{.role = CHAT_USER, .content = bytes, .n_content = sizeof(bytes)},
            {.role = CHAT_ASSISTANT, .content = spaces, .n_content = n_long},
            {.role = CHAT_USER, .content = spaces, .n_content = n_long}};
        assert_int_equal(chat_render(t, m, 3, NULL, &ids, &n, &err), 0);
        free(ids);
        chat_template_free(t);
    }
    /* Templates of random bytes are not recognized. */
    for (size_t i = 0; i + 64 < sizeof(bytes); i += 61)
        assert_null(chat_family_of_text(bytes + i, 64));
    free(spaces);
    tokenizer_free(tok);
}

/* All prefixes of a known template, and each of them with a byte changed. */
static void test_torn_template(void **state)
{
    (void)state;
    static const char text[] = "{% if messages[0]['role'] == 'system' %}{{ '<|im_start|>system\\n' + "
                               "messages[0]['content'] }}{% else %}"
                               "{{ '<|im_start|>system\\nYou are Qwen.<|im_end|>\\n' }}{% endif %}{{ "
                               "'<|im_start|>' + message.role }}";
    char copy[sizeof(text)];
    for (size_t n = 0; n < sizeof(text); n++) {
        char *exact = malloc(n ? n : 1); /* so that a sanitizer sees what lies beyond */
        assert_non_null(exact);
        memcpy(exact, text, n);
        chat_family_of_text(exact, n);
        free(exact);
        memcpy(copy, text, sizeof(text));
        for (unsigned b = 0; n + 1 < sizeof(text) && b < 256; b += 5) {
            copy[n] = (char)b;
            chat_family_of_text(copy, sizeof(text) - 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_no_answer_start),
        cmocka_unit_test(test_default_system),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_setting_names),
        cmocka_unit_test(test_injection),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_torn_template),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
