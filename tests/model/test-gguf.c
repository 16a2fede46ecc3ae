/* What the reader accepts and what it refuses, byte by byte. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/gguf.h"
#include "model/quant-types.h"
#include "tests/lib/gguf-edit.h"
#include "tests/lib/gguf-writer.h"

static const uint64_t dims_64x2[2] = {64, 2};

/* Two keys and two tensors: F32 and Q4_0. */
static void small_file(struct gguf_writer *w)
{
    static const float f32[128] = {1.5f};
    static const unsigned char q4_0[72] = {0};
    gw_init(w);
    gw_str(w, "general.architecture", "test");
    gw_u32(w, "test.count", 7);
    gw_tensor(w, "first", ORCD_TYPE_F32, 2, dims_64x2, f32);
    gw_tensor(w, "second", ORCD_TYPE_Q4_0, 2, dims_64x2, q4_0);
}

/* Opens exactly n bytes and closes them again; returns the code. */
static int try_open(const void *p, size_t n, struct orcd_error *err)
{
    struct gguf *g = NULL;
    void *copy = exact_copy(p, n);
    int rc = gguf_open_memory(&g, copy, n, err);
    if (rc == 0)
        gguf_close(g);
    else
        assert_null(g);
    free(copy);
    return rc;
}

static void expect_buf(struct gw_buf b, int code, const char *text)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    int rc = try_open(b.p, b.n, &err);
    if (rc != code || (text && !strstr(err.msg, text)))
        print_error("got %d '%s', want %d '%s'\n", rc, err.msg, code, text ? text : "");
    assert_int_equal(rc, code);
    if (code != 0) {
        assert_int_equal(err.code, code);
        if (text)
            assert_non_null(strstr(err.msg, text));
    }
}

/* Opening the writer's file must return this code and message. Frees the writer. */
static void expect(struct gguf_writer *w, int code, const char *text)
{
    struct gw_buf b = gw_finish(w);
    gw_free(w);
    expect_buf(b, code, text);
    gw_buf_free(&b);
}

static void test_valid(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct gguf_writer w;
        struct gguf *g;
        uint64_t v;
        small_file(&w);
        w.version = version;
        struct gw_buf b = gw_finish(&w);
        assert_int_equal(gguf_open_memory(&g, b.p, b.n, NULL), 0);
        assert_int_equal(gguf_version(g), version);
        assert_int_equal(gguf_alignment(g), 32);
        assert_int_equal(gguf_n_kv(g), 2);
        assert_int_equal(gguf_n_tensors(g), 2);
        assert_int_equal(gguf_fd(g), -1);
        assert_int_equal(gguf_get_u64(g, "test.count", &v, NULL), 0);
        assert_int_equal(v, 7);
        const struct gguf_tensor *t = gguf_tensor_find(g, "second");
        assert_non_null(t);
        assert_int_equal(t->dims[0], 64);
        assert_int_equal(t->dims[1], 2);
        assert_int_equal(t->dims[3], 1);
        assert_int_equal(t->bytes, 72);
        assert_int_equal(t->offset, gguf_data_offset(g) + 512);
        assert_null(gguf_tensor_find(g, "third"));
        assert_null(gguf_find(g, "test"));
        assert_null(gguf_kv_at(g, 2));
        assert_null(gguf_tensor_at(g, 2));
        gguf_close(g);
        gw_buf_free(&b);
        gw_free(&w);
    }
    gguf_close(NULL);
}

static void test_truncated(void **state)
{
    (void)state;
    struct gguf_writer w;
    small_file(&w);
    struct gw_buf b = gw_finish(&w);
    size_t data_end = b.n - (96 - 72); /* the padding after the last tensor may be missing */
    for (size_t n = 0; n <= b.n; n++) {
        struct orcd_error err = ORCD_ERROR_INIT;
        int rc = try_open(b.p, n, &err);
        assert_int_equal(rc, n < data_end ? ORCD_E_INVALID : 0);
    }
    gw_buf_free(&b);
    gw_free(&w);
}

