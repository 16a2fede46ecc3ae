/* The handlers of the OpenAI-compatible API. */
#include "api/openai.h"

#include <string.h>

#include "api/dialect.h"
#include "api/params-openai.h"

static void put_model(struct json_out *o, const struct api_model *m)
{
    json_out_open(o, NULL, '{');
    json_out_text(o, "id", m->ref);
    json_out_text(o, "object", "model");
    json_out_i64(o, "created", m->since_s);
    json_out_text(o, "owned_by", "orcd");
    json_out_u64(o, "max_model_len", m->n_ctx);
    json_out_close(o, '}');
}

void openai_models(struct exchange *x)
{
    const struct api_model *m = api_model(x);
    struct json_out o;
    if (!m)
        return;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "object", "list");
    json_out_open(&o, "data", '[');
    put_model(&o, m);
    json_out_close(&o, ']');
    json_out_close(&o, '}');
    exchange_answer_json(x, 200, &o);
}

void openai_model(struct exchange *x)
{
    const struct api_model *m = api_model(x);
    char id[HTTP_URI_BYTES + 1];
    struct json_out o;
    size_t n;
    if (!m)
        return;
    if (!exchange_parameter(x, id, sizeof(id), &n) || (strcmp(id, m->ref) != 0 && strcmp(id, m->name) != 0)) {
        http_error_set(
            &x->error, API_MODEL_NOT_FOUND, "this worker serves only the model \"%.128s\"", m->ref);
        return;
    }
    json_out_growing(&o);
    put_model(&o, m);
    exchange_answer_json(x, 200, &o);
}

void openai_completions_parse(struct exchange *x)
{
    const struct api_model *m = exchange_takes_work(x) ? api_model(x) : NULL;
    struct generation *g = m ? generation_new(x, &dialect_completions) : NULL;
    if (g)
        params_read_completion(g, m);
}

void openai_chat_parse(struct exchange *x)
{
    const struct api_model *m = exchange_takes_work(x) ? api_model(x) : NULL;
    struct generation *g = m ? generation_new(x, &dialect_chat) : NULL;
    if (g)
        params_read_chat(g, m);
}

void openai_run(struct exchange *x)
{
    struct generation *g = generation_of(x);
    if (g->stream)
        g->dialect->prepare(g);
    if (!x->error.code)
        choices_submit(g);
}
