/* The handlers of the OpenAI-compatible API; see struct route. */
#ifndef ORCD_HTTP_API_OPENAI_H
#define ORCD_HTTP_API_OPENAI_H

struct exchange;

void api_openai_models(struct exchange *x);
void api_openai_model(struct exchange *x);
void api_openai_completions_parse(struct exchange *x);
void api_openai_chat_parse(struct exchange *x);
void api_openai_run(struct exchange *x);

#endif
