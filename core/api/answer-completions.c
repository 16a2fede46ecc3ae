/* Answers of /v1/completions: text_completion objects, whole or in chunks. */
#include <stdlib.h>
#include <string.h>

#include "api/answer-openai.h"
#include "base/util.h"

#define OBJECT "text_completion"

static void put_escaped(struct json_out *o, const char *s, size_t n)
{
    if (n)
        json_out_escaped(o, s, n);
}

/* --- logprobs ---------------------------------------------------------------------------- */

static void put_byte_escapes(struct json_out *o, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        char esc[5] = {'\\', '\\', 'x', hex[(unsigned char)s[i] >> 4], hex[s[i] & 15]};
        json_out_raw(o, esc, sizeof(esc));
    }
}

/* A token in quotes. A token that is not valid text is written byte by byte, as OpenAI does,
 * so that two such tokens differ. */
static void put_token(struct json_out *o, const char *s, size_t n)
{
    if (o->comma)
        json_out_raw(o, ",", 1);
    json_out_raw(o, "\"", 1);
    if (utf8_valid(s, n)) {
        put_escaped(o, s, n);
    } else {
        json_out_raw(o, "bytes:", 6);
        put_byte_escapes(o, s, n);
    }
    json_out_raw(o, "\"", 1);
    o->comma = true;
}

static bool same_piece(const struct choice *c, int32_t a, int32_t b)
{
    size_t n_a, n_b;
    const char *p_a = openai_piece(c, a, &n_a), *p_b = openai_piece(c, b, &n_b);
    return n_a == n_b && memcmp(p_a, p_b, n_a) == 0;
}

/* {"token": logprob}: the likeliest of the tokens that have the same text. */
static void put_top(struct json_out *o, const struct choice *c, const struct job_token *t)
{
    const struct job_top *top = &c->job->top[t->top_at];
    bool sampled_is_there = false;
    size_t n;
    json_out_open(o, NULL, '{');
    for (uint32_t i = 0; i < t->n_top; i++) {
        bool again = false;
        for (uint32_t k = 0; k < i && !again; k++)
            again = same_piece(c, top[i].id, top[k].id);
        sampled_is_there = sampled_is_there || same_piece(c, top[i].id, t->id);
        if (again)
            continue;
        const char *piece = openai_piece(c, top[i].id, &n);
        put_token(o, piece, n);
        json_out_raw(o, ":", 1);
        o->comma = false;
        json_out_f64(o, NULL, (double)top[i].logprob, 6);
    }
    if (!sampled_is_there) {
        const char *piece = openai_piece(c, t->id, &n);
        put_token(o, piece, n);
        json_out_raw(o, ":", 1);
        o->comma = false;
        json_out_f64(o, NULL, (double)t->logprob, 6);
    }
    json_out_close(o, '}');
}

static uint64_t characters(const char *s, size_t n)
{
    uint64_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += ((unsigned char)s[i] & 0xc0) != 0x80;
    return k;
}

/* The logprobs of entries from .. to-1; the text of the first begins at character *n_chars. */
static void put_logprobs(
    struct json_out *o, const struct choice *c, uint32_t from, uint32_t to, uint64_t *n_chars)
{
    const struct job *j = c->job;
    size_t n;
    json_out_open(o, "logprobs", '{');
    json_out_open(o, "tokens", '[');
    for (uint32_t i = from; i < to; i++) {
        if (j->tokens[i].id >= 0) {
            const char *piece = openai_piece(c, j->tokens[i].id, &n);
            put_token(o, piece, n);
        }
    }
    json_out_close(o, ']');
    json_out_open(o, "token_logprobs", '[');
    for (uint32_t i = from; i < to; i++)
        if (j->tokens[i].id >= 0)
            json_out_f64(o, NULL, (double)j->tokens[i].logprob, 6);
    json_out_close(o, ']');
    if (j->request.sampling.n_logprobs) {
        json_out_open(o, "top_logprobs", '[');
        for (uint32_t i = from; i < to; i++)
            if (j->tokens[i].id >= 0)
                put_top(o, c, &j->tokens[i]);
        json_out_close(o, ']');
    } else {
        json_out_null(o, "top_logprobs");
    }
    json_out_open(o, "text_offset", '[');
    for (uint32_t i = from; i < to; i++) {
        if (j->tokens[i].id < 0)
            continue;
        json_out_u64(o, NULL, *n_chars);
        const char *piece = openai_piece(c, j->tokens[i].id, &n);
        if (!openai_is_hidden(c, j->tokens[i].id)) /* a control token has no text in the answer */
            *n_chars += characters(piece, n);
    }
    json_out_close(o, ']');
    json_out_close(o, '}');
}

