#include <stdlib.h>
#include <string.h>

#include "json/out.h"
#include "lib/target-internal.h"

static uint64_t mix(uint64_t z)
{
    z += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Ids from 32 to 255 are ordinary tokens in every vocabulary that we know, the mock's
 * 256 bytes too. */
static void put_ids(struct json_out *o, const char *key, const struct target_prompt *p)
{
    json_out_open(o, key, '[');
    for (uint32_t i = 0; i < p->n_tokens; i++)
        json_out_u64(o, NULL, 32 + mix(mix(p->salt) + i) % 224);
    json_out_close(o, ']');
}

static void put_prompt(struct json_out *o, const struct target_prompt *p)
{
    if (p->n_tokens)
        put_ids(o, "prompt", p);
    else
        json_out_text(o, "prompt", p->text ? p->text : "");
}

static void put_orcd(struct json_out *o, const struct target_prompt *p)
{
    json_out_text(o, "job_id", p->job_id ? p->job_id : "bench");
    if (p->n_tokens)
        put_ids(o, "tokens", p);
    else
        json_out_text(o, "prompt", p->text ? p->text : "");
    json_out_bool(o, "stream", p->stream);
    json_out_open(o, "params", '{');
    json_out_u64(o, "max_tokens", p->max_tokens);
    json_out_u64(o, "temperature", 0);
    json_out_bool(o, "ignore_eos", true);
    if (p->timestamps)
        json_out_bool(o, "timestamps", true);
    if (p->params && *p->params) {
        json_out_raw(o, ",", 1);
        json_out_raw(o, p->params, strlen(p->params));
    }
    json_out_close(o, '}');
}

int target_request(
    struct target_request *out, const struct target *t, const struct target_prompt *p, struct orcd_error *err)
{
    static const char *const paths[] = {[TARGET_ORCD] = "/v2/execute",
        [TARGET_OPENAI] = "/v1/completions",
        [TARGET_LLAMACPP] = "/completion"};
    struct json_out o;
    struct target_request r = {.path = paths[t->kind.api]};
    json_out_growing(&o);
    json_out_open(&o, NULL, '{');
    if (t->kind.api == TARGET_ORCD) {
        put_orcd(&o, p);
    } else {
        if (t->kind.api == TARGET_OPENAI)
            json_out_text(&o, "model", t->model_id);
        put_prompt(&o, p);
        json_out_bool(&o, "stream", p->stream);
        json_out_u64(&o, t->kind.api == TARGET_OPENAI ? "max_tokens" : "n_predict", p->max_tokens);
        json_out_u64(&o, "temperature", 0);
        json_out_bool(&o, "ignore_eos", true);
        if (t->kind.api == TARGET_LLAMACPP)
            json_out_bool(&o, "cache_prompt", false);
    }
    json_out_close(&o, '}');
    r.body = json_out_take(&o, &r.n_body);
    if (!r.body)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    *out = r;
    return 0;
}

void target_request_release(struct target_request *r)
{
    free(r->body);
    r->body = NULL;
}
