/* Writes the events of the native API's streams. No state; the thread that has the exchange. */
#ifndef ORCD_API_SSE_H
#define ORCD_API_SSE_H

#include "chat/chat.h"
#include "engine/job.h"
#include "json/out.h"

void sse_started(struct json_out *o, const struct job *j, const char *model);
/* Entry `index` of the job. */
void sse_token(struct json_out *o, const struct job *j, uint32_t index);
/* The text that was held back when a partial answer ended (end.n_held > 0). */
void sse_held(struct json_out *o, const struct job *j);
/* The same for a conversation, with the reasoning apart from the answer. Advances *split. */
void sse_chat_token(struct json_out *o, const struct job *j, uint32_t index, struct chat_split *split);
void sse_chat_held(struct json_out *o, const struct job *j, struct chat_split *split);
/* What the splitter still holds at the end; writes nothing if it holds nothing. */
void sse_chat_rest(struct json_out *o, const struct chat_split *split);
/* The terminal event: `end` or `error`. */
void sse_end(struct json_out *o, const struct job *j);
void sse_metrics(struct json_out *o, uint32_t tokens_out, double decode_ms, uint64_t memory_bytes);

/* Shared with answers that do not stream. */
void sse_started_fields(struct json_out *o, const struct job *j, const char *model);
void sse_end_fields(struct json_out *o, const struct job *j);
void sse_logprob_fields(struct json_out *o, const struct job *j, const struct job_token *t);

#endif
