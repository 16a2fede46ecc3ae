/*
 * How long a wrong API key waits for its answer: who guesses from one address waits longer each time. A right
 * key never waits, whoever guesses beside it. The memory is fixed: addresses that share a place are counted
 * together.
 *
 * Life cycle: zeroed memory. Any thread.
 */
#ifndef ORCD_HTTP_GUESS_H
#define ORCD_HTTP_GUESS_H

#include <stdatomic.h>
#include <stdint.h>

#define GUESS_PLACES 1024
#define GUESS_FREE 5      /* in a minute, as somebody who is mistaken makes */
#define GUESS_FIRST_MS 50 /* then twice as long each time, up to the limit */

struct guesses {
    struct guess {
        atomic_uint_fast64_t last_ns;
        atomic_uint n; /* since there was none for a minute */
    } of[GUESS_PLACES];
};

/* Counts one more of this address (share.h) and returns how long it waits, at most limit_ms; 0: not at all.
 */
uint64_t guess_delay_ns(struct guesses *g, const unsigned char id[17], uint64_t now_ns, uint32_t limit_ms);

#endif
