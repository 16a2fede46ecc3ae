/* logit_bias of OpenAI's requests, in the forms that other servers accept, too. */
#include <stdlib.h>
#include <string.h>

#include "api/params-fields.h"
#include "api/params-openai.h"

/* false means never, as -100 does. */
static bool read_value(struct json_in *in, json_object *v, float *out)
{
    *out = -100;
    return (json_object_is_type(v, json_type_boolean) && !json_object_get_boolean(v)) ||
           json_in_f32(in, "logit_bias", v, -100, 100, false, out);
}

static bool add(struct json_in *in, struct sample_params *p, uint32_t *cap, int32_t id, float value)
{
    if (p->n_bias == SAMPLE_MAX_BIAS) {
        json_in_fail(in, "logit_bias", "must have at most %d tokens", SAMPLE_MAX_BIAS);
        return false;
    }
    if (p->n_bias == *cap) {
        const uint32_t more = *cap ? 2 * *cap : 16;
        struct sample_bias *bigger = realloc(p->bias, more * sizeof(*bigger));
        if (!bigger) {
            http_error_set(in->error, API_OUT_OF_MEMORY, "out of memory");
            return false;
        }
        p->bias = bigger;
        *cap = more;
    }
    p->bias[p->n_bias++] = (struct sample_bias){.id = id, .value = value};
    return true;
}

/* Each token of a text. */
static bool add_text(struct json_in *in, const struct openai_request *q, struct sample_params *p,
    uint32_t *cap, const char *text, float value)
{
    int32_t *ids = NULL;
    size_t n = 0;
    if (tokenizer_encode(q->model->tokenizer, text, strlen(text), 0, &ids, &n, NULL)) {
        json_in_fail(in, "logit_bias", "has a text that cannot be tokenized");
        return false;
    }
    bool good = true;
    for (size_t i = 0; i < n && good; i++)
        good = add(in, p, cap, ids[i], value);
    free(ids);
    return good;
}

static bool read_object(struct json_in *in, struct openai_request *q, uint32_t *cap, json_object *v)
{
    json_object_object_foreach(v, key, value)
    {
        int32_t id;
        float bias;
        if (!read_value(in, value, &bias))
            return false;
        if (!params_token_key(key, q->model->n_vocab, &id) && !key[strspn(key, "0123456789")]) {
            json_in_fail(in, "logit_bias", "has the key \"%.32s\": must be a token id below %u, or a text",
                key, q->model->n_vocab);
            return false;
        }
        if (params_token_key(key, q->model->n_vocab, &id) ? !add(in, &q->r.sampling, cap, id, bias)
                                                          : !add_text(in, q, &q->r.sampling, cap, key, bias))
            return false;
    }
    return true;
}

/* [[id or text, bias], ...] */
static bool read_list(struct json_in *in, struct openai_request *q, uint32_t *cap, json_object *v)
{
    for (size_t i = 0; i < json_object_array_length(v); i++) {
        json_object *pair = json_object_array_get_idx(v, i), *token;
        uint64_t id;
        float bias;
        if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2) {
            json_in_fail(in, "logit_bias", "must be an object, or a list of pairs of a token and its bias");
            return false;
        }
        token = json_object_array_get_idx(pair, 0);
        if (!read_value(in, json_object_array_get_idx(pair, 1), &bias))
            return false;
        if (json_object_is_type(token, json_type_string)) {
            if (!add_text(in, q, &q->r.sampling, cap, json_object_get_string(token), bias))
                return false;
        } else if (!json_in_u64(in, "logit_bias", token, 0, q->model->n_vocab - 1, &id) ||
                   !add(in, &q->r.sampling, cap, (int32_t)id, bias)) {
            return false;
        }
    }
    return true;
}

void openai_read_bias(struct json_in *in, struct openai_request *q, json_object *v)
{
    uint32_t cap = 0;
    if (json_object_is_type(v, json_type_array))
        read_list(in, q, &cap, v);
    else if (json_in_type(in, "logit_bias", v, json_type_object, "an object or a list"))
        read_object(in, q, &cap, v);
}
