/*
 * Sampling, a block a row. The rules and their order are those of docs/sampling.md, the arithmetic that
 * of core/sample. Rows go in portions, so that the scratch of a few serves any number.
 */
#include "plugins/cuda/s-kept.cuh"

namespace
{

constexpr uint32_t portion = 16; /* rows of a launch */

/* Scratch of a row: arrays of n_vocab entries of 4 bytes, then the sums of blocks. */
struct room {
    float *work;
    unsigned *window, *output; /* counts by token */
    kept k;
    double *sums;
};
constexpr uint64_t arrays = 6;

SIMT_BOTH uint64_t room_bytes(uint32_t n_vocab)
{
    const uint64_t n = (static_cast<uint64_t>(n_vocab) + 63) / 64 * 64;
    return arrays * n * sizeof(float) + n / 64 * sizeof(double) + 256;
}

SIMT_DEVICE room room_of(void *scratch, uint32_t row, uint32_t n_vocab)
{
    const uint64_t n = (static_cast<uint64_t>(n_vocab) + 63) / 64 * 64;
    uint64_t bytes = (room_bytes(n_vocab) + 255) / 256 * 256;
    uint8_t *at = static_cast<uint8_t *>(scratch) + row * bytes;
    room r;
    r.sums = reinterpret_cast<double *>(at);
    at += n / 64 * sizeof(double);
    bytes = n * sizeof(float);
    r.work = reinterpret_cast<float *>(at);
    r.window = reinterpret_cast<unsigned *>(at + bytes);
    r.output = reinterpret_cast<unsigned *>(at + 2 * bytes);
    r.k.ids = reinterpret_cast<int32_t *>(at + 3 * bytes);
    r.k.x = reinterpret_cast<float *>(at + 4 * bytes);
    r.k.w = reinterpret_cast<float *>(at + 5 * bytes);
    r.k.n = 0;
    return r;
}

/* ----------------------------------------------------------------- penalties */

SIMT_DEVICE float penalized(float l, unsigned in_window, unsigned in_output, const ck_sampler &p)
{
    if (in_window)
        l = l <= 0 ? l * p.repetition_penalty : l / p.repetition_penalty;
    if (in_output)
        l -= static_cast<float>(in_output) * p.frequency_penalty + p.presence_penalty;
    return cleaned(l);
}

/* Logits with the penalties of the tokens said so far, into r.work. */
SIMT_DEVICE void penalize(
    const ck_sample_args &a, uint32_t row, const ck_sampler &p, const float *x, const room &r)
{
    for (uint32_t i = simt::thread_x(); i < a.n_vocab; i += threads)
        r.window[i] = r.output[i] = 0;
    simt::syncthreads();
    const uint32_t said = a.pos[row] + 1, seq = a.seq[row];
    const uint32_t most = p.repetition_penalty == 1 ? 0 : p.repeat_last_n;
    const uint32_t size = most < 1u << 20 ? most : 1u << 20;
    const uint32_t first = said > size ? said - size : 0;
    const bool counts = p.frequency_penalty != 0 || p.presence_penalty != 0;
    const uint32_t from = counts && p.n_prompt < first ? p.n_prompt : first;
    for (uint32_t t = from + simt::thread_x(); t < said; t += threads) {
        const uint64_t page = a.history.table[static_cast<uint64_t>(seq) * a.history.table_ld + t / CK_PAGE];
        const int32_t token = a.history.token_at[page * CK_PAGE + t % CK_PAGE];
        if (token < 0 || static_cast<uint32_t>(token) >= a.n_vocab)
            continue;
        if (t >= first)
            simt::atomic_add(&r.window[token], 1u);
        if (counts && t >= p.n_prompt)
            simt::atomic_add(&r.output[token], 1u);
    }
    simt::syncthreads();
    for (uint32_t i = simt::thread_x(); i < a.n_vocab; i += threads)
        r.work[i] = penalized(cleaned(x[i]), r.window[i], r.output[i], p);
    simt::syncthreads();
}

/* ------------------------------------------------------------------- random */

/* Philox4x32-10 with key = seed and counter = position: uniform in [0, 1), 24 bits. */
SIMT_DEVICE float uniform(uint64_t seed, uint64_t position)
{
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    uint32_t c0 = static_cast<uint32_t>(position), c1 = static_cast<uint32_t>(position >> 32), c2 = 0, c3 = 0;
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = static_cast<uint64_t>(0xD2511F53u) * c0;
        const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57u) * c2;
        c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
        c1 = static_cast<uint32_t>(p1);
        c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
        c3 = static_cast<uint32_t>(p0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return static_cast<float>(c0 >> 8) * 5.9604644775390625e-8f;
}

/* ---------------------------------------------------------------- truncation */

/* Weights of the kept set; what has none cannot be drawn and goes. The sum of them all. */
SIMT_DEVICE double weigh(kept &k, float max, double scale)
{
    for (uint32_t i = simt::thread_x(); i < k.n; i += threads)
        k.w[i] = weight_of(k.x[i], max, scale);
    simt::syncthreads();
    const double sum = kept_sum(k);
    k.n = keep(k, k.n, no_cut(), k, [](float, float w) { return w > 0; });
    return sum;
}

/* Ids whose logit is at least `least`. */
SIMT_DEVICE void gather(const float *x, uint32_t n, float least, kept &k)
{
    const kept from = {nullptr, const_cast<float *>(x), nullptr, n};
    const kept to = {k.ids, k.x, nullptr, 0};
    k.n = keep(from, n, no_cut(), to, [least](float v, float) { return v >= least; });
}

SIMT_DEVICE void keep_top_k(const float *x, uint32_t n, uint32_t top_k, kept &k)
{
    const kept from = {nullptr, const_cast<float *>(x), nullptr, n};
    const kept to = {k.ids, k.x, nullptr, 0};
    const cut c = top_k < n ? select_prefix(x, nullptr, n, top_k) : no_cut();
    k.n = keep(from, n, c, to, in_all);
}

SIMT_DEVICE void keep_min_p(kept &k, double log_min_p, double scale)
{
    float best = lowest();
    for (uint32_t i = simt::thread_x(); i < k.n; i += threads)
        best = simt::fmax(best, k.x[i]);
    best = block_max(best);
    k.n = keep(k, k.n, no_cut(), k, [best, log_min_p, scale](float x, float) {
        return (static_cast<double>(x) - static_cast<double>(best)) * scale >= log_min_p;
    });
}

/* Narrows the vocabulary to the kept set; false: nothing narrows it. */
SIMT_DEVICE bool narrow(const ck_sampler &p, const float *x, uint32_t n, float max, double scale, room &r)
{
    double sum;
    if (p.top_k && p.top_k < n) {
        keep_top_k(x, n, p.top_k, r.k);
        sum = weigh(r.k, max, scale);
    } else if (p.top_p < 1) {
        /* All tokens whose weight is below this hold less than 1 - top_p together. */
        sum = vocab_weights(x, n, max, scale, r.sums);
        const double least = 0.5 * (1 - static_cast<double>(p.top_p)) * sum / n;
        gather(x, n, static_cast<float>(static_cast<double>(max) + log(least) / scale), r.k);
        weigh(r.k, max, scale);
    } else if (p.min_p > 0) {
        gather(x, n, static_cast<float>(static_cast<double>(max) + (p.log_min_p - 1) / scale), r.k);
        sum = weigh(r.k, max, scale);
    } else {
        return false;
    }
    if (p.top_p < 1) {
        const cut c = select_prefix(r.k.x, r.k.w, r.k.n, static_cast<double>(p.top_p) * sum);
        r.k.n = keep(r.k, r.k.n, c, r.k, in_all);
    }
    if (p.min_p > 0)
        keep_min_p(r.k, p.log_min_p, scale);
    return true;
}

/* ---------------------------------------------------------------------- draw */

/* By thread 0. */
SIMT_DEVICE int32_t draw_kept(const kept &k, double target)
{
    double sum = 0;
    for (uint32_t i = 0; i < k.n; i++) {
        sum += static_cast<double>(k.w[i]);
        if (sum > target)
            return k.ids[i];
    }
    return k.ids[k.n - 1];
}

/* By thread 0: the block in which the target lies, then its items. */
SIMT_DEVICE int32_t draw_all(
    const float *x, uint32_t n, float max, double scale, const double *sums, double target)
{
    const uint32_t blocks = (n + block_items - 1) / block_items;
    uint32_t b = 0, last = 0;
    double sum = 0;
    while (b + 1 < blocks && sum + sums[b] <= target)
        sum += sums[b++];
    const uint32_t end = n - b * block_items < block_items ? n : (b + 1) * block_items;
    for (uint32_t i = b * block_items; i < end; i++) {
        const float w = weight_of(cleaned(x[i]), max, scale);
        if (w > 0)
            last = i;
        sum += static_cast<double>(w);
        if (sum > target)
            break;
    }
    return static_cast<int32_t>(last);
}

SIMT_DEVICE int32_t draw(const ck_sample_args &a, uint32_t row, const ck_sampler &p, room &r)
{
    const uint32_t n = a.n_vocab;
    const float *x = a.logits + static_cast<uint64_t>(row) * a.ld;
    float max = vocab_max(x, n);
    if (!(max > lowest()))
        return -2;
    if (p.features & (ORCD_S_REPETITION | ORCD_S_COUNTS)) {
        penalize(a, row, p, x, r);
        x = r.work;
        max = vocab_max(x, n);
    }
    if (p.temperature == 0 || p.top_k == 1)
        return static_cast<int32_t>(vocab_argmax(x, n, max));
    const double scale = 1 / static_cast<double>(p.temperature);
    const double u = static_cast<double>(uniform(p.seed, static_cast<uint64_t>(a.pos[row]) + 1));
    if (narrow(p, x, n, max, scale, r)) {
        const double target = u * kept_sum(r.k);
        return simt::thread_x() == 0 ? draw_kept(r.k, target) : 0;
    }
    const double target = u * vocab_weights(x, n, max, scale, r.sums);
    return simt::thread_x() == 0 ? draw_all(x, n, max, scale, r.sums, target) : 0;
}

/* The best n of the raw logits, best first, by thread 0; the rest is filled up. */
SIMT_DEVICE void top(const ck_sample_args &a, uint32_t row, room &r)
{
    const uint32_t n = a.n_vocab, n_top = a.n_top[row];
    const float *x = a.logits + static_cast<uint64_t>(row) * a.ld;
    const float max = vocab_max(x, n);
    const double sum = max > lowest() ? vocab_weights(x, n, max, 1, r.sums) : 1;
    keep_top_k(x, n, n_top, r.k);
    if (simt::thread_x() != 0)
        return;
    const double log_sum = static_cast<double>(max) + log(sum);
    int32_t *ids = a.top_ids + static_cast<uint64_t>(row) * CK_MAX_TOP;
    float *logprobs = a.top_logprobs + static_cast<uint64_t>(row) * CK_MAX_TOP;
    uint32_t used = 0;
    for (; used < r.k.n && used < n_top; used++) {
        /* Ids ascend: a later one of equals stays behind. */
        uint32_t at = used;
        for (; at > 0 && r.k.x[used] > logprobs[at - 1]; at--) {
            ids[at] = ids[at - 1];
            logprobs[at] = logprobs[at - 1];
        }
        ids[at] = r.k.ids[used];
        logprobs[at] = r.k.x[used];
    }
    for (uint32_t i = 0; i < n_top; i++) {
        ids[i] = i < used ? ids[i] : 0;
        logprobs[i] = i < used ? static_cast<float>(static_cast<double>(logprobs[i]) - log_sum) : lowest();
    }
}

SIMT_KERNEL(threads) void sample(ck_sample_args a, uint32_t first)
{
    const uint32_t row = first + simt::block_x(), how = a.draw[row];
    room r = room_of(a.scratch, simt::block_x(), a.n_vocab);
    int32_t token = -1;
    if (how == CK_DRAW_TOKEN)
        token = draw(a, row, a.sampler[a.seq[row]], r);
    else if (how == CK_DRAW_TOP)
        top(a, row, r);
    if (simt::thread_x() != 0)
        return;
    a.token[row] = token;
    if (how == CK_DRAW_TOKEN)
        a.chain[a.seq[row]] = token;
}

} // namespace

uint64_t ck_sample_scratch(uint32_t rows, uint32_t n_vocab)
{
    const uint64_t each = (room_bytes(n_vocab) + 255) / 256 * 256;
    return (rows < portion ? rows : portion) * each;
}

enum simt_status ck_sample(struct simt_stream *s, const struct ck_sample_args *a)
{
    enum simt_status status = SIMT_OK;
    for (uint32_t first = 0; first < a->rows && status == SIMT_OK; first += portion) {
        const uint32_t left = a->rows - first;
        const simt_launch_config config = {
            {left < portion ? left : portion, 1, 1}, {threads, 1, 1}, 0, s, 0, "sample"};
        status = simt::launch(config, sample, *a, first);
    }
    return status;
}

enum simt_status ck_touch_draws(void)
{
    return simt::kernel_prepare(sample, threads, 0);
}
