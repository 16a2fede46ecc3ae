/* Products against sums in float64 of what the dequantizers say; a row alone against the same
 * row in a batch, and every order of threads against the first, bit for bit. */
#include "tests/cuda/inputs.h"

/* Row i of w times input row r; *size: the sum of the magnitudes. */
static double exact(const file_matrix &w, uint32_t i, const inputs &in, uint32_t r, double *size)
{
    double sum = 0;
    *size = 0;
    for (uint32_t c = 0; c < w.n_cols; c++) {
        const double v =
            w.values[static_cast<size_t>(i) * w.n_cols + c] * in.value(ck_is_float(w.type), r, c);
        sum += v, *size += fabs(v);
    }
    return sum;
}

static bool close_to(float got, double want, double size)
{
    return fabs(got - want) <= 3e-6 * size + 1e-30;
}

static double gelu_of(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

static double activated(uint32_t activation, double g, double u)
{
    switch (activation) {
    case ORCD_ACT_GELU:
        return gelu_of(u);
    case ORCD_ACT_GELU_GATED:
        return gelu_of(g) * u;
    case ORCD_ACT_SWIGLU_OAI:
        g = fmin(g, 7), u = fmax(-7, fmin(u, 7));
        return g / (1 + exp(-1.702 * g)) * (u + 1);
    default:
        return g / (1 + exp(-g)) * u;
    }
}

static void test_product(uint32_t type, uint32_t n_rows, uint32_t n_cols, uint32_t rows, bool orders)
{
    const file_matrix f = random_matrix(type, n_rows, n_cols, n_cols + n_rows);
    const device_matrix w(f);
    const inputs in(rows, n_cols, 1, n_cols);
    const std::vector<float> bias = random_floats(n_rows, 1), before = random_floats(rows * (n_rows + 5), 2);
    device_array<float> dev_bias(n_rows), y(before.size());
    dev_bias.put(bias.data());
    ck_product p = {w.m, dev_bias.p, y.p, n_rows + 5, 1};
    auto run = [&] {
        y.put(before.data());
        need(ck_products(stream, &p, 1, &in.act, rows), "ck_products");
        finish("products");
        std::vector<float> out(before.size());
        y.get(out.data());
        return out;
    };
    const std::vector<float> got = run();
    bool right = true, kept = true, same = true;
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < n_rows; i++) {
            double size, sum = exact(f, i, in, r, &size);
            const size_t at = r * (n_rows + 5) + i;
            right = right && close_to(got[at], sum + bias[i] + before[at], size + 2);
        }
        for (uint32_t i = n_rows; i < n_rows + 5; i++)
            kept = kept && got[r * (n_rows + 5) + i] == before[r * (n_rows + 5) + i];
        if (r + 3 >= rows || r < 2) { /* the row alone */
            y.put(before.data());
            ck_product alone = p;
            alone.y += r * (n_rows + 5);
            const ck_act one = in.from(r);
            need(ck_products(stream, &alone, 1, &one, 1), "ck_products");
            finish("alone");
            std::vector<float> out(before.size());
            y.get(out.data());
            same = same && !memcmp(&out[r * (n_rows + 5)], &got[r * (n_rows + 5)], 4 * n_rows);
        }
    }
    if (orders)
        same = same && any_order(run, got);
    ok(right && kept && same, "%s %u x %u, %u rows%s%s%s", type_name(type), n_rows, n_cols, rows,
        right ? "" : ": wrong sums", kept ? "" : ": wrote beyond a row",
        same ? "" : ": depends on order or batch");
}

/* Three matrices of one input: at once the same bits as one by one, and in fewer launches. */
static void test_three(const uint32_t (&types)[3], unsigned launches, uint32_t rows)
{
    const uint32_t n = 2304, outs[3] = {40, 7, 9};
    const file_matrix f[3] = {random_matrix(types[0], outs[0], n, 1), random_matrix(types[1], outs[1], n, 2),
        random_matrix(types[2], outs[2], n, 3)};
    const device_matrix w[3] = {device_matrix(f[0]), device_matrix(f[1]), device_matrix(f[2])};
    const inputs in(rows, n, 1, 4);
    const uint32_t ld[3] = {40, 8, 12};
    device_array<float> y0(rows * ld[0]), y1(rows * ld[1]), y2(rows * ld[2]);
    float *const y[3] = {y0.p, y1.p, y2.p};
    ck_product p[3];
    for (int i = 0; i < 3; i++)
        p[i] = ck_product{w[i].m, nullptr, y[i], ld[i], 0};
    simt_usage before, after;
    simt_usage_get(&before);
    need(ck_products(stream, p, 3, &in.act, rows), "ck_products");
    finish("three");
    simt_usage_get(&after);
    bool right = !on_host || after.launches - before.launches == launches, same = true;
    for (int i = 0; i < 3; i++) {
        std::vector<float> got(rows * ld[i]), alone(got.size());
        need(simt_copy(got.data(), y[i], got.size() * 4, SIMT_TO_HOST), "copy");
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t o = 0; o < outs[i]; o++) {
                double size, sum = exact(f[i], o, in, r, &size);
                right = right && close_to(got[r * ld[i] + o], sum, size);
            }
        need(ck_products(stream, &p[i], 1, &in.act, rows), "ck_products");
        finish("one of three");
        need(simt_copy(alone.data(), y[i], alone.size() * 4, SIMT_TO_HOST), "copy");
        same = same && alone == got;
    }
    ok(right && same, "%s, %s and %s at once, %u rows%s%s", type_name(types[0]), type_name(types[1]),
        type_name(types[2]), rows, right ? "" : ": wrong", same ? "" : ": differs from one by one");
}

