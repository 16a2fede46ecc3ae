#include "multiply.h"

namespace simt
{
namespace detail
{

void multiply_8(float *d, const float *a, const float *b, size_t m, size_t k)
{
    for (size_t i = 0; i < m; i++, d += 8, a += k) {
        float sum[8];
        for (size_t j = 0; j < 8; j++)
            sum[j] = d[j];
        for (size_t x = 0; x < k; x++)
            for (size_t j = 0; j < 8; j++)
                sum[j] += a[x] * b[8 * x + j];
        for (size_t j = 0; j < 8; j++)
            d[j] = sum[j];
    }
}

void multiply_8(int *d, const int8_t *a, const int8_t *b, size_t m, size_t k)
{
    for (size_t i = 0; i < m; i++, d += 8, a += k) {
        unsigned sum[8];
        for (size_t j = 0; j < 8; j++)
            sum[j] = static_cast<unsigned>(d[j]);
        for (size_t x = 0; x < k; x++)
            for (size_t j = 0; j < 8; j++)
                sum[j] += static_cast<unsigned>(a[x] * b[8 * x + j]);
        for (size_t j = 0; j < 8; j++)
            d[j] = static_cast<int>(sum[j]);
    }
}

} // namespace detail
} // namespace simt
