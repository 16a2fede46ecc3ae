/* The handlers of the native API. */
#include "http/api-native.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json-out.h"
#include "base/log.h"
#include "base/util.h"
#include "http/internal.h"
#include "http/json-in.h"
#include "http/params.h"
#include "http/sse.h"
#include "observe/metrics.h"

#define JSON_TYPE "application/json"

static const struct http_model *model_or_error(struct exchange *x)
{
    const struct http_model *m = atomic_load(&x->server->model);
    if (!m) {
        http_error_set(&x->error, API_MODEL_LOADING, "the model is still loading");
        x->error.retry_after_s = 1;
    }
    return m;
}

static void answer_json(struct exchange *x, unsigned status, struct json_out *o)
{
    size_t n = 0;
    json_out_raw(o, "\n", 1);
    char *body = json_out_take(o, &n);
    exchange_answer(x, status, JSON_TYPE, body, n);
}

/* --- health, metrics, model ------------------------------------------------------------ */

static void health(struct exchange *x, enum health_probe probe)
{
    char buf[4096];
    size_t n;
    int status = health_render(x->server->health, probe, buf, sizeof(buf), &n);
    exchange_answer(x, (unsigned)status, JSON_TYPE, n ? strndup(buf, n) : NULL, n);
}

void api_health(struct exchange *x)
{
    health(x, HEALTH_READY);
}

void api_health_live(struct exchange *x)
{
    health(x, HEALTH_LIVE);
}

void api_metrics(struct exchange *x)
{
    struct engine_state e;
    engine_state(x->server->engine, &e);
    metric_set(MG_REQUESTS_RUNNING, e.slots_busy);
    metric_set(MG_REQUESTS_WAITING, e.queue_depth);
    metric_set(MG_KV_USAGE, e.kv_tokens_total ? (double)e.kv_tokens_used / (double)e.kv_tokens_total : 0);
    metric_set(MG_HEALTH_AGE, health_age_s(x->server->health));
    size_t n = 0;
    char *text = metrics_render(&n);
    exchange_answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", text, n);
}

void api_model(struct exchange *x)
{
    const struct http_model *m = model_or_error(x);
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
    answer_json(x, 200, &o);
}

/* --- execute ---------------------------------------------------------------------------- */

static bool accepts_jobs(struct exchange *x)
{
    if (!atomic_load(&x->server->draining))
        return true;
    http_error_set(&x->error, API_SHUTTING_DOWN, "this worker is shutting down");
    return false;
}

void api_execute_parse(struct exchange *x)
{
    if (!accepts_jobs(x))
        return;
    const struct http_model *m = model_or_error(x);
    if (m)
        params_read_job(&x->request, m, x->body, x->n_body, &x->error);
}

static void error_of_refusal(struct exchange *x, const struct engine_refusal *r)
{
    http_error_set(&x->error, r->code, "%s", r->message);
    x->error.retry_after_s = r->retry_after_s;
    if (r->predicted)
        snprintf(x->error.details, sizeof(x->error.details),
            "{\"predicted_ms\":%.0f,\"remaining_ms\":%.0f,\"queue_ms\":%.0f,\"prefill_ms\":%.0f,"
            "\"decode_ms\":%.0f,\"margin_ms\":%.0f}",
            r->predicted_ms, r->remaining_ms, r->queue_ms, r->prefill_ms, r->decode_ms, r->margin_ms);
}

