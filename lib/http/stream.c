/*
 * The content reader: events are formatted straight into the library's chunk buffer.
 * The library asks again as soon as the chunk before was handed to the kernel, which
 * is the moment from which emission latency is told.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "http/api.h"
#include "http/dialect.h"
#include "metrics.h"

static bool has_started(const struct choice *c)
{
    return atomic_load_explicit(&c->job->has_started, memory_order_acquire);
}

bool stream_has_news(const struct exchange *x)
{
    for (uint32_t i = 0; i < x->n_choices; i++) {
        const struct choice *c = &x->choices[i];
        if (c->end_sent)
            continue;
        if (job_ended(c->job) || (!c->started_sent && has_started(c)) ||
            atomic_load_explicit(&c->formatted, memory_order_relaxed) < job_published(c->job))
            return true;
    }
    return false;
}

enum event_kind {
    EVENT_NONE,
    EVENT_STARTED,
    EVENT_TOKEN,
    EVENT_HELD,
    EVENT_END,
    EVENT_ERROR,
    EVENT_CLOSING,
    EVENT_METRICS
};
struct event {
    enum event_kind kind;
    struct choice *choice;
    struct cursor at; /* of the choice, once the event is on its way */
};

/* Formats what is due of a choice, if anything is. */
static enum event_kind choice_event(
    const struct dialect *d, const struct choice *c, struct json_out *o, struct cursor *at)
{
    const struct job *j = c->job;
    bool ended = job_ended(j); /* first: what it says is then all there is */
    uint32_t formatted = atomic_load_explicit(&c->formatted, memory_order_relaxed);
    if (!c->started_sent && has_started(c)) {
        d->started(o, c);
        return EVENT_STARTED;
    }
    if (formatted < (ended ? j->end.n_published : job_published(j))) {
        d->token(o, c, formatted, at);
        return EVENT_TOKEN;
    }
    if (!ended)
        return EVENT_NONE;
    if (j->end.n_held && !c->held_sent) {
        d->held(o, c, at);
        return EVENT_HELD;
    }
    if (j->end.code) {
        d->error(o, c);
        return EVENT_ERROR;
    }
    d->end(o, c, at);
    return EVENT_END;
}

static double decode_ms(const struct job *j, uint64_t now)
{
    uint64_t first = atomic_load(&j->first_token_ns);
    return first && now > first ? (double)(now - first) / (double)NS_PER_MS : 0;
}

/* Formats the next event that is due. */
static void next_event(const struct exchange *x, struct event *e, struct json_out *o, uint64_t now)
{
    bool all = true;
    *e = (struct event){.kind = EVENT_NONE};
    if (x->closed)
        return;
    for (uint32_t i = 0; i < x->n_choices; i++) {
        struct choice *c = &x->choices[i];
        if (c->end_sent)
            continue;
        all = false;
        e->at = c->cursor;
        e->kind = choice_event(x->dialect, c, o, &e->at);
        e->choice = c;
        if (e->kind != EVENT_NONE)
            return;
    }
    if (all) {
        e->kind = EVENT_CLOSING;
        x->dialect->closing(o, x);
    } else if (x->metrics_due && x->dialect->metrics) {
        const struct choice *c = &x->choices[0];
        e->kind = EVENT_METRICS;
        x->dialect->metrics(
            o, c->formatted, decode_ms(c->job, now), health_memory_used(api_of(x)->params.health));
    }
}

/* That event is on its way. */
static void event_taken(struct exchange *x, const struct event *e, uint64_t now)
{
    struct choice *c = e->choice;
    switch (e->kind) {
    case EVENT_NONE:
        return;
    case EVENT_STARTED:
        c->started_sent = true;
        return;
    case EVENT_TOKEN:
        c->formatted++;
        c->cursor = e->at;
        return;
    case EVENT_HELD:
        c->held_sent = true;
        c->cursor = e->at;
        return;
    case EVENT_END:
        c->end_sent = true;
        return;
    case EVENT_ERROR: /* an answer with less than what was asked for is none */
        x->closed = true;
        choices_abort(x, ABORT_CANCEL, now);
        return;
    case EVENT_CLOSING:
        x->closed = true;
        return;
    case EVENT_METRICS:
        x->metrics_due = false;
        x->metrics_ns = now;
        return;
    }
}

void stream_handed(struct exchange *x, uint64_t now)
{
    for (uint32_t i = 0; i < x->n_choices; i++) {
        struct choice *c = &x->choices[i];
        uint32_t formatted = c->formatted;
        if (c->handed == formatted)
            continue;
        for (uint32_t k = c->handed; k < formatted; k++) {
            uint64_t sampled = c->job->tokens[k].sampled_ns;
            metric_observe(MH_EMISSION, now > sampled ? (double)(now - sampled) / 1e3 : 0);
        }
        c->handed = formatted;
        atomic_store_explicit(&c->job->delivered, formatted, memory_order_relaxed);
    }
}

static size_t rest_take(struct exchange *x, char *buf, size_t max)
{
    size_t n = x->n_rest - x->rest_at < max ? x->n_rest - x->rest_at : max;
    memcpy(buf, x->rest + x->rest_at, n);
    x->rest_at += n;
    if (x->rest_at == x->n_rest) {
        free(x->rest);
        x->rest = NULL;
    }
    return n;
}

/* An event larger than the whole buffer goes out in pieces. */
static size_t event_in_pieces(struct exchange *x, char *buf, size_t max, uint64_t now)
{
    struct json_out o;
    struct event e;
    json_out_growing(&o);
    next_event(x, &e, &o, now);
    x->rest = json_out_take(&o, &x->n_rest);
    x->rest_at = 0;
    if (!x->rest)
        return 0;
    event_taken(x, &e, now);
    return rest_take(x, buf, max);
}

static size_t fill(struct exchange *x, char *buf, size_t max, uint64_t now)
{
    size_t n = x->rest ? rest_take(x, buf, max) : 0;
    while (!x->rest && n < max) {
        struct json_out o;
        struct event e;
        json_out_fixed(&o, buf + n, max - n);
        next_event(x, &e, &o, now);
        if (e.kind == EVENT_NONE)
            break;
        if (o.failed && n)
            break; /* it gets the next chunk */
        if (o.failed)
            return event_in_pieces(x, buf, max, now);
        event_taken(x, &e, now);
        n += o.n;
    }
    return n;
}

ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct exchange *x = cls;
    uint64_t now = clock_mono_ns();
    (void)pos;
    if (x->chunk_out)
        stream_handed(x, now);
    x->chunk_out = false;
    if (x->gone || x->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = fill(x, buf, max, now);
    if (n == 0 && x->closed)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0 && x->probe) {
        memcpy(buf, ":\n\n", n = 3);
        x->probe = false;
    } else if (n == 0 && x->ping_due) {
        memcpy(buf, ": ping\n\n", n = 8);
    }
    if (n) {
        x->probe = x->ping_due = false;
        x->chunk_out = true;
        x->sent_ns = now;
        loop_timer_at(x->conn->loop, now + x->server->params.write_stall_ms * NS_PER_MS);
        return (ssize_t)n;
    }
    if (x->conn->loop->draining)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    MHD_suspend_connection(x->mhd);
    exchange_park(x, stream_has_news);
    return 0;
}
