/*
 * The JSON of OpenAI's requests. Fields that OpenAI's API does not have are ignored, as its
 * clients expect; fields that it has but this server does not support are refused by name.
 *
 * No state. The thread that parses the request calls params_read_completion() or
 * params_read_chat(). Those call openai_begin() first, then the others, at last openai_end().
 */
#ifndef ORCD_API_PARAMS_OPENAI_H
#define ORCD_API_PARAMS_OPENAI_H

#include <json-c/json.h>

#include "api/generation.h"
#include "http/json-in.h"

/* What both kinds of request have in common, and what becomes of it. */
struct openai_request {
    struct generation *g;
    const struct api_model *model;
    struct request r; /* what all choices have in common, but for the prompt */
    json_object *root;
    uint32_t n; /* answers to each prompt */
    uint32_t max_tokens;
    bool has_max_tokens, has_seed;
};

/* Parses the body. False: x->error is set; openai_end must be called in any case. */
bool openai_begin(struct openai_request *q, struct generation *g, const struct api_model *model);
/* Reads a field that both kinds have. False: name is none of them. v is not null. */
bool openai_read_common(struct json_in *in, struct openai_request *q, const char *name, json_object *v);
void openai_read_max_tokens(struct json_in *in, struct openai_request *q, const char *name, json_object *v);
void openai_read_bias(struct json_in *in, struct openai_request *q, json_object *v);
/* Sets r->max_tokens: the client's value, at most what the prompt leaves of the context. */
bool openai_fit(struct http_error *error, const struct openai_request *q, struct request *r);
/* Every q->n-th choice has its prompt: copies it to those after it, and sets seeds and ids. */
bool openai_finish(struct openai_request *q, const char *id_prefix);
void openai_end(struct openai_request *q);

/* From the body to g->choices; false: g->x->error is set. Any thread. */
bool params_read_completion(struct generation *g, const struct api_model *model);
bool params_read_chat(struct generation *g, const struct api_model *model);

#endif
