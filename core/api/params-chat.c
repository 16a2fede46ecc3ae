#include "api/params-chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* --- options ------------------------------------------------------------------------- */

void params_reasoning_effort(struct json_in *in, struct chat_options *o, json_object *v)
{
    /* OpenAI's names, and the names that models know for them. */
    static const struct {
        const char *name, *meant;
    } efforts[] = {
        {"none", NULL},
        {"minimal", "low"},
        {"low", "low"},
        {"medium", "medium"},
        {"high", "high"},
        {"xhigh", "high"},
    };
    const char *s;
    size_t n;
    if (!json_in_text(in, "reasoning_effort", v, &s, &n))
        return;
    for (size_t i = 0; i < ARRAY_LEN(efforts); i++) {
        if (strcmp(s, efforts[i].name) != 0)
            continue;
        o->reasoning_effort = efforts[i].meant;
        if (!efforts[i].meant && o->enable_thinking < 0)
            o->enable_thinking = 0;
        return;
    }
    json_in_fail(in, "reasoning_effort", "must be none, minimal, low, medium, high or xhigh");
}

void params_template_kwargs(struct json_in *in, struct chat_options *o, json_object *v)
{
    struct json_in inner = {in->error, "chat_template_kwargs."};
    json_object *field;
    bool thinking;
    if (!json_in_type(in, "chat_template_kwargs", v, json_type_object, "an object"))
        return;
    if (json_object_object_get_ex(v, "enable_thinking", &field) && field &&
        json_in_bool(&inner, "enable_thinking", field, &thinking))
        o->enable_thinking = thinking;
    if (json_object_object_get_ex(v, "reasoning_effort", &field) && field)
        params_reasoning_effort(&inner, o, field);
}

/* --- messages -------------------------------------------------------------------------- */

struct conversation {
    struct chat_message *messages;
    char **joined; /* per message: its content, if that came in parts; else NULL */
    size_t n, n_bytes;
};

static void conversation_release(struct conversation *t)
{
    for (size_t i = 0; t->joined && i < t->n; i++)
        free(t->joined[i]);
    free(t->joined);
    free(t->messages);
}

/* The text of one part of a content. */
static bool read_part(struct json_in *in, json_object *part, const char **s, size_t *n)
{
    json_object *type = NULL, *text = NULL;
    if (!json_in_type(in, "content", part, json_type_object, "a string or an array of parts"))
        return false;
    json_object_object_get_ex(part, "type", &type);
    if (!type || !json_object_is_type(type, json_type_string) ||
        strcmp(json_object_get_string(type), "text") != 0) {
        json_in_fail(in, "content", "must have only parts of the type text");
        return false;
    }
    json_object_object_get_ex(part, "text", &text);
    return json_in_text(in, "content", text, s, n);
}

static void read_parts(struct json_in *in, struct conversation *t, size_t i, json_object *parts)
{
    size_t n_parts = json_object_array_length(parts), total = 0, n = 0;
    const char *s = "";
    for (size_t k = 0; k < n_parts; k++) {
        if (!read_part(in, json_object_array_get_idx(parts, k), &s, &n))
            return;
        total += n + (k > 0); /* cannot overflow: all of it is in the body, whose size is limited */
    }
    char *p = t->joined[i] = malloc(total + 1);
    if (!p) {
        http_error_set(in->error, API_OUT_OF_MEMORY, "out of memory");
        return;
    }
    for (size_t k = 0; k < n_parts && read_part(in, json_object_array_get_idx(parts, k), &s, &n); k++) {
        if (k) /* parts are paragraphs: glued together, the last word of one and the first of the next are one
                */
            *p++ = '\n';
        memcpy(p, s, n);
        p += n;
    }
    t->messages[i].content = t->joined[i];
    t->messages[i].n_content = total;
}

static void read_content(struct json_in *in, struct conversation *t, size_t i, json_object *v)
{
    struct chat_message *m = &t->messages[i];
    m->content = "";
    if (json_object_is_type(v, json_type_array))
        read_parts(in, t, i, v);
    else if (v || m->role != CHAT_ASSISTANT) /* an assistant's message may have no content */
        json_in_text(in, "content", v, &m->content, &m->n_content);
}

static void read_message(struct json_in *in, struct conversation *t, size_t i, json_object *v)
{
    struct chat_message *m = &t->messages[i];
    json_object *role = NULL, *content = NULL, *other = NULL;
    const char *s;
    size_t n;
    json_object_object_get_ex(v, "role", &role);
    if (!json_in_text(in, "role", role, &s, &n))
        return;
    int r = chat_role_find(s);
    if (r < 0) {
        json_in_fail(in, "role", "must be system, developer, user, assistant or tool");
        return;
    }
    m->role = (enum chat_role)r;
    json_object_object_get_ex(v, "content", &content);
    read_content(in, t, i, content);
    static const char *const calls[] = {"tool_calls", "function_call", "audio"};
    for (size_t k = 0; k < ARRAY_LEN(calls); k++)
        if (json_object_object_get_ex(v, calls[k], &other) && other &&
            !(json_object_is_type(other, json_type_array) && json_object_array_length(other) == 0))
            json_in_fail(in, calls[k], "requests a feature that this server does not support");
    if (json_object_object_get_ex(v, "reasoning_content", &other) && other && m->role == CHAT_ASSISTANT)
        json_in_text(in, "reasoning_content", other, &m->reasoning, &m->n_reasoning);
    t->n_bytes += m->n_content + m->n_reasoning;
}

