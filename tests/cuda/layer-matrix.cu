// Constructs of simt.h in kernels, against what the host computes: asynchronous copies and matrix
// instructions. The same file tests the CPU's layer and, on a GPU, that of nvcc: so the pairs are compared.
#include "tests/cuda/layer.h"

namespace
{

// --- asynchronous copies, matrices --------------------------------------------------------------------

SIMT_KERNEL(32) void copies(const float *p, float *out)
{
    SIMT_SHARED(float, ring, [2][128]);
    SIMT_SHARED(float, small, [128]);
    unsigned t = simt::thread_x();
    simt::cp_async16(&ring[0][4 * t], p + 4 * t);
    simt::cp_async_commit();
    float sum = 0;
    for (unsigned k = 0; k < 4; k++) {
        if (k < 3)
            simt::cp_async16_or_zero(&ring[(k + 1) % 2][4 * t], p + 128 * (k + 1) + 4 * t, k != 1);
        simt::cp_async_commit();
        simt::cp_async_wait<1>();
        simt::syncwarp();
        for (unsigned i = 0; i < 4; i++)
            sum += ring[k % 2][(4 * t + i + 13) % 128] * static_cast<float>(k + 1);
        simt::syncwarp();
    }
    simt::cp_async4(&small[t], p + t);
    simt::cp_async8(&small[32 + 2 * t], p + 32 + 2 * t);
    simt::cp_async_commit();
    simt::cp_async_wait<0>();
    simt::syncwarp();
    out[t] = sum + small[(t + 1) % 32] + small[32 + (2 * t + 7) % 64];
}

void test_copies()
{
    device_array<float> in(512), out(32);
    vector<float> v(512), got(32);
    for (unsigned i = 0; i < 512; i++)
        v[i] = static_cast<float>(i % 37);
    in.put(v.data());
    need(run(1, 32, 0, copies, in.p, out.p), "copies");
    out.get(got.data());
    bool good = true;
    for (unsigned t = 0; t < 32; t++) {
        float sum = 0;
        for (unsigned k = 0; k < 4; k++)
            for (unsigned i = 0; i < 4; i++)
                sum += k == 2 ? 0 : v[128 * k + (4 * t + i + 13) % 128] * static_cast<float>(k + 1);
        good = good && got[t] == sum + v[(t + 1) % 32] + v[32 + (2 * t + 7) % 64];
    }
    ok(good, "a ring of asynchronous copies, one of them of zeros");
}

SIMT_KERNEL(32)
void products(
    const uint16_t *a, const uint16_t *b, const int8_t *qa, const int8_t *qb, float *f, float *g, int *q)
{
    // A is 16 x 16, B is 16 x 8; the quantized ones 16 x 32 and 32 x 8
    SIMT_SHARED(uint16_t, sa, [16 * 24]);
    SIMT_SHARED(uint16_t, sb, [16 * 8]);
    unsigned t = simt::thread_x(), r = t / 4, c = t % 4;
    for (unsigned i = t; i < 256; i += 32)
        sa[i / 16 * 24 + i % 16] = a[i];
    for (unsigned i = t; i < 128; i += 32)
        sb[i] = b[i];
    simt::syncwarp();
    unsigned fa[4], fb[2];
    // matrices 0..3: rows 0-7 and 8-15 of columns 0-7, then of columns 8-15
    simt::ldmatrix4(fa, &sa[(t % 16) * 24 + t / 16 * 8]);
    simt::ldmatrix2_trans(fb, &sb[(t % 16) * 8]);
    float d[4] = {1, 2, 3, 4};
    simt::mma_f16(d, fa, fb);
    for (unsigned i = 0; i < 4; i++)
        f[(r + 8 * (i / 2)) * 8 + 2 * c + i % 2] = d[i];
#if SIMT_ARCH == 0 || SIMT_ARCH >= 800
    float e[4] = {0, 0, 0, 0};
    simt::mma_bf16(e, fa, fb);
    for (unsigned i = 0; i < 4; i++)
        g[(r + 8 * (i / 2)) * 8 + 2 * c + i % 2] = e[i];
#endif
    unsigned ia[4] = {0, 0, 0, 0}, ib[2] = {0, 0};
    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 4; j++)
            ia[i] |= static_cast<unsigned>(
                         static_cast<uint8_t>(qa[(r + 8 * (i % 2)) * 32 + 4 * c + 16 * (i / 2) + j]))
                     << 8 * j;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned j = 0; j < 4; j++)
            ib[i] |= static_cast<unsigned>(static_cast<uint8_t>(qb[(4 * c + 16 * i + j) * 8 + r])) << 8 * j;
    int s[4] = {5, 0, 0, -5};
    simt::mma_s8(s, ia, ib);
    for (unsigned i = 0; i < 4; i++)
        q[(r + 8 * (i / 2)) * 8 + 2 * c + i % 2] = s[i];
}

