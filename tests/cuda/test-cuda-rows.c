/* Around the attention of the cuda plugin, against plain C in float64: rotation with biases, norms
 * and KV, choice of experts, pairs by expert, sums of experts. */
#include "device.h"

struct head_shape {
    uint32_t heads, kv_heads, dk, dv, rope, pairs;
    int bias, norm, scale;
};

static const struct head_shape head_shapes[] = {
    {2, 1, 8, 8, ORCD_ROPE_NORM, 4, 0, 0, 0},
    {4, 2, 64, 64, ORCD_ROPE_NEOX, 32, 1, 0, 0},
    {3, 3, 80, 80, ORCD_ROPE_NEOX, 20, 1, 0, 1},
    {4, 2, 96, 96, ORCD_ROPE_NORM, 24, 0, 1, 1},
    {8, 1, 128, 128, ORCD_ROPE_NEOX, 64, 0, 1, 0},
    {2, 2, 256, 128, ORCD_ROPE_NEOX, 128, 1, 1, 1},
    {4, 4, 64, 64, ORCD_ROPE_NONE, 0, 1, 0, 0},
    {2, 1, 6, 10, ORCD_ROPE_NORM, 1, 1, 1, 0},
};

#define ROWS 7u
#define PAGES 9u

struct qkv_data {
    float *x[3], *bias[3], *norm[2], *scale, *cs;
    uint32_t seq[ROWS], pos[ROWS], table[2 * 5];
};

static float *upload_floats(const float *p, size_t n)
{
    return p ? to_device(p, n * sizeof(*p)) : NULL;
}

/* What one head's row becomes. kind: 0 q, 1 k, 2 v. */
static void head_reference(const struct head_shape *s, const struct qkv_data *d, int kind, uint32_t row,
    uint32_t ld, uint32_t head, const double *inv_freq, double magnitude, double *out)
{
    const uint32_t dim = kind == 2 ? s->dv : s->dk;
    double square = 0;
    for (uint32_t i = 0; i < dim; i++) {
        out[i] = (double)d->x[kind][(size_t)row * ld + head * dim + i];
        if (d->scale)
            out[i] *= (double)d->scale[row];
        if (d->bias[kind])
            out[i] += (double)d->bias[kind][head * dim + i];
        square += out[i] * out[i];
    }
    if (kind == 2)
        return;
    if (d->norm[kind])
        for (uint32_t i = 0; i < dim; i++)
            out[i] *= (double)d->norm[kind][i] / sqrt(square / dim + 1e-5);
    for (uint32_t p = 0; p < s->pairs; p++) {
        const uint32_t i = s->rope == ORCD_ROPE_NEOX ? p : 2 * p,
                       j = s->rope == ORCD_ROPE_NEOX ? p + s->pairs : 2 * p + 1;
        const double angle = d->pos[row] * inv_freq[p], c = cos(angle) * magnitude,
                     n = sin(angle) * magnitude;
        const double a = out[i], b = out[j];
        out[i] = a * c - b * n;
        out[j] = a * n + b * c;
    }
}

