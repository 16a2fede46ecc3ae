/*
 * Cross-origin requests: which web pages may read our answers (http.cors_origins). Off unless origins are
 * set. Credentials (cookies) are never allowed; an API key in a header is the page's own business.
 *
 * Life cycle: cors_parse() once, before the loops start, cors_release() when they have ended; constant in
 * between, so any thread may make the other calls. Per request: the gate asks cors_allows(), and
 * cors_is_preflight() of a request by OPTIONS; exchange.c adds cors_headers() to each answer.
 */
#ifndef ORCD_HTTP_CORS_H
#define ORCD_HTTP_CORS_H

#include <stdbool.h>
#include <stddef.h>

#include "http/routes.h"

struct cors {
    bool any;      /* "*" */
    char *origins; /* NUL-terminated one behind the other */
    size_t n;
};

/* text: "*", or origins (scheme://host[:port]) separated by commas or spaces; NULL or "": off. INVALID,
 * NOMEM. */
int cors_parse(struct cors *c, const char *text, struct orcd_error *err);
void cors_release(struct cors *c);
/* Whether pages of this origin may read answers; origin NULL: not a cross-origin request, false. */
bool cors_allows(const struct cors *c, const char *origin);

/* What answers a preflight: 204, no key needed. */
extern const struct route cors_preflight;

struct MHD_Response;
/* origin: the allowed one of the request; NULL: adds nothing. */
void cors_headers(const struct cors *c, const char *origin, bool preflight, struct MHD_Response *r);

#endif
