/*
 * A fleet: a fixed number of streams at once. Each sends its next request when its answer has ended,
 * until the fleet is stopped. The case gets a callback for each token.
 *
 * 1. fleet_start.
 * 2. fleet_run once, then fleet_go_on as often as wanted. Callbacks run inside these.
 * 3. fleet_stop, before load_free.
 *
 * One thread, that of the load.
 */
#ifndef ORCD_BENCH_FLEET_H
#define ORCD_BENCH_FLEET_H

#include "lib/load.h"
#include "lib/target.h"

struct fleet;

struct fleet_token {
    unsigned stream;
    uint32_t index;     /* within its answer */
    uint64_t before_ns; /* recv time of the token before in this answer; 0: this is the first */
    uint64_t sent_ns;   /* of the request */
    const struct load_event *event;
};

struct fleet_spec {
    const struct target *target; /* NULL: the server at `url`, which answers any request */
    const char *url;
    unsigned n_streams;
    uint32_t prompt_tokens, max_tokens;
    uint64_t salt;
    bool timestamps;
    /* Called for each token while the fleet is steady, see fleet_run. */
    void (*token)(void *arg, const struct fleet_token *t);
    void *arg;
};

int fleet_start(struct fleet **out, struct load *l, const struct fleet_spec *spec, struct orcd_error *err);
/* Runs the load until every stream has got a token, then for warm_ns, then, steady, for steady_ns.
 * Fails if an answer fails, or if a stream gets no token for 60 s. */
int fleet_run(struct fleet *f, uint64_t warm_ns, uint64_t steady_ns, struct orcd_error *err);
/* Runs on for steady_ns, steady from the beginning. */
int fleet_go_on(struct fleet *f, uint64_t steady_ns, struct orcd_error *err);
uint64_t fleet_tokens(const struct fleet *f); /* passed to the callback so far */
/* Closes the streams and frees the fleet; accepts NULL. */
void fleet_stop(struct fleet *f);

#endif
