/* Renders harmony, the format of gpt-oss. The system text of the API becomes the developer's instructions,
 * and reasoning is left out, but for that of a last message that no answer follows. */
#include "chat/chat-internal.h"

#include <string.h>

#include "base/util.h"

static void put(const struct chat_render *r, const struct chat_message *m)
{
    chat_content(r->out, m->content, m->n_content);
}

/* The effort is written as a mark, so it must be one of the words that the model knows. */
static const char *effort(const char *wanted)
{
    static const char *const known[] = {"low", "medium", "high"};
    for (size_t i = 0; wanted && i < ARRAY_LEN(known); i++)
        if (strcmp(wanted, known[i]) == 0)
            return known[i];
    return "medium";
}

static void system_message(const struct chat_render *r)
{
    char date[32];
    chat_date(r, "%Y-%m-%d", date, sizeof(date));
    chat_mark(r->out, "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
                      "Knowledge cutoff: 2024-06\nCurrent date: ");
    chat_mark(r->out, date);
    chat_mark(r->out, "\n\nReasoning: ");
    chat_mark(r->out, effort(r->o->reasoning_effort));
    chat_mark(r->out, "\n\n# Valid channels: analysis, commentary, final. "
                      "Channel must be included for every message.<|end|>");
}

static void assistant(const struct chat_render *r, const struct chat_message *m, bool is_end)
{
    if (is_end && m->reasoning) {
        chat_mark(r->out, "<|start|>assistant<|channel|>analysis<|message|>");
        chat_content(r->out, m->reasoning, m->n_reasoning);
        chat_mark(r->out, "<|end|>");
    }
    chat_mark(r->out, "<|start|>assistant<|channel|>final<|message|>");
    put(r, m);
    chat_mark(r->out, is_end ? "<|return|>" : "<|end|>");
}

int chat_render_harmony(const struct chat_render *r)
{
    system_message(r);
    for (size_t i = 0; i < r->n; i++) {
        const struct chat_message *m = &r->m[i];
        if (m->role == CHAT_TOOL)
            return chat_refuse_role(r, i);
        if (chat_is_system(m)) {
            if (!m->n_content)
                continue;
            chat_mark(r->out, "<|start|>developer<|message|># Instructions\n\n");
            put(r, m);
            chat_mark(r->out, "\n\n<|end|>");
            continue;
        }
        if (m->role == CHAT_ASSISTANT) {
            assistant(r, m, i + 1 == r->n && !chat_starts_answer(r));
            continue;
        }
        chat_mark(r->out, "<|start|>user<|message|>");
        put(r, m);
        chat_mark(r->out, "<|end|>");
    }
    if (chat_starts_answer(r))
        chat_mark(r->out, "<|start|>assistant");
    return 0;
}