static void test_header(void **state)
{
    (void)state;
    static const struct {
        uint32_t version;
        int code;
    } versions[] = {{0, ORCD_E_INVALID}, {1, ORCD_E_UNSUPPORTED}, {4, ORCD_E_INVALID},
        {0x03000000, ORCD_E_UNSUPPORTED}, {0x02000000, ORCD_E_UNSUPPORTED}, {UINT32_MAX, ORCD_E_INVALID}};
    struct gguf_writer w;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        small_file(&w);
        w.version = versions[i].version;
        expect(&w, versions[i].code, NULL);
    }
    static const char *const magics[] = {"GGML", "FUGG", "gguf", "\0\0\0\0"};
    for (size_t i = 0; i < 4; i++) {
        small_file(&w);
        struct gw_buf b = gw_finish(&w);
        memcpy(b.p, magics[i], 4);
        expect_buf(b, ORCD_E_INVALID, "not a GGUF file");
        gw_buf_free(&b);
        gw_free(&w);
    }
}

static void test_counts(void **state)
{
    (void)state;
    const uint64_t counts[] = {UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 32, UINT64_C(1) << 31,
        SIZE_MAX / sizeof(struct gguf_kv), SIZE_MAX / sizeof(struct gguf_kv) + 1,
        SIZE_MAX / sizeof(struct gguf_kv) - 1, SIZE_MAX / sizeof(struct gguf_tensor),
        SIZE_MAX / sizeof(struct gguf_tensor) + 1, SIZE_MAX / sizeof(struct gguf_tensor) - 1, 3, 40};
    struct gguf_writer w;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        small_file(&w);
        w.n_kv = counts[i];
        expect(&w, ORCD_E_INVALID, NULL);
        small_file(&w);
        w.n_tensors = counts[i];
        expect(&w, ORCD_E_INVALID, NULL);
    }
}

static void test_strings(void **state)
{
    (void)state;
    const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 63, 1000000};
    for (size_t i = 0; i < 4; i++) {
        struct gguf_writer w;
        gw_init(&w);
        gw_raw(&w, "key", GGUF_STRING, &lengths[i], 8);
        expect(&w, ORCD_E_INVALID, "key 'key'");
        gw_init(&w); /* the key's own length */
        gw_put_u64(&w.kvs, lengths[i]);
        gw_put(&w.kvs, "key and more", 12);
        w.n_kv = 1;
        expect(&w, ORCD_E_INVALID, NULL);
        gw_init(&w); /* a tensor's name */
        gw_put_u64(&w.infos, lengths[i]);
        for (int k = 0; k < 10; k++)
            gw_put_u64(&w.infos, 0);
        w.n_tensors = 1;
        expect(&w, ORCD_E_INVALID, NULL);
    }
    /* One byte more than the file has. */
    struct gw_buf b = {0};
    gw_put(&b, "GGUF\3\0\0\0", 8);
    gw_put_u64(&b, 0);
    gw_put_u64(&b, 1);
    gw_put_str(&b, "key");
    gw_put_u32(&b, GGUF_STRING);
    gw_put_u64(&b, 5);
    gw_put(&b, "four", 4);
    expect_buf(b, ORCD_E_INVALID, "ends beyond the file");
    gw_put(&b, "5", 1);
    expect_buf(b, 0, NULL);
    gw_buf_free(&b);
}

static void test_arrays(void **state)
{
    (void)state;
    const uint64_t counts[] = {
        UINT64_MAX, UINT64_C(1) << 61, UINT64_C(1) << 62, UINT64_C(1) << 63, UINT64_MAX / 8 + 1, 100000};
    struct gguf_writer w;
    for (uint32_t type = 0; type < GGUF_TYPE_COUNT; type++)
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            gw_init(&w);
            gw_array(&w, "list", type, NULL, counts[i], 0);
            expect(&w, ORCD_E_INVALID, "key 'list'");
        }
    const uint32_t types[] = {GGUF_TYPE_COUNT, UINT32_MAX};
    for (size_t i = 0; i < 2; i++) {
        gw_init(&w);
        gw_array(&w, "list", types[i], "x", 1, 1);
        expect(&w, ORCD_E_INVALID, "unknown type");
    }
    gw_init(&w); /* depth 100000 */
    gw_raw(&w, "deep", GGUF_ARRAY, NULL, 0);
    for (int i = 0; i < 100000; i++) {
        gw_put_u32(&w.kvs, GGUF_ARRAY);
        gw_put_u64(&w.kvs, 1);
    }
    expect(&w, ORCD_E_INVALID, "array of arrays");
    gw_init(&w); /* strings: the second one is cut */
    struct gw_buf body = {0};
    gw_put_str(&body, "one");
    gw_put_u64(&body, UINT64_C(1) << 40);
    gw_array_strings(&w, "list", &body, 2);
    expect(&w, ORCD_E_INVALID, "string 2 of 2");
    gw_buf_free(&body);
    gw_init(&w); /* empty arrays are fine */
    gw_array(&w, "none", GGUF_STRING, NULL, 0, 0);
    gw_array(&w, "nothing", GGUF_F64, NULL, 0, 0);
    expect(&w, 0, NULL);
}

