/* Answers of /v1/chat/completions: chat.completion objects, whole or in chunks. The model's
 * reasoning is in reasoning_content, apart from its answer. */
#include <stdlib.h>
#include <string.h>

#include "api/answer-openai.h"
#include "base/util.h"

/* --- logprobs ---------------------------------------------------------------------------- */

static void put_one(struct json_out *o, const struct choice *c, int32_t id, float logprob)
{
    size_t n;
    const char *piece = openai_piece(c, id, &n);
    json_out_text_n(o, "token", piece, n);
    json_out_f64(o, "logprob", (double)logprob, 6);
    json_out_open(o, "bytes", '[');
    for (size_t i = 0; i < n; i++)
        json_out_u64(o, NULL, (unsigned char)piece[i]);
    json_out_close(o, ']');
}

static void put_token_logprobs(struct json_out *o, const struct choice *c, const struct job_token *t)
{
    json_out_open(o, NULL, '{');
    put_one(o, c, t->id, t->logprob);
    json_out_open(o, "top_logprobs", '[');
    for (uint32_t i = 0; i < t->n_top; i++) {
        const struct job_top *top = &c->job->top[t->top_at + i];
        json_out_open(o, NULL, '{');
        put_one(o, c, top->id, top->logprob);
        json_out_close(o, '}');
    }
    json_out_close(o, ']');
    json_out_close(o, '}');
}

/* Passes text on and notes whether some of it belongs to the answer. */
struct watch {
    chat_sink sink;
    void *arg;
    bool content;
};

static void watch_piece(void *arg, enum chat_channel channel, const char *p, size_t n)
{
    struct watch *w = arg;
    w->content = w->content || channel == CHAT_CONTENT;
    w->sink(w->arg, channel, p, n);
}

/* Advances *at over an entry. True if its token belongs to the answer: it is neither part of
 * the reasoning nor a mark. */
static bool split(struct cursor *at, const struct choice *c, uint32_t index, chat_sink sink, void *arg)
{
    const struct job *j = c->job;
    const struct job_token *t = &j->tokens[index];
    struct watch w = {.sink = sink, .arg = arg};
    bool content = at->split.channel == CHAT_CONTENT;
    chat_split_push(&at->split, t->id, j->text + t->text_at, t->n_text, watch_piece, &w);
    if (at->split.channel == CHAT_REASONING && t->id >= 0)
        at->n_reasoning++;
    if (t->id < 0 || !content || at->split.channel != CHAT_CONTENT)
        return false;
    return w.content || (!t->n_text && !openai_is_mark(c, t->id));
}

/* --- chunks --------------------------------------------------------------------------------- */

struct writer {
    struct json_out *o;
    const struct choice *c;
    bool open; /* a chunk is open, inside the string of its delta */
    enum chat_channel channel;
};

static void writer_open(struct writer *w, enum chat_channel channel)
{
    static const char *const keys[] = {
        [CHAT_CONTENT] = ",\"delta\":{\"content\":\"",
        [CHAT_REASONING] = ",\"delta\":{\"reasoning_content\":\"",
    };
    openai_chunk_open(w->o, w->c);
    json_out_raw(w->o, keys[channel], strlen(keys[channel]));
    w->open = true;
    w->channel = channel;
}

/* t: the token whose logprobs the chunk gets; NULL: none. */
static void writer_close(struct writer *w, const struct job_token *t)
{
    struct json_out *o = w->o;
    json_out_raw(o, "\"}", 2);
    o->comma = true;
    if (t) {
        json_out_open(o, "logprobs", '{');
        json_out_open(o, "content", '[');
        put_token_logprobs(o, w->c, t);
        json_out_close(o, ']');
        json_out_close(o, '}');
    } else {
        json_out_null(o, "logprobs");
    }
    openai_chunk_close(o, w->c, NULL);
    w->open = false;
}

static void write_piece(void *arg, enum chat_channel channel, const char *p, size_t n)
{
    struct writer *w = arg;
    if (w->open && w->channel != channel)
        writer_close(w, NULL);
    if (!w->open)
        writer_open(w, channel);
    json_out_escaped(w->o, p, n);
}

static void put_role(struct json_out *o, const struct choice *c)
{
    static const char delta[] = ",\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null";
    openai_chunk_open(o, c);
    json_out_raw(o, delta, sizeof(delta) - 1);
    openai_chunk_close(o, c, NULL);
}

/* Nothing: clients take the first chunk for the first token, so the role comes with that one. */
static void started(struct json_out *o, const struct choice *c)
{
    (void)o, (void)c;
}

