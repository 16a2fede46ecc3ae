/* Splits of decode attention: what they leave and how it is put together. */
#ifndef ORCD_CUDA_A_DECODE_CUH
#define ORCD_CUDA_A_DECODE_CUH

#include "plugins/cuda/a-attn.cuh"

/* a-decode.cu: splits (tiles NULL) or whole rows of prefill (rows: CK_TILE for each tile). */
enum simt_status a_decode(struct simt_stream *s, const ck_attn_args &a, float *partial, uint32_t n_splits,
    const ck_tile *tiles, uint32_t rows);

namespace
{

/* Of a split: dv floats of unnormalized output, the maximum, the sum. */
SIMT_DEVICE float *partial_of(float *partial, uint64_t row, uint32_t head, uint32_t split, uint32_t n_heads,
    uint32_t n_splits, uint32_t dv)
{
    return partial + ((row * n_heads + head) * n_splits + split) * round_up(dv + 2, 4);
}

/* An element of a row that has one split: bit for bit what combining gives. */
SIMT_DEVICE float finish_one(const float *sinks, uint32_t head, float max, float sum, float v)
{
    const float sink = sinks ? sinks[head] : -simt::infinity(), most = simt::fmax(sink, max);
    const float w = rescale(max, most);
    return (0.0f + v * w) / (rescale(sink, most) + sum * w);
}

} // namespace
#endif
