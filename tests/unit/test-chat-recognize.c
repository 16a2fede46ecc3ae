/* Recognizes the family of a template: the turns of each family, and beside them variants of fine-tunes,
 * which make another prompt and must not be recognized. */
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

/* clang-format off */
#define LOOP(body) "{% for message in messages %}" body "{% endfor %}"
#define CHATML_TURN "'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'"
#define CHATML LOOP("{{ " CHATML_TURN " }}")
#define CHATML_PROMPT "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
#define QWEN_TOOLS \
    "{{- '<|im_start|>user' }}{{- '\\n<tool_response>\\n' }}{{- message.content }}" \
    "{{- '\\n</tool_response>' }}{{- '<|im_end|>\\n' }}" CHATML_PROMPT
#define QWEN_SYSTEM "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
#define QWEN25(system, turn) \
    "{% if messages[0]['role'] == 'system' %}" \
    "{{ '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}{% else %}" \
    "{{ '<|im_start|>system\\n" system "<|im_end|>\\n' }}{% endif %}" LOOP("{{- " turn " }}") QWEN_TOOLS
#define QWEN3(end_thought, off) \
    "{% set ns = namespace(last_query_index=0) %}" \
    LOOP("{{- " CHATML_TURN " }}{{- '<|im_start|>' + message.role + '\\n<think>\\n' + " \
         "reasoning_content.strip('\\n') + '" end_thought "' + content.lstrip('\\n') }}") \
    QWEN_TOOLS "{%- if enable_thinking is false %}{{- '" off "' }}{% endif %}"
#define LLAMA3_TURN \
    "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>'"
#define LLAMA3_PROMPT "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
#define LLAMA3_DATE \
    "{%- set date_string = \"26 Jul 2024\" %}{{- \"Cutting Knowledge Date: December 2023\\n\" }}" \
    "{{- \"Today Date: \" + date_string }}"
#define PHI3(prompt) \
    LOOP("{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}" \
         "{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}" \
         "{% else %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}") "{{ '" prompt "' }}"
#define ZEPHYR(end) \
    LOOP("\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + " end \
         "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + " end \
         "{% endif %}\n{% if loop.last %}\n{{ '<|assistant|>' }}\n{% endif %}\n")
#define GEMMA(system, content) \
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('" system "') }}{% endif %}" \
    LOOP("{{ '<start_of_turn>' + role + '\n' + " content " + '<end_of_turn>\n' }}") \
    "{{'<start_of_turn>model\n'}}"
#define GEMMA3(join) \
    "{{ bos_token }}\n{%- set first_user_prefix = messages[0]['content'] + '" join "' -%}\n" \
    LOOP("{{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else \"\") }}" \
         "{{ message['content'] | trim }}{{ '<end_of_turn>\n' }}") "{{'<start_of_turn>model\n'}}"
#define LLAMA2(open, before) \
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}" \
    LOOP("{{ bos_token + '" open "' + content.strip() + ' [/INST]' }}" \
         "{{ '" before "'  + content.strip() + ' ' + eos_token }}")
#define MISTRAL1(open, answer) \
    "{{ bos_token }}" LOOP("{{ '" open "' + message['content'] + ' [/INST]' }}{{ " answer " }}")
#define MISTRAL1_SYSTEM(join) \
    "{{- bos_token }}" \
    LOOP("{{- ' [INST] ' + system_message + '" join "' + message['content'] + ' [/INST]' }}" \
         "{{- ' [INST] ' + message['content'] + ' [/INST]' }}{{- ' ' + message['content'] + eos_token}}")
#define MISTRAL3(open, answer) \
    "{{- bos_token }}" LOOP("{%- if loop.last and system_message is defined %}" \
    "{{- \"" open "\" + system_message + \"\\n\\n\" + message[\"content\"] + \"[/INST]\" }}{%- else %}" \
    "{{- \"" open "\" + message[\"content\"] + \"[/INST]\" }}{%- endif %}{{- " answer " }}")
#define MISTRAL7(close) \
    "{{ bos_token }}" LOOP("{{ '[INST] ' + message['content'] + '[/INST]' }}" \
    "{{ '[SYSTEM_PROMPT] ' + message['content'] + '" close "' }}{{ ' ' + message['content'] + eos_token }}")
