#include "api/params-openai.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/params-fields.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/util.h"

static const char *text_of(json_object *v)
{
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

static bool is_empty_list(json_object *v)
{
    return json_object_is_type(v, json_type_array) && json_object_array_length(v) == 0;
}

static bool is_one(json_object *v)
{
    return json_object_is_type(v, json_type_int) && json_object_get_int64(v) == 1;
}

static bool is_empty_text(json_object *v)
{
    return json_object_is_type(v, json_type_string) && !text_of(v)[0];
}

static bool is_no_tool(json_object *v)
{
    return strcmp(text_of(v), "none") == 0 || strcmp(text_of(v), "auto") == 0;
}

static bool is_text_format(json_object *v)
{
    json_object *type = NULL;
    return json_object_is_type(v, json_type_object) && json_object_object_get_ex(v, "type", &type) &&
           strcmp(text_of(type), "text") == 0;
}

static bool is_text_only(json_object *v)
{
    return json_object_is_type(v, json_type_array) && json_object_array_length(v) == 1 &&
           strcmp(text_of(json_object_array_get_idx(v, 0)), "text") == 0;
}

/* What says that the feature is not wanted. */
static bool is_off(json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_boolean:
        return !json_object_get_boolean(v);
    case json_type_array:
        return json_object_array_length(v) == 0;
    case json_type_object:
        return json_object_object_length(v) == 0;
    case json_type_string:
        return !text_of(v)[0];
    default:
        return json_object_is_type(v, json_type_null);
    }
}

static bool is_true(json_object *v)
{
    return json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}

static bool never(json_object *v)
{
    (void)v;
    return false;
}

/* Fields of OpenAI's API, and of what other servers add to it, that this server does not support. To ignore
 * them would answer another question, so only values are accepted that change nothing. */
static const struct {
    const char *name;
    bool (*harmless)(json_object *v);
} unsupported[] = {
    {"tools", is_empty_list},
    {"tool_choice", is_no_tool},
    {"functions", is_empty_list},
    {"function_call", is_no_tool},
    {"response_format", is_text_format},
    {"suffix", is_empty_text},
    {"best_of", is_one},
    {"audio", never},
    {"modalities", is_text_only},
    {"web_search_options", never},
    {"grammar", is_off},
    {"json_schema", is_off},
    {"guided_json", is_off},
    {"guided_regex", is_off},
    {"guided_choice", is_off},
    {"guided_grammar", is_off},
    {"structured_outputs", is_off},
    {"prompt_logprobs", is_off},
    {"use_beam_search", is_off},
    {"truncate_prompt_tokens", is_off},
    {"continue_final_message", is_off},
    {"add_generation_prompt", is_true},
};

/* Tools that the model must not call change nothing. */
static bool is_unused_tool(const struct openai_request *q, const char *name)
{
    json_object *choice = NULL;
    const char *with = strcmp(name, "tools") == 0       ? "tool_choice"
                       : strcmp(name, "functions") == 0 ? "function_call"
                                                        : NULL;
    return with && json_object_object_get_ex(q->root, with, &choice) && strcmp(text_of(choice), "none") == 0;
}

static bool read_unsupported(
    struct json_in *in, const struct openai_request *q, const char *name, json_object *v)
{
    for (size_t i = 0; i < ARRAY_LEN(unsupported); i++) {
        if (strcmp(name, unsupported[i].name) != 0)
            continue;
        if (!unsupported[i].harmless(v) && !is_unused_tool(q, name))
            json_in_fail(in, name, "requests a feature that this server does not support");
        return true;
    }
    return false;
}

static void read_seed(struct json_in *in, struct openai_request *q, json_object *v)
{
    int64_t below_zero;
    q->has_seed = true;
    if (json_object_is_type(v, json_type_int) && json_object_get_int64(v) < 0) {
        if (json_in_i64(in, "seed", v, INT64_MIN, -1, &below_zero))
            q->r.sampling.seed = (uint64_t)below_zero;
    } else {
        json_in_u64(in, "seed", v, 0, UINT64_MAX, &q->r.sampling.seed);
    }
}

