#include "api/params.h"

#include <ctype.h>
#include <string.h>

#include "api/params-chat.h"
#include "api/params-fields.h"
#include "base/util.h"

/* Without max_tokens: what is left of the context, at most this. */
#define DEFAULT_MAX_TOKENS 1024

/* The fields of one request before its text is tokenized. */
struct draft {
    struct request *r;
    const struct api_model *model;
    json_object *prompt, *tokens, *messages;
    struct chat_options chat;
    bool has_max_tokens, has_seed, has_kwargs, add_special, parse_special;
};

bool params_job_id_ok(const char *id, size_t n)
{
    if (n < 1 || n > JOB_ID_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)id[i]) && !strchr("._:-", id[i]))
            return false;
    return true;
}

static void read_job_id(struct json_in *in, json_object *v, char out[JOB_ID_MAX + 1])
{
    const char *s;
    size_t n;
    if (!json_in_text(in, "job_id", v, &s, &n))
        return;
    if (!params_job_id_ok(s, n)) {
        json_in_fail(in, "job_id", "must be 1 to %d characters out of A-Z a-z 0-9 . _ : -", JOB_ID_MAX);
        return;
    }
    memcpy(out, s, n + 1);
}

/* --- params ------------------------------------------------------------------------------ */

static void read_param(struct json_in *in, struct draft *d, const char *name, json_object *v)
{
    struct request *r = d->r;
    if (params_simple(in, r, name, v))
        return;
    if (strcmp(name, "max_tokens") == 0) {
        params_u32(in, name, v, 1, d->model->n_ctx, &r->max_tokens);
        d->has_max_tokens = true;
    } else if (strcmp(name, "top_k") == 0) {
        params_u32(in, name, v, 0, d->model->n_vocab, &r->sampling.top_k);
    } else if (strcmp(name, "repeat_last_n") == 0) {
        params_u32(in, name, v, 0, d->model->n_ctx, &r->sampling.repeat_last_n);
    } else if (strcmp(name, "seed") == 0) {
        json_in_u64(in, name, v, 0, UINT64_MAX, &r->sampling.seed);
        d->has_seed = true;
    } else if (strcmp(name, "stop") == 0) {
        params_stop(in, r, v);
    } else if (strcmp(name, "logit_bias") == 0) {
        params_logit_bias(in, d->model, r, v);
    } else if (strcmp(name, "on_deadline") == 0) {
        params_on_deadline(in, r, v);
    } else if (strcmp(name, "add_special") == 0) {
        json_in_bool(in, name, v, &d->add_special);
    } else if (strcmp(name, "parse_special") == 0) {
        json_in_bool(in, name, v, &d->parse_special);
    } else {
        json_in_unknown(in, name);
    }
}

static void read_params(struct http_error *error, struct draft *d, json_object *params)
{
    struct json_in top = {error, ""}, in = {error, "params."};
    if (!json_in_type(&top, "params", params, json_type_object, "an object"))
        return;
    json_object_object_foreach(params, name, v)
    {
        if (error->code)
            return;
        read_param(&in, d, name, v);
    }
}

/* --- prompt ---------------------------------------------------------------------------------- */

static void read_input(struct http_error *error, struct draft *d)
{
    struct json_in in = {error, ""};
    struct request *r = d->r;
    if (error->code)
        return;
    if ((d->prompt != NULL) + (d->tokens != NULL) + (d->messages != NULL) != 1) {
        http_error_set(
            error, API_INVALID_REQUEST, "exactly one of prompt, messages and tokens must be given");
        return;
    }
    if (d->has_kwargs && !d->messages)
        json_in_fail(&in, "chat_template_kwargs", "requires messages");
    unsigned flags =
        (d->add_special ? TOKENIZE_ADD_SPECIAL : 0u) | (d->parse_special ? TOKENIZE_PARSE_SPECIAL : 0u);
    if (d->messages)
        params_messages(&in, d->model, r, &d->chat, d->messages);
    else if (d->prompt)
        params_prompt(&in, d->model, r, d->prompt, flags);
    else
        params_tokens(&in, d->model, r, "tokens", d->tokens);
    if (error->code)
        return;
    if (r->n_tokens == 0) {
        json_in_fail(&in, d->messages ? "messages" : d->prompt ? "prompt" : "tokens", "has no tokens");
        return;
    }
    /* The last sampled token is never fed, so it needs no room in the context. */
    uint32_t left = d->model->n_ctx + 1 - r->n_tokens;
    if (!d->has_max_tokens)
        r->max_tokens = (uint32_t)min_u64(left, DEFAULT_MAX_TOKENS);
    if (r->max_tokens > left)
        params_too_long(error, r->n_tokens, false, r->max_tokens, d->model->n_ctx);
}

