/* Renders the families that write a role before each turn: Llama 3, Phi-3, Zephyr, Gemma. */
#include "chat/chat-internal.h"

static void put(const struct chat_render *r, struct chat_str s)
{
    chat_content(r->out, s.p, s.n);
}

static const char *role_name(const struct chat_message *m)
{
    return chat_is_system(m) ? "system" : chat_role_names[m->role];
}

/* --- Llama 3 --------------------------------------------------------------------------- */

static void llama3_header(const struct chat_render *r, const char *role)
{
    chat_mark(r->out, "<|start_header_id|>");
    chat_mark(r->out, role);
    chat_mark(r->out, "<|end_header_id|>\n\n");
}

int chat_render_llama3(const struct chat_render *r)
{
    size_t i = 0;
    for (size_t k = 0; k < r->n; k++)
        if (r->m[k].role == CHAT_TOOL)
            return chat_refuse_role(r, k);
    if (r->t->dated) {
        char date[32];
        chat_date(r, "%d %b %Y", date, sizeof(date));
        llama3_header(r, "system");
        chat_mark(r->out, "Cutting Knowledge Date: December 2023\nToday Date: ");
        chat_mark(r->out, r->t->today ? date : "26 Jul 2024");
        chat_mark(r->out, "\n\n");
        if (chat_is_system(&r->m[0]))
            put(r, chat_trim(chat_content_of(&r->m[i++])));
        chat_mark(r->out, "<|eot_id|>");
    }
    for (; i < r->n; i++) {
        llama3_header(r, role_name(&r->m[i]));
        put(r, chat_trim(chat_content_of(&r->m[i])));
        chat_mark(r->out, "<|eot_id|>");
    }
    if (chat_starts_answer(r))
        llama3_header(r, "assistant");
    return 0;
}

/* --- Phi-3 and Zephyr --------------------------------------------------------------------- */

/* last: behind the messages if no answer follows. */
static int bar_turns(const struct chat_render *r, const char *end, bool skip_empty_system, const char *last)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct chat_message *m = &r->m[i];
        if (m->role == CHAT_TOOL)
            return chat_refuse_role(r, i);
        if (skip_empty_system && chat_is_system(m) && !m->n_content)
            continue;
        chat_mark(r->out, "<|");
        chat_mark(r->out, role_name(m));
        chat_mark(r->out, "|>\n");
        put(r, chat_content_of(m));
        chat_mark(r->out, end);
        chat_mark(r->out, "\n");
    }
    chat_mark(r->out, chat_starts_answer(r) ? "<|assistant|>\n" : last);
    return 0;
}

int chat_render_phi3(const struct chat_render *r)
{
    return bar_turns(r, "<|end|>", true, r->t->eos);
}

int chat_render_zephyr(const struct chat_render *r)
{
    return bar_turns(r, r->t->eos, false, "");
}

/* --- Gemma --------------------------------------------------------------------------------- */

int chat_render_gemma(const struct chat_render *r)
{
    size_t from = chat_is_system(&r->m[0]) ? 1 : 0;
    if (from && r->t->family->system == SYSTEM_REFUSED)
        return chat_refuse_role(r, 0);
    int rc = chat_check_turns(r, from);
    if (rc)
        return rc;
    for (size_t i = from; i < r->n; i++) {
        chat_mark(r->out, "<start_of_turn>");
        chat_mark(r->out, r->m[i].role == CHAT_ASSISTANT ? "model\n" : "user\n");
        if (i == from && from) {
            put(r, chat_content_of(&r->m[0]));
            chat_mark(r->out, "\n\n");
        }
        put(r, chat_trim(chat_content_of(&r->m[i])));
        chat_mark(r->out, "<end_of_turn>\n");
    }
    if (chat_starts_answer(r))
        chat_mark(r->out, "<start_of_turn>model\n");
    return 0;
}
