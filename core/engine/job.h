/*
 * A job: one request from its arrival to its one terminal event.
 *
 * A job's tokens are an append-only array, sized for max_tokens when the job is created. The producer
 * writes an entry and its text, then publishes it (release); the consumer reads the entries below
 * job_published() (acquire). No entry is ever overwritten, and nothing is allocated per token. The end
 * of a job closes the array and fixes how many entries count. So a terminal event never waits for a
 * step, and no token can follow it.
 *
 * Life cycle: job_new() gives its caller one reference. The registry holds one from engine_submit()
 * to the job's end, the job's slot holds one, and so does any thread that uses the job for a while. The
 * last job_unref() counts the wasted tokens, calls `release` and frees the job.
 *
 * Threads: the engine thread is the only producer. One HTTP loop is the only consumer; within `ready`
 * the engine thread may consume in its place. Any thread may end a job: job_end_claim() returns true to
 * the first one only.
 *
 * Order of calls: job_new(); the consumer sets `ready` and `consumer` and calls engine_submit(). The
 * producer calls job_publish() for each entry. The thread that ends the job calls job_end_claim(), fills
 * in `end`, and calls job_end_publish() (end.c does). The consumer calls job_published() and job_ended()
 * after each `ready`, and job_unref() when it is done.
 */
#ifndef ORCD_ENGINE_JOB_H
#define ORCD_ENGINE_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "chat/chat.h"
#include "http/codes.h"
#include "model/tokenizer.h"
#include "sample/sampler.h"

#define JOB_ID_MAX 128
#define JOB_CORRELATION_MAX 64 /* HTTP_CORRELATION_MAX */
#define JOB_STOP_MAX 16
#define JOB_STOP_CHAT 2 /* additional ones, from a chat template */
#define JOB_STOP_BYTES 256
#define JOB_HELD_CHARACTER 16 /* bytes of text that an incomplete character can become */

struct stop_string {
    uint32_t n;
    char text[JOB_STOP_BYTES];
};

#define JOB_OWNER_ANY UINT32_MAX /* no client has this number */

/* A checked request. job_new() makes the job its owner. */
struct request {
    char job_id[JOB_ID_MAX + 1];
    char correlation_id[JOB_CORRELATION_MAX + 1];
    uint32_t owner; /* the client, by API key; a client cannot see job ids of other owners */
    uint32_t max_running, max_queued; /* of this owner's jobs; 0: no limit */
    int32_t *tokens;                  /* the prompt, malloc'ed */
    uint32_t n_tokens;
    uint32_t max_tokens; /* 1 .. */
    struct sample_params sampling;
    struct stop_string stop[JOB_STOP_MAX + JOB_STOP_CHAT];
    uint32_t n_stop;
    int32_t stop_ids[JOB_STOP_MAX]; /* tokens that end the answer and are no part of it */
    uint32_t n_stop_ids;
    bool shows_stop;  /* the client's stop string that ends the answer is a part of it */
    bool prompt_only; /* the prompt is computed; max_tokens is 1, and that token is dropped */
    uint32_t n_marks; /* how many of them, at the end, are marks of the chat template */
    /* Splits the answer of a conversation. Stop strings are searched in its content, not in its
     * reasoning or headers; marks are searched in all of the text. answer.t is NULL if the request
     * is not a conversation: then stop strings are searched in all of the text, too. */
    struct chat_split answer;
    bool ignore_eos;
    bool stream;
    bool timestamps;       /* token events have the time at which they were sampled */
    bool deadline_partial; /* on_deadline: partial */
    bool deadline_clamped; /* to deadlines.max_ms */
    uint64_t arrived_ns;   /* monotonic */
    uint64_t deadline_ns;  /* monotonic; 0: none */
};

void request_release(struct request *r); /* frees the memory that it owns */

enum job_phase { JOB_QUEUED, JOB_PREFILL, JOB_DECODE, JOB_DONE };
/* Why a job must stop; the first reason wins. */
enum abort_reason { ABORT_NONE, ABORT_CANCEL, ABORT_DISCONNECT, ABORT_DEADLINE, ABORT_SHUTDOWN };
enum finish_reason { FINISH_NONE, FINISH_STOP, FINISH_LENGTH, FINISH_STOP_SEQUENCE, FINISH_DEADLINE };

