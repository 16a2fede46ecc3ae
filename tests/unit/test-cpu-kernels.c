/*
 * The kernels of the cpu plugin: every type, every instruction set that runs here, odd
 * shapes. Products are compared with a double precision dot product of the reference
 * dequantizers, and with themselves (to the bit) across instruction sets, numbers of
 * tokens and splits.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/quant-types.h"
#include "tests/lib/kernel-sets.h"

static const uint32_t types[] = {ORCD_TYPE_F32, ORCD_TYPE_F16, ORCD_TYPE_BF16, ORCD_TYPE_Q4_0, ORCD_TYPE_Q4_1,
    ORCD_TYPE_Q5_0, ORCD_TYPE_Q5_1, ORCD_TYPE_Q8_0, ORCD_TYPE_IQ4_NL, ORCD_TYPE_MXFP4, ORCD_TYPE_Q2_K,
    ORCD_TYPE_Q3_K, ORCD_TYPE_Q4_K, ORCD_TYPE_Q5_K, ORCD_TYPE_Q6_K, ORCD_TYPE_IQ4_XS};

static uint64_t seed = 1;

static uint32_t rnd(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33);
}

static float rnd_float(void)
{
    return (float)rnd() / (float)(1u << 30) - 1.0f;
}

static void *new_buffer(size_t bytes)
{
    void *p = aligned_alloc(CPU_ALIGN, (bytes + CPU_ALIGN) / CPU_ALIGN * CPU_ALIGN);
    assert_non_null(p);
    memset(p, 0x5a, bytes);
    return p;
}

/* Equal to the bit, or both NaN. */
static void assert_same(const float *a, const float *b, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&a[i], &b[i], sizeof(float)) && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("%s: element %zu is %a, not %a", what, i, (double)a[i], (double)b[i]);
    }
}

struct matrix {
    const struct quant_type *type;
    uint32_t rows, cols;
    uint8_t *file;
    size_t file_bytes;
    float *dense;
};

enum fill { FILL_SOUND, FILL_BYTES };

static struct matrix matrix_new(uint32_t type, uint32_t rows, uint32_t cols, enum fill fill)
{
    struct matrix m = {.type = quant_type_find(type), .rows = rows, .cols = cols};
    assert_non_null(m.type);
    const size_t n = (size_t)rows * cols;
    m.file_bytes = (size_t)quant_type_bytes(m.type, n);
    m.dense = malloc(n * sizeof(float));
    m.file = malloc(m.file_bytes); /* exact, so that reading beyond it is seen */
    assert_true(m.dense && m.file);
    for (size_t i = 0; i < n; i++)
        m.dense[i] = rnd_float() * (1.0f + (float)(i % 7)) + 0.3f;
    if (fill == FILL_BYTES)
        for (size_t i = 0; i < m.file_bytes; i++)
            m.file[i] = (uint8_t)rnd();
    else
        m.type->quantize(m.dense, m.file, n);
    m.type->dequantize(m.file, m.dense, n);
    return m;
}

static void matrix_free(struct matrix *m)
{
    free(m->file);
    free(m->dense);
}

static void *matrix_pack(const struct cpu_kernels *k, const struct matrix *m)
{
    const size_t bytes = cpu_matrix_bytes(m->type->id, m->rows, m->cols);
    assert_true(bytes > 0);
    void *p = new_buffer(bytes);
    k->pack(m->type->id, m->file, m->rows, m->cols, 0, cpu_matrix_panels(m->rows), p);
    return p;
}

/* Input rows as the type wants them. */
static void *inputs_new(
    const struct cpu_kernels *k, uint32_t type, const float *x, uint32_t cols, uint32_t n, size_t *stride)
{
    if (cpu_type_act(type) == CPU_ACT_F32) {
        *stride = cols * sizeof(float);
        void *p = new_buffer(*stride * n);
        memcpy(p, x, *stride * n);
        return p;
    }
    *stride = cpu_act_bytes(cols);
    char *p = new_buffer(*stride * n);
    for (uint32_t t = 0; t < n; t++)
        k->act_quantize(x + (size_t)t * cols, cols, p + t * *stride);
    return p;
}

