/*
 * Finds the family of a template's text by the output that it writes. A text that has the marks of a
 * family, and also anything that the rendering of this family does not do, is not recognized: a wrong
 * prompt is worse than a message that says what to set. So the turns must be written exactly as the
 * family writes them, and a template without tools must not have unknown literals.
 */
#include "chat/chat-internal.h"

#include <stdio.h>
#include <string.h>

#define TEMPLATE_MAX ((size_t)1 << 20)

struct text {
    const char *p;
    size_t n;
    struct chat_canonical canonical;
};

static bool has(const struct text *t, const char *what)
{
    return memmem(t->p, t->n, what, strlen(what)) != NULL;
}

/* Whether the text has one of the strings in the list, which ends with NULL. */
static bool has_any(const struct text *t, const char *const *list)
{
    for (; *list; list++)
        if (has(t, *list))
            return true;
    return false;
}
#define HAS_ANY(t, ...) has_any(t, (const char *const[]){__VA_ARGS__, NULL})

/* Whether the canonical text has all strings in the list, which ends with NULL. */
static bool says_all(const struct text *t, const char *const *list)
{
    for (; *list; list++)
        if (!chat_canonical_has(&t->canonical, *list))
            return false;
    return true;
}
#define SAYS(t, ...) says_all(t, (const char *const[]){__VA_ARGS__, NULL})

/* Whether the template uses all messages as they are: it has no filter but trim, and of the list it uses
 * no part but the first message, the last, and all but the first. */
static bool takes_all(const struct text *t)
{
    static const char *const parts[] = {"0]", "-1]", "1:]"};
    const char *p = t->canonical.s, *end = p + t->canonical.n;
    for (bool literal = false; p < end; p++) {
        size_t n = (size_t)(end - p);
        literal ^= *p == CHAT_QUOTE[0];
        if (literal)
            continue;
        if (*p == '|' && (n < 5 || memcmp(p, "|trim", 5) != 0))
            return false;
        if (n <= 9 || memcmp(p, "messages[", 9) != 0)
            continue;
        bool known = false;
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
            known = known || (n >= 9 + strlen(parts[i]) && memcmp(p + 9, parts[i], strlen(parts[i])) == 0);
        if (!known)
            return false;
    }
    return true;
}

/* Whether the template writes nothing but these literals and the values of variables. */
#define ONLY(t, ...)                                                                                         \
    (!(t)->canonical.writes_text && takes_all(t) &&                                                          \
        chat_canonical_only(&(t)->canonical,                                                                 \
            (const char *const[]){"role", "content", "system", "user", "assistant", __VA_ARGS__, NULL}))

#define Q CHAT_QUOTE
#define L(literal) Q literal Q
#define ROLE "message[" L("role") "]"
#define CONTENT "message[" L("content") "]"

/* --- ChatML ----------------------------------------------------------------------------- */

/* Reads a literal from p to <|im_end|> and resolves its escapes. 1: found; 0: the literal ends before, so
 * the system text is not part of the template; -1: it cannot be read. */
static int read_literal(const char *p, size_t n_in, char quote, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < n_in; i++) {
        char c = p[i];
        if (n_in - i >= 10 && memcmp(p + i, "<|im_end|>", 10) == 0) {
            out[n] = 0;
            return 1;
        }
        if (c == quote)
            return 0;
        if (c == '\\' && i + 1 < n_in) {
            c = p[++i];
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

/* Finds the system text of a conversation that brings none. False: it cannot be read. */
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
        int rc = read_literal(at, (size_t)(end - at), quote, other, sizeof(other));
        if (rc < 0 || (rc && *out && strcmp(out, other) != 0) || strlen(other) >= size)
            return false;
        if (rc)
            strcpy(out, other);
    }
    return true;
}

/* A template with tools is too long to check all of its output. This checks the turns of Qwen2.5 and its
 * form of tool results. */
