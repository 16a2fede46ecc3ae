/*
 * Error codes of the API: one list for all daemons, from which HTTP answers, terminal
 * events, docs and tests are made. Stable; append only. Constant data; any thread.
 */
#ifndef ORCD_HTTP_CODES_H
#define ORCD_HTTP_CODES_H

/* X(CODE, http status, retriable) */
#define API_CODE_MAP(X)                                                                                      \
    X(INVALID_REQUEST, 400, 0)                                                                               \
    X(UNAUTHORIZED, 401, 0)                                                                                  \
    X(FORBIDDEN_HOST, 403, 0)                                                                                \
    X(NOT_FOUND, 404, 0)                                                                                     \
    X(METHOD_NOT_ALLOWED, 405, 0)                                                                            \
    X(REQUEST_TIMEOUT, 408, 1)                                                                               \
    X(DUPLICATE_JOB, 409, 0)                                                                                 \
    X(PAYLOAD_TOO_LARGE, 413, 0)                                                                             \
    X(URI_TOO_LONG, 414, 0)                                                                                  \
    X(UNSUPPORTED_MEDIA_TYPE, 415, 0)                                                                        \
    X(HEADERS_TOO_LARGE, 431, 0)                                                                             \
    X(CONTEXT_LENGTH_EXCEEDED, 400, 0)                                                                       \
    X(MODEL_NOT_FOUND, 404, 0)                                                                               \
    X(QUEUE_FULL, 429, 1)                                                                                    \
    X(TOO_MANY_CONNECTIONS, 503, 1)                                                                          \
    X(CANCELLED, 499, 0)                                                                                     \
    X(CLIENT_DISCONNECTED, 499, 0)                                                                           \
    X(DEADLINE_EXCEEDED, 504, 1)                                                                             \
    X(INSUFFICIENT_VRAM, 503, 1)                                                                             \
    X(VRAM_OOM, 503, 1)                                                                                      \
    X(DEVICE_LOST, 503, 1)                                                                                   \
    X(BACKEND_ERROR, 502, 1)                                                                                 \
    X(MODEL_LOADING, 503, 1)                                                                                 \
    X(SHUTTING_DOWN, 503, 1)                                                                                 \
    X(INTERNAL, 500, 0)                                                                                      \
    X(OUT_OF_MEMORY, 503, 1)                                                                                 \
    X(FORBIDDEN, 403, 0)                                                                                     \
    X(RATE_LIMITED, 429, 1)

enum api_code {
    API_OK = 0,
#define API_CODE_ENUM(code, status, retriable) API_##code,
    API_CODE_MAP(API_CODE_ENUM)
#undef API_CODE_ENUM
        API_CODE_COUNT
};

const char *api_code_name(enum api_code code); /* "QUEUE_FULL" */
int api_code_status(enum api_code code);       /* 429 */
int api_code_retriable(enum api_code code);

#endif
