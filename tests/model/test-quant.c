/* Compares dequantizers with a second implementation, which works bit by bit from the table in
 * docs/formats.md, and checks the error of the quantizers. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "model/quant-types.h"

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

/* Bits [at, at + n) of a little-endian bit string. */
static unsigned bits(const unsigned char *p, unsigned at, unsigned n)
{
    unsigned v = 0;
    for (unsigned i = 0; i < n; i++)
        v |= (unsigned)(p[(at + i) / 8] >> ((at + i) % 8) & 1) << i;
    return v;
}

static int signed8(unsigned v)
{
    return v < 128 ? (int)v : (int)v - 256;
}

static double half(const unsigned char *p)
{
    unsigned frac = bits(p, 0, 10), exp = bits(p, 10, 5);
    double v = exp == 31 ? (frac ? NAN : INFINITY)
               : exp     ? ldexp(1 + frac / 1024.0, (int)exp - 15)
                         : ldexp(frac / 1024.0, -14);
    return bits(p, 15, 1) ? -v : v;
}

/* Element e of 32 split nibbles. */
static unsigned nibble(const unsigned char *p, unsigned e)
{
    return bits(p, 8 * (e % 16) + (e >= 16 ? 4 : 0), 4);
}

static const int iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const double mx[16] = {0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6}; /* E2M1 */

static void scales_of_4k(const unsigned char *b, unsigned j, unsigned *s, unsigned *m)
{
    if (j < 4) {
        *s = bits(b, 8 * j, 6);
        *m = bits(b, 8 * (j + 4), 6);
    } else {
        *s = bits(b, 8 * (j + 4), 4) + 16 * bits(b, 8 * (j - 4) + 6, 2);
        *m = bits(b, 8 * (j + 4) + 4, 4) + 16 * bits(b, 8 * j + 6, 2);
    }
}

/* Element e of a block as product and offset: the value is product - offset. */
static int expected(uint32_t type, const unsigned char *b, unsigned e, double *product, double *offset)
{
    unsigned h = e / 128, g = e % 128 / 32, l = e % 32, s, m, q;
    float f;
    *offset = 0;
    switch (type) {
    case ORCD_TYPE_F32:
        memcpy(&f, b, 4);
        *product = (double)f;
        break;
    case ORCD_TYPE_F16:
        *product = half(b);
        break;
    case ORCD_TYPE_BF16: {
        unsigned char wide[4] = {0, 0, b[0], b[1]};
        memcpy(&f, wide, 4);
        *product = (double)f;
        break;
    }
    case ORCD_TYPE_Q4_0:
        *product = half(b) * ((int)nibble(b + 2, e) - 8);
        break;
    case ORCD_TYPE_Q4_1:
        *product = half(b) * nibble(b + 4, e);
        *offset = -half(b + 2);
        break;
    case ORCD_TYPE_Q5_0:
        *product = half(b) * ((int)(nibble(b + 6, e) + 16 * bits(b + 2, e, 1)) - 16);
        break;
    case ORCD_TYPE_Q5_1:
        *product = half(b) * (nibble(b + 8, e) + 16 * bits(b + 4, e, 1));
        *offset = -half(b + 2);
        break;
    case ORCD_TYPE_Q8_0:
        *product = half(b) * signed8(b[2 + e]);
        break;
    case ORCD_TYPE_Q8_1:
        *product = half(b) * signed8(b[4 + e]);
        break;
    case ORCD_TYPE_IQ4_NL:
        *product = half(b) * iq4[nibble(b + 2, e)];
        break;
    case ORCD_TYPE_MXFP4:
        *product = ldexp(mx[nibble(b + 1, e)], b[0] - 127);
        break;
    case ORCD_TYPE_Q2_K:
        q = bits(b + 16, 8 * (32 * h + l) + 2 * g, 2);
        *product = half(b + 80) * bits(b, 8 * (e / 16), 4) * q;
        *offset = half(b + 82) * bits(b, 8 * (e / 16) + 4, 4);
        break;
    case ORCD_TYPE_Q3_K: {
        unsigned i = e / 16;
        int scale = (int)(bits(b + 96, i < 8 ? 8 * i : 8 * (i - 8) + 4, 4) +
                          16 * bits(b + 96, 8 * (8 + i % 4) + 2 * (i / 4), 2)) -
                    32;
        int v = (int)bits(b + 32, 8 * (32 * h + l) + 2 * g, 2) - (bits(b, 8 * l + 4 * h + g, 1) ? 0 : 4);
        *product = half(b + 108) * scale * v;
        break;
    }
    case ORCD_TYPE_Q4_K:
        scales_of_4k(b + 4, e / 32, &s, &m);
        *product = half(b) * s * bits(b + 16, 8 * (32 * (e / 64) + l) + 4 * (e / 32 % 2), 4);
        *offset = half(b + 2) * m;
        break;
    case ORCD_TYPE_Q5_K:
        scales_of_4k(b + 4, e / 32, &s, &m);
        q = bits(b + 48, 8 * (32 * (e / 64) + l) + 4 * (e / 32 % 2), 4) +
            16 * bits(b + 16, 8 * l + e / 32, 1);
        *product = half(b) * s * q;
        *offset = half(b + 2) * m;
        break;
    case ORCD_TYPE_Q6_K: {
        unsigned low = bits(b, 8 * (64 * h + l + (g % 2 ? 32 : 0)) + (g >= 2 ? 4 : 0), 4);
        unsigned high = bits(b + 128, 8 * (32 * h + l) + 2 * g, 2);
        *product = half(b + 208) * signed8(b[192 + 8 * h + l / 16 + 2 * g]) * ((int)(low + 16 * high) - 32);
        break;
    }
    case ORCD_TYPE_Q8_K:
        memcpy(&f, b, 4);
        *product = (double)f * signed8(b[4 + e]);
        break;
    case ORCD_TYPE_IQ4_XS: {
        unsigned i = e / 32;
        int scale = (int)(bits(b + 4, 4 * i, 4) + 16 * bits(b + 2, 2 * i, 2)) - 32;
        *product = half(b) * scale * iq4[nibble(b + 8 + 16 * i, l)];
        break;
    }
    default:
        return -1;
    }
    return 0;
}