/* -1, and more than there are tokens, mean all, as with other servers. */
static void read_top_k(struct json_in *in, struct openai_request *q, json_object *v)
{
    int64_t k;
    if (json_in_i64(in, "top_k", v, -1, INT64_MAX, &k))
        q->r.sampling.top_k = k < 0 || k >= q->model->n_vocab ? 0 : (uint32_t)k;
}

/* Each ends the answer, as an EOS does. */
static void read_stop_ids(struct json_in *in, struct openai_request *q, json_object *v)
{
    struct request *r = &q->r;
    r->n_stop_ids = 0;
    if (!json_in_type(in, "stop_token_ids", v, json_type_array, "an array of token ids"))
        return;
    if (json_object_array_length(v) > JOB_STOP_MAX) {
        json_in_fail(in, "stop_token_ids", "must have at most %d token ids", JOB_STOP_MAX);
        return;
    }
    for (size_t i = 0; i < json_object_array_length(v); i++) {
        uint64_t id;
        if (!json_in_u64(
                in, "stop_token_ids", json_object_array_get_idx(v, i), 0, q->model->n_vocab - 1, &id))
            return;
        r->stop_ids[r->n_stop_ids++] = (int32_t)id;
    }
}

static void read_stream_options(struct json_in *in, struct openai_request *q, json_object *v)
{
    json_object *usage = NULL;
    if (json_in_type(in, "stream_options", v, json_type_object, "an object") &&
        json_object_object_get_ex(v, "include_usage", &usage) && usage)
        json_in_bool(in, "stream_options.include_usage", usage, &q->g->with_usage);
}

bool openai_read_common(struct json_in *in, struct openai_request *q, const char *name, json_object *v)
{
    struct request *r = &q->r;
    if (strcmp(name, "model") == 0) {
        if (!is_empty_text(v)) /* that means the one that is served */
            params_model(in, q->model, name, v);
    } else if (strcmp(name, "stream") == 0) {
        json_in_bool(in, name, v, &q->g->stream);
    } else if (strcmp(name, "stream_options") == 0) {
        read_stream_options(in, q, v);
    } else if (strcmp(name, "n") == 0) {
        params_u32(in, name, v, 1, GENERATION_MAX_CHOICES, &q->n);
    } else if (strcmp(name, "seed") == 0) {
        read_seed(in, q, v);
    } else if (strcmp(name, "stop") == 0) {
        r->n_stop = 0;
        if (json_object_is_type(v, json_type_string))
            params_add_stop(in, r, v);
        else
            params_stop(in, r, v);
    } else if (strcmp(name, "logit_bias") == 0) {
        openai_read_bias(in, q, v);
    } else if (strcmp(name, "stop_token_ids") ==
               0) { /* from here on: extensions that other servers have too */
        read_stop_ids(in, q, v);
    } else if (strcmp(name, "include_stop_str_in_output") == 0) {
        json_in_bool(in, name, v, &r->shows_stop);
    } else if (strcmp(name, "top_k") == 0) {
        read_top_k(in, q, v);
    } else if (strcmp(name, "repeat_last_n") == 0) {
        params_u32(in, name, v, 0, q->model->n_ctx, &r->sampling.repeat_last_n);
    } else if (strcmp(name, "on_deadline") == 0) {
        params_on_deadline(in, r, v);
    } else {
        return read_unsupported(in, q, name, v) || params_simple(in, r, name, v);
    }
    return true;
}

void openai_read_max_tokens(struct json_in *in, struct openai_request *q, const char *name, json_object *v)
{
    int64_t n;
    if (!json_in_i64(in, name, v, -1, INT64_MAX, &n))
        return;
    q->r.prompt_only = n == 0;
    q->has_max_tokens = n >= 0;
    q->max_tokens =
        (uint32_t)min_u64(n ? (uint64_t)n : 1, UINT32_MAX); /* the one of prompt_only is not shown */
}

