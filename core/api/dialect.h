/*
 * One table of event formatters per API, so that streams, the engine thread's short way and
 * answers in one piece use the same code for all APIs.
 *
 * A formatter writes whole events, or nothing if no event is to be sent, and changes nothing
 * but the cursor that it gets. Formatters run on the thread that has the exchange
 * (lib/http/wake.h).
 */
#ifndef ORCD_API_DIALECT_H
#define ORCD_API_DIALECT_H

#include "api/generation.h"

struct dialect {
    /* Called before the jobs of a stream are submitted; may refuse the request by setting
     * g->x->error. NULL: not needed. */
    void (*prepare)(struct generation *g);
    /* The choice got its slot. */
    void (*started)(struct json_out *o, const struct choice *c);
    /* Entry `index` of its job. */
    void (*token)(struct json_out *o, const struct choice *c, uint32_t index, struct cursor *at);
    /* The text that was held back when a partial answer ended (end.n_held > 0). */
    void (*held)(struct json_out *o, const struct choice *c, struct cursor *at);
    /* The choice ended without an error. */
    void (*end)(struct json_out *o, const struct choice *c, const struct cursor *at);
    /* The choice failed, which ends the stream: the last event. */
    void (*error)(struct json_out *o, const struct choice *c);
    /* After the end of the last choice. */
    void (*closing)(struct json_out *o, const struct generation *g);
    /* The speed of the stream so far; NULL: never sent. */
    void (*metrics)(struct json_out *o, uint32_t tokens_out, double decode_ms, uint64_t memory_bytes);
    /* The whole answer of jobs that do not stream and did not fail: sets g->x->answer. */
    void (*answer)(struct generation *g);
};

extern const struct dialect dialect_native, dialect_completions, dialect_chat;

#endif