static void test_gated(uint32_t gate_type, uint32_t up_type, uint32_t activation, uint32_t rows)
{
    const uint32_t n = 512, outs = 11, ld = 12;
    const bool gate = activation != ORCD_ACT_GELU;
    const file_matrix fg = random_matrix(gate_type, outs, n, 1), fu = random_matrix(up_type, outs, n, 2);
    const device_matrix g(fg), u(fu);
    const inputs in(rows, n, 1, 9);
    const std::vector<float> bg = random_floats(outs, 3), bu = random_floats(outs, 4);
    device_array<float> dev_bg(outs), dev_bu(outs), h(rows * ld);
    dev_bg.put(bg.data()), dev_bu.put(bu.data());
    ck_gated_args a = {gate ? &g.m : nullptr, &u.m, dev_bg.p, dev_bu.p, activation, h.p, ld};
    auto run = [&] {
        need(ck_gated(stream, &a, &in.act, rows), "ck_gated");
        finish("gated");
        std::vector<float> out(h.n);
        h.get(out.data());
        return out;
    };
    const std::vector<float> got = run();
    bool right = true;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < outs; i++) {
            double sg, su;
            const double vg = exact(fg, i, in, r, &sg) + bg[i], vu = exact(fu, i, in, r, &su) + bu[i];
            const double want = activated(activation, vg, vu);
            const double slack =
                3e-6 * ((sg + 1) * (fabs(vu) + 2) + (su + 1) * (fabs(vg) + 2)) + 4e-6 * fabs(want);
            right = right && fabs(got[r * ld + i] - want) <= slack;
        }
    const bool same = any_order(run, got);
    ok(right && same, "gated by %s and %s, activation %u, %u rows%s", type_name(gate_type),
        type_name(up_type), activation, rows, same ? "" : ": depends on order");
}

/* tokens x used pairs over experts, some of which have none and one of which has most. */
static void test_experts(
    uint32_t type, uint32_t gate_type, uint32_t tokens, uint32_t used, uint32_t n_experts)
{
    const uint32_t n = 256, ff = 256, per = 6, n_pairs = tokens * used;
    const file_matrix fg = random_matrix(gate_type, n_experts * per, n, 1),
                      fu = random_matrix(type, n_experts * per, n, 2);
    const file_matrix fd = random_matrix(type, n_experts * per, ff, 3);
    const device_matrix g(fg), u(fu), d(fd);
    const inputs in(tokens, n, 1, 11), mid(n_pairs, ff, ck_is_float(type) ? 1 : 2, 12);
    const std::vector<float> bg = random_floats(n_experts * per, 3), bu = random_floats(n_experts * per, 4);
    device_array<float> dev_bg(bg.size()), dev_bu(bu.size()), h(n_pairs * 8), y(n_pairs * 8);
    dev_bg.put(bg.data()), dev_bu.put(bu.data());

    std::vector<int32_t> expert(n_pairs);
    for (uint32_t p = 0; p < n_pairs; p++) /* a token's experts differ; the first is often one and the same */
        expert[p] = static_cast<int32_t>(p % used == 0 ? 2 : (2 + p % used + (p / used) % 3 * 5) % n_experts);
    for (uint32_t p = 0; p < n_pairs; p++)
        for (uint32_t other = p / used * used; other < p; other++)
            if (expert[other] == expert[p])
                expert[p] = (expert[p] + 1) % static_cast<int32_t>(n_experts), other = p / used * used - 1;
    const expert_pairs pairs(expert, n_experts);
    const ck_experts e = {n_pairs, used, n_experts, pairs.expert.p, pairs.order.p, pairs.first.p};
    const ck_gated_args a = {&g.m, &u.m, dev_bg.p, dev_bu.p, ORCD_ACT_SILU_GATED, h.p, 8};
    const ck_product p = {d.m, dev_bg.p, y.p, 8, 0};
    auto run = [&] {
        h.zero(), y.zero();
        need(ck_gated_experts(stream, &a, &in.act, &e), "ck_gated_experts");
        need(ck_down_experts(stream, &p, &mid.act, &e), "ck_down_experts");
        finish("experts");
        std::vector<float> out(h.n + y.n);
        h.get(out.data()), y.get(out.data() + h.n);
        return out;
    };
    const std::vector<float> got = run();
    bool right = true, same = true;
    for (uint32_t pair = 0; pair < n_pairs; pair++)
        for (uint32_t i = 0; i < per; i++) {
            const uint32_t row = static_cast<uint32_t>(expert[pair]) * per + i;
            double sg, su, sd;
            const double vg = exact(fg, row, in, pair / used, &sg) + bg[row];
            const double vu = exact(fu, row, in, pair / used, &su) + bu[row];
            const double want = activated(ORCD_ACT_SILU_GATED, vg, vu);
            const double slack =
                3e-6 * ((sg + 1) * (fabs(vu) + 2) + (su + 1) * (fabs(vg) + 2)) + 4e-6 * fabs(want);
            right = right && fabs(got[pair * 8 + i] - want) <= slack;
            const double down = exact(fd, row, mid, pair, &sd) + bg[row];
            right = right && close_to(got[h.n + pair * 8 + i], down, sd + 1);
        }
    same = any_order(run, got);
    if (tokens > 1) { /* the second token alone */
        const ck_experts one = {used, used, n_experts, pairs.expert.p + used, pairs.order.p, pairs.first.p};
        ck_gated_args b = a;
        ck_product q = p;
        b.h += used * 8, q.y += used * 8;
        const ck_act act = in.from(1), down = mid.from(used);
        h.zero(), y.zero();
        need(ck_gated_experts(stream, &b, &act, &one), "ck_gated_experts");
        need(ck_down_experts(stream, &q, &down, &one), "ck_down_experts");
        finish("one token");
        std::vector<float> out(h.n + y.n);
        h.get(out.data()), y.get(out.data() + h.n);
        same = same && !memcmp(&out[used * 8], &got[used * 8], used * 32) &&
               !memcmp(&out[h.n + used * 8], &got[h.n + used * 8], used * 32);
    }
    ok(right && same, "%s and %s: %u tokens of %u of %u experts%s%s", type_name(gate_type), type_name(type),
        tokens, used, n_experts, right ? "" : ": wrong", same ? "" : ": depends on order or batch");
}

