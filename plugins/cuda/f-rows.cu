/* What only some families of models need: small steps between the products, a block a row. */
#include "plugins/cuda/kernels.h"
#include "plugins/cuda/simt/simt.h"

namespace
{

constexpr unsigned threads = 256, warps = threads / 32;

/* The sum over the block, in every thread: thread by thread, lanes, then warps in order. */
SIMT_DEVICE float block_sum(float v)
{
    SIMT_SHARED(float, part, [warps]);
    v = simt::warp_sum<32>(v);
    if (simt::lane() == 0)
        part[simt::warp()] = v;
    simt::syncthreads();
    float sum = 0;
    for (unsigned i = 0; i < warps; i++)
        sum += part[i];
    simt::syncthreads(); /* the next sum may begin */
    return sum;
}

SIMT_KERNEL(threads) void scale_rows(float *x, uint32_t ld, float factor, uint32_t n)
{
    float *row = x + static_cast<uint64_t>(simt::block_x()) * ld;
    for (uint32_t i = simt::thread_x(); i < n; i += threads)
        row[i] *= factor;
}

SIMT_KERNEL(threads) void softcap_rows(float *x, uint32_t ld, float cap, uint32_t n)
{
    float *row = x + static_cast<uint64_t>(simt::block_x()) * ld;
    for (uint32_t i = simt::block_y() * threads + simt::thread_x(); i < n; i += threads * simt::blocks_y())
        row[i] = cap * simt::tanh(row[i] / cap);
}

SIMT_KERNEL(threads) void add_normed(ck_add_args a, const float *weight, float eps)
{
    const uint64_t r = simt::block_x();
    const float *y = a.y + r * a.ld_y;
    float *x = a.x + r * a.ld_x;
    const float scale = a.scale ? a.scale[r] : 1.0f;
    float squares = 0;
    for (uint32_t i = simt::thread_x(); i < a.n; i += threads) {
        const float v = simt::fma(y[i], scale, a.bias ? a.bias[i] : 0.0f);
        squares = simt::fma(v, v, squares);
    }
    const float mean = block_sum(squares) / static_cast<float>(a.n);
    const float factor = 1.0f / simt::sqrt(mean + eps);
    for (uint32_t i = simt::thread_x(); i < a.n; i += threads) {
        const float v = simt::fma(y[i], scale, a.bias ? a.bias[i] : 0.0f);
        x[i] = simt::fma(v * factor, weight[i], x[i]);
    }
}

SIMT_KERNEL(threads) void add_shared(ck_add_args a, const float *in, uint32_t ld_in, const float *router)
{
    const uint64_t r = simt::block_x();
    float dot = 0;
    for (uint32_t i = simt::thread_x(); i < a.n; i += threads)
        dot = simt::fma(in[r * ld_in + i], router[i], dot);
    const float weight = 1.0f / (1.0f + simt::exp(-block_sum(dot)));
    const float factor = weight * (a.scale ? a.scale[r] : 1.0f);
    for (uint32_t i = simt::thread_x(); i < a.n; i += threads)
        a.x[r * a.ld_x + i] = simt::fma(a.y[r * a.ld_y + i], factor, a.x[r * a.ld_x + i]);
}

simt_launch_config config(struct simt_stream *s, uint32_t rows, uint32_t parts, const char *name)
{
    return simt_launch_config{{rows, parts, 1}, {threads, 1, 1}, 0, s, 0, name};
}

} // namespace

enum simt_status ck_scale_rows(
    struct simt_stream *s, float *x, uint32_t ld, float factor, uint32_t rows, uint32_t n)
{
    return rows ? simt::launch(config(s, rows, 1, "scale_rows"), scale_rows, x, ld, factor, n) : SIMT_OK;
}

enum simt_status ck_softcap_rows(
    struct simt_stream *s, float *x, uint32_t ld, float cap, uint32_t rows, uint32_t n)
{
    const uint32_t parts = n / (8 * threads) + 1;
    return rows ? simt::launch(
                      config(s, rows, parts < 256 ? parts : 256, "softcap_rows"), softcap_rows, x, ld, cap, n)
                : SIMT_OK;
}

enum simt_status ck_add_normed(
    struct simt_stream *s, const struct ck_add_args *a, const float *weight, float eps)
{
    return a->rows ? simt::launch(config(s, a->rows, 1, "add_normed"), add_normed, *a, weight, eps) : SIMT_OK;
}

enum simt_status ck_add_shared(
    struct simt_stream *s, const struct ck_add_args *a, const float *in, uint32_t ld_in, const float *router)
{
    return a->rows ? simt::launch(config(s, a->rows, 1, "add_shared"), add_shared, *a, in, ld_in, router)
                   : SIMT_OK;
}

enum simt_status ck_touch_families(void)
{
    enum simt_status status = simt::kernel_prepare(scale_rows, threads, 0);
    if (status == SIMT_OK)
        status = simt::kernel_prepare(softcap_rows, threads, 0);
    if (status == SIMT_OK)
        status = simt::kernel_prepare(add_normed, threads, 0);
    if (status == SIMT_OK)
        status = simt::kernel_prepare(add_shared, threads, 0);
    return status;
}
