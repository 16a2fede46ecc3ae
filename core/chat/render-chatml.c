/* Renders ChatML, including the templates of Qwen. */
#include "chat/chat-internal.h"

#include <string.h>

static void open_turn(const struct chat_render *r, const char *role)
{
    chat_mark(r->out, "<|im_start|>");
    chat_mark(r->out, role);
}

static void turn(const struct chat_render *r, const char *role, struct chat_str content)
{
    open_turn(r, role);
    chat_mark(r->out, "\n");
    chat_content(r->out, content.p, content.n);
    chat_mark(r->out, "<|im_end|>\n");
}

static const char *role_name(const struct chat_message *m)
{
    return chat_is_system(m) ? "system" : chat_role_names[m->role];
}

/* Consecutive tool messages are one turn of the user. */
static void tool_turn(const struct chat_render *r, size_t i)
{
    if (i == 0 || r->m[i - 1].role != CHAT_TOOL)
        open_turn(r, "user");
    chat_mark(r->out, "\n<tool_response>\n");
    chat_content(r->out, r->m[i].content, r->m[i].n_content);
    chat_mark(r->out, "\n</tool_response>");
    if (i + 1 == r->n || r->m[i + 1].role != CHAT_TOOL)
        chat_mark(r->out, "<|im_end|>\n");
}

int chat_render_chatml(const struct chat_render *r)
{
    const struct chat_template *t = r->t;
    if (t->default_system && !chat_is_system(&r->m[0])) {
        open_turn(r, "system\n");
        chat_mark(r->out, t->default_system);
        chat_mark(r->out, "<|im_end|>\n");
    }
    for (size_t i = 0; i < r->n; i++) {
        if (r->m[i].role == CHAT_TOOL && t->tool_turns)
            tool_turn(r, i);
        else
            turn(r, role_name(&r->m[i]), chat_content_of(&r->m[i]));
    }
    if (chat_starts_answer(r))
        chat_mark(r->out, "<|im_start|>assistant\n");
    return 0;
}

/* --- Qwen3: reasoning is kept since the last question of the user ------------------- */

static bool starts_with(struct chat_str s, const char *what)
{
    size_t n = strlen(what);
    return s.n >= n && memcmp(s.p, what, n) == 0;
}

static bool ends_with(struct chat_str s, const char *what)
{
    size_t n = strlen(what);
    return s.n >= n && memcmp(s.p + s.n - n, what, n) == 0;
}

static size_t last_question(const struct chat_render *r)
{
    for (size_t i = r->n; i-- > 0;) {
        struct chat_str s = chat_content_of(&r->m[i]);
        if (r->m[i].role == CHAT_USER &&
            !(starts_with(s, "<tool_response>") && ends_with(s, "</tool_response>")))
            return i;
    }
    return r->n - 1;
}

/* Returns a message's reasoning, which is a field of its own or part of the content; in that case removes
 * it from *content. */
static struct chat_str take_reasoning(const struct chat_message *m, struct chat_str *content)
{
    size_t at;
    if (m->reasoning)
        return (struct chat_str){m->reasoning, m->n_reasoning};
    struct chat_str whole = *content, none = {"", 0};
    if (!chat_find_last(whole, "</think>", &at))
        return none;
    *content = chat_lstrip_nl((struct chat_str){whole.p + at + 8, whole.n - at - 8});
    chat_find(whole, "</think>", &at);
    struct chat_str thought = chat_rstrip_nl((struct chat_str){whole.p, at});
    if (chat_find_last(thought, "<think>", &at))
        thought = (struct chat_str){thought.p + at + 7, thought.n - at - 7};
    return chat_lstrip_nl(thought);
}

static void qwen3_assistant(const struct chat_render *r, size_t i, bool since_question)
{
    struct chat_str content = chat_content_of(&r->m[i]);
    struct chat_str thought = take_reasoning(&r->m[i], &content);
    open_turn(r, "assistant\n");
    if (since_question && (i + 1 == r->n || thought.n)) {
        thought = chat_lstrip_nl(chat_rstrip_nl(thought));
        content = chat_lstrip_nl(content);
        chat_mark(r->out, "<think>\n");
        chat_content(r->out, thought.p, thought.n);
        chat_mark(r->out, "\n</think>\n\n");
    }
    chat_content(r->out, content.p, content.n);
    chat_mark(r->out, "<|im_end|>\n");
}

int chat_render_qwen3(const struct chat_render *r)
{
    size_t question = last_question(r);
    for (size_t i = 0; i < r->n; i++) {
        const struct chat_message *m = &r->m[i];
        if (m->role == CHAT_TOOL)
            tool_turn(r, i);
        else if (m->role == CHAT_ASSISTANT)
            qwen3_assistant(r, i, i > question);
        else
            turn(r, role_name(m), chat_content_of(m));
    }
    if (!chat_starts_answer(r))
        return 0;
    chat_mark(r->out, "<|im_start|>assistant\n");
    if (r->o->enable_thinking == 0)
        chat_mark(r->out, "<think>\n\n</think>\n\n");
    return 0;
}
