/* The one place where the oracle cares for speed: eight positions at a time, so that the
 * compiler may use vectors while each sum keeps its order. */
#include <stdlib.h>

#include "tests/oracle/oracle-internal.h"

#define LANES 8

static inline __attribute__((always_inline)) void block(
    double *y, const double *xt, const float *w, const float *bias, size_t n, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++, w += cols) {
        double acc[LANES] = {0};
        for (size_t c = 0; c < cols; c++)
            for (size_t t = 0; t < LANES; t++)
                acc[t] += (double)w[c] * xt[c * LANES + t];
        for (size_t t = 0; t < n; t++)
            y[t * rows + r] = acc[t] + (bias ? (double)bias[r] : 0);
    }
}

static void block_plain(
    double *y, const double *xt, const float *w, const float *bias, size_t n, size_t rows, size_t cols)
{
    block(y, xt, w, bias, n, rows, cols);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void block_avx2(
    double *y, const double *xt, const float *w, const float *bias, size_t n, size_t rows, size_t cols)
{
    block(y, xt, w, bias, n, rows, cols);
}
#endif

void oracle_matmul(
    double *y, const double *x, const float *w, const float *bias, size_t n, size_t rows, size_t cols)
{
    void (*fn)(double *, const double *, const float *, const float *, size_t, size_t, size_t) = block_plain;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        fn = block_avx2;
#endif
    double *xt = oracle_alloc(cols * LANES, sizeof(*xt));
    for (size_t at = 0; at < n; at += LANES) {
        size_t some = n - at < LANES ? n - at : LANES;
        for (size_t c = 0; c < cols; c++)
            for (size_t t = 0; t < LANES; t++)
                xt[c * LANES + t] = t < some ? x[(at + t) * cols + c] : 0;
        fn(y + at * rows, xt, w, bias, some, rows, cols);
    }
    free(xt);
}
