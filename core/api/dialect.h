/*
 * The words in which a job's progress is told: one table a dialect, so that streams, the
 * engine thread's short way and answers in one piece are the same machinery for all.
 *
 * Formatters write whole events (or nothing: there is none then) and change nothing but
 * the cursor they are given. They run on whichever thread has the exchange.
 */
#ifndef ORCD_API_DIALECT_H
#define ORCD_API_DIALECT_H

#include "api/generation.h"

struct dialect {
    /* Before the jobs of a stream are submitted; may refuse by g->x->error. NULL: nothing. */
    void (*prepare)(struct generation *g);
    /* The choice got its slot. */
    void (*started)(struct json_out *o, const struct choice *c);
    /* Entry `index` of its job. */
    void (*token)(struct json_out *o, const struct choice *c, uint32_t index, struct cursor *at);
    /* Text that a partial answer holds back at its end (end.n_held > 0). */
    void (*held)(struct json_out *o, const struct choice *c, struct cursor *at);
    /* It came to its end, which was no error. */
    void (*end)(struct json_out *o, const struct choice *c, const struct cursor *at);
    /* It failed, and the stream with it: the last event. */
    void (*error)(struct json_out *o, const struct choice *c);
    /* After the end of the last choice. */
    void (*closing)(struct json_out *o, const struct generation *g);
    /* How fast it goes; NULL: never told. */
    void (*metrics)(struct json_out *o, uint32_t tokens_out, double decode_ms, uint64_t memory_bytes);
    /* The whole answer of jobs that do not stream and did not fail: sets g->x->answer. */
    void (*answer)(struct generation *g);
};

extern const struct dialect dialect_native, dialect_completions, dialect_chat;

#endif
