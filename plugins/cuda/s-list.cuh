/* The kept set of a draw: ids in ascending order with their keys and weights, narrowed by whole
 * blocks of threads. The cuts are those of core/sample/select.c. */
#ifndef ORCD_CUDA_S_LIST_CUH
#define ORCD_CUDA_S_LIST_CUH

#include "plugins/cuda/s-block.cuh"

namespace
{

/* The last key that is in, and how many items with this key are. */
struct cut {
    uint32_t key, ties;
};

/* Keeps the items of which in(i) is true, in their order; every thread calls in, with i >= n for
 * none. Returns how many. */
template <class In> SIMT_DEVICE uint32_t keep(const sample_row &r, uint32_t n, In in)
{
    uint32_t kept = 0;
    for (uint32_t i0 = 0; i0 < n; i0 += THREADS) {
        const uint32_t i = i0 + simt::thread_x();
        uint32_t id = 0, key = 0, total;
        float weight = 0;
        if (i < n) {
            id = r.ids[i];
            key = r.keys[i];
            weight = r.weights[i];
        }
        const bool stays = in(i, key, weight);
        const uint32_t at = kept + block_scan(stays, &total);
        if (stays) {
            r.ids[at] = id;
            r.keys[at] = key;
            r.weights[at] = weight;
        }
        kept += total;
    }
    simt::syncthreads();
    return kept;
}

SIMT_DEVICE uint32_t apply_cut(const sample_row &r, uint32_t n, cut c)
{
    uint32_t equal = 0;
    return keep(r, n, [&](uint32_t i, uint32_t key, float) {
        uint32_t total;
        const bool same = i < n && key == c.key;
        const uint32_t rank = equal + block_scan(same, &total);
        equal += total;
        return i < n && (key < c.key || (same && rank < c.ties));
    });
}

/* Every id with a logit >= least, with its key. Blocks of 64 below it are skipped. */
SIMT_DEVICE uint32_t gather(const sample_row &r, uint32_t n_vocab, float least)
{
    const uint32_t blocks = static_cast<uint32_t>(n_blocks(n_vocab));
    uint32_t kept = 0;
    for (uint32_t b0 = 0; b0 < blocks; b0 += THREADS) {
        const uint32_t b = b0 + simt::thread_x();
        const float *const x = r.work + static_cast<uint64_t>(b) * BLOCK;
        uint32_t count = 0, total;
        const bool look = b < blocks && r.block_max[b] >= least;
        for (uint32_t i = 0; look && i < BLOCK; i++)
            count += x[i] >= least && x[i] > -simt::infinity();
        uint32_t at = kept + block_scan(count, &total);
        for (uint32_t i = 0; look && i < BLOCK; i++)
            if (x[i] >= least && x[i] > -simt::infinity()) {
                r.ids[at] = b * BLOCK + i;
                r.keys[at++] = descending_key(x[i]);
            }
        kept += total;
    }
    simt::syncthreads();
    return kept;
}

/* The cut that lets in the k items with the least keys, 1 <= k <= n. key(i): of item i. */
template <class Key> SIMT_DEVICE cut cut_count(uint32_t n, uint32_t k, Key key)
{
    constexpr uint32_t DIGITS = 256;
    SIMT_SHARED(uint32_t, bins, [DIGITS]);
    SIMT_SHARED(uint32_t, found, [2]);
    uint32_t prefix = 0, mask = 0, before = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        if (simt::thread_x() < DIGITS)
            bins[simt::thread_x()] = 0;
        simt::syncthreads();
        for (uint32_t i = simt::thread_x(); i < n; i += THREADS) {
            const uint32_t x = key(i);
            if ((x & mask) == prefix)
                simt::atomic_add(&bins[x >> shift & (DIGITS - 1)], 1u);
        }
        simt::syncthreads();
        uint32_t total;
        const uint32_t here = simt::thread_x() < DIGITS ? bins[simt::thread_x()] : 0;
        const uint32_t at = before + block_scan(here, &total);
        if (at < k && k <= at + here) {
            found[0] = simt::thread_x();
            found[1] = at;
        }
        simt::syncthreads();
        prefix |= found[0] << shift;
        mask |= (DIGITS - 1) << shift;
        before = found[1];
        simt::syncthreads();
    }
    return cut{prefix, k - before};
}

