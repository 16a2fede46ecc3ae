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
void add_rows(const ck_add_args a, unsigned blocks)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const unsigned r = simt::block_x() / blocks;
    const unsigned i = simt::block_x() % blocks * row_threads + simt::thread_x();
    if (4 * i >= a.n)
        return;
    const float by = a.scale ? a.scale[r] : 1.0f;
    each_four(a.x + static_cast<size_t>(r) * a.ld_x, a.y + static_cast<size_t>(r) * a.ld_y, i, a.n,
        [&](unsigned k, float to, float from) { return to + (from * by + (a.bias ? a.bias[k] : 0.0f)); });
}

SIMT_KERNEL(row_threads)
void gate_rows(const ck_gate_rows_args a, unsigned blocks)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const unsigned r = simt::block_x() / blocks;
    const unsigned i = simt::block_x() % blocks * row_threads + simt::thread_x();
    if (4 * i >= a.n)
        return;
    const float by = a.scale ? a.scale[r] : 1.0f;
    const size_t at = static_cast<size_t>(r) * a.ld;
    each_four(a.gate + at, a.up + at, i, a.n, [&](unsigned k, float g, float u) {
        return w::activate(a.activation, g * by + (a.gate_bias ? a.gate_bias[k] : 0.0f),
            u * by + (a.up_bias ? a.up_bias[k] : 0.0f));
    });
}

unsigned blocks_of(uint32_t n)
{
    return (n + 4 * row_threads - 1) / (4 * row_threads);
}

} // namespace

extern "C" enum simt_status ck_add_rows(simt_stream *s, const ck_add_args *a)
{
    if (a->rows == 0)
        return SIMT_OK;
    const unsigned blocks = blocks_of(a->n);
    return simt::launch(w::config(s, "add_rows", a->rows * blocks, row_threads), add_rows, *a, blocks);
}

extern "C" enum simt_status ck_gate_rows(simt_stream *s, const ck_gate_rows_args *a)
{
    if (a->rows == 0)
        return SIMT_OK;
    const unsigned blocks = blocks_of(a->n);
    return simt::launch(w::config(s, "gate_rows", a->rows * blocks, row_threads), gate_rows, *a, blocks);
}

enum simt_status w::prepare_rows()
{
    return first_failure([] { return simt::kernel_prepare(add_rows, row_threads, 0); },
        [] { return simt::kernel_prepare(gate_rows, row_threads, 0); });
}