struct job_token {
    int32_t id; /* -1: not a token, but held-back text that is flushed at the end */
    uint32_t text_at, n_text;
    float logprob;
    uint32_t top_at, n_top;   /* into job.top */
    uint32_t held_at, n_held; /* into job.held: the text that is held back after this entry */
    uint64_t sampled_ns;
};

struct job_top {
    int32_t id;
    float logprob;
};

struct job_started {
    uint64_t started_real_ns;
    double queue_ms;
    uint32_t cached_tokens;
};

struct job_end {
    enum api_code code; /* API_OK: the terminal event is `end`, else `error` */
    enum finish_reason finish;
    enum job_phase phase; /* the phase in which the job ended */
    uint32_t tokens_out;  /* sampled tokens published before the end */
    uint32_t n_published; /* entries in job.tokens that count */
    const char *held;     /* for a partial answer: text to show after the last entry; n_held 0: none */
    uint32_t n_held;
    double decode_ms, ttft_ms;
    char message[160];
};

struct job {
    atomic_int refs;
    struct request request;

    /* Written by the engine, published by the atomics beside them. */
    struct job_started started;
    atomic_bool has_started;
    struct job_token *tokens;
    char *text;
    struct job_top *top;
    char *held;           /* NULL, but for jobs that may end with a partial answer */
    atomic_uint progress; /* entries published, with the bit JOB_CLOSED once the job was ended */
    struct job_end end;
    atomic_bool end_published;

    atomic_int abort_reason;       /* enum abort_reason, seq_cst, set once */
    atomic_int phase;              /* enum job_phase, for logs and errors */
    atomic_uint_fast64_t abort_ns; /* when the reason was set */
    /* When the cancel or the disconnect behind the reason was noticed. */
    atomic_uint_fast64_t noticed_ns;
    atomic_uint_fast64_t ticket; /* last step with a row of this job; 0: none */
    atomic_uint slot;            /* its sequence; UINT32_MAX: none */

    /* Set by the consumer. The engine calls `ready` when the job has news (started, tokens, end), on
     * the engine thread or on the thread that ended the job (a timer, a cancel, the consumer's own
     * abort). It must not block or take a lock.
     *
     * may_send_now is true if the engine thread makes this call, a token is among the news, and the
     * thread can spare some tens of microseconds: the step has few rows, or at most
     * engine_params.send_now_rows while the device works on the next step. The consumer may then send
     * the news within this call. If it is false, the consumer must return at once and let one of its
     * own threads send the news, because other jobs may wait for this thread. */
    void (*ready)(struct job *job, bool may_send_now);
    /* The consumer's own object. `ready` may run until the last reference is dropped, so the object
     * must live as long; the last job_unref() calls release(consumer). NULL: nothing to release. */
    void *consumer;
    void (*release)(void *consumer);
    atomic_uint delivered; /* entries that the consumer has sent; for the count of wasted tokens */
    /* Tokens that the plugin computed, except an end-of-generation token that ended the job. The
     * engine thread writes it before it drops its reference. */
    uint32_t n_generated;

    /* For the engine only. Its lock guards the links, `queued` and `live`. */
    struct job *live_next, *live_prev;
    uint64_t rank_ns, order; /* in the queue */
    bool queued, live;
    uint64_t predicted_first_ns, predicted_end_ns; /* predicted at arrival; monotonic; 0: not predicted */
    uint32_t expected_cached;                      /* prompt tokens expected to be in the KV already */
    bool probe;                                    /* accepted although it is predicted to be late */
    atomic_uint_fast64_t admitted_ns, first_token_ns, last_token_ns; /* monotonic; 0: not yet */
};

#define JOB_CLOSED (UINT32_C(1) << 31)

/* Moves *r and its memory into a new job and allocates the token arrays. The caller gets one reference.
 * Error: NOMEM. */
int job_new(struct job **out, struct request *r, const struct tokenizer *t, struct orcd_error *err);
struct job *job_ref(struct job *j);
void job_unref(struct job *j);

/* The number of entries that the consumer may read; after job_ended() it reads end.n_published. */
uint32_t job_published(const struct job *j);
/* Engine thread, after it wrote entry job_published(j) and its text. False: the job was ended meanwhile
 * and the entry does not count. */
bool job_publish(struct job *j);
/* True for one caller only, which fills in j->end (n_published is set already) and then calls
 * job_end_publish. */
bool job_end_claim(struct job *j);
void job_end_publish(struct job *j);
bool job_ended(const struct job *j); /* acquire: j->end may be read */

#endif