static void check_block(const struct quant_type *q, const unsigned char *block)
{
    float got[256];
    q->dequantize(block, got, q->block_elems);
    for (unsigned e = 0; e < q->block_elems; e++) {
        double product, offset;
        assert_int_equal(expected(q->id, block, e, &product, &offset), 0);
        double want = product - offset;
        if (!isfinite(want) || fabs(want) > (double)3e38f) {
            /* infinite scales, NaN, or beyond float: the same class is enough */
            assert_false(
                isfinite(product) && isfinite(offset) && fabs(want) < (double)3e38f && isnan(got[e]));
            continue;
        }
        double room = 2e-7 * (fabs(product) + fabs(offset)) + 1e-44;
        if (!(fabs((double)got[e] - want) <= room))
            print_error("%s element %u: %.9g, want %.9g\n", q->name, e, (double)got[e], want);
        assert_true(fabs((double)got[e] - want) <= room);
    }
}

static void test_dequantize(void **state)
{
    (void)state;
    size_t checked = 0;
    for (size_t i = 0; quant_type_at(i); i++) {
        const struct quant_type *q = quant_type_at(i);
        double product, offset;
        unsigned char block[300] = {0};
        if (q->id == ORCD_TYPE_F64 || (q->id >= ORCD_TYPE_I8 && q->id <= ORCD_TYPE_I64))
            continue;
        assert_int_equal(expected(q->id, block, 0, &product, &offset), 0);
        for (int n = 0; n < 2000; n++) {
            for (size_t k = 0; k < q->block_bytes; k++)
                block[k] = (unsigned char)(rng() >> 24);
            check_block(q, block);
        }
        checked++;
    }
    assert_int_equal(checked, 18);
}

static void test_integers(void **state)
{
    (void)state;
    const int8_t a[2] = {-128, 127};
    const int16_t b[2] = {-32768, 32767};
    const int32_t c[2] = {INT32_MIN, 65536};
    const int64_t d[2] = {INT64_MIN, 1 << 20};
    const double e[2] = {-0.1, 1e300};
    float x[2];
    quant_type_find(ORCD_TYPE_I8)->dequantize(a, x, 2);
    assert_true(x[0] == -128 && x[1] == 127);
    quant_type_find(ORCD_TYPE_I16)->dequantize(b, x, 2);
    assert_true(x[0] == -32768 && x[1] == 32767);
    quant_type_find(ORCD_TYPE_I32)->dequantize(c, x, 2);
    assert_true(x[0] == -0x1p31f && x[1] == 65536);
    quant_type_find(ORCD_TYPE_I64)->dequantize(d, x, 2);
    assert_true(x[0] == -0x1p63f && x[1] == 0x1p20f);
    quant_type_find(ORCD_TYPE_F64)->dequantize(e, x, 2);
    assert_true(x[0] == -0.1f && isinf(x[1]));
}