/* y of all tokens in one call; pad floats after each row must stay as they are. */
static float *product(const struct cpu_kernels *k, const struct matrix *m, const void *packed, const float *x,
    uint32_t n, uint32_t pad)
{
    const struct cpu_matrix w = {m->type->id, m->rows, m->cols, packed};
    size_t stride;
    void *in = inputs_new(k, w.type, x, m->cols, n, &stride);
    const size_t y_stride = m->rows + pad;
    float *y = malloc(y_stride * n * sizeof(float)), *out = malloc((size_t)m->rows * n * sizeof(float));
    assert_true(y && out);
    for (size_t i = 0; i < y_stride * n; i++)
        y[i] = 12345.0f;
    k->matmul(&w, 0, cpu_matrix_panels(m->rows), in, stride, n, y, y_stride);
    for (uint32_t t = 0; t < n; t++) {
        memcpy(out + (size_t)t * m->rows, y + t * y_stride, m->rows * sizeof(float));
        for (uint32_t i = 0; i < pad; i++)
            assert_true(y[t * y_stride + m->rows + i] == 12345.0f);
    }
    free(y);
    free(in);
    return out;
}

static void assert_close(const struct matrix *m, const float *x, const float *y, uint32_t n)
{
    const bool q8 = cpu_type_act(m->type->id) == CPU_ACT_Q8;
    for (uint32_t t = 0; t < n; t++) {
        for (uint32_t r = 0; r < m->rows; r++) {
            double sum = 0, size = 0, step = 0;
            for (uint32_t k = 0; k < m->cols; k++) {
                const double w = (double)m->dense[(size_t)r * m->cols + k],
                             v = (double)x[(size_t)t * m->cols + k];
                if (k % 32 == 0 && q8) {
                    float top = 0;
                    for (uint32_t i = 0; i < 32; i++)
                        top = fmaxf(top, fabsf(x[(size_t)t * m->cols + k + i]));
                    step = (double)top / 127.0;
                }
                sum += w * v;
                size += fabs(w) * (fabs(v) * 1e-5 + step * 0.501);
            }
            const double got = (double)y[(size_t)t * m->rows + r];
            if (!(fabs(got - sum) <= size + 1e-30))
                fail_msg("%s %ux%u token %u row %u: %g, not %g +- %g", m->type->name, m->rows, m->cols, t, r,
                    got, sum, size);
        }
    }
}

static float *inputs_random(uint32_t n)
{
    float *x = malloc(n * sizeof(float));
    assert_non_null(x);
    for (uint32_t i = 0; i < n; i++)
        x[i] = rnd_float() * (i % 11 == 3 ? 5.0f : 1.0f);
    return x;
}

static void check_product(uint32_t type, uint32_t rows, uint32_t cols, uint32_t tokens)
{
    struct matrix m = matrix_new(type, rows, cols, FILL_SOUND);
    float *x = inputs_random(tokens * cols);
    float *first = NULL;
    const struct cpu_kernels *k;
    for (size_t s = 0; (k = set_at(s)); s++) {
        void *packed = matrix_pack(k, &m);
        float *y = product(k, &m, packed, x, tokens, s ? 3 : 0);
        assert_close(&m, x, y, tokens);
        /* one by one, and panel by panel */
        for (uint32_t t = 0; t < tokens; t++) {
            float *one = product(k, &m, packed, x + (size_t)t * cols, 1, 0);
            assert_same(one, y + (size_t)t * rows, rows, "one token alone");
            free(one);
        }
        if (first)
            assert_same(y, first, (size_t)rows * tokens, k->name);
        else
            first = y;
        if (y != first)
            free(y);
        free(packed);
    }
    free(first);
    free(x);
    matrix_free(&m);
}

static bool fits(uint32_t type, uint32_t cols)
{
    return cols % quant_type_find(type)->block_elems == 0;
}

