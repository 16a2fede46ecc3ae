/* Products of the types with elements of 2 and 4 bytes. */
#include "plugins/cuda/w-products.cuh"

enum simt_status w::launch_float(
    simt_stream *s, unsigned type, unsigned slots, unsigned grid, const product_work &k)
{
    switch (type) {
        W_CASES_FLOAT(launch_product<T>(s, slots, grid, k))
    default:
        return SIMT_INVALID;
    }
}

enum simt_status w::prepare_float()
{
    return first_failure(
        prepare_product<ORCD_TYPE_F32>, prepare_product<ORCD_TYPE_F16>, prepare_product<ORCD_TYPE_BF16>);
}