/* Blocks done by hand. */
static void test_by_hand(void **state)
{
    (void)state;
    float x[256];
    /* Q4_0, d = 0.5: byte 0 is 0xF0: element 0 is (0-8)/2, element 16 (15-8)/2. */
    unsigned char q4[18] = {0x00, 0x38, 0xf0};
    quant_type_find(ORCD_TYPE_Q4_0)->dequantize(q4, x, 32);
    assert_true(x[0] == -4 && x[16] == 3.5f && x[1] == -4 && x[17] == -4);
    /* Q8_0, d = 2 */
    unsigned char q8[34] = {0x00, 0x40, 0x80, 0x7f, 0xff};
    quant_type_find(ORCD_TYPE_Q8_0)->dequantize(q8, x, 32);
    assert_true(x[0] == -256 && x[1] == 254 && x[2] == -2 && x[3] == 0);
    /* MXFP4, e = 127: scale 1 on E2M1 values */
    unsigned char mxfp4[17] = {127, 0x71};
    quant_type_find(ORCD_TYPE_MXFP4)->dequantize(mxfp4, x, 32);
    assert_true(x[0] == 0.5f && x[16] == 6 && x[1] == 0);
    /* Q4_K, d = 1, dmin = 1: sub-block 0 has s = 3, m = 2; sub-block 7 s = 0x35, m = 0x2a. */
    unsigned char q4k[144] = {0x00, 0x3c, 0x00, 0x3c};
    q4k[4 + 0] = 3;
    q4k[4 + 4] = 2;
    q4k[4 + 3] = 3 << 6; /* top bits of s 7 */
    q4k[4 + 7] = 2 << 6; /* top bits of m 7 */
    q4k[4 + 11] = 0xa5;  /* low nibbles of s 7 (5) and m 7 (10) */
    q4k[16] = 0x04;      /* element 0 */
    q4k[16 + 96] = 0x10; /* element 224: high nibble */
    quant_type_find(ORCD_TYPE_Q4_K)->dequantize(q4k, x, 256);
    assert_true(x[0] == 3 * 4 - 2 && x[1] == -2);
    assert_true(x[224] == 0x35 - 0x2a && x[225] == -0x2a);
}

static void test_half(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        unsigned char b[2] = {(unsigned char)h, (unsigned char)(h >> 8)};
        double want = half(b);
        float got = quant_f16_to_f32((uint16_t)h);
        if (isnan(want)) {
            assert_true(isnan(got));
            assert_true(isnan(quant_f16_to_f32(quant_f32_to_f16(got))));
            continue;
        }
        assert_true((double)got == want && !signbit(got) == !signbit(want));
        assert_int_equal(quant_f32_to_f16(got), h);
        /* Between two neighbours: ties go to even, all else to the nearer. */
        if ((h & 0x7fff) < 0x7bff) {
            float up = quant_f16_to_f32((uint16_t)(h + 1)), mid = (got + up) / 2;
            assert_int_equal(quant_f32_to_f16(mid), h & 1 ? h + 1 : h);
            assert_int_equal(quant_f32_to_f16(nextafterf(mid, got)), h);
            assert_int_equal(quant_f32_to_f16(nextafterf(mid, up)), h + 1);
        }
    }
    assert_int_equal(quant_f32_to_f16(65519.99f), 0x7bff);
    assert_int_equal(quant_f32_to_f16(65520), 0x7c00);
    assert_int_equal(quant_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(quant_f32_to_f16(-1e-30f), 0x8000);
    for (int i = 0; i < 100000; i++) {
        uint32_t u = (uint32_t)rng();
        float f, back;
        memcpy(&f, &u, 4);
        uint16_t h = quant_f32_to_bf16(f);
        back = quant_bf16_to_f32(h);
        if (isnan(f)) {
            assert_true(isnan(back));
        } else if (isfinite(back)) {
            float down = quant_bf16_to_f32((uint16_t)(h - 1)), up = quant_bf16_to_f32((uint16_t)(h + 1));
            double error = fabs((double)f - back);
            assert_true(!(fabs((double)f - down) < error) && !(fabs((double)f - up) < error));
        }
    }
    assert_int_equal(quant_f32_to_bf16(1.00390625f), 0x3f80); /* a tie: to even */
    assert_int_equal(quant_f32_to_bf16(1.01171875f), 0x3f82);
}

