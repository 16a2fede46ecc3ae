/* What the attention kernels share. */
#ifndef ORCD_CUDA_A_ATTN_CUH
#define ORCD_CUDA_A_ATTN_CUH

#include "plugins/cuda/kernels.h"
#include "plugins/cuda/simt/simt.h"

/* Every kernel of the file, loaded: a-qkv.cu, a-decode.cu, a-experts.cu. */
enum simt_status a_touch_qkv();
enum simt_status a_touch_decode();
enum simt_status a_touch_experts();

namespace
{

/* All kernels here call simt::pdl_wait() first thing in every thread. */
inline simt_launch_config launch_config(
    struct simt_stream *s, const char *name, simt_dim grid, unsigned threads, size_t shared = 0)
{
    simt_launch_config c = {};
    c.grid = grid;
    c.block = {threads, 1, 1};
    c.shared_bytes = shared;
    c.stream = s;
    c.pdl = 1;
    c.name = name;
    return c;
}

SIMT_DEVICE void kernel_begin()
{
    simt::pdl_wait();
    simt::pdl_trigger();
}

SIMT_DEVICE simt::half2 word_as_half2(unsigned u)
{
    return simt::half2_from_bits(u);
}

/* The first key that a query at pos sees. */
SIMT_DEVICE uint32_t first_key(uint32_t window, uint32_t pos)
{
    return window && pos >= window ? pos - window + 1 : 0;
}

SIMT_DEVICE float capped(float score, float softcap)
{
    return softcap != 0 ? softcap * simt::tanh(score / softcap) : score;
}

/* Of the keys so far of one head of one row. NaN scores show in the sum, not in the maximum. */
struct attn_total {
    float max, sum;
};

/* exp(x - max), where nothing was seen before (x = max = -inf) 0. */
SIMT_DEVICE float rescale(float x, float max)
{
    return x == -simt::infinity() ? 0.0f : simt::exp(x - max);
}

SIMT_BOTH uint32_t round_up(uint32_t x, uint32_t to)
{
    return (x + to - 1) / to * to;
}

} // namespace
#endif
