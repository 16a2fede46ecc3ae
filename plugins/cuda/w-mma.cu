/* Products of more inputs than go through w-products.cuh at once, of the quantized types. */
#include "plugins/cuda/w-mma.cuh"

namespace
{

using namespace w;

template <unsigned T> enum simt_status launch(simt_stream *s, unsigned grid, const product_work &k)
{
    return simt::launch(config(s, "product_mma", grid, mma_threads), product_mma<T>, k);
}

template <unsigned T> enum simt_status prepare()
{
    return simt::kernel_prepare(product_mma<T>, mma_threads, 0);
}

} // namespace

enum simt_status w::launch_mma(simt_stream *s, unsigned type, unsigned grid, const product_work &k)
{
    switch (type) {
        W_CASES_32(launch<T>(s, grid, k))
        W_CASES_256(launch<T>(s, grid, k))
    default:
        return SIMT_INVALID;
    }
}

enum simt_status w::prepare_mma()
{
    return first_failure(prepare<ORCD_TYPE_Q4_0>, prepare<ORCD_TYPE_Q4_1>, prepare<ORCD_TYPE_Q5_0>,
        prepare<ORCD_TYPE_Q5_1>, prepare<ORCD_TYPE_Q8_0>, prepare<ORCD_TYPE_IQ4_NL>, prepare<ORCD_TYPE_MXFP4>,
        prepare<ORCD_TYPE_Q2_K>, prepare<ORCD_TYPE_Q3_K>, prepare<ORCD_TYPE_Q4_K>, prepare<ORCD_TYPE_Q5_K>,
        prepare<ORCD_TYPE_Q6_K>, prepare<ORCD_TYPE_IQ4_XS>);
}
