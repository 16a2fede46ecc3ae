/* The clients of the soak: many at once, each does one thing after the other, mostly wrong. */
#ifndef ORCD_BENCH_CASES_SOAK_H
#define ORCD_BENCH_CASES_SOAK_H

#include "lib/bench.h"

struct soak_clients;

/* What was seen from outside. */
struct soak_counts {
    uint64_t jobs_sent; /* requests to the route that makes jobs, sent in full */
    uint64_t other_sent;
    uint64_t ended, failed, refused, left; /* end, error event, plain error, left by us */
    uint64_t wrong; /* streams without their one terminal event, connections refused or cut ... */
    uint64_t open;  /* calls that are not over */
    char first_wrong[128];
};

int soak_clients_new(struct soak_clients **out, struct load *l, const struct target *t, unsigned n,
    uint64_t seed, struct orcd_error *err);
/* No new requests from now on. */
void soak_clients_stop(struct soak_clients *s);
void soak_clients_counts(const struct soak_clients *s, struct soak_counts *out);
void soak_clients_free(struct soak_clients *s); /* after the load; takes NULL */

#endif