/* The answer has at most the room that the prompt leaves. */
bool openai_fit(struct http_error *error, const struct openai_request *q, struct request *r)
{
    uint32_t n_ctx = q->model->n_ctx;
    uint32_t left = n_ctx + 1 - r->n_tokens; /* the last sampled token is never fed */
    r->max_tokens = (uint32_t)min_u64(left, q->has_max_tokens ? q->max_tokens : UINT32_MAX);
    if (!left)
        params_too_long(error, r->n_tokens, false, 0, n_ctx);
    return !error->code;
}

static void *copy_of(const void *p, size_t n)
{
    void *copy = malloc(n ? n : 1);
    if (copy && n)
        memcpy(copy, p, n);
    return copy;
}

/* Completes c's request, which has its prompt, with what all choices have in common. */
static bool fill(const struct openai_request *q, struct choice *c)
{
    struct request *r = &c->request;
    int32_t *tokens = r->tokens;
    uint32_t n_tokens = r->n_tokens, max_tokens = r->max_tokens;
    *r = q->r;
    r->tokens = tokens;
    r->n_tokens = n_tokens;
    r->max_tokens = max_tokens;
    r->sampling.seed = q->has_seed ? q->r.sampling.seed + c->index : params_seed();
    if (!q->r.sampling.n_bias)
        return true;
    r->sampling.bias = copy_of(q->r.sampling.bias, q->r.sampling.n_bias * sizeof(*r->sampling.bias));
    return r->sampling.bias;
}

static bool copy_prompt(struct choice *to, const struct choice *from)
{
    to->request.n_tokens = from->request.n_tokens;
    to->request.max_tokens = from->request.max_tokens;
    to->request.tokens = copy_of(from->request.tokens, from->request.n_tokens * sizeof(*to->request.tokens));
    if (from->echo)
        to->echo = copy_of(from->echo, from->n_echo);
    to->n_echo = from->n_echo;
    return to->request.tokens && (to->echo || !from->echo);
}

bool openai_finish(struct openai_request *q, const char *id_prefix)
{
    struct generation *g = q->g;
    struct exchange *x = g->x;
    char uuid[37];
    random_uuid(uuid);
    snprintf(g->id, sizeof(g->id), "%s%s", id_prefix, uuid);
    g->created_s = (int64_t)(clock_real_ns() / NS_PER_S);
    g->n_each = q->n;
    for (uint32_t i = 0; i < g->n_choices && !x->error.code; i++) {
        struct choice *c = &g->choices[i];
        uint32_t first = i - i % q->n;
        if ((i != first && !copy_prompt(c, &g->choices[first])) || !fill(q, c)) {
            http_error_set(&x->error, API_OUT_OF_MEMORY, "out of memory");
            break;
        }
        if (i == 0)
            memcpy(c->request.job_id, g->id, sizeof(g->id));
        else
            snprintf(c->request.job_id, sizeof(c->request.job_id), "%.100s:%u", g->id, i);
    }
    return !x->error.code;
}

bool openai_begin(struct openai_request *q, struct generation *g, const struct api_model *model)
{
    struct exchange *x = g->x;
    *q = (struct openai_request){.g = g, .model = model, .n = 1};
    sample_params_default(&q->r.sampling);
    q->root = json_in_parse(x->body.text, x->body.n, &x->error);
    if (q->root && !json_object_is_type(q->root, json_type_object))
        http_error_set(&x->error, API_INVALID_REQUEST, "request body must be a JSON object");
    return !x->error.code;
}

void openai_end(struct openai_request *q)
{
    json_object_put(q->root);
    request_release(&q->r); /* each choice has its own copy */
}

/* --- completions -------------------------------------------------------------------------- */

struct completion {
    struct openai_request q;
    json_object *prompt;
    bool echo;
};

