/* The start of a step, and the passes of sampling that go over all logits of a row. */
#include "plugins/cuda/s-sample.cuh"

using simt::float2;

namespace
{

constexpr unsigned BEGIN_THREADS = 64, CLEAN_THREADS = 256, SUM_THREADS = 128;

SIMT_KERNEL(BEGIN_THREADS)
void begin(ck_cells c, const int32_t *chain, ck_history h, uint32_t n_vocab, uint32_t rows)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const uint32_t r = simt::block_x() * BEGIN_THREADS + simt::thread_x();
    if (r >= rows)
        return;
    const uint32_t seq = c.seq[r], pos = c.pos[r];
    int32_t token = c.token[r];
    if (token == ORCD_TOKEN_CHAINED) {
        token = chain[seq];
        if (token < 0 || static_cast<uint32_t>(token) >= n_vocab)
            token = 0;
        c.token[r] = token;
    }
    const uint64_t page = h.table[static_cast<uint64_t>(seq) * h.table_ld + pos / CK_PAGE];
    h.token_at[page * CK_PAGE + pos % CK_PAGE] = token;
}

/* A warp 64 logits. */
SIMT_KERNEL(CLEAN_THREADS) void clean(ck_sample_args a)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const uint32_t row = simt::block_y(), b = simt::block_x() * (CLEAN_THREADS / 32) + simt::warp();
    const uint32_t draw = a.draw[row], i = b * BLOCK + 2 * simt::lane();
    if (draw == CK_DRAW_NONE || b >= n_blocks(a.n_vocab))
        return;
    const sample_row to = row_of(a.scratch, row, a.n_vocab);
    const float *const x = a.logits + static_cast<uint64_t>(row) * a.ld;
    float2 v = {-simt::infinity(), -simt::infinity()};
    if (i + 1 < a.n_vocab)
        v = *reinterpret_cast<const float2 *>(x + i);
    else if (i < a.n_vocab)
        v.x = x[i];
    v = float2{cleaned(v.x), cleaned(v.y)};
    *reinterpret_cast<float2 *>(to.work + i) = v;
    if (draw == CK_DRAW_TOKEN && has_penalties(a.sampler[a.seq[row]])) {
        *reinterpret_cast<simt::uint2 *>(to.ids + i) = simt::uint2{0, 0};
        if (simt::lane() == 0)
            to.weights[b] = 0;
    }
    const float max = simt::warp_max(simt::fmax(v.x, v.y));
    if (simt::lane() == 0)
        to.block_max[b] = max;
}

/* Four threads a block of 64: every fourth weight each, as the four lanes of core/sample. */
SIMT_KERNEL(SUM_THREADS) void sums(ck_sample_args a)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const uint32_t row = simt::block_y(), part = simt::thread_x() % 4;
    const sample_row r = row_of(a.scratch, row, a.n_vocab);
    if (a.draw[row] == CK_DRAW_NONE || r.state->todo != TODO_SUM_AND_DRAW)
        return;
    const uint32_t b = simt::block_x() * (SUM_THREADS / 4) + simt::thread_x() / 4;
    const float max = r.state->max;
    const double scale = r.state->scale;
    double sum = 0;
    for (uint32_t i = part; i < BLOCK && b < n_blocks(a.n_vocab); i += 4)
        sum += static_cast<double>(weight_of(r.work[b * BLOCK + i], max, scale));
    sum += simt::shfl_xor(sum, 2);
    sum += simt::shfl_xor(sum, 1);
    if (part == 0 && b < n_blocks(a.n_vocab))
        r.block_sum[b] = sum;
}

} // namespace

enum simt_status ck_begin(struct simt_stream *s, const struct ck_cells *c, const int32_t *chain,
    const struct ck_history *h, uint32_t n_vocab, uint32_t rows)
{
    if (rows == 0)
        return SIMT_OK;
    const unsigned blocks = (rows + BEGIN_THREADS - 1) / BEGIN_THREADS;
    return simt::launch(
        sample_config(s, "begin", {blocks, 1, 1}, BEGIN_THREADS), begin, *c, chain, *h, n_vocab, rows);
}

static simt_dim over(const ck_sample_args &a, uint32_t each)
{
    return {static_cast<unsigned>((n_blocks(a.n_vocab) + each - 1) / each), a.rows, 1};
}

enum simt_status s_sums(struct simt_stream *s, const ck_sample_args &a)
{
    return simt::launch(sample_config(s, "sample_sums", over(a, SUM_THREADS / 4), SUM_THREADS), sums, a);
}

enum simt_status s_clean(struct simt_stream *s, const ck_sample_args &a)
{
    return simt::launch(
        sample_config(s, "sample_clean", over(a, CLEAN_THREADS / 32), CLEAN_THREADS), clean, a);
}

enum simt_status s_touch_begin()
{
    enum simt_status st = simt::kernel_prepare(begin, BEGIN_THREADS, 0);
    if (st == SIMT_OK)
        st = simt::kernel_prepare(clean, CLEAN_THREADS, 0);
    return st != SIMT_OK ? st : simt::kernel_prepare(sums, SUM_THREADS, 0);
}
