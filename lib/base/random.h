/* Unpredictable random numbers from the kernel. Any thread; no set-up. */
#ifndef ORCD_BASE_RANDOM_H
#define ORCD_BASE_RANDOM_H

#include <stdint.h>

/* 64 random bits, buffered per thread. */
uint64_t random_u64(void);
/* A version 4 UUID: 36 characters and NUL. */
void random_uuid(char out[37]);

#endif