static void check_qkv(const struct head_shape *s, const char *order)
{
    const uint32_t heads[3] = {s->heads, s->kv_heads, s->kv_heads}, dims[3] = {s->dk, s->dk, s->dv};
    const double magnitude = s->norm ? 1.25 : 1;
    double inv_freq[128];
    struct qkv_data d = {.scale = s->scale ? random_floats(ROWS, 1, 4) : NULL};
    uint32_t ld[3], most = s->dk > s->dv ? s->dk : s->dv;
    const uint64_t stride = (uint64_t)s->kv_heads * CK_PAGE * most;
    for (uint32_t p = 0; p < s->pairs; p++)
        inv_freq[p] = pow(10000, -2.0 * p / (2 * s->pairs));
    for (int i = 0; i < 3; i++) {
        ld[i] = (heads[i] * dims[i] + 7) / 4 * 4;
        d.x[i] = random_floats((size_t)ROWS * ld[i], -3, 3);
        d.bias[i] = s->bias ? random_floats(heads[i] * dims[i], -1, 1) : NULL;
    }
    for (int i = 0; i < 2; i++)
        d.norm[i] = s->norm ? random_floats(s->dk, 0, 2) : NULL;
    for (uint32_t i = 0; i < 10; i++)
        d.table[i] = (i * 7 + 3) % PAGES; /* 5 pages of sequence 0, 4 of sequence 1 that differ */
    const uint32_t pos[ROWS] = {0, 63, 64, 300, 5, 200, 128}, seq[ROWS] = {0, 0, 0, 0, 1, 1, 1};
    memcpy(d.pos, pos, sizeof(pos));
    memcpy(d.seq, seq, sizeof(seq));

    float *x[3], *bias[3], *norm[2];
    for (int i = 0; i < 3; i++) {
        x[i] = upload_floats(d.x[i], (size_t)ROWS * ld[i]);
        bias[i] = upload_floats(d.bias[i], heads[i] * dims[i]);
    }
    for (int i = 0; i < 2; i++)
        norm[i] = upload_floats(d.norm[i], s->dk);
    float *const scale = upload_floats(d.scale, ROWS);
    double *const freq = to_device(inv_freq, s->pairs * sizeof(double));
    float *const cs = to_device(NULL, (size_t)ROWS * 2 * s->pairs * 4);
    uint32_t *const on_pos = to_device(pos, sizeof(pos)), *const on_seq = to_device(seq, sizeof(seq)),
                    *const table = to_device(d.table, sizeof(d.table));
    ck_half *const k = to_device(NULL, PAGES * stride * 2), *const v = to_device(NULL, PAGES * stride * 2);
    ok(simt_memset_async(k, 0xFF, PAGES * stride * 2, test_stream));
    ok(simt_memset_async(v, 0xFF, PAGES * stride * 2, test_stream));

    use_order(order);
    ok(ck_rope_table(test_stream, on_pos, freq, s->pairs, magnitude, cs, ROWS));
    const struct ck_qkv_args a = {.rows = ROWS,
        .n_heads = s->heads,
        .n_kv_heads = s->kv_heads,
        .dk = s->dk,
        .dv = s->dv,
        .q = x[0],
        .k = x[1],
        .v = x[2],
        .ld_q = ld[0],
        .ld_k = ld[1],
        .ld_v = ld[2],
        .scale = scale,
        .q_bias = bias[0],
        .k_bias = bias[1],
        .v_bias = bias[2],
        .q_norm = norm[0],
        .k_norm = norm[1],
        .eps = 1e-5f,
        .rope = s->rope,
        .pairs = s->pairs,
        .cs = cs,
        .cells = {.seq = on_seq, .pos = on_pos},
        .kv = {k, v, stride, table, 5}};
    ok(ck_qkv(test_stream, &a));

    uint16_t *got[3] = {NULL, host_new(PAGES * stride, 2), host_new(PAGES * stride, 2)};
    float *const q = host_new((size_t)ROWS * ld[0], 4);
    from_device(got[1], k, PAGES * stride * 2);
    from_device(got[2], v, PAGES * stride * 2);
    from_device(q, x[0], (size_t)ROWS * ld[0] * 4);
    double want[256];
    size_t written[3] = {0, 0, 0};
    for (uint32_t r = 0; r < ROWS; r++)
        for (int kind = 0; kind < 3; kind++)
            for (uint32_t h = 0; h < heads[kind]; h++) {
                head_reference(s, &d, kind, r, ld[kind], h, inv_freq, magnitude, want);
                if (kind == 0) {
                    assert_true(worst_error(q + (size_t)r * ld[0] + h * s->dk, want, s->dk) < 3e-6);
                    continue;
                }
                const uint16_t *const at = got[kind] + d.table[seq[r] * 5 + pos[r] / CK_PAGE] * stride +
                                           (uint64_t)(h * CK_PAGE + pos[r] % CK_PAGE) * dims[kind];
                for (uint32_t i = 0; i < dims[kind]; i++)
                    assert_true(fabs(half_value(at[i]) - want[i]) <= fabs(want[i]) * 0x1.02p-11 + 4e-6);
                written[kind] += dims[kind];
            }
    /* Nothing else was touched. */
    for (int kind = 1; kind < 3; kind++)
        for (uint64_t i = 0; i < PAGES * stride; i++)
            written[kind] -= got[kind][i] != 0xFFFF;
    assert_int_equal(written[1], 0);
    assert_int_equal(written[2], 0);

    for (int i = 0; i < 3; i++) {
        simt_free(x[i]);
        simt_free(bias[i]);
        free(d.x[i]);
        free(d.bias[i]);
        free(got[i]);
    }
    for (int i = 0; i < 2; i++) {
        simt_free(norm[i]);
        free(d.norm[i]);
    }
    void *const rest[] = {scale, freq, cs, on_pos, on_seq, table, k, v};
    for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++)
        simt_free(rest[i]);
    free(q);
    free(d.scale);
}

