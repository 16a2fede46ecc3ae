/* The JSON of OpenAI's requests. Fields that it does not have are ignored, as its clients
 * expect; those that it has and this server has not are refused by name. */
#ifndef ORCD_API_PARAMS_OPENAI_H
#define ORCD_API_PARAMS_OPENAI_H

#include <json-c/json.h>

#include "api/generation.h"
#include "http/json-in.h"

/* What both requests have, and what is made of it. */
struct openai_request {
    struct generation *g;
    const struct api_model *model;
    struct request r; /* what all choices have in common, but for the prompt */
    json_object *root;
    uint32_t n; /* answers to each prompt */
    uint32_t max_tokens;
    bool has_max_tokens, has_seed;
};

/* Parses the body; false: x->error is set, and openai_end is due all the same. */
bool openai_begin(struct openai_request *q, struct generation *g, const struct api_model *model);
/* A field that both have. False: it is none of those. v is not null. */
bool openai_read_common(struct json_in *in, struct openai_request *q, const char *name, json_object *v);
void openai_read_max_tokens(struct json_in *in, struct openai_request *q, const char *name, json_object *v);
/* Sets r->max_tokens, without a word of the client's to all that is left, or `most`. */
bool openai_fit(struct http_error *error, const struct openai_request *q, struct request *r, uint32_t most);
/* The prompts are in every q->n-th choice: completes the others, seeds and ids. */
bool openai_finish(struct openai_request *q, const char *id_prefix);
void openai_end(struct openai_request *q);

/* From the body to g->choices; false: g->x->error is set. Any thread. */
bool params_read_completion(struct generation *g, const struct api_model *model);
bool params_read_chat(struct generation *g, const struct api_model *model);

#endif
