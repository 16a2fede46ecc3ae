/* Top-k, top-p, min-p and the draw; the best tokens' log probabilities. A block a row. */
#include "plugins/cuda/s-list.cuh"

#include <math.h>

namespace
{

constexpr uint32_t PORTION = 16; /* rows of a launch, so that the scratch of a few serves any number */

/* Philox4x32-10: the first word of (key = seed, counter = position), as 24 bits of [0, 1). */
SIMT_DEVICE double uniform_at(uint64_t seed, uint64_t position)
{
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    uint32_t c0 = static_cast<uint32_t>(position), c1 = static_cast<uint32_t>(position >> 32), c2 = 0, c3 = 0;
    for (int round = 0; round < 10; round++) {
        const uint32_t low0 = 0xD2511F53u * c0, high0 = simt::umulhi(0xD2511F53u, c0);
        const uint32_t low1 = 0xCD9E8D57u * c2, high1 = simt::umulhi(0xCD9E8D57u, c2);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return static_cast<double>(static_cast<float>(c0 >> 8) * 5.9604644775390625e-8f);
}

/* Turns the sums of blocks into running sums, added one after the other; the last one. */
SIMT_DEVICE double run_block_sums(const sample_row &r, uint32_t blocks)
{
    constexpr uint32_t EACH = 8;
    SIMT_SHARED(double, chunk, [THREADS]);
    const uint32_t t = simt::thread_x();
    double sum = 0;
    for (uint32_t b0 = 0; b0 < blocks; b0 += THREADS) {
        simt::syncthreads();
        if (b0 + t < blocks)
            chunk[t] = r.block_sum[b0 + t];
        simt::syncthreads();
        if (t == 0)
            for (uint32_t i0 = 0; i0 < simt::min(blocks - b0, static_cast<uint32_t>(THREADS)); i0 += EACH) {
                double v[EACH]; /* loads that do not wait for each other; what is beyond is not used */
                SIMT_UNROLL
                for (uint32_t i = 0; i < EACH; i++)
                    v[i] = chunk[i0 + i];
                SIMT_UNROLL
                for (uint32_t i = 0; i < EACH; i++) {
                    sum = b0 + i0 + i < blocks ? sum + v[i] : sum;
                    chunk[i0 + i] = sum;
                }
            }
        simt::syncthreads();
        if (b0 + t < blocks)
            r.block_sum[b0 + t] = chunk[t];
    }
    return block_share(sum);
}

/* The k best logits. The k-th best block is a bound that k items reach. */
SIMT_DEVICE uint32_t keep_top_k(const sample_row &r, uint32_t n_vocab, uint32_t k)
{
    const uint32_t blocks = static_cast<uint32_t>(n_blocks(n_vocab));
    float least = -simt::infinity();
    if (k < blocks) {
        const cut c = cut_count(blocks, k, [&](uint32_t b) { return descending_key(r.block_max[b]); });
        const uint32_t ascending = ~c.key;
        least = simt::uint_as_float(ascending & 0x80000000u ? ascending & 0x7FFFFFFFu : ~ascending);
    }
    const uint32_t n = gather(r, n_vocab, least);
    if (n <= k)
        return n;
    return apply_cut(r, n, cut_count(n, k, [&](uint32_t i) { return r.keys[i]; }));
}

/* Weights of the kept set; what has none goes. */
SIMT_DEVICE uint32_t weigh(const sample_row &r, uint32_t n, float max, double scale)
{
    for (uint32_t i = simt::thread_x(); i < n; i += THREADS)
        r.weights[i] = weight_of(r.work[r.ids[i]], max, scale);
    simt::syncthreads();
    return keep(r, n, [&](uint32_t i, uint32_t, float w) { return i < n && w > 0; });
}

SIMT_DEVICE uint32_t keep_min_p(const sample_row &r, uint32_t n, double log_min_p, double scale)
{
    float mine = -simt::infinity();
    for (uint32_t i = simt::thread_x(); i < n; i += THREADS)
        mine = simt::fmax(mine, r.work[r.ids[i]]);
    const double best = static_cast<double>(block_max(mine));
    return keep(r, n, [&](uint32_t i, uint32_t, float) {
        return i < n && (static_cast<double>(r.work[r.ids[i]]) - best) * scale >= log_min_p;
    });
}

/* True: *kept ids are what is left, with weights. False: everything is. */
SIMT_DEVICE bool narrow(const sample_row &r, const ck_sampler &s, uint32_t n_vocab, float max, double scale,
    double total, uint32_t *kept)
{
    double sum = total;
    uint32_t n;
    if (s.top_k && s.top_k < n_vocab) {
        n = weigh(r, keep_top_k(r, n_vocab, s.top_k), max, scale);
        if (s.top_p < 1)
            sum = serial_sum(r, n);
    } else if (s.top_p < 1) {
        const double least = 0.5 * (1 - static_cast<double>(s.top_p)) * sum / n_vocab;
        n = gather(r, n_vocab, static_cast<float>(static_cast<double>(max) + ::log(least) / scale));
        n = weigh(r, n, max, scale);
    } else if (s.min_p > 0) {
        const double least = (s.log_min_p - 1) / scale;
        n = gather(r, n_vocab, static_cast<float>(static_cast<double>(max) + least));
        n = weigh(r, n, max, scale);
    } else {
        return false;
    }
    if (s.top_p < 1)
        n = apply_cut(r, n, cut_weight(r, n, static_cast<double>(s.top_p) * sum));
    if (s.min_p > 0)
        n = keep_min_p(r, n, s.log_min_p, scale);
    *kept = n;
    return true;
}

SIMT_DEVICE uint32_t draw_kept(const sample_row &r, uint32_t n, double u)
{
    SIMT_SHARED(float, chunk, [THREADS]);
    if (n == 0) /* penalties left nothing finite */
        return 0;
    const double target = u * serial_sum(r, n);
    double sum = 0;
    uint32_t at = n - 1;
    bool found = false;
    for (uint32_t i0 = 0; i0 < n; i0 += THREADS) {
        if (i0 + simt::thread_x() < n)
            chunk[simt::thread_x()] = r.weights[i0 + simt::thread_x()];
        simt::syncthreads();
        if (simt::thread_x() == 0)
            for (uint32_t i = 0; !found && i < simt::min(n - i0, static_cast<uint32_t>(THREADS)); i++) {
                sum += static_cast<double>(chunk[i]);
                if (sum > target) {
                    at = i0 + i;
                    found = true;
                }
            }
        if (simt::syncthreads_or(found))
            break;
    }
    return block_share(r.ids[at]);
}

/* Whole blocks by their running sums, then one after the other. */
SIMT_DEVICE uint32_t draw_all(
    const sample_row &r, uint32_t n, float max, double scale, double total, double u)
{
    SIMT_SHARED(float, weights, [BLOCK]);
    const uint32_t blocks = static_cast<uint32_t>(n_blocks(n)), t = simt::thread_x();
    const double target = u * total;
    uint32_t b = blocks - 1;
    for (uint32_t i = t; i + 1 < blocks && b == blocks - 1; i += THREADS)
        if (!(r.block_sum[i] <= target))
            b = i;
    b = block_min(b);
    if (t < BLOCK)
        weights[t] = weight_of(r.work[b * BLOCK + t], max, scale);
    simt::syncthreads();
    uint32_t last = 0;
    if (t == 0) {
        double sum = b ? r.block_sum[b - 1] : 0;
        for (uint32_t i = 0; i < BLOCK && b * BLOCK + i < n; i++) {
            if (weights[i] > 0)
                last = b * BLOCK + i;
            sum += static_cast<double>(weights[i]);
            if (sum > target)
                break;
        }
    }
    return block_share(last);
}

SIMT_DEVICE void write_top(
    const ck_sample_args &a, const sample_row &r, uint32_t row, float max, double total)
{
    const double log_sum = static_cast<double>(max) + ::log(total);
    const uint32_t n = keep_top_k(r, a.n_vocab, simt::min(a.n_top[row], CK_MAX_TOP)), t = simt::thread_x();
    int32_t *const ids = a.top_ids + static_cast<uint64_t>(row) * CK_MAX_TOP;
    float *const logprobs = a.top_logprobs + static_cast<uint64_t>(row) * CK_MAX_TOP;
    if (t >= n) {
        if (t < a.n_top[row] && t < CK_MAX_TOP) {
            ids[t] = -1;
            logprobs[t] = -simt::infinity();
        }
        return;
    }
    uint32_t rank = 0;
    for (uint32_t i = 0; i < n; i++)
        rank += r.keys[i] < r.keys[t] || (r.keys[i] == r.keys[t] && i < t);
    ids[rank] = static_cast<int32_t>(r.ids[t]);
    logprobs[rank] = static_cast<float>(static_cast<double>(r.work[r.ids[t]]) - log_sum);
}

SIMT_KERNEL2(THREADS, 1) void draw(ck_sample_args a)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const uint32_t row = simt::block_x();
    if (a.draw[row] == CK_DRAW_NONE)
        return;
    const sample_row r = row_of(a.scratch, row, a.n_vocab);
    const sample_state state = *r.state;
    if (state.todo == TODO_NOTHING)
        return;
    const uint32_t blocks = static_cast<uint32_t>(n_blocks(a.n_vocab));
    const double total = state.todo == TODO_SUM_AND_DRAW ? run_block_sums(r, blocks) : 0;
    if (a.draw[row] == CK_DRAW_TOP) {
        write_top(a, r, row, state.max, total);
        return;
    }
    const uint32_t seq = a.seq[row];
    const ck_sampler s = a.sampler[seq];
    const double u = uniform_at(s.seed, static_cast<uint64_t>(a.pos[row]) + 1);
    uint32_t kept = 0;
    const uint32_t id = narrow(r, s, a.n_vocab, state.max, state.scale, total, &kept)
                            ? draw_kept(r, kept, u)
                            : draw_all(r, a.n_vocab, state.max, state.scale, total, u);
    if (simt::thread_x() == 0) {
        a.token[row] = static_cast<int32_t>(id);
        a.chain[seq] = static_cast<int32_t>(id);
    }
}

} // namespace