#define CHATGPT "You are ChatGPT, a large language model trained by OpenAI."
#define HARMONY(identity) \
    "{{- \"" identity "\" }}{{- \"Knowledge cutoff: 2024-06\\n\" }}{{- \"Current date: \" }}" \
    "{{- \"Reasoning: \" + effort }}{{- \"# Valid channels: analysis, commentary, final. Channel must be " \
    "included for every message.\" }}{{- \"<|start|>developer<|message|>\" }}{{- \"# Instructions\\n\\n\" }}" \
    "{{- \"<|start|>assistant<|channel|>final<|message|>\" + message.content + \"<|end|>\" }}<|start|>assistant"

static const struct {
    const char *family, *text; /* NULL: none */
} rows[] = {
    {"chatml", CHATML CHATML_PROMPT},
    {"chatml", LOOP("{{'<|im_start|>' + message.role + \"\\n\" + message.content + '<|im_end|>\\n'}}")},
    {"chatml", "{# a remark #}{{- bos_token -}}\n" LOOP("\n{%- if true %}\n{{- " CHATML_TURN " -}}\n{%- endif %}\n")},
    {"chatml", LOOP("{% if loop.index0 == 0 %}{{ bos_token }}{% endif %}{{ " CHATML_TURN " }}")},
    {NULL, LOOP("{{ bos_token + " CHATML_TURN " }}")}, /* before every message */
    {NULL, LOOP("{{ '<|im_start|>' + message['role'] + message['content'] + '<|im_end|>\\n' }}")},
    {NULL, LOOP("{{ '<|im_start|>' + message['role'] + ' ' + message['content'] + '<|im_end|>\\n' }}")},
    {NULL, LOOP("{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}")},
    {NULL, LOOP("{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + eos_token }}")},
    {NULL, LOOP("{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>\\n' }}")},
    {NULL, LOOP("{{ " CHATML_TURN " }}\n")}, /* one line break too many */
    {NULL, CHATML "{{ '<|im_start|>assistant\\n<think>\\n' }}"},
    {NULL, CHATML "{{ '<|im_start|>gpt\\n' }}"},
    {NULL, CHATML "Answer:"},
    {NULL, "{% set messages = messages[-1:] %}" CHATML},
    {NULL, LOOP("{{ " CHATML_TURN " }}{{ message['content'] | upper }}")},
    {NULL, LOOP("{% if message['role'] == 'user' %}{{ " CHATML_TURN " }}{% endif %}")},
    {NULL, "{% set loop_messages = messages[1:] %}" CHATML},
    {NULL, "{% set system_message = 'You are a helpful AI.' %}" CHATML},
    {NULL, LOOP("{{ '<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>' }}")},
    {NULL, LOOP("{{ '<|im_start|>' + message.role + '\\n' + content.split('</think>')[-1] + '<|im_end|>' }}")},
    {NULL, "{{ '<|im_start|>' + message.role + '<|im_end|>' }}{% if enable_thinking %}"},
    {NULL, "{{ '<|im_start|>system\\nnever ends"},
    {NULL, CHATML "{% if message['role'] == 'system' %}{{ '<|im_start|>system\\none<|im_end|>\\n' }}"
                  "{{ '<|im_start|>system\\ntwo<|im_end|>\\n' }}{% endif %}"},
    {NULL, CHATML "{{ '<|im_start|>system\\nalways<|im_end|>\\n' }}"},
    {NULL, CHATML "{% if message['role'] == 'system' %}{{ '<|im_start|>system\\n\\x41<|im_end|>\\n' }}{% endif %}"},
    {"qwen2.5", QWEN25(QWEN_SYSTEM, CHATML_TURN)},
    {"chatml", QWEN25("You are somebody else.", CHATML_TURN)},
    {NULL, QWEN25(QWEN_SYSTEM, "'<|im_start|>' + message.role + '\\n\\n' + message.content + '<|im_end|>\\n'")},
    {"qwen3", QWEN3("\\n</think>\\n\\n", "<think>\\n\\n</think>\\n\\n")},
    {NULL, QWEN3("\\n</think>\\n", "<think>\\n\\n</think>\\n\\n")},
    {NULL, QWEN3("\\n</think>\\n\\n", "<think></think>")},
    {"llama3", LOOP("{% set content = " LLAMA3_TURN " %}{% if loop.index0 == 0 %}"
                    "{% set content = bos_token + content %}{% endif %}{{ content }}") LLAMA3_PROMPT},
    {NULL, LOOP("{% set content = bos_token + " LLAMA3_TURN " %}{{ content }}") LLAMA3_PROMPT},
    {NULL, LOOP("{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] + "
                "'<|eot_id|>' }}")},
    {NULL, "{{ 'You are a pirate.' }}" LOOP("{{ " LLAMA3_TURN " }}") LLAMA3_PROMPT},
    {NULL, "{% set messages = messages[-2:] %}" LOOP("{{ " LLAMA3_TURN " }}") LLAMA3_PROMPT},
    {NULL, LOOP("{{ " LLAMA3_TURN " }}") "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n<think>\\n' }}"},
    {"llama3.1", LLAMA3_DATE LOOP("{{- " LLAMA3_TURN " }}")},
    {"llama3.2", "{%- set date_string = strftime_now(\"%d %b %Y\") %}" LLAMA3_DATE LOOP("{{- " LLAMA3_TURN " }}")},
    {NULL, LLAMA3_DATE LOOP("{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n' + "
                            "message['content'] | trim + '<|eot_id|>' }}")},
    {NULL, "{{- \"Cutting Knowledge Date: July 2025\\n\" }}" LOOP("{{- " LLAMA3_TURN " }}")},
    {"phi3", PHI3("<|assistant|>\n")},
    {"phi3", LOOP("{{'<|user|>' + '\n' + message['content'] + '<|end|>' + '\n' + '<|assistant|>' + '\n'}}")},
    {"phi3", LOOP("{{'<|' + message['role'] + '|>' + '\\n' + message['content'] + '<|end|>\\n' }}")
             "{{ '<|assistant|>\\n' }}"},
    {NULL, LOOP("{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}") "{{ '<|assistant|>' }}"},
    {NULL, PHI3("<|assistant|>\n<think>")},
    {NULL, PHI3("<|assistant|>\n") "{{ '<|tool|>' }}"},
    {NULL, "{{ '<|system|>\nBe kind.<|end|>\n' }}" PHI3("<|assistant|>\n")},
    {"zephyr", ZEPHYR("eos_token }}\n")},
    {"zephyr", ZEPHYR("eos_token + '\\n' }}")},
    {NULL, ZEPHYR("eos_token }}")},
    {NULL, ZEPHYR("eos_token -}}\n")},
    {NULL, "{% for m in messages | reverse %}{% endfor %}" ZEPHYR("eos_token }}\n")},
    {NULL, ZEPHYR("'</s>' }}\n")},
    {NULL, ZEPHYR("'<|endoftext|>' + eos_token }}\n")},
    {"gpt-oss", HARMONY(CHATGPT)},
    {NULL, HARMONY("You are Somebody, a model.")},
    {NULL, "<|start|><|channel|><|message|>"},
    {"gemma", GEMMA("System role not supported", "message['content'] | trim")},
    {NULL, GEMMA("No system", "message['content'] | trim")},
    {NULL, GEMMA("System role not supported", "message['content']")},
    {NULL, GEMMA("System role not supported", "message['content'] | trim") "{{ '<think>' }}"},
    {"gemma3", GEMMA3("\\n\\n")},
    {NULL, GEMMA3("\\n")},
    {NULL, GEMMA3("\\n\\n") "{{ '<|tool|>' }}"},
    {"llama2", LLAMA2("[INST] ", " ")},
    {NULL, LLAMA2("[INST]", " ")},
    {NULL, LLAMA2("[INST] ", "")},
    {NULL, "{% set system_message = 'Be honest.' %}" LLAMA2("[INST] ", " ")},
    {"mistral-v1", MISTRAL1("[INST] ", "message['content'] + eos_token")},
    {NULL, MISTRAL1("[INST] ", "message['content'] + eos_token + ' '")},
    {NULL, MISTRAL1("[INST]", "message['content'] + eos_token")},
    {"mistral-v1-system", MISTRAL1_SYSTEM("\\n\\n")},
    {NULL, MISTRAL1_SYSTEM("\\n")},
    {"mistral-v3", MISTRAL3("[INST] ", "\" \" + message[\"content\"]|trim + eos_token")},
    {NULL, MISTRAL3("[INST] ", "\" \" + message[\"content\"] + eos_token")},
    {"mistral-tekken", MISTRAL3("[INST]", "message[\"content\"] + eos_token")},
    {NULL, MISTRAL3("[INST]", "\" \" + message[\"content\"] + eos_token")},
    {"mistral-v7", MISTRAL7("[/SYSTEM_PROMPT]")},
    {NULL, MISTRAL7("[/SYSTEM_PROMPT] ")},
    {NULL, "[INST] and nothing else"},
    {NULL, "GPT4 Correct User: {{ message }}"},
    {NULL, CHATML "{{ '\1' }}"},
    {NULL, CHATML "{# never ends"},
    {NULL, CHATML "{{ never ends"},
    {NULL, ""},
};
/* clang-format on */

