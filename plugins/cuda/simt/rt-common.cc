/* What both flavours of rt.h have in common: names of errors. */
#include "rt.h"

#include <stdarg.h>
#include <stdio.h>

#include "rt-common.h"

namespace
{
__thread char error_text[400];
}

const char *simt_status_name(enum simt_status status)
{
    switch (status) {
#define X(name, text)                                                                                        \
    case SIMT_##name:                                                                                        \
        return #name;
        SIMT_STATUS_LIST(X)
#undef X
    default:
        return "UNKNOWN";
    }
}

const char *simt_status_text(enum simt_status status)
{
    switch (status) {
#define X(name, text)                                                                                        \
    case SIMT_##name:                                                                                        \
        return text;
        SIMT_STATUS_LIST(X)
#undef X
    default:
        return "unknown CUDA error";
    }
}

const char *simt_error_text(void)
{
    return error_text;
}

namespace simt
{
namespace detail
{

enum simt_status fail(enum simt_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error_text, sizeof error_text, format, arguments);
    va_end(arguments);
    return status;
}

const char *launch_refused(const simt_launch_config &c)
{
    if (!c.stream)
        return "no stream";
    if (!c.grid.x || !c.grid.y || !c.grid.z || !c.block.x || !c.block.y || !c.block.z)
        return "an empty grid or block";
    if (c.block.x > 1024 || c.block.y > 1024 || c.block.z > 64 || c.block.x * c.block.y * c.block.z > 1024)
        return "more than 1024 threads a block";
    if (c.grid.x > 0x7FFFFFFFu || c.grid.y > 65535 || c.grid.z > 65535)
        return "too large a grid";
    if (c.shared_bytes > 227 * 1024)
        return "more than 227 KiB of dynamic shared memory";
    return nullptr;
}

uint32_t gemm_alignment(const void *p, uint64_t stride)
{
    const uint64_t bits = reinterpret_cast<uintptr_t>(p) | stride | 64;
    return static_cast<uint32_t>(bits & ~(bits - 1));
}

const char *gemm_refused(const simt_gemm &g)
{
    if (g.m < 0 || g.n < 0 || g.k <= 0 || g.batch < 0)
        return "a negative size, or nothing to sum";
    if (g.in < SIMT_F16 || g.in > SIMT_F32 || (g.out != SIMT_F32 && g.out != g.in))
        return "types that do not go together";
    if (g.ld_a < (g.trans_a ? g.m : g.k) || g.ld_b < (g.trans_b ? g.k : g.n) || g.ld_c < g.n)
        return "rows that overlap";
    if (g.batch > 1 && (g.stride_a < 0 || g.stride_b < 0 || g.stride_c < g.n))
        return "products that overlap";
    if (!g.a || !g.b || !g.c)
        return "a missing operand";
    return nullptr;
}

} // namespace detail
} // namespace simt