static bool qwen_turns(const struct text *t)
{
    return SAYS(t, L("<|im_start|>") "+" ROLE "+" L("\n") "+" CONTENT "+" L("<|im_end|>\n"),
        L("<|im_start|>user"), L("\n<tool_response>\n"), L("\n</tool_response>"), L("<|im_end|>\n"),
        L("<|im_start|>assistant\n"));
}

static const char *chatml(const struct text *t, struct chat_traits *out)
{
    char first[sizeof(out->default_system) + 40];
    if (HAS_ANY(t, "<|im_sep|>", "strftime", "macro "))
        return NULL;
    out->tool_turns = has(t, "<tool_response>");
    if (has(t, "enable_thinking")) {
        bool known = has(t, "last_query_index") && qwen_turns(t) &&
                     SAYS(t, "enable_thinkingisfalse", L("<think>\n\n</think>\n\n"),
                         L("<|im_start|>") "+" ROLE "+" L("\n<think>\n") "+reasoning_content.strip(" L(
                             "\n") ")+" L("\n</think>\n\n") "+content.lstrip(" L("\n") ")");
        return known ? "qwen3" : NULL;
    }
    if (HAS_ANY(t, "<think>", "</think>", "namespace(", "|trim", "| trim", "strip("))
        return NULL;
    if (!default_system(t, out->default_system, sizeof(out->default_system)))
        return NULL;
    if (*out->default_system && !SAYS(t, "[" L("role") "]==" L("system")) &&
        !SAYS(t, "[" L("role") "]!=" L("system")))
        return NULL;
    if (out->tool_turns) {
        bool qwen = strstr(out->default_system, "You are Qwen, created by Alibaba Cloud.");
        return !qwen_turns(t) ? NULL : qwen ? "qwen2.5" : "chatml";
    }
    snprintf(first, sizeof(first), *out->default_system ? "<|im_start|>system\n%s<|im_end|>\n" : "%s",
        out->default_system);
    /* All roles are written in the same way. */
    bool alike = !SAYS(t, "==" L("user")) && !SAYS(t, "==" L("assistant")) && !SAYS(t, "messages[1:]");
    bool known = alike && SAYS(t, L("<|im_start|>") "+" ROLE "+" L("\n") "+" CONTENT) &&
                 ONLY(t, "<|im_start|>", "\n", "<|im_end|>\n", "<|im_start|>assistant\n",
                     "<|im_start|>system\n", "<|im_start|>user\n", first);
    return known ? "chatml" : NULL;
}

/* --- the others --------------------------------------------------------------------------- */

static const char *llama3(const struct text *t, struct chat_traits *out)
{
    if (HAS_ANY(t, "<think>", "<|im_start|>", "functions_content", "reserved_special_token"))
        return NULL;
    if (!SAYS(t, L("<|start_header_id|>") "+" ROLE "+" L("<|end_header_id|>\n\n") "+" CONTENT
                                                                                  "|trim+" L("<|eot_id|>")))
        return NULL;
    if (has(t, "Cutting Knowledge Date: December 2023\\n") && has(t, "Today Date: ") &&
        has(t, "26 Jul 2024")) {
        out->today = has(t, "strftime_now");
        return out->today ? "llama3.2" : "llama3.1";
    }
    return ONLY(t, "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>",
               "<|start_header_id|>assistant<|end_header_id|>\n\n")
               ? "llama3"
               : NULL;
}

static const char *phi3(const struct text *t)
{
    bool turns = SAYS(t, L("<|user|>\n") "+" CONTENT "+" Q "<|end|>\n") ||
                 SAYS(t, L("<|") "+" ROLE "+" L("|>\n") "+" CONTENT "+" L("<|end|>\n"));
    return turns && ONLY(t, "<|user|>\n", "<|system|>\n", "<|assistant|>\n", "<|end|>\n",
                        "<|end|>\n<|assistant|>\n", "<|", "|>\n")
               ? "phi3"
               : NULL;
}

