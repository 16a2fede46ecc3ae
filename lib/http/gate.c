/*
 * Checks the head of a request. The library accepts heads that a proxy in front may read
 * differently (two lengths, a bare LF, a space before a colon, a NUL); they are refused here.
 */
#include "http/gate.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log-limit.h"
#include "base/log.h"
#include "http/exchange-internal.h"
#include "http/peer.h"
#include "http/server-internal.h"

struct head {
    struct exchange *x;
    const char *cursor; /* where the next header's name must be; NULL: not checked */
    unsigned n_headers;
    const char *host, *length, *coding, *type, *authorization, *expect, *correlation, *deadline, *timeout,
        *x_timeout, *api_key, *encoding, *origin, *request_method;
};

static bool refuse(struct exchange *x, enum api_code code, const char *text)
{
    http_error_set(&x->error, code, "%s", text);
    x->close = true;
    return false;
}

static bool is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("!#$%&'*+-.^_`|~", s[i]))
            return false;
    return n > 0;
}

/* The headers that are read; each may appear at most once. */
static const char **known(struct head *h, const char *name)
{
    static const struct {
        const char *name;
        size_t at;
    } names[] = {
        {"Host", offsetof(struct head, host)},
        {"Content-Length", offsetof(struct head, length)},
        {"Transfer-Encoding", offsetof(struct head, coding)},
        {"Content-Type", offsetof(struct head, type)},
        {"Authorization", offsetof(struct head, authorization)},
        {"Expect", offsetof(struct head, expect)},
        {"X-Correlation-Id", offsetof(struct head, correlation)},
        {"X-Deadline", offsetof(struct head, deadline)},
        {"Request-Timeout-Ms", offsetof(struct head, timeout)},
        {"X-Request-Timeout-Ms", offsetof(struct head, x_timeout)},
        {"X-Api-Key", offsetof(struct head, api_key)},
        {"Content-Encoding", offsetof(struct head, encoding)},
        {"Origin", offsetof(struct head, origin)},
        {"Access-Control-Request-Method", offsetof(struct head, request_method)},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(name, names[i].name) == 0)
            return (const char **)((char *)h + names[i].at);
    return NULL;
}

/* White space behind a value is no part of it (RFC 9110, 5.5). The library ends values in place, in memory
 * that it lets the request have; we do the same. Content-Length and Transfer-Encoding stay as they are: the
 * library has read them before, and would read the body in another way than we say. */
static const char *without_trailing_space(const char *value, size_t n)
{
    char *end = (char *)(uintptr_t)(value + n);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = 0;
    return value;
}

static enum MHD_Result on_header(
    void *cls, enum MHD_ValueKind kind, const char *name, size_t n_name, const char *value, size_t n_value)
{
    struct head *h = cls;
    (void)kind;
    if (!value || !is_token(name, n_name))
        return refuse(h->x, API_INVALID_REQUEST, "a header name is malformed"), MHD_NO;
    /* The library ends lines in place: it replaces CR LF by two NULs. Names and values must
     * therefore follow each other without a gap; a bare LF, a NUL inside a line or a folded
     * line leaves one. */
    if (h->cursor) {
        if (name != h->cursor || value[n_value] || value[n_value + 1])
            return refuse(h->x, API_INVALID_REQUEST, "the request head has a malformed line"), MHD_NO;
        h->cursor = value + n_value + 2;
    }
    if (++h->n_headers > HTTP_MAX_HEADERS)
        return refuse(h->x, API_HEADERS_TOO_LARGE, "the request has too many headers"), MHD_NO;
    for (size_t i = 0; i < n_value; i++)
        if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f)
            return refuse(h->x, API_INVALID_REQUEST, "a header value contains a control character"), MHD_NO;
    const char **slot = known(h, name);
    if (slot && *slot)
        return refuse(h->x, API_INVALID_REQUEST, "a header that may be sent only once was sent twice"),
               MHD_NO;
    const bool frames = slot == &h->length || slot == &h->coding;
    if (slot)
        *slot = frames ? value : without_trailing_space(value, n_value);
    return MHD_YES;
}

/* The end of the first line, if method, raw URI and version follow each other in it without
 * a gap, as on_header checks the other lines; NULL: they don't. */
static const char *first_line_end(
    const struct exchange *x, const char *url, const char *method, const char *version)
{
    if (url != method + strlen(method) + 1 || version != url + x->n_uri + 1 || strlen(version) != 8)
        return NULL;
    return version[9] ? NULL : version + 10;
}

