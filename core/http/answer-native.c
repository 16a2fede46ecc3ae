/* The native API's words: events of sse.c, and a job's answer in one piece. */
#include <stdlib.h>
#include <string.h>

#include "http/dialect.h"
#include "http/sse.h"

static const char *model_ref(const struct exchange *x)
{
    const struct http_model *m = atomic_load(&x->server->model);
    return m ? m->ref : "";
}

static void started(struct json_out *o, const struct choice *c)
{
    sse_started(o, c->job, model_ref(c->x));
}

static void token(struct json_out *o, const struct choice *c, uint32_t index, struct cursor *at)
{
    (void)at;
    sse_token(o, c->job, index);
}

static void held(struct json_out *o, const struct choice *c, struct cursor *at)
{
    (void)at;
    sse_held(o, c->job);
}

static void end(struct json_out *o, const struct choice *c, const struct cursor *at)
{
    (void)at;
    sse_end(o, c->job);
}

static void error(struct json_out *o, const struct choice *c)
{
    sse_end(o, c->job);
}

/* The one choice's end was the last event. */
static void closing(struct json_out *o, const struct exchange *x)
{
    (void)o, (void)x;
}

/* n bytes of its text, and what was held back at its end. */
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

static void answer(struct exchange *x)
{
    const struct job *j = x->choices[0].job;
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    sse_started_fields(&o, j, model_ref(x));
    /* Entries follow each other in the text, so it is one piece. */
    uint32_t n = j->end.n_published;
    const struct job_token *last = n ? &j->tokens[n - 1] : NULL;
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
    exchange_answer_json(x, 200, &o);
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
