/*
 * The clients of the soak: many at once, each of which makes one request after the other, most of them
 * wrong or cut short.
 *
 * soak_clients_new, load_run for the time of the soak, soak_clients_stop, load_run until all calls have
 * ended, soak_clients_counts, load_free, soak_clients_free. One thread, that of the load.
 */
#ifndef ORCD_BENCH_CASES_SOAK_H
#define ORCD_BENCH_CASES_SOAK_H

#include "lib/bench.h"

struct soak_clients;

/* What the clients have seen. */
struct soak_counts {
    uint64_t jobs_sent; /* complete requests to the route that creates jobs */
    uint64_t other_sent;
    uint64_t ended, failed, refused, left; /* by: end event, error event, error answer, the client left */
    uint64_t wrong; /* streams without their one terminal event, connections refused or cut ... */
    uint64_t open;  /* calls that have not ended */
    char first_wrong[128];
};

int soak_clients_new(struct soak_clients **out, struct load *l, const struct target *t, unsigned n,
    uint64_t seed, struct orcd_error *err);
/* Starts no new requests from now on. */
void soak_clients_stop(struct soak_clients *s);
void soak_clients_counts(const struct soak_clients *s, struct soak_counts *out);
void soak_clients_free(struct soak_clients *s); /* after load_free; accepts NULL */

#endif