static float gauss(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)(rng() >> 11) * 0x1p-53;
    return (float)(sum - 6);
}

/* The largest squared error over squared norm that each type may have on Gaussian data. */
static const struct {
    uint32_t type;
    double nmse;
} bounds[] = {{ORCD_TYPE_F32, 0}, {ORCD_TYPE_F16, 1e-7}, {ORCD_TYPE_BF16, 4e-6}, {ORCD_TYPE_Q4_0, 1e-2},
    {ORCD_TYPE_Q4_1, 8e-3}, {ORCD_TYPE_Q5_0, 3e-3}, {ORCD_TYPE_Q5_1, 2e-3}, {ORCD_TYPE_Q8_0, 5e-5},
    {ORCD_TYPE_Q2_K, 0.12}, {ORCD_TYPE_Q3_K, 0.04}, {ORCD_TYPE_Q4_K, 8e-3}, {ORCD_TYPE_Q5_K, 2e-3},
    {ORCD_TYPE_Q6_K, 6e-4}, {ORCD_TYPE_IQ4_NL, 1e-2}, {ORCD_TYPE_IQ4_XS, 1e-2}, {ORCD_TYPE_MXFP4, 2e-2}};

static void test_quantize(void **state)
{
    (void)state;
    enum { N = 256 * 64 };
    static float x[N], y[N];
    static unsigned char packed[N * 4];
    size_t seen = 0;
    for (int i = 0; i < N; i++)
        x[i] = gauss() * (i / 256 % 2 ? 1.0f : 0.02f);
    for (size_t i = 0; quant_type_at(i); i++) {
        const struct quant_type *q = quant_type_at(i);
        if (!q->quantize)
            continue;
        double bound = -1, error = 0, norm = 0;
        for (size_t k = 0; k < sizeof(bounds) / sizeof(bounds[0]); k++)
            if (bounds[k].type == q->id)
                bound = bounds[k].nmse;
        memset(packed, 0xa5, sizeof(packed));
        q->quantize(x, packed, N);
        q->dequantize(packed, y, N);
        for (int k = 0; k < N; k++) {
            error += ((double)x[k] - y[k]) * ((double)x[k] - y[k]);
            norm += (double)x[k] * x[k];
        }
        print_message("# %s: NMSE %.2e\n", q->name, error / norm);
        assert_true(error / norm <= bound);
        if (quant_type_bytes(q, N) < sizeof(packed))
            assert_int_equal(packed[quant_type_bytes(q, N)], 0xa5);
        seen++;
    }
    assert_int_equal(seen, sizeof(bounds) / sizeof(bounds[0]));
}

/* Zeros stay zeros. For any input no quant is out of its range, and nothing traps. */
static void test_quantize_odd(void **state)
{
    (void)state;
    const float odd[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1e38f, -1e38f, 1e-45f, 65504, 1e-8f};
    float x[256], y[256];
    unsigned char packed[1024];
    for (size_t i = 0; quant_type_at(i); i++) {
        const struct quant_type *q = quant_type_at(i);
        if (!q->quantize)
            continue;
        memset(x, 0, sizeof(x));
        q->quantize(x, packed, 256);
        q->dequantize(packed, y, 256);
        for (int k = 0; k < 256; k++)
            assert_true(y[k] == 0);
        for (int n = 0; n < 200; n++) {
            for (int k = 0; k < 256; k++)
                x[k] = rng() % 8 ? gauss() : odd[rng() % 10];
            q->quantize(x, packed, 256);
            q->dequantize(packed, y, 256);
        }
    }
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; quant_type_at(i); i++) {
        const struct quant_type *q = quant_type_at(i);
        assert_ptr_equal(quant_type_find(q->id), q);
        assert_ptr_equal(quant_type_by_name(q->name), q);
        assert_non_null(q->dequantize);
        assert_true(quant_type_bytes(q, q->block_elems) == q->block_bytes);
        assert_true(quant_type_bytes(q, 0) == 0);
        if (q->block_elems > 1)
            assert_true(quant_type_bytes(q, q->block_elems + 1) == UINT64_MAX);
        if (q->block_bytes > q->block_elems)
            assert_true(quant_type_bytes(q, UINT64_MAX / 256 * 256) == UINT64_MAX);
    }
    assert_null(quant_type_find(4));
    assert_null(quant_type_by_name("Q9_9"));
    assert_ptr_equal(quant_type_by_name("q4_k"), quant_type_find(ORCD_TYPE_Q4_K));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dequantize),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_quantize_odd),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
