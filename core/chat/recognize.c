/*
 * Which family a template's text is of, by what stands in it. A text that has the marks of
 * a family and anything that this family's rendering doesn't do is none: a wrong prompt
 * is worse than a message that says what to set.
 */
#include "chat/chat-internal.h"

#include <string.h>

#define TEMPLATE_MAX ((size_t)1 << 20)

struct text {
    const char *p;
    size_t n;
};

static bool has(const struct text *t, const char *what)
{
    return memmem(t->p, t->n, what, strlen(what)) != NULL;
}

/* One of those, the list ends with NULL. */
static bool has_any(const struct text *t, const char *const *list)
{
    for (; *list; list++)
        if (has(t, *list))
            return true;
    return false;
}
#define HAS_ANY(t, ...) has_any(t, (const char *const[]){__VA_ARGS__, NULL})

/* --- ChatML ----------------------------------------------------------------------------- */

/* A literal from p to <|im_end|>, its escapes resolved. 1: found, 0: the literal ends
 * before, so the text is not the template's own; -1: what can't be read. */
static int read_literal(struct text in, char quote, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (in.n - i >= 10 && memcmp(in.p + i, "<|im_end|>", 10) == 0) {
            out[n] = 0;
            return 1;
        }
        if (c == quote)
            return 0;
        if (c == '\\' && i + 1 < in.n) {
            c = in.p[++i];
            if (c == 'n')
                c = '\n';
            else if (c != '\\' && c != '\'' && c != '"')
                return -1;
        }
        if (!c || n + 1 >= size)
            return -1;
        out[n++] = c;
    }
    return -1;
}

/* The system text that a conversation without one gets. False: there is something that
 * can't be read. */
static bool default_system(const struct text *t, char *out, size_t size)
{
    static const char mark[] = "<|im_start|>system";
    const char *end = t->p + t->n, *at = t->p;
    char other[1024];
    *out = 0;
    while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1))) {
        char quote = at > t->p ? at[-1] : 0;
        at += sizeof(mark) - 1;
        if (quote != '\'' && quote != '"')
            return false;
        if (end - at >= 2 && at[0] == '\\' && at[1] == 'n')
            at += 2;
        else if (end > at && *at == '\n')
            at++;
        else
            return false;
        int rc = read_literal((struct text){at, (size_t)(end - at)}, quote, other, sizeof(other));
        if (rc < 0 || (rc && *out && strcmp(out, other) != 0) || strlen(other) >= size)
            return false;
        if (rc)
            strcpy(out, other);
    }
    return true;
}

static const char *chatml(const struct text *t, struct chat_traits *out)
{
    if (HAS_ANY(t, "<|im_sep|>", "strftime", "macro "))
        return NULL;
    out->tool_turns = has(t, "<tool_response>");
    if (has(t, "enable_thinking")) {
        bool known = has(t, "last_query_index") && has(t, "enable_thinking is false") && out->tool_turns &&
                     HAS_ANY(t, "'<think>\\n\\n</think>\\n\\n'", "\"<think>\\n\\n</think>\\n\\n\"");
        return known ? "qwen3" : NULL;
    }
    if (HAS_ANY(t, "<think>", "</think>", "namespace(", "|trim", "| trim", "strip("))
        return NULL;
    if (!HAS_ANY(t, "'<|im_start|>' + message", "\"<|im_start|>\" + message"))
        return NULL;
    if (!default_system(t, out->default_system, sizeof(out->default_system)))
        return NULL;
    if (*out->default_system &&
        !HAS_ANY(t, "['role'] == 'system'", "['role'] != 'system'", ".role == 'system'", ".role != 'system'",
            "[\"role\"] == \"system\"", "[\"role\"] != \"system\""))
        return NULL;
    bool qwen = out->tool_turns && strstr(out->default_system, "You are Qwen, created by Alibaba Cloud.");
    return qwen ? "qwen2.5" : "chatml";
}

/* --- the others --------------------------------------------------------------------------- */

