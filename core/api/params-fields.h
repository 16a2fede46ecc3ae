/* What the readers of the two APIs share. Each function checks a field and keeps the first
 * problem in in->error. No state; the thread that parses the request. */
#ifndef ORCD_API_PARAMS_FIELDS_H
#define ORCD_API_PARAMS_FIELDS_H

#include "api/params.h"
#include "http/json-in.h"

/* The fields that set one number or boolean of the request. False: name is none of them. */
bool params_simple(struct json_in *in, struct request *r, const char *name, json_object *v);
void params_u32(
    struct json_in *in, const char *field, json_object *v, uint64_t lo, uint64_t hi, uint32_t *out);
void params_stop(struct json_in *in, struct request *r, json_object *v); /* an array */
/* Adds one; the caller has checked that there is room. */
bool params_add_stop(struct json_in *in, struct request *r, json_object *v);
/* A token id as an object's key: plain decimal, no sign, no leading zero. False: it is something else. */
bool params_token_key(const char *key, uint32_t n_vocab, int32_t *id);
void params_logit_bias(struct json_in *in, const struct api_model *model, struct request *r, json_object *v);
void params_on_deadline(struct json_in *in, struct request *r, json_object *v);
void params_model(struct json_in *in, const struct api_model *model, const char *field, json_object *v);
/* Both set r->tokens and n_tokens. flags: enum tokenizer_flags. */
void params_tokens(struct json_in *in, const struct api_model *model, struct request *r, const char *field,
    json_object *list);
void params_prompt(struct json_in *in, const struct api_model *model, struct request *r, json_object *prompt,
    unsigned flags);
/* The prompt has so many tokens (at_least: or more, it was not tokenized); max_tokens 0: it does not matter.
 */
void params_too_long(
    struct http_error *error, uint64_t prompt, bool at_least, uint32_t max_tokens, uint32_t n_ctx);
uint64_t params_seed(void); /* a random one */

#endif
