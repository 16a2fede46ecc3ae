/* The JSON scan, whole and cut at every byte; the writer; the two together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json/out.h"
#include "base/util.h"
#include "json/scan.h"

static const struct json_scan_limits limits = {.max_values = 100, .max_containers = 40, .max_keys = 20};
static const uint64_t seed[2] = {0x1234567890abcdef, 0xfedcba0987654321};

/* In two pieces, the first of `cut` bytes. */
static bool scan(const char *text, size_t n, size_t cut, const char **error)
{
    struct json_scan s;
    json_scan_init(&s, &limits, seed);
    bool ok = json_scan_push(&s, text, cut) && json_scan_push(&s, text + cut, n - cut);
    ok = json_scan_finish(&s) && ok;
    if (error)
        *error = s.error;
    json_scan_release(&s);
    return ok;
}

static void expect(const char *text, bool wanted)
{
    size_t n = strlen(text);
    const char *whole, *cut;
    bool ok = scan(text, n, n, &whole);
    if (ok != wanted)
        fail_msg("%s: %s", text, whole ? whole : "taken");
    for (size_t i = 0; i < n; i++) {
        if (scan(text, n, i, &cut) != wanted)
            fail_msg("%s cut at %zu: %s", text, i, cut ? cut : "taken");
        if (!wanted)
            assert_ptr_equal(cut, whole); /* the same reason wherever it is cut */
    }
}