static bool check_head(struct head *h, const char *url, const char *method, const char *version)
{
    struct exchange *x = h->x;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t size = info ? info->header_size : 0;
    if (x->n_uri > HTTP_URI_BYTES)
        return refuse(x, API_URI_TOO_LONG, "the request URI is too long");
    if (size > HTTP_HEAD_BYTES)
        return refuse(x, API_HEADERS_TOO_LARGE, "the request head is too large");
    if (x->server->strict_head && !(h->cursor = first_line_end(x, url, method, version)))
        return refuse(x, API_INVALID_REQUEST, "the request line is malformed");
    MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, on_header, h);
    if (x->error.code)
        return false;
    if (h->cursor && (h->cursor + 2 != method + size || h->cursor[0] || h->cursor[1]))
        return refuse(x, API_INVALID_REQUEST, "the request head has a malformed line");
    return true;
}

/* origin-form only: a path, perhaps a query; printable ASCII; escapes well-formed. */
static bool check_uri(struct exchange *x)
{
    const char *u = x->uri;
    if (u[0] != '/')
        return refuse(x, API_INVALID_REQUEST, "the request target must be a path");
    for (size_t i = 0; i < x->n_uri; i++) {
        unsigned char c = (unsigned char)u[i];
        if (c <= 0x20 || c >= 0x7f)
            return refuse(
                x, API_INVALID_REQUEST, "the request URI contains a character that must be escaped");
        if (c != '%')
            continue;
        if (!isxdigit((unsigned char)u[i + 1]) || !isxdigit((unsigned char)u[i + 2]))
            return refuse(x, API_INVALID_REQUEST, "the request URI contains a malformed escape");
        if (u[i + 1] == '0' && u[i + 2] == '0')
            return refuse(x, API_INVALID_REQUEST, "the request URI contains a NUL");
    }
    return true;
}

static bool check_framing(struct head *h, const char *version)
{
    struct exchange *x = h->x;
    if (h->coding && h->length)
        return refuse(
            x, API_INVALID_REQUEST, "Transfer-Encoding and Content-Length must not be sent together");
    if (h->coding && (strcasecmp(h->coding, "chunked") != 0 || strcmp(version, "HTTP/1.1") != 0))
        return refuse(x, API_INVALID_REQUEST, "the only supported Transfer-Encoding is chunked, in HTTP/1.1");
    if (h->length && (!*h->length || h->length[strspn(h->length, "0123456789")]))
        return refuse(x, API_INVALID_REQUEST, "Content-Length must be a number");
    return true;
}

static bool host_matches(const char *host, const char *name)
{
    size_t n = strlen(name);
    if (!n || strncasecmp(host, name, n) != 0)
        return false;
    return !host[n] || (host[n] == ':' && host[n + 1] && !host[n + 1 + strspn(host + n + 1, "0123456789")]);
}

/* Against DNS rebinding: a page in a browser can make its own host name resolve to this
 * machine, but then Host holds that name. */
