/*
 * The kept set of a draw: ids that may be drawn, ascending, with their logits and weights, and what
 * cuts it. The same choices as core/sample/select.c and sampler.c, by a block of threads. Sums
 * that decide are in the same order there and here.
 */
#ifndef ORCD_CUDA_S_KEPT_CUH
#define ORCD_CUDA_S_KEPT_CUH

#include "plugins/cuda/s-vocab.cuh"

namespace
{

constexpr unsigned digits = 2048;

struct kept {
    int32_t *ids;
    float *x, *w;
    uint32_t n; /* the same in every thread */
};

/* Of items in ascending order of key those below `key` are in, and the first `ties` of those with it. */
struct cut {
    uint32_t key, ties;
};

/* Numbers the threads whose flag is set, in order; *total of them. */
SIMT_DEVICE uint32_t rank_of(bool flag, uint32_t *total)
{
    SIMT_SHARED(unsigned, part, [warps]);
    const unsigned votes = simt::ballot(flag);
    simt::syncthreads(); /* the one before has been read */
    if (simt::lane() == 0)
        part[simt::warp()] = static_cast<unsigned>(simt::popc(votes));
    simt::syncthreads();
    uint32_t before = 0, all = 0;
    for (unsigned i = 0; i < warps; i++) {
        before += i < simt::warp() ? part[i] : 0;
        all += part[i];
    }
    *total = all;
    return before + static_cast<uint32_t>(simt::popc(votes & ((1u << simt::lane()) - 1)));
}

/* What is kept of n items: item i has logit from.x[i] and id from.ids[i] (ids NULL: i itself). `c`
 * cuts by key; `in` decides besides. Writes into to, which may be from. */
template <class In>
SIMT_DEVICE uint32_t keep(const kept &from, uint32_t n, const cut &c, const kept &to, In in)
{
    uint32_t done = 0, ties = 0;
    for (uint32_t base = 0; base < n; base += threads) {
        const uint32_t i = base + simt::thread_x();
        const bool there = i < n;
        const float x = there ? cleaned(from.x[i]) : lowest();
        const float w = there && from.w ? from.w[i] : 0.0f;
        const int32_t id = there && from.ids ? from.ids[i] : static_cast<int32_t>(i);
        const uint32_t key = key_of(x);
        uint32_t n_ties, n_kept;
        const bool candidate = there && x > lowest() && in(x, w);
        const uint32_t tie = ties + rank_of(candidate && key == c.key, &n_ties);
        const bool flag = candidate && (key < c.key || (key == c.key && tie < c.ties));
        const uint32_t at = done + rank_of(flag, &n_kept); /* also: all have read their item */
        if (flag) {
            to.ids[at] = id;
            to.x[at] = x;
            if (to.w)
                to.w[at] = w;
        }
        ties += n_ties;
        done += n_kept;
    }
    simt::syncthreads();
    return done;
}

/* Everything passes. */
SIMT_DEVICE cut no_cut()
{
    return cut{0xffffffffu, 0xffffffffu};
}

SIMT_DEVICE bool in_all(float, float)
{
    return true;
}

/* Weight (or number, weights NULL) of each value of a digit among the items that share the prefix.
 * A digit's weights are added in the order of the items, by the thread that owns the digit. */
SIMT_DEVICE void histogram(const float *x, const float *weights, uint32_t n, uint32_t mask, uint32_t prefix,
    unsigned shift, uint32_t digit_mask, double *sum, unsigned *count)
{
    for (unsigned d = simt::thread_x(); d < digits; d += threads) {
        sum[d] = 0;
        count[d] = 0;
    }
    simt::syncthreads();
    if (!weights) {
        for (uint32_t i = simt::thread_x(); i < n; i += threads) {
            const uint32_t key = key_of(cleaned(x[i]));
            if ((key & mask) == prefix)
                simt::atomic_add(&count[key >> shift & digit_mask], 1u);
        }
        simt::syncthreads();
        for (unsigned d = simt::thread_x(); d < digits; d += threads)
            sum[d] = count[d];
    } else {
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t key = key_of(x[i]), d = key >> shift & digit_mask;
            if ((key & mask) == prefix && d % threads == simt::thread_x()) {
                sum[d] += static_cast<double>(weights[i]);
                count[d]++;
            }
        }
    }
    simt::syncthreads();
}

/* The shortest prefix, in ascending order of key, whose sum is at least the target. */
SIMT_DEVICE cut select_prefix(const float *x, const float *weights, uint32_t n, double target)
{
    SIMT_SHARED(double, sum, [digits]);
    SIMT_SHARED(unsigned, count, [digits]);
    SIMT_SHARED(double, before, [1]);
    SIMT_SHARED(unsigned, found, [2]);
    SIMT_SHARED(float, tie, [1]);
    const unsigned shifts[3] = {21, 10, 0};
    uint32_t prefix = 0, mask = 0;
    if (simt::thread_x() == 0)
        before[0] = 0;
    for (int level = 0; level < 3; level++) {
        const uint32_t digit_mask = level == 2 ? digits / 2 - 1 : digits - 1;
        histogram(x, weights, n, mask, prefix, shifts[level], digit_mask, sum, count);
        if (simt::thread_x() == 0) {
            /* Rounding may leave the target unreached: the last digit in use is then it. */
            uint32_t at = 0;
            double before_at = before[0], running = before[0];
            for (uint32_t d = 0; d <= digit_mask; d++) {
                if (count[d] == 0)
                    continue;
                at = d;
                before_at = running;
                running += sum[d];
                if (running >= target)
                    break;
            }
            before[0] = before_at;
            found[0] = at;
            found[1] = count[at];
        }
        simt::syncthreads();
        prefix |= found[0] << shifts[level];
        mask |= digit_mask << shifts[level];
    }
    /* Equal logits have equal weights. */
    for (uint32_t i = simt::thread_x(); weights && i < n; i += threads)
        if (key_of(x[i]) == prefix)
            simt::atomic_exch(reinterpret_cast<unsigned *>(&tie[0]), simt::float_as_uint(weights[i]));
    simt::syncthreads();
    if (simt::thread_x() == 0) {
        const double each = weights ? static_cast<double>(tie[0]) : 1.0;
        double running = before[0];
        unsigned ties = 0;
        while (ties < found[1]) {
            ties++;
            running += each;
            if (running >= target)
                break;
        }
        found[0] = ties;
    }
    simt::syncthreads();
    const cut c = {prefix, found[0]};
    simt::syncthreads();
    return c;
}

/* The sum of the weights in order, in every thread. */
SIMT_DEVICE double kept_sum(const kept &k)
{
    SIMT_SHARED(double, all, [1]);
    simt::syncthreads();
    if (simt::thread_x() == 0) {
        double sum = 0;
        for (uint32_t i = 0; i < k.n; i++)
            sum += static_cast<double>(k.w[i]);
        all[0] = sum;
    }
    simt::syncthreads();
    return all[0];
}

} // namespace
#endif
