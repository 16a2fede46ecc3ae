/* Two steps in flight: which rows a plugin that samples on its device gets, and how jobs end with a row in
 * flight. test-engine and test-engine-abort run with this pipeline, too. */
#include "engine/engine-internal.h"
#include "lib/engine-harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static char expected[64];

static int alone_first(void **state)
{
    (void)state;
    struct harness h;
    harness_pipeline = false;
    harness_start(&h, NULL);
    struct job *j = harness_submit(&h, harness_request("a", "alone", 20));
    harness_wait_end(j);
    strcpy(expected, harness_text(j));
    job_unref(j);
    assert_int_equal(fake_most_steps(h.backend), 1);
    harness_stop(&h);
    harness_pipeline = true;
    return 0;
}

static void the_next_step_follows_at_once(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_gate_close(h.backend);
    struct job *j = harness_submit(&h, harness_request("a", "alone", 20));
    fake_gate_reached(h.backend);
    assert_int_equal(fake_steps_in_flight(h.backend), 2); /* prefill, and the row chained to it */
    uint64_t before = fake_tokens_computed(h.backend);
    fake_gate_open(h.backend);
    harness_wait_end(j);
    assert_true(engine_wait_idle(h.engine, 10000));
    assert_string_equal(harness_text(j), expected);
    /* The end was known beforehand, so no row too many was sent. */
    assert_int_equal(fake_tokens_computed(h.backend) - before, 5 + 19);
    job_unref(j);
    harness_stop(&h);
}

/* A slot that the host samples for would run in every other step only. */
static void who_samples_here_is_waited_for(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_gate_close(h.backend);
    struct request r = harness_request("host", "alone", 20);
    r.sampling.want_logprob = true;
    struct job *host = harness_submit(&h, r);
    fake_gate_reached(h.backend);
    assert_int_equal(fake_steps_in_flight(h.backend), 1);
    struct job *device = harness_submit(&h, harness_request("device", "alone", 20));
    for (int i = 0; i < 5; i++) {
        fake_gate_pass(h.backend);
        fake_gate_reached(h.backend);
        assert_int_equal(fake_steps_in_flight(h.backend), 1);
    }
    fake_gate_open(h.backend);
    harness_wait_end(host);
    harness_wait_end(device);
    assert_string_equal(harness_text(host), expected);
    assert_string_equal(harness_text(device), expected);
    job_unref(host);
    job_unref(device);
    harness_stop(&h);
}

static void news_of_six_jobs(uint32_t send_now_rows)
{
    struct harness h;
    struct job *j[6];
    atomic_store(&harness_send_now, 0);
    atomic_store(&harness_send_later, 0);
    harness_start(&h, &(struct harness_params){.slots = 6, .send_now_rows = send_now_rows});
    fake_gate_close(h.backend);
    for (int i = 0; i < 6; i++)
        j[i] = harness_submit(&h, harness_request((const char[]){(char)('a' + i), 0}, "alone", 20));
    fake_gate_open(h.backend);
    for (int i = 0; i < 6; i++) {
        harness_wait_end(j[i]);
        assert_string_equal(harness_text(j[i]), expected);
        job_unref(j[i]);
    }
    assert_int_equal(fake_most_rows(h.backend), 6);
    harness_stop(&h);
}

/* The engine thread may send the tokens of six jobs only while the device has a step to work on. */
static void the_device_at_work_leaves_time_to_hand_on(void **state)
{
    (void)state;
    news_of_six_jobs(6);
    assert_int_not_equal(harness_send_now, 0);
    assert_int_equal(harness_send_later, 0);
    news_of_six_jobs(5);
    assert_int_not_equal(harness_send_later, 0);
    harness_pipeline = false;
    news_of_six_jobs(6);
    harness_pipeline = true;
    assert_int_not_equal(harness_send_later, 0);
}

/* The slices of a prompt do not need each other's results. */
static void slices_follow_at_once(void **state)
{
    (void)state;
    struct harness h;
    char prompt[301];
    memset(prompt, 'p', 300);
    prompt[300] = 0;
    harness_start(&h, &(struct harness_params){.batch = 100});
    fake_gate_close(h.backend);
    struct request r = harness_request("a", prompt, 3);
    r.sampling.want_logprob = true;
    struct job *j = harness_submit(&h, r);
    fake_gate_reached(h.backend);
    assert_int_equal(fake_steps_in_flight(h.backend), 2);
    fake_gate_open(h.backend);
    harness_wait_end(j);
    assert_int_equal(j->end.tokens_out, 3);
    job_unref(j);
    harness_stop(&h);
}

/* The row behind the end is dropped; the tokens that were fed are a prefix like any other. */
static void an_end_drops_the_row_in_flight(void **state)
{
    (void)state;
    static const char *const stops[] = {NULL, "two"};
    for (int i = 0; i < 2; i++) {
        struct harness h;
        harness_start(&h, NULL);
        fake_script(h.backend, "one two");
        struct request r = harness_request("a", "x|", 60);
        if (stops[i]) {
            r.n_stop = 1;
            r.stop[0].n = (uint32_t)strlen(stops[i]);
            memcpy(r.stop[0].text, stops[i], r.stop[0].n);
        }
        struct job *j = harness_submit(&h, r);
        harness_wait_end(j);
        assert_string_equal(harness_text(j), stops[i] ? "one " : "one two");
        assert_int_equal(j->end.finish, stops[i] ? FINISH_STOP_SEQUENCE : FINISH_STOP);
        assert_true(engine_wait_idle(h.engine, 10000));
        job_unref(j);
        j = harness_submit(&h, harness_request("b", "x|one two!", 1));
        harness_wait_end(j);
        assert_true(j->started.cached_tokens >= 8 && j->started.cached_tokens <= 9);
        job_unref(j);
        harness_stop(&h);
    }
}

