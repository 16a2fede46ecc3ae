/* Products of one input with matrices of two types in one launch: the pairs that the usual mixes
 * have in Q, K and V. Others take a launch a type. */
#include "plugins/cuda/w-products.cuh"

namespace
{

using namespace w;

template <unsigned T, unsigned U>
enum simt_status launch(simt_stream *s, unsigned slots, unsigned grid, const product_work &k)
{
    const simt_launch_config c = config(s, "product_two", grid, product_threads);
    switch (slots) {
    case 1:
        return simt::launch(c, product_two<T, U, 1>, k);
    case 2:
        return simt::launch(c, product_two<T, U, 2>, k);
    case 4:
        return simt::launch(c, product_two<T, U, 4>, k);
    default:
        return simt::launch(c, product_two<T, U, 8>, k);
    }
}

template <unsigned T, unsigned U> enum simt_status prepare()
{
    return first_failure([] { return simt::kernel_prepare(product_two<T, U, 1>, product_threads, 0); },
        [] { return simt::kernel_prepare(product_two<T, U, 2>, product_threads, 0); },
        [] { return simt::kernel_prepare(product_two<T, U, 4>, product_threads, 0); },
        [] { return simt::kernel_prepare(product_two<T, U, 8>, product_threads, 0); });
}

} // namespace

bool w::go_together(unsigned type, unsigned other)
{
    const unsigned low = type < other ? type : other, high = type < other ? other : type;
    return (high == ORCD_TYPE_Q6_K && (low == ORCD_TYPE_Q4_K || low == ORCD_TYPE_Q5_K)) ||
           (high == ORCD_TYPE_Q8_0 && low == ORCD_TYPE_Q5_0);
}

enum simt_status w::launch_two(
    simt_stream *s, unsigned type, unsigned other, unsigned slots, unsigned grid, const product_work &k)
{
    switch (type < other ? type : other) {
    case ORCD_TYPE_Q4_K:
        return launch<ORCD_TYPE_Q4_K, ORCD_TYPE_Q6_K>(s, slots, grid, k);
    case ORCD_TYPE_Q5_K:
        return launch<ORCD_TYPE_Q5_K, ORCD_TYPE_Q6_K>(s, slots, grid, k);
    default:
        return launch<ORCD_TYPE_Q5_0, ORCD_TYPE_Q8_0>(s, slots, grid, k);
    }
}

enum simt_status w::prepare_two()
{
    return first_failure(prepare<ORCD_TYPE_Q4_K, ORCD_TYPE_Q6_K>, prepare<ORCD_TYPE_Q5_K, ORCD_TYPE_Q6_K>,
        prepare<ORCD_TYPE_Q5_0, ORCD_TYPE_Q8_0>);
}
