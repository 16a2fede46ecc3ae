/* Pre-tokenizers: the table, bytes that are not UTF-8, and what a search that costs too much ends in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/tokenizer-internal.h"
#include "model/tokenizer-regex.h"

static struct orcd_error err = ORCD_ERROR_INIT;

static struct pretokenizer *compile(const struct pre_list *list)
{
    struct pretokenizer *p;
    if (pretokenizer_new(&p, list, true, &err))
        fail_msg("%s", err.msg);
    return p;
}

/* The words of text, each followed by '|'. */
static const char *words(const struct pretokenizer *p, const char *text)
{
    static char line[256];
    struct regex_room *room = NULL;
    struct pre_cut cut;
    size_t used = 0, k;
    int rc;
    pre_cut_init(&cut, p, &room, text, strlen(text));
    while ((rc = pre_cut_next(&cut, &k, &err)) == 1) {
        used += (size_t)snprintf(line + used, sizeof(line) - used, "%.*s|", (int)k, text);
        text += k;
    }
    assert_int_equal(rc, 0);
    regex_room_free(room);
    return line;
}

static void each_expression_cuts_what_the_last_one_left(void **state)
{
    (void)state;
    struct pretokenizer *p = compile(&(struct pre_list){{"[0-9]+", "b+\\z", "\\sc"}});
    assert_string_equal(words(p, "abb1bb c22"), "a|bb|1|bb| c|22|");
    pretokenizer_free(p);
}

static void a_space_is_what_unicode_calls_white(void **state)
{
    (void)state;
    struct pretokenizer *p = compile(&(struct pre_list){{"\\s+|[^\\s]+"}});
    assert_string_equal(words(p, "a \xc2\x85\xe3\x80\x80"
                                 "b\xe1\xa0\x8e"
                                 "c"),
        "a| \xc2\x85\xe3\x80\x80|b\xe1\xa0\x8e"
        "c|");
    pretokenizer_free(p);
}

static void bytes_that_are_not_utf8_are_a_word(void **state)
{
    (void)state;
    struct pretokenizer *p = compile(&(struct pre_list){{".+(?!\\S)|.+"}});
    /* The end of what is valid is the end of the text for a lookahead. */
    assert_string_equal(words(p, "a b\xff\xed\xa0\x80"
                                 "c\xe4\xbd"),
        "a b|\xff\xed\xa0\x80|c|\xe4\xbd|");
    assert_string_equal(words(p, "\xff"), "\xff|");
    assert_string_equal(words(p, "\xf4\x90\x80\x80\xc3\xa4"), "\xf4\x90\x80\x80|\xc3\xa4|");
    pretokenizer_free(p);
}

/* (?:a+)+ tries each way to cut the run in parts: without a limit for years. */
static void a_search_without_end_is_an_error(void **state)
{
    (void)state;
    struct tokenizer t = {.kind = KIND_BPE, .pre = compile(&(struct pre_list){{"(?:a+)+[bd]"}})};
    int32_t *ids;
    size_t n;
    const char *text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac";
    assert_int_equal(tokenizer_encode(&t, text, strlen(text), 0, &ids, &n, &err), ORCD_E_INVALID);
    assert_non_null(strstr(err.msg, "cannot be cut"));
    assert_non_null(strstr(err.msg, "match limit"));
    pretokenizer_free(t.pre);
}

static void a_wrong_expression_is_an_error(void **state)
{
    (void)state;
    struct pretokenizer *p;
    assert_int_equal(pretokenizer_new(&p, &(struct pre_list){{"a", "(b"}}, true, &err), ORCD_E_INVALID);
    assert_non_null(strstr(err.msg, "cannot be compiled"));
}

static void names_are_found_as_they_are(void **state)
{
    (void)state;
    const char *own;
    char names[PRE_ROW_NAMES_BYTES];
    assert_null(pre_row_find("tekke", 5, &own));
    assert_null(pre_row_find("tekkenx", 7, &own));
    assert_null(pre_row_find("", 0, &own));
    assert_non_null(pre_row_find("smollm", 6, &own));
    assert_string_equal(own, "smollm");
    /* The whole list fits. */
    assert_non_null(strstr(pre_row_names(names, sizeof(names)), "minicpm5"));
}

static void expressions_are_found_with_line_ends_of_both_spellings(void **state)
{
    (void)state;
    const char *class = pre_expression_find("[\\r\\n]", 6);
    assert_non_null(class);
    assert_ptr_equal(pre_expression_find("[\r\n]", 4), class);
    assert_null(pre_expression_find("[\r\n", 3));
    assert_null(pre_expression_find("[\r\n]\0", 5));
    assert_null(pre_expression_find("", 0));
    assert_null(pre_expression_find("[\n\r]", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_expression_cuts_what_the_last_one_left),
        cmocka_unit_test(a_space_is_what_unicode_calls_white),
        cmocka_unit_test(bytes_that_are_not_utf8_are_a_word),
        cmocka_unit_test(a_search_without_end_is_an_error),
        cmocka_unit_test(a_wrong_expression_is_an_error),
        cmocka_unit_test(names_are_found_as_they_are),
        cmocka_unit_test(expressions_are_found_with_line_ends_of_both_spellings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