int main()
{
    if (!begin())
        return 77;
    for (const type_form &t : all_types) {
        const uint32_t block = quant_type_find(t.type)->block_elems;
        const bool small = block == 32, plain = block == 1;
        test_product(t.type, 1, plain ? 1 : block, 1, false);
        test_product(t.type, 9, plain ? 100 : small ? 32 : 256, 2, false);
        test_product(t.type, 10, plain ? 257 : small ? 1184 : 1280, 3, true);
        test_product(t.type, 5, plain ? 1048 : small ? 4160 : 4352, 8, true);
        test_product(t.type, 3, plain ? 64 : small ? 96 : 512, 21, false);
    }
    test_product(ORCD_TYPE_Q4_K, 67, 2048, 5, false);
    test_three({ORCD_TYPE_Q4_K, ORCD_TYPE_Q4_K, ORCD_TYPE_Q4_K}, 1, 3);
    test_three({ORCD_TYPE_Q4_K, ORCD_TYPE_Q4_K, ORCD_TYPE_Q6_K}, 1, 1);
    test_three({ORCD_TYPE_Q6_K, ORCD_TYPE_Q5_K, ORCD_TYPE_Q6_K}, 1, 2);
    test_three({ORCD_TYPE_Q5_0, ORCD_TYPE_Q5_0, ORCD_TYPE_Q8_0}, 1, 8);
    test_three({ORCD_TYPE_Q8_0, ORCD_TYPE_Q5_0, ORCD_TYPE_Q8_0}, 2, 11);
    test_three({ORCD_TYPE_Q4_K, ORCD_TYPE_Q6_K, ORCD_TYPE_Q5_K}, 2, 4);
    test_three({ORCD_TYPE_Q3_K, ORCD_TYPE_Q5_K, ORCD_TYPE_Q3_K}, 2, 1);
    test_gated(ORCD_TYPE_Q4_K, ORCD_TYPE_Q4_K, ORCD_ACT_SILU_GATED, 1);
    test_gated(ORCD_TYPE_Q4_K, ORCD_TYPE_Q6_K, ORCD_ACT_GELU_GATED, 3);
    test_gated(ORCD_TYPE_MXFP4, ORCD_TYPE_MXFP4, ORCD_ACT_SWIGLU_OAI, 4);
    test_gated(ORCD_TYPE_F16, ORCD_TYPE_F16, ORCD_ACT_GELU, 2);
    test_gated(ORCD_TYPE_BF16, ORCD_TYPE_Q8_0, ORCD_ACT_SILU_GATED, 7);
    test_experts(ORCD_TYPE_MXFP4, ORCD_TYPE_MXFP4, 1, 4, 32);
    test_experts(ORCD_TYPE_MXFP4, ORCD_TYPE_MXFP4, 5, 4, 40);
    test_experts(ORCD_TYPE_Q4_K, ORCD_TYPE_Q6_K, 13, 2, 8);
    test_experts(ORCD_TYPE_F16, ORCD_TYPE_F16, 9, 3, 4);
    return end();
}
