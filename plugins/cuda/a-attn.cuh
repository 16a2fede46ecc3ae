/* What the attention kernels share. */
#ifndef ORCD_CUDA_A_ATTN_CUH
#define ORCD_CUDA_A_ATTN_CUH

#include "plugins/cuda/kernels.h"
#include "plugins/cuda/simt/simt.h"

/* Every kernel of the file, loaded: a-qkv.cu, a-decode.cu ... */
enum simt_status a_touch_qkv();
enum simt_status a_touch_decode();
enum simt_status a_touch_experts();
enum simt_status a_touch_prefill();

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

/* Keys key0 .. of a tile into shared memory; those outside first .. end are zeros, not read. Plain
 * numbers on purpose: through a struct nvcc unrolls the loops of decode another way. */
template <unsigned THREADS>
SIMT_DEVICE void load_tile(const ck_attn_args &a, const simt::half *plane, simt::half *to, uint32_t seq,
    uint32_t kv_head, uint32_t key0, uint32_t keys, uint32_t first, uint32_t end, uint32_t dim,
    uint32_t stride)
{
    const uint32_t page = a.kv.table[static_cast<uint64_t>(seq) * a.kv.table_ld + key0 / CK_PAGE];
    const simt::half *const from =
        plane + page * a.kv.page_stride + static_cast<uint64_t>(kv_head * CK_PAGE + key0 % CK_PAGE) * dim;
    if (dim % 8 == 0) {
        const uint32_t units = dim / 8;
        for (uint32_t i = simt::thread_x(); i < keys * units; i += THREADS) {
            const uint32_t k = i / units, u = i % units;
            simt::cp_async16_or_zero(
                to + k * stride + 8 * u, from + k * dim + 8 * u, key0 + k >= first && key0 + k < end);
        }
    } else {
        const uint32_t words = round_up(dim, 8) / 2;
        for (uint32_t i = simt::thread_x(); i < keys * words; i += THREADS) {
            const uint32_t k = i / words, w = i % words;
            const bool valid = 2 * w < dim && key0 + k >= first && key0 + k < end;
            *reinterpret_cast<unsigned *>(to + k * stride + 2 * w) =
                valid ? *reinterpret_cast<const unsigned *>(from + k * dim + 2 * w) : 0u;
        }
    }
}

} // namespace
#endif