static void a_cancel_dooms_both_rows(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_gate_close(h.backend);
    struct job *j = harness_submit(&h, harness_request("a", "alone", 20));
    fake_gate_reached(h.backend);
    fake_gate_pass(h.backend);
    fake_gate_reached(h.backend);
    assert_int_equal(fake_steps_in_flight(h.backend), 2);
    engine_cancel(h.engine, "a");
    assert_int_equal(j->end.code, API_CANCELLED);
    /* The gate is closed: only doomed steps pass. */
    assert_true(engine_wait_idle(h.engine, 10000));
    assert_int_equal(fake_steps_in_flight(h.backend), 0);
    fake_gate_open(h.backend);
    job_unref(j);
    j = harness_submit(&h, harness_request("b", "alone", 20));
    harness_wait_end(j);
    assert_string_equal(harness_text(j), expected);
    job_unref(j);
    harness_stop(&h);
}

static void the_next_step_is_composed_late(void **state)
{
    (void)state;
    struct pace p = {.from_ns = 1000};
    assert_int_equal(pace_due_ns(&p), 0);
    for (int i = 0; i < PACE_STEPS; i++)
        pace_learn(&p, 20 * NS_PER_MS);
    assert_int_equal(pace_due_ns(&p), 1000 + 15 * NS_PER_MS);
    pace_learn(&p, 3 * NS_PER_MS); /* the shortest counts, and the margin is 1 ms at least */
    assert_int_equal(pace_due_ns(&p), 1000 + 2 * NS_PER_MS);
    for (int i = 0; i < PACE_STEPS; i++)
        pace_learn(&p, NS_PER_MS / 2);
    assert_int_equal(pace_due_ns(&p), 0);
    for (int i = 0; i < PACE_STEPS; i++)
        pace_learn(&p, 3600 * NS_PER_S);
    assert_int_equal(pace_due_ns(&p), 1000 + PACE_MOST_NS);
}

/* While the engine waits to compose the next step, it notices jobs that arrive and stop. */
static void news_come_before_the_next_step(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    for (int i = 0; i < PACE_STEPS; i++)
        pace_learn(&h.engine->pace, 2 * NS_PER_MS);
    fake_finish_ahead(h.backend, 3600 * NS_PER_S); /* the step behind begins in an hour */
    fake_gate_close(h.backend);
    struct job *a = harness_submit(&h, harness_request("a", "first", 20));
    fake_gate_reached(h.backend); /* the prefill, and the row behind it, which is composed at once */
    fake_gate_pass(h.backend);
    harness_wait_tokens(a, 1);
    struct job *b = harness_submit(&h, harness_request("b", "alone", 20));
    harness_wait_started(b); /* it has a slot while a's step is in flight ... */
    assert_false(job_ended(b));
    assert_int_equal(fake_steps_in_flight(h.backend), 1);
    fake_finish_ahead(h.backend, 0);
    engine_cancel(h.engine, "a"); /* ... whose only job is stopping now */
    fake_gate_reached(h.backend);
    fake_gate_open(h.backend);
    harness_wait_end(b);
    assert_string_equal(harness_text(b), expected);
    job_unref(a);
    job_unref(b);
    harness_stop(&h);
}

/* A failed step ends its jobs; a job that was only in the step behind it goes on. */
static void the_step_behind_a_failure_runs_again(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_gate_close(h.backend);
    struct job *a = harness_submit(&h, harness_request("a", "first", 20));
    fake_gate_reached(h.backend); /* steps 1 and 2 */
    struct job *b = harness_submit(&h, harness_request("b", "alone", 20));
    fake_gate_pass(h.backend);
    fake_gate_reached(h.backend); /* step 2, and 3 with b in it */
    assert_int_equal(fake_steps_in_flight(h.backend), 2);
    fake_fail_next_wait(h.backend, ORCD_E_DEVICE);
    fake_gate_open(h.backend);
    harness_wait_end(a);
    harness_wait_end(b);
    assert_int_equal(a->end.code, API_BACKEND_ERROR);
    assert_int_equal(b->end.code, API_OK);
    assert_string_equal(harness_text(b), expected);
    job_unref(a);
    job_unref(b);
    harness_stop(&h);
}

static void a_lost_device_ends_all(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_gate_close(h.backend);
    struct job *a = harness_submit(&h, harness_request("a", "first", 20));
    fake_gate_reached(h.backend);
    fake_fail_next_wait(h.backend, ORCD_E_DEVICE_LOST);
    fake_gate_open(h.backend);
    harness_wait_end(a);
    assert_int_equal(a->end.code, API_DEVICE_LOST);
    assert_true(engine_wait_idle(h.engine, 10000));
    assert_int_equal(fake_steps_in_flight(h.backend), 1); /* the lost device gets no more calls */
    job_unref(a);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_step_follows_at_once),
        cmocka_unit_test(who_samples_here_is_waited_for),
        cmocka_unit_test(the_device_at_work_leaves_time_to_hand_on),
        cmocka_unit_test(slices_follow_at_once),
        cmocka_unit_test(an_end_drops_the_row_in_flight),
        cmocka_unit_test(a_cancel_dooms_both_rows),
        cmocka_unit_test(the_next_step_is_composed_late),
        cmocka_unit_test(news_come_before_the_next_step),
        cmocka_unit_test(the_step_behind_a_failure_runs_again),
        cmocka_unit_test(a_lost_device_ends_all),
    };
    return cmocka_run_group_tests(tests, alone_first, NULL);
}
