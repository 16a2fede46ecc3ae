/* The routes, as data: what is not here is 404, another method of it 405. */
#include <stdio.h>
#include <string.h>

#include "http/api-native.h"
#include "http/api-openai.h"
#include "http/internal.h"

const struct route http_routes[] = {
    {"GET", "/health", ROUTE_OPEN, NULL, api_health},
    {"GET", "/health/live", ROUTE_OPEN, NULL, api_health_live},
    {"GET", "/health/ready", ROUTE_OPEN, NULL, api_health},
    {"GET", "/metrics", 0, NULL, api_metrics},
    {"GET", "/v2/model", 0, NULL, api_model},
    {"POST", "/v2/execute", ROUTE_BODY | ROUTE_JOB, api_execute_parse, api_execute},
    {"POST", "/execute", ROUTE_BODY | ROUTE_JOB, api_execute_parse, api_execute},
    {"POST", "/v2/cancel", ROUTE_BODY, api_cancel_parse, api_cancel},
    {"POST", "/cancel", ROUTE_BODY, api_cancel_parse, api_cancel},
    {"DELETE", "/v2/jobs/", ROUTE_PREFIX, NULL, api_cancel_by_path},
    {"POST", "/v2/tokenize", ROUTE_BODY, api_tokenize, NULL},
    {"POST", "/v2/detokenize", ROUTE_BODY, api_detokenize, NULL},
    {"POST", "/v2/shutdown", ROUTE_KEYED, NULL, api_shutdown},
    {"GET", "/v1/models", 0, NULL, api_openai_models},
    {"GET", "/v1/models/", ROUTE_PREFIX | ROUTE_SLASHES, NULL, api_openai_model},
    {"POST", "/v1/completions", ROUTE_BODY | ROUTE_JOB, api_openai_completions_parse, api_openai_run},
    {"POST", "/v1/chat/completions", ROUTE_BODY | ROUTE_JOB, api_openai_chat_parse, api_openai_run},
};
const size_t http_n_routes = sizeof(http_routes) / sizeof(http_routes[0]);

static bool path_matches(const struct route *r, const char *path)
{
    if (!(r->flags & ROUTE_PREFIX))
        return strcmp(path, r->path) == 0;
    size_t n = strlen(r->path);
    if (strncmp(path, r->path, n) != 0 || !path[n])
        return false;
    return r->flags & ROUTE_SLASHES || !strchr(path + n, '/');
}

bool route_path_is_open(const char *path)
{
    for (size_t i = 0; i < http_n_routes; i++)
        if (http_routes[i].flags & ROUTE_OPEN && path_matches(&http_routes[i], path))
            return true;
    return false;
}

const struct route *route_find(const char *method, const char *path, const char **parameter, char *allow,
    size_t allow_size, struct http_error *error)
{
    size_t n = 0;
    for (size_t i = 0; i < http_n_routes; i++) {
        const struct route *r = &http_routes[i];
        if (!path_matches(r, path))
            continue;
        bool get = strcmp(r->method, "GET") == 0;
        if (strcmp(method, r->method) == 0 || (get && strcmp(method, "HEAD") == 0)) {
            allow[0] = 0;
            *parameter = r->flags & ROUTE_PREFIX ? path + strlen(r->path) : NULL;
            return r;
        }
        int k = snprintf(allow + n, allow_size - n, "%s%s%s", n ? ", " : "", r->method, get ? ", HEAD" : "");
        n += k > 0 && (size_t)k < allow_size - n ? (size_t)k : 0;
    }
    if (n)
        http_error_set(error, API_METHOD_NOT_ALLOWED, "this route does not take that method");
    else if (error->openai)
        http_error_set(error, API_NOT_FOUND,
            "no such route; there are GET /v1/models, GET /v1/models/ID, POST /v1/completions and "
            "POST /v1/chat/completions");
    else
        http_error_set(error, API_NOT_FOUND, "no such route");
    return NULL;
}