static void test_qkv(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(head_shapes) / sizeof(*head_shapes); i++)
        for (size_t o = 0; o < 3; o++)
            check_qkv(&head_shapes[i], thread_orders[o]);
}

/* ------------------------------------------------------------------ experts */

static void check_route(uint32_t n, uint32_t used, uint32_t norm, float scale, int bias, const char *order)
{
    const uint32_t rows = 5, ld = (n + 7) / 4 * 4;
    float *logits = random_floats((size_t)rows * ld, -6, 6), *b = bias ? random_floats(n, -2, 2) : NULL;
    for (uint32_t i = 0; i < ld; i++)
        logits[i] = i % 3 == 1 ? 2.0f : i % 5 ? -0.0f : 0.0f; /* many equals */
    float *const on_logits = to_device(logits, (size_t)rows * ld * 4), *const on_bias = upload_floats(b, n);
    const size_t pairs = (size_t)rows * used;
    int32_t *const expert = to_device(NULL, pairs * 4), *const got = host_new(pairs, 4);
    float *const weight = to_device(NULL, pairs * 4), *const weights = host_new(pairs, 4);
    const struct ck_route_args a = {.rows = rows,
        .n = n,
        .used = used,
        .logits = on_logits,
        .ld = ld,
        .bias = on_bias,
        .norm = norm,
        .scale = scale,
        .expert = expert,
        .weight = weight};
    use_order(order);
    ok(ck_route(test_stream, &a));
    from_device(got, expert, pairs * 4);
    from_device(weights, weight, pairs * 4);
    for (uint32_t r = 0; r < rows; r++) {
        float *const l = logits + (size_t)r * ld;
        double sum = 0, max = -INFINITY;
        for (uint32_t e = 0; e < n; e++) {
            l[e] += b ? b[e] : 0;
            max = (double)l[e] > max ? (double)l[e] : max;
        }
        char *const taken = host_new(n, 1);
        for (uint32_t u = 0; u < used; u++) {
            uint32_t best = n;
            for (uint32_t e = 0; e < n; e++)
                if (!taken[e] && (best == n || l[e] > l[best]))
                    best = e;
            taken[best] = 1;
            assert_int_equal(got[r * used + u], best);
        }
        for (uint32_t e = 0; e < n; e++)
            if (!norm || taken[e])
                sum += exp((double)l[e] - max);
        for (uint32_t u = 0; u < used; u++) {
            const double want =
                exp((double)l[got[r * used + u]] - max) / sum * (scale != 0 ? (double)scale : 1);
            assert_true(fabs((double)weights[r * used + u] - want) <= want * 2e-6);
        }
        free(taken);
    }
    void *const device[] = {on_logits, on_bias, expert, weight};
    for (size_t i = 0; i < 4; i++)
        simt_free(device[i]);
    free(logits);
    free(b);
    free(got);
    free(weights);
}

static void test_route(void **state)
{
    (void)state;
    for (size_t o = 0; o < 3; o++) {
        check_route(4, 4, 1, 0, 0, thread_orders[o]);
        check_route(8, 2, 0, 0, 0, thread_orders[o]);
        check_route(32, 4, 1, 1.5f, 1, thread_orders[o]);
        check_route(33, 1, 0, 2.5f, 1, thread_orders[o]);
        check_route(128, 8, 1, 0, 0, thread_orders[o]);
        check_route(1000, 32, 0, 0, 1, thread_orders[o]);
        check_route(1024, 32, 1, 0, 0, thread_orders[o]);
    }
}

