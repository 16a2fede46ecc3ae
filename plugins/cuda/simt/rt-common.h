/* Shared by the files of both flavours. */
#ifndef ORCD_CUDA_SIMT_RT_COMMON_H
#define ORCD_CUDA_SIMT_RT_COMMON_H

#include "rt.h"

namespace simt
{
namespace detail
{

/* Sets this thread's error text and returns the status. */
enum simt_status fail(enum simt_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* NULL when the launch could run on some device, else what is wrong with it. */
const char *launch_refused(const simt_launch_config &config);
/* The power of two that an operand's address is a multiple of, and every `stride` bytes from it; at most 64,
 * which rows of a product may be apart: one that begins at another row is of the same shape. */
uint32_t gemm_alignment(const void *p, uint64_t stride);
/* The same as launch_refused(), for a product. */
const char *gemm_refused(const simt_gemm &gemm);

} // namespace detail
} // namespace simt

#endif
