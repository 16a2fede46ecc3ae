/*
 * Splits a generation as it streams. The marks of harmony are control tokens, which have no text. <think>
 * and </think> are searched in the text, and also as tokens, because some vocabularies have them as
 * control tokens.
 */
#include "chat/chat-internal.h"

#include <string.h>

#include "base/util.h"

enum state {
    THINK_START = 0, /* <think> may follow */
    THINKING,
    THINK_AFTER, /* after </think>; line breaks may follow */
    CONTENT,     /* all further text is content */
    /* harmony */
    FIRST_HEADER, /* the header that the prompt has begun */
    HEADER,       /* a later header: the role, or the channel */
    BODY,
    BETWEEN, /* after the end of a message */
};

struct out {
    struct chat_split *s;
    chat_sink sink;
    void *arg;
};

static void give(struct out *o, const char *p, size_t n)
{
    if (!n)
        return;
    o->s->begun = true;
    o->sink(o->arg, (enum chat_channel)o->s->channel, p, n);
}

/* --- <think> ------------------------------------------------------------------------------ */

/* Held-back text turned out not to be a mark: passes it to the sink. */
static void release(struct out *o)
{
    struct chat_split *s = o->s;
    static const char breaks[] = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
    if (s->state == THINKING && !s->begun)
        s->newlines = 0; /* line breaks before the first word of the reasoning are left out */
    for (; s->newlines; s->newlines -= (uint32_t)min_u64(s->newlines, sizeof(breaks) - 1))
        give(o, breaks, (size_t)min_u64(s->newlines, sizeof(breaks) - 1));
    give(o, s->held, s->n_held);
    s->n_held = 0;
}

static void enter(struct chat_split *s, enum state state)
{
    s->state = (uint8_t)state;
    s->channel = state == THINKING ? CHAT_REASONING : CHAT_CONTENT;
    s->newlines = 0;
    s->n_held = 0;
    s->begun = false;
}

/* Holds back one more byte of a possible mark. False: it is not the mark. */
static bool hold(struct chat_split *s, char c, const char *mark, enum state next)
{
    if (mark[s->n_held] != c)
        return false;
    s->held[s->n_held++] = c;
    if (!mark[s->n_held])
        enter(s, next);
    return true;
}

/* Returns how many bytes of p were used: at least one, unless the state changes. */
static size_t think_start(struct out *o, const char *p)
{
    struct chat_split *s = o->s;
    if (!s->n_held && *p == '\n') {
        s->newlines++;
        return 1;
    }
    if (hold(s, *p, "<think>", THINKING))
        return 1;
    release(o);
    s->state = CONTENT;
    return 0;
}

static size_t thinking(struct out *o, const char *p, size_t n)
{
    struct chat_split *s = o->s;
    size_t run = 0;
    if (!s->n_held && *p == '\n' && s->newlines < UINT32_MAX) {
        s->newlines++;
        return 1;
    }
    if (hold(s, *p, "</think>", THINK_AFTER))
        return 1;
    if (s->n_held) { /* this byte may be the first one of a mark */
        release(o);
        return 0;
    }
    release(o);
    while (run < n && p[run] != '\n' && p[run] != '<')
        run++;
    give(o, p, run);
    return run;
}

static void push_think(struct out *o, const char *p, size_t n)
{
    struct chat_split *s = o->s;
    for (size_t i = 0; i < n;) {
        if (s->state == THINK_START) {
            i += think_start(o, p + i);
        } else if (s->state == THINKING) {
            i += thinking(o, p + i, n - i);
        } else if (s->state == THINK_AFTER && p[i] == '\n') {
            i++;
        } else {
            s->state = CONTENT;
            give(o, p + i, n - i);
            return;
        }
    }
}