/* --- the whole ----------------------------------------------------------------------------------- */

static void read_top(struct http_error *error, struct draft *d, json_object *root)
{
    struct json_in in = {error, ""};
    bool has_id = false;
    if (!json_object_is_type(root, json_type_object)) {
        http_error_set(error, API_INVALID_REQUEST, "request body must be a JSON object");
        return;
    }
    json_object_object_foreach(root, name, v)
    {
        if (strcmp(name, "job_id") == 0) {
            read_job_id(&in, v, d->r->job_id);
            has_id = true;
        } else if (strcmp(name, "model_ref") == 0) {
            params_model(&in, d->model, name, v);
        } else if (strcmp(name, "prompt") == 0) {
            if (json_in_type(&in, name, v, json_type_string, "a string"))
                d->prompt = v;
        } else if (strcmp(name, "tokens") == 0) {
            if (json_in_type(&in, name, v, json_type_array, "an array of token ids"))
                d->tokens = v;
        } else if (strcmp(name, "stream") == 0) {
            json_in_bool(&in, name, v, &d->r->stream);
        } else if (strcmp(name, "params") == 0) {
            read_params(error, d, v);
        } else if (strcmp(name, "messages") == 0) {
            if (params_messages_known(&in, v))
                d->messages = v;
        } else if (strcmp(name, "chat_template_kwargs") == 0) {
            d->has_kwargs = params_kwargs_known(&in, v);
            params_template_kwargs(&in, &d->chat, v);
        } else {
            json_in_unknown(&in, name);
        }
        if (error->code)
            return;
    }
    if (!has_id)
        json_in_fail(&in, "job_id", "is required");
}

bool params_read_job(
    struct request *r, const struct api_model *model, const char *body, size_t n, struct http_error *error)
{
    struct draft d = {.r = r, .model = model, .add_special = true, .chat = CHAT_OPTIONS_INIT};
    json_object *root = json_in_parse(body, n, error);
    if (!root)
        return false;
    sample_params_default(&r->sampling);
    r->stream = true;
    read_top(error, &d, root);
    read_input(error, &d);
    if (d.messages && !error->code)
        chat_split_init(&r->answer, model->chat, &d.chat);
    json_object_put(root);
    if (!d.has_seed)
        r->sampling.seed = params_seed();
    r->sampling.want_logprob = r->sampling.n_logprobs > 0;
    return !error->code;
}

bool params_read_job_id(char job_id[JOB_ID_MAX + 1], const char *body, size_t n, struct http_error *error)
{
    struct json_in in = {error, ""};
    json_object *root = json_in_parse(body, n, error);
    if (!root)
        return false;
    bool has_id = false;
    if (!json_object_is_type(root, json_type_object)) {
        http_error_set(error, API_INVALID_REQUEST, "request body must be a JSON object");
    } else {
        json_object_object_foreach(root, name, v)
        {
            has_id = strcmp(name, "job_id") == 0;
            if (has_id)
                read_job_id(&in, v, job_id);
            else
                json_in_unknown(&in, name);
        }
        if (!has_id)
            json_in_fail(&in, "job_id", "is required");
    }
    json_object_put(root);
    return !error->code;
}
