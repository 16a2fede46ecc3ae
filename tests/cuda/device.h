/* Buffers of the device for tests of kernels, random numbers, FP16 by arithmetic, and the
 * orders in which the host implementation runs threads. Failures end the test. */
#ifndef ORCD_TESTS_CUDA_DEVICE_H
#define ORCD_TESTS_CUDA_DEVICE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cuda/kernels.h"

static struct simt_stream *test_stream;

static inline void ok(enum simt_status st)
{
    if (st != SIMT_OK)
        fail_msg("%s: %s", simt_status_name(st), simt_error_text());
}

static inline int device_setup(void **state)
{
    (void)state;
    return simt_device_use(0) == SIMT_OK && simt_stream_create(&test_stream, 0) == SIMT_OK ? 0 : -1;
}

/* Whether there is no device to test with; says so as TAP. main() returns 77 then. */
static inline int device_absent(void)
{
    int n;
    const enum simt_status st = simt_device_count(&n);
    if (st != SIMT_NO_DRIVER && st != SIMT_NO_DEVICE)
        return 0;
    printf("1..0 # SKIP %s\n", simt_error_text());
    return 1;
}

/* Everything is given back, and nothing was misused. */
static inline int device_teardown(void **state)
{
    (void)state;
    struct simt_usage u;
    simt_stream_destroy(test_stream);
    simt_usage_get(&u);
    if (u.misuses || u.device_blocks)
        fprintf(stderr, "%llu misuses, %zu blocks left\n", (unsigned long long)u.misuses, u.device_blocks);
    return u.misuses || u.device_blocks ? -1 : 0;
}

/* A new buffer of the device with these bytes; from NULL: undefined. */
static inline void *to_device(const void *from, size_t bytes)
{
    void *p;
    ok(simt_malloc(&p, bytes ? bytes : 1));
    if (from && bytes)
        ok(simt_copy(p, from, bytes, SIMT_TO_DEVICE));
    return p;
}

static inline void from_device(void *to, const void *from, size_t bytes)
{
    ok(simt_stream_sync(test_stream));
    ok(simt_copy(to, from, bytes, SIMT_TO_HOST));
}

static inline void *host_new(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    assert_non_null(p);
    return p;
}

static const char *const thread_orders[] = {"order=forward", "order=reverse", "order=random seed=1"};

/* Where threads have no order to choose (a GPU) this does nothing. */
static inline void use_order(const char *words)
{
    const enum simt_status st = simt_knobs(words);
    if (st != SIMT_UNSUPPORTED)
        ok(st);
}

static uint64_t random_state = 1;

static inline uint32_t random_u32(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 32);
}

static inline float random_float(float low, float high)
{
    return low + (high - low) * (float)(random_u32() >> 8) * 0x1p-24f;
}

static inline float *random_floats(size_t n, float low, float high)
{
    float *p = host_new(n, sizeof(*p));
    for (size_t i = 0; i < n; i++)
        p[i] = random_float(low, high);
    return p;
}

static inline double half_value(uint16_t h)
{
    const int e = h >> 10 & 31, m = h & 1023;
    if (e == 31)
        return (double)NAN;
    const double v = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

/* A random FP16 number below 2 in magnitude. */
static inline uint16_t random_half(void)
{
    return (uint16_t)((random_u32() & 0x83FFu) | (8 + random_u32() % 8) << 10);
}

/* max |got - want| relative to the rms of want. */
static inline double worst_error(const float *got, const double *want, size_t n)
{
    double worst = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        const double e = fabs((double)got[i] - want[i]);
        if (!(e <= worst))
            worst = e;
        square += want[i] * want[i];
    }
    return worst / sqrt(square / (double)(n ? n : 1) + 1e-30);
}

#endif