/* The line breaks of this template are outside of its blocks. */
static const char *zephyr(const struct text *t)
{
    static const char *const literals[] = {"role", "content", "system", "user", "assistant", "<|user|>\n",
        "<|system|>\n", "<|assistant|>\n", "<|assistant|>", "\n", NULL};
    if (!takes_all(t) || !chat_canonical_only(&t->canonical, literals) || HAS_ANY(t, "strip(", "trim"))
        return NULL;
    bool outside =
        SAYS(t, L("<|user|>\n") "+" CONTENT "+eos_token}}") && HAS_ANY(t, "eos_token }}\n", "eos_token}}\n");
    bool inside = SAYS(t, L("<|user|>\n") "+" CONTENT "+eos_token+" L("\n"));
    bool prompt =
        !SAYS(t, "{{" L("<|assistant|>") "}}") || HAS_ANY(t, "'<|assistant|>' }}\n", "'<|assistant|>'}}\n");
    return (outside || inside) && prompt ? "zephyr" : NULL;
}

static const char *gemma(const struct text *t)
{
    if (SAYS(t, L("<start_of_turn>") "+role+" L("\n") "+(first_user_prefixifloop.firstelse" Q Q ")",
            CONTENT "|trim", "first_user_prefix=messages[0][" L("content") "]+" L("\n\n")) &&
        ONLY(t, "<start_of_turn>", "\n", "<end_of_turn>\n", "<start_of_turn>model\n", "model", "\n\n", "text",
            "type", "image", "<start_of_image>"))
        return "gemma3";
    bool known = has(t, "System role not supported") &&
                 SAYS(t, L("<start_of_turn>") "+role+" L("\n") "+" CONTENT "|trim+" L("<end_of_turn>\n")) &&
                 ONLY(t, "<start_of_turn>", "\n", "<end_of_turn>\n", "<start_of_turn>model\n", "model");
    return known ? "gemma" : NULL;
}

static const char *llama2(const struct text *t)
{
    bool known = SAYS(t, "bos_token+" L("[INST] ") "+content.strip()+" L(" [/INST]"),
                     L(" ") "+content.strip()+" L(" ") "+eos_token",
                     L("<<SYS>>\n") "+system_message+" L("\n<</SYS>>\n\n") "+" CONTENT) &&
                 ONLY(t, "<<SYS>>\n", "\n<</SYS>>\n\n", "[INST] ", " [/INST]", " ");
    return known && !has(t, "true == true") ? "llama2" : NULL;
}

static const char *mistral(const struct text *t)
{
    if (SAYS(t, L("[SYSTEM_PROMPT] ") "+" CONTENT "+" L("[/SYSTEM_PROMPT]"),
            L("[INST] ") "+" CONTENT "+" L("[/INST]"), "{{" L(" ") "+" CONTENT "+eos_token}}") &&
        ONLY(t, "[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]", "[INST] ", "[/INST]", " "))
        return "mistral-v7";
    if (SAYS(t, L(" [INST] ") "+system_message+" L("\n\n") "+" CONTENT "+" L(" [/INST]"),
            L(" [INST] ") "+" CONTENT "+" L(" [/INST]"), "{{" L(" ") "+" CONTENT "+eos_token}}") &&
        ONLY(t, " [INST] ", "\n\n", " [/INST]", " "))
        return "mistral-v1-system";
    if (SAYS(t, "loop.lastandsystem_messageisdefined")) {
        if (SAYS(t, L("[INST]") "+system_message+" L("\n\n") "+" CONTENT "+" L("[/INST]"),
                L("[INST]") "+" CONTENT "+" L("[/INST]"), "{{" CONTENT "+eos_token}}"))
            return "mistral-tekken";
        return SAYS(t, L("[INST] ") "+system_message+" L("\n\n") "+" CONTENT "+" L("[/INST]"),
                   L("[INST] ") "+" CONTENT "+" L("[/INST]"), "{{" L(" ") "+" CONTENT "|trim+eos_token}}")
                   ? "mistral-v3"
                   : NULL;
    }
    return SAYS(t, L("[INST] ") "+" CONTENT "+" L(" [/INST]"), "{{" CONTENT "+eos_token}}") &&
                   ONLY(t, "[INST] ", " [/INST]") && !has(t, "system")
               ? "mistral-v1"
               : NULL;
}

