/*
 * So many streams at once, each asking anew when its answer has ended, until they are
 * stopped. What a case learns of is each token.
 */
#ifndef ORCD_BENCH_FLEET_H
#define ORCD_BENCH_FLEET_H

#include "lib/load.h"
#include "lib/target.h"

struct fleet;

struct fleet_token {
    unsigned stream;
    uint32_t index;     /* within its answer */
    uint64_t before_ns; /* recv of the one before in its answer; 0: this is the first */
    uint64_t sent_ns;   /* of its request */
    const struct load_event *event;
};

struct fleet_spec {
    const struct target *target; /* NULL: whatever answers any request at `url` */
    const char *url;
    unsigned n_streams;
    uint32_t prompt_tokens, max_tokens;
    uint64_t salt;
    bool timestamps;
    /* Called for each token while the fleet is `steady`. */
    void (*token)(void *arg, const struct fleet_token *t);
    void *arg;
};

int fleet_start(struct fleet **out, struct load *l, const struct fleet_spec *spec, struct orcd_error *err);
/* Runs the load until every stream has had a token, then for warm_ns more, then, steady,
 * for so long. An answer that failed, or a stream without a token for 60 s: an error. */
int fleet_run(struct fleet *f, uint64_t warm_ns, uint64_t steady_ns, struct orcd_error *err);
/* Steady for another while, at once. */
int fleet_go_on(struct fleet *f, uint64_t steady_ns, struct orcd_error *err);
uint64_t fleet_tokens(const struct fleet *f); /* that were told of, in steady time */
/* Closes the streams and frees; takes NULL. */
void fleet_stop(struct fleet *f);

#endif