SIMT_KERNEL(32) void fragments(const uint16_t *p, unsigned *out)
{
    SIMT_SHARED(uint16_t, m, [4 * 64]);
    unsigned t = simt::thread_x(), r[4], two[2];
    for (unsigned i = t; i < 256; i += 32)
        m[i] = p[i];
    simt::syncwarp();
    simt::ldmatrix4_trans(r, &m[8 * t]);
    simt::ldmatrix2(two, &m[8 * (t % 16)]);
    for (unsigned i = 0; i < 4; i++)
        out[6 * t + i] = r[i];
    out[6 * t + 4] = two[0];
    out[6 * t + 5] = two[1];
}

void test_matrices()
{
    device_array<uint16_t> a(256), b(128);
    device_array<int8_t> qa(512), qb(256);
    device_array<float> f(128), g(128);
    device_array<int> q(128);
    vector<uint16_t> va(256), vb(128);
    vector<int8_t> vqa(512), vqb(256);
    random_numbers random = {3};
    // small integers and halves of them: sums are exact in any order, as half and as bfloat16
    auto small = [&] {
        return simt::half_bits(
            simt::to_half(static_cast<float>(static_cast<int>(random.next() % 17) - 8) / 2));
    };
    for (uint16_t &x : va)
        x = small();
    for (uint16_t &x : vb)
        x = small();
    for (int8_t &x : vqa)
        x = static_cast<int8_t>(random.next());
    for (int8_t &x : vqb)
        x = static_cast<int8_t>(random.next());
    a.put(va.data());
    b.put(vb.data());
    qa.put(vqa.data());
    qb.put(vqb.data());
    need(run(1, 32, 0, products, a.p, b.p, qa.p, qb.p, f.p, g.p, q.p), "products");
    vector<float> gf(128), gg(128);
    vector<int> gq(128);
    f.get(gf.data());
    g.get(gg.data());
    q.get(gq.data());
    bool half_good = true, bf16_good = true, int_good = true;
    auto as_bf16 = [](uint16_t bits) { return simt::to_float(simt::bf16_from_bits(bits)); };
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 8; j++) {
            unsigned e = 2 * (i / 8) + j % 2;
            double sum = e + 1, wide = 0;
            int whole = e == 0 ? 5 : e == 3 ? -5 : 0;
            for (unsigned k = 0; k < 16; k++) {
                sum += simt::to_float(simt::half_from_bits(va[i * 16 + k])) *
                       simt::to_float(simt::half_from_bits(vb[k * 8 + j]));
                wide += static_cast<double>(as_bf16(va[i * 16 + k])) * as_bf16(vb[k * 8 + j]);
            }
            for (unsigned k = 0; k < 32; k++)
                whole += vqa[i * 32 + k] * vqb[k * 8 + j];
            half_good = half_good && gf[i * 8 + j] == static_cast<float>(sum);
            bf16_good = bf16_good && fabs(gg[i * 8 + j] - wide) <= 1e-5 * (fabs(wide) + 4);
            int_good = int_good && gq[i * 8 + j] == whole;
        }
    ok(half_good, "mma_f16 with ldmatrix4 and ldmatrix2_trans");
    struct simt_device device;
    need(simt_device_get(0, &device), "device");
    ok(bf16_good || device.major < 8, "mma_bf16");
    ok(int_good, "mma_s8");

    device_array<uint16_t> p(256);
    device_array<unsigned> out(192);
    vector<uint16_t> v(256);
    vector<unsigned> got(192);
    for (unsigned i = 0; i < 256; i++)
        v[i] = static_cast<uint16_t>(i * 251);
    p.put(v.data());
    need(run(1, 32, 0, fragments, p.p, out.p), "fragments");
    out.get(got.data());
    bool good = true;
    for (unsigned t = 0; t < 32; t++) {
        unsigned r = t / 4, c = 2 * (t % 4);
        for (unsigned m = 0; m < 4; m++)
            good = good && got[6 * t + m] == (v[64 * m + c * 8 + r] |
                                                 static_cast<unsigned>(v[64 * m + (c + 1) * 8 + r]) << 16);
        for (unsigned m = 0; m < 2; m++)
            good = good && got[6 * t + 4 + m] == (v[64 * m + r * 8 + c] |
                                                     static_cast<unsigned>(v[64 * m + r * 8 + c + 1]) << 16);
    }
    ok(good, "ldmatrix4_trans, ldmatrix2");
}

} // namespace

int main()
{
    return run_tests({test_copies, test_matrices});
}
