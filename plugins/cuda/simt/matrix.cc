/* Matrix instructions on the host: the whole warp's fragments put together, multiplied, and
 * taken apart again. Sums run over k in order, in float32 (a tensor core's order and
 * rounding differ a little). */
#include "host.h"
#include "multiply.h"

#include <string.h>

namespace simt
{
namespace detail
{

namespace
{

bool whole_warp(const lanes &all, const char *what)
{
    if (all.present == full_mask)
        return true;
    misuse("%s:%d: %s without all lanes of the warp (present: %08x)", all.file, all.line, what, all.present);
    for (int i = 0; i < warp_size; i++)
        if (all.present >> i & 1)
            memset(all.out[i], 0xFF, 16);
    return false;
}

const mma_in &input(const lanes &all, int i)
{
    return *static_cast<const mma_in *>(all.in[i]);
}

/* d = a x b + d, of 16 x K and K x 8: each lane holds four elements of d. */
template <class number, class element, int K>
void multiply(const lanes &all, const element (&a)[16][K], const element (&b)[K][8])
{
    number d[16][8];
    for (int i = 0; i < warp_size; i++)
        for (int j = 0; j < 4; j++)
            d[i / 4 + 8 * (j / 2)][2 * (i % 4) + j % 2] = static_cast<const number *>(all.out[i])[j];
    multiply_8(d[0], a[0], b[0], 16, K);
    for (int i = 0; i < warp_size; i++)
        for (int j = 0; j < 4; j++)
            static_cast<number *>(all.out[i])[j] = d[i / 4 + 8 * (j / 2)][2 * (i % 4) + j % 2];
}

template <float convert(uint16_t)> void mma_16bit(const lanes &all, const char *what)
{
    if (!whole_warp(all, what))
        return;
    float a[16][16], b[16][8];
    for (int i = 0; i < warp_size; i++) {
        int r = i / 4, c = 2 * (i % 4);
        const mma_in &in = input(all, i);
        for (int reg = 0; reg < 4; reg++)
            for (int j = 0; j < 2; j++)
                a[r + 8 * (reg % 2)][c + 8 * (reg / 2) + j] =
                    convert(static_cast<uint16_t>(in.a[reg] >> (16 * j)));
        for (int reg = 0; reg < 2; reg++)
            for (int j = 0; j < 2; j++)
                b[c + 8 * reg + j][r] = convert(static_cast<uint16_t>(in.b[reg] >> (16 * j)));
    }
    multiply<float>(all, a, b);
}

float bf16_to_float(uint16_t bits)
{
    return float_of(static_cast<uint32_t>(bits) << 16);
}

} // namespace

void mma_f16_end(const lanes &all)
{
    mma_16bit<half_to_float>(all, "mma_f16");
}

void mma_bf16_end(const lanes &all)
{
    mma_16bit<bf16_to_float>(all, "mma_bf16");
}

void mma_s8_end(const lanes &all)
{
    if (!whole_warp(all, "mma_s8"))
        return;
    int8_t a[16][32], b[32][8];
    for (int i = 0; i < warp_size; i++) {
        int r = i / 4, c = 4 * (i % 4);
        const mma_in &in = input(all, i);
        for (int reg = 0; reg < 4; reg++)
            for (int j = 0; j < 4; j++)
                a[r + 8 * (reg % 2)][c + 16 * (reg / 2) + j] = static_cast<int8_t>(in.a[reg] >> (8 * j));
        for (int reg = 0; reg < 2; reg++)
            for (int j = 0; j < 4; j++)
                b[c + 16 * reg + j][r] = static_cast<int8_t>(in.b[reg] >> (8 * j));
    }
    multiply<int>(all, a, b);
}

void ldmatrix_end(const lanes &all)
{
    const ldmatrix_in *first = nullptr;
    for (int i = 0; i < warp_size && !first; i++)
        if (all.present >> i & 1)
            first = static_cast<const ldmatrix_in *>(all.in[i]);
    if (all.present != full_mask) {
        misuse(
            "%s:%d: ldmatrix without all lanes of the warp (present: %08x)", all.file, all.line, all.present);
        return;
    }
    for (int m = 0; m < first->matrices; m++) {
        uint16_t rows[8][8];
        for (int r = 0; r < 8; r++) {
            const void *row = static_cast<const ldmatrix_in *>(all.in[8 * m + r])->row;
            if (reinterpret_cast<uintptr_t>(row) % 16) {
                misuse("%s:%d: ldmatrix from a row that is not aligned to 16 bytes", all.file, all.line);
                return;
            }
            memcpy(rows[r], row, 16);
        }
        for (int i = 0; i < warp_size; i++) {
            int r = i / 4, c = 2 * (i % 4);
            uint16_t lower = first->transposed ? rows[c][r] : rows[r][c];
            uint16_t upper = first->transposed ? rows[c + 1][r] : rows[r][c + 1];
            static_cast<unsigned *>(all.out[i])[m] = lower | static_cast<unsigned>(upper) << 16;
        }
    }
}

} // namespace detail
} // namespace simt
