#include "api/params-fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/util.h"

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

void params_u32(struct json_in *in, const char *name, json_object *v, uint64_t lo, uint64_t hi, uint32_t *out)
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
            params_u32(in, name, v, (uint64_t)p->lo, (uint64_t)p->hi, at);
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

bool params_token_key(const char *key, uint32_t n_vocab, int32_t *id)
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
        http_error_set(in->error, API_OUT_OF_MEMORY, "out of memory");
        return;
    }
    json_object_object_foreach(v, key, value)
    {
        struct sample_bias *b = &r->sampling.bias[r->sampling.n_bias];
        if (!params_token_key(key, model->n_vocab, &b->id)) {
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

/* The first words are OpenAI's: client libraries look for them. */
void params_too_long(
    struct http_error *error, uint64_t prompt, bool at_least, uint32_t max_tokens, uint32_t n_ctx)
{
    const uint64_t all = prompt + max_tokens;
    if (max_tokens)
        http_error_set(error, API_CONTEXT_LENGTH_EXCEEDED,
            "This model's maximum context length is %u tokens; %llu in the prompt and max_tokens %u are %llu",
            n_ctx, (unsigned long long)prompt, max_tokens, (unsigned long long)all);
    else
        http_error_set(error, API_CONTEXT_LENGTH_EXCEEDED,
            "This model's maximum context length is %u tokens; the prompt has %s%llu", n_ctx,
            at_least ? "at least " : "", (unsigned long long)prompt);
    http_error_detail_numbers(error, "tokens", all, "context_length", n_ctx);
}

void params_tokens(struct json_in *in, const struct api_model *model, struct request *r, const char *field,
    json_object *list)
{
    if (!json_in_type(in, field, list, json_type_array, "an array of token ids"))
        return;
    size_t n = json_object_array_length(list);
    if (n > model->n_ctx) {
        params_too_long(in->error, n, false, 0, model->n_ctx);
        return;
    }
    r->tokens = calloc(n ? n : 1, sizeof(*r->tokens));
    if (!r->tokens) {
        http_error_set(in->error, API_OUT_OF_MEMORY, "out of memory");
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
        params_too_long(in->error, n / longest, true, 0, model->n_ctx);
        return;
    }
    if (tokenizer_encode(model->tokenizer, text, n, flags, &r->tokens, &n_ids, &err)) {
        http_error_set(in->error, API_INTERNAL, "the prompt could not be tokenized");
        return;
    }
    if (n_ids > model->n_ctx)
        params_too_long(in->error, n_ids, false, 0, model->n_ctx);
    else
        r->n_tokens = (uint32_t)n_ids;
}

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

uint64_t params_seed(void)
{
    return random_u64() >> 11; /* 53 bits: exact in every JSON reader */
}
