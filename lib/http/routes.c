#include "http/routes.h"

#include <stdio.h>
#include <string.h>

#include "http/service.h"

static bool path_matches(const struct route *r, const char *path)
{
    if (!(r->flags & ROUTE_PREFIX))
        return strcmp(path, r->path) == 0;
    size_t n = strlen(r->path);
    if (strncmp(path, r->path, n) != 0 || !path[n])
        return false;
    return r->flags & ROUTE_SLASHES || !strchr(path + n, '/');
}

bool route_path_is_open(const struct http_service *service, const char *path)
{
    for (size_t i = 0; i < service->n_routes; i++)
        if (service->routes[i].flags & ROUTE_OPEN && path_matches(&service->routes[i], path))
            return true;
    return false;
}

const struct route *route_find(const struct http_service *service, const char *method, const char *path,
    const char **parameter, char *allow, size_t allow_size, struct http_error *error)
{
    size_t n = 0;
    for (size_t i = 0; i < service->n_routes; i++) {
        const struct route *r = &service->routes[i];
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
        http_error_set(error, API_METHOD_NOT_ALLOWED, "this route supports only %s", allow);
    else
        http_error_set(error, API_NOT_FOUND, "%s",
            error->shape && error->shape->not_found ? error->shape->not_found : "no such route");
    return NULL;
}