static void test_good(void **state)
{
    (void)state;
    static const char *const good[] = {"{}", "[]", " [ ] ", "0", "-0", "1.5e-3", "-1E+2",
        "18446744073709551615", "-9223372036854775808", "true", "false", "null", "\"\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e\\ud834\\udd1e\"",
        "{\"a\":1,\"b\":{\"a\":2},\"c\":[{\"a\":1},{\"a\":1}]}", "[1,2,[3,[4]],\"x\"]",
        "{\"a\" :\t1 ,\r\n\"b\": 2}", "{\"\":0}", "1e400", "{\"a\":1,\"A\":2}"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        expect(good[i], true);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " ", "{", "[", "\"", "{\"a\"", "{\"a\":", "{\"a\":1", "[1,", "[1,]",
        "{,}", "{\"a\":1,}", "{1:2}", "{'a':1}", "[1 2]", "{\"a\" 1}", "tru", "truex", "nul", "True", "01",
        "-", "-a", "+1", ".5", "1.", "1.e1", "1e", "1e+", "0x1", "NaN", "Infinity", "-Infinity",
        "18446744073709551616", "-9223372036854775809", "\"\n\"", "\"\x1f\"", "\"\\x\"", "\"\\u12\"",
        "\"\\u12g4\"", "\"\\u0000\"", "\"\\ud834\"", "\"\\ud834x\"", "\"\\ud834\\n\"", "\"\\ud834\\u0041\"",
        "\"\\udd1e\"", "\"\xff\"", "\"\x80\"", "\"\xc0\x80\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"",
        "\"\xf0\x80\x80\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xc3\"", "\"\xe2\x82\"", "\xef\xbb\xbf{}", "{}{}",
        "{}x", "1 2", "]", "}", "[}", "{]", "{\"a\":1]", "[1}", "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}", "{\"\xc3\xa9\":1,\"\\u00e9\":2}",
        "{\"\xf0\x9d\x84\x9e\":1,\"\\ud834\\udd1e\":2}", "[{\"k\":{},\"k\":[]}]", "/**/{}", "{}//x",
        "\xa0{}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect(bad[i], false);
    assert_false(scan("{}\0", 3, 3, NULL));
    assert_false(scan("\"\0\"", 3, 1, NULL));
}

/* Strings are passed over several bytes at a time: whatever stands where in one, the
 * answer and its place are those of a scan byte by byte. */
static void test_any_byte_at_any_place(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 40; at++) {
        for (unsigned c = 0; c < 256; c++) {
            char text[44] = "\"abcdefghijklmnopqrstuvwxyz0123456789ABCD\"";
            struct json_scan whole, bytes;
            text[1 + at] = (char)c;
            json_scan_init(&whole, &limits, seed);
            json_scan_init(&bytes, &limits, seed);
            json_scan_push(&whole, text, 42);
            for (size_t i = 0; i < 42 && json_scan_push(&bytes, text + i, 1); i++) {}
            json_scan_finish(&whole);
            json_scan_finish(&bytes);
            assert_ptr_equal(whole.error, bytes.error);
            assert_int_equal(whole.offset, bytes.offset);
            if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
                assert_null(whole.error);
            else if (c != 0x7f && c != '\\')
                assert_non_null(whole.error);
            json_scan_release(&whole);
            json_scan_release(&bytes);
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    char text[512];
    for (int depth = JSON_SCAN_DEPTH; depth <= JSON_SCAN_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(scan(text, 2 * (size_t)depth, 3, NULL), depth <= JSON_SCAN_DEPTH);
    }
    for (int n = 99; n <= 100; n++) { /* values, and the array itself */
        size_t at = 0;
        text[at++] = '[';
        for (int i = 0; i < n; i++) {
            text[at++] = '0';
            text[at++] = i == n - 1 ? ']' : ',';
        }
        assert_int_equal(scan(text, at, 7, NULL), n <= 99);
    }
    for (int n = 39; n <= 40; n++) {
        size_t at = 0;
        text[at++] = '[';
        for (int i = 0; i < n; i++) {
            memcpy(text + at, i == n - 1 ? "{}]" : "{},", 3);
            at += 3;
        }
        assert_int_equal(scan(text, at, 7, NULL), n <= 39);
    }
    for (int n = 20; n <= 21; n++) {
        size_t at = 0;
        text[at++] = '{';
        for (int i = 0; i < n; i++) {
            char pair[] = "\"a\":0,";
            pair[1] = (char)('a' + i);
            pair[5] = i == n - 1 ? '}' : ',';
            memcpy(text + at, pair, 6);
            at += 6;
        }
        assert_int_equal(scan(text, at, 7, NULL), n <= 20);
    }
    memset(text, '1', sizeof(text));
    text[1] = '.';
    assert_true(scan(text, JSON_SCAN_NUMBER_BYTES, 9, NULL));
    assert_false(scan(text, JSON_SCAN_NUMBER_BYTES + 1, 9, NULL));
}

/* Whatever bytes a text has, what the writer makes of it passes the scan. */
static void test_writer(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int round = 0; round < 2000; round++) {
        char bytes[40];
        struct json_out o;
        size_t n;
        for (size_t i = 0; i < sizeof(bytes); i++) {
            random = random * 1664525 + 1013904223;
            bytes[i] = (char)(random >> 24 ? random >> 24 : 1); /* the scan refuses \u0000 */
        }
        json_out_growing(&o);
        json_out_open(&o, NULL, '{');
        json_out_text_n(&o, "t", bytes, sizeof(bytes));
        json_out_open(&o, "a", '[');
        json_out_u64(&o, NULL, UINT64_MAX);
        json_out_i64(&o, NULL, INT64_MIN);
        json_out_f64(&o, NULL, -1.5, 3);
        json_out_f64(&o, NULL, 0.0 / 0.0, 3);
        json_out_bool(&o, NULL, true);
        json_out_text(&o, NULL, NULL);
        json_out_close(&o, ']');
        json_out_close(&o, '}');
        char *text = json_out_take(&o, &n);
        assert_non_null(text);
        assert_true(scan(text, n, n / 2, NULL));
        for (size_t cap = 0; cap <= n; cap++) {
            char small[400];
            memset(small, 'x', sizeof(small));
            json_out_fixed(&o, small, cap);
            json_out_raw(&o, text, n);
            assert_null(json_out_take(&o, &n));
            assert_int_equal(small[cap], 'x');
            cap += 16;
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_any_byte_at_any_place),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
