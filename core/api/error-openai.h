/* The shape of errors of OpenAI's routes, with and without /v1. Constant; any thread. */
#ifndef ORCD_API_ERROR_OPENAI_H
#define ORCD_API_ERROR_OPENAI_H

#include "http/error.h"

#define N_ERROR_SHAPES_OPENAI 4
extern const struct error_shape error_shapes_openai[N_ERROR_SHAPES_OPENAI];

/* {"error":{"message","type","param","code",..}}, also in the middle of a stream. */
void openai_error_write(struct json_out *o, const struct http_error *e, const char *correlation_id);

#endif
