/* Norms, the forms of products' inputs, and what follows tensor-core products, against plain C. */
#include <math.h>
#include <vector>

#include "plugins/cuda/kernels.h"
#include "tests/cuda/tap.h"

extern "C" {
#include "model/quant-types.h"
}

static simt_stream *stream;
static bool on_host;

static float random_float(random_numbers &r)
{
    return static_cast<float>(static_cast<int32_t>(r.next())) / 2147483648.0f;
}

static std::vector<float> random_floats(size_t n, uint64_t seed, float times = 1)
{
    random_numbers r = {seed + 5};
    std::vector<float> out(n);
    for (float &f : out)
        f = random_float(r) * times;
    return out;
}

/* The outputs of one call of ck_norm, on this side. */
struct outputs {
    std::vector<int8_t> q;
    std::vector<float> d, f, scale;
    std::vector<int32_t> sums;
    std::vector<ck_half> h;
    bool operator==(const outputs &o) const
    {
        return q == o.q && f == o.f && scale == o.scale && sums == o.sums && h == o.h &&
               !memcmp(d.data(), o.d.data(), d.size() * 4);
    }
};

struct shape {
    uint32_t kind, rows, n, terms;
    bool act, floats, halves, index;
    float times; /* of the input */
};

static outputs run_norm(const shape &t, const std::vector<float> &x, uint32_t ld_x,
    const std::vector<uint32_t> &index, const std::vector<float> &weight, const std::vector<float> &bias,
    uint32_t ld, uint32_t ld_h)
{
    outputs o;
    const uint32_t entries = t.rows * t.terms;
    o.q.resize(static_cast<size_t>(entries) * ld), o.d.resize(o.q.size() / 32), o.sums.resize(o.d.size());
    o.f.resize(static_cast<size_t>(t.rows) * ld), o.h.resize(static_cast<size_t>(t.rows) * ld_h),
        o.scale.resize(t.rows);
    device_array<float> dx(x.size()), dw(t.n + 3), db(t.n + 3), d(o.d.size()), f(o.f.size()), scale(t.rows);
    device_array<int8_t> q(o.q.size());
    device_array<int32_t> sums(o.sums.size());
    device_array<ck_half> h(o.h.size());
    device_array<uint32_t> di(t.rows);
    dx.put(x.data()), di.put(index.data());
    need(simt_copy(dw.p, weight.data(), t.n * 4, SIMT_TO_DEVICE), "copy");
    need(simt_copy(db.p, bias.data(), t.n * 4, SIMT_TO_DEVICE), "copy");
    ck_norm_args a = {};
    a.kind = t.kind, a.rows = t.rows, a.n = t.n, a.x = dx.p, a.ld_x = ld_x;
    a.index = t.index ? di.p : nullptr;
    if (t.kind != CK_NORM_NONE)
        a.weight = dw.p, a.bias = t.kind == CK_NORM_LAYER ? db.p : nullptr, a.eps = 1e-5f;
    if (t.act)
        a.act.q = q.p, a.act.d = d.p, a.act.sums = sums.p;
    if (t.floats)
        a.act.f = f.p;
    a.act.ld = ld, a.act.terms = t.terms;
    if (t.halves)
        a.halves = ck_halves{h.p, scale.p, ld_h};
    need(ck_norm(stream, &a), "ck_norm");
    need(simt_stream_sync(stream), "norm");
    q.get(o.q.data()), d.get(o.d.data()), sums.get(o.sums.data()), f.get(o.f.data()), h.get(o.h.data());
    scale.get(o.scale.data());
    return o;
}

/* One block of 32 by the contract's words; *left gets what remains. False: it differs from got. */
static bool block_is(const float *v, float *left, const int8_t *q, float d, int32_t sums)
{
    float amax = 0;
    for (int i = 0; i < 32; i++)
        amax = fmaxf(amax, fabsf(v[i]));
    const float want = amax / 127.0f, by = want == 0 ? 0 : 1.0f / want;
    bool same = want == d;
    uint32_t half[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        const float scaled = fmaxf(-127, fminf(127, v[i] * by));
        same = same && q[i] == static_cast<int8_t>(nearbyintf(scaled));
        half[i / 16] += static_cast<uint32_t>(static_cast<int32_t>(q[i]));
        left[i] = fmaf(-d, q[i], v[i]);
    }
    return same && sums == static_cast<int32_t>((half[0] & 0xFFFF) | half[1] << 16);
}

