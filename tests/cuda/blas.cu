// Matrix products of rt.h against plain sums in double: each type, transposition, stride and
// batch. On the CPU against its plain loops, on a GPU against cuBLASLt.
#include <math.h>
#include <vector>

#include "plugins/cuda/simt/simt.h"
#include "tests/cuda/tap.h"

using std::vector;

namespace
{

struct simt_stream *stream;
struct simt_blas *blas;

size_t bytes_of(enum simt_type type)
{
    return type == SIMT_F32 ? 4 : 2;
}

double read(const vector<unsigned char> &v, enum simt_type type, size_t i)
{
    uint16_t u;
    float f;
    memcpy(&u, &v[i * bytes_of(type)], 2);
    if (type == SIMT_F16)
        return simt::to_float(simt::half_from_bits(u));
    if (type == SIMT_BF16)
        return simt::to_float(simt::bf16_from_bits(u));
    memcpy(&f, &v[i * 4], 4);
    return f;
}

void write(vector<unsigned char> &v, enum simt_type type, size_t i, float x)
{
    uint16_t u = type == SIMT_F16 ? simt::half_bits(simt::to_half(x)) : simt::bf16_bits(simt::to_bf16(x));
    if (type == SIMT_F32)
        memcpy(&v[i * 4], &x, 4);
    else
        memcpy(&v[i * 2], &u, 2);
}

void test(const char *name, enum simt_type in, enum simt_type out, int m, int n, int k, int trans_a,
    int trans_b, int batch, int pad, float alpha, float beta)
{
    random_numbers random = {static_cast<uint64_t>(m * 1000 + n * 10 + k)};
    simt_gemm g = {};
    g.m = m, g.n = n, g.k = k;
    g.trans_a = trans_a, g.trans_b = trans_b;
    g.in = in, g.out = out;
    g.alpha = alpha, g.beta = beta;
    g.ld_a = (trans_a ? m : k) + pad, g.ld_b = (trans_b ? k : n) + pad, g.ld_c = n + pad;
    g.batch = batch;
    g.stride_a = static_cast<int64_t>(g.ld_a) * (trans_a ? k : m);
    g.stride_b = 0; // one for all
    g.stride_c = static_cast<int64_t>(g.ld_c) * m;
    size_t count_a = static_cast<size_t>(g.stride_a) * static_cast<size_t>(batch);
    size_t count_b = static_cast<size_t>(g.ld_b) * static_cast<size_t>(trans_b ? n : k);
    size_t count_c = static_cast<size_t>(g.stride_c) * static_cast<size_t>(batch);
    vector<unsigned char> a(count_a * bytes_of(in)), b(count_b * bytes_of(in)), c(count_c * bytes_of(out));
    for (size_t i = 0; i < count_a; i++)
        write(a, in, i, static_cast<float>(random.next() % 2001) / 1000 - 1);
    for (size_t i = 0; i < count_b; i++)
        write(b, in, i, static_cast<float>(random.next() % 2001) / 1000 - 1);
    for (size_t i = 0; i < count_c; i++)
        write(c, out, i, beta == 0 ? NAN : static_cast<float>(random.next() % 2001) / 1000 - 1);
    device_array<unsigned char> da(a.size()), db(b.size()), dc(c.size());
    da.put(a.data());
    db.put(b.data());
    dc.put(c.data());
    g.a = da.p, g.b = db.p, g.c = dc.p;
    need(simt_blas_gemm(blas, stream, &g), name);
    need(simt_stream_sync(stream), name);
    vector<unsigned char> got(c.size());
    dc.get(got.data());
    double worst = 0, unit = out == SIMT_F16 ? 1e-3 : out == SIMT_BF16 ? 8e-3 : 2e-6;
    for (int p = 0; p < batch; p++)
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) {
                double sum = 0, size = 0;
                for (int x = 0; x < k; x++) {
                    double u = read(a, in,
                        static_cast<size_t>(p * g.stride_a + (trans_a ? x * g.ld_a + i : i * g.ld_a + x)));
                    double v = read(b, in, static_cast<size_t>(trans_b ? j * g.ld_b + x : x * g.ld_b + j));
                    sum += u * v;
                    size += fabs(u * v);
                }
                size_t at = static_cast<size_t>(p * g.stride_c + i * g.ld_c + j);
                double expected = alpha * sum + (beta != 0 ? beta * read(c, out, at) : 0);
                double error = fabs(read(got, out, at) - expected) / (size + 1);
                worst = error <= worst ? worst : error; // a NaN stays
            }
    bool untouched = true;
    for (int i = 0; pad && i < m - 1; i++)
        untouched =
            untouched && memcmp(&got[static_cast<size_t>(i * g.ld_c + n) * bytes_of(out)],
                             &c[static_cast<size_t>(i * g.ld_c + n) * bytes_of(out)], bytes_of(out)) == 0;
    ok(worst <= unit && untouched, "%s, %d x %d x %d%s%s, %d of them: error %.1e", name, m, n, k,
        trans_a ? ", A transposed" : "", trans_b ? ", B transposed" : "", batch, worst);
}

