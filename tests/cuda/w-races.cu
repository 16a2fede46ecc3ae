/* The weights' kernels once each under the race detector, over one small shape a type. What they
 * compute is for the other tests to see. */
#include "plugins/cuda/simt/simt.h"
#include "tests/cuda/weights.h"

namespace
{
/* Products read weights before they wait for the launch before them: as loading does with a
 * synchronization, this parts them from the repacking. */
SIMT_KERNEL(32) void nothing()
{
}
} // namespace

static simt_stream *stream;

static void done(const char *what, uint32_t type)
{
    const enum simt_status status = simt_stream_sync(stream);
    simt_usage u;
    simt_usage_get(&u);
    ok(status == SIMT_OK && u.misuses == 0, "%s: %s%s%s", type_name(type), what, status ? ": " : "",
        status ? simt_error_text() : "");
}

int main()
{
    need(simt_device_use(0), "device");
    need(ck_touch_weights(), "ck_touch_weights");
    need(simt_stream_create(&stream, 0), "stream");
    for (const type_form &t : all_types) {
        const bool floats = ck_is_float(t.type);
        const uint32_t n = floats ? 1048 : t.d ? 2304 : 2112, rows = 3, outs = 5, ld = (n + 31) / 32 * 32;
        const uint32_t terms = floats ? 1 : 2, used = 2, n_experts = 5;
        const device_matrix w(random_matrix(t.type, outs, n, 1)),
            tall(random_matrix(t.type, 2 * n_experts, n, 2));
        need(simt::launch(simt_launch_config{{1, 1, 1}, {32, 1, 1}, 0, stream, 0, "nothing"}, nothing),
            "launch");
        device_array<float> x(rows * used * ld), y(rows * used * 8), h(rows * used * 8), weight(ld),
            d(x.n / 32 * 2), f(x.n), scale(rows * used);
        device_array<int8_t> q(x.n * 2);
        device_array<int32_t> sums(x.n / 32 * 2), token(rows), expert(rows * used);
        device_array<uint32_t> pos(rows), order(rows * used), first(n_experts + 1);
        device_array<ck_half> halves(x.n);
        const int32_t experts[6] = {1, 3, 1, 0, 4, 3};
        const uint32_t orders[6] = {3, 0, 2, 1, 5, 4}, firsts[6] = {0, 1, 3, 3, 5, 6};
        expert.put(experts), order.put(orders), first.put(firsts);
        const ck_experts e = {rows * used, used, n_experts, expert.p, order.p, first.p};

        ck_norm_args a = {};
        a.kind = CK_NORM_LAYER, a.rows = rows, a.n = n, a.x = x.p, a.ld_x = ld, a.weight = a.bias = weight.p;
        a.eps = 1e-5f, a.halves = ck_halves{halves.p, scale.p, ld};
        a.act = ck_act{floats ? nullptr : q.p, d.p, sums.p, f.p, ld, terms};
        need(ck_norm(stream, &a), "ck_norm");
        a.kind = CK_NORM_NONE, a.halves.h = nullptr, a.rows = rows * used;
        need(ck_norm(stream, &a), "ck_norm");
        a.act.q = q.p;
        done("norms", t.type);

        ck_product p = {w.m, weight.p, y.p, 8, 1};
        need(ck_products(stream, &p, 1, &a.act, rows), "ck_products");
        a.act.terms = 1;
        need(ck_products(stream, &p, 1, &a.act, 1), "ck_products");
        ck_gated_args g = {&tall.m, &tall.m, weight.p, nullptr, ORCD_ACT_SILU_GATED, h.p, 8};
        need(ck_gated_experts(stream, &g, &a.act, &e), "ck_gated_experts");
        g.gate = g.up = &w.m;
        need(ck_gated(stream, &g, &a.act, rows), "ck_gated");
        a.act.terms = terms;
        p.w = tall.m, p.add = 0;
        need(ck_down_experts(stream, &p, &a.act, &e), "ck_down_experts");
        done("products", t.type);

        if (!floats) { /* of many inputs; of experts with 15 pairs or none */
            const uint32_t many = 15, first_of_many[6] = {0, 0, many, many, many, many};
            device_array<int8_t> q_many(2 * many * ld);
            device_array<float> d_many(q_many.n / 32), y_many(many * 8);
            device_array<int32_t> sums_many(d_many.n), expert_many(many);
            device_array<uint32_t> order_many(many), firsts_many(n_experts + 1);
            uint32_t pairs[many];
            for (uint32_t i = 0; i < many; i++)
                pairs[i] = i;
            order_many.put(pairs), firsts_many.put(first_of_many);
            const ck_act act = {q_many.p, d_many.p, sums_many.p, nullptr, ld, 2};
            const ck_experts all = {many, 1, n_experts, expert_many.p, order_many.p, firsts_many.p};
            g.h = y_many.p, p.y = y_many.p;
            need(ck_gated(stream, &g, &act, many), "ck_gated");
            need(ck_down_experts(stream, &p, &act, &all), "ck_down_experts");
            done("products of many inputs", t.type);
        }

        const ck_cells cells = {token.p, nullptr, pos.p};
        need(ck_embed(stream, &w.m, &w.m, &cells, x.p, ld, rows), "ck_embed");
        need(ck_expand(stream, &w.m, halves.p, ld), "ck_expand");
        const ck_add_args add = {rows, n, x.p, ld, f.p, ld, scale.p, weight.p};
        need(ck_add_rows(stream, &add), "ck_add_rows");
        const ck_gate_rows_args gate = {
            rows, n, x.p, f.p, ld, scale.p, weight.p, weight.p, ORCD_ACT_GELU_GATED};
        need(ck_gate_rows(stream, &gate), "ck_gate_rows");
        done("values and rows", t.type);
    }
    simt_stream_destroy(stream);
    return tap_end();
}