static void test_key_types(void **state)
{
    (void)state;
    const uint32_t types[] = {13, 14, 255, 256, UINT32_MAX};
    for (size_t i = 0; i < 5; i++) {
        struct gguf_writer w;
        gw_init(&w);
        gw_raw(&w, "key", types[i], "12345678", 8);
        expect(&w, ORCD_E_INVALID, "unknown type");
    }
}

static void test_names(void **state)
{
    (void)state;
    struct gguf_writer w;
    const uint64_t one = 8;
    char longest[65537];
    memset(longest, 'k', sizeof(longest));
    gw_init(&w);
    gw_u32(&w, "", 1);
    expect(&w, ORCD_E_INVALID, "0 bytes");
    gw_init(&w);
    longest[65536] = 0;
    gw_u32(&w, longest, 1);
    expect(&w, ORCD_E_INVALID, "65536 bytes");
    gw_init(&w);
    longest[65535] = 0;
    gw_u32(&w, longest, 1);
    expect(&w, 0, NULL);
    gw_init(&w);
    gw_u32(&w, "twice", 1);
    gw_u32(&w, "once", 1);
    gw_u32(&w, "twice", 1);
    expect(&w, ORCD_E_INVALID, "'twice' appears twice");
    gw_init(&w);
    gw_put_strn(&w.kvs, "a\0b", 3);
    gw_put_u32(&w.kvs, GGUF_U8);
    gw_put(&w.kvs, "", 1);
    w.n_kv = 1;
    expect(&w, ORCD_E_INVALID, "NUL");

    gw_init(&w);
    gw_tensor(&w, "", ORCD_TYPE_F32, 1, &one, "12345678901234567890123456789012");
    expect(&w, ORCD_E_INVALID, "0 bytes");
    small_file(&w);
    gw_tensor(&w, "first", ORCD_TYPE_F32, 2, dims_64x2, longest);
    expect(&w, ORCD_E_INVALID, "'first' appears twice");
    small_file(&w);
    longest[65] = 0;
    gw_tensor(&w, longest, ORCD_TYPE_F32, 1, &one, "12345678901234567890123456789012");
    expect(&w, ORCD_E_INVALID, "65 bytes");
    small_file(&w);
    longest[64] = 0;
    gw_tensor(&w, longest, ORCD_TYPE_F32, 1, &one, "12345678901234567890123456789012");
    expect(&w, 0, NULL);
    small_file(&w);
    memcpy(w.infos.p + 8 + 2, "\0", 1); /* in "first" */
    expect(&w, ORCD_E_INVALID, "NUL");
}

/* A million keys: anything quadratic would not end. */
static void test_many_keys(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct gguf_writer w;
    struct gguf *g;
    uint64_t v;
    gw_init(&w);
    for (int i = 0; i < N; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        gw_u32(&w, key, (uint32_t)i);
    }
    struct gw_buf b = gw_finish(&w);
    gw_free(&w);
    assert_int_equal(gguf_open_memory(&g, b.p, b.n, NULL), 0);
    assert_int_equal(gguf_n_kv(g), N);
    assert_int_equal(gguf_get_u64(g, "k999999", &v, NULL), 0);
    assert_int_equal(v, 999999);
    gguf_close(g);
    gw_buf_free(&b);
}

static void test_alignment(void **state)
{
    (void)state;
    const uint32_t bad[] = {0, 1, 4, 13, 24, 131072, UINT32_C(1) << 31, UINT32_MAX};
    const uint32_t good[] = {8, 16, 64, 4096, 65536};
    struct gguf_writer w;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        small_file(&w);
        gw_u32(&w, "general.alignment", bad[i]);
        expect(&w, ORCD_E_INVALID, "general.alignment");
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        static const float f32[128];
        gw_init(&w);
        gw_alignment(&w, good[i]);
        gw_tensor(&w, "first", ORCD_TYPE_F32, 2, dims_64x2, f32);
        gw_tensor(&w, "second", ORCD_TYPE_F16, 2, dims_64x2, f32);
        expect(&w, 0, NULL);
    }
    small_file(&w);
    gw_u64(&w, "general.alignment", 32);
    expect(&w, ORCD_E_INVALID, "u64");
    small_file(&w);
    gw_str(&w, "general.alignment", "32");
    expect(&w, ORCD_E_INVALID, "string");
}

