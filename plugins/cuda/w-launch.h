/* What the files of the weights' family share on the host side. */
#ifndef ORCD_CUDA_W_LAUNCH_H
#define ORCD_CUDA_W_LAUNCH_H

#include "plugins/cuda/kernels.h"
#include "plugins/cuda/simt/rt.h"

namespace w
{

/* Kernels of this family wait for their predecessor themselves (simt::pdl_wait), so that their
 * start, and the first weights on their way, overlap its end. */
constexpr int pdl = 1;

inline simt_launch_config config(simt_stream *s, const char *name, unsigned grid, unsigned block)
{
    simt_launch_config c = {};
    c.grid = {grid, 1, 1};
    c.block = {block, 1, 1};
    c.stream = s;
    c.pdl = pdl;
    c.name = name;
    return c;
}

/* Runs the calls in order until one fails. */
inline enum simt_status first_failure()
{
    return SIMT_OK;
}

template <class F, class... R> enum simt_status first_failure(F call, R... rest)
{
    const enum simt_status status = call();
    return status ? status : first_failure(rest...);
}

struct product_work; /* w-work.cuh */
/* One of them has the type. slots: inputs of a pass, 1 .. 8. */
enum simt_status launch_float(
    simt_stream *s, unsigned type, unsigned slots, unsigned grid, const product_work &k);
enum simt_status launch_32(
    simt_stream *s, unsigned type, unsigned slots, unsigned grid, const product_work &k);
enum simt_status launch_256(
    simt_stream *s, unsigned type, unsigned slots, unsigned grid, const product_work &k);

/* Passes of up to mma_inputs inputs of a quantized type; a block of the launch makes mma_rows rows. */
constexpr unsigned mma_inputs = 32, mma_rows = 16;
enum simt_status launch_mma(simt_stream *s, unsigned type, unsigned grid, const product_work &k);

/* Whether matrices of the two types can go together, and the launch for it. */
bool go_together(unsigned type, unsigned other);
enum simt_status launch_two(
    simt_stream *s, unsigned type, unsigned other, unsigned slots, unsigned grid, const product_work &k);

enum simt_status prepare_repack();
enum simt_status prepare_expand();
enum simt_status prepare_norm();
enum simt_status prepare_rows();
enum simt_status prepare_float();
enum simt_status prepare_32();
enum simt_status prepare_256();
enum simt_status prepare_two();
enum simt_status prepare_mma();

} // namespace w
#endif
