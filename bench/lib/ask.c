#include "lib/ask.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

void ask_reset(struct ask *a)
{
    struct load_conn *conn = a->conn;
    memset(a, 0, sizeof(*a));
    load_conn_close(conn);
}

/* The string that follows `"name":"`, without escapes, cut to the buffer. */
static void take_text(const char *json, const char *name, char *out, size_t size)
{
    const char *p = strstr(json, name);
    p = p ? p + strlen(name) : NULL;
    size_t n = p ? strcspn(p, "\"") : 0;
    n = n < size ? n : size - 1;
    memcpy(out, p ? p : "", n);
    out[n] = 0;
}

static void news(struct ask *a)
{
    if (a->watched)
        load_stop(a->load);
}

static uint64_t at(uint64_t kernel_ns)
{
    return kernel_ns ? kernel_ns : clock_mono_ns();
}

static void on_head(struct load_call *c, int status, uint64_t kernel_ns)
{
    struct ask *a = load_call_arg(c);
    a->sent_ns = load_call_sent_ns(c);
    a->head_ns = at(kernel_ns);
    a->status = status;
    a->failed = status >= 400;
    news(a);
}

static void on_event(struct load_call *c, const struct load_event *e)
{
    struct ask *a = load_call_arg(c);
    uint64_t when = e->kernel_ns ? e->kernel_ns : e->recv_ns;
    switch (e->kind) {
    case LOAD_STARTED:
        a->started_ns = when;
        break;
    case LOAD_TOKEN:
        a->first_ns = a->first_ns ? a->first_ns : when;
        a->token_ns[a->n_tokens++ % ASK_TOKENS] = when;
        break;
    case LOAD_END:
        a->end_ns = when;
        take_text(e->data, "\"finish_reason\":\"", a->finish, sizeof(a->finish));
        break;
    case LOAD_ERROR:
        a->end_ns = when;
        a->failed = true;
        take_text(e->data, "\"code\":\"", a->code, sizeof(a->code));
        break;
    default:
        return;
    }
    news(a);
}

static void on_done(struct load_call *c, enum load_outcome how, const char *body, size_t n_body)
{
    struct ask *a = load_call_arg(c);
    a->sent_ns = load_call_sent_ns(c) ? load_call_sent_ns(c) : a->sent_ns;
    a->call = NULL;
    a->done = true;
    a->how = how;
    n_body = n_body < sizeof(a->body) ? n_body : sizeof(a->body) - 1;
    memcpy(a->body, body, n_body);
    a->body[n_body] = 0;
    if (a->failed && !a->code[0])
        take_text(a->body, "\"code\":\"", a->code, sizeof(a->code));
    if (!a->failed && !a->finish[0])
        take_text(a->body, "\"finish_reason\":\"", a->finish, sizeof(a->finish));
    a->conn = a->keep ? load_call_keep(c) : NULL;
    load_stop(a->load); /* an end is always worth a look */
}

static int begin(struct ask *a, struct load *l, struct load_spec *spec, struct orcd_error *err)
{
    static const struct load_handlers handlers = {.head = on_head, .event = on_event, .done = on_done};
    bool keep = a->keep;
    spec->conn = a->conn;
    a->conn = NULL;
    ask_reset(a);
    a->load = l;
    a->keep = keep;
    spec->handlers = &handlers;
    spec->arg = a;
    return load_call(l, spec, &a->call, err);
}

int ask_job(struct ask *a, struct load *l, const struct target *t, const struct target_prompt *p,
    const char *headers, struct orcd_error *err)
{
    struct target_request req;
    int rc = target_request(&req, t, p, err);
    if (rc)
        return rc;
    struct load_spec spec = {.url = target_url(t),
        .method = "POST",
        .path = req.path,
        .headers = headers,
        .body = req.body,
        .n_body = req.n_body};
    rc = begin(a, l, &spec, err);
    snprintf(a->job_id, sizeof(a->job_id), "%s", p->job_id ? p->job_id : "");
    target_request_release(&req);
    return rc;
}

int ask_path(struct ask *a, struct load *l, const struct target *t, const char *method, const char *path,
    const char *body, struct orcd_error *err)
{
    return ask_url(a, l, target_url(t), method, path, body, err);
}

int ask_url(struct ask *a, struct load *l, const char *url, const char *method, const char *path,
    const char *body, struct orcd_error *err)
{
    struct load_spec spec = {
        .url = url, .method = method, .path = path, .body = body, .n_body = body ? strlen(body) : 0};
    return begin(a, l, &spec, err);
}

static bool reached(const struct ask *a, enum ask_point what, uint32_t n)
{
    switch (what) {
    case ASK_HEAD:
        return a->head_ns != 0;
    case ASK_STARTED:
        return a->started_ns != 0;
    case ASK_TOKEN:
        return a->n_tokens >= n;
    case ASK_END:
        return a->end_ns != 0;
    case ASK_DONE:
        return a->done;
    }
    return false;
}

bool ask_until(struct ask *a, enum ask_point what, uint32_t n, uint64_t timeout_ms)
{
    uint64_t until = clock_mono_ns() + timeout_ms * NS_PER_MS;
    a->watched = true;
    while (!reached(a, what, n) && !a->done)
        if (!load_run(a->load, until))
            break;
    a->watched = false;
    return reached(a, what, n);
}

/* Keeps a run from ending before its time when there is nothing else to do. */
static void nothing(void *arg)
{
    (void)arg;
}

void ask_pass(struct load *l, uint64_t until_ns)
{
    if (load_at(l, until_ns, nothing, NULL))
        return;
    while (clock_mono_ns() < until_ns)
        load_run(l, until_ns);
}

uint64_t ask_close(struct ask *a, enum load_close how)
{
    if (!a->call)
        return clock_mono_ns();
    a->closed_ns = load_call_close(a->call, how);
    ask_until(a, ASK_DONE, 0, 1000);
    return a->closed_ns;
}