static const char *inst(const struct text *t)
{
    if (has(t, "[THINK]") || has(t, "default_system_message"))
        return NULL;
    return has(t, "<<SYS>>") ? llama2(t) : mistral(t);
}

static const char *harmony(const struct text *t)
{
    static const char *const texts[] = {"# Valid channels: analysis, commentary, final.", "# Instructions",
        "You are ChatGPT, a large language model trained by OpenAI.", "Knowledge cutoff: 2024-06",
        "Current date: ", "Reasoning: "};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!has(t, texts[i]))
            return NULL;
    return SAYS(t, L("<|start|>developer<|message|>"),
               L("<|start|>assistant<|channel|>final<|message|>") "+" CONTENT "+" L("<|end|>"))
               ? "gpt-oss"
               : NULL;
}

/* Whether the BOS is written once, not before every message. */
static bool bos_once(const struct text *t)
{
    const char *p = t->canonical.s, *end = p + t->canonical.n, *condition = NULL;
    int loops = 0;
    for (; p < end; p++) {
        size_t n = (size_t)(end - p);
        if (n >= 5 && memcmp(p, "{%for", 5) == 0)
            loops++;
        else if (n >= 8 && memcmp(p, "{%endfor", 8) == 0)
            loops--;
        else if (n >= 4 && memcmp(p, "{%if", 4) == 0)
            condition = p;
        else if (n >= 9 && memcmp(p, "bos_token", 9) == 0 && loops > 0) {
            size_t since = condition ? (size_t)(p - condition) : 0;
            if (!since || (!memmem(condition, since, "loop.index0==0", 14) &&
                              !memmem(condition, since, "loop.first", 10)))
                return false;
        }
    }
    return true;
}

static const char *recognize(const struct text *t, struct chat_traits *out)
{
    if (has(t, "<|start|>") && has(t, "<|channel|>") && has(t, "<|message|>"))
        return harmony(t);
    if (has(t, "<|im_start|>") && has(t, "<|im_end|>"))
        return chatml(t, out);
    if (has(t, "<|start_header_id|>") && has(t, "<|eot_id|>"))
        return llama3(t, out);
    if (has(t, "<|end|>") && has(t, "<|assistant|>"))
        return phi3(t);
    if (has(t, "<|user|>") && has(t, "<|assistant|>"))
        return zephyr(t);
    if (has(t, "<start_of_turn>") && has(t, "<end_of_turn>"))
        return gemma(t);
    return has(t, "[INST]") ? inst(t) : NULL;
}

bool chat_recognize(const char *text, size_t n, struct chat_traits *out)
{
    struct text t = {.p = text, .n = n};
    const char *name = NULL;
    *out = (struct chat_traits){0};
    if (!text || n > TEMPLATE_MAX)
        return false;
    if (chat_canonical_read(&t.canonical, text, n))
        name = recognize(&t, out);
    if (name) {
        out->family = chat_family_find(name);
        out->with_bos = has(&t, "bos_token") && out->family->render != chat_render_llama2;
        if (out->with_bos && !bos_once(&t))
            name = NULL;
    }
    chat_canonical_free(&t.canonical);
    return name != NULL;
}

const char *chat_family_of_text(const char *text, size_t n)
{
    struct chat_traits traits;
    return chat_recognize(text, n, &traits) ? traits.family->name : NULL;
}
