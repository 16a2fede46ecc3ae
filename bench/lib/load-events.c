#include "lib/load-events.h"

#include <stdlib.h>
#include <string.h>

bool event_text_add(struct event_text *t, const char *p, size_t n, size_t max)
{
    if (n > max - t->n)
        return false;
    if (t->cap - t->n <= n) {
        size_t cap = t->cap ? t->cap : 512;
        while (cap - t->n <= n)
            cap *= 2;
        char *q = realloc(t->p, cap);
        if (!q)
            return false;
        t->p = q;
        t->cap = cap;
    }
    memcpy(t->p + t->n, p, n);
    t->n += n;
    t->p[t->n] = 0;
    return true;
}

/* What follows `"name":` in a JSON text, NULL without one. Quotes inside of strings are
 * escaped, so what is found is no string's inside. */
static const char *member(const char *json, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = json; (p = strstr(p, name)); p += n) {
        const char *q = p + n;
        if (p == json || p[-1] != '"' || *q != '"')
            continue;
        q += 1 + strspn(q + 1, " ");
        if (*q == ':')
            return q + 1 + strspn(q + 1, " ");
    }
    return NULL;
}

static bool has_text(const char *value)
{
    return value && value[0] == '"' && value[1] != '"';
}

/* Streams whose events have no name: OpenAI's, and llama.cpp's own, whose last chunk
 * says so itself. */
static enum load_event_kind kind_of_data(const char *data)
{
    const char *stop;
    if (strcmp(data, "[DONE]") == 0)
        return LOAD_END;
    if (has_text(member(data, "content")) || has_text(member(data, "text")))
        return LOAD_TOKEN;
    if ((stop = member(data, "stop")) && strncmp(stop, "true", 4) == 0)
        return LOAD_END;
    return member(data, "error") ? LOAD_ERROR : LOAD_OTHER;
}

static enum load_event_kind kind_of(const struct events *e)
{
    static const struct {
        const char *name;
        enum load_event_kind kind;
    } names[] = {{"token", LOAD_TOKEN}, {"started", LOAD_STARTED}, {"end", LOAD_END}, {"error", LOAD_ERROR}};
    if (!e->name[0] || strcmp(e->name, "message") == 0)
        return kind_of_data(e->data.p);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(e->name, names[i].name) == 0)
            /* Text that was held back comes as a token event without an id. */
            return names[i].kind == LOAD_TOKEN && !e->has_id ? LOAD_OTHER : names[i].kind;
    return LOAD_OTHER;
}

static uint64_t at_us(const char *data)
{
    const char *v = member(data, "at_us");
    uint64_t us = 0;
    for (int i = 0; v && i < 18 && v[i] >= '0' && v[i] <= '9'; i++)
        us = us * 10 + (uint64_t)(v[i] - '0');
    return us;
}

static bool dispatch(struct events *e, events_fn fn, void *arg)
{
    bool go_on = true;
    if (e->has_data) {
        enum load_event_kind kind = kind_of(e);
        go_on = fn(arg, kind, kind == LOAD_TOKEN ? at_us(e->data.p) : 0, e->data.p, e->data.n);
    }
    e->data.n = 0;
    e->name[0] = 0;
    e->has_data = e->has_id = false;
    return go_on;
}

static enum events_result take_line(struct events *e, const char *p, size_t n, events_fn fn, void *arg)
{
    if (n == 0)
        return dispatch(e, fn, arg) ? EVENTS_MORE : EVENTS_STOPPED;
    const char *colon = memchr(p, ':', n), *value = p + n;
    size_t n_name = n;
    if (colon) {
        n_name = (size_t)(colon - p);
        value = colon + 1;
        if (value < p + n && *value == ' ')
            value++;
    }
    size_t n_value = (size_t)(p + n - value);
    if (n_name == 0) {
        /* The data buffer lends itself, behind what it may hold of an event. */
        size_t held = e->data.n;
        if (!event_text_add(&e->data, value, n_value, EVENTS_MAX))
            return EVENTS_TOO_LONG;
        bool go_on = fn(arg, LOAD_COMMENT, 0, e->data.p + held, n_value);
        e->data.n = held;
        e->data.p[held] = 0;
        return go_on ? EVENTS_MORE : EVENTS_STOPPED;
    }
    if (n_name == 5 && memcmp(p, "event", 5) == 0) {
        n_value = n_value < sizeof(e->name) ? n_value : sizeof(e->name) - 1;
        memcpy(e->name, value, n_value);
        e->name[n_value] = 0;
    } else if (n_name == 4 && memcmp(p, "data", 4) == 0) {
        if ((e->has_data && !event_text_add(&e->data, "\n", 1, EVENTS_MAX)) ||
            !event_text_add(&e->data, value, n_value, EVENTS_MAX))
            return EVENTS_TOO_LONG;
        e->has_data = true;
    } else if (n_name == 2 && memcmp(p, "id", 2) == 0) {
        e->has_id = true;
    }
    return EVENTS_MORE;
}

enum events_result events_feed(struct events *e, const char *p, size_t n, events_fn fn, void *arg)
{
    const char *end = p + n;
    while (p < end) {
        if (e->after_cr && *p == '\n') {
            e->after_cr = false;
            p++;
            continue;
        }
        e->after_cr = false;
        const char *stop = p;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        enum events_result rc = EVENTS_MORE;
        if (stop == end || e->line.n) {
            if (!event_text_add(&e->line, p, (size_t)(stop - p), EVENTS_MAX))
                return EVENTS_TOO_LONG;
            if (stop == end)
                return EVENTS_MORE;
            size_t n_line = e->line.n;
            e->line.n = 0;
            rc = take_line(e, e->line.p, n_line, fn, arg);
        } else {
            rc = take_line(e, p, (size_t)(stop - p), fn, arg);
        }
        if (rc != EVENTS_MORE)
            return rc;
        e->after_cr = *stop == '\r';
        p = stop + 1;
    }
    return EVENTS_MORE;
}

void events_release(struct events *e)
{
    free(e->line.p);
    free(e->data.p);
    *e = (struct events){0};
}