static void test_product_shapes(void **state)
{
    (void)state;
    static const uint32_t cols[] = {32, 64, 256, 896, 1280};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        for (size_t c = 0; c < ARRAY_LEN(cols); c++) {
            if (!fits(types[i], cols[c]))
                continue;
            for (uint32_t rows = 1; rows <= 40; rows += 1 + rows / 3)
                check_product(types[i], rows, cols[c], 1 + (rows * 7 + (uint32_t)c) % 17);
        }
        check_product(types[i], 17, 4864, 5);
        check_product(types[i], 16, 256, 33);
    }
}

/* More tokens than a pass of the kernels takes. */
static void test_product_many_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        check_product(types[i], 3, 256, 131);
}

static void test_product_float_columns(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (uint32_t cols = 1; cols < 90; cols += 1 + cols / 4)
            check_product(types[i], 19, cols, 7);
}

/* Any split into panels and tokens gives the same bits. */
static void test_product_splits(void **state)
{
    (void)state;
    const uint32_t rows = 75, cols = 512, tokens = 13;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct matrix m = matrix_new(types[i], rows, cols, FILL_SOUND);
        float *x = inputs_random(tokens * cols);
        const struct cpu_kernels *k;
        for (size_t s = 0; (k = set_at(s)); s++) {
            void *packed = matrix_pack(k, &m);
            float *whole = product(k, &m, packed, x, tokens, 0),
                  *y = calloc((size_t)rows * tokens, sizeof(float));
            size_t stride;
            char *in = inputs_new(k, types[i], x, cols, tokens, &stride);
            const struct cpu_matrix w = {types[i], rows, cols, packed};
            for (uint32_t p = 0; p < 5;) {
                const uint32_t pn = p + 1 + rnd() % (5 - p);
                for (uint32_t t = 0; t < tokens;) {
                    const uint32_t n = 1 + rnd() % (tokens - t);
                    k->matmul(&w, p, pn, in + t * stride, stride, n, y + (size_t)t * rows, rows);
                    t += n;
                }
                p = pn;
            }
            assert_same(y, whole, (size_t)rows * tokens, k->name);
            free(in);
            free(y);
            free(whole);
            free(packed);
        }
        free(x);
        matrix_free(&m);
    }
}

static void test_pack_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct matrix m = matrix_new(types[i], 83, 256, FILL_BYTES);
        const struct cpu_kernels *k = set_at(0);
        const size_t bytes = cpu_matrix_bytes(types[i], m.rows, m.cols);
        assert_int_equal(bytes, (quant_type_bytes(m.type, (uint64_t)m.cols * 96) + 63) / 64 * 64);
        const size_t used = (size_t)quant_type_bytes(m.type, (uint64_t)m.cols * 96);
        uint8_t *whole = matrix_pack(k, &m), *parts = new_buffer(bytes);
        for (uint32_t p = 6; p-- > 0;)
            k->pack(types[i], m.file, m.rows, m.cols, p, p + 1, parts);
        assert_memory_equal(whole, parts, used);
        for (size_t s = 1; (k = set_at(s)); s++) {
            uint8_t *other = matrix_pack(k, &m);
            assert_memory_equal(whole, other, used);
            free(other);
        }
        /* from any place in a file, with nothing behind it */
        uint8_t *odd = malloc(m.file_bytes + 3);
        assert_non_null(odd);
        memcpy(odd + 3, m.file, m.file_bytes);
        set_at(0)->pack(types[i], odd + 3, m.rows, m.cols, 0, cpu_matrix_panels(m.rows), parts);
        assert_memory_equal(whole, parts, used);
        free(odd);
        free(whole);
        free(parts);
        matrix_free(&m);
    }
}

static void test_row_get(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        for (int fill = FILL_SOUND; fill <= FILL_BYTES; fill++) {
            struct matrix m = matrix_new(types[i], 21, 512, (enum fill)fill);
            const struct cpu_kernels *k = set_at(0);
            void *packed = matrix_pack(k, &m);
            const struct cpu_matrix w = {types[i], m.rows, m.cols, packed};
            float row[512];
            for (uint32_t r = 0; r < m.rows; r++) {
                k->row_get(&w, r, row);
                assert_same(row, m.dense + (size_t)r * m.cols, m.cols, m.type->name);
            }
            free(packed);
            matrix_free(&m);
        }
    }
}