/* The sum of the weights, one after the other as they stand. */
SIMT_DEVICE double serial_sum(const sample_row &r, uint32_t n)
{
    SIMT_SHARED(float, chunk, [THREADS]);
    double sum = 0;
    for (uint32_t i0 = 0; i0 < n; i0 += THREADS) {
        simt::syncthreads();
        if (i0 + simt::thread_x() < n)
            chunk[simt::thread_x()] = r.weights[i0 + simt::thread_x()];
        simt::syncthreads();
        if (simt::thread_x() == 0)
            for (uint32_t i = 0; i < simt::min(n - i0, static_cast<uint32_t>(THREADS)); i++)
                sum += static_cast<double>(chunk[i]);
    }
    return block_share(sum);
}

/* The shortest prefix by key whose weights sum to the target. Digits of 11, 11 and 10 bits; each
 * digit's sum is one thread's, in the order of the list. */
SIMT_DEVICE cut cut_weight(const sample_row &r, uint32_t n, double target)
{
    constexpr uint32_t DIGITS = 2048, NONE = 0xFFFFu;
    SIMT_SHARED(double, sums, [DIGITS]);
    SIMT_SHARED(uint32_t, used, [DIGITS / 32]);
    SIMT_SHARED(uint32_t, digit_of, [THREADS]);
    SIMT_SHARED(float, weight_of_item, [THREADS]);
    SIMT_SHARED(uint32_t, ends, [4]); /* lowest, highest digit; count and weight of the last key */
    SIMT_SHARED(double, carried, );
    const uint32_t t = simt::thread_x();
    uint32_t prefix = 0, mask = 0;
    double before = 0;
    for (uint32_t level = 0; level < 3; level++) {
        const uint32_t shift = level == 0 ? 21 : level == 1 ? 10 : 0, digit_mask = level == 2 ? 1023 : 2047;
        if (t < DIGITS / 32)
            used[t] = 0;
        if (t == 0) {
            ends[0] = NONE;
            ends[1] = 0;
        }
        simt::syncthreads();
        for (uint32_t i = t; i < n; i += THREADS) {
            const uint32_t key = r.keys[i], d = key >> shift & digit_mask;
            if ((key & mask) != prefix)
                continue;
            simt::atomic_min(&ends[0], d);
            simt::atomic_max(&ends[1], d);
            simt::atomic_or(&used[d / 32], 1u << d % 32);
        }
        simt::syncthreads();
        const uint32_t low = ends[0] / 32 * 32, high = ends[1];
        for (uint32_t d0 = low; d0 <= high; d0 += THREADS) {
            const uint32_t d = d0 + t;
            double sum = 0;
            for (uint32_t i0 = 0; i0 < n; i0 += THREADS) {
                simt::syncthreads();
                if (i0 + t < n) {
                    const uint32_t key = r.keys[i0 + t];
                    digit_of[t] = (key & mask) == prefix ? key >> shift & digit_mask : NONE;
                    weight_of_item[t] = r.weights[i0 + t];
                }
                simt::syncthreads();
                if (d / 32 <= high / 32)
                    for (uint32_t i = 0; i < simt::min(n - i0, static_cast<uint32_t>(THREADS)); i++)
                        if (digit_of[i] == d)
                            sum += static_cast<double>(weight_of_item[i]);
            }
            if (d <= high)
                sums[d] = sum;
        }
        simt::syncthreads();
        if (t == 0) {
            uint32_t at = 0;
            double running = before, before_at = before;
            bool reached = false;
            for (uint32_t w = low / 32; w <= high / 32 && !reached; w++)
                for (uint32_t bits = used[w]; bits && !reached; bits &= bits - 1) {
                    at = 32 * w + static_cast<uint32_t>(simt::ffs(bits)) - 1;
                    before_at = running;
                    running += sums[at];
                    reached = running >= target;
                }
            ends[0] = at;
            carried = before_at;
        }
        simt::syncthreads();
        prefix |= ends[0] << shift;
        mask |= digit_mask << shift;
        before = carried;
        simt::syncthreads();
    }
    /* Equal keys are equal logits, and so equal weights. */
    if (t == 0)
        ends[2] = 0;
    simt::syncthreads();
    for (uint32_t i = t; i < n; i += THREADS)
        if (r.keys[i] == prefix) {
            simt::atomic_add(&ends[2], 1u);
            simt::atomic_exch(&ends[3], simt::float_as_uint(r.weights[i]));
        }
    simt::syncthreads();
    uint32_t ties = 0;
    if (t == 0)
        do {
            ties++;
            before += static_cast<double>(simt::uint_as_float(ends[3]));
        } while (before < target && ties < ends[2]);
    return cut{prefix, block_share(ties)};
}

} // namespace
#endif
