/* The 2-byte float types, in both flavours. Storage only: values are converted to float to
 * be worked with. Included by simt.h. Conversion to either is to nearest, ties to even, and
 * a NaN becomes 0x7FFF, as the cvt instruction has it. */
#ifndef ORCD_CUDA_SIMT_HALF_H
#define ORCD_CUDA_SIMT_HALF_H

namespace simt
{

struct half {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};
struct alignas(4) half2 {
    half x, y;
};
struct alignas(4) bf162 {
    bf16 x, y;
};

namespace detail
{
SIMT_BOTH uint32_t bits_of(float f)
{
#ifdef __CUDA_ARCH__
    return __float_as_uint(f);
#else
    uint32_t u;
    __builtin_memcpy(&u, &f, 4);
    return u;
#endif
}

SIMT_BOTH float float_of(uint32_t u)
{
#ifdef __CUDA_ARCH__
    return __uint_as_float(u);
#else
    float f;
    __builtin_memcpy(&f, &u, 4);
    return f;
#endif
}

/* float32 to float16 in integers. */
SIMT_BOTH uint16_t half_from_float(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000u, rest = u & 0x7FFFFFFFu;
    if (rest > 0x7F800000u) /* NaN */
        return 0x7FFFu;
    if (rest >= 0x477FF000u) /* 65520 and more round to infinity */
        return static_cast<uint16_t>(sign | 0x7C00u);
    if (rest >= 0x38800000u) { /* 2^-14 and more: normal */
        uint32_t r = rest - 0x38000000u;
        r += 0xFFFu + (r >> 13 & 1u);
        return static_cast<uint16_t>(sign | r >> 13);
    }
    if (rest <= 0x33000000u) /* 2^-25, half the least, ties to zero */
        return static_cast<uint16_t>(sign);
    uint32_t shift = 126u - (rest >> 23), mantissa = (rest & 0x7FFFFFu) | 0x800000u;
    uint32_t kept = mantissa >> shift, lost = mantissa & ((1u << shift) - 1u), tie = 1u << (shift - 1u);
    kept += lost > tie || (lost == tie && (kept & 1u)) ? 1u : 0u;
    return static_cast<uint16_t>(sign | kept);
}

SIMT_BOTH float half_to_float(uint16_t h)
{
    uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, rest = h & 0x7FFFu;
    if (rest >= 0x7C00u)
        return float_of(sign | (rest << 13) | 0x70000000u); /* the exponent's bits above are set by these */
    if (rest < 0x400u)                                      /* subnormal: an integer times 2^-24 */
        return float_of(sign | bits_of(static_cast<float>(rest) * 5.9604644775390625e-8f));
    return float_of(sign | ((rest << 13) + 0x38000000u));
}

SIMT_BOTH uint16_t bf16_from_float(float f)
{
    uint32_t u = bits_of(f);
    if ((u & 0x7FFFFFFFu) > 0x7F800000u)
        return 0x7FFFu;
    return static_cast<uint16_t>((u + 0x7FFFu + (u >> 16 & 1u)) >> 16);
}
} // namespace detail

SIMT_BOTH half half_from_bits(uint16_t bits)
{
    return half{bits};
}

SIMT_BOTH uint16_t half_bits(half h)
{
    return h.bits;
}

SIMT_BOTH bf16 bf16_from_bits(uint16_t bits)
{
    return bf16{bits};
}

SIMT_BOTH uint16_t bf16_bits(bf16 h)
{
    return h.bits;
}

SIMT_BOTH float to_float(half h)
{
#ifdef __CUDA_ARCH__
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits));
    return f;
#else
    return detail::half_to_float(h.bits);
#endif
}

SIMT_BOTH half to_half(float f)
{
#ifdef __CUDA_ARCH__
    half h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
    return h;
#else
    return half{detail::half_from_float(f)};
#endif
}

SIMT_BOTH float to_float(bf16 h)
{
    return detail::float_of(static_cast<uint32_t>(h.bits) << 16);
}

SIMT_BOTH bf16 to_bf16(float f)
{
#if SIMT_ARCH >= 800
    bf16 h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
    return h;
#else
    return bf16{detail::bf16_from_float(f)};
#endif
}

SIMT_BOTH float2 to_float2(half2 h)
{
    return float2{to_float(h.x), to_float(h.y)};
}

SIMT_BOTH float2 to_float2(bf162 h)
{
    return float2{to_float(h.x), to_float(h.y)};
}

SIMT_BOTH half2 to_half2(float2 f)
{
    return half2{to_half(f.x), to_half(f.y)};
}

SIMT_BOTH bf162 to_bf162(float2 f)
{
    return bf162{to_bf16(f.x), to_bf16(f.y)};
}

SIMT_BOTH unsigned half2_bits(half2 h)
{
    return h.x.bits | static_cast<unsigned>(h.y.bits) << 16;
}

SIMT_BOTH half2 half2_from_bits(unsigned u)
{
    return half2{{static_cast<uint16_t>(u)}, {static_cast<uint16_t>(u >> 16)}};
}

} // namespace simt

#endif
