// Conversions of half and bfloat16 against their definitions in double: every half, every
// value between two neighbours that decides, and floats in between (all of them with
// ORCD_TEST_EXHAUSTIVE set: minutes).
#include <math.h>

#include "plugins/cuda/simt/simt.h"
#include "tests/cuda/tap.h"

namespace
{

using simt::detail::bf16_from_float;
using simt::detail::bits_of;
using simt::detail::float_of;
using simt::detail::half_from_float;
using simt::detail::half_to_float;

// A format of `mantissa` bits below the leading one, exponents from `least` (subnormals below) up
// to `most`, in 16 bits.
struct format {
    int mantissa, least, most;
};
const format f16 = {10, -14, 15}, bf = {7, -126, 127};

double value_of(const format &f, unsigned bits)
{
    int exponent = static_cast<int>(bits & 0x7FFFu) >> f.mantissa;
    int mantissa = static_cast<int>(bits) & ((1 << f.mantissa) - 1);
    double v;
    if (exponent == f.most - f.least + 2)
        v = mantissa ? NAN : INFINITY;
    else if (exponent == 0)
        v = ldexp(mantissa, f.least - f.mantissa);
    else
        v = ldexp(mantissa + (1 << f.mantissa), exponent - 1 + f.least - f.mantissa);
    return bits & 0x8000u ? -v : v;
}

unsigned bits_for(const format &f, float x)
{
    if (x != x)
        return 0x7FFFu;
    unsigned sign = bits_of(x) >> 16 & 0x8000u;
    unsigned infinite = static_cast<unsigned>(f.most - f.least + 2) << f.mantissa;
    double a = fabs(static_cast<double>(x));
    if (isinf(a))
        return sign | infinite;
    int exponent = a == 0 ? f.least : ilogb(a);
    if (exponent < f.least)
        exponent = f.least;
    double steps = nearbyint(ldexp(a, f.mantissa - exponent)); // ties to even
    // as an integer the rest follows: the leading one, if there, adds to the exponent's field
    unsigned bits = static_cast<unsigned>(steps) + (static_cast<unsigned>(exponent - f.least) << f.mantissa);
    return sign | (bits > infinite ? infinite : bits);
}

bool wrong(float x)
{
    return half_from_float(x) != bits_for(f16, x) || bf16_from_float(x) != bits_for(bf, x);
}

} // namespace

int main()
{
    unsigned bad = 0;
    for (unsigned h = 0; h < 65536; h++) {
        double expected = value_of(f16, h), got = half_to_float(static_cast<uint16_t>(h));
        double expected_b = value_of(bf, h),
               got_b = simt::to_float(simt::bf16_from_bits(static_cast<uint16_t>(h)));
        bad += !(isnan(expected) ? isnan(got) : expected == got && signbit(expected) == signbit(got));
        bad += !(
            isnan(expected_b) ? isnan(got_b) : expected_b == got_b && signbit(expected_b) == signbit(got_b));
        if (!isnan(got))
            bad += half_from_float(static_cast<float>(got)) != h;
        if (!isnan(got_b))
            bad += bf16_from_float(static_cast<float>(got_b)) != h;
    }
    ok(bad == 0, "every half and bfloat16 to float and back (%u wrong)", bad);

    bad = 0;
    for (unsigned h = 0; h < 0x7F80; h++)
        for (const format *f : {&f16, &bf}) {
            if (f == &f16 && h >= 0x7C00)
                continue;
            float middle =
                static_cast<float>((value_of(*f, h) + (isinf(value_of(*f, h + 1)) ? ldexp(1, f->most + 1)
                                                                                  : value_of(*f, h + 1))) /
                                   2);
            for (uint32_t near = bits_of(middle) - 2; near != bits_of(middle) + 3; near++)
                bad += wrong(float_of(near)) + wrong(float_of(near | 0x80000000u));
        }
    ok(bad == 0, "where one value rounds to the next, and next to it (%u wrong)", bad);

    bad = 0;
    uint64_t n = 0;
    for (uint64_t u = 0; u < 1ull << 32; u += getenv("ORCD_TEST_EXHAUSTIVE") ? 1 : 4099, n++)
        bad += wrong(float_of(static_cast<uint32_t>(u)));
    ok(bad == 0, "%llu floats to half and bfloat16 (%u wrong)", static_cast<unsigned long long>(n), bad);
    return tap_end();
}
