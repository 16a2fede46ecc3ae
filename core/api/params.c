#include "api/params.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "api/params-chat.h"
#include "api/params-internal.h"
#include "base/random.h"
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

enum param_kind { P_F32, P_U32, P_BOOL };
#define SAMPLING(field) offsetof(struct request, sampling.field)
static const struct param {
    const char *name;
    enum param_kind kind;
    size_t at;
    double lo, hi;
    bool lo_open;
} simple_params[] = {
    {"temperature", P_F32, SAMPLING(temperature), 0, 2, false},
    {"top_p", P_F32, SAMPLING(top_p), 0, 1, false},
    {"min_p", P_F32, SAMPLING(min_p), 0, 1, false},
    {"typical_p", P_F32, SAMPLING(typical_p), 0, 1, false},
    {"repetition_penalty", P_F32, SAMPLING(repetition_penalty), 0, 2, true},
    {"frequency_penalty", P_F32, SAMPLING(frequency_penalty), -2, 2, false},
    {"presence_penalty", P_F32, SAMPLING(presence_penalty), -2, 2, false},
    {"logprobs", P_U32, SAMPLING(n_logprobs), 0, SAMPLE_MAX_LOGPROBS, false},
    {"ignore_eos", P_BOOL, offsetof(struct request, ignore_eos), 0, 0, false},
    {"timestamps", P_BOOL, offsetof(struct request, timestamps), 0, 0, false},
};

static void read_u32(
    struct json_in *in, const char *name, json_object *v, uint64_t lo, uint64_t hi, uint32_t *out)
{
    uint64_t value;
    if (json_in_u64(in, name, v, lo, hi, &value))
        *out = (uint32_t)value;
}

bool params_simple(struct json_in *in, struct request *r, const char *name, json_object *v)
{
    for (size_t i = 0; i < ARRAY_LEN(simple_params); i++) {
        const struct param *p = &simple_params[i];
        void *at = (char *)r + p->at;
        if (strcmp(name, p->name) != 0)
            continue;
        if (p->kind == P_F32)
            json_in_f32(in, name, v, p->lo, p->hi, p->lo_open, at);
        else if (p->kind == P_U32)
            read_u32(in, name, v, (uint64_t)p->lo, (uint64_t)p->hi, at);
        else
            json_in_bool(in, name, v, at);
        return true;
    }
    return false;
}

bool params_add_stop(struct json_in *in, struct request *r, json_object *v)
{
    const char *s;
    size_t n;
    if (!json_in_text(in, "stop", v, &s, &n))
        return false;
    if (n < 1 || n > JOB_STOP_BYTES) {
        json_in_fail(in, "stop", "must hold strings of 1 to %d bytes", JOB_STOP_BYTES);
        return false;
    }
    r->stop[r->n_stop].n = (uint32_t)n;
    memcpy(r->stop[r->n_stop++].text, s, n);
    return true;
}

void params_stop(struct json_in *in, struct request *r, json_object *v)
{
    if (!json_in_type(in, "stop", v, json_type_array, "an array of strings"))
        return;
    size_t n = json_object_array_length(v);
    if (n > JOB_STOP_MAX) {
        json_in_fail(in, "stop", "must have at most %d strings", JOB_STOP_MAX);
        return;
    }
    r->n_stop = 0;
    for (size_t i = 0; i < n; i++)
        if (!params_add_stop(in, r, json_object_array_get_idx(v, i)))
            return;
}

/* A token id as an object's key: plain decimal, no sign, no leading zero. */
static bool read_token_key(const char *key, uint32_t n_vocab, int32_t *id)
{
    size_t n = strlen(key);
    if (n < 1 || n > 9 || key[strspn(key, "0123456789")] || (key[0] == '0' && n > 1))
        return false;
    *id = (int32_t)strtol(key, NULL, 10);
    return (uint32_t)*id < n_vocab;
}

void params_logit_bias(struct json_in *in, const struct api_model *model, struct request *r, json_object *v)
{
    if (!json_in_type(in, "logit_bias", v, json_type_object, "an object of token ids"))
        return;
    int n = json_object_object_length(v);
    if (n > SAMPLE_MAX_BIAS) {
        json_in_fail(in, "logit_bias", "must have at most %d entries", SAMPLE_MAX_BIAS);
        return;
    }
    if (n == 0)
        return;
    r->sampling.bias = calloc((size_t)n, sizeof(*r->sampling.bias));
    if (!r->sampling.bias) {
        http_error_set(in->error, API_INTERNAL, "out of memory");
        return;
    }
    json_object_object_foreach(v, key, value)
    {
        struct sample_bias *b = &r->sampling.bias[r->sampling.n_bias];
        if (!read_token_key(key, model->n_vocab, &b->id)) {
            json_in_fail(
                in, "logit_bias", "has the key \"%.32s\": must be a token id below %u", key, model->n_vocab);
            return;
        }
        if (!json_in_f32(in, "logit_bias", value, -100, 100, false, &b->value))
            return;
        r->sampling.n_bias++;
    }
}

