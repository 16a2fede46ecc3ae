/*
 * The events of a generation: which one is due, and what changes once it is on its way. A
 * token counts as handed over when the kernel has it: the library requests more only after
 * the kernel has accepted the last chunk, and the short way sees the result of its send().
 */
#include "api/dialect.h"
#include "api/generation.h"
#include "base/clock.h"
#include "metrics.h"

static bool has_started(const struct choice *c)
{
    return atomic_load_explicit(&c->job->has_started, memory_order_acquire);
}

bool events_have_news(const struct exchange *x)
{
    const struct generation *g = generation_of(x);
    for (uint32_t i = 0; i < g->n_choices; i++) {
        const struct choice *c = &g->choices[i];
        if (c->end_sent)
            continue;
        if (job_ended(c->job) || (!c->started_sent && has_started(c)) ||
            atomic_load_explicit(&c->formatted, memory_order_relaxed) < job_published(c->job))
            return true;
    }
    return false;
}

/* Formats the next event of a choice that is due, if there is one. */
static enum event_kind choice_event(
    const struct dialect *d, const struct choice *c, struct json_out *o, struct cursor *at)
{
    const struct job *j = c->job;
    bool ended = job_ended(j); /* read first: j->end is final once this is true */
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
static enum event_kind next_event(struct generation *g, struct json_out *o, uint64_t now)
{
    bool all = true;
    for (uint32_t i = 0; i < g->n_choices; i++) {
        struct choice *c = &g->choices[i];
        if (c->end_sent)
            continue;
        all = false;
        c->next_cursor = c->cursor;
        g->pending_choice = c;
        enum event_kind kind = choice_event(g->dialect, c, o, &c->next_cursor);
        if (kind != EVENT_NONE)
            return kind;
    }
    if (all) {
        g->dialect->closing(o, g);
        return EVENT_CLOSING;
    }
    if (!g->x->out.tick_due)
        return EVENT_NONE;
    const struct choice *c = &g->choices[0];
    g->dialect->metrics(
        o, c->formatted, decode_ms(c->job, now), health_memory_used(api_of(g->x)->params.health));
    return EVENT_METRICS;
}

bool events_format(struct exchange *x, struct json_out *o, uint64_t now)
{
    struct generation *g = generation_of(x);
    g->pending = next_event(g, o, now);
    return g->pending != EVENT_NONE;
}

bool events_format_tokens(struct exchange *x, struct json_out *o)
{
    struct generation *g = generation_of(x);
    g->pending = EVENT_TOKENS;
    for (uint32_t i = 0; i < g->n_choices; i++) {
        struct choice *c = &g->choices[i];
        uint32_t from = atomic_load_explicit(&c->formatted, memory_order_relaxed);
        c->next_formatted = from;
        c->next_cursor = c->cursor;
        if (c->end_sent)
            continue;
        uint32_t n = job_published(c->job);
        if (job_ended(c->job) || (!c->started_sent && has_started(c)))
            return false;
        for (uint32_t k = from; k < n; k++)
            g->dialect->token(o, c, k, &c->next_cursor);
        c->next_formatted = n;
    }
    return true;
}

static void tokens_taken(struct generation *g)
{
    for (uint32_t i = 0; i < g->n_choices; i++) {
        struct choice *c = &g->choices[i];
        atomic_store_explicit(&c->formatted, c->next_formatted, memory_order_relaxed);
        c->cursor = c->next_cursor;
    }
}

void events_taken(struct exchange *x, uint64_t now)
{
    struct generation *g = generation_of(x);
    struct choice *c = g->pending_choice;
    switch (g->pending) {
    case EVENT_NONE:
        return;
    case EVENT_STARTED:
        c->started_sent = true;
        return;
    case EVENT_TOKEN:
        c->formatted++;
        c->cursor = c->next_cursor;
        return;
    case EVENT_TOKENS:
        tokens_taken(g);
        return;
    case EVENT_HELD:
        c->held_sent = true;
        c->cursor = c->next_cursor;
        return;
    case EVENT_END:
        c->end_sent = true;
        return;
    case EVENT_ERROR: /* without this choice the answer is of no use: the others end too */
        x->out.closed = true;
        choices_abort(g, ABORT_CANCEL, now);
        return;
    case EVENT_CLOSING:
        x->out.closed = true;
        return;
    case EVENT_METRICS:
        x->out.tick_due = false;
        x->out.ticked_ns = now;
        return;
    }
}

void events_handed(struct exchange *x, uint64_t now)
{
    struct generation *g = generation_of(x);
    for (uint32_t i = 0; i < g->n_choices; i++) {
        struct choice *c = &g->choices[i];
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
