/* Values of weights: whole matrices into FP16 scratch for the tensor cores, single rows into
 * FP32 for the embedding. A thread makes 8 neighbouring elements, so that a warp writes
 * 512 (1024) neighbouring bytes whatever the type. */
#include "plugins/cuda/w-launch.h"
#include "plugins/cuda/w-types.cuh"

namespace
{

using namespace w;

constexpr unsigned most_threads = 256;

/* Blocks of a row, and their threads: groups of 8 elements of which a row has `groups`. */
struct split {
    unsigned blocks, threads;
};

split split_row(unsigned groups)
{
    const unsigned threads = groups >= most_threads ? most_threads : (groups + 31) / 32 * 32;
    return split{(groups + threads - 1) / threads, threads};
}

template <unsigned T> SIMT_DEVICE size_t row_units(const ck_matrix &w)
{
    return (is_float(T) ? w.ld : w.n_cols) / unit_elements(T);
}

/* Beyond FP16's range: the largest. NaN stays. */
SIMT_DEVICE unsigned half_bits_of(float v)
{
    if (simt::fabs(v) > 65504.0f)
        v = v > 0 ? 65504.0f : -65504.0f;
    return simt::half_bits(simt::to_half(v));
}

template <unsigned T>
SIMT_KERNEL(most_threads)
void expand(const ck_matrix w, ck_half *out, unsigned ld, unsigned blocks)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const unsigned row = simt::block_x() / blocks;
    const unsigned g = simt::block_x() % blocks * simt::threads_x() + simt::thread_x();
    if (g >= ld / 8)
        return;
    float v[8];
    if (8 * g < w.n_cols) {
        values<T>(from_unit<T>(planes_of(w), row * row_units<T>(w)), g, v);
    } else {
        SIMT_UNROLL
        for (unsigned i = 0; i < 8; i++)
            v[i] = 0.0f;
    }
    unsigned packed[4];
    SIMT_UNROLL
    for (unsigned i = 0; i < 4; i++)
        packed[i] = half_bits_of(v[2 * i]) | half_bits_of(v[2 * i + 1]) << 16;
    *reinterpret_cast<simt::uint4 *>(out + static_cast<size_t>(row) * ld + 8 * g) =
        simt::uint4{packed[0], packed[1], packed[2], packed[3]};
}

/* add: to what x has, of row index[r] of w. */
template <unsigned T, bool Add>
SIMT_KERNEL(most_threads)
void take_rows(const ck_matrix w, const uint32_t *index, float *x, unsigned ld, unsigned blocks)
{
    simt::pdl_wait();
    simt::pdl_trigger();
    const unsigned r = simt::block_x() / blocks;
    const unsigned g = simt::block_x() % blocks * simt::threads_x() + simt::thread_x();
    if (8 * g >= w.n_cols)
        return;
    float v[8];
    values<T>(from_unit<T>(planes_of(w), index[r] * row_units<T>(w)), g, v);
    float *to = x + static_cast<size_t>(r) * ld + 8 * g;
    SIMT_UNROLL
    for (unsigned i = 0; i < 8; i++)
        if (8 * g + i < w.n_cols)
            to[i] = Add ? to[i] + v[i] : v[i];
}

template <unsigned T>
enum simt_status run_expand(simt_stream *s, const ck_matrix &w, ck_half *out, uint32_t ld)
{
    const split p = split_row(ld / 8);
    return simt::launch(config(s, "expand", w.n_rows * p.blocks, p.threads), expand<T>, w, out, ld, p.blocks);
}

template <unsigned T>
enum simt_status run_rows(
    simt_stream *s, const ck_matrix &w, const uint32_t *index, bool add, float *x, uint32_t ld, uint32_t rows)
{
    const split p = split_row((w.n_cols + 7) / 8);
    const simt_launch_config c = config(s, "embed", rows * p.blocks, p.threads);
    return add ? simt::launch(c, take_rows<T, true>, w, index, x, ld, p.blocks)
               : simt::launch(c, take_rows<T, false>, w, index, x, ld, p.blocks);
}

enum simt_status rows_of(
    simt_stream *s, const ck_matrix &w, const uint32_t *index, bool add, float *x, uint32_t ld, uint32_t rows)
{
    switch (w.type) {
        W_CASES_FLOAT(run_rows<T>(s, w, index, add, x, ld, rows))
        W_CASES_32(run_rows<T>(s, w, index, add, x, ld, rows))
        W_CASES_256(run_rows<T>(s, w, index, add, x, ld, rows))
    default:
        return SIMT_INVALID;
    }
}

template <unsigned T> enum simt_status prepare_type()
{
    return first_failure([] { return simt::kernel_prepare(expand<T>, most_threads, 0); },
        [] { return simt::kernel_prepare(take_rows<T, false>, most_threads, 0); },
        [] { return simt::kernel_prepare(take_rows<T, true>, most_threads, 0); });
}

} // namespace

extern "C" enum simt_status ck_expand(simt_stream *s, const ck_matrix *w, ck_half *out, uint32_t ld)
{
    switch (w->type) {
        W_CASES_FLOAT(run_expand<T>(s, *w, out, ld))
        W_CASES_32(run_expand<T>(s, *w, out, ld))
        W_CASES_256(run_expand<T>(s, *w, out, ld))
    default:
        return SIMT_INVALID;
    }
}

extern "C" enum simt_status ck_embed(simt_stream *s, const ck_matrix *embd, const ck_matrix *position,
    const ck_cells *c, float *x, uint32_t ld_x, uint32_t rows)
{
    if (rows == 0)
        return SIMT_OK;
    /* tokens are not negative by now */
    const enum simt_status status =
        rows_of(s, *embd, reinterpret_cast<const uint32_t *>(c->token), false, x, ld_x, rows);
    if (status || !position)
        return status;
    return rows_of(s, *position, c->pos, true, x, ld_x, rows);
}

enum simt_status w::prepare_expand()
{
#define PREPARE(type) prepare_type<ORCD_TYPE_##type>
    return first_failure(PREPARE(F32), PREPARE(F16), PREPARE(BF16), PREPARE(Q4_0), PREPARE(Q4_1),
        PREPARE(Q5_0), PREPARE(Q5_1), PREPARE(Q8_0), PREPARE(IQ4_NL), PREPARE(MXFP4), PREPARE(Q2_K),
        PREPARE(Q3_K), PREPARE(Q4_K), PREPARE(Q5_K), PREPARE(Q6_K), PREPARE(IQ4_XS));
#undef PREPARE
}