static void read_messages(struct json_in *in, struct conversation *t, json_object *list)
{
    if (!json_in_type(in, "messages", list, json_type_array, "an array of messages"))
        return;
    size_t n = json_object_array_length(list);
    if (n < 1 || n > CHAT_MAX_MESSAGES) {
        json_in_fail(in, "messages", "must have 1 to %d messages", CHAT_MAX_MESSAGES);
        return;
    }
    t->messages = calloc(n, sizeof(*t->messages));
    t->joined = calloc(n, sizeof(*t->joined));
    t->n = n;
    if (!t->messages || !t->joined) {
        http_error_set(in->error, API_OUT_OF_MEMORY, "out of memory");
        return;
    }
    for (size_t i = 0; i < n && !in->error->code; i++) {
        char path[32];
        struct json_in inner = {in->error, path};
        json_object *v = json_object_array_get_idx(list, i);
        snprintf(path, sizeof(path), "messages[%zu]", i);
        if (!json_object_is_type(v, json_type_object)) {
            json_in_fail(in, path, "must be an object");
            return;
        }
        snprintf(path, sizeof(path), "messages[%zu].", i);
        read_message(&inner, t, i, v);
    }
}

static void add_stops(struct request *r, const struct chat_template *t)
{
    for (const char *const *s = chat_stops(t); s && *s; s++) {
        size_t n = strlen(*s);
        if (r->n_stop == ARRAY_LEN(r->stop) || n > JOB_STOP_BYTES)
            return;
        r->stop[r->n_stop].n = (uint32_t)n;
        memcpy(r->stop[r->n_stop++].text, *s, n);
        r->n_marks++;
    }
}

static void refused(struct json_in *in, int rc, const struct orcd_error *err)
{
    if (rc == ORCD_E_NOMEM) {
        http_error_set(in->error, API_OUT_OF_MEMORY, "out of memory");
        return;
    }
    http_error_set(in->error, API_INVALID_REQUEST, "messages: %.240s", err->msg);
    http_error_detail_field(in->error, in->path, "messages");
}

static void render(struct json_in *in, const struct api_model *model, struct request *r,
    const struct chat_options *o, const struct conversation *t)
{
    size_t n_ids = 0, longest = tokenizer_max_piece_bytes(model->tokenizer);
    struct orcd_error err = ORCD_ERROR_INIT;
    if (longest && t->n_bytes / longest > model->n_ctx) { /* certainly more tokens than the context has */
        params_too_long(in->error, t->n_bytes / longest, true, 0, model->n_ctx);
        return;
    }
    int rc = chat_render(model->chat, t->messages, t->n, o, &r->tokens, &n_ids, &err);
    if (rc)
        refused(in, rc, &err);
    else if (n_ids > model->n_ctx)
        params_too_long(in->error, n_ids, false, 0, model->n_ctx);
    else
        r->n_tokens = (uint32_t)n_ids;
}

void params_messages(struct json_in *in, const struct api_model *model, struct request *r,
    const struct chat_options *o, json_object *messages)
{
    struct conversation t = {0};
    read_messages(in, &t, messages);
    if (!in->error->code)
        render(in, model, r, o, &t);
    if (!in->error->code)
        add_stops(r, model->chat);
    conversation_release(&t);
}

char *params_messages_text(struct json_in *in, const struct api_model *model, const struct chat_options *o,
    json_object *messages, size_t *n)
{
    struct conversation t = {0};
    struct orcd_error err = ORCD_ERROR_INIT;
    char *text = NULL;
    read_messages(in, &t, messages);
    int rc = in->error->code ? 0 : chat_render_text(model->chat, t.messages, t.n, o, &text, n, &err);
    if (rc)
        refused(in, rc, &err);
    conversation_release(&t);
    return text;
}

/* --- nothing unknown ---------------------------------------------------------------------- */

static bool only_fields(struct json_in *in, json_object *o, const char *const *names)
{
    json_object_object_foreach(o, name, v)
    {
        const char *const *known = names;
        (void)v;
        while (*known && strcmp(*known, name) != 0)
            known++;
        if (!*known) {
            json_in_unknown(in, name);
            return false;
        }
    }
    return true;
}

bool params_messages_known(struct json_in *in, json_object *messages)
{
    static const char *const names[] = {"role", "content", "reasoning_content", NULL};
    if (!json_in_type(in, "messages", messages, json_type_array, "an array of messages"))
        return false;
    for (size_t i = 0; i < json_object_array_length(messages); i++) {
        char path[32];
        struct json_in inner = {in->error, path};
        json_object *v = json_object_array_get_idx(messages, i);
        snprintf(path, sizeof(path), "messages[%zu].", i);
        if (json_object_is_type(v, json_type_object) && !only_fields(&inner, v, names))
            return false;
    }
    return true;
}

bool params_kwargs_known(struct json_in *in, json_object *v)
{
    static const char *const names[] = {"enable_thinking", "reasoning_effort", NULL};
    struct json_in inner = {in->error, "chat_template_kwargs."};
    return json_in_type(in, "chat_template_kwargs", v, json_type_object, "an object") &&
           only_fields(&inner, v, names);
}
