/* Renders a conversation as text and tokens. */
#include "chat/chat-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"

const char *const chat_role_names[] = {"system", "developer", "user", "assistant", "tool", NULL};

int chat_role_find(const char *name)
{
    for (int i = 0; chat_role_names[i]; i++)
        if (strcmp(name, chat_role_names[i]) == 0)
            return i;
    return -1;
}

bool chat_is_system(const struct chat_message *m)
{
    return m->role == CHAT_SYSTEM || m->role == CHAT_DEVELOPER;
}

bool chat_starts_answer(const struct chat_render *r)
{
    return !r->o->no_answer_start && !r->o->continue_final;
}

int chat_refuse_role(const struct chat_render *r, size_t i)
{
    return error_set(r->err, ORCD_E_INVALID, "message %zu has the role %s, which the chat template %s %s", i,
        chat_role_names[r->m[i].role], r->t->name,
        chat_is_system(&r->m[i]) && i ? "supports in the first message only" : "does not support");
}

int chat_check_turns(const struct chat_render *r, size_t from)
{
    if (from == r->n)
        return error_set(
            r->err, ORCD_E_INVALID, "the chat template %s needs a message with the role user", r->t->name);
    for (size_t i = from; i < r->n; i++) {
        enum chat_role role = r->m[i].role;
        if (role != CHAT_USER && role != CHAT_ASSISTANT)
            return chat_refuse_role(r, i);
        if ((role == CHAT_USER) != ((i - from) % 2 == 0))
            return error_set(r->err, ORCD_E_INVALID,
                "message %zu has the role %s; in the chat template %s the roles user and assistant must "
                "alternate, starting with user",
                i, chat_role_names[role], r->t->name);
    }
    return 0;
}

void chat_date(const struct chat_render *r, const char *format, char *buf, size_t size)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(r->o->date ? r->o->date : (int64_t)(clock_real_ns() / NS_PER_S));
    struct tm tm;
    if (!gmtime_r(&seconds, &tm))
        memset(&tm, 0, sizeof(tm));
    /* The month names of strftime follow the locale, those of the template do not. */
    if (strstr(format, "%b"))
        snprintf(buf, size, "%02d %.3s %04d", tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900);
    else if (!strftime(buf, size, format, &tm))
        *buf = 0;
}

/* What comes behind the last content are marks: the end of its turn. */
static int cut_behind_final(const struct chat_render *r)
{
    const struct chat_message *m = &r->m[r->n - 1];
    struct chat_text *text = r->out;
    const struct tokenizer_range *last = NULL;
    if (m->role != CHAT_ASSISTANT || !m->n_content)
        return error_set(r->err, ORCD_E_INVALID,
            "the message that is to be continued must be the last, have the role assistant, and have "
            "content");
    while (text->n_plain && !text->plain[text->n_plain - 1].n)
        text->n_plain--;
    if (text->n_plain)
        last = &text->plain[text->n_plain - 1];
    if (!last || !memmem(m->content, m->n_content, text->s + last->at, last->n))
        return error_set(r->err, ORCD_E_UNSUPPORTED,
            "the chat template %s cannot continue this message of the assistant", r->t->name);
    text->n = last->at + last->n;
    text->s[text->n] = 0;
    return 0;
}

static int render(const struct chat_template *t, const struct chat_message *messages, size_t n,
    const struct chat_options *o, struct chat_text *text, struct orcd_error *err)
{
    static const struct chat_options none = CHAT_OPTIONS_INIT;
    struct chat_render r = {t, messages, n, o ? o : &none, text, err};
    if (!t->family)
        return error_set(err, ORCD_E_UNSUPPORTED, "%s", t->why_not);
    if (!n)
        return error_set(err, ORCD_E_INVALID, "a conversation must have at least one message");
    if (n > CHAT_MAX_MESSAGES)
        return error_set(err, ORCD_E_INVALID, "the conversation has %zu messages; at most %d are allowed", n,
            CHAT_MAX_MESSAGES);
    if (t->with_bos)
        chat_mark(text, t->bos);
    int rc = t->family->render(&r);
    if (!rc && text->failed)
        rc = error_set(err, ORCD_E_NOMEM, "out of memory for a conversation of %zu messages", n);
    if (!rc && r.o->continue_final)
        rc = cut_behind_final(&r);
    return rc;
}

int chat_render_text(const struct chat_template *t, const struct chat_message *messages, size_t n,
    const struct chat_options *o, char **text, size_t *n_text, struct orcd_error *err)
{
    struct chat_text out = {0};
    int rc = render(t, messages, n, o, &out, err);
    if (!rc) {
        *text = out.s;
        *n_text = out.n;
        out.s = NULL;
    }
    chat_text_release(&out);
    return rc;
}

int chat_render(const struct chat_template *t, const struct chat_message *messages, size_t n,
    const struct chat_options *o, int32_t **ids, size_t *n_ids, struct orcd_error *err)
{
    struct chat_text out = {0};
    int rc = render(t, messages, n, o, &out, err);
    if (!rc)
        rc = tokenizer_encode_marked(t->tokenizer, out.s, out.n, out.plain, out.n_plain, ids, n_ids, err);
    chat_text_release(&out);
    return rc;
}
