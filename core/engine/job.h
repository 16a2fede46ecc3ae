/*
 * A job: one request from its arrival to its one terminal event.
 *
 * Its tokens are an append-only array sized for max_tokens at creation: the producer writes an
 * entry and its text, then publishes it (release); the consumer reads what lies below
 * job_published() (acquire). Nothing is ever overwritten, nothing is allocated per token. A job's
 * end closes the array and tells how many entries it has for good. So a terminal event never waits
 * for a step, and no token can slip in behind it.
 *
 * Life cycle: job_new() gives its caller one reference. The registry holds one from engine_submit()
 * to the job's end, the job's slot holds one, and so does whoever looks at the job for a while. The
 * last job_unref() counts what was wasted, calls `release` and frees.
 *
 * Threads: the engine thread is the only producer. One HTTP loop is the only consumer; the engine
 * thread stands in for it within `ready`. Any thread may end a job: job_end_claim() says yes to the
 * first one.
 *
 * Order of calls: job_new(), `ready` and `consumer` are set, engine_submit(). The producer calls
 * job_publish() for each entry. Whoever ends the job calls job_end_claim(), fills in `end`, and calls
 * job_end_publish() (end.c does). The consumer calls job_published() and job_ended() when `ready` was
 * called, and job_unref() when it is done.
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
#define JOB_STOP_MAX 4
#define JOB_STOP_CHAT 2 /* more, of a chat template */
#define JOB_STOP_BYTES 256
#define JOB_HELD_CHARACTER 16 /* bytes that an incomplete character can give */

struct stop_string {
    uint32_t n;
    char text[JOB_STOP_BYTES];
};

/* A checked request. Owned by the job once it was made. */
struct request {
    char job_id[JOB_ID_MAX + 1];
    char correlation_id[JOB_CORRELATION_MAX + 1];
    uint32_t owner;  /* who asked, by API key; ids of one owner are unknown to others */
    int32_t *tokens; /* the prompt, malloc'ed */
    uint32_t n_tokens;
    uint32_t max_tokens; /* 1 .. */
    struct sample_params sampling;
    struct stop_string stop[JOB_STOP_MAX + JOB_STOP_CHAT];
    uint32_t n_stop;
    uint32_t n_marks; /* the last so many of them are marks of the chat template */
    /* A conversation's: takes its answer apart. Stop strings are looked for in what is said,
     * not in what is thought, nor in headers; marks in all of it. answer.t NULL: no
     * conversation, all of the text is looked at. */
    struct chat_split answer;
    bool ignore_eos;
    bool stream;
    bool timestamps;       /* token events tell when they were sampled */
    bool deadline_partial; /* on_deadline: partial */
    bool deadline_clamped; /* to deadlines.max_ms */
    uint64_t arrived_ns;   /* monotonic */
    uint64_t deadline_ns;  /* monotonic; 0: none */
};

void request_release(struct request *r); /* frees what it owns */

enum job_phase { JOB_QUEUED, JOB_PREFILL, JOB_DECODE, JOB_DONE };
/* Why a job is to stop; the first reason wins. */
enum abort_reason { ABORT_NONE, ABORT_CANCEL, ABORT_DISCONNECT, ABORT_DEADLINE, ABORT_SHUTDOWN };
enum finish_reason { FINISH_NONE, FINISH_STOP, FINISH_LENGTH, FINISH_STOP_SEQUENCE, FINISH_DEADLINE };

struct job_token {
    int32_t id; /* -1: text that was held back, flushed before the end */
    uint32_t text_at, n_text;
    float logprob;
    uint32_t top_at, n_top;   /* into top */
    uint32_t held_at, n_held; /* into held: what is held back behind this entry */
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
    enum api_code code; /* API_OK: an `end` event */
    enum finish_reason finish;
    enum job_phase phase; /* in which it ended */
    uint32_t tokens_out;  /* sampled tokens published before the end */
    uint32_t n_published; /* entries of tokens */
    const char *held;     /* of a partial answer: text to be shown after them; n_held 0: none */
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
    char *held;           /* of jobs that may end with a partial answer; NULL */
    atomic_uint progress; /* entries published; JOB_CLOSED once the job was ended */
    struct job_end end;
    atomic_bool end_published;

    atomic_int abort_reason;       /* enum abort_reason, seq_cst, set once */
    atomic_int phase;              /* enum job_phase, for logs and errors */
    atomic_uint_fast64_t abort_ns; /* when the reason was set */
    /* When the event was read that led to it: a cancel, a disconnect. */
    atomic_uint_fast64_t noticed_ns;
    atomic_uint_fast64_t ticket; /* last step with a row of this job; 0: none */
    atomic_uint slot;            /* its sequence; UINT32_MAX: none */

    /* Consumer. `ready` says that there is news (started, tokens, end) and must not
     * block or take a lock. It is called on the engine thread, or on the thread that
     * ended the job (a timer, a cancel, the consumer's own abort).
     *
     * may_send_now: true if the engine thread makes this call, a token is among the news, and
     * the thread can spare some tens of microseconds: the step has few rows, or at most
     * engine_params.send_now_rows while the device works on the next step. The consumer may
     * then send the news within this call. If it is false, the consumer must return at once
     * and have a thread of its own send the news, because others may wait for this thread. */
    void (*ready)(struct job *job, bool may_send_now);
    /* The consumer's own object. `ready` may run until the last reference is gone, so
     * the object must live as long: release(consumer) is called then. NULL: nothing. */
    void *consumer;
    void (*release)(void *consumer);
    atomic_uint delivered; /* entries the consumer has handed on; for wasted-token counts */
    /* Tokens that the plugin computed, without an end-of-generation token that ended the
     * job. Written by the engine before it lets go. */
    uint32_t n_generated;

    /* Engine only. The links are guarded by its lock. */
    struct job *live_next, *live_prev;
    uint64_t rank_ns, order; /* of the queue */
    bool queued, live;
    uint64_t predicted_first_ns, predicted_end_ns; /* when it was queued; monotonic; 0: not */
    uint32_t expected_cached;                      /* prompt tokens that a prefix is expected to give */
    bool probe;                                    /* taken although it is predicted to be late */
    atomic_uint_fast64_t admitted_ns, first_token_ns, last_token_ns; /* monotonic; 0: not yet */
};

#define JOB_CLOSED (UINT32_C(1) << 31)

/* Takes over *r (its memory too) and sizes the token arrays. One reference. NOMEM. */
int job_new(struct job **out, struct request *r, const struct tokenizer *t, struct orcd_error *err);
struct job *job_ref(struct job *j);
void job_unref(struct job *j);

/* Entries that the consumer may read; after job_ended() read end.n_published. */
uint32_t job_published(const struct job *j);
/* Engine: entry `job_published(j)` and its text are written. False: the job was ended
 * meanwhile and the entry does not count. */
bool job_publish(struct job *j);
/* True for the one caller that may fill in j->end (n_published is set already) and
 * then calls job_end_publish. */
bool job_end_claim(struct job *j);
void job_end_publish(struct job *j);
bool job_ended(const struct job *j); /* acquire: j->end may be read */

#endif