/* One tensor with these dimensions and 1024 bytes of data. */
static void expect_tensor(uint32_t type, uint32_t n_dims, const uint64_t *dims, int code, const char *text)
{
    struct gguf_writer w;
    gw_init(&w);
    gw_put_str(&w.infos, "t");
    gw_put_u32(&w.infos, n_dims);
    for (uint32_t d = 0; d < (n_dims < 8 ? n_dims : 8); d++)
        gw_put_u64(&w.infos, dims[d < 4 ? d : 3]);
    gw_put_u32(&w.infos, type);
    gw_put_u64(&w.infos, 0);
    w.n_tensors = 1;
    for (int i = 0; i < 128; i++)
        gw_put_u64(&w.data, 0);
    expect(&w, code, text);
}

static void test_dims(void **state)
{
    (void)state;
    const uint64_t ones[4] = {1, 1, 1, 1}, big = UINT64_C(1) << 32;
    expect_tensor(ORCD_TYPE_F32, 1, ones, 0, NULL);
    expect_tensor(ORCD_TYPE_F32, 4, ones, 0, NULL);
    expect_tensor(ORCD_TYPE_F32, 0, ones, ORCD_E_INVALID, "0 dimensions");
    expect_tensor(ORCD_TYPE_F32, 5, ones, ORCD_E_INVALID, "5 dimensions");
    expect_tensor(ORCD_TYPE_F32, UINT32_MAX, ones, ORCD_E_INVALID, "dimensions");
    for (uint32_t d = 0; d < 4; d++) {
        uint64_t dims[4] = {32, 1, 1, 1};
        const uint64_t bad[] = {0, UINT64_MAX, UINT64_C(1) << 63};
        for (int i = 0; i < 3; i++) {
            dims[d] = bad[i];
            expect_tensor(ORCD_TYPE_F32, 4, dims, ORCD_E_INVALID, "dimension");
        }
    }
    /* Products that wrap to 0, to 1024 bytes' worth, and sizes that wrap in bytes. */
    expect_tensor(ORCD_TYPE_F32, 2, (uint64_t[]){big, big}, ORCD_E_INVALID, "elements");
    expect_tensor(ORCD_TYPE_F32, 3, (uint64_t[]){big, big, 256}, ORCD_E_INVALID, "elements");
    expect_tensor(
        ORCD_TYPE_F32, 4, (uint64_t[]){big + 1, big - 1, big + 1, big - 1}, ORCD_E_INVALID, "elements");
    expect_tensor(
        ORCD_TYPE_F32, 2, (uint64_t[]){UINT64_C(1) << 31, UINT64_C(1) << 31}, ORCD_E_INVALID, "bytes");
    expect_tensor(ORCD_TYPE_F64, 2, (uint64_t[]){big, UINT64_C(1) << 29}, ORCD_E_INVALID, "bytes");
    expect_tensor(
        ORCD_TYPE_F32, 2, (uint64_t[]){big, (UINT64_C(1) << 30) - 1}, ORCD_E_INVALID, "ends beyond the file");
    /* Just below 2^64 bytes: padding would wrap. */
    expect_tensor(ORCD_TYPE_F16, 1, (uint64_t[]){INT64_MAX}, ORCD_E_INVALID, "ends beyond the file");
    expect_tensor(
        ORCD_TYPE_F32, 1, (uint64_t[]){(UINT64_C(1) << 62) - 1}, ORCD_E_INVALID, "ends beyond the file");
    expect_tensor(ORCD_TYPE_F32, 1, (uint64_t[]){256}, 0, NULL);
    expect_tensor(ORCD_TYPE_F32, 1, (uint64_t[]){257}, ORCD_E_INVALID, "ends beyond the file");
}