static void check_pairs(uint32_t n_pairs, uint32_t n_experts, const char *order)
{
    int32_t *const expert = host_new(n_pairs, 4);
    uint32_t *const listed = host_new(n_pairs, 4), *const first = host_new(n_experts + 1, 4);
    for (uint32_t i = 0; i < n_pairs; i++)
        expert[i] = (int32_t)(random_u32() % n_experts / (1 + random_u32() % 3));
    int32_t *const on_expert = to_device(expert, n_pairs * 4);
    uint32_t *const on_order = to_device(NULL, n_pairs * 4), *const on_first =
                                                                 to_device(NULL, (n_experts + 1) * 4);
    use_order(order);
    ok(ck_list_pairs(test_stream, on_expert, n_pairs, n_experts, on_order, on_first));
    from_device(listed, on_order, n_pairs * 4);
    from_device(first, on_first, (n_experts + 1) * 4);
    uint32_t at = 0;
    for (uint32_t e = 0; e < n_experts; e++) {
        assert_int_equal(first[e], at);
        for (uint32_t i = 0; i < n_pairs; i++)
            if ((uint32_t)expert[i] == e)
                assert_int_equal(listed[at++], i);
    }
    assert_int_equal(first[n_experts], n_pairs);
    simt_free(on_expert);
    simt_free(on_order);
    simt_free(on_first);
    free(expert);
    free(listed);
    free(first);
}

static void test_pairs(void **state)
{
    (void)state;
    for (size_t o = 0; o < 3; o++) {
        check_pairs(1, 1, thread_orders[o]);
        check_pairs(4, 32, thread_orders[o]);
        check_pairs(33, 5, thread_orders[o]);
        check_pairs(600, 128, thread_orders[o]);
        check_pairs(64, 1024, thread_orders[o]);
    }
}

static void check_sum(uint32_t rows, uint32_t used, uint32_t n, const char *order)
{
    const uint32_t ld_x = (n + 7) / 4 * 4, ld_y = (n + 3) / 4 * 4;
    float *const x = random_floats((size_t)rows * ld_x, -1, 1), *const got = host_new((size_t)rows * ld_x, 4);
    float *const y = random_floats((size_t)rows * used * ld_y, -1, 1);
    float *const w = random_floats((size_t)rows * used, 0, 1);
    float *const on_x = to_device(x, (size_t)rows * ld_x * 4),
                 *const on_w = to_device(w, (size_t)rows * used * 4),
                 *const on_y = to_device(y, (size_t)rows * used * ld_y * 4);
    use_order(order);
    const struct ck_sum_args a = {
        .rows = rows, .n = n, .used = used, .x = on_x, .ld_x = ld_x, .y = on_y, .ld_y = ld_y, .weight = on_w};
    ok(ck_sum_experts(test_stream, &a));
    from_device(got, on_x, (size_t)rows * ld_x * 4);
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < ld_x; i++) {
            double want = (double)x[(size_t)r * ld_x + i];
            for (uint32_t u = 0; i < n && u < used; u++)
                want += (double)w[r * used + u] * (double)y[((size_t)r * used + u) * ld_y + i];
            assert_true(fabs((double)got[(size_t)r * ld_x + i] - want) <= 2e-6);
        }
    simt_free(on_x);
    simt_free(on_w);
    simt_free(on_y);
    free(x);
    free(got);
    free(y);
    free(w);
}

static void test_sum(void **state)
{
    (void)state;
    for (size_t o = 0; o < 3; o++) {
        check_sum(1, 1, 1, thread_orders[o]);
        check_sum(3, 4, 514, thread_orders[o]);
        check_sum(2, 8, 1027, thread_orders[o]);
    }
}

int main(void)
{
    if (device_absent())
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qkv),
        cmocka_unit_test(test_route),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_sum),
    };
    return cmocka_run_group_tests_name("cuda rows", tests, device_setup, device_teardown);
}
