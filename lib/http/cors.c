#include "http/cors.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "http/exchange.h"

#define SEPARATORS ", \t"

/* scheme://host[:port], as browsers send it: lower case, no path. */
static bool is_origin(const char *s, size_t n)
{
    const char *host = memmem(s, n, "://", 3);
    if (!host || host == s || host + 3 == s + n)
        return false;
    for (const char *p = s; p < s + n; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || strchr("\"\\*", *p) ||
            (*p >= 'A' && *p <= 'Z') || (*p == '/' && p > host + 2))
            return false;
    return true;
}

int cors_parse(struct cors *c, const char *text, struct orcd_error *err)
{
    *c = (struct cors){0};
    if (!text)
        return 0;
    c->origins = calloc(1, strlen(text) + 2);
    if (!c->origins)
        return error_set(err, ORCD_E_NOMEM, "out of memory for http.cors_origins");
    for (const char *p = text + strspn(text, SEPARATORS); *p;) {
        const size_t n = strcspn(p, SEPARATORS);
        if (n == 1 && *p == '*') {
            c->any = true;
        } else if (is_origin(p, n)) {
            memcpy(c->origins + c->n, p, n);
            c->n += n + 1;
        } else {
            error_set(err, ORCD_E_INVALID,
                "http.cors_origins: '%.*s' must be * or an origin such as https://example.org:8443",
                (int)(n < 64 ? n : 64), p);
            cors_release(c);
            return ORCD_E_INVALID;
        }
        p += n;
        p += strspn(p, SEPARATORS);
    }
    return 0;
}

void cors_release(struct cors *c)
{
    free(c->origins);
    *c = (struct cors){0};
}

bool cors_allows(const struct cors *c, const char *origin)
{
    if (!origin || c->any)
        return origin && c->any;
    for (size_t at = 0; at < c->n; at += strlen(c->origins + at) + 1)
        if (strcmp(c->origins + at, origin) == 0)
            return true;
    return false;
}

static void preflight(struct exchange *x)
{
    x->answer = (struct answer){.status = MHD_HTTP_NO_CONTENT, .body = strdup("")};
}

const struct route cors_preflight = {"OPTIONS", "*", 0, NULL, preflight};

void cors_headers(const struct cors *c, const char *origin, bool is_preflight, struct MHD_Response *r)
{
    if (!origin)
        return;
    MHD_add_response_header(r, "Access-Control-Allow-Origin", c->any ? "*" : origin);
    if (!c->any)
        MHD_add_response_header(r, "Vary", "Origin");
    if (is_preflight) {
        MHD_add_response_header(r, "Access-Control-Allow-Methods", "GET, POST, DELETE");
        MHD_add_response_header(r, "Access-Control-Allow-Headers",
            "Authorization, Content-Type, X-Api-Key, X-Correlation-Id, X-Deadline, Request-Timeout-Ms, "
            "X-Request-Timeout-Ms");
        MHD_add_response_header(r, "Access-Control-Max-Age", "600");
    } else {
        MHD_add_response_header(r, "Access-Control-Expose-Headers",
            "Retry-After, X-Correlation-Id, X-Request-Id, X-Should-Retry");
    }
}