static void test_types(void **state)
{
    (void)state;
    const uint32_t unknown[] = {4, 5, 16, 31, 32, 33, 34, 36, 40, 41, 42, 1000, UINT32_MAX};
    const uint64_t row = 256;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        expect_tensor(unknown[i], 1, &row, ORCD_E_UNSUPPORTED, "unknown block type");
    for (size_t i = 0; quant_type_at(i); i++) {
        const struct quant_type *q = quant_type_at(i);
        const uint64_t dims[2] = {q->block_elems, 2};
        expect_tensor(q->id, 2, dims, 0, NULL);
        if (q->block_elems > 1) {
            /* The elements are a multiple of the block, the row is not. */
            const uint64_t odd[2] = {q->block_elems / 2, 2};
            expect_tensor(q->id, 2, odd, ORCD_E_INVALID, "not a multiple");
        }
    }
}

/* Two F32 tensors of 64 elements; the second says it lies at offset. */
static void expect_offset(uint64_t offset, int code)
{
    static const float f32[64];
    const uint64_t n = 64;
    struct gguf_writer w;
    gw_init(&w);
    gw_tensor(&w, "first", ORCD_TYPE_F32, 1, &n, f32);
    gw_tensor(&w, "second", ORCD_TYPE_F32, 1, &n, f32);
    memcpy(w.infos.p + w.infos.n - 8, &offset, 8);
    expect(&w, code, code ? "second" : NULL);
}

