/* The splits of decode attention put together, in ascending order, the sink first. */
#include "plugins/cuda/a-decode.cuh"

namespace
{

constexpr unsigned THREADS = 128;

SIMT_KERNEL(THREADS) void combine(ck_attn_args a, const float *partial, uint32_t n_splits)
{
    kernel_begin();
    SIMT_SHARED(float, maxes, [CK_SPLITS]);
    SIMT_SHARED(float, weights, [CK_SPLITS]);
    SIMT_SHARED(float, sums, [CK_SPLITS]);
    const uint32_t head = simt::block_x(), row = simt::block_y(), pos = a.cells.pos[row],
                   i = simt::thread_x();
    const uint32_t from = first_key(a.window, pos) / ck_split_keys(pos), n = ck_n_splits(pos);
    const uint32_t stride = round_up(a.dv + 2, 4);
    const float *const parts = partial + (static_cast<uint64_t>(row) * a.n_heads + head) * n_splits * stride;
    if (i >= from && i < n) {
        maxes[i] = parts[i * stride + a.dv];
        sums[i] = parts[i * stride + a.dv + 1];
    }
    simt::syncthreads();
    const float sink = a.sinks ? a.sinks[head] : -simt::infinity();
    float most = sink;
    for (uint32_t k = from; k < n; k++)
        most = simt::fmax(most, maxes[k]);
    if (i >= from && i < n)
        weights[i] = rescale(maxes[i], most);
    simt::syncthreads();
    float total = rescale(sink, most);
    for (uint32_t k = from; k < n; k++)
        total = total + sums[k] * weights[k];
    for (uint32_t d = i; d < a.dv; d += THREADS) {
        float v = 0;
        for (uint32_t k = from; k < n; k++)
            v = v + parts[k * stride + d] * weights[k];
        a.out[static_cast<uint64_t>(row) * a.ld_out + head * a.dv + d] = v / total;
    }
}

} // namespace

enum simt_status ck_attn_decode(
    struct simt_stream *s, const struct ck_attn_args *a, float *partial, uint32_t n_splits)
{
    if (a->rows == 0)
        return SIMT_OK;
    const enum simt_status st = a_decode(s, *a, partial, n_splits, nullptr, a->rows);
    if (st != SIMT_OK || n_splits == 1)
        return st;
    return simt::launch(launch_config(s, "attn_combine", {a->n_heads, a->rows, 1}, THREADS), combine, *a,
        static_cast<const float *>(partial), n_splits);
}

enum simt_status ck_touch_attention(void)
{
    enum simt_status st = simt::kernel_prepare(combine, THREADS, 0);
    if (st == SIMT_OK)
        st = a_touch_qkv();
    if (st == SIMT_OK)
        st = a_touch_decode();
    if (st == SIMT_OK)
        st = a_touch_prefill();
    return st != SIMT_OK ? st : a_touch_experts();
}
