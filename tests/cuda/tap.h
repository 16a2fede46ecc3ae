/* TAP for the tests of plugins/cuda, and the few lines that each of them needs. Compiled by
 * nvcc and by the host's compiler. */
#ifndef ORCD_TESTS_CUDA_TAP_H
#define ORCD_TESTS_CUDA_TAP_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/cuda/simt/rt.h"

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3))) static inline bool ok(bool good, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%sok %d - ", good ? "" : "not ", ++tap_count);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    if (!good)
        tap_failed++;
    return good;
}

/* What main() returns. */
static inline int tap_end()
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

static inline void need(enum simt_status status, const char *what)
{
    if (status) {
        printf("Bail out! %s: %s (%s)\n", what, simt_error_text(), simt_status_name(status));
        exit(1);
    }
}

/* Device memory with contents, and back. */
template <class T> struct device_array {
    T *p = nullptr;
    size_t n;
    explicit device_array(size_t count) : n(count)
    {
        void *memory;
        need(simt_malloc(&memory, n * sizeof(T)), "simt_malloc");
        p = static_cast<T *>(memory);
        zero();
    }
    device_array(const device_array &) = delete;
    ~device_array()
    {
        simt_free(p);
    }
    void zero()
    {
        T *host = static_cast<T *>(calloc(n, sizeof(T)));
        need(simt_copy(p, host, n * sizeof(T), SIMT_TO_DEVICE), "simt_copy");
        free(host);
    }
    void put(const T *from)
    {
        need(simt_copy(p, from, n * sizeof(T), SIMT_TO_DEVICE), "simt_copy");
    }
    void get(T *to) const
    {
        need(simt_copy(to, p, n * sizeof(T), SIMT_TO_HOST), "simt_copy");
    }
};

/* xorshift; any fixed sequence does */
struct random_numbers {
    uint64_t state;
    uint32_t next()
    {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return static_cast<uint32_t>(state >> 16);
    }
};

#endif