/* Weights of any bytes (scales with NaN and infinities among them): the same everywhere. */
static void test_hostile_weights(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        for (int round = 0; round < 4; round++) {
            struct matrix m = matrix_new(types[i], 35, 512, FILL_BYTES);
            float *x = inputs_random(6 * m.cols), *first = NULL;
            const struct cpu_kernels *k;
            for (size_t s = 0; (k = set_at(s)); s++) {
                void *packed = matrix_pack(k, &m);
                float *y = product(k, &m, packed, x, 6, 0),
                      *one = product(k, &m, packed, x + 5 * m.cols, 1, 0);
                assert_same(one, y + (size_t)5 * m.rows, m.rows, m.type->name);
                if (first)
                    assert_same(y, first, (size_t)m.rows * 6, m.type->name);
                if (s == 0)
                    first = y;
                else
                    free(y);
                free(one);
                free(packed);
            }
            free(first);
            free(x);
            matrix_free(&m);
        }
    }
}

/* All bits of the quants and of the scales' integers; the scales of blocks are 1. */
static void matrix_fill(struct matrix *m, uint8_t byte)
{
    static const uint8_t one[4] = {0x00, 0x3c, 0x00, 0x3c};
    const uint32_t type = m->type->id;
    size_t at = 0;
    bool min = false;
    switch (type) {
    case ORCD_TYPE_Q4_1:
    case ORCD_TYPE_Q5_1:
    case ORCD_TYPE_Q4_K:
    case ORCD_TYPE_Q5_K:
        min = true;
        break;
    case ORCD_TYPE_Q2_K:
        at = 80;
        min = true;
        break;
    case ORCD_TYPE_Q3_K:
        at = 108;
        break;
    case ORCD_TYPE_Q6_K:
        at = 208;
        break;
    default:
        break;
    }
    memset(m->file, type == ORCD_TYPE_Q8_0 && byte ? 0x80 : byte, m->file_bytes);
    for (uint8_t *b = m->file; b < m->file + m->file_bytes; b += m->type->block_bytes) {
        if (type == ORCD_TYPE_MXFP4)
            *b = 128;
        else
            memcpy(b + at, one, min ? 4 : 2);
        if (type == ORCD_TYPE_Q6_K)
            memset(b + 192, 0x80, 16);
    }
    m->type->dequantize(m->file, m->dense, (size_t)m->rows * m->cols);
}

/* The largest quants and inputs of one sign: nothing may saturate. */
static void test_no_saturation(void **state)
{
    (void)state;
    for (size_t i = 3; i < ARRAY_LEN(types); i++) {
        for (int pattern = 0; pattern < 6; pattern++) {
            struct matrix m = matrix_new(types[i], 16, 256, FILL_SOUND);
            float x[3 * 256];
            for (size_t j = 0; j < ARRAY_LEN(x); j++)
                x[j] = pattern & 1 ? -1.0f : 1.0f;
            if (pattern >= 2)
                matrix_fill(&m, pattern >= 4 ? 0 : 0xff);
            const struct cpu_kernels *k;
            for (size_t s = 0; (k = set_at(s)); s++) {
                void *packed = matrix_pack(k, &m);
                float *y = product(k, &m, packed, x, 3, 0), *one = product(k, &m, packed, x, 1, 0);
                for (uint32_t r = 0; r < m.rows; r++) {
                    double sum = 0, size = 0;
                    for (uint32_t c = 0; c < m.cols; c++) {
                        sum += (double)m.dense[r * m.cols + c] * (double)x[c];
                        size += fabs((double)m.dense[r * m.cols + c]);
                    }
                    assert_true(fabs((double)y[r] - sum) <= 1e-5 * size);
                    assert_true(fabs((double)one[r] - sum) <= 1e-5 * size);
                }
                free(y);
                free(one);
                free(packed);
            }
            matrix_free(&m);
        }
    }
}