static void test_norm(const shape &t)
{
    const uint32_t ld_x = (t.n + 3) / 4 * 4 + 4, ld = (t.n + 31) / 32 * 32 + 32, ld_h = (t.n + 7) / 8 * 8 + 8;
    const uint32_t x_rows = t.rows + 3;
    std::vector<float> x = random_floats(static_cast<size_t>(x_rows) * ld_x, t.n, t.times);
    const std::vector<float> weight = random_floats(t.n, 2), bias = random_floats(t.n, 3);
    for (uint32_t i = 0; i < 32 && i < t.n; i++) /* a block of zeros */
        x[i] = 0;
    std::vector<uint32_t> index(t.rows);
    for (uint32_t r = 0; r < t.rows; r++)
        index[r] = t.index ? (r * 2 + 1) % x_rows : r;
    const outputs got = run_norm(t, x, ld_x, index, weight, bias, ld, ld_h);
    bool floats = true, blocks = true, halves = true, order = true;
    shape plain = t; /* the floats show what norm the other forms are of */
    plain.floats = true;
    const outputs all = t.floats ? got : run_norm(plain, x, ld_x, index, weight, bias, ld, ld_h);
    for (uint32_t r = 0; r < t.rows; r++) {
        const float *in = &x[static_cast<size_t>(index[r]) * ld_x], *f = &all.f[static_cast<size_t>(r) * ld];
        double mean = 0, square = 0;
        for (uint32_t i = 0; i < t.n && t.kind == CK_NORM_LAYER; i++)
            mean += in[i];
        mean /= t.n;
        for (uint32_t i = 0; i < t.n; i++)
            square += (in[i] - mean) * (in[i] - mean);
        const double by = t.kind == CK_NORM_NONE ? 1 : 1 / sqrt(square / t.n + 1e-5);
        float top = 0;
        for (uint32_t i = 0; i < ld; i++) {
            double want = 0;
            if (i < t.n) {
                want = in[i];
                if (t.kind != CK_NORM_NONE)
                    want = (in[i] - mean) * by * weight[i] + (t.kind == CK_NORM_LAYER ? bias[i] : 0);
                top = fmaxf(top, fabsf(f[i]));
            }
            floats = floats && (t.kind == CK_NORM_NONE
                                       ? f[i] == want
                                       : fabs(f[i] - want) <= 2e-6 * (fabs(want) + by * fabs(mean) + 1));
        }
        for (uint32_t b = 0; t.act && b < t.n / 32; b++) {
            float v[32], left[32];
            memcpy(v, f + 32 * b, sizeof v);
            for (uint32_t term = 0; term < t.terms; term++) {
                const size_t e = static_cast<size_t>(r) * t.terms + term;
                blocks = blocks && block_is(v, left, &got.q[e * ld + 32 * b], got.d[e * (ld / 32) + b],
                                       got.sums[e * (ld / 32) + b]);
                memcpy(v, left, sizeof v);
            }
        }
        if (t.halves) {
            int e;
            const float s = got.scale[r];
            halves =
                halves && frexpf(s, &e) == 0.5f && (top > 32768 ? top / s < 65504 && top / s > 8192 : s == 1);
            for (uint32_t i = 0; i < ld_h; i++)
                halves = halves && got.h[static_cast<size_t>(r) * ld_h + i] ==
                                       quant_f32_to_f16(i < t.n ? f[i] / s : 0.0f);
        }
    }
    for (const char *words : {"order=reverse", "order=random,seed=7"}) {
        if (on_host)
            need(simt_knobs(words), "knobs");
        order = order && run_norm(t, x, ld_x, index, weight, bias, ld, ld_h) == got;
    }
    if (on_host)
        need(simt_knobs("order=forward"), "knobs");
    if (t.rows > 1) { /* the last row alone */
        shape one = t;
        one.rows = 1, one.index = true;
        const outputs o = run_norm(one, x, ld_x, {index[t.rows - 1]}, weight, bias, ld, ld_h);
        const size_t e = static_cast<size_t>(t.rows - 1) * t.terms;
        order = order && !memcmp(o.f.data(), &got.f[static_cast<size_t>(t.rows - 1) * ld], ld * 4) &&
                !memcmp(o.q.data(), &got.q[e * ld], ld * t.terms) &&
                !memcmp(o.d.data(), &got.d[e * (ld / 32)], ld / 8 * t.terms) &&
                !memcmp(o.h.data(), &got.h[static_cast<size_t>(t.rows - 1) * ld_h], ld_h * 2);
    }
    ok(floats && blocks && halves && order, "norm %u of %u x %u%s%s%s%s", t.kind, t.rows, t.n,
        floats ? "" : ": floats", blocks ? "" : ": blocks", halves ? "" : ": halves",
        order ? "" : ": order or batch");
}

/* A NaN or an infinity of the input is not lost in 8 bits. */
static void test_not_finite()
{
    const shape t = {CK_NORM_NONE, 1, 64, 2, true, false, false, false, 1};
    std::vector<float> x = random_floats(4 * 68, 1);
    x[5] = NAN;
    x[40] = INFINITY;
    const outputs o = run_norm(t, x, 68, {0}, x, x, 96, 72);
    ok(isnan(o.d[0]) && !isfinite(o.d[1]), "NaN and infinity reach the scales");
}

