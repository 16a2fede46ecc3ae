/*
 * The work behind a request for answers: its jobs, and how far each was told.
 *
 * Life: route->parse makes it (generation_new, then choices_new when it is known
 * how many answers are wanted) and fills in each choice's request; route->run submits it
 * (choices_submit). From then on the engine calls for each job's news (exchange_notify),
 * and the exchange asks for events (generation_work, events.c) until the last one is on
 * its way. It is freed with the exchange, which each job holds until its own end: choices
 * and their jobs can be read for as long as anybody calls.
 *
 * Owner: the thread that has the exchange (lib/http/wake.h). Of what the engine's threads
 * may touch, `formatted` is atomic and the job itself says what is published.
 */
#ifndef ORCD_API_GENERATION_H
#define ORCD_API_GENERATION_H

#include "api/api.h"
#include "chat/chat.h"
#include "engine/job.h"
#include "http/exchange.h"

#define GENERATION_MAX_CHOICES 16 /* jobs of one request */

struct dialect;
struct generation;

/* How far the text of a choice was written. What formats an entry moves a copy on, which
 * counts once the entry is on its way. */
struct cursor {
    uint64_t n_chars;        /* characters that the tokens before stand for */
    struct chat_split split; /* of chats: what is thought and what is said */
    uint32_t n_reasoning;    /* tokens of the former */
};

/* One answer: a request may ask for several at once. */
struct choice {
    struct generation *g;
    uint32_t index;
    struct request request; /* moved into the job */
    struct job *job;        /* NULL: there is none yet, or the engine refused it */
    bool logged;
    char *echo; /* the prompt's text, with which its own begins; malloc'ed; NULL: none */
    size_t n_echo;
    /* stream */
    bool started_sent, held_sent, end_sent;
    atomic_uint formatted; /* entries that are on their way */
    uint32_t handed;       /* entries handed to the kernel */
    struct cursor cursor;
    /* once what was formatted last is on its way */
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
    uint32_t n_choices, n_each; /* the latter of them are answers to the same prompt */
    bool stream;
    bool with_usage;         /* OpenAI's stream_options.include_usage */
    int64_t created_s;       /* Unix time that the answer tells */
    char id[JOB_ID_MAX + 1]; /* of OpenAI's answers */
    char *head;              /* what all its chunks begin with, malloc'ed; NULL: not needed */
    size_t n_head;
    /* What was formatted last. */
    enum event_kind pending;
    struct choice *pending_choice;
};

/* Attached to x. NULL: x->error. */
struct generation *generation_new(struct exchange *x, const struct dialect *dialect);
struct generation *generation_of(const struct exchange *x);

/* choice.c: the jobs. n choices, without jobs. False: x->error. */
bool choices_new(struct generation *g, uint32_t n);
/* Loop thread: makes a job of each choice and gives them to the engine; all or none:
 * x->error. */
void choices_submit(struct generation *g);
/* Ends those that have not ended. */
void choices_abort(struct generation *g, enum abort_reason reason, uint64_t noticed_ns);
/* The first that ended with an error, or NULL. */
const struct choice *choices_failed(const struct generation *g);
bool choices_ended(const struct generation *g); /* all of them */
/* Drops the references to the jobs; c->job stays readable until job_release. whole: the
 * answer went out in one piece. */
void choices_drop(struct generation *g, bool whole);
void choices_free(struct generation *g);
const char *choice_phase(const struct job_end *end);

/* events.c: what generation_work has of a stream. */
bool events_have_news(const struct exchange *x);
bool events_format(struct exchange *x, struct json_out *o, uint64_t now);
bool events_format_tokens(struct exchange *x, struct json_out *o);
void events_taken(struct exchange *x, uint64_t now);
void events_handed(struct exchange *x, uint64_t now);

#endif
