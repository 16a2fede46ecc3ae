/* Products of many inputs (tensor cores) against the same inputs a few at a time (w-products.cuh), bit
 * for bit and in every order of threads. That those are right is for test-w-products to see. */
#include "tests/cuda/inputs.h"

static bool same_bits(const std::vector<float> &a, const std::vector<float> &b)
{
    return a.size() == b.size() && !memcmp(a.data(), b.data(), a.size() * sizeof(float));
}

/* None is a NaN, and they are not all alike: bits that agree then mean something. */
static bool sensible(const std::vector<float> &v)
{
    bool differ = v.size() < 2;
    for (size_t i = 0; i < v.size(); i++) {
        if (v[i] != v[i])
            return false;
        differ = differ || v[i] != v[0];
    }
    return differ;
}

static void test_product(
    uint32_t type, uint32_t n_rows, uint32_t n_cols, uint32_t rows, uint32_t terms, bool orders)
{
    const file_matrix f = random_matrix(type, n_rows, n_cols, n_cols + n_rows + rows);
    const device_matrix w(f);
    const inputs in(rows, n_cols, terms, n_cols);
    const uint32_t ld = n_rows + 3;
    const std::vector<float> bias = random_floats(n_rows, 1), before = random_floats(rows * ld, 2);
    device_array<float> dev_bias(n_rows), y(before.size());
    dev_bias.put(bias.data());
    auto run = [&](uint32_t at_once) {
        y.put(before.data());
        for (uint32_t r = 0; r < rows; r += at_once) {
            const ck_product p = {w.m, dev_bias.p, y.p + r * ld, ld, 1};
            const ck_act act = in.from(r);
            need(ck_products(stream, &p, 1, &act, rows - r < at_once ? rows - r : at_once), "ck_products");
        }
        finish("products");
        std::vector<float> out(before.size());
        y.get(out.data());
        return out;
    };
    const std::vector<float> got = run(rows), few = run(CK_PASS / terms);
    const bool good = sensible(got), same = same_bits(got, few);
    const bool order = !orders || any_order([&] { return run(rows); }, got);
    ok(good && same && order, "%s %u x %u, %u rows of %u terms%s%s%s", type_name(type), n_rows, n_cols, rows,
        terms, good ? "" : ": no numbers", same ? "" : ": other bits than a few at a time",
        order ? "" : ": depends on the order of threads");
}

/* Q, K and V: parts of one launch where their types agree. */
static void test_three(const uint32_t (&types)[3], unsigned launches, uint32_t rows)
{
    const uint32_t n = 1280, outs[3] = {40, 17, 9}, ld = 44;
    const device_matrix w[3] = {device_matrix(random_matrix(types[0], outs[0], n, 1)),
        device_matrix(random_matrix(types[1], outs[1], n, 2)),
        device_matrix(random_matrix(types[2], outs[2], n, 3))};
    const inputs in(rows, n, 1, 4);
    device_array<float> y(3 * rows * ld);
    auto run = [&](uint32_t at_once) {
        y.zero();
        for (uint32_t r = 0; r < rows; r += at_once) {
            ck_product p[3];
            for (uint32_t i = 0; i < 3; i++)
                p[i] = ck_product{w[i].m, nullptr, y.p + (i * rows + r) * ld, ld, 0};
            const ck_act act = in.from(r);
            need(ck_products(stream, p, 3, &act, rows - r < at_once ? rows - r : at_once), "ck_products");
        }
        finish("three");
        std::vector<float> out(y.n);
        y.get(out.data());
        return out;
    };
    simt_usage before, after;
    simt_usage_get(&before);
    const std::vector<float> got = run(rows);
    simt_usage_get(&after);
    const bool few = !on_host || after.launches - before.launches == launches;
    const bool same = same_bits(got, run(CK_PASS));
    ok(few && same && sensible(got), "%s, %s and %s at once, %u rows%s%s", type_name(types[0]),
        type_name(types[1]), type_name(types[2]), rows, few ? "" : ": another number of launches",
        same ? "" : ": other bits than a few at a time");
}

static void test_gated(
    uint32_t gate_type, uint32_t up_type, uint32_t activation, uint32_t outs, uint32_t rows)
{
    const uint32_t n = 1024, ld = outs + 1;
    const device_matrix g(random_matrix(gate_type, outs, n, 1)), u(random_matrix(up_type, outs, n, 2));
    const inputs in(rows, n, 1, 9);
    const std::vector<float> bg = random_floats(outs, 3), bu = random_floats(outs, 4);
    device_array<float> dev_bg(outs), dev_bu(outs), h(rows * ld);
    dev_bg.put(bg.data()), dev_bu.put(bu.data());
    auto run = [&](uint32_t at_once) {
        h.zero();
        for (uint32_t r = 0; r < rows; r += at_once) {
            const ck_gated_args a = {activation == ORCD_ACT_GELU ? nullptr : &g.m, &u.m, dev_bg.p, dev_bu.p,
                activation, h.p + r * ld, ld};
            const ck_act act = in.from(r);
            need(ck_gated(stream, &a, &act, rows - r < at_once ? rows - r : at_once), "ck_gated");
        }
        finish("gated");
        std::vector<float> out(h.n);
        h.get(out.data());
        return out;
    };
    const std::vector<float> got = run(rows);
    const bool same = same_bits(got, run(CK_PASS));
    const bool order = any_order([&] { return run(rows); }, got);
    ok(same && order && sensible(got), "gated by %s and %s, activation %u, %u of %u rows%s%s",
        type_name(gate_type), type_name(up_type), activation, outs, rows,
        same ? "" : ": other bits than a few at a time", order ? "" : ": depends on the order of threads");
}

