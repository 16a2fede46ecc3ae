/* What OpenAI's two dialects share: chunks, ends, usage, tokens as text. */
#ifndef ORCD_API_ANSWER_OPENAI_H
#define ORCD_API_ANSWER_OPENAI_H

#include "api/dialect.h"

/* What every chunk of this answer begins with, kept in g->head. NOMEM: g->x->error. */
void openai_head(struct generation *g, const char *object);
/* An event up to and with the number of its choice, and from the reason of its end on. */
void openai_chunk_open(struct json_out *o, const struct choice *c);
void openai_chunk_close(struct json_out *o, const struct choice *c, const char *finish);
const char *openai_finish_reason(const struct job *j);
/* The formatters `error` and `closing`. */
void openai_error(struct json_out *o, const struct choice *c);
void openai_closing(struct json_out *o, const struct generation *g);
/* The fields of an answer in one piece: before and after its choices. */
void openai_answer_open(struct json_out *o, const struct generation *g, const char *object);
void openai_answer_close(struct json_out *o, const struct generation *g);
/* A vocabulary's token as text, control tokens by their names. */
const char *openai_piece(const struct choice *c, int32_t id, size_t *n);
bool openai_is_mark(const struct choice *c, int32_t id); /* a control token */

#endif