static const char *llama3(const struct text *t, struct chat_traits *out)
{
    if (HAS_ANY(t, "<think>", "<|im_start|>", "functions_content", "reserved_special_token"))
        return NULL;
    if (!HAS_ANY(t, "message['content'] | trim", "message['content']|trim"))
        return NULL;
    if (has(t, "Cutting Knowledge Date: December 2023\\n") && has(t, "Today Date: ") &&
        has(t, "26 Jul 2024")) {
        out->today = has(t, "strftime_now");
        return out->today ? "llama3.2" : "llama3.1";
    }
    return HAS_ANY(t, "tool", "Date", "[1:]") ? NULL : "llama3";
}

static const char *phi3(const struct text *t)
{
    if (HAS_ANY(t, "tool", "reasoning", "<|im_start|>", "<think>", "[gMASK]", "strip(", "trim"))
        return NULL;
    return HAS_ANY(t, "'<|user|>\n'", "'<|user|>\\n'", "'<|user|>' + '\\n'", "'<|user|>' + '\n'",
               "'|>' + '\\n'", "'|>\\n'")
               ? "phi3"
               : NULL;
}

static const char *zephyr(const struct text *t)
{
    if (!HAS_ANY(t, "'<|user|>\n'", "'<|user|>\\n'") || HAS_ANY(t, "strip(", "trim", "tool", "<think>"))
        return NULL;
    return HAS_ANY(t, "eos_token }}\n", "eos_token + '\\n'", "eos_token + '\n'") ? "zephyr" : NULL;
}

static const char *gemma(const struct text *t)
{
    if (HAS_ANY(t, "tool", "<think>") || !has(t, "| trim"))
        return NULL;
    if (has(t, "first_user_prefix"))
        return "gemma3";
    return has(t, "System role not supported") ? "gemma" : NULL;
}

static const char *inst(const struct text *t)
{
    if (has(t, "[THINK]") || has(t, "default_system_message"))
        return NULL;
    if (has(t, "<<SYS>>")) {
        bool known = has(t, "bos_token + '[INST] ' + content.strip()") && has(t, "' '  + content.strip()");
        return known && !has(t, "true == true") ? "llama2" : NULL;
    }
    if (has(t, "[SYSTEM_PROMPT]"))
        return has(t, "'[SYSTEM_PROMPT] ' + ") && has(t, "'[INST] ' + ") ? "mistral-v7" : NULL;
    if (has(t, "' [INST] ' + system_message"))
        return "mistral-v1-system";
    if (has(t, "loop.last and system_message is defined")) {
        if (has(t, "\"[INST]\" + message"))
            return "mistral-tekken";
        return has(t, "\"[INST] \" + message") && has(t, "\" \" + message[\"content\"]|trim") ? "mistral-v3"
                                                                                              : NULL;
    }
    bool v1 = has(t, "'[INST] ' + message['content'] + ' [/INST]'") && !has(t, "system") &&
              has(t, "{{ message['content'] + eos_token}}");
    return v1 ? "mistral-v1" : NULL;
}

bool chat_recognize(const char *text, size_t n, struct chat_traits *out)
{
    struct text t = {text, n};
    const char *name = NULL;
    *out = (struct chat_traits){0};
    if (!text || n > TEMPLATE_MAX)
        return false;
    if (has(&t, "<|start|>") && has(&t, "<|channel|>") && has(&t, "<|message|>"))
        name = has(&t, "# Valid channels: analysis, commentary, final.") ? "gpt-oss" : NULL;
    else if (has(&t, "<|im_start|>") && has(&t, "<|im_end|>"))
        name = chatml(&t, out);
    else if (has(&t, "<|start_header_id|>") && has(&t, "<|eot_id|>"))
        name = llama3(&t, out);
    else if (has(&t, "<|end|>") && has(&t, "<|assistant|>"))
        name = phi3(&t);
    else if (has(&t, "<|user|>") && has(&t, "<|assistant|>"))
        name = zephyr(&t);
    else if (has(&t, "<start_of_turn>") && has(&t, "<end_of_turn>"))
        name = gemma(&t);
    else if (has(&t, "[INST]"))
        name = inst(&t);
    if (!name)
        return false;
    out->family = chat_family_find(name);
    out->with_bos = has(&t, "bos_token") && out->family->render != chat_render_llama2;
    return true;
}

const char *chat_family_of_text(const char *text, size_t n)
{
    struct chat_traits traits;
    return chat_recognize(text, n, &traits) ? traits.family->name : NULL;
}