/* --- chunks --------------------------------------------------------------------------------- */

static void put_text_open(struct json_out *o, const struct choice *c)
{
    openai_chunk_open(o, c);
    json_out_raw(o, ",\"text\":\"", 9);
}

static void put_text_close(struct json_out *o, const struct choice *c, const char *finish)
{
    json_out_raw(o, "\",\"logprobs\":null", 17);
    openai_chunk_close(o, c, finish);
}

static void started(struct json_out *o, const struct choice *c)
{
    if (!c->n_echo)
        return;
    put_text_open(o, c);
    put_escaped(o, c->echo, c->n_echo);
    put_text_close(o, c, NULL);
}

static void token(struct json_out *o, const struct choice *c, uint32_t index, struct cursor *at)
{
    const struct job *j = c->job;
    const struct job_token *t = &j->tokens[index];
    bool logprob = j->request.sampling.want_logprob && t->id >= 0;
    if (!t->n_text && !logprob)
        return; /* nothing to show yet */
    put_text_open(o, c);
    put_escaped(o, j->text + t->text_at, t->n_text);
    if (!logprob) {
        put_text_close(o, c, NULL);
        return;
    }
    json_out_raw(o, "\"", 1);
    o->comma = true;
    put_logprobs(o, c, index, index + 1, &at->n_chars);
    openai_chunk_close(o, c, NULL);
}

static void held(struct json_out *o, const struct choice *c, struct cursor *at)
{
    (void)at;
    put_text_open(o, c);
    put_escaped(o, c->job->end.held, c->job->end.n_held);
    put_text_close(o, c, NULL);
}

static void end(struct json_out *o, const struct choice *c, const struct cursor *at)
{
    (void)at;
    put_text_open(o, c);
    put_text_close(o, c, openai_finish_reason(c->job));
}

/* --- in one piece ----------------------------------------------------------------------------- */

static void put_choice(struct json_out *o, const struct choice *c)
{
    const struct job *j = c->job;
    uint32_t n = j->end.n_published;
    const struct job_token *last = n ? &j->tokens[n - 1] : NULL;
    uint64_t n_chars = 0;
    json_out_open(o, NULL, '{');
    json_out_u64(o, "index", c->index);
    json_out_raw(o, ",\"text\":\"", 9);
    put_escaped(o, c->echo, c->n_echo);
    /* The entries' texts follow each other, so they are one piece. */
    put_escaped(o, j->text, last ? last->text_at + last->n_text : 0);
    put_escaped(o, j->end.held, j->end.n_held);
    json_out_raw(o, "\"", 1);
    if (j->request.sampling.want_logprob)
        put_logprobs(o, c, 0, n, &n_chars);
    else
        json_out_null(o, "logprobs");
    json_out_text(o, "finish_reason", openai_finish_reason(j));
    json_out_close(o, '}');
}

static void answer(struct generation *g)
{
    struct json_out o;
    json_out_growing(&o);
    openai_answer_open(&o, g, OBJECT);
    for (uint32_t i = 0; i < g->n_choices; i++)
        put_choice(&o, &g->choices[i]);
    openai_answer_close(&o, g);
    exchange_answer_json(g->x, 200, &o);
}

static void prepare(struct generation *g)
{
    openai_head(g, OBJECT);
}

const struct dialect dialect_completions = {
    .prepare = prepare,
    .started = started,
    .token = token,
    .held = held,
    .end = end,
    .error = openai_error,
    .closing = openai_closing,
    .answer = answer,
};