void api_execute(struct exchange *x)
{
    const struct http_model *m = model_or_error(x);
    struct orcd_error err = ORCD_ERROR_INIT;
    struct request *r = &x->request;
    if (!m || !accepts_jobs(x))
        return;
    memcpy(r->correlation_id, x->correlation_id, sizeof(r->correlation_id));
    r->owner = x->owner;
    r->arrived_ns = x->arrived_ns;
    r->deadline_ns = x->deadline_ns;
    r->deadline_clamped = x->deadline_clamped;
    struct job *j;
    if (job_new(&j, r, m->tokenizer, &err)) {
        http_error_set(&x->error, API_INTERNAL, "%.200s", err.msg);
        return;
    }
    j->consumer = x;
    j->ready = exchange_job_ready;
    struct engine_refusal refusal;
    /* From a successful submit on, the job is the engine's too: everything that it may
     * call is set before. */
    atomic_fetch_add(&x->refs, 1);
    j->release = exchange_job_release;
    x->job = j;
    if (engine_submit(x->server->engine, j, &refusal) == API_OK)
        return;
    error_of_refusal(x, &refusal);
    x->job = NULL;
    x->logged = true; /* it never was a job */
    job_unref(j);
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

void api_execute_answer(struct exchange *x)
{
    const struct http_model *m = atomic_load(&x->server->model);
    const struct job *j = x->job;
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    sse_started_fields(&o, j, m ? m->ref : "");
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
    answer_json(x, 200, &o);
}

/* One line a job: never its prompt, never a key. */
void job_log(struct exchange *x)
{
    static const char *const phases[] = {"queue", "prefill", "decode", "done"};
    static const char *const finishes[] = {"none", "stop", "length", "stop_sequence", "deadline"};
    const struct job *j = x->job;
    if (!j || x->logged)
        return;
    x->logged = true;
    const struct job_end *e = &j->end;
    uint32_t delivered = atomic_load(&j->delivered);
    uint64_t admitted = atomic_load(&j->admitted_ns), now = clock_mono_ns();
    double slack =
        j->request.deadline_ns ? ((double)j->request.deadline_ns - (double)now) / (double)NS_PER_MS : 0;
    double predicted = (double)(j->predicted_end_ns - j->request.arrived_ns) / (double)NS_PER_MS;
    log_event(ORCD_LOG_INFO, "job ended", LOG_T("job_id", j->request.job_id),
        LOG_T("correlation_id", j->request.correlation_id),
        LOG_T("outcome", e->code ? api_code_name(e->code) : finishes[e->finish]),
        LOG_T("phase", phases[e->phase]),
        LOG_F("queue_ms", (double)((admitted ? admitted : now) - j->request.arrived_ns) / (double)NS_PER_MS),
        LOG_F("ttft_ms", e->ttft_ms), LOG_I("tokens_in", j->request.n_tokens), LOG_I("tokens", e->tokens_out),
        LOG_I("wasted", e->tokens_out > delivered ? e->tokens_out - delivered : 0),
        j->request.deadline_ns ? LOG_F("deadline_slack_ms", slack) : NULL,
        j->predicted_end_ns ? LOG_F("predicted_ms", predicted) : NULL, NULL);
}

/* --- cancel --------------------------------------------------------------------------------- */

static void cancel(struct exchange *x, const char *job_id)
{
    enum cancel_answer a = engine_cancel_of(x->server->engine, job_id, x->owner, x->arrived_ns);
    if (a == CANCEL_UNKNOWN) {
        http_error_set(&x->error, API_NOT_FOUND, "no job of this id is known");
        return;
    }
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "job_id", job_id);
    json_out_text(&o, "status", a == CANCEL_CANCELLING ? "cancelling" : "finished");
    json_out_close(&o, '}');
    answer_json(x, 202, &o);
}

void api_cancel_parse(struct exchange *x)
{
    params_read_job_id(x->request.job_id, x->body, x->n_body, &x->error);
}

void api_cancel(struct exchange *x)
{
    cancel(x, x->request.job_id);
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

void api_cancel_by_path(struct exchange *x)
{
    char id[JOB_ID_MAX + 1];
    size_t n = 0;
    for (const char *p = x->parameter; *p && *p != '?'; p++) {
        if (n == JOB_ID_MAX) {
            n = 0;
            break;
        }
        id[n++] = *p;
        if (*p == '%') { /* the gate saw two hex digits after it */
            id[n - 1] = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
            p += 2;
        }
    }
    id[n] = 0;
    if (params_job_id_ok(id, n))
        cancel(x, id);
    else
        http_error_set(&x->error, API_NOT_FOUND, "no job of this id is known");
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
            json_in_fail(&in, name, "is no field of this request");
    }
    if (!t->has_text)
        json_in_fail(&in, "text", "is required");
}

void api_tokenize(struct exchange *x)
{
    const struct http_model *m = model_or_error(x);
    json_object *root = m ? json_in_parse(x->body, x->n_body, &x->error) : NULL;
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
    answer_json(x, 200, &o);
}

/* The ids of {"tokens":[...]}, malloc'ed. */
static int32_t *read_ids(struct exchange *x, const struct http_model *m, json_object *root, size_t *n)
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
            json_in_fail(&in, name, "is no field of this request");
    }
    if (!list)
        json_in_fail(&in, "tokens", "is required");
    if (!json_in_type(&in, "tokens", list, json_type_array, "an array of token ids"))
        return NULL;
    *n = json_object_array_length(list);
    int32_t *ids = malloc((*n + 1) * sizeof(*ids));
    if (!ids)
        http_error_set(&x->error, API_INTERNAL, "out of memory");
    for (size_t i = 0; ids && i < *n; i++) {
        uint64_t id;
        if (!json_in_u64(&in, "tokens", json_object_array_get_idx(list, i), 0, m->n_vocab - 1, &id))
            break;
        ids[i] = (int32_t)id;
    }
    return ids;
}

void api_detokenize(struct exchange *x)
{
    const struct http_model *m = model_or_error(x);
    json_object *root = m ? json_in_parse(x->body, x->n_body, &x->error) : NULL;
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
    answer_json(x, 200, &o);
}

/* --- shutdown -------------------------------------------------------------------------------------- */

void api_shutdown(struct exchange *x)
{
    if (!x->server->params.shutdown) {
        http_error_set(&x->error, API_NOT_FOUND, "this worker is not to be shut down over HTTP");
        return;
    }
    struct json_out o;
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    json_out_text(&o, "status", "shutting_down");
    json_out_close(&o, '}');
    answer_json(x, 202, &o);
    x->server->params.shutdown();
}
