#include "client/sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static int append_data(struct sse *s, const char *p, size_t n, struct orcd_error *err)
{
    if (s->n_data + n + 2 > SSE_EVENT_MAX)
        return error_set(err, ORCD_E_INVALID, "an event of the answer is too long");
    if (!s->data && !(s->data = malloc(SSE_EVENT_MAX)))
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    if (s->n_data)
        s->data[s->n_data++] = '\n';
    memcpy(s->data + s->n_data, p, n);
    s->n_data += n;
    s->data[s->n_data] = 0;
    return 0;
}

static int end_event(struct sse *s, sse_fn fn, void *arg)
{
    int rc = s->n_data ? fn(*s->name ? s->name : "message", s->id, s->data, arg) : 0;
    s->name[0] = s->id[0] = 0;
    s->n_data = 0;
    return rc;
}

static int take_line(struct sse *s, sse_fn fn, void *arg, struct orcd_error *err)
{
    char *line = s->line;
    size_t n = s->line_n;
    s->line_n = 0;
    if (n == 0)
        return end_event(s, fn, arg);
    line[n] = 0;
    char *value = memchr(line, ':', n);
    if (value == line) /* a comment */
        return 0;
    if (value)
        *value++ = 0;
    else
        value = line + n;
    if (*value == ' ')
        value++;
    if (strcmp(line, "data") == 0)
        return append_data(s, value, (size_t)(line + n - value), err);
    if (strcmp(line, "event") == 0)
        snprintf(s->name, sizeof(s->name), "%s", value);
    else if (strcmp(line, "id") == 0)
        snprintf(s->id, sizeof(s->id), "%s", value);
    return 0;
}

int sse_feed(struct sse *s, const char *p, size_t n, sse_fn fn, void *arg, struct orcd_error *err)
{
    if (!s->line && !(s->line = malloc(SSE_EVENT_MAX)))
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        char ch = p[i];
        bool second = ch == '\n' && s->after_cr;
        s->after_cr = ch == '\r';
        if (second)
            continue;
        if (ch == '\n' || ch == '\r') {
            int rc = take_line(s, fn, arg, err);
            if (rc)
                return rc;
            continue;
        }
        if (s->line_n + 1 >= SSE_EVENT_MAX)
            return error_set(err, ORCD_E_INVALID, "a line of the answer is too long");
        s->line[s->line_n++] = ch;
    }
    return 0;
}

void sse_release(struct sse *s)
{
    free(s->line);
    free(s->data);
    memset(s, 0, sizeof(*s));
}
