/* The handlers of the OpenAI-compatible API: parse and run of struct route, which says on
 * which thread each of them runs. */
#ifndef ORCD_API_OPENAI_H
#define ORCD_API_OPENAI_H

struct exchange;

void openai_models(struct exchange *x);
void openai_model(struct exchange *x);
void openai_completions_parse(struct exchange *x);
void openai_chat_parse(struct exchange *x);
void openai_run(struct exchange *x);

#endif
