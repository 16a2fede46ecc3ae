// Constructs of simt.h in kernels, against what the host computes: integers, floats, halves, loads and
// stores. The same file tests the CPU's layer and, on a GPU, that of nvcc: so the pairs are compared.
#include "tests/cuda/layer.h"

namespace
{

// --- integers and floats --------------------------------------------------------------------------

SIMT_KERNEL(64) void integers(const unsigned *p, int n, unsigned *out)
{
    int i = static_cast<int>(simt::block_x() * simt::threads_x() + simt::thread_x());
    if (i >= n)
        return;
    unsigned a = p[3 * i], b = p[3 * i + 1], c = p[3 * i + 2], *o = out + 20 * i;
    o[0] = static_cast<unsigned>(simt::dp4a(static_cast<int>(a), static_cast<int>(b), static_cast<int>(c)));
    o[1] = simt::dp4a_uu(a, b, c);
    o[2] = static_cast<unsigned>(simt::dp4a_us(a, static_cast<int>(b), static_cast<int>(c)));
    o[3] = simt::byte_perm(a, b, c);
    o[4] = simt::vadd4(a, b);
    o[5] = simt::vsub4(a, b);
    o[6] = simt::vsubss4(a, b);
    o[7] = static_cast<unsigned>(simt::popc(a));
    o[8] = static_cast<unsigned>(simt::clz(a >> (c & 31)));
    o[9] = static_cast<unsigned>(simt::ffs(a << (c & 31)));
    o[10] = simt::brev(a);
    o[11] = static_cast<unsigned>(simt::mulhi(static_cast<int>(a), static_cast<int>(b)));
    o[12] = simt::umulhi(a, b);
    o[13] = simt::funnel_l(a, b, c);
    o[14] = simt::funnel_r(a, b, c);
    o[15] = simt::float_as_uint(simt::uint_as_float(a & 0xBFFFFFFFu));
    o[16] = static_cast<unsigned>(simt::min(static_cast<int>(a), static_cast<int>(b)));
    o[17] = simt::max(a, b);
    o[18] = static_cast<unsigned>(simt::abs(static_cast<int>(a)));
    o[19] = simt::ldg(p + 3 * i) ^ simt::ldcs(p + 3 * i + 1) ^ simt::ldcg(p + 3 * i + 2);
}

void test_integers()
{
    const int n = 500;
    vector<unsigned> v(3 * n), got(20 * n);
    random_numbers random = {7};
    for (unsigned &x : v)
        x = random.next();
    v[0] = v[1] = 0x80808080u;
    v[3] = 0;
    v[5] = 0;
    device_array<unsigned> in(v.size()), out(got.size());
    in.put(v.data());
    need(run(8, 64, 0, integers, in.p, n, out.p), "integers");
    out.get(got.data());
    bool products = true, bytes = true, bits = true;
    for (unsigned i = 0; i < n; i++) {
        unsigned a = v[3 * i], b = v[3 * i + 1], c = v[3 * i + 2];
        const unsigned *o = &got[20 * i];
        unsigned ss = c, uu = c, us = c, perm = 0, add = 0, sub = 0, sat = 0, rev = 0, population = 0;
        for (unsigned k = 0; k < 4; k++) {
            int sa = static_cast<int8_t>(a >> 8 * k), sb = static_cast<int8_t>(b >> 8 * k);
            int ua = static_cast<uint8_t>(a >> 8 * k), ub = static_cast<uint8_t>(b >> 8 * k);
            ss += static_cast<unsigned>(sa * sb);
            uu += static_cast<unsigned>(ua * ub);
            us += static_cast<unsigned>(ua * sb);
            add |= static_cast<unsigned>((ua + ub) & 255) << 8 * k;
            sub |= static_cast<unsigned>((ua - ub) & 255) << 8 * k;
            int d = sa - sb > 127 ? 127 : sa - sb < -128 ? -128 : sa - sb;
            sat |= static_cast<unsigned>(d & 255) << 8 * k;
            unsigned pick = c >> 4 * k & 15, from = pick & 7;
            unsigned byte = (from < 4 ? a >> 8 * from : b >> 8 * (from - 4)) & 255;
            perm |= (pick & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * k;
        }
        for (unsigned k = 0; k < 32; k++) {
            rev |= (a >> k & 1) << (31 - k);
            population += a >> k & 1;
        }
        unsigned shifted = a >> (c & 31), left = a << (c & 31), zeros = 0, first = 0;
        while (zeros < 32 && !(shifted >> (31 - zeros) & 1))
            zeros++;
        while (left && !(left >> first++ & 1))
            ;
        uint64_t both = static_cast<uint64_t>(b) << 32 | a;
        products = products && o[0] == ss && o[1] == uu && o[2] == us &&
                   o[11] == static_cast<unsigned>(
                                static_cast<int64_t>(static_cast<int>(a)) * static_cast<int>(b) >> 32) &&
                   o[12] == static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
        bytes = bytes && o[3] == perm && o[4] == add && o[5] == sub && o[6] == sat;
        bits = bits && o[7] == population && o[8] == zeros && o[9] == first && o[10] == rev &&
               o[13] == static_cast<unsigned>(both << (c & 31) >> 32) &&
               o[14] == static_cast<unsigned>(both >> (c & 31)) && o[15] == (a & 0xBFFFFFFFu) &&
               o[16] == (static_cast<int>(a) < static_cast<int>(b) ? a : b) && o[17] == (a > b ? a : b) &&
               o[18] == (a >> 31 ? 0u - a : a) && o[19] == (a ^ b ^ c);
    }
    ok(products, "dp4a signed, unsigned and mixed, high halves of products");
    ok(bytes, "bytes permuted, added, subtracted with and without saturation");
    ok(bits, "bits counted, found, reversed, shifted; minimum, maximum, loads");
}

SIMT_KERNEL(64) void floats(const float *p, int n, float *out)
{
    int i = static_cast<int>(simt::block_x() * simt::threads_x() + simt::thread_x());
    if (i >= n)
        return;
    float x = p[i], *o = out + 24 * i, s, c;
    simt::sincos(x, &s, &c);
    o[0] = simt::exp(x);
    o[1] = simt::fast_exp(x);
    o[2] = simt::log(simt::fabs(x) + 1);
    o[3] = simt::tanh(x);
    o[4] = simt::fast_tanh(x);
    o[5] = simt::sqrt(simt::fabs(x));
    o[6] = simt::rsqrt(simt::fabs(x) + 1);
    o[7] = simt::rcp(x + 100);
    o[8] = s;
    o[9] = c;
    o[10] = simt::sin(x);
    o[11] = simt::cos(x);
    o[12] = simt::rint(x);
    o[13] = simt::floor(x);
    o[14] = simt::round(x);
    o[15] = static_cast<float>(simt::float2int(x));
    o[16] = simt::fma(x, x, -x);
    o[17] = simt::fmax(x, simt::uint_as_float(0x7FC00000u));
    o[18] = simt::fmin(x, 1.0f);
    o[19] = simt::fast_div(x, 3.0f);
    o[20] = simt::pow(simt::fabs(x), 0.75f);
    o[21] = simt::exp2(x / 8) + simt::log2(simt::fabs(x) + 2);
    o[22] = (simt::is_nan(x) ? 1.0f : 0.0f) + (simt::is_inf(-simt::infinity()) ? 2.0f : 0.0f);
    o[23] = simt::ceil(x) + simt::trunc(x) + simt::fast_log(simt::fabs(x) + 1) + simt::fast_sin(x / 40) +
            simt::fast_cos(x / 40);
}

bool near(float a, double b, double relative)
{
    return fabs(a - b) <= relative * (fabs(b) + 1e-3);
}

void test_floats()
{
    const int n = 300;
    vector<float> v(n), got(24 * n);
    random_numbers random = {11};
    for (float &x : v)
        x = static_cast<float>(random.next() % 100000) / 2500.0f - 20.0f;
    v[0] = 2.5f, v[1] = -2.5f, v[2] = 0.5f, v[3] = -0.0f, v[4] = 3.0f;
    device_array<float> in(v.size()), out(got.size());
    in.put(v.data());
    need(run(5, 64, 0, floats, in.p, n, out.p), "floats");
    out.get(got.data());
    bool accurate = true, exact = true, fast = true;
    for (unsigned i = 0; i < n; i++) {
        double x = v[i], a = fabs(x);
        const float *o = &got[24 * i];
        accurate = accurate && near(o[0], exp(x), 1e-6) && near(o[2], log(a + 1), 1e-6) &&
                   near(o[3], tanh(x), 1e-6) && near(o[6], 1 / sqrt(a + 1), 1e-6) &&
                   near(o[8], sin(x), 1e-6) && near(o[9], cos(x), 1e-6) && near(o[10], sin(x), 1e-6) &&
                   near(o[11], cos(x), 1e-6) && near(o[20], pow(a, 0.75), 1e-6) &&
                   near(o[21], exp2(x / 8) + log2(a + 2), 1e-6);
        exact = exact && o[5] == sqrtf(fabsf(v[i])) && o[7] == 1.0f / (v[i] + 100) &&
                o[12] == nearbyintf(v[i]) && o[13] == floorf(v[i]) && o[14] == roundf(v[i]) &&
                o[15] == nearbyintf(v[i]) && o[16] == fmaf(v[i], v[i], -v[i]) && o[17] == v[i] &&
                o[18] == fminf(v[i], 1.0f) && o[22] == 2.0f;
        fast = fast && near(o[1], exp(x), 2e-5) && near(o[4], tanh(x), 2e-3) && near(o[19], x / 3, 1e-6) &&
               near(o[23], ceil(x) + trunc(x) + log(a + 1) + sin(x / 40) + cos(x / 40), 1e-5);
    }
    ok(accurate, "accurate functions within a few ulp");
    ok(exact, "exact functions");
    ok(fast, "fast functions within their bounds");
}

// --- half -------------------------------------------------------------------------------------------

SIMT_KERNEL(64) void halves(const unsigned *p, int n, unsigned *out)
{
    int i = static_cast<int>(simt::block_x() * simt::threads_x() + simt::thread_x());
    if (i >= n)
        return;
    simt::half2 a = simt::half2_from_bits(p[3 * i]), b = simt::half2_from_bits(p[3 * i + 1]),
                c = simt::half2_from_bits(p[3 * i + 2]);
    unsigned *o = out + 6 * i;
    o[0] = simt::half2_bits(simt::hfma2(a, b, c));
    o[1] = simt::half2_bits(simt::hadd2(a, b));
    o[2] = simt::half2_bits(simt::hmul2(a, b));
    o[3] = simt::half2_bits(simt::hmax2(a, b));
    o[4] = simt::half_bits(simt::to_half(simt::uint_as_float(p[3 * i]))) |
           static_cast<unsigned>(simt::bf16_bits(simt::to_bf16(simt::uint_as_float(p[3 * i])))) << 16;
    o[5] = simt::float_as_uint(simt::to_float(simt::half_from_bits(static_cast<uint16_t>(p[3 * i]))));
}

// Exactly rounded, by trying: among neighbouring halves the nearest to the exact value in long double.
unsigned nearest_half(long double exact)
{
    unsigned best = 0;
    if (exact == 0)
        return 0;
    long double a = exact < 0 ? -exact : exact;
    unsigned guess = simt::detail::half_from_float(static_cast<float>(a)); // within one of it
    for (unsigned k = guess > 1 ? guess - 2 : 0; k <= guess + 2 && k <= 0x7C00; k++) {
        long double value =
            k == 0x7C00 ? 65536.0L
                        : static_cast<long double>(simt::detail::half_to_float(static_cast<uint16_t>(k)));
        long double held = best == 0x7C00 ? 65536.0L
                                          : static_cast<long double>(
                                                simt::detail::half_to_float(static_cast<uint16_t>(best)));
        long double d = value > a ? value - a : a - value, e = held > a ? held - a : a - held;
        if (d < e || (d == e && !(k & 1)))
            best = k;
    }
    return best | (exact < 0 ? 0x8000u : 0u);
}

void test_halves()
{
    const int n = 2000;
    vector<unsigned> v(3 * n), got(6 * n);
    random_numbers random = {5};
    for (unsigned &x : v) {
        x = random.next();
        // no infinities or NaNs here, exponents that meet
        x &= 0xBFFFBFFFu;
        if (random.next() % 2)
            x |= 0x38003800u, x &= 0xBFFFBFFFu;
    }
    device_array<unsigned> in(v.size()), out(got.size());
    in.put(v.data());
    need(run(32, 64, 0, halves, in.p, n, out.p), "halves");
    out.get(got.data());
    int wrong[6] = {0};
    for (unsigned i = 0; i < n; i++)
        for (unsigned s = 0; s < 32; s += 16) {
            auto value = [&](unsigned k) {
                return static_cast<long double>(
                    simt::detail::half_to_float(static_cast<uint16_t>(v[3 * i + k] >> s)));
            };
            auto result = [&](unsigned k) { return got[6 * i + k] >> s & 0xFFFFu; };
            long double a = value(0), b = value(1), c = value(2);
            wrong[0] += (result(0) & 0x7FFFu) != (nearest_half(a * b + c) & 0x7FFFu);
            wrong[1] += (result(1) & 0x7FFFu) != (nearest_half(a + b) & 0x7FFFu);
            wrong[2] += (result(2) & 0x7FFFu) != (nearest_half(a * b) & 0x7FFFu);
            wrong[3] += static_cast<long double>(
                            simt::detail::half_to_float(static_cast<uint16_t>(result(3)))) != (a > b ? a : b);
        }
    for (unsigned i = 0; i < n; i++) {
        float f = simt::detail::float_of(v[3 * i]);
        wrong[4] += got[6 * i + 4] != (simt::detail::half_from_float(f) |
                                          static_cast<unsigned>(simt::detail::bf16_from_float(f)) << 16);
        wrong[5] += got[6 * i + 5] !=
                    simt::detail::bits_of(simt::detail::half_to_float(static_cast<uint16_t>(v[3 * i])));
    }
    ok(!wrong[0], "hfma2 rounds once (%d wrong)", wrong[0]);
    ok(!wrong[1] && !wrong[2] && !wrong[3], "hadd2, hmul2, hmax2 (%d, %d, %d wrong)", wrong[1], wrong[2],
        wrong[3]);
    ok(!wrong[4] && !wrong[5], "conversions (%d, %d wrong)", wrong[4], wrong[5]);
}

SIMT_KERNEL(32) void half_sums(const unsigned *p, unsigned *out)
{
    unsigned t = simt::thread_x();
    out[t] = simt::half2_bits(simt::warp_sum<16>(simt::half2_from_bits(p[t])));
}

void test_half_sums()
{
    device_array<unsigned> in(32), out(32);
    vector<unsigned> v(32), got(32);
    float sums[2][2] = {};
    for (unsigned i = 0; i < 32; i++) {
        float x = static_cast<float>(i % 7), y = static_cast<float>(i) / 4;
        v[i] = simt::half_bits(simt::to_half(x)) | static_cast<unsigned>(simt::half_bits(simt::to_half(y)))
                                                       << 16;
        sums[i / 16][0] += x;
        sums[i / 16][1] += y;
    }
    in.put(v.data());
    need(run(1, 32, 0, half_sums, in.p, out.p), "half_sums");
    out.get(got.data());
    bool good = true;
    for (unsigned i = 0; i < 32; i++)
        good = good &&
               got[i] == (simt::half_bits(simt::to_half(sums[i / 16][0])) |
                             static_cast<unsigned>(simt::half_bits(simt::to_half(sums[i / 16][1]))) << 16);
    ok(good, "sums of half2 over 16 lanes");
}

// --- hinted loads and stores ------------------------------------------------------------------

template <class T> SIMT_DEVICE void pass_on(T *to, const T *from, unsigned i)
{
    SIMT_UNROLL
    for (unsigned k = 0; k < 4; k++) {
        T v = k == 0 ? simt::ldg(from + i) : k == 1 ? simt::ldcs(from + i) : simt::ldcg(from + i);
        if (k % 2)
            simt::stcs(to + 4 * i + k, v);
        else
            simt::stcg(to + 4 * i + k, v);
    }
}

template <class T> SIMT_KERNEL(64) void pass(T *to, const T *from)
{
    simt::prefetch_l2(from);
    pass_on(to, from, simt::thread_x());
}

template <class T> bool passes()
{
    device_array<T> from(64), to(256);
    vector<unsigned char> v(64 * sizeof(T)), got(256 * sizeof(T));
    random_numbers random = {9};
    for (unsigned char &x : v)
        x = static_cast<unsigned char>(random.next());
    need(simt_copy(from.p, v.data(), v.size(), SIMT_TO_DEVICE), "copy");
    need(run(1, 64, 0, pass<T>, to.p, static_cast<const T *>(from.p)), "pass");
    need(simt_copy(got.data(), to.p, got.size(), SIMT_TO_HOST), "copy");
    for (unsigned i = 0; i < 256; i++)
        if (memcmp(&got[i * sizeof(T)], &v[i / 4 * sizeof(T)], sizeof(T)) != 0)
            return false;
    return true;
}

void test_hints()
{
    ok(passes<int8_t>() && passes<uint8_t>() && passes<int16_t>() && passes<uint16_t>() && passes<int>() &&
            passes<unsigned>() && passes<int64_t>() && passes<uint64_t>() && passes<long long>() &&
            passes<unsigned long long>() && passes<simt::half>() && passes<simt::bf16>() &&
            passes<simt::half2>() && passes<simt::bf162>() && passes<simt::uint2>() &&
            passes<simt::uint4>() && passes<simt::int2>() && passes<simt::int4>() && passes<simt::float2>() &&
            passes<simt::float4>(),
        "loads and stores with hints, of each type");
}

} // namespace

int main()
{
    return run_tests({test_integers, test_floats, test_halves, test_half_sums, test_hints});
}
