/* The sums of products under matrix instructions and matrix products: most of the time that kernels take on
 * the CPU. They are compiled for speed and without instrumentation in every build (simt.mk).
 *
 * Pure functions of the caller's arrays, on any thread. */
#ifndef ORCD_SIMT_MULTIPLY_H
#define ORCD_SIMT_MULTIPLY_H

#include <stddef.h>
#include <stdint.h>

namespace simt
{
namespace detail
{

/* d += a x b, of m x k and k x 8, rows one behind the other. Each sum runs over k in order; integers wrap. */
void multiply_8(float *d, const float *a, const float *b, size_t m, size_t k);
void multiply_8(int *d, const int8_t *a, const int8_t *b, size_t m, size_t k);

} // namespace detail
} // namespace simt

#endif
