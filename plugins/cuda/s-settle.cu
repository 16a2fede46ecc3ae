/* Penalties, the largest logit, and the draw where that is the answer. A block a row. */
#include "plugins/cuda/s-block.cuh"

namespace
{

constexpr uint32_t IN_WINDOW = 0x80000000u; /* of a token's count in the output */

/* The sequence's token at a position, or what is no token of the vocabulary. */
SIMT_DEVICE uint32_t token_at(const ck_sample_args &a, uint32_t seq, uint32_t pos)
{
    const uint64_t page = a.history.table[static_cast<uint64_t>(seq) * a.history.table_ld + pos / CK_PAGE];
    return static_cast<uint32_t>(a.history.token_at[page * CK_PAGE + pos % CK_PAGE]);
}

/* Counts the tokens, lets whoever first takes a count apply it, and brings the maxima of the
 * blocks in question up to date. */
SIMT_DEVICE void penalize(
    const ck_sample_args &a, const ck_sampler &s, const sample_row &r, uint32_t seq, uint32_t pos)
{
    const uint32_t all = pos + 1;
    uint32_t window = s.repetition_penalty == 1 ? 0 : simt::min(s.repeat_last_n, MAX_WINDOW);
    window = simt::min(window, all);
    const bool counts = s.frequency_penalty != 0 || s.presence_penalty != 0;
    const uint32_t window_from = all - window, output_from = counts ? simt::min(s.n_prompt, all) : all;
    const uint32_t from = simt::min(window_from, output_from) + simt::thread_x();
    for (uint32_t p = from; p < all; p += THREADS) {
        const uint32_t id = token_at(a, seq, p);
        if (id >= a.n_vocab)
            continue;
        if (p >= output_from)
            simt::atomic_add(&r.ids[id], 1u);
        if (p >= window_from)
            simt::atomic_or(&r.ids[id], IN_WINDOW);
    }
    simt::syncthreads();
    for (uint32_t p = from; p < all; p += THREADS) {
        const uint32_t id = token_at(a, seq, p);
        const uint32_t count = id < a.n_vocab ? simt::atomic_exch(&r.ids[id], 0u) : 0;
        if (!count)
            continue;
        float l = r.work[id];
        if (count & IN_WINDOW)
            l = l <= 0 ? l * s.repetition_penalty : l / s.repetition_penalty;
        if (count & ~IN_WINDOW)
            l -= static_cast<float>(count & ~IN_WINDOW) * s.frequency_penalty + s.presence_penalty;
        r.work[id] = cleaned(l);
    }
    simt::syncthreads();
    uint32_t *const touched = reinterpret_cast<uint32_t *>(r.weights);
    for (uint32_t p = from; p < all; p += THREADS) {
        const uint32_t id = token_at(a, seq, p), b = id / BLOCK;
        if (id >= a.n_vocab || simt::atomic_exch(&touched[b], 1u))
            continue;
        float max = -simt::infinity();
        for (uint32_t i = 0; i < BLOCK; i++)
            max = simt::fmax(max, r.work[b * BLOCK + i]);
        r.block_max[b] = max;
    }
    simt::syncthreads();
}

/* The lowest id among the largest. */
SIMT_DEVICE uint32_t argmax(const sample_row &r, uint32_t blocks, float max)
{
    uint32_t b = 0xFFFFFFFFu;
    for (uint32_t i = simt::thread_x(); i < blocks && b == 0xFFFFFFFFu; i += THREADS)
        if (r.block_max[i] >= max)
            b = i;
    b = block_min(b);
    const uint32_t i = b * BLOCK + simt::thread_x();
    return block_min(simt::thread_x() < BLOCK && r.work[i] >= max ? i : 0xFFFFFFFFu);
}

SIMT_KERNEL(THREADS) void settle(ck_sample_args a)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const uint32_t row = simt::block_x(), draw = a.draw[row], seq = a.seq[row];
    const uint32_t blocks = static_cast<uint32_t>(n_blocks(a.n_vocab));
    const bool writes = simt::thread_x() == 0;
    if (draw == CK_DRAW_NONE) {
        if (writes)
            a.token[row] = -1;
        return;
    }
    const sample_row r = row_of(a.scratch, row, a.n_vocab);
    float max = largest(r, blocks);
    if (max == -simt::infinity()) {
        if (writes) {
            r.state->todo = TODO_NOTHING;
            a.token[row] = -2;
            a.chain[seq] = -2;
        }
        return;
    }
    if (draw == CK_DRAW_TOP) {
        if (writes) {
            a.token[row] = -1;
            r.state->max = max;
            r.state->scale = 1;
            r.state->todo = a.n_top[row] ? TODO_SUM_AND_DRAW : TODO_NOTHING;
        }
        return;
    }
    const ck_sampler &s = a.sampler[seq];
    if (has_penalties(s)) {
        penalize(a, s, r, seq, a.pos[row]);
        max = largest(r, blocks);
    }
    if (is_greedy(s)) {
        const int32_t id = static_cast<int32_t>(argmax(r, blocks, max));
        if (writes) {
            r.state->todo = TODO_NOTHING;
            a.token[row] = id;
            a.chain[seq] = id;
        }
        return;
    }
    if (writes) {
        const bool top_k = s.top_k && s.top_k < a.n_vocab, all = s.top_p < 1 || !(s.min_p > 0);
        r.state->max = max;
        r.state->scale = 1 / static_cast<double>(s.temperature);
        r.state->todo = !top_k && all ? TODO_SUM_AND_DRAW : TODO_DRAW;
    }
}

} // namespace

enum simt_status s_settle(struct simt_stream *s, const ck_sample_args &a)
{
    return simt::launch(sample_config(s, "sample_settle", {a.rows, 1, 1}, THREADS), settle, a);
}

enum simt_status s_touch_settle()
{
    return simt::kernel_prepare(settle, THREADS, 0);
}
