#include "api/error-openai.h"

#include <ctype.h>

/* OpenAI's names for our errors: clients read `type` and `code`. */
static const char *openai_type(enum api_code code)
{
    int status = api_code_status(code);
    if (code == API_UNAUTHORIZED)
        return "authentication_error";
    if (status == 403)
        return "permission_error";
    if (status == 404)
        return "not_found_error";
    if (status == 429)
        return "rate_limit_error";
    return status >= 500 ? "server_error" : "invalid_request_error";
}

static void openai_code(char *out, size_t size, enum api_code code)
{
    size_t n = 0;
    const char *name = code == API_UNAUTHORIZED ? "INVALID_API_KEY" : api_code_name(code);
    for (; name[n] && n + 1 < size; n++)
        out[n] = (char)tolower((unsigned char)name[n]);
    out[n] = 0;
}

void openai_error_write(struct json_out *o, const struct http_error *e, const char *correlation_id)
{
    char name[48];
    openai_code(name, sizeof(name), e->code);
    json_out_open(o, NULL, '{');
    json_out_open(o, "error", '{');
    json_out_text(o, "message", e->message);
    json_out_text(o, "type", openai_type(e->code));
    json_out_text(o, "param", e->param[0] ? e->param : NULL);
    json_out_text(o, "code", name);
    http_error_put_details(o, e->details);
    json_out_text(o, "correlation_id", correlation_id);
    json_out_close(o, '}');
    json_out_close(o, '}');
}

/* What the official client reads. It repeats requests by itself, with the same deadline, so
 * one that was too late must not be repeated. */
static void headers(const struct http_error *e, const char *correlation_id, error_header_fn add, void *arg)
{
    bool again = api_code_retriable(e->code) && e->code != API_DEADLINE_EXCEEDED;
    add(arg, "X-Request-Id", correlation_id);
    if (e->code)
        add(arg, "X-Should-Retry", again ? "true" : "false");
}

#define SHAPE(path)                                                                                          \
    {                                                                                                        \
        .prefix = (path), .write = openai_error_write, .headers = headers,                                   \
        .not_found =                                                                                         \
            "no such route; the routes are GET /v1/models, GET /v1/models/ID, POST /v1/completions and "     \
            "POST /v1/chat/completions",                                                                     \
    }
const struct error_shape error_shapes_openai[N_ERROR_SHAPES_OPENAI] = {
    SHAPE("/v1/"), SHAPE("/models"), SHAPE("/completions"), SHAPE("/chat/completions")};