static void test_after_gemm(uint32_t rows, uint32_t n)
{
    const uint32_t ld = (n + 3) / 4 * 4 + 4;
    const std::vector<float> x = random_floats(rows * ld, 1, 3), y = random_floats(rows * ld, 2, 3),
                             bias = random_floats(n, 3), other = random_floats(n, 4);
    std::vector<float> scale(rows), got(x.size());
    for (uint32_t r = 0; r < rows; r++)
        scale[r] = static_cast<float>(1u << r % 3);
    device_array<float> dx(x.size()), dy(y.size()), ds(rows), db(n), dother(n);
    dy.put(y.data()), ds.put(scale.data()), db.put(bias.data()), dother.put(other.data());
    bool right = true;
    for (int with = 0; with < 2; with++) {
        dx.put(x.data());
        const ck_add_args a = {rows, n, dx.p, ld, dy.p, ld, with ? ds.p : nullptr, with ? db.p : nullptr};
        need(ck_add_rows(stream, &a), "ck_add_rows");
        need(simt_stream_sync(stream), "add_rows");
        dx.get(got.data());
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t i = 0; i < ld; i++) {
                const size_t at = r * ld + i;
                const double want =
                    i >= n ? x[at] : x[at] + (with ? static_cast<double>(y[at]) * scale[r] + bias[i] : y[at]);
                right = right && fabs(got[at] - want) <= 3e-6;
            }
    }
    ok(right, "%u rows of %u added", rows, n);
    right = true;
    for (uint32_t activation :
        {ORCD_ACT_SILU_GATED, ORCD_ACT_GELU, ORCD_ACT_SWIGLU_OAI, ORCD_ACT_GELU_GATED}) {
        dx.put(x.data());
        const ck_gate_rows_args a = {rows, n, dx.p, dy.p, ld, ds.p, db.p, dother.p, activation};
        need(ck_gate_rows(stream, &a), "ck_gate_rows");
        need(simt_stream_sync(stream), "gate_rows");
        dx.get(got.data());
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t i = 0; i < ld; i++) {
                const size_t at = r * ld + i;
                double g = static_cast<double>(x[at]) * scale[r] + (i < n ? bias[i] : 0);
                double u = static_cast<double>(y[at]) * scale[r] + (i < n ? other[i] : 0), want = x[at];
                const double of = activation == ORCD_ACT_GELU ? u : g;
                const double gelu =
                    0.5 * of * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (of + 0.044715 * of * of * of)));
                if (i < n && activation == ORCD_ACT_SILU_GATED)
                    want = g / (1 + exp(-g)) * u;
                else if (i < n && activation == ORCD_ACT_GELU)
                    want = gelu;
                else if (i < n && activation == ORCD_ACT_GELU_GATED)
                    want = gelu * u;
                else if (i < n)
                    g = fmin(g, 7), want = g / (1 + exp(-1.702 * g)) * (fmax(-7, fmin(u, 7)) + 1);
                right = right && fabs(got[at] - want) <= 4e-6 * (fabs(want) + fabs(u) + 1);
            }
    }
    ok(right, "%u rows of %u gated", rows, n);
}

int main()
{
    if (simt_device_use(0)) {
        printf("1..0 # SKIP %s\n", simt_error_text());
        return 77;
    }
    on_host = !strcmp(simt_flavour(), "cuda-simt");
    need(ck_touch_weights(), "ck_touch_weights");
    need(simt_stream_create(&stream, 0), "stream");
    for (uint32_t kind : {CK_NORM_RMS, CK_NORM_LAYER, CK_NORM_NONE})
        for (uint32_t n : {32u, 96u, 160u, 896u, 4256u}) {
            const uint32_t rows = n > 1000 ? 2 : 3;
            test_norm({kind, rows, n, 1, true, false, false, false, 1});
            test_norm({kind, rows, n, 2, true, true, false, true, 5});
            test_norm({kind, rows, n, 1, false, false, true, true, kind == CK_NORM_NONE ? 3e5f : 1});
        }
    for (uint32_t n : {1u, 7u, 100u, 1030u}) { /* of float types alone */
        test_norm({CK_NORM_LAYER, 2, n, 1, false, true, true, false, 2});
        test_norm({CK_NORM_RMS, 2, n, 1, false, true, false, true, 2});
        test_norm({CK_NORM_NONE, 2, n, 1, false, true, true, false, 40000});
    }
    test_not_finite();
    test_after_gemm(1, 1);
    test_after_gemm(3, 1030);
    test_after_gemm(5, 96);
    simt_stream_destroy(stream);
    simt_usage u;
    simt_usage_get(&u);
    ok(u.device_bytes == 0 && u.misuses == 0, "nothing held, no misuse");
    return tap_end();
}
