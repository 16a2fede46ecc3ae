/* The handlers of the OpenAI-compatible API; see struct route. */
#ifndef ORCD_API_OPENAI_H
#define ORCD_API_OPENAI_H

struct exchange;

void openai_models(struct exchange *x);
void openai_model(struct exchange *x);
void openai_completions_parse(struct exchange *x);
void openai_chat_parse(struct exchange *x);
void openai_run(struct exchange *x);

#endif