static void test_extreme_inputs(void **state)
{
    (void)state;
    const uint32_t cols = 256;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct matrix m = matrix_new(types[i], 18, cols, FILL_SOUND);
        float x[7 * 256], *first = NULL;
        for (uint32_t c = 0; c < cols; c++) {
            x[c] = 0.0f;
            x[cols + c] = rnd_float() * 1e30f;
            x[2 * cols + c] = rnd_float() * 1e-42f;
            x[3 * cols + c] = c == 40 ? NAN : rnd_float();
            x[4 * cols + c] = c == 40 ? INFINITY : rnd_float();
            x[5 * cols + c] = rnd_float() * 1e-36f;
            x[6 * cols + c] = c == 7 ? 3e38f : rnd_float();
        }
        const struct cpu_kernels *k;
        for (size_t s = 0; (k = set_at(s)); s++) {
            void *packed = matrix_pack(k, &m);
            float *y = product(k, &m, packed, x, 7, 0);
            for (uint32_t r = 0; r < m.rows; r++) {
                assert_true(y[r] == 0.0f);
                assert_true(isfinite(y[m.rows + r]));
                assert_true(fabsf(y[2 * m.rows + r]) < 1e-37f);
                assert_true(!isfinite(y[3 * m.rows + r])); /* poisoned, not silently wrong */
                assert_true(!isfinite(y[4 * m.rows + r]));
            }
            assert_close(&m, x + cols, y + m.rows, 1);
            if (first)
                assert_same(y, first, (size_t)m.rows * 7, k->name);
            if (s == 0)
                first = y;
            else
                free(y);
            free(packed);
        }
        free(first);
        matrix_free(&m);
    }
}

static void test_every_type_is_tested(void **state)
{
    (void)state;
    for (size_t i = 0; quant_type_at(i); i++) {
        bool tested = false;
        for (size_t k = 0; k < ARRAY_LEN(types); k++)
            tested = tested || types[k] == quant_type_at(i)->id;
        if (tested != cpu_type_supported(quant_type_at(i)->id))
            fail_msg("%s", quant_type_at(i)->name);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    assert_false(cpu_type_supported(ORCD_TYPE_Q8_1));
    assert_false(cpu_type_supported(77));
    assert_int_equal(cpu_matrix_bytes(ORCD_TYPE_Q4_0, 4, 33), 0);
    assert_int_equal(cpu_matrix_bytes(ORCD_TYPE_Q4_K, 4, 128), 0);
    assert_int_equal(cpu_matrix_bytes(ORCD_TYPE_F32, 0, 128), 0);
    assert_int_equal(cpu_matrix_bytes(ORCD_TYPE_F32, 4, 0), 0);
    assert_int_equal(cpu_matrix_bytes(ORCD_TYPE_F32, UINT32_MAX, UINT32_MAX), 0);
    assert_int_equal(cpu_matrix_bytes(ORCD_TYPE_Q8_0, 17, 64), 32 * 68);
    assert_int_equal(cpu_matrix_panels(0xfffffff1), 0x10000000);
    assert_ptr_equal(cpu_kernels_select("no such set"), NULL);
    assert_string_equal(cpu_kernels_select("c")->name, "c");
    assert_ptr_equal(cpu_kernels_select(NULL), cpu_kernels_at(0));
    assert_ptr_equal(cpu_kernels_select("auto"), cpu_kernels_at(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_is_tested),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_pack_ranges),
        cmocka_unit_test(test_row_get),
        cmocka_unit_test(test_product_shapes),
        cmocka_unit_test(test_product_many_tokens),
        cmocka_unit_test(test_product_float_columns),
        cmocka_unit_test(test_product_splits),
        cmocka_unit_test(test_hostile_weights),
        cmocka_unit_test(test_no_saturation),
        cmocka_unit_test(test_extreme_inputs),
    };
    return cmocka_run_group_tests_name("cpu kernels", tests, NULL, NULL);
}
