/* What a block of sampling does together: prefix sums, maxima, keeping some of a list. Every
 * function here is called by all threads of the block. */
#ifndef ORCD_CUDA_S_BLOCK_CUH
#define ORCD_CUDA_S_BLOCK_CUH

#include "plugins/cuda/s-sample.cuh"

namespace
{

constexpr unsigned THREADS = 512, WARPS = THREADS / 32;

/* The sum of v over the threads before this one; *total over all. */
SIMT_DEVICE uint32_t block_scan(uint32_t v, uint32_t *total)
{
    SIMT_SHARED(uint32_t, sums, [WARPS]);
    uint32_t with = v;
    for (unsigned by = 1; by < 32; by *= 2) {
        const uint32_t other = simt::shfl_up(with, by);
        if (simt::lane() >= by)
            with += other;
    }
    simt::syncthreads();
    if (simt::lane() == 31)
        sums[simt::warp()] = with;
    simt::syncthreads();
    uint32_t before = 0, all = 0;
    for (unsigned w = 0; w < WARPS; w++) {
        before += w < simt::warp() ? sums[w] : 0;
        all += sums[w];
    }
    *total = all;
    return before + with - v;
}

SIMT_DEVICE float block_max(float v)
{
    SIMT_SHARED(float, best, [WARPS]);
    const float max = simt::warp_max(v);
    simt::syncthreads();
    if (simt::lane() == 0)
        best[simt::warp()] = max;
    simt::syncthreads();
    float all = best[0];
    for (unsigned w = 1; w < WARPS; w++)
        all = simt::fmax(all, best[w]);
    return all;
}

SIMT_DEVICE uint32_t block_min(uint32_t v)
{
    SIMT_SHARED(uint32_t, least, [WARPS]);
    const unsigned min = simt::warp_min(static_cast<unsigned>(v));
    simt::syncthreads();
    if (simt::lane() == 0)
        least[simt::warp()] = min;
    simt::syncthreads();
    uint32_t all = least[0];
    for (unsigned w = 1; w < WARPS; w++)
        all = simt::min(all, least[w]);
    return all;
}

/* The value that thread 0 has. */
template <class T> SIMT_DEVICE T block_share(T v)
{
    SIMT_SHARED(T, shared, );
    simt::syncthreads();
    if (simt::thread_x() == 0)
        shared = v;
    simt::syncthreads();
    return shared;
}

/* The largest logit of all blocks. */
SIMT_DEVICE float largest(const sample_row &r, uint32_t blocks)
{
    float max = -simt::infinity();
    for (uint32_t b = simt::thread_x(); b < blocks; b += THREADS)
        max = simt::fmax(max, r.block_max[b]);
    return block_max(max);
}

} // namespace
#endif