static void read_completion_field(struct json_in *in, struct completion *d, const char *name, json_object *v)
{
    if (strcmp(name, "prompt") == 0) {
        d->prompt = v;
    } else if (strcmp(name, "echo") == 0) {
        json_in_bool(in, name, v, &d->echo);
    } else if (strcmp(name, "max_tokens") == 0) {
        openai_read_max_tokens(in, &d->q, name, v);
    } else if (strcmp(name, "logprobs") == 0) {
        d->q.r.sampling.want_logprob = true;
        params_u32(in, name, v, 0, SAMPLE_MAX_LOGPROBS, &d->q.r.sampling.n_logprobs);
    } else {
        openai_read_common(in, &d->q, name, v);
    }
}

/* How many prompts there are: text, texts, a list of token ids, or a list of those. */
static uint32_t count_prompts(struct json_in *in, const struct completion *d)
{
    json_object *p = d->prompt;
    if (!p) {
        json_in_fail(in, "prompt", "is required");
        return 0;
    }
    if (json_object_is_type(p, json_type_string))
        return 1;
    if (!json_object_is_type(p, json_type_array) || json_object_array_length(p) == 0) {
        json_in_fail(in, "prompt", "must be a string, an array of strings, or token ids");
        return 0;
    }
    size_t n = json_object_array_length(p);
    if (json_object_is_type(json_object_array_get_idx(p, 0), json_type_int))
        return 1;
    if (n > GENERATION_MAX_CHOICES / d->q.n) {
        json_in_fail(in, "prompt", "has too many entries: their number times n must be at most %d",
            GENERATION_MAX_CHOICES);
        return 0;
    }
    return (uint32_t)n;
}

static json_object *nth_prompt(const struct completion *d, uint32_t i)
{
    json_object *p = d->prompt;
    if (json_object_is_type(p, json_type_string) ||
        json_object_is_type(json_object_array_get_idx(p, 0), json_type_int))
        return p;
    return json_object_array_get_idx(p, i);
}

static void keep_echo(struct json_in *in, const struct completion *d, struct choice *c, json_object *prompt)
{
    const struct request *r = &c->request;
    if (json_object_is_type(prompt, json_type_string)) {
        c->n_echo = (size_t)json_object_get_string_len(prompt);
        c->echo = copy_of(json_object_get_string(prompt), c->n_echo);
    } else if (tokenizer_decode(
                   d->q.model->tokenizer, r->tokens, r->n_tokens, true, &c->echo, &c->n_echo, NULL)) {
        c->echo = NULL;
    }
    if (!c->echo)
        http_error_set(in->error, API_OUT_OF_MEMORY, "out of memory");
}

/* c: the first choice of this prompt. */
static void read_prompt(struct json_in *in, const struct completion *d, struct choice *c, json_object *prompt)
{
    struct request *r = &c->request;
    if (json_object_is_type(prompt, json_type_string))
        params_prompt(in, d->q.model, r, prompt, TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL);
    else
        params_tokens(in, d->q.model, r, "prompt", prompt);
    if (in->error->code)
        return;
    if (r->n_tokens == 0)
        json_in_fail(in, "prompt", "has no tokens");
    else if (openai_fit(in->error, &d->q, r) && d->echo)
        keep_echo(in, d, c, prompt);
}

bool params_read_completion(struct generation *g, const struct api_model *model)
{
    struct exchange *x = g->x;
    struct json_in in = {&x->error, ""};
    struct completion d = {.echo = false};
    if (openai_begin(&d.q, g, model)) {
        json_object_object_foreach(d.q.root, name, v)
        {
            if (v && !x->error.code) /* null is the same as not given */
                read_completion_field(&in, &d, name, v);
        }
    }
    if (d.echo && d.q.r.sampling.want_logprob)
        json_in_fail(&in, "logprobs", "must not be combined with echo");
    uint32_t n = x->error.code ? 0 : count_prompts(&in, &d);
    if (n && choices_new(g, n * d.q.n)) {
        for (uint32_t i = 0; i < n && !x->error.code; i++)
            read_prompt(&in, &d, &g->choices[(size_t)i * d.q.n], nth_prompt(&d, i));
        if (!x->error.code)
            openai_finish(&d.q, "cmpl-");
    }
    openai_end(&d.q);
    return !x->error.code;
}
