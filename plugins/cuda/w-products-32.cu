/* Products of the types with files' blocks of 32. */
#include "plugins/cuda/w-products.cuh"

enum simt_status w::launch_32(
    simt_stream *s, unsigned type, unsigned slots, unsigned grid, const product_work &k)
{
    switch (type) {
        W_CASES_32(launch_product<T>(s, slots, grid, k))
    default:
        return SIMT_INVALID;
    }
}

enum simt_status w::prepare_32()
{
    return first_failure(prepare_product<ORCD_TYPE_Q4_0>, prepare_product<ORCD_TYPE_Q4_1>,
        prepare_product<ORCD_TYPE_Q5_0>, prepare_product<ORCD_TYPE_Q5_1>, prepare_product<ORCD_TYPE_Q8_0>,
        prepare_product<ORCD_TYPE_IQ4_NL>, prepare_product<ORCD_TYPE_MXFP4>);
}