static void token(struct json_out *o, const struct choice *c, uint32_t index, struct cursor *at)
{
    const struct job *j = c->job;
    struct writer w = {.o = o, .c = c};
    if (index == 0)
        put_role(o, c);
    bool logprob = split(at, c, index, write_piece, &w) && j->request.sampling.want_logprob;
    if (logprob && !w.open)
        writer_open(&w, CHAT_CONTENT);
    if (w.open)
        writer_close(&w, logprob ? &j->tokens[index] : NULL);
}

static void held(struct json_out *o, const struct choice *c, struct cursor *at)
{
    struct writer w = {.o = o, .c = c};
    if (!c->job->end.n_published)
        put_role(o, c);
    chat_split_push(&at->split, -1, c->job->end.held, c->job->end.n_held, write_piece, &w);
    if (w.open)
        writer_close(&w, NULL);
}

static void end(struct json_out *o, const struct choice *c, const struct cursor *at)
{
    static const char delta[] = ",\"delta\":{},\"logprobs\":null";
    struct writer w = {.o = o, .c = c};
    struct chat_split rest = at->split;
    if (!c->job->end.n_published && !c->job->end.n_held)
        put_role(o, c);
    chat_split_finish(&rest, write_piece, &w);
    if (w.open)
        writer_close(&w, NULL);
    openai_chunk_open(o, c);
    json_out_raw(o, delta, sizeof(delta) - 1);
    openai_chunk_close(o, c, openai_finish_reason(c->job));
}

/* --- in one piece ----------------------------------------------------------------------------- */

struct message {
    struct json_out text[2]; /* by channel */
};

static void message_piece(void *arg, enum chat_channel channel, const char *p, size_t n)
{
    struct message *m = arg;
    json_out_raw(&m->text[channel], p, n);
}

static void put_text(struct json_out *o, const char *key, struct json_out *text)
{
    size_t n = 0;
    char *s = json_out_take(text, &n);
    if (!s)
        o->failed = true;
    else
        json_out_text_n(o, key, s, n);
    free(s);
}

static void put_message(struct json_out *o, struct message *m)
{
    json_out_open(o, "message", '{');
    json_out_text(o, "role", "assistant");
    put_text(o, "content", &m->text[CHAT_CONTENT]);
    if (m->text[CHAT_REASONING].n)
        put_text(o, "reasoning_content", &m->text[CHAT_REASONING]);
    else
        free(m->text[CHAT_REASONING].s);
    json_out_null(o, "refusal");
    json_out_close(o, '}');
}

static void put_choice(struct json_out *o, struct choice *c)
{
    const struct job *j = c->job;
    struct message m;
    struct json_out logprobs;
    size_t n = 0;
    json_out_growing(&m.text[CHAT_CONTENT]);
    json_out_growing(&m.text[CHAT_REASONING]);
    json_out_growing(&logprobs);
    for (uint32_t i = 0; i < j->end.n_published; i++)
        if (split(&c->cursor, c, i, message_piece, &m) && j->request.sampling.want_logprob)
            put_token_logprobs(&logprobs, c, &j->tokens[i]);
    if (j->end.n_held)
        chat_split_push(&c->cursor.split, -1, j->end.held, j->end.n_held, message_piece, &m);
    chat_split_finish(&c->cursor.split, message_piece, &m);
    json_out_open(o, NULL, '{');
    json_out_u64(o, "index", c->index);
    put_message(o, &m);
    char *list = json_out_take(&logprobs, &n);
    if (j->request.sampling.want_logprob) {
        json_out_open(o, "logprobs", '{');
        json_out_open(o, "content", '[');
        json_out_raw(o, list ? list : "", n);
        json_out_close(o, ']');
        json_out_close(o, '}');
        o->failed = o->failed || !list;
    } else {
        json_out_null(o, "logprobs");
    }
    free(list);
    json_out_text(o, "finish_reason", openai_finish_reason(j));
    json_out_close(o, '}');
}

static void answer(struct generation *g)
{
    struct json_out o;
    json_out_growing(&o);
    openai_answer_open(&o, g, "chat.completion");
    for (uint32_t i = 0; i < g->n_choices; i++)
        put_choice(&o, &g->choices[i]);
    openai_answer_close(&o, g);
    exchange_answer_json(g->x, 200, &o);
}

static void prepare(struct generation *g)
{
    openai_head(g, "chat.completion.chunk");
}

const struct dialect dialect_chat = {
    .prepare = prepare,
    .started = started,
    .token = token,
    .held = held,
    .end = end,
    .error = openai_error,
    .closing = openai_closing,
    .answer = answer,
};
