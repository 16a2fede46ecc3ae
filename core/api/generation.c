#include "api/generation.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/dialect.h"
#include "base/clock.h"

static const struct http_work generation_work;

struct generation *generation_new(struct exchange *x, const struct dialect *dialect)
{
    struct generation *g = calloc(1, sizeof(*g));
    if (!g) {
        http_error_set(&x->error, API_OUT_OF_MEMORY, "out of memory");
        return NULL;
    }
    g->x = x;
    g->dialect = dialect;
    peer_text(x, g->peer);
    exchange_attach(x, &generation_work, g);
    return g;
}

static void generation_free(void *work)
{
    struct generation *g = work;
    choices_free(g);
    free(g->head);
    free(g);
}

/* --- what the exchange calls ----------------------------------------------------------------- */

/* True if a stream is wanted and some choice has begun. */
static bool may_stream(const struct generation *g)
{
    for (uint32_t i = 0; g->stream && i < g->n_choices; i++)
        if (atomic_load_explicit(&g->choices[i].job->has_started, memory_order_acquire))
            return true;
    return false;
}

static bool has_outcome(const struct exchange *x)
{
    const struct generation *g = generation_of(x);
    return choices_ended(g) || choices_failed(g) || may_stream(g);
}

static void error_of_end(struct exchange *x, const struct job_end *end)
{
    http_error_set(&x->error, end->code, "%s", end->message);
    snprintf(x->error.details, sizeof(x->error.details),
        "{\"phase\":\"%s\",\"tokens_out\":%u,\"retriable\":%s}", choice_phase(end), end->tokens_out,
        api_code_retriable(end->code) ? "true" : "false");
}

static bool begin(struct exchange *x)
{
    struct generation *g = generation_of(x);
    const struct choice *failed;
    if (may_stream(g)) {
        x->out.tick_ms = g->dialect->metrics ? api_of(x)->params.metrics_event_ms : 0;
        return true;
    }
    if ((failed = choices_failed(g))) {
        error_of_end(x, &failed->job->end);
        choices_abort(g, ABORT_CANCEL, clock_mono_ns());
    } else if (!choices_ended(g)) {
        http_error_set(&x->error, API_SHUTTING_DOWN, "the worker is shutting down");
    } else {
        g->dialect->answer(g);
    }
    return false;
}

static void gone(struct exchange *x, uint64_t noticed_ns)
{
    choices_abort(generation_of(x), ABORT_DISCONNECT, noticed_ns);
}

static void drain(struct exchange *x)
{
    choices_abort(generation_of(x), ABORT_SHUTDOWN, clock_mono_ns());
}

static void drop(struct exchange *x, bool whole)
{
    choices_drop(generation_of(x), whole);
}

static const struct http_work generation_work = {
    .has_outcome = has_outcome,
    .begin = begin,
    .has_news = events_have_news,
    .format = events_format,
    .format_all = events_format_tokens,
    .taken = events_taken,
    .handed = events_handed,
    .gone = gone,
    .drain = drain,
    .drop = drop,
    .free = generation_free,
};
