/*
 * Passes over a vocabulary, by a block of `threads` threads: the same numbers as core/sample/softmax.c,
 * bit for bit, which is written for a processor. docs/sampling.md.
 */
#ifndef ORCD_CUDA_S_VOCAB_CUH
#define ORCD_CUDA_S_VOCAB_CUH

#include "plugins/cuda/kernels.h"
#include "plugins/cuda/simt/simt.h"

namespace
{

constexpr unsigned threads = 256, warps = threads / 32;
constexpr uint32_t block_items = 64; /* softmax.h: SOFTMAX_BLOCK */
constexpr float largest = 3.402823466e38f;

SIMT_DEVICE float lowest()
{
    return -simt::infinity();
}

/* NaN is the worst, infinity the largest float. */
SIMT_DEVICE float cleaned(float x)
{
    return simt::is_nan(x) ? lowest() : x > largest ? largest : x;
}

/* exp(z) for z <= 0, 0 below -87; Cephes' polynomial, each operation rounded by itself. */
SIMT_DEVICE float exp_weight(float z)
{
    if (!(z >= -87.0f))
        return 0.0f;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float k = z * 1.44269504088896341f + magic;
    const int ki = simt::float_as_int(k) - simt::float_as_int(magic);
    k -= magic;
    float r = z - k * 0.693359375f;
    r = r - k * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return p * simt::int_as_float((ki + 127) << 23);
}

SIMT_DEVICE float weight_of(float x, float max, double scale)
{
    return exp_weight(static_cast<float>((static_cast<double>(x) - static_cast<double>(max)) * scale));
}

/* Ascending key = descending x. */
SIMT_DEVICE uint32_t key_of(float x)
{
    const uint32_t u = simt::float_as_uint(x + 0.0f); /* -0 and 0 are equal */
    return ~(u & 0x80000000u ? ~u : u | 0x80000000u);
}

/* The largest over the block of each thread's v, in every thread. */
SIMT_DEVICE float block_max(float v)
{
    SIMT_SHARED(float, part, [warps]);
    v = simt::warp_max<32>(v);
    simt::syncthreads(); /* the one before has been read */
    if (simt::lane() == 0)
        part[simt::warp()] = v;
    simt::syncthreads();
    for (unsigned i = 0; i < warps; i++)
        v = simt::fmax(v, part[i]);
    return v;
}

/* The largest of n logits, -infinity when none is a number. */
SIMT_DEVICE float vocab_max(const float *x, uint32_t n)
{
    float max = lowest();
    for (uint32_t i = simt::thread_x(); i < n; i += threads)
        max = simt::fmax(max, cleaned(x[i]));
    return block_max(max);
}

/* The lowest id among the largest. */
SIMT_DEVICE uint32_t vocab_argmax(const float *x, uint32_t n, float max)
{
    SIMT_SHARED(unsigned, best, [1]);
    if (simt::thread_x() == 0)
        best[0] = n;
    simt::syncthreads();
    unsigned mine = n;
    for (uint32_t i = simt::thread_x(); i < n && mine == n; i += threads)
        if (cleaned(x[i]) >= max)
            mine = i;
    if (mine < n)
        simt::atomic_min(&best[0], mine);
    simt::syncthreads();
    return best[0];
}

/* Weights of a block of 64 from i on; their sum in the order of softmax_weights(). */
SIMT_DEVICE double block_weights(const float *x, uint32_t i, uint32_t n, float max, double scale)
{
    double a[4] = {0, 0, 0, 0};
    const uint32_t end = n - i < block_items ? n : i + block_items;
    for (uint32_t j = i; j < end; j++)
        a[(j - i) % 4] += static_cast<double>(weight_of(cleaned(x[j]), max, scale));
    return (a[0] + a[2]) + (a[1] + a[3]);
}

/* Sums of all blocks into sums[]; the sum of those, in order, in every thread. */
SIMT_DEVICE double vocab_weights(const float *x, uint32_t n, float max, double scale, double *sums)
{
    SIMT_SHARED(double, all, [1]);
    const uint32_t blocks = (n + block_items - 1) / block_items;
    simt::syncthreads();
    for (uint32_t b = simt::thread_x(); b < blocks; b += threads)
        sums[b] = block_weights(x, b * block_items, n, max, scale);
    simt::syncthreads();
    if (simt::thread_x() == 0) {
        double sum = 0;
        for (uint32_t b = 0; b < blocks; b++)
            sum += sums[b];
        all[0] = sum;
    }
    simt::syncthreads();
    return all[0];
}

} // namespace
#endif