static void test_offsets(void **state)
{
    (void)state;
    const uint64_t bad[] = {0, 32, 128, 255, 257, 264, 288, 512, 1 << 20, UINT64_C(1) << 63, UINT64_MAX - 255,
        UINT64_MAX, -(uint64_t)256};
    expect_offset(256, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_offset(bad[i], ORCD_E_INVALID);
}

static void test_values(void **state)
{
    (void)state;
    struct gguf_writer w;
    struct gguf *g;
    struct orcd_error err = ORCD_ERROR_INIT;
    const int8_t minus = -5;
    const uint64_t huge = UINT64_MAX;
    const double pi = 3.25;
    const int16_t list[3] = {-1, 2, 3};
    uint64_t u = 99;
    int64_t i = 99;
    double f = 99;
    bool b = false;
    struct gguf_str s;
    struct gguf_array a;
    gw_init(&w);
    gw_raw(&w, "i8", GGUF_I8, &minus, 1);
    gw_raw(&w, "u64", GGUF_U64, &huge, 8);
    gw_raw(&w, "f64", GGUF_F64, &pi, 8);
    gw_bool(&w, "bool", 1);
    gw_str(&w, "str", "text");
    gw_array(&w, "list", GGUF_I16, list, 3, 2);
    struct gw_buf body = {0};
    gw_put_str(&body, "a");
    gw_put_str(&body, "");
    gw_array_strings(&w, "texts", &body, 2);
    struct gw_buf file = gw_finish(&w);
    assert_int_equal(gguf_open_memory(&g, file.p, file.n, NULL), 0);

    assert_int_equal(gguf_get_u64(g, "i8", &u, &err), ORCD_E_INVALID);
    assert_string_equal(err.msg, "key 'i8' is negative");
    assert_int_equal(u, 99);
    assert_int_equal(gguf_get_i64(g, "i8", &i, &err), 0);
    assert_int_equal(i, -5);
    assert_int_equal(gguf_get_i64(g, "u64", &i, &err), ORCD_E_INVALID);
    assert_int_equal(gguf_get_u64(g, "u64", &u, &err), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(gguf_get_f64(g, "i8", &f, &err), 0);
    assert_true(f == -5);
    assert_int_equal(gguf_get_f64(g, "f64", &f, &err), 0);
    assert_true(f == 3.25);
    assert_int_equal(gguf_get_u64(g, "f64", &u, &err), ORCD_E_INVALID);
    assert_int_equal(gguf_get_f64(g, "bool", &f, &err), ORCD_E_INVALID);
    assert_int_equal(gguf_get_u64(g, "bool", &u, &err), ORCD_E_INVALID);
    assert_int_equal(gguf_get_bool(g, "bool", &b, &err), 0);
    assert_true(b);
    assert_int_equal(gguf_get_bool(g, "i8", &b, &err), ORCD_E_INVALID);
    assert_int_equal(gguf_get_str(g, "str", &s, &err), 0);
    assert_int_equal(s.n, 4);
    assert_memory_equal(s.p, "text", 4);
    assert_int_equal(gguf_get_str(g, "list", &s, &err), ORCD_E_INVALID);
    assert_int_equal(gguf_get_array(g, "str", &a, &err), ORCD_E_INVALID);
    err.code = 0;
    assert_int_equal(gguf_get_str(g, "absent", &s, &err), ORCD_E_NOT_FOUND);
    assert_int_equal(err.code, 0);
    assert_int_equal(gguf_get_array(g, "list", &a, &err), 0);
    assert_int_equal(a.n, 3);
    assert_true(gguf_array_f64(&a, 0) == -1);
    assert_true(gguf_array_u64(&a, 0) == UINT64_MAX);
    assert_int_equal(gguf_array_u64(&a, 2), 3);
    struct gguf_array_cursor c = gguf_array_strings(&a);
    assert_false(gguf_array_next(&c, &s));
    assert_int_equal(gguf_get_array(g, "texts", &a, &err), 0);
    c = gguf_array_strings(&a);
    assert_true(gguf_array_next(&c, &s));
    assert_memory_equal(s.p, "a", 1);
    assert_true(gguf_array_next(&c, &s));
    assert_int_equal(s.n, 0);
    assert_false(gguf_array_next(&c, &s));
    gguf_close(g);
    gw_buf_free(&body);
    gw_buf_free(&file);
    gw_free(&w);
}

static void test_split(void **state)
{
    (void)state;
    struct gguf_writer w;
    small_file(&w);
    gw_u32(&w, "split.count", 3);
    gw_u32(&w, "split.no", 0);
    expect(&w, ORCD_E_UNSUPPORTED, "3 files");
    small_file(&w);
    gw_u32(&w, "split.count", 3);
    expect(&w, ORCD_E_INVALID, "split.no");
    small_file(&w);
    gw_u32(&w, "split.count", 3);
    gw_u32(&w, "split.no", 3);
    expect(&w, ORCD_E_INVALID, "split.no is 3; it must be less than split.count, 3");
    small_file(&w);
    gw_u32(&w, "split.count", 1025);
    expect(&w, ORCD_E_INVALID, "1025 files");
    small_file(&w);
    gw_u32(&w, "split.count", 1);
    expect(&w, 0, NULL);
}

/* Opens part no of n of the model at stem, and checks the code and a part of the message. */
static void expect_part(const char *stem, unsigned no, unsigned n, int code, const char *word)
{
    char path[128];
    struct gguf *g = NULL;
    struct orcd_error err = ORCD_ERROR_INIT;
    snprintf(path, sizeof(path), "%s-%05u-of-%05u.gguf", stem, no, n);
    int rc = gguf_open(&g, path, &err);
    if (rc != code || (code && !strstr(err.msg, word)))
        print_error("got %d '%s', want %d '%s'\n", rc, rc ? err.msg : "", code, word);
    assert_int_equal(rc, code);
    if (code) {
        assert_non_null(strstr(err.msg, word));
        assert_memory_equal(err.msg, stem, strlen(stem)); /* the path of this part or of another */
    } else {
        gguf_close(g);
    }
}

static void test_parts(void **state)
{
    (void)state;
    char dir[] = "/tmp/orcd-test-gguf-XXXXXX", path[64], stem[64], name[128], other[128];
    struct gguf *g;
    struct gguf_writer w;
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/whole.gguf", dir);
    snprintf(stem, sizeof(stem), "%s/m", dir);
    gw_init(&w);
    gw_str(&w, "general.architecture", "none");
    float data[8];
    const uint64_t dims[1] = {8};
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 8; k++)
            data[k] = (float)(10 * i + k);
        snprintf(name, sizeof(name), "t%d", i);
        gw_tensor(&w, name, ORCD_TYPE_F32, 1, dims, data);
    }
    assert_int_equal(gw_write(&w, path), 0);
    gw_free(&w);
    for (int empty = 0; empty < 2; empty++) {
        gguf_split_file(path, stem, 3, empty);
        snprintf(name, sizeof(name), "%s-00001-of-00003.gguf", stem);
        assert_int_equal(gguf_open(&g, name, &err), 0);
        assert_int_equal(gguf_n_files(g), 3);
        assert_int_equal(gguf_n_tensors(g), 5);
        for (uint64_t i = 0; i < 5; i++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, i);
            snprintf(name, sizeof(name), "t%d", (int)i);
            assert_ptr_equal(gguf_tensor_find(g, name), t);
            memcpy(data, gguf_tensor_data(g, t), sizeof(data));
            assert_true(data[3] == (float)(10 * i + 3));
        }
        assert_true(gguf_tensor_at(g, 4)->file == 2);
        assert_true((gguf_tensor_at(g, 0)->file == 0) == !empty);
        gguf_close(g);
    }
    expect_part(stem, 2, 3, ORCD_E_UNSUPPORTED, "m-00001-of-00003.gguf");
    /* A part is another part, is missing, or has another name. */
    snprintf(name, sizeof(name), "%s-00002-of-00003.gguf", stem);
    snprintf(other, sizeof(other), "%s-00003-of-00003.gguf", stem);
    assert_int_equal(unlink(other), 0);
    expect_part(stem, 1, 3, ORCD_E_NOT_FOUND, "m-00003-of-00003.gguf");
    assert_int_equal(link(name, other), 0);
    expect_part(stem, 1, 3, ORCD_E_INVALID, "is part 2 of 3, but its name is that of part 3 of 3");
    gguf_split_file(path, stem, 3, false);
    snprintf(name, sizeof(name), "%s-00001-of-00003.gguf", stem);
    snprintf(other, sizeof(other), "%s/renamed.gguf", dir);
    assert_int_equal(rename(name, other), 0);
    assert_int_equal(gguf_open(&g, other, &err), ORCD_E_INVALID);
    assert_non_null(strstr(err.msg, "-00001-of-00003.gguf"));
    unlink(other);
    gguf_split_unlink(stem, 3);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