void params_on_deadline(struct json_in *in, struct request *r, json_object *v)
{
    const char *s;
    size_t n;
    if (!json_in_text(in, "on_deadline", v, &s, &n))
        return;
    r->deadline_partial = strcmp(s, "partial") == 0;
    if (!r->deadline_partial && strcmp(s, "error") != 0)
        json_in_fail(in, "on_deadline", "must be \"error\" or \"partial\"");
}

static void read_param(struct json_in *in, struct draft *d, const char *name, json_object *v)
{
    struct request *r = d->r;
    if (params_simple(in, r, name, v))
        return;
    if (strcmp(name, "max_tokens") == 0) {
        read_u32(in, name, v, 1, d->model->n_ctx, &r->max_tokens);
        d->has_max_tokens = true;
    } else if (strcmp(name, "top_k") == 0) {
        read_u32(in, name, v, 0, d->model->n_vocab, &r->sampling.top_k);
    } else if (strcmp(name, "repeat_last_n") == 0) {
        read_u32(in, name, v, 0, d->model->n_ctx, &r->sampling.repeat_last_n);
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

void params_too_long(struct http_error *error, uint64_t tokens, uint32_t n_ctx)
{
    http_error_set(error, API_CONTEXT_LENGTH_EXCEEDED,
        "prompt and max_tokens need %llu tokens, the context has %u", (unsigned long long)tokens, n_ctx);
    http_error_detail_numbers(error, "tokens", tokens, "context_length", n_ctx);
}

void params_tokens(struct json_in *in, const struct api_model *model, struct request *r, const char *field,
    json_object *list)
{
    if (!json_in_type(in, field, list, json_type_array, "an array of token ids"))
        return;
    size_t n = json_object_array_length(list);
    if (n > model->n_ctx) {
        params_too_long(in->error, n, model->n_ctx);
        return;
    }
    r->tokens = calloc(n ? n : 1, sizeof(*r->tokens));
    if (!r->tokens) {
        http_error_set(in->error, API_INTERNAL, "out of memory");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t id;
        if (!json_in_u64(in, field, json_object_array_get_idx(list, i), 0, model->n_vocab - 1, &id))
            return;
        r->tokens[i] = (int32_t)id;
    }
    r->n_tokens = (uint32_t)n;
}

void params_prompt(
    struct json_in *in, const struct api_model *model, struct request *r, json_object *prompt, unsigned flags)
{
    const char *text;
    size_t n, n_ids = 0, longest = tokenizer_max_piece_bytes(model->tokenizer);
    struct orcd_error err = ORCD_ERROR_INIT;
    if (!json_in_text(in, "prompt", prompt, &text, &n))
        return;
    /* No token is longer than `longest` bytes, so this many bytes need more tokens than the
     * context has: refused without tokenizing them. */
    if (longest && n / longest > model->n_ctx) {
        params_too_long(in->error, n / longest, model->n_ctx);
        return;
    }
    if (tokenizer_encode(model->tokenizer, text, n, flags, &r->tokens, &n_ids, &err)) {
        http_error_set(in->error, API_INTERNAL, "the prompt could not be tokenized");
        return;
    }
    if (n_ids > model->n_ctx)
        params_too_long(in->error, n_ids, model->n_ctx);
    else
        r->n_tokens = (uint32_t)n_ids;
}

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
        params_too_long(error, (uint64_t)r->n_tokens + r->max_tokens, d->model->n_ctx);
}

/* --- the whole ----------------------------------------------------------------------------------- */

void params_model(struct json_in *in, const struct api_model *model, const char *field, json_object *v)
{
    const char *s;
    size_t n;
    if (!json_in_text(in, field, v, &s, &n))
        return;
    if (strcmp(s, model->ref) != 0 && strcmp(s, model->name) != 0)
        http_error_set(
            in->error, API_MODEL_NOT_FOUND, "this worker serves only the model \"%.128s\"", model->ref);
}

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

uint64_t params_seed(void)
{
    return random_u64() >> 11; /* 53 bits: exact in every JSON reader */
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
