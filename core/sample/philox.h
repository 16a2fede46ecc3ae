/*
 * Philox4x32-10, a counter-based random number generator: the same key and counter give the same numbers
 * on every machine, whatever was drawn before.
 *
 * Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11;
 * constants and test vectors as published with Random123.
 *
 * A pure function without state: any thread may call it at any time.
 */
#ifndef ORCD_SAMPLE_PHILOX_H
#define ORCD_SAMPLE_PHILOX_H

#include <stdint.h>

void philox4x32_10(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

#endif
