/*
 * What fuzz targets share. A target is one function, called with one input after the other: under libFuzzer
 * (CC=clang --enable-fuzzing), or by driver.c in all other builds. It ends the process when a promise is
 * broken, and keeps nothing between inputs but what it made at the first one. One thread.
 */
#ifndef ORCD_TESTS_FUZZ_H
#define ORCD_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise about any input; ends the process where it is broken. */
#define PROMISE(holds)                                                                                       \
    do {                                                                                                     \
        if (!(holds)) {                                                                                      \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #holds);                              \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* A malloc'ed copy of exactly n bytes, so that a sanitizer sees a read beyond them. */
static inline char *fuzz_copy(const uint8_t *data, size_t n)
{
    char *copy = malloc(n ? n : 1);
    PROMISE(copy);
    memcpy(copy, data, n);
    return copy;
}

#endif
