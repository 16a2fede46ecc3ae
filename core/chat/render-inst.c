/* Renders the families that put the user's turns between [INST] and [/INST]: Llama 2 and Mistral. */
#include "chat/chat-internal.h"

static void put(const struct chat_render *r, struct chat_str s)
{
    chat_content(r->out, s.p, s.n);
}

int chat_render_llama2(const struct chat_render *r)
{
    size_t from = chat_is_system(&r->m[0]) ? 1 : 0;
    int rc = chat_check_turns(r, from);
    if (rc)
        return rc;
    for (size_t i = from; i < r->n; i++) {
        struct chat_str content = chat_trim(chat_content_of(&r->m[i]));
        if (r->m[i].role == CHAT_ASSISTANT) {
            chat_mark(r->out, " ");
            put(r, content);
            chat_mark(r->out, " ");
            chat_mark(r->out, r->t->eos);
            continue;
        }
        chat_mark(r->out, r->t->bos);
        chat_mark(r->out, "[INST] ");
        if (i == from && from) {
            /* The user's text follows the system text, so only its end is trimmed. If nothing is left of
             * it, the line breaks before it are left out, too. */
            struct chat_str first = chat_trim_end(chat_content_of(&r->m[i]));
            chat_mark(r->out, "<<SYS>>\n");
            put(r, chat_content_of(&r->m[0]));
            chat_mark(r->out, first.n ? "\n<</SYS>>\n\n" : "\n<</SYS>>");
            put(r, first);
        } else {
            put(r, content);
        }
        chat_mark(r->out, " [/INST]");
    }
    return 0;
}

/* --- Mistral ------------------------------------------------------------------------------- */

static const struct {
    const char *open, *close, *before_answer, *system_open;
    bool trim;
} styles[] = {
    [MISTRAL_V1] = {"[INST] ", " [/INST]", "", NULL, false},
    [MISTRAL_V1_SYSTEM] = {" [INST] ", " [/INST]", " ", NULL, false},
    [MISTRAL_V3] = {"[INST] ", "[/INST]", " ", NULL, true},
    [MISTRAL_TEKKEN] = {"[INST]", "[/INST]", "", NULL, false},
    [MISTRAL_V7] = {"[INST] ", "[/INST]", " ", "[SYSTEM_PROMPT] ", false},
};

/* The system text has its own marks and may be anywhere. */
static int mistral_marked(const struct chat_render *r)
{
    unsigned style = r->t->family->style;
    for (size_t i = 0; i < r->n; i++) {
        const struct chat_message *m = &r->m[i];
        if (m->role == CHAT_TOOL)
            return chat_refuse_role(r, i);
        chat_mark(r->out, chat_is_system(m)      ? styles[style].system_open
                          : m->role == CHAT_USER ? styles[style].open
                                                 : styles[style].before_answer);
        put(r, chat_content_of(m));
        chat_mark(r->out, chat_is_system(m)      ? "[/SYSTEM_PROMPT]"
                          : m->role == CHAT_USER ? styles[style].close
                                                 : r->t->eos);
    }
    return 0;
}

int chat_render_mistral(const struct chat_render *r)
{
    const struct chat_family *f = r->t->family;
    size_t from = chat_is_system(&r->m[0]) ? 1 : 0;
    if (f->system == SYSTEM_OWN_MARK)
        return mistral_marked(r);
    if (from && f->system == SYSTEM_REFUSED)
        return chat_refuse_role(r, 0);
    int rc = chat_check_turns(r, from);
    if (rc)
        return rc;
    for (size_t i = from; i < r->n; i++) {
        struct chat_str content = chat_content_of(&r->m[i]);
        if (r->m[i].role == CHAT_ASSISTANT) {
            chat_mark(r->out, styles[f->style].before_answer);
            put(r, styles[f->style].trim ? chat_trim(content) : content);
            chat_mark(r->out, r->t->eos);
            continue;
        }
        chat_mark(r->out, styles[f->style].open);
        if (from && i == (f->system == SYSTEM_LAST_TURN ? r->n - 1 : from)) {
            put(r, chat_content_of(&r->m[0]));
            chat_mark(r->out, "\n\n");
        }
        put(r, content);
        chat_mark(r->out, styles[f->style].close);
    }
    return 0;
}
