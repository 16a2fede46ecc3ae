#include "lib/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PATIENCE_NS (60 * NS_PER_S)

struct stream {
    struct fleet *fleet;
    struct load_call *call; /* NULL: between two */
    unsigned number;
    uint32_t n_tokens; /* of this answer */
    uint64_t before_ns, n_asked;
    bool had_token, ended;
};

struct fleet {
    struct load *load;
    struct fleet_spec spec;
    struct stream *streams;
    unsigned n_flowing; /* streams that had a token */
    unsigned n_open;    /* calls */
    bool steady, closing;
    uint64_t n_told;
    char failed[200];
};

static void fail(struct fleet *f, const char *what, const char *detail)
{
    if (!f->failed[0])
        snprintf(f->failed, sizeof(f->failed), "%s: %.150s", what, detail);
    load_stop(f->load);
}

static void on_event(struct load_call *c, const struct load_event *e)
{
    struct stream *s = load_call_arg(c);
    struct fleet *f = s->fleet;
    if (e->kind == LOAD_ERROR) {
        fail(f, "a stream ended", e->data);
    } else if (e->kind == LOAD_END) {
        s->ended = true;
    } else if (e->kind == LOAD_TOKEN) {
        struct fleet_token t = {s->number, s->n_tokens++, s->before_ns, load_call_sent_ns(c), e};
        s->before_ns = e->recv_ns;
        if (!s->had_token) {
            s->had_token = true;
            if (++f->n_flowing == f->spec.n_streams)
                load_stop(f->load);
        }
        if (f->steady) {
            f->n_told++;
            f->spec.token(f->spec.arg, &t);
        }
    }
}

static int ask(struct stream *s, struct orcd_error *err);

static void on_done(struct load_call *c, enum load_outcome how, const char *body, size_t n_body)
{
    struct stream *s = load_call_arg(c);
    struct orcd_error err = ORCD_ERROR_INIT;
    (void)n_body;
    s->call = NULL;
    if (--s->fleet->n_open == 0 && s->fleet->closing)
        load_stop(s->fleet->load);
    if (s->fleet->closing || s->fleet->failed[0])
        return;
    if (how != LOAD_COMPLETE || load_call_status(c) != 200 || !s->ended)
        fail(s->fleet, how == LOAD_REFUSED ? "no connection" : "a stream was cut or refused", body);
    else if (ask(s, &err))
        fail(s->fleet, "cannot send a request", err.msg);
}

static const struct load_handlers handlers = {.event = on_event, .done = on_done};

static int ask(struct stream *s, struct orcd_error *err)
{
    const struct fleet_spec *f = &s->fleet->spec;
    struct load_spec call = {.url = f->url, .method = "GET", .path = "/", .handlers = &handlers, .arg = s};
    struct target_request request = {.body = NULL};
    char id[64];
    snprintf(id, sizeof(id), "fleet-%llu-%u-%llu", (unsigned long long)f->salt, s->number,
        (unsigned long long)s->n_asked);
    if (f->target) {
        struct target_prompt prompt = {.job_id = id,
            .n_tokens = f->prompt_tokens,
            .salt = f->salt + s->number * UINT64_C(1000003) + s->n_asked,
            .max_tokens = f->max_tokens,
            .stream = true,
            .timestamps = f->timestamps};
        int rc = target_request(&request, f->target, &prompt, err);
        if (rc)
            return rc;
        call.url = target_url(f->target);
        call.method = "POST";
        call.path = request.path;
        call.body = request.body;
        call.n_body = request.n_body;
    }
    s->n_asked++;
    s->n_tokens = 0;
    s->before_ns = 0;
    s->ended = false;
    int rc = load_call(s->fleet->load, &call, &s->call, err);
    target_request_release(&request);
    s->fleet->n_open += rc == 0;
    return rc;
}

int fleet_start(struct fleet **out, struct load *l, const struct fleet_spec *spec, struct orcd_error *err)
{
    struct fleet *f = calloc(1, sizeof(*f));
    if (!f || !(f->streams = calloc(spec->n_streams, sizeof(*f->streams)))) {
        free(f);
        return error_set(err, ORCD_E_NOMEM, "out of memory for %u streams", spec->n_streams);
    }
    f->load = l;
    f->spec = *spec;
    int rc = 0;
    for (unsigned i = 0; i < spec->n_streams && rc == 0; i++) {
        f->streams[i] = (struct stream){.fleet = f, .number = i};
        rc = ask(&f->streams[i], err);
    }
    if (rc) {
        fleet_stop(f);
        return rc;
    }
    *out = f;
    return 0;
}

static int run_for(struct fleet *f, uint64_t ns, struct orcd_error *err)
{
    uint64_t until = clock_mono_ns() + ns;
    while (!f->failed[0] && load_run(f->load, until) && clock_mono_ns() < until)
        ; /* somebody else's load_stop() */
    return f->failed[0] ? error_set(err, ORCD_E_IO, "%s", f->failed) : 0;
}

int fleet_run(struct fleet *f, uint64_t warm_ns, uint64_t steady_ns, struct orcd_error *err)
{
    uint64_t until = clock_mono_ns() + PATIENCE_NS;
    while (!f->failed[0] && f->n_flowing < f->spec.n_streams && load_run(f->load, until))
        ;
    if (!f->failed[0] && f->n_flowing < f->spec.n_streams)
        return error_set(err, ORCD_E_IO, "%u of %u streams got no token for a minute",
            f->spec.n_streams - f->n_flowing, f->spec.n_streams);
    int rc = run_for(f, warm_ns, err);
    return rc ? rc : fleet_go_on(f, steady_ns, err);
}

int fleet_go_on(struct fleet *f, uint64_t steady_ns, struct orcd_error *err)
{
    f->steady = true;
    int rc = run_for(f, steady_ns, err);
    f->steady = false;
    return rc;
}

uint64_t fleet_tokens(const struct fleet *f)
{
    return f->n_told;
}

void fleet_stop(struct fleet *f)
{
    if (!f)
        return;
    f->closing = true;
    for (unsigned i = 0; i < f->spec.n_streams; i++)
        if (f->streams[i].call)
            load_call_close(f->streams[i].call, LOAD_CLOSE);
    while (f->n_open && load_run(f->load, 0)) /* their last callbacks */
        ;
    free(f->streams);
    free(f);
}