uint64_t ck_sample_scratch(uint32_t rows, uint32_t n_vocab)
{
    return (rows < PORTION ? rows : PORTION) * row_bytes(n_vocab);
}

enum simt_status ck_sample(struct simt_stream *s, const struct ck_sample_args *a)
{
    enum simt_status st = SIMT_OK;
    for (uint32_t first = 0; first < a->rows && st == SIMT_OK; first += PORTION) {
        ck_sample_args p = *a;
        p.rows = a->rows - first < PORTION ? a->rows - first : PORTION;
        p.logits += static_cast<uint64_t>(first) * a->ld;
        p.draw += first;
        p.n_top += first;
        p.seq += first;
        p.pos += first;
        p.token += first;
        p.top_ids += static_cast<uint64_t>(first) * CK_MAX_TOP;
        p.top_logprobs += static_cast<uint64_t>(first) * CK_MAX_TOP;
        st = s_clean(s, p);
        if (st == SIMT_OK)
            st = s_settle(s, p);
        if (st == SIMT_OK)
            st = s_sums(s, p);
        if (st == SIMT_OK)
            st = simt::launch(sample_config(s, "sample_draw", {p.rows, 1, 1}, THREADS), draw, p);
    }
    return st;
}

enum simt_status ck_touch_sampling(void)
{
    enum simt_status st = s_touch_begin();
    if (st == SIMT_OK)
        st = s_touch_settle();
    return st != SIMT_OK ? st : simt::kernel_prepare(draw, THREADS, 0);
}
