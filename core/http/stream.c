/*
 * The content reader: events are formatted straight into the library's chunk buffer.
 * The library asks again as soon as the chunk before was handed to the kernel, which
 * is the moment from which emission latency is told.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json-out.h"
#include "http/internal.h"
#include "http/sse.h"
#include "observe/metrics.h"

static uint32_t available(const struct exchange *x)
{
    return job_ended(x->job) ? x->job->end.n_published : job_published(x->job);
}

bool stream_has_news(const struct exchange *x)
{
    return job_ended(x->job) ||
           atomic_load_explicit(&x->formatted, memory_order_relaxed) < job_published(x->job);
}

static const char *model_name(const struct exchange *x)
{
    const struct http_model *m = atomic_load(&x->server->model);
    return m ? m->ref : "";
}

static double decode_ms(const struct job *j, uint64_t now)
{
    uint64_t first = atomic_load(&j->first_token_ns);
    return first && now > first ? (double)(now - first) / (double)NS_PER_MS : 0;
}

enum event { EVENT_NONE, EVENT_STARTED, EVENT_TOKEN, EVENT_HELD, EVENT_END, EVENT_METRICS };

/* Formats the next event that is due. */
static enum event next_event(const struct exchange *x, struct json_out *o, uint64_t now)
{
    const struct job *j = x->job;
    bool ended = job_ended(j); /* before `available`: what it says is then all there is */
    if (!x->started_sent) {
        sse_started(o, j, model_name(x));
        return EVENT_STARTED;
    }
    if (x->formatted < available(x)) {
        sse_token(o, j, x->formatted);
        return EVENT_TOKEN;
    }
    if (ended && j->end.n_held && !x->held_sent) {
        sse_held(o, j);
        return EVENT_HELD;
    }
    if (ended && !x->end_sent) {
        sse_end(o, j);
        return EVENT_END;
    }
    if (x->metrics_due && !x->end_sent) {
        sse_metrics(o, x->formatted, decode_ms(j, now), health_memory_used(x->server->health));
        return EVENT_METRICS;
    }
    return EVENT_NONE;
}

/* That event is on its way. */
static void event_taken(struct exchange *x, enum event e, uint64_t now)
{
    if (e == EVENT_STARTED) {
        x->started_sent = true;
    } else if (e == EVENT_TOKEN) {
        x->formatted++;
    } else if (e == EVENT_HELD) {
        x->held_sent = true;
    } else if (e == EVENT_END) {
        x->end_sent = true;
    } else {
        x->metrics_due = false;
        x->metrics_ns = now;
    }
}

void stream_handed(struct exchange *x, uint64_t now)
{
    uint32_t formatted = x->formatted;
    for (uint32_t i = x->handed; i < formatted; i++) {
        uint64_t sampled = x->job->tokens[i].sampled_ns;
        metric_observe(MH_EMISSION, now > sampled ? (double)(now - sampled) / 1e3 : 0);
    }
    x->handed = formatted;
    atomic_store_explicit(&x->job->delivered, formatted, memory_order_relaxed);
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
    json_out_growing(&o);
    enum event e = next_event(x, &o, now);
    x->rest = json_out_take(&o, &x->n_rest);
    x->rest_at = 0;
    if (!x->rest)
        return 0;
    event_taken(x, e, now);
    return rest_take(x, buf, max);
}

static size_t fill(struct exchange *x, char *buf, size_t max, uint64_t now)
{
    size_t n = x->rest ? rest_take(x, buf, max) : 0;
    while (!x->rest && n < max) {
        struct json_out o;
        json_out_fixed(&o, buf + n, max - n);
        enum event e = next_event(x, &o, now);
        if (e == EVENT_NONE)
            break;
        if (o.failed && n)
            break; /* it gets the next chunk */
        if (o.failed)
            return event_in_pieces(x, buf, max, now);
        event_taken(x, e, now);
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
    if (n == 0 && x->end_sent)
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
    exchange_park(x, stream_has_news);
    return 0;
}
