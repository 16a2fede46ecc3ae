/* Aborted jobs: cancel, disconnect, deadline and shutdown in every phase. The gate of the fake backend makes
 * each race deterministic. */
#include "lib/engine-harness.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static char long_prompt[301];

static void cancel_in_prefill_keeps_the_prefix(void **state)
{
    (void)state;
    struct harness h;
    char cold[64];
    harness_start(&h, &(struct harness_params){.batch = 100});
    struct job *j = harness_submit(&h, harness_request("cold", long_prompt, 10));
    harness_wait_end(j);
    strcpy(cold, harness_text(j));
    job_unref(j);
    harness_stop(&h);

    harness_start(&h, &(struct harness_params){.batch = 100});
    fake_gate_close(h.backend);
    fake_kept_on_abort(h.backend, 30);
    j = harness_submit(&h, harness_request("a", long_prompt, 10));
    fake_gate_reached(h.backend); /* step 1: tokens 0..99 */
    fake_gate_pass(h.backend);
    fake_gate_reached(h.backend); /* step 2 */
    assert_int_equal(engine_cancel(h.engine, "a"), CANCEL_CANCELLING);
    harness_wait_end(j); /* the step still waits at the gate, or has ended because its row was doomed */
    assert_int_equal(j->end.code, API_CANCELLED);
    assert_int_equal(j->end.phase, JOB_PREFILL);
    assert_true(engine_wait_idle(h.engine, 10000)); /* all its rows were doomed, so the gate let it pass */
    job_unref(j);
    fake_gate_open(h.backend);
    j = harness_submit(&h, harness_request("a", long_prompt, 10));
    harness_wait_end(j);
    assert_int_equal(j->started.cached_tokens, 130);
    assert_string_equal(harness_text(j), cold);
    job_unref(j);
    harness_stop(&h);
}

static void cancel_dooms_one_row_only(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_script(h.backend, "the others go on");
    fake_gate_close(h.backend);
    struct job *a = harness_submit(&h, harness_request("a", "x|", 30));
    struct job *b = harness_submit(&h, harness_request("b", "y|", 30));
    fake_gate_reached(h.backend);
    fake_gate_pass(h.backend);
    fake_gate_reached(h.backend);
    engine_cancel(h.engine, "a");
    harness_wait_end(a);
    fake_gate_open(h.backend);
    harness_wait_end(b);
    assert_string_equal(harness_text(b), "the others go on");
    job_unref(a);
    job_unref(b);
    harness_stop(&h);
}

static void cancel_in_the_queue(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, &(struct harness_params){.slots = 1});
    fake_gate_close(h.backend);
    struct job *a = harness_submit(&h, harness_request("a", "x", 3));
    fake_gate_reached(h.backend);
    struct job *b = harness_submit(&h, harness_request("b", "x", 3));
    assert_int_equal(engine_cancel(h.engine, "b"), CANCEL_CANCELLING);
    assert_true(job_ended(b));
    assert_int_equal(b->end.phase, JOB_QUEUED);
    assert_false(atomic_load(&b->has_started));
    assert_int_equal(engine_cancel(h.engine, "b"), CANCEL_FINISHED);
    assert_int_equal(engine_cancel(h.engine, "never"), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel(h.engine, ""), CANCEL_UNKNOWN);
    fake_gate_open(h.backend);
    harness_wait_end(a);
    job_unref(a);
    job_unref(b);
    harness_stop(&h);
}

struct canceller {
    pthread_t thread;
    pthread_barrier_t *start;
    struct harness *h;
    struct job *job;
    enum abort_reason reason;
};

static void *canceller_main(void *arg)
{
    struct canceller *c = arg;
    pthread_barrier_wait(c->start);
    engine_job_abort(c->h->engine, c->job, c->reason);
    return NULL;
}

/* Two clients abort the job while it is about to finish: there is one terminal event, and the slot is free
 * again. */
static void races_end_once(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    for (int round = 0; round < 200; round++) {
        struct request r = harness_request("r", "x", 1 + (uint32_t)round % 8);
        uint64_t before = harness_outcomes();
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, 3);
        struct job *j = harness_submit(&h, r);
        struct canceller c[2];
        for (int i = 0; i < 2; i++) {
            c[i] = (struct canceller){
                .start = &start, .h = &h, .job = j, .reason = i ? ABORT_DISCONNECT : ABORT_CANCEL};
            pthread_create(&c[i].thread, NULL, canceller_main, &c[i]);
        }
        if (round % 2)
            harness_wait_tokens(j, 1);
        pthread_barrier_wait(&start);
        harness_wait_end(j);
        for (int i = 0; i < 2; i++)
            pthread_join(c[i].thread, NULL);
        assert_true(engine_wait_idle(h.engine, 10000));
        assert_int_equal(harness_outcomes() - before, 1);
        assert_true(
            j->end.code == API_OK || j->end.code == API_CANCELLED || j->end.code == API_CLIENT_DISCONNECTED);
        pthread_barrier_destroy(&start);
        job_unref(j);
    }
    harness_stop(&h);
}

static struct request due_in(const char *id, const char *prompt, uint64_t ms)
{
    struct request r = harness_request(id, prompt, 50);
    r.deadline_ns = clock_mono_ns() + ms * NS_PER_MS;
    return r;
}

/* Runs a job whose deadline is in `phase`: the gate holds it there. On a busy machine the deadline may come
 * earlier; then the job is run again with more time. */
