/* The start of a step: what the cells' tokens are, noted in the sequences' histories. */
#include "plugins/cuda/kernels.h"
#include "plugins/cuda/simt/simt.h"

namespace
{

constexpr unsigned threads = 128;

SIMT_KERNEL(threads)
void begin(ck_cells c, const int32_t *chain, ck_history h, uint32_t n_vocab, uint32_t rows)
{
    const uint32_t r = simt::block_x() * threads + simt::thread_x();
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

} // namespace

enum simt_status ck_begin(struct simt_stream *s, const struct ck_cells *c, const int32_t *chain,
    const struct ck_history *h, uint32_t n_vocab, uint32_t rows)
{
    if (rows == 0)
        return SIMT_OK;
    const simt_launch_config config = {
        {(rows + threads - 1) / threads, 1, 1}, {threads, 1, 1}, 0, s, 0, "begin"};
    return simt::launch(config, begin, *c, chain, *h, n_vocab, rows);
}

enum simt_status ck_touch_sampling(void)
{
    const enum simt_status status = simt::kernel_prepare(begin, threads, 0);
    return status == SIMT_OK ? ck_touch_draws() : status;
}
