/* The shape of errors under /v1/, which is OpenAI's. Constant; any thread. */
#ifndef ORCD_API_ERROR_OPENAI_H
#define ORCD_API_ERROR_OPENAI_H

#include "http/error.h"

extern const struct error_shape error_shape_openai;

/* {"error":{"message","type","param","code",..}}, also in the middle of a stream. */
void openai_error_write(struct json_out *o, const struct http_error *e, const char *correlation_id);

#endif