// A row's result is the same bits wherever it lies in a product of one height, whatever the others
// are: what the same text in any batch rests on.
void test_places(int m)
{
    enum { n = 264, k = 1536 };
    const int places[] = {0, 1, 17, m / 4 - 1, m / 4, m / 2 + 3, m / 4 * 3, m - 1};
    random_numbers random = {77};
    vector<uint16_t> weights(n * k), row(k), rows(static_cast<size_t>(m) * k);
    auto draw = [&] {
        return simt::half_bits(simt::to_half(static_cast<float>(random.next() % 2001) / 1000 - 1));
    };
    for (uint16_t &w : weights)
        w = draw();
    for (uint16_t &x : row)
        x = draw();
    device_array<uint16_t> a(rows.size()), b(weights.size());
    device_array<float> c(static_cast<size_t>(m) * n);
    b.put(weights.data());
    vector<float> got(static_cast<size_t>(m) * n), first(n);
    int same = 0;
    for (int place : places) {
        for (uint16_t &x : rows)
            x = place % 2 ? draw() : 0;
        memcpy(&rows[static_cast<size_t>(place) * k], row.data(), k * sizeof(uint16_t));
        a.put(rows.data());
        simt_gemm g = {};
        g.m = m, g.n = n, g.k = k, g.trans_b = 1, g.batch = 1, g.alpha = 1;
        g.in = SIMT_F16, g.out = SIMT_F32;
        g.a = a.p, g.b = b.p, g.c = c.p;
        g.ld_a = g.ld_b = k, g.ld_c = n;
        need(simt_blas_gemm(blas, stream, &g), "places");
        need(simt_stream_sync(stream), "places");
        c.get(got.data());
        const float *at = &got[static_cast<size_t>(place) * n];
        if (place == 0)
            memcpy(first.data(), at, n * sizeof(float));
        same += memcmp(first.data(), at, n * sizeof(float)) == 0;
    }
    ok(same == 8 && first[0] != 0, "a row is the same bits in %d of 8 places of %d", same, m);
}

} // namespace

int main()
{
    int n;
    enum simt_status status = simt_device_count(&n);
    if (status == SIMT_NO_DRIVER || status == SIMT_NO_DEVICE) {
        printf("1..0 # SKIP %s\n", simt_error_text());
        return 77;
    }
    need(status, "devices");
    need(simt_device_use(0), "device");
    need(simt_stream_create(&stream, 0), "stream");
    status = simt_blas_open(&blas);
    if (status == SIMT_NO_BLAS) {
        printf("1..0 # SKIP %s\n", simt_error_text());
        return 77;
    }
    need(status, "blas");
    void *workspace;
    need(simt_malloc(&workspace, 1 << 22), "workspace");
    need(simt_blas_workspace(blas, workspace, 1 << 22), "workspace");
    for (int t = 0; t < 4; t++)
        test("half to float", SIMT_F16, SIMT_F32, 7, 40, 64, t & 1, t >> 1, 1, 8, 1, 0);
    test("half", SIMT_F16, SIMT_F16, 16, 24, 96, 0, 1, 3, 8, 0.5f, 0);
    test("bfloat16", SIMT_BF16, SIMT_BF16, 5, 33, 31, 0, 0, 2, 1, 1, 0);
    test("bfloat16 to float", SIMT_BF16, SIMT_F32, 33, 17, 128, 0, 1, 2, 0, 1, 1);
    test("float", SIMT_F32, SIMT_F32, 12, 9, 70, 1, 1, 2, 3, 2, -0.5f);
    test("one row", SIMT_F16, SIMT_F32, 1, 64, 256, 0, 1, 1, 0, 1, 0);
    for (int height : {32, 64, 128, 256, 512, 2048})
        if (height < 2048 || strcmp(simt_flavour(), "cuda") == 0) // the CPU needs seconds for the highest
            test_places(height);
    simt_gemm g = {};
    g.m = 1, g.n = 1, g.k = 0, g.batch = 1, g.a = g.b = workspace, g.c = workspace;
    ok(simt_blas_gemm(blas, stream, &g) == SIMT_INVALID, "k = 0 is refused: %s", simt_error_text());
    g.k = 4, g.ld_a = 3, g.ld_b = 1, g.ld_c = 1, g.out = SIMT_F32;
    ok(simt_blas_gemm(blas, stream, &g) == SIMT_INVALID, "overlapping rows are refused: %s",
        simt_error_text());
    g.ld_a = 4, g.m = 0;
    ok(simt_blas_gemm(blas, stream, &g) == SIMT_OK, "no rows are nothing to do");
    simt_blas_close(blas);
    simt_free(workspace);
    simt_stream_destroy(stream);
    struct simt_usage u;
    simt_usage_get(&u);
    ok(u.device_blocks == 0 && u.blas == 0 && u.misuses == 0, "nothing is left");
    return tap_end();
}
