/* The dialect of the native API: the events of sse.c, and a job's answer in one piece. */
#include <stdlib.h>
#include <string.h>

#include "api/dialect.h"
#include "api/sse.h"

static const char *model_ref(const struct generation *g)
{
    const struct api_model *m = atomic_load(&api_of(g->x)->model);
    return m ? m->ref : "";
}

/* The splitter is set up for conversations only. */
static bool is_chat(const struct choice *c)
{
    return c->cursor.split.t != NULL;
}

static void started(struct json_out *o, const struct choice *c)
{
    sse_started(o, c->job, model_ref(c->g));
}

static void token(struct json_out *o, const struct choice *c, uint32_t index, struct cursor *at)
{
    if (is_chat(c))
        sse_chat_token(o, c->job, index, &at->split);
    else
        sse_token(o, c->job, index);
}

static void held(struct json_out *o, const struct choice *c, struct cursor *at)
{
    if (is_chat(c))
        sse_chat_held(o, c->job, &at->split);
    else
        sse_held(o, c->job);
}

static void end(struct json_out *o, const struct choice *c, const struct cursor *at)
{
    if (is_chat(c))
        sse_chat_rest(o, &at->split);
    sse_end(o, c->job);
}

static void error(struct json_out *o, const struct choice *c)
{
    sse_end(o, c->job);
}

/* Nothing follows: the end of the only choice was the last event. */
static void closing(struct json_out *o, const struct generation *g)
{
    (void)o, (void)g;
}

/* The first n bytes of the job's text, and what was held back when it ended. */
static void put_text(struct json_out *o, const struct job *j, size_t n)
{
    size_t n_held = j->end.n_held;
    char *whole = n_held ? malloc(n + n_held) : NULL;
    if (whole) {
        memcpy(whole, j->text, n);
        memcpy(whole + n, j->end.held, n_held);
    }
    json_out_text_n(o, "text", whole ? whole : j->text, whole ? n + n_held : n);
    free(whole);
}

static void gather(void *arg, enum chat_channel channel, const char *p, size_t n)
{
    struct json_out *texts = arg;
    json_out_raw(&texts[channel], p, n);
}

static void put_gathered(struct json_out *o, const char *key, struct json_out *text)
{
    size_t n = 0;
    char *s = json_out_take(text, &n);
    o->failed = o->failed || !s;
    if (s)
        json_out_text_n(o, key, s, n);
    free(s);
}

/* The answer and the reasoning, as two texts. */
static void put_chat(struct json_out *o, const struct choice *c)
{
    const struct job *j = c->job;
    struct chat_split split = c->cursor.split;
    struct json_out texts[2];
    json_out_growing(&texts[CHAT_CONTENT]);
    json_out_growing(&texts[CHAT_REASONING]);
    for (uint32_t i = 0; i < j->end.n_published; i++) {
        const struct job_token *t = &j->tokens[i];
        chat_split_push(&split, t->id, j->text + t->text_at, t->n_text, gather, texts);
    }
    if (j->end.n_held)
        chat_split_push(&split, -1, j->end.held, j->end.n_held, gather, texts);
    chat_split_finish(&split, gather, texts);
    bool thought = texts[CHAT_REASONING].n > 0;
    put_gathered(o, "text", &texts[CHAT_CONTENT]);
    if (thought)
        put_gathered(o, "reasoning", &texts[CHAT_REASONING]);
    else
        free(texts[CHAT_REASONING].s);
}

static void answer(struct generation *g)
{
    const struct choice *c = &g->choices[0];
    const struct job *j = c->job;
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    sse_started_fields(&o, j, model_ref(g));
    /* The entries' texts follow each other, so they are one piece. */
    uint32_t n = j->end.n_published;
    const struct job_token *last = n ? &j->tokens[n - 1] : NULL;
    if (is_chat(c))
        put_chat(&o, c);
    else
        put_text(&o, j, last ? last->text_at + last->n_text : 0);
    json_out_open(&o, "tokens", '[');
    for (uint32_t i = 0; i < n; i++)
        if (j->tokens[i].id >= 0)
            json_out_i64(&o, NULL, j->tokens[i].id);
    json_out_close(&o, ']');
    if (j->request.sampling.want_logprob) {
        json_out_open(&o, "logprobs", '[');
        for (uint32_t i = 0; i < n; i++) {
            if (j->tokens[i].id < 0)
                continue;
            json_out_open(&o, NULL, '{');
            json_out_i64(&o, "id", j->tokens[i].id);
            sse_logprob_fields(&o, j, &j->tokens[i]);
            json_out_close(&o, '}');
        }
        json_out_close(&o, ']');
    }
    sse_end_fields(&o, j);
    json_out_close(&o, '}');
    exchange_answer_json(g->x, 200, &o);
}

const struct dialect dialect_native = {
    .started = started,
    .token = token,
    .held = held,
    .end = end,
    .error = error,
    .closing = closing,
    .metrics = sse_metrics,
    .answer = answer,
};
