/* The handlers of the native API. */
#include "api/native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/dialect.h"
#include "api/params.h"
#include "http/json-in.h"
#include "http/keys.h"
#include "metrics.h"

#define JSON_TYPE "application/json"

/* --- health, metrics, model ------------------------------------------------------------ */

static void health(struct exchange *x, enum health_probe probe)
{
    char buf[4096];
    size_t n;
    int status = health_render(api_of(x)->params.health, probe, buf, sizeof(buf), &n);
    exchange_answer(x, (unsigned)status, JSON_TYPE, n ? strndup(buf, n) : NULL, n);
}

void native_health(struct exchange *x)
{
    health(x, HEALTH_READY);
}

void native_health_live(struct exchange *x)
{
    health(x, HEALTH_LIVE);
}

void native_metrics(struct exchange *x)
{
    metric_set(MG_HTTP_CONNECTIONS, exchange_server_connections(x));
    metric_set(MG_HTTP_HELD, (double)exchange_server_held(x));
    struct engine_state e;
    engine_state(api_of(x)->params.engine, &e);
    metric_set(MG_REQUESTS_RUNNING, e.slots_busy);
    metric_set(MG_REQUESTS_WAITING, e.queue_depth);
    metric_set(MG_KV_USAGE, e.kv_tokens_total ? (double)e.kv_tokens_used / (double)e.kv_tokens_total : 0);
    metric_set(MG_HEALTH_AGE, health_age_s(api_of(x)->params.health));
    size_t n = 0;
    metric_process();
    char *text = metric_render(&n);
    exchange_answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", text, n);
}

void native_model(struct exchange *x)
{
    const struct api_model *m = api_model(x);
    if (!m)
        return;
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "model", m->name);
    json_out_text(&o, "model_ref", m->ref);
    json_out_text(&o, "architecture", m->arch);
    json_out_text(&o, "quant_kind", m->quant_kind);
    json_out_text(&o, "tokenizer_kind", tokenizer_kind(m->tokenizer));
    json_out_text(&o, "chat_template", chat_family(m->chat));
    json_out_u64(&o, "context_length", m->n_ctx);
    json_out_u64(&o, "vocab_size", m->n_vocab);
    json_out_u64(&o, "weight_bytes", m->weight_bytes);
    int32_t bos = tokenizer_bos(m->tokenizer), eos = tokenizer_eos(m->tokenizer);
    if (bos >= 0)
        json_out_i64(&o, "bos_token_id", bos);
    else
        json_out_null(&o, "bos_token_id");
    if (eos >= 0)
        json_out_i64(&o, "eos_token_id", eos);
    else
        json_out_null(&o, "eos_token_id");
    json_out_close(&o, '}');
    exchange_answer_json(x, 200, &o);
}

/* --- execute ---------------------------------------------------------------------------- */

void native_execute_parse(struct exchange *x)
{
    if (!exchange_takes_work(x))
        return;
    const struct api_model *m = api_model(x);
    struct generation *g = m ? generation_new(x, &dialect_native) : NULL;
    if (!g || !choices_new(g, 1))
        return;
    struct choice *c = &g->choices[0];
    if (params_read_job(&c->request, m, x->body.text, x->body.n, &x->error)) {
        g->stream = c->request.stream;
        c->cursor.split = c->request.answer;
    }
}

void native_execute(struct exchange *x)
{
    choices_submit(generation_of(x));
}

/* --- cancel --------------------------------------------------------------------------------- */

static void cancel(struct exchange *x, const char *job_id)
{
    struct engine *e = api_of(x)->params.engine;
    enum cancel_answer a = engine_cancel_of(e, job_id, x->owner, x->arrived_ns);
    if (a == CANCEL_UNKNOWN && x->key && x->key->admin)
        a = engine_cancel_of(e, job_id, JOB_OWNER_ANY, x->arrived_ns);
    if (a == CANCEL_UNKNOWN) {
        http_error_set(&x->error, API_NOT_FOUND, "no job with this id is known");
        return;
    }
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "job_id", job_id);
    json_out_text(&o, "status", a == CANCEL_CANCELLING ? "cancelling" : "finished");
    json_out_close(&o, '}');
    exchange_answer_json(x, 202, &o);
}

static const struct http_work job_id_work = {.free = free};

/* Large bodies are parsed on an intake thread, so the id is kept for native_cancel(). */
void native_cancel_parse(struct exchange *x)
{
    char id[JOB_ID_MAX + 1], *copy;
    if (!params_read_job_id(id, x->body.text, x->body.n, &x->error))
        return;
    if ((copy = strdup(id)))
        exchange_attach(x, &job_id_work, copy);
    else
        http_error_set(&x->error, API_OUT_OF_MEMORY, "out of memory");
}

void native_cancel(struct exchange *x)
{
    cancel(x, x->work);
}

