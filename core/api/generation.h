/*
 * The work behind a request for answers: its jobs, and how much of each was sent.
 *
 * Life: route->parse creates it (generation_new, then choices_new when the number of answers
 * is known) and fills in each choice's request; route->run submits the jobs
 * (choices_submit). From then on the engine reports each job's news (exchange_notify), and
 * the exchange requests events (generation_work, events.c) until the last one is on its way.
 * The generation is freed with the exchange. Each job holds a reference to the exchange until
 * the engine releases the job, so choices and jobs exist as long as any thread may use them.
 *
 * Owner: the thread that has the exchange (lib/http/wake.h). The loop may check for news while
 * the engine thread sends: it reads `formatted`, which is atomic, and what jobs have published.
 */
#ifndef ORCD_API_GENERATION_H
#define ORCD_API_GENERATION_H

#include "api/api.h"
#include "chat/chat.h"
#include "engine/job.h"
#include "http/exchange.h"
#include "http/peer.h"

#define GENERATION_MAX_CHOICES 64 /* jobs of one request */

struct dialect;
struct generation;

/* How far the text of a choice was written. Formatting an entry advances a copy, which
 * becomes the choice's cursor once the entry is on its way. */
struct cursor {
    uint64_t n_chars;        /* characters of the text before */
    struct chat_split split; /* of chats: separates the reasoning from the answer */
    uint32_t n_reasoning;    /* tokens of the reasoning */
};

/* One answer: a request may ask for several at once. */
struct choice {
    struct generation *g;
    uint32_t index;
    struct request request; /* moved into the job */
    struct job *job;        /* NULL: not created yet, or the engine refused it */
    bool logged;
    char *echo; /* the prompt's text, to be sent before its own; malloc'ed; NULL: none */
    size_t n_echo;
    /* stream */
    bool started_sent, held_sent, end_sent;
    atomic_uint formatted; /* entries that are on their way */
    uint32_t handed;       /* entries handed to the kernel */
    struct cursor cursor;
    /* what cursor and formatted become once the last formatted event is on its way */
    struct cursor next_cursor;
    uint32_t next_formatted;
};

enum event_kind {
    EVENT_NONE,
    EVENT_STARTED,
    EVENT_TOKEN,
    EVENT_TOKENS, /* of all choices, all that were published */
    EVENT_HELD,
    EVENT_END,
    EVENT_ERROR,
    EVENT_CLOSING,
    EVENT_METRICS
};

struct generation {
    struct exchange *x;
    const struct dialect *dialect;
    struct choice *choices;
    uint32_t n_choices, n_each; /* n_each: how many choices answer the same prompt */
    bool stream;
    bool with_usage;         /* OpenAI's stream_options.include_usage */
    char peer[PEER_BYTES];   /* for the log */
    int64_t created_s;       /* Unix time, as `created` of the answer */
    char id[JOB_ID_MAX + 1]; /* of OpenAI's answers */
    char *head;              /* what all its chunks begin with, malloc'ed; NULL: not needed */
    size_t n_head;
    /* The event that was formatted last. */
    enum event_kind pending;
    struct choice *pending_choice;
};

/* Creates a generation and attaches it to x. NULL: x->error is set. */
struct generation *generation_new(struct exchange *x, const struct dialect *dialect);
static inline struct generation *generation_of(const struct exchange *x)
{
    return x->work;
}

/* choice.c: the jobs. Creates n choices, without jobs. False: x->error is set. */
bool choices_new(struct generation *g, uint32_t n);
/* Loop thread: creates a job for each choice and submits all of them to the engine, or none:
 * then x->error is set. */
void choices_submit(struct generation *g);
/* Aborts the jobs that have not ended. */
void choices_abort(struct generation *g, enum abort_reason reason, uint64_t noticed_ns);
/* The first choice that ended with an error, or NULL. */
const struct choice *choices_failed(const struct generation *g);
bool choices_ended(const struct generation *g); /* all of them */
/* Drops the references to the jobs; c->job stays readable until the engine releases the job.
 * whole: the answer was sent in one piece. */
void choices_drop(struct generation *g, bool whole);
void choices_free(struct generation *g);
const char *choice_phase(const struct job_end *end);

/* events.c: the part of generation_work for streams; see struct http_work. */
bool events_have_news(const struct exchange *x);
bool events_format(struct exchange *x, struct json_out *o, uint64_t now);
bool events_format_tokens(struct exchange *x, struct json_out *o);
void events_taken(struct exchange *x, uint64_t now);
void events_handed(struct exchange *x, uint64_t now);

#endif