/* Two experts a token. Expert 0 has one pair, 1 and 2 none, 3 all the others' first, 4 .. the rest. */
static void test_experts(uint32_t type, uint32_t gate_type, uint32_t terms, uint32_t tokens, bool orders)
{
    const uint32_t n = 512, ff = 256, per = 19, used = 2, n_experts = 7, n_pairs = tokens * used, ld = 20;
    const device_matrix g(random_matrix(gate_type, n_experts * per, n, 1)),
        u(random_matrix(type, n_experts * per, n, 2)), d(random_matrix(type, n_experts * per, ff, 3));
    const inputs in(tokens, n, 1, 11), mid(n_pairs, ff, terms, 12);
    const std::vector<float> bg = random_floats(n_experts * per, 3), bu = random_floats(n_experts * per, 4);
    device_array<float> dev_bg(bg.size()), dev_bu(bu.size()), h(n_pairs * ld), y(n_pairs * ld);
    dev_bg.put(bg.data()), dev_bu.put(bu.data());
    std::vector<int32_t> expert(n_pairs);
    for (uint32_t t = 0; t < tokens; t++)
        expert[2 * t] = t ? 3 : 0, expert[2 * t + 1] = static_cast<int32_t>(4 + t % 3);
    const expert_pairs pairs(expert, n_experts);
    auto put = [&](uint32_t token, uint32_t count) {
        const uint32_t at = token * used;
        const ck_experts e = {
            count * used, used, n_experts, pairs.expert.p + at, pairs.order.p, pairs.first.p};
        const ck_gated_args a = {&g.m, &u.m, dev_bg.p, dev_bu.p, ORCD_ACT_SWIGLU_OAI, h.p + at * ld, ld};
        const ck_product p = {d.m, dev_bg.p, y.p + at * ld, ld, 0};
        const ck_act act = in.from(token), down = mid.from(at);
        need(ck_gated_experts(stream, &a, &act, &e), "ck_gated_experts");
        need(ck_down_experts(stream, &p, &down, &e), "ck_down_experts");
    };
    auto run = [&](bool together) {
        h.zero(), y.zero();
        if (together)
            put(0, tokens);
        else
            for (uint32_t t = 0; t < tokens; t++)
                put(t, 1);
        finish("experts");
        std::vector<float> out(h.n + y.n);
        h.get(out.data()), y.get(out.data() + h.n);
        return out;
    };
    const std::vector<float> got = run(true);
    const bool same = same_bits(got, run(false));
    const bool any = !orders || any_order([&] { return run(true); }, got);
    ok(same && any && sensible(got), "%s and %s: %u tokens' experts, %u terms%s%s", type_name(gate_type),
        type_name(type), tokens, terms, same ? "" : ": other bits than a token alone",
        any ? "" : ": depends on the order of threads");
}

int main()
{
    if (!begin())
        return 77;
    for (const type_form &t : all_types) {
        if (ck_is_float(t.type))
            continue;
        const uint32_t block = quant_type_find(t.type)->block_elems;
        const bool small = block == 32;
        test_product(t.type, 1, block, 9, 1, false);
        test_product(t.type, 19, small ? 1184 : 1280, 12, 1, true);
        test_product(t.type, 16, small ? 96 : 512, 33, 1, false);
        test_product(t.type, 37, small ? 4160 : 4352, 17, 1, false);
        test_product(t.type, 5, block, 40, 1, false);
        test_product(t.type, 18, small ? 1184 : 1280, 5, 2, false);
        test_product(t.type, 33, small ? 320 : 768, 18, 2, true);
        test_experts(t.type, t.type, 2, 44, false);
    }
    for (uint32_t rows = 10; rows < 40; rows += 3)
        test_product(ORCD_TYPE_Q4_K, 21, 768, rows, 1, false);
    /* so many rows that a warp alone takes each, in two turns */
    test_product(ORCD_TYPE_Q4_0, 8195, 1056, 9, 1, false);
    test_three({ORCD_TYPE_Q4_K, ORCD_TYPE_Q4_K, ORCD_TYPE_Q4_K}, 1, 12);
    test_three({ORCD_TYPE_Q4_K, ORCD_TYPE_Q6_K, ORCD_TYPE_Q4_K}, 2, 20);
    test_three({ORCD_TYPE_Q5_0, ORCD_TYPE_F16, ORCD_TYPE_Q8_0}, 3, 9);
    test_gated(ORCD_TYPE_Q4_K, ORCD_TYPE_Q4_K, ORCD_ACT_SILU_GATED, 35, 11);
    test_gated(ORCD_TYPE_Q4_K, ORCD_TYPE_Q6_K, ORCD_ACT_GELU_GATED, 16, 24);
    test_gated(ORCD_TYPE_MXFP4, ORCD_TYPE_MXFP4, ORCD_ACT_SWIGLU_OAI, 7, 34);
    test_gated(ORCD_TYPE_Q8_0, ORCD_TYPE_Q8_0, ORCD_ACT_GELU, 17, 10);
    test_experts(ORCD_TYPE_MXFP4, ORCD_TYPE_MXFP4, 1, 70, true);
    test_experts(ORCD_TYPE_Q6_K, ORCD_TYPE_Q4_K, 2, 40, true);
    return end();
}