static void think_token(struct out *o, int32_t id)
{
    struct chat_split *s = o->s;
    const struct chat_template *t = s->t;
    if (id < 0 || !tokenizer_is_control(t->tokenizer, id))
        return; /* its text was handled already */
    if (id == t->think_id && s->state == THINK_START && !s->n_held)
        enter(s, THINKING);
    else if (id == t->end_think_id && s->state == THINKING) {
        uint32_t breaks = s->n_held ? 0 : s->newlines;
        s->newlines -= breaks;
        release(o);
        enter(s, THINK_AFTER);
    }
}

/* --- harmony ------------------------------------------------------------------------------- */

/* A header is a word or two. Longer text without a mark at the start of a generation is content. */
static void push_header(struct out *o, const char *p, size_t n)
{
    struct chat_split *s = o->s;
    size_t room = sizeof(s->header) - s->n_header, take = (size_t)min_u64(n, room);
    memcpy(s->header + s->n_header, p, take);
    s->n_header += (uint8_t)take;
    if (s->state != FIRST_HEADER || take == n)
        return;
    s->state = BODY;
    s->channel = CHAT_CONTENT;
    give(o, s->header, s->n_header);
    give(o, p + take, n - take);
}

static void push_harmony(struct out *o, const char *p, size_t n)
{
    if (o->s->state == BODY)
        give(o, p, n);
    else if (o->s->state != BETWEEN)
        push_header(o, p, n);
}

static void harmony_token(struct out *o, int32_t id)
{
    struct chat_split *s = o->s;
    const struct chat_template *t = s->t;
    if (id < 0)
        return;
    if (id == t->start_id || id == t->channel_id) {
        s->state = HEADER;
        s->n_header = 0;
        s->channel = CHAT_REASONING;
        s->begun = id == t->channel_id; /* the header has a channel */
    } else if (id == t->message_id && s->state != BODY) {
        bool final =
            s->state == FIRST_HEADER || !s->begun || (s->n_header >= 5 && memcmp(s->header, "final", 5) == 0);
        s->state = BODY;
        s->channel = final ? CHAT_CONTENT : CHAT_REASONING;
    } else if (id == t->end_id || id == t->return_id || id == t->call_id) {
        s->state = BETWEEN;
        s->channel = CHAT_REASONING;
    }
}

/* --- both ------------------------------------------------------------------------------------ */

void chat_split_init(struct chat_split *s, const struct chat_template *t, const struct chat_options *o)
{
    *s = (struct chat_split){.t = t, .kind = t->family ? t->family->split : SPLIT_NONE, .state = CONTENT};
    if (o && o->continue_final) { /* in the middle of content */
        s->state = s->kind == SPLIT_HARMONY ? BODY : CONTENT;
        s->begun = true;
        return;
    }
    if (s->kind == SPLIT_THINK && (!o || o->enable_thinking != 0 || o->no_answer_start))
        s->state = THINK_START;
    if (s->kind == SPLIT_HARMONY) {
        s->state = FIRST_HEADER;
        s->channel = CHAT_REASONING;
    }
}

void chat_split_push(struct chat_split *s, int32_t id, const char *text, size_t n, chat_sink sink, void *arg)
{
    struct out o = {s, sink, arg};
    if (s->kind == SPLIT_HARMONY) {
        if (n)
            push_harmony(&o, text, n);
        harmony_token(&o, id);
    } else if (s->kind == SPLIT_THINK) {
        if (n)
            push_think(&o, text, n);
        think_token(&o, id);
    } else {
        give(&o, text, n);
    }
}

void chat_split_finish(struct chat_split *s, chat_sink sink, void *arg)
{
    struct out o = {s, sink, arg};
    if (s->kind == SPLIT_THINK) {
        release(&o);
    } else if (s->kind == SPLIT_HARMONY && s->state == FIRST_HEADER) {
        s->channel = CHAT_CONTENT;
        give(&o, s->header, s->n_header);
        s->n_header = 0;
    }
}

size_t chat_split_undecided(const struct chat_split *s)
{
    if (s->kind == SPLIT_THINK && s->state == THINK_START)
        return (size_t)s->newlines + s->n_held;
    return s->kind == SPLIT_HARMONY && s->state == FIRST_HEADER ? s->n_header : 0;
}
