#include "http/body.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/util.h"
#include "http/server-internal.h"

static void error_of_scan(const struct body *b, struct http_error *error)
{
    if (b->scan.no_memory)
        http_error_set(error, API_OUT_OF_MEMORY, "out of memory");
    else
        http_error_set(error, API_INVALID_REQUEST, "invalid JSON in request body at byte %llu: %s",
            (unsigned long long)b->scan.offset, b->scan.error);
}

/* What counts: all but the first HTTP_INLINE_BODY_BYTES. */
static size_t counted(size_t cap)
{
    return cap > HTTP_INLINE_BODY_BYTES ? cap - HTTP_INLINE_BODY_BYTES : 0;
}

static bool grow(
    struct body *b, struct http_server *s, struct share *of, size_t cap, struct http_error *error)
{
    const size_t more = counted(cap) - counted(b->cap);
    if (more && !share_take(&s->shares, of, more)) {
        http_error_set(error, API_QUEUE_FULL,
            "too many large request bodies and answers are held for this client, or for all; try again");
        error->retry_after_s = 1;
        return false;
    }
    char *bigger = realloc(b->text, cap);
    if (!bigger) {
        share_return(&s->shares, of, more);
        http_error_set(error, API_OUT_OF_MEMORY, "out of memory");
        return false;
    }
    b->of = of;
    b->text = bigger;
    b->cap = cap;
    return true;
}

bool body_take(struct body *b, struct http_server *s, struct share *of, const char *data, size_t n,
    struct http_error *error)
{
    size_t max = (size_t)s->params.max_body_kb * 1024;
    if (n > max - b->n) {
        http_error_set(error, API_PAYLOAD_TOO_LARGE, "request body exceeds the limit of %zu bytes", max);
        return false;
    }
    if (!b->scanning) {
        static const struct json_scan_limits limits = {
            .max_values = 256 * 1024, .max_containers = 8192, .max_keys = 4096};
        const uint64_t seed[2] = {random_u64(), random_u64()};
        json_scan_init(&b->scan, &limits, seed);
        b->scanning = true;
    }
    if (!json_scan_push(&b->scan, data, n)) {
        error_of_scan(b, error);
        return false;
    }
    if (n > b->cap - b->n && !grow(b, s, of, min_u64(max_u64(b->cap * 2, b->n + n + 1024), max), error))
        return false;
    memcpy(b->text + b->n, data, n);
    b->n += n;
    return true;
}

void body_end(struct body *b, struct http_error *error)
{
    if (!b->n)
        http_error_set(error, API_INVALID_REQUEST, "a JSON request body is required");
    else if (!json_scan_finish(&b->scan))
        error_of_scan(b, error);
}

void body_free(struct body *b, struct http_server *s)
{
    share_return(&s->shares, b->of, counted(b->cap));
    free(b->text);
    b->text = NULL;
    b->n = b->cap = 0;
}

void body_release(struct body *b)
{
    json_scan_release(&b->scan);
}
