/* Repacking, expansion, rows of the embedding: bit for bit what core/model's dequantizers say. */
#include "tests/cuda/weights.h"

static simt_stream *stream;

static uint16_t half_of(float v)
{
    v = v > 65504.0f ? 65504.0f : v < -65504.0f ? -65504.0f : v;
    return quant_f32_to_f16(v);
}

static void test_type(uint32_t type, uint32_t n_rows, uint32_t n_cols, std::vector<size_t> pieces)
{
    file_matrix f = random_matrix(type, n_rows, n_cols, n_cols * 31 + n_rows);
    if (type == ORCD_TYPE_MXFP4) { /* the ends of its scale's range */
        f.bytes[0] = 0;
        if (f.bytes.size() > 17 * 3)
            f.bytes[17] = 1, f.bytes[34] = 2;
    }
    if (type == ORCD_TYPE_BF16 || type == ORCD_TYPE_F32) { /* beyond FP16 */
        const uint16_t big = 0x7E00;
        memcpy(f.bytes.data() + (type == ORCD_TYPE_F32 ? 2 : 0), &big, 2);
    }
    quant_type_find(type)->dequantize(f.bytes.data(), f.values.data(), f.values.size());
    device_matrix d(f, pieces);
    const uint32_t ld = (n_cols + 7) / 8 * 8 + 8;
    device_array<ck_half> out(static_cast<size_t>(n_rows) * ld);
    need(ck_expand(stream, &d.m, out.p, ld), "ck_expand");
    need(simt_stream_sync(stream), "expand");
    std::vector<ck_half> halves(out.n);
    out.get(halves.data());
    size_t wrong = 0;
    for (uint32_t r = 0; r < n_rows; r++)
        for (uint32_t c = 0; c < ld; c++)
            wrong += halves[static_cast<size_t>(r) * ld + c] !=
                     (c < n_cols ? half_of(f.values[static_cast<size_t>(r) * n_cols + c]) : 0);
    ok(wrong == 0 && d.intact(), "%s %u x %u: expanded (%zu wrong)", type_name(type), n_rows, n_cols, wrong);

    /* rows in some order, the last twice; then added to themselves as positions */
    const uint32_t rows = 5, ld_x = (n_cols + 3) / 4 * 4 + 4;
    std::vector<int32_t> token = {static_cast<int32_t>(n_rows - 1), 0, static_cast<int32_t>(n_rows / 2),
        static_cast<int32_t>(n_rows - 1), 0};
    std::vector<uint32_t> pos = {0, n_rows - 1, n_rows / 3, 0, 0};
    device_array<int32_t> tokens(rows);
    device_array<uint32_t> positions(rows);
    tokens.put(token.data());
    positions.put(pos.data());
    ck_cells cells = {tokens.p, nullptr, positions.p};
    for (int with = 0; with < 2; with++) {
        std::vector<float> x(rows * ld_x, 123.0f);
        device_array<float> to(x.size());
        to.put(x.data());
        need(ck_embed(stream, &d.m, with ? &d.m : nullptr, &cells, to.p, ld_x, rows), "ck_embed");
        need(simt_stream_sync(stream), "embed");
        to.get(x.data());
        wrong = 0;
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t c = 0; c < ld_x; c++) {
                float want = 123.0f;
                if (c < n_cols) {
                    want = f.values[static_cast<size_t>(token[r]) * n_cols + c];
                    if (with)
                        want += f.values[static_cast<size_t>(pos[r]) * n_cols + c];
                }
                wrong += memcmp(&want, &x[r * ld_x + c], 4) != 0;
            }
        ok(wrong == 0, "%s %u x %u: rows%s (%zu wrong)", type_name(type), n_rows, n_cols,
            with ? " and positions" : "", wrong);
    }
}

/* planes.c counts planes as the kernels use them, and finds rows in the middle of them. */
static void test_planes()
{
    bool right = true, refused = true;
    for (const type_form &t : all_types) {
        const uint32_t n = ck_is_float(t.type) ? 13 : 512, n_rows = 9;
        const file_matrix f = random_matrix(t.type, n_rows, n, 3);
        const std::vector<size_t> bytes = device_matrix::sizes(f);
        ck_layout l;
        right = right && ck_matrix_layout(t.type, n_rows, n, &l);
        const uint64_t each[4] = {l.q, l.h, l.s, l.d};
        uint64_t sum = 0;
        for (int i = 0; i < 4; i++)
            right = right && each[i] == (bytes[i] + 255) / 256 * 256, sum += each[i];
        right = right && sum == l.bytes;
        refused = refused && (ck_is_float(t.type) || !ck_matrix_layout(t.type, n_rows, t.d ? 288 : 40, &l));

        device_array<uint8_t> memory(l.bytes), src(f.bytes.size());
        ck_matrix m;
        ck_matrix_place(&m, t.type, n_rows, n, memory.p);
        src.put(f.bytes.data());
        need(ck_repack(stream, &m, src.p, 0, f.bytes.size() / quant_type_find(t.type)->block_bytes),
            "ck_repack");
        const uint32_t ld = (n + 7) / 8 * 8;
        device_array<ck_half> all(n_rows * ld), some(3 * ld);
        const ck_matrix part = ck_matrix_rows(&m, 5, 3);
        need(ck_expand(stream, &m, all.p, ld), "ck_expand");
        need(ck_expand(stream, &part, some.p, ld), "ck_expand");
        need(simt_stream_sync(stream), "rows");
        std::vector<ck_half> a(all.n), b(some.n);
        all.get(a.data()), some.get(b.data());
        right = right && !memcmp(a.data() + 5 * ld, b.data(), b.size() * sizeof(ck_half));
    }
    ok(right, "planes are where the host says, rows in their middle too");
    ck_layout l;
    for (size_t i = 0; quant_type_at(i); i++) {
        bool tested = false;
        for (const type_form &t : all_types)
            tested = tested || t.type == quant_type_at(i)->id;
        refused = refused && tested == (ck_matrix_layout(quant_type_at(i)->id, 1, 512, &l) != 0);
    }
    ok(refused && !ck_matrix_layout(ORCD_TYPE_Q8_K, 1, 256, &l) &&
            !ck_matrix_layout(ORCD_TYPE_F32, 1u << 31, 1u << 31, &l),
        "shapes and types that there are no planes for");
}

int main()
{
    if (simt_device_use(0)) {
        printf("1..0 # SKIP %s\n", simt_error_text());
        return 77;
    }
    need(ck_touch_weights(), "ck_touch_weights");
    need(simt_stream_create(&stream, 0), "stream");
    for (const type_form &t : all_types) {
        const uint32_t block = quant_type_find(t.type)->block_elems;
        test_type(t.type, 1, block, {});
        test_type(t.type, 7, 3 * block, {1, 4, 9});
        test_type(t.type, 3, block == 1 ? 1001 : block == 32 ? 1184 : 2304, {2, 1});
        if (block == 1) {
            test_type(t.type, 5, 64, {8, 101, 64});
            test_type(t.type, 4, 13, {5, 20});
        }
    }
    test_planes();
    simt_stream_destroy(stream);
    simt_usage u;
    simt_usage_get(&u);
    ok(u.device_bytes == 0 && u.misuses == 0, "nothing held, no misuse");
    return tap_end();
}
