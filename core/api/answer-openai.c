#include "api/answer-openai.h"

#include <stdlib.h>
#include <string.h>

#include "api/error-openai.h"
#include "base/util.h"

static const struct api_model *model_of(const struct generation *g)
{
    return atomic_load(&api_of(g->x)->model); /* not NULL, since the generation has jobs */
}

static void put_lead(struct json_out *o, const struct generation *g, const char *object)
{
    json_out_open(o, NULL, '{');
    json_out_text(o, "id", g->id);
    json_out_text(o, "object", object);
    json_out_i64(o, "created", g->created_s);
    json_out_text(o, "model", model_of(g)->ref);
    json_out_text(o, "system_fingerprint", model_of(g)->fingerprint);
}

void openai_head(struct generation *g, const char *object)
{
    struct json_out o;
    json_out_growing(&o);
    json_out_raw(&o, "data: ", 6);
    put_lead(&o, g, object);
    json_out_open(&o, "choices", '[');
    json_out_raw(&o, "{\"index\":", 9);
    g->head = json_out_take(&o, &g->n_head);
    if (!g->head)
        http_error_set(&g->x->error, API_OUT_OF_MEMORY, "out of memory");
}

void openai_chunk_open(struct json_out *o, const struct choice *c)
{
    json_out_raw(o, c->g->head, c->g->n_head);
    json_out_digits(o, c->index);
    o->comma = true;
}

void openai_chunk_close(struct json_out *o, const struct choice *c, const char *finish)
{
    o->comma = true;
    json_out_text(o, "finish_reason", finish);
    json_out_raw(o, "}]", 2);
    if (c->g->with_usage)
        json_out_raw(o, ",\"usage\":null", 13);
    json_out_raw(o, "}\n\n", 3);
}

const char *openai_finish_reason(const struct job *j)
{
    static const char *const reasons[] = {
        [FINISH_NONE] = NULL,
        [FINISH_STOP] = "stop",
        [FINISH_LENGTH] = "length",
        [FINISH_STOP_SEQUENCE] = "stop",
        [FINISH_DEADLINE] = "deadline", /* only if on_deadline requests it */
    };
    return reasons[j->end.finish];
}

static void put_done(struct json_out *o)
{
    json_out_raw(o, "data: [DONE]\n\n", 14);
}

void openai_error(struct json_out *o, const struct choice *c)
{
    const struct job_end *e = &c->job->end;
    json_out_raw(o, "data: ", 6);
    o->comma = false;
    struct http_error told = {.code = API_OK};
    http_error_set(&told, e->code, "%s", e->message);
    openai_error_write(o, &told, c->g->x->correlation_id);
    json_out_raw(o, "\n\n", 2);
    put_done(o);
}

/* A prompt counts once, however many choices answer it. */
static void put_usage(struct json_out *o, const struct generation *g)
{
    uint64_t in = 0, out = 0, cached = 0, reasoning = 0;
    for (uint32_t i = 0; i < g->n_choices; i++) {
        const struct job *j = g->choices[i].job;
        out += j->end.tokens_out;
        reasoning += g->choices[i].cursor.n_reasoning;
        if (i % g->n_each)
            continue;
        in += j->request.n_tokens;
        cached += j->started.cached_tokens;
    }
    json_out_open(o, "usage", '{');
    json_out_u64(o, "prompt_tokens", in);
    json_out_u64(o, "completion_tokens", out);
    json_out_u64(o, "total_tokens", in + out);
    json_out_open(o, "prompt_tokens_details", '{');
    json_out_u64(o, "cached_tokens", cached);
    json_out_close(o, '}');
    if (g->dialect == &dialect_chat) {
        json_out_open(o, "completion_tokens_details", '{');
        json_out_u64(o, "reasoning_tokens", reasoning);
        json_out_close(o, '}');
    }
    json_out_close(o, '}');
}

void openai_closing(struct json_out *o, const struct generation *g)
{
    static const char before[] = "{\"index\":";
    if (g->with_usage) {
        json_out_raw(o, g->head, g->n_head - (sizeof(before) - 1)); /* this chunk has no choice */
        json_out_raw(o, "]", 1);
        o->comma = true;
        put_usage(o, g);
        json_out_raw(o, "}\n\n", 3);
    }
    put_done(o);
}

void openai_answer_open(struct json_out *o, const struct generation *g, const char *object)
{
    put_lead(o, g, object);
    json_out_open(o, "choices", '[');
}

void openai_answer_close(struct json_out *o, const struct generation *g)
{
    json_out_close(o, ']');
    put_usage(o, g);
    json_out_close(o, '}');
}

bool openai_is_mark(const struct choice *c, int32_t id)
{
    return tokenizer_is_control(model_of(c->g)->tokenizer, id);
}

bool openai_is_hidden(const struct choice *c, int32_t id)
{
    return tokenizer_is_control(model_of(c->g)->tokenizer, id);
}

const char *openai_piece(const struct choice *c, int32_t id, size_t *n)
{
    return tokenizer_piece(model_of(c->g)->tokenizer, id, true, n);
}