static struct tokenizer *make_tokenizer(void)
{
    static const char *const marks[] = {"<|start|>", "<|channel|>", "<|message|>", "<|end|>"};
    struct vocab_writer w;
    struct tokenizer *t;
    vw_init(&w, "gpt2", "qwen2");
    vw_alphabet(&w);
    int32_t eos = vw_token(&w, "</s>", 3, 0);
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        vw_token(&w, marks[i], 3, 0);
    vw_merge(&w, "a b");
    gw_u32(&w.file, "tokenizer.ggml.eos_token_id", (uint32_t)eos);
    if (vw_finish(&w, &t, &err))
        fail_msg("%s", err.msg);
    return t;
}

static void test_rows(void **state)
{
    (void)state;
    struct tokenizer *tok = make_tokenizer();
    unsigned seen = 0, n_names = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *got = chat_family_of_text(rows[i].text, strlen(rows[i].text));
        if (!rows[i].family != !got || (got && strcmp(got, rows[i].family) != 0))
            fail_msg("%s is taken for %s", rows[i].text, got ? got : "none");
        for (n_names = 0; chat_family_names()[n_names]; n_names++)
            if (got && strcmp(chat_family_names()[n_names], got) == 0)
                seen |= 1u << n_names;
        struct chat_template *t;
        assert_int_equal(
            chat_template_from_text(&t, rows[i].text, strlen(rows[i].text), tok, "auto", &err), 0);
        assert_string_equal(chat_family(t), got ? got : "none");
        assert_int_equal(*chat_why_not(t) != 0, got == NULL);
        if (!got) {
            struct chat_message m = {.role = CHAT_USER, .content = "x", .n_content = 1};
            int32_t *ids;
            size_t n;
            assert_non_null(strstr(chat_why_not(t), "model.chat_template"));
            assert_int_equal(chat_render(t, &m, 1, NULL, &ids, &n, &err), ORCD_E_UNSUPPORTED);
            assert_string_equal(err.msg, chat_why_not(t));
        }
        chat_template_free(t);
    }
    assert_int_equal(seen, (1u << n_names) - 1); /* every family was recognized at least once */
    tokenizer_free(tok);
}

/* Templates that are cut anywhere, or have a byte changed: nothing is read beyond their end. */
static void test_torn(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].text);
        uint32_t seed = (uint32_t)i;
        for (size_t cut = 0; cut <= n; cut += 3) {
            char *exact = malloc(cut ? cut : 1); /* so that a sanitizer sees what lies beyond */
            assert_non_null(exact);
            memcpy(exact, rows[i].text, cut);
            chat_family_of_text(exact, cut);
            free(exact);
            exact = malloc(n ? n : 1);
            assert_non_null(exact);
            memcpy(exact, rows[i].text, n);
            if (cut < n)
                exact[cut] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
            chat_family_of_text(exact, n);
            free(exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
