/* The conversation of a request, from its JSON to tokens. No state; the thread that parses
 * the request. */
#ifndef ORCD_API_PARAMS_CHAT_H
#define ORCD_API_PARAMS_CHAT_H

#include "api/params-fields.h"
#include "chat/chat.h"

/* Read these two fields of a request's body. Unknown options are ignored. */
void params_template_kwargs(struct json_in *in, struct chat_options *o, json_object *v);
void params_reasoning_effort(struct json_in *in, struct chat_options *o, json_object *v);

/* For the native API, which refuses unknown fields of messages and unknown options. False:
 * in->error is set. */
bool params_messages_known(struct json_in *in, json_object *messages);
bool params_kwargs_known(struct json_in *in, json_object *v);

/* Renders the messages, an array of {role, content}: sets r->tokens and n_tokens, and adds
 * the stop strings of the model's family. */
void params_messages(struct json_in *in, const struct api_model *model, struct request *r,
    const struct chat_options *o, json_object *messages);
/* The same as text, malloc'ed. NULL: in->error is set. */
char *params_messages_text(struct json_in *in, const struct api_model *model, const struct chat_options *o,
    json_object *messages, size_t *n);

#endif