/* The path at the beginning of the message, and nowhere else in it. */
static void expect_named(const char *path, int code)
{
    struct gguf *g = NULL;
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(gguf_open(&g, path, &err), code);
    assert_null(g);
    assert_memory_equal(err.msg, path, strlen(path));
    assert_memory_equal(err.msg + strlen(path), ": ", 2);
    assert_null(strstr(err.msg + strlen(path), path));
}

static void test_files(void **state)
{
    (void)state;
    char dir[] = "/tmp/orcd-test-gguf-XXXXXX", path[64];
    struct gguf *g = NULL;
    struct gguf_writer w;
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_non_null(mkdtemp(dir));
    expect_named(dir, ORCD_E_INVALID);
    snprintf(path, sizeof(path), "%s/f", dir);
    expect_named(path, ORCD_E_NOT_FOUND);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_named(path, ORCD_E_INVALID); /* and does not wait for a writer */
    unlink(path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fclose(f);
    expect_named(path, ORCD_E_INVALID);
    small_file(&w);
    assert_int_equal(gw_write(&w, path), 0);
    gw_free(&w);
    assert_int_equal(gguf_open(&g, path, &err), 0);
    assert_true(gguf_fd(g) >= 0);
    assert_memory_equal(gguf_data(g), "GGUF", 4);
    gguf_close(g);
    unlink(path);
    rmdir(dir);
}

/* The head of this file is read in several steps: its keys are the same as in memory. Then the file is cut:
 * all but the weights is still there. */
static void test_cut_after_open(void **state)
{
    (void)state;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct gguf_writer w;
    struct gguf *g;
    char path[] = "/tmp/orcd-gguf-cut-XXXXXX";
    const uint64_t n = 3u << 20;
    unsigned char *long_array = calloc(n, 1), byte;
    assert_non_null(long_array);
    long_array[n - 1] = 7;
    close(mkstemp(path));
    small_file(&w);
    gw_array(&w, "test.long", GGUF_U8, long_array, n, 1);
    gw_str(&w, "test.last", "the end");
    assert_int_equal(gw_write(&w, path), 0);
    gw_free(&w);
    free(long_array);
    assert_int_equal(gguf_open(&g, path, &err), 0);
    const struct gguf_tensor *t = gguf_tensor_find(g, "second");
    assert_non_null(t);
    assert_int_equal(gguf_read(g, t->offset + t->bytes - 1, &byte, 1, &err), 0);
    assert_int_equal(truncate(path, 0), 0);
    struct gguf_array a;
    struct gguf_str s;
    assert_int_equal(gguf_get_array(g, "test.long", &a, &err), 0);
    assert_int_equal(gguf_array_u64(&a, n - 1), 7);
    assert_int_equal(gguf_get_str(g, "test.last", &s, &err), 0);
    assert_memory_equal(s.p, "the end", 7);
    assert_ptr_equal(gguf_tensor_find(g, "second"), t);
    assert_int_equal(gguf_read(g, t->offset, &byte, 1, &err), ORCD_E_IO);
    assert_non_null(strstr(err.msg, "cut short"));
    gguf_close(g);
    expect_named(path, ORCD_E_INVALID);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_after_open),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_key_types),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_dims),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
