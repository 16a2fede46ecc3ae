/* The check of a running job: when it is due, and what it finds. */
#include "engine/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct engine_params params = {.check_every_tokens = 10, .check_every_ms = 20};

static void test_remaining(void **state)
{
    (void)state;
    struct job j = {.request.deadline_ns = 1000};
    assert_int_equal(job_remaining_ns(&j, 400), 600);
    assert_int_equal(job_remaining_ns(&j, 999), 1);
    assert_int_equal(job_remaining_ns(&j, 1000), 0);
    assert_int_equal(job_remaining_ns(&j, 5000), 0);
    j.request.deadline_ns = 0;
    assert_true(job_remaining_ns(&j, 5000) == UINT64_MAX);
}

static void test_late(void **state)
{
    (void)state;
    struct job j = {.request.deadline_ns = 1000};
    assert_false(job_is_late(&j, 999));
    assert_true(job_is_late(&j, 1000));
    assert_false(job_told_to_stop(&j));
    atomic_store(&j.abort_reason, ABORT_CANCEL); /* the first reason wins */
    assert_true(job_told_to_stop(&j));
    assert_false(job_is_late(&j, 1000));
}

static void test_due_by_tokens(void **state)
{
    (void)state;
    struct job j = {.request.deadline_ns = 1000};
    struct slot s = {.job = &j, .unchecked = 9, .checked_ns = 900};
    uint32_t looks = 0;
    assert_false(slot_check(&s, &params, 1000, &looks)); /* the job is late, but no check is due */
    assert_int_equal(looks, 0);
    s.unchecked = 10;
    assert_true(slot_check(&s, &params, 1000, &looks));
    assert_int_equal(looks, 1);
    assert_int_equal(s.unchecked, 0);
    assert_int_equal(s.checked_ns, 1000);
}

static void test_due_by_time(void **state)
{
    (void)state;
    struct job j = {.request.deadline_ns = 0};
    struct slot s = {.job = &j, .unchecked = 1, .checked_ns = 5};
    uint32_t looks = 0;
    assert_false(slot_check(&s, &params, 5 + 20 * NS_PER_MS - 1, &looks));
    assert_int_equal(looks, 0);
    assert_false(slot_check(&s, &params, 5 + 20 * NS_PER_MS, &looks)); /* no deadline */
    assert_int_equal(looks, 1);
    assert_int_equal(s.unchecked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remaining),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_due_by_tokens),
        cmocka_unit_test(test_due_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
