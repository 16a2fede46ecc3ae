/* Products of the types with files' blocks of 256. */
#include "plugins/cuda/w-products.cuh"

enum simt_status w::launch_256(
    simt_stream *s, unsigned type, unsigned slots, unsigned grid, const product_work &k)
{
    switch (type) {
        W_CASES_256(launch_product<T>(s, slots, grid, k))
    default:
        return SIMT_INVALID;
    }
}

enum simt_status w::prepare_256()
{
    return first_failure(prepare_product<ORCD_TYPE_Q2_K>, prepare_product<ORCD_TYPE_Q3_K>,
        prepare_product<ORCD_TYPE_Q4_K>, prepare_product<ORCD_TYPE_Q5_K>, prepare_product<ORCD_TYPE_Q6_K>,
        prepare_product<ORCD_TYPE_IQ4_XS>);
}
