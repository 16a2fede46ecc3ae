/* What comes after products on tensor cores: the rows' scales, biases, residuals, activations.
 * A thread takes 4 neighbouring elements of a row. */
#include "plugins/cuda/w-activation.cuh"
#include "plugins/cuda/w-launch.h"

namespace
{

constexpr unsigned row_threads = 256;

/* Elements 4 i .. of a row of n, which the caller changes by f(index, value, other). */
template <class F> SIMT_DEVICE void each_four(float *to, const float *from, unsigned i, unsigned n, F f)
{
    if (4 * i + 4 <= n) {
        simt::float4 *at = reinterpret_cast<simt::float4 *>(to) + i;
        simt::float4 v = *at, o = from ? reinterpret_cast<const simt::float4 *>(from)[i] : v;
        v.x = f(4 * i, v.x, o.x), v.y = f(4 * i + 1, v.y, o.y);
        v.z = f(4 * i + 2, v.z, o.z), v.w = f(4 * i + 3, v.w, o.w);
        *at = v;
    } else {
        for (unsigned k = 4 * i; k < n; k++)
            to[k] = f(k, to[k], from ? from[k] : to[k]);
    }
}

SIMT_KERNEL(row_threads)
void add_rows(float *x, unsigned ld_x, const float *y, unsigned ld_y, const float *scale, const float *bias,
    unsigned n, unsigned blocks)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const unsigned r = simt::block_x() / blocks;
    const unsigned i = simt::block_x() % blocks * row_threads + simt::thread_x();
    if (4 * i >= n)
        return;
    const float by = scale ? scale[r] : 1.0f;
    each_four(x + static_cast<size_t>(r) * ld_x, y + static_cast<size_t>(r) * ld_y, i, n,
        [=](unsigned k, float to, float from) { return to + (from * by + (bias ? bias[k] : 0.0f)); });
}

SIMT_KERNEL(row_threads)
void gate_rows(float *gate, const float *up, unsigned ld, const float *scale, const float *gate_bias,
    const float *up_bias, unsigned activation, unsigned n, unsigned blocks)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const unsigned r = simt::block_x() / blocks;
    const unsigned i = simt::block_x() % blocks * row_threads + simt::thread_x();
    if (4 * i >= n)
        return;
    const float by = scale ? scale[r] : 1.0f;
    each_four(gate + static_cast<size_t>(r) * ld, up + static_cast<size_t>(r) * ld, i, n,
        [=](unsigned k, float g, float u) {
            return w::activate(activation, g * by + (gate_bias ? gate_bias[k] : 0.0f),
                u * by + (up_bias ? up_bias[k] : 0.0f));
        });
}

unsigned blocks_of(uint32_t n)
{
    return (n + 4 * row_threads - 1) / (4 * row_threads);
}

} // namespace

extern "C" enum simt_status ck_add_rows(simt_stream *s, float *x, uint32_t ld_x, const float *y,
    uint32_t ld_y, const float *scale, const float *bias, uint32_t rows, uint32_t n)
{
    if (rows == 0)
        return SIMT_OK;
    const unsigned blocks = blocks_of(n);
    return simt::launch(w::config(s, "add_rows", rows * blocks, row_threads), add_rows, x, ld_x, y, ld_y,
        scale, bias, n, blocks);
}

extern "C" enum simt_status ck_gate_rows(simt_stream *s, float *gate, const float *up, uint32_t ld,
    const float *scale, const float *gate_bias, const float *up_bias, uint32_t activation, uint32_t rows,
    uint32_t n)
{
    if (rows == 0)
        return SIMT_OK;
    const unsigned blocks = blocks_of(n);
    return simt::launch(w::config(s, "gate_rows", rows * blocks, row_threads), gate_rows, gate, up, ld, scale,
        gate_bias, up_bias, activation, n, blocks);
}

enum simt_status w::prepare_rows()
{
    return first_failure([] { return simt::kernel_prepare(add_rows, row_threads, 0); },
        [] { return simt::kernel_prepare(gate_rows, row_threads, 0); });
}