void native_cancel_by_path(struct exchange *x)
{
    char id[JOB_ID_MAX + 1];
    size_t n;
    if (exchange_parameter(x, id, sizeof(id), &n) && params_job_id_ok(id, n))
        cancel(x, id);
    else
        http_error_set(&x->error, API_NOT_FOUND, "no job with this id is known");
}

/* --- tokens --------------------------------------------------------------------------------------- */

struct text_request {
    const char *text;
    size_t n;
    bool add_special, parse_special, has_text;
};

static void read_text_request(struct exchange *x, json_object *root, struct text_request *t)
{
    struct json_in in = {&x->error, ""};
    if (!json_in_type(&in, "body", root, json_type_object, "an object"))
        return;
    json_object_object_foreach(root, name, v)
    {
        if (strcmp(name, "text") == 0)
            t->has_text = json_in_text(&in, name, v, &t->text, &t->n);
        else if (strcmp(name, "add_special") == 0)
            json_in_bool(&in, name, v, &t->add_special);
        else if (strcmp(name, "parse_special") == 0)
            json_in_bool(&in, name, v, &t->parse_special);
        else
            json_in_unknown(&in, name);
    }
    if (!t->has_text)
        json_in_fail(&in, "text", "is required");
}

void native_tokenize(struct exchange *x)
{
    const struct api_model *m = api_model(x);
    json_object *root = m ? json_in_parse(x->body.text, x->body.n, &x->error) : NULL;
    if (!root)
        return;
    struct text_request t = {.add_special = true};
    int32_t *ids = NULL;
    size_t n = 0;
    read_text_request(x, root, &t);
    unsigned flags =
        (t.add_special ? TOKENIZE_ADD_SPECIAL : 0u) | (t.parse_special ? TOKENIZE_PARSE_SPECIAL : 0u);
    if (!x->error.code && tokenizer_encode(m->tokenizer, t.text, t.n, flags, &ids, &n, NULL))
        http_error_set(&x->error, API_INTERNAL, "the text could not be tokenized");
    json_object_put(root);
    if (x->error.code)
        return;
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_open(&o, "tokens", '[');
    for (size_t i = 0; i < n; i++)
        json_out_i64(&o, NULL, ids[i]);
    json_out_close(&o, ']');
    json_out_u64(&o, "count", n);
    json_out_close(&o, '}');
    free(ids);
    exchange_answer_json(x, 200, &o);
}

/* The ids of {"tokens":[...]}, malloc'ed. */
static int32_t *read_ids(struct exchange *x, const struct api_model *m, json_object *root, size_t *n)
{
    struct json_in in = {&x->error, ""};
    json_object *list = NULL;
    if (!json_in_type(&in, "body", root, json_type_object, "an object"))
        return NULL;
    json_object_object_foreach(root, name, v)
    {
        if (strcmp(name, "tokens") == 0)
            list = v;
        else
            json_in_unknown(&in, name);
    }
    if (!list)
        json_in_fail(&in, "tokens", "is required");
    if (!json_in_type(&in, "tokens", list, json_type_array, "an array of token ids"))
        return NULL;
    *n = json_object_array_length(list);
    int32_t *ids = malloc((*n + 1) * sizeof(*ids));
    if (!ids)
        http_error_set(&x->error, API_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; ids && i < *n; i++) {
        uint64_t id;
        if (!json_in_u64(&in, "tokens", json_object_array_get_idx(list, i), 0, m->n_vocab - 1, &id))
            break;
        ids[i] = (int32_t)id;
    }
    return ids;
}

void native_detokenize(struct exchange *x)
{
    const struct api_model *m = api_model(x);
    json_object *root = m ? json_in_parse(x->body.text, x->body.n, &x->error) : NULL;
    if (!root)
        return;
    size_t n = 0, n_text = 0;
    char *text = NULL;
    int32_t *ids = read_ids(x, m, root, &n);
    if (!x->error.code && tokenizer_decode(m->tokenizer, ids, n, true, &text, &n_text, NULL))
        http_error_set(&x->error, API_INTERNAL, "the tokens could not be decoded");
    free(ids);
    json_object_put(root);
    if (x->error.code)
        return;
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_text_n(&o, "text", text, n_text);
    json_out_close(&o, '}');
    free(text);
    exchange_answer_json(x, 200, &o);
}

/* --- shutdown -------------------------------------------------------------------------------------- */

void native_shutdown(struct exchange *x)
{
    const struct api_params *p = &api_of(x)->params;
    if (!p->shutdown) {
        http_error_set(&x->error, API_NOT_FOUND, "this worker cannot be shut down over HTTP");
        return;
    }
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "status", "shutting_down");
    json_out_close(&o, '}');
    exchange_answer_json(x, 202, &o);
    p->shutdown(p->shutdown_arg);
}