static bool check_host(struct head *h)
{
    struct exchange *x = h->x;
    const struct http_server *s = x->server;
    if (!h->host)
        return true; /* HTTP/1.0; the library refuses 1.1 without it */
    for (const char *p = h->host; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-._:[]%", *p))
            return refuse(x, API_INVALID_REQUEST, "Host is malformed");
    if (!s->check_host || host_matches(h->host, "localhost") || host_matches(h->host, "127.0.0.1") ||
        host_matches(h->host, "[::1]") || host_matches(h->host, s->own_host))
        return true;
    return refuse(x, API_FORBIDDEN_HOST,
        "Host must be localhost, 127.0.0.1 or [::1] while no API keys are set; set http.api_keys_file");
}

/* Once a second at most: who guesses keys must not fill the log. Never the key. */
static void log_wrong_key(const struct exchange *x)
{
    static struct log_limit limit;
    char peer[PEER_BYTES];
    uint64_t left_out;
    if (!log_limit_allows(&limit, 1, &left_out))
        return;
    peer_text(x, peer);
    log_event(ORCD_LOG_WARN, "a request without a valid API key", LOG_T("client", peer),
        LOG_T("correlation_id", x->correlation_id), left_out ? LOG_I("not_logged", left_out) : LOG_NONE,
        NULL);
}

/* NULL: none is presented. */
static const char *presented_key(const struct head *h)
{
    const char *a = h->authorization;
    if (!a)
        return h->api_key;
    return strncasecmp(a, "Bearer ", 7) == 0 ? a + 7 + strspn(a + 7, " ") : NULL;
}

static bool check_key(struct head *h, const char *path)
{
    struct exchange *x = h->x;
    struct http_server *s = x->server;
    if (!s->has_keys || route_path_is_open(s->service, path))
        return true;
    const char *key = presented_key(h);
    if (key && (x->key = keys_find(&s->keys, key, strlen(key)))) {
        x->owner = x->key->use->id;
        return true;
    }
    http_error_set(&x->error, API_UNAUTHORIZED, "a valid API key is required: Authorization: Bearer KEY");
    const uint64_t delay =
        key ? guess_delay_ns(&s->guesses, x->conn->share->id, x->arrived_ns, s->params.wrong_key_delay_ms)
            : 0;
    if (delay)
        x->answer_ns = x->arrived_ns + delay;
    log_wrong_key(x);
    return false;
}

/* The route is known: is it for this client, and has it asked too often? */
static void check_client(struct exchange *x)
{
    if (x->route->flags & ROUTE_ADMIN && !x->server->has_keys) {
        x->route = NULL;
        http_error_set(&x->error, API_NOT_FOUND, "this route requires configured API keys");
    } else if (x->route->flags & ROUTE_ADMIN && !x->key->admin) {
        http_error_set(&x->error, API_FORBIDDEN,
            "this route requires the API key of an admin (role=admin in http.api_keys_file)");
    } else if (x->route->flags & ROUTE_WORK && x->key &&
               !api_key_allows(x->key, x->arrived_ns, &x->error.retry_after_s)) {
        http_error_set(&x->error, API_RATE_LIMITED,
            "the limit of %g requests a second of this client is reached", x->key->rps);
    }
}

static void take_correlation_id(struct head *h)
{
    const char *id = h->correlation;
    size_t n = id ? strlen(id) : 0;
    bool good = n >= 1 && n <= HTTP_CORRELATION_MAX;
    for (size_t i = 0; good && i < n; i++)
        good = isalnum((unsigned char)id[i]) || strchr("._-", id[i]);
    if (good)
        memcpy(h->x->correlation_id, id, n + 1);
}

/* --- deadlines ------------------------------------------------------------------------ */

static bool timeout_header(struct exchange *x, const char *name, const char *value)
{
    if (!value)
        return true;
    size_t n = strlen(value);
    uint64_t ms = 0;
    if (n == 0 || n > 18 || value[strspn(value, "0123456789")]) {
        http_error_set(&x->error, API_INVALID_REQUEST, "%s must be a number of milliseconds", name);
        return false;
    }
    for (; *value; value++)
        ms = ms * 10 + (unsigned)(*value - '0');
    if (ms > UINT64_C(1000000000000)) /* decades; much more would overflow */
        ms = UINT64_C(1000000000000);
    uint64_t at = x->arrived_ns + ms * NS_PER_MS;
    x->deadline_ns = x->deadline_ns && x->deadline_ns < at ? x->deadline_ns : at;
    return true;
}

static bool deadline_header(struct exchange *x, const char *value)
{
    int64_t real_ns;
    if (!value)
        return true;
    if (clock_parse_rfc3339(value, strlen(value), &real_ns)) {
        http_error_set(&x->error, API_INVALID_REQUEST, "X-Deadline must be an RFC 3339 time");
        return false;
    }
    /* Converted with the present offset between the clocks. Computed as a distance from now
     * and added to the arrival, it would be early by the time that has passed since. */
    int64_t at = 0;
    if (__builtin_sub_overflow(real_ns, clock_real_offset_ns(), &at))
        at = real_ns < 0 ? INT64_MIN : INT64_MAX;
    /* 0 would mean that there is no deadline, so one before the clock's zero becomes 1. */
    x->deadline_ns = at <= 0 ? 1 : (uint64_t)at;
    return true;
}

static bool take_deadline(struct head *h)
{
    struct exchange *x = h->x;
    const struct http_params *p = &x->server->params;
    if (!deadline_header(x, h->deadline) || !timeout_header(x, "Request-Timeout-Ms", h->timeout) ||
        !timeout_header(x, "X-Request-Timeout-Ms", h->x_timeout))
        return false;
    if (!x->deadline_ns) {
        if (p->deadline_default_ms)
            x->deadline_ns = x->arrived_ns + p->deadline_default_ms * NS_PER_MS;
        return true;
    }
    uint64_t max = x->arrived_ns + p->deadline_max_ms * NS_PER_MS;
    if (p->deadline_max_ms && x->deadline_ns > max) {
        x->deadline_ns = max;
        x->deadline_clamped = true;
    }
    uint64_t left_ms = x->deadline_ns > x->arrived_ns ? (x->deadline_ns - x->arrived_ns) / NS_PER_MS : 0;
    if (x->deadline_ns > x->arrived_ns && left_ms >= p->deadline_min_remaining_ms)
        return true;
    x->late = true;
    http_error_set(&x->error, API_DEADLINE_EXCEEDED,
        "%llu ms are left until the deadline; at least %u ms are required", (unsigned long long)left_ms,
        p->deadline_min_remaining_ms);
    http_error_detail_numbers(
        &x->error, "remaining_ms", left_ms, "min_remaining_ms", p->deadline_min_remaining_ms);
    x->close = true; /* answered from the head: its body is not waited for */
    return false;
}

/* --- route, body ----------------------------------------------------------------------- */

static bool is_json(const char *type)
{
    size_t n = strlen("application/json");
    return type && strncasecmp(type, "application/json", n) == 0 && (!type[n] || strchr("; \t", type[n]));
}

static void check_body(struct head *h)
{
    struct exchange *x = h->x;
    uint64_t cap = (uint64_t)x->server->params.max_body_kb * 1024, length = 0;
    bool huge = false;
    for (const char *p = h->length; p && *p; p++)
        huge |= __builtin_mul_overflow(length, (uint64_t)10, &length) ||
                __builtin_add_overflow(length, (uint64_t)(*p - '0'), &length);
    if (!x->error.code && x->route->flags & ROUTE_BODY) {
        if ((h->length || h->coding) && !is_json(h->type))
            http_error_set(&x->error, API_UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json");
        else if (h->encoding && strcasecmp(h->encoding, "identity") != 0)
            http_error_set(&x->error, API_UNSUPPORTED_MEDIA_TYPE,
                "compressed bodies are not supported (Content-Encoding: %.32s); send the body as it is",
                h->encoding);
        else if (huge || length > cap)
            http_error_set(&x->error, API_PAYLOAD_TOO_LARGE, "request body exceeds the limit of %llu bytes",
                (unsigned long long)cap);
    }
    /* The body of a refused request is read so that the connection can be kept, but not if
     * the body is long or the client waits for 100 Continue. */
    if (x->error.code && (huge || length > HTTP_DRAIN_BYTES || h->expect))
        x->close = true;
}

static const struct error_shape *shape_of(const struct http_service *service, const char *uri)
{
    for (size_t i = 0; i < service->n_shapes; i++)
        if (strncmp(uri, service->shapes[i].prefix, strlen(service->shapes[i].prefix)) == 0)
            return &service->shapes[i];
    return NULL;
}

/* A connection beyond http.max_connections is for /health and for holders of keys. */
static bool check_spare(struct exchange *x, const char *path)
{
    const struct http_server *s = x->server;
    struct conn *c = x->conn;
    if (c->spare && atomic_load(&s->n_connections) <= s->params.max_connections)
        c->spare = false;
    if (!c->spare || x->owner || route_path_is_open(s->service, path))
        return true;
    x->error.retry_after_s = 1;
    http_error_set(&x->error, API_TOO_MANY_CONNECTIONS, "the limit of %u open connections is reached",
        s->params.max_connections);
    x->close = true;
    return false;
}

void gate_head(struct exchange *x, const char *url, const char *method, const char *version)
{
    const struct http_service *service = x->server->service;
    struct head h = {.x = x};
    x->out.chunked = strcmp(version, "HTTP/1.1") == 0;
    x->error.shape = shape_of(service, x->uri);
    if (!check_head(&h, url, method, version))
        return;
    take_correlation_id(&h);
    if (!check_framing(&h, version) || !check_uri(x) || !check_host(&h))
        return;
    char path[HTTP_URI_BYTES + 1];
    size_t n = strcspn(x->uri, "?");
    memcpy(path, x->uri, n);
    path[n] = 0;
    const char *parameter = NULL;
    if (cors_allows(&x->server->cors, h.origin))
        x->origin = h.origin;
    if (x->origin && h.request_method && strcmp(method, "OPTIONS") == 0) {
        x->route = &cors_preflight;
        return;
    }
    const bool has_key = check_key(&h, path);
    if (!check_spare(x, path))
        return;
    if (has_key) {
        x->route = route_find(service, method, path, &parameter, x->allow, sizeof(x->allow), &x->error);
        if (x->route)
            check_client(x);
    } else {
        struct http_error ignored = {.code = API_OK};
        x->route = route_find(service, method, path, &parameter, x->allow, sizeof(x->allow),
            &ignored); /* to count the refusal */
        x->allow[0] = 0;
    }
    x->parameter = parameter ? x->uri + (parameter - path) : NULL;
    if (x->route && x->route->flags & ROUTE_WORK && !x->error.code)
        take_deadline(&h);
    check_body(&h);
}
