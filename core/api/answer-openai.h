/* What OpenAI's two dialects share: chunks, ends, usage, tokens as text. The thread that has
 * the exchange makes all calls, openai_head() before the jobs are submitted. */
#ifndef ORCD_API_ANSWER_OPENAI_H
#define ORCD_API_ANSWER_OPENAI_H

#include "api/dialect.h"

/* Writes to g->head what every chunk of this answer begins with. Out of memory: g->x->error is
 * set. */
void openai_head(struct generation *g, const char *object);
/* The parts of a chunk around its text: up to the index of its choice, and from finish_reason
 * to the end. */
void openai_chunk_open(struct json_out *o, const struct choice *c);
void openai_chunk_close(struct json_out *o, const struct choice *c, const char *finish);
const char *openai_finish_reason(const struct job *j);
/* The formatters `error` and `closing`. */
void openai_error(struct json_out *o, const struct choice *c);
void openai_closing(struct json_out *o, const struct generation *g);
/* The fields of an answer in one piece: before and after its choices. */
void openai_answer_open(struct json_out *o, const struct generation *g, const char *object);
void openai_answer_close(struct json_out *o, const struct generation *g);
/* A token of the vocabulary as text, a control token by its name. */
const char *openai_piece(const struct choice *c, int32_t id, size_t *n);
/* A control token: it has a name, but no text in the answer. */
bool openai_is_hidden(const struct choice *c, int32_t id);
bool openai_is_mark(const struct choice *c, int32_t id); /* a control token */

#endif