static void deadline_in(struct harness *h, enum job_phase phase, const char *prompt, bool partial)
{
    for (uint64_t ms = 20; ms < 60000; ms *= 2) {
        fake_gate_close(h->backend);
        struct request r = due_in("d", prompt, ms);
        r.deadline_partial = partial;
        struct job *j = harness_submit(h, r);
        harness_wait_started(j);
        if (phase == JOB_DECODE) {
            fake_gate_pass(h->backend);
            harness_wait_tokens(j, 1);
        }
        harness_wait_end(j);
        assert_true(clock_mono_ns() >= j->request.deadline_ns);
        bool there = j->end.phase == phase;
        if (there && partial) {
            assert_int_equal(j->end.code, API_OK);
            assert_int_equal(j->end.finish, FINISH_DEADLINE);
            assert_string_equal(harness_text(j), "\xef\xbf\xbd"); /* the held text is flushed */
        } else if (there) {
            assert_int_equal(j->end.code, API_DEADLINE_EXCEEDED);
            assert_int_equal(j->end.tokens_out, phase == JOB_DECODE);
        }
        fake_gate_open(h->backend);
        assert_true(engine_wait_idle(h->engine, 10000));
        job_unref(j);
        if (there)
            return;
    }
    fail_msg("no deadline fell into the phase");
}

static void deadlines_fire_in_every_phase(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, &(struct harness_params){.slots = 1, .batch = 100});
    deadline_in(&h, JOB_PREFILL, long_prompt, false);
    deadline_in(&h, JOB_DECODE, "x", false);
    struct engine_refusal why;
    assert_int_equal(harness_try(&h, due_in("past", "x", 0), &why), API_DEADLINE_EXCEEDED);
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 3));
    fake_gate_reached(h.backend);
    struct job *queued = harness_submit(&h, due_in("q", "x", 200));
    harness_wait_end(queued);
    assert_int_equal(queued->end.code, API_DEADLINE_EXCEEDED);
    assert_int_equal(queued->end.phase, JOB_QUEUED);
    assert_true(clock_mono_ns() >= queued->request.deadline_ns);
    fake_gate_open(h.backend);
    harness_wait_end(running);
    job_unref(running);
    job_unref(queued);
    harness_stop(&h);
}

static void partial_answers_end_with_what_there_is(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_script(h.backend, "\xe2\x82");
    fake_gate_close(h.backend);
    deadline_in(&h, JOB_DECODE, "x|", true);
    harness_stop(&h);
}

static void a_hung_device_keeps_nobody_waiting(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_gate_close(h.backend);
    fake_hang(h.backend, true);
    struct request r = due_in("partial", "x", 500);
    r.deadline_partial = true;
    struct job *a = harness_submit(&h, r);
    fake_gate_reached(h.backend);
    struct job *b = harness_submit(&h, harness_request("b", "y", 5)); /* it gets no step either */
    harness_wait_end(a);
    assert_int_equal(a->end.finish, FINISH_DEADLINE);
    engine_cancel(h.engine, "b");
    assert_true(job_ended(b));
    struct engine_state st;
    engine_state(h.engine, &st);
    assert_true(st.work_pending);
    assert_int_equal(st.slots_busy, 1); /* busy until the plugin returns */
    fake_hang(h.backend, false);
    fake_gate_open(h.backend);
    assert_true(engine_wait_idle(h.engine, 10000));
    job_unref(a);
    job_unref(b);
    harness_stop(&h);
}

static void drain_ends_the_queue_and_spares_the_running(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    harness_start(&h, &(struct harness_params){.slots = 1});
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 5));
    fake_gate_reached(h.backend);
    struct job *queued = harness_submit(&h, harness_request("q", "x", 5));
    engine_drain(h.engine);
    assert_true(job_ended(queued));
    assert_int_equal(queued->end.code, API_SHUTTING_DOWN);
    assert_false(job_ended(running));
    assert_int_equal(harness_try(&h, harness_request("n", "x", 5), &why), API_SHUTTING_DOWN);
    fake_gate_open(h.backend);
    harness_wait_end(running);
    assert_int_equal(running->end.code, API_OK);
    job_unref(running);
    job_unref(queued);
    harness_stop(&h);
}

static void free_ends_everything(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, &(struct harness_params){.slots = 1});
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 5));
    fake_gate_reached(h.backend);
    struct job *queued = harness_submit(&h, harness_request("q", "x", 5));
    harness_stop(&h);
    assert_int_equal(running->end.code, API_SHUTTING_DOWN);
    assert_int_equal(queued->end.code, API_SHUTTING_DOWN);
    job_unref(running);
    job_unref(queued);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_in_prefill_keeps_the_prefix),
        cmocka_unit_test(cancel_dooms_one_row_only),
        cmocka_unit_test(cancel_in_the_queue),
        cmocka_unit_test(races_end_once),
        cmocka_unit_test(deadlines_fire_in_every_phase),
        cmocka_unit_test(partial_answers_end_with_what_there_is),
        cmocka_unit_test(a_hung_device_keeps_nobody_waiting),
        cmocka_unit_test(drain_ends_the_queue_and_spares_the_running),
        cmocka_unit_test(free_ends_everything),
    };
    for (int i = 0; i < 300; i++)
        long_prompt[i] = (char)('A' + i * 11 % 26);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
