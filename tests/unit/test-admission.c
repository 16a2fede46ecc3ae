/* Which jobs are refused for their deadline, and what the refusal has: an engine that was taught its rates,
 * over a backend whose steps wait at a gate. */
#include "lib/engine-harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/engine-internal.h"
#include "metrics.h"

#define DECODE_MS 10
#define PREFILL_MS 1 /* a token */
#define LENGTH 20

static void start(struct harness *h, uint32_t slots)
{
    harness_start(h, &(struct harness_params){.slots = slots});
    h->engine->params.admission = ADMISSION_PREDICTIVE;
    atomic_store(&h->engine->predict.margin, 0);
}

static void learn(struct engine *e, uint32_t rows, uint32_t prompt, uint64_t ms)
{
    uint64_t now = clock_mono_ns();
    rates_learn_step(&e->rates, rows, prompt, now - ms * NS_PER_MS, now);
}

/* The engine is idle, or its step waits at the gate. */
static void teach(struct harness *h, unsigned times)
{
    struct engine *e = h->engine;
    memset(&e->rates, 0, sizeof(e->rates));
    e->predict.n_arrivals = 0;
    for (int i = 0; i < 20; i++) {
        learn(e, 1, 0, DECODE_MS * times);
        learn(e, 1, 50, (DECODE_MS + 50 * PREFILL_MS) * times);
        learn(e, 0, 50, 50 * PREFILL_MS * times);
        rates_learn_length(&e->rates, LENGTH, true);
    }
}

static struct request due_in(const char *id, uint32_t prompt, uint32_t max_tokens, uint64_t ms)
{
    char text[512];
    memset(text, 'p', prompt);
    text[prompt] = 0;
    struct request r = harness_request(id, text, max_tokens);
    r.deadline_ns = clock_mono_ns() + ms * NS_PER_MS;
    return r;
}

static enum api_code try(struct harness *h, struct request r, struct engine_refusal *why)
{
    return harness_try(h, r, why);
}

static void cancel(struct harness *h, const char *id)
{
    engine_cancel(h->engine, id);
}

static void nothing_is_refused_without_samples(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    start(&h, 1);
    fake_gate_close(h.backend);
    assert_int_equal(try(&h, due_in("a", 100, 1000, 5000), &why), API_OK);
    /* Steps alone are not enough: the lengths of answers are not known. */
    teach(&h, 1);
    memset(&h.engine->rates.lengths, 0, sizeof(h.engine->rates.lengths));
    assert_int_equal(try(&h, due_in("b", 100, 1000, 5000), &why), API_OK);
    teach(&h, 1);
    assert_int_equal(try(&h, due_in("c", 400, 1000, 350), &why), API_DEADLINE_EXCEEDED);
    /* Old samples are not enough either. */
    atomic_store(&h.engine->rates.last_ns, clock_mono_ns() - 61 * NS_PER_S);
    assert_int_equal(try(&h, due_in("c", 400, 1000, 350), &why), API_OK);
    engine_abort_all(h.engine, ABORT_CANCEL);
    harness_stop(&h);
}

static void the_whole_answer_or_its_first_token(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    start(&h, 1);
    teach(&h, 1);
    /* 100 ms of prefill, then 19 steps: 290 ms. */
    uint64_t before = metric_value(MC_DEADLINE_REJECTIONS, WHEN_PREDICTED);
    assert_int_equal(try(&h, due_in("a", 100, 500, 250), &why), API_DEADLINE_EXCEEDED);
    assert_true(why.predicted);
    assert_true(fabs(why.predicted_ms - 290) < 15 && why.remaining_ms <= 250 && why.remaining_ms > 100);
    assert_true(why.queue_ms == 0 && fabs(why.prefill_ms - 100) < 5 && fabs(why.decode_ms - 190) < 10);
    assert_non_null(strstr(why.message, "the answer is predicted to take 2"));
    assert_non_null(strstr(why.message, "prefill 1"));
    assert_int_equal(why.retry_after_s, 0); /* it would be late even if it ran alone */
    assert_int_equal(metric_value(MC_DEADLINE_REJECTIONS, WHEN_PREDICTED) - before, 1);
    /* max_tokens is shorter than the usual answer. */
    fake_gate_close(h.backend);
    assert_int_equal(try(&h, due_in("b", 100, 5, 250), &why), API_OK);
    cancel(&h, "b");
    assert_true(engine_wait_idle(h.engine, 10000));
    teach(&h, 1);
    /* The answer cannot end before max_tokens. */
    struct request r = due_in("c", 10, 100, 500);
    r.ignore_eos = true;
    assert_int_equal(try(&h, r, &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.predicted_ms - 1000) < 60);
    /* Only the first token must be in time. */
    r = due_in("d", 100, 500, 250);
    r.deadline_partial = true;
    assert_int_equal(try(&h, r, &why), API_OK);
    cancel(&h, "d");
    assert_true(engine_wait_idle(h.engine, 10000));
    teach(&h, 1);
    r = due_in("e", 400, 500, 250);
    r.deadline_partial = true;
    assert_int_equal(try(&h, r, &why), API_DEADLINE_EXCEEDED);
    assert_true(why.decode_ms == 0 && fabs(why.predicted_ms - 400) < 20);
    assert_non_null(strstr(why.message, "the first token is predicted to take"));
    /* With predictions turned off. */
    h.engine->params.admission = ADMISSION_SIMPLE;
    assert_int_equal(try(&h, due_in("f", 100, 500, 250), &why), API_OK);
    fake_gate_open(h.backend);
    harness_stop(&h);
}

static void waiting_helps_when_others_are_in_the_way(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    start(&h, 1);
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 500));
    fake_gate_reached(h.backend);
    teach(&h, 1);
    struct job *queued[4];
    for (int i = 0; i < 4; i++) { /* 20 + 190 ms each */
        char id[8];
        snprintf(id, sizeof(id), "q%d", i);
        queued[i] = harness_submit(&h, due_in(id, 20, 500, 60000));
    }
    /* The new job comes behind them and behind the running one: its own 210 ms begin after 1000 ms. */
    struct request late = due_in("late", 20, 500, 500);
    late.deadline_ns = queued[3]->request.deadline_ns + 1;
    struct engine_refusal ignored;
    assert_int_equal(try(&h, late, &ignored), API_OK);
    cancel(&h, "late");
    /* A more urgent job goes before all of them: 400 ms, because the running job takes 20 steps. */
    assert_int_equal(try(&h, due_in("first", 20, 500, 300), &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.queue_ms - 200) < 30 && fabs(why.predicted_ms - 410) < 40);
    assert_int_equal(why.retry_after_s, 1);
    assert_int_equal(try(&h, due_in("second", 20, 500, 600), &why), API_OK);
    engine_abort_all(h.engine, ABORT_CANCEL);
    harness_wait_end(running);
    job_unref(running);
    for (int i = 0; i < 4; i++)
        job_unref(queued[i]);
    fake_gate_open(h.backend);
    harness_stop(&h);
}

static void long_waits_say_for_how_long(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    start(&h, 1);
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 500));
    fake_gate_reached(h.backend);
    teach(&h, 10); /* 2 s an answer */
    struct job *q = harness_submit(&h, due_in("q", 20, 500, 4500));
    /* The jobs before it take 2 s and 2.1 s, then it takes 2.1 s; its deadline is in 4.6 s. */
    assert_int_equal(try(&h, due_in("n", 20, 500, 4600), &why), API_DEADLINE_EXCEEDED);
    assert_in_range(why.retry_after_s, 1, 3);
    assert_true(fabs(why.predicted_ms - 6200) < 400);
    engine_abort_all(h.engine, ABORT_CANCEL);
    job_unref(running);
    job_unref(q);
    fake_gate_open(h.backend);
    harness_stop(&h);
}

/* More jobs wait than are simulated. */
static void a_queue_without_end(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    harness_start(&h, &(struct harness_params){.slots = 1, .queue = 2000});
    h.engine->params.admission = ADMISSION_PREDICTIVE;
    atomic_store(&h.engine->predict.margin, 0);
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 500));
    fake_gate_reached(h.backend);
    teach(&h, 1);
    for (int i = 0; i < 1500; i++) { /* 20 + 190 ms each */
        char id[16];
        snprintf(id, sizeof(id), "q%d", i);
        h.engine->params.admission = ADMISSION_SIMPLE;
        job_unref(harness_submit(&h, due_in(id, 20, 500, 1000000)));
    }
    h.engine->params.admission = ADMISSION_PREDICTIVE;
    assert_int_equal(queue_ahead(&h.engine->registry.queue, UINT64_MAX), 1500);
    assert_int_equal(queue_ahead(&h.engine->registry.queue, 0), 0);
    struct request r = due_in("late", 20, 500, 1000001);
    r.deadline_ns += NS_PER_S;
    r.deadline_partial = true;
    assert_int_equal(try(&h, r, &why), API_OK); /* it ends after 315 s, and its deadline is in 1000 s */
    r = due_in("urgent", 20, 500, 100);
    assert_int_equal(try(&h, r, &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.queue_ms - 200) < 30);
    teach(&h, 4);
    r = due_in("later", 20, 500, 1001000);
    assert_int_equal(try(&h, r, &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.queue_ms - 1501 * 840) < 0.05 * 1501 * 840);
    engine_abort_all(h.engine, ABORT_CANCEL);
    job_unref(running);
    fake_gate_open(h.backend);
    harness_stop(&h);
}

/* The deadline was feasible when the job arrived; then the device became slower. */
static void the_doomed_get_no_slot(void **state)
{
    (void)state;
    struct harness h;
    start(&h, 1);
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 1));
    fake_gate_reached(h.backend);
    teach(&h, 1);
    struct job *doomed = harness_submit(&h, due_in("d", 100, 500, 20000));
    struct request r = due_in("p", 100, 500, 30000);
    r.deadline_partial = true;
    struct job *partial = harness_submit(&h, r);
    uint64_t before = metric_value(MC_DEADLINE_REJECTIONS, WHEN_QUEUE);
    teach(&h, 200); /* 20 s of prefill, 40 s more to the end */
    fake_gate_open(h.backend);
    harness_wait_end(doomed);
    assert_int_equal(doomed->end.code, API_DEADLINE_EXCEEDED);
    assert_int_equal(doomed->end.phase, JOB_QUEUED);
    assert_true(clock_mono_ns() < doomed->request.deadline_ns);
    assert_false(atomic_load(&doomed->has_started));
    assert_int_equal(metric_value(MC_DEADLINE_REJECTIONS, WHEN_QUEUE) - before, 1);
    harness_wait_tokens(partial, 1); /* its first token could be in time */
    assert_true(atomic_load(&partial->has_started));
    engine_abort_all(h.engine, ABORT_CANCEL);
    job_unref(running);
    job_unref(doomed);
    job_unref(partial);
    harness_stop(&h);
}

static void probes_are_taken_and_counted(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    start(&h, 1);
    h.engine->params.probe_share = 0.5;
    teach(&h, 100);
    uint64_t late = metric_value(MC_PREDICTION_PROBES, PROBE_LATE);
    uint64_t in_time = metric_value(MC_PREDICTION_PROBES, PROBE_IN_TIME);
    assert_int_equal(try(&h, due_in("a", 100, 3, 5000), &why), API_DEADLINE_EXCEEDED);
    struct job *j = harness_submit(&h, due_in("b", 100, 3, 5000)); /* the fake is fast */
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_OK);
    assert_int_equal(metric_value(MC_PREDICTION_PROBES, PROBE_IN_TIME) - in_time, 1);
    assert_int_equal(metric_value(MC_PREDICTION_PROBES, PROBE_LATE) - late, 0);
    job_unref(j);
    harness_stop(&h);
}

static void the_margin_learns(void **state)
{
    (void)state;
    struct harness h;
    start(&h, 1);
    struct engine *e = h.engine;
    struct job j = {.predicted_end_ns = 1};
    j.end.code = API_DEADLINE_EXCEEDED;
    for (int i = 0; i < 5; i++)
        predict_ended(&e->predict, &j);
    double after = atomic_load(&e->predict.margin);
    assert_true(after > 0.4 && after < 0.5);
    j.end.code = API_CANCELLED; /* the margin learns nothing from it */
    predict_ended(&e->predict, &j);
    assert_true(atomic_load(&e->predict.margin) == after);
    j.end.code = API_OK;
    predict_ended(&e->predict, &j);
    assert_true(atomic_load(&e->predict.margin) < after);
    for (int i = 0; i < 10000; i++)
        predict_ended(&e->predict, &j);
    assert_true(atomic_load(&e->predict.margin) == -0.2);
    j.end.code = API_DEADLINE_EXCEEDED;
    for (int i = 0; i < 10000; i++)
        predict_ended(&e->predict, &j);
    assert_true(atomic_load(&e->predict.margin) == 1);
    /* The margin is used. */
    teach(&h, 1);
    struct engine_refusal why;
    assert_int_equal(try(&h, due_in("a", 100, 500, 400), &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.margin_ms - 290) < 30);
    assert_non_null(strstr(why.message, "margin +2") || strstr(why.message, "margin +3"));
    harness_stop(&h);
}

/* The margin is proportional to the job's own length, and to its length relative to other jobs. */
static void a_long_job_needs_more_room(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    start(&h, 1);
    teach(&h, 1);
    atomic_store(&h.engine->predict.margin, 0.5);
    struct job usual = {.request = due_in("u", 100, 500, 60000)};
    for (int i = 0; i < 300; i++) /* 290 ms each; more than are remembered */
        predict_arrived(&h.engine->predict, &usual);
    request_release(&usual.request);
    /* They are not expected again soon, because they arrived long ago. */
    for (int i = 0; i < PREDICT_ARRIVALS; i++)
        h.engine->predict.arrivals[i].at_ns -= 100 * NS_PER_S;
    assert_int_equal(try(&h, due_in("a", 100, 500, 400), &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.predicted_ms - 290) < 30 && fabs(why.margin_ms - 145) < 15);
    assert_int_equal(try(&h, due_in("b", 10, 500, 230), &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.predicted_ms - 200) < 20 && fabs(why.margin_ms - 69) < 10);
    assert_int_equal(try(&h, due_in("c", 490, 500, 1200), &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.predicted_ms - 680) < 70 && fabs(why.margin_ms - 680) < 70); /* not 2.3 times */
    assert_int_equal(why.retry_after_s, 0); /* it would be late on an idle worker, too */
    assert_int_equal(try(&h, due_in("d", 490, 500, 1600), &why), API_OK);
    harness_stop(&h);
}

/* 400 ms of prefill, 384 of which are done: 16 + 190. */
static void a_prefix_is_expected(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    start(&h, 2);
    struct job *j = harness_submit(&h, due_in("a", 400, 2, 60000));
    harness_wait_end(j);
    job_unref(j);
    assert_true(engine_wait_idle(h.engine, 10000));
    teach(&h, 1);
    struct request r = due_in("b", 400, 500, 300);
    r.tokens[0]++;
    assert_int_equal(try(&h, r, &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.prefill_ms - 400) < 20);
    r = due_in("c", 400, 500, 350);
    r.tokens[100]++; /* the first 96 are the same, in strides of 16 */
    assert_int_equal(try(&h, r, &why), API_DEADLINE_EXCEEDED);
    assert_true(fabs(why.prefill_ms - 304) < 16);
    fake_gate_close(h.backend);
    assert_int_equal(try(&h, due_in("d", 400, 500, 300), &why), API_OK);
    fake_gate_reached(h.backend); /* the job has that slot; the other slot holds no prefix */
    teach(&h, 1);
    assert_int_equal(try(&h, due_in("e", 400, 500, 300), &why), API_DEADLINE_EXCEEDED);
    assert_true(why.prefill_ms > 380); /* it takes longer beside the other job's steps */
    engine_abort_all(h.engine, ABORT_CANCEL);
    fake_gate_open(h.backend);
    harness_stop(&h);
}

/* Many urgent jobs are expected to come again: a patient job must wait for them, an urgent one goes first. */
static void what_came_will_come_again(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    start(&h, 1);
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 500));
    fake_gate_reached(h.backend);
    teach(&h, 1);
    /* In the last 10 s a job of 390 ms arrived every 200 ms, each with a deadline after 3 s. */
    struct predictor *p = &h.engine->predict;
    uint64_t now = clock_mono_ns();
    for (uint32_t i = 0; i < 50; i++)
        p->arrivals[i] = (struct predict_arrival){.at_ns = now - (50 - i) * 200 * NS_PER_MS,
            .budget_ns = 3 * NS_PER_S,
            .deadline = true,
            .job = {.prompt = 200, .tokens = 20}};
    p->n_arrivals = 50;
    /* Those before its own deadline go first: after 3.5 s and more, 2.5 s of which were
     * theirs. */
    assert_int_equal(try(&h, due_in("patient", 20, 500, 6000), &why), API_DEADLINE_EXCEEDED);
    assert_true(why.queue_ms > 3000);
    assert_int_equal(try(&h, due_in("urgent", 20, 500, 1000), &why), API_OK);
    engine_abort_all(h.engine, ABORT_CANCEL);
    job_unref(running);
    fake_gate_open(h.backend);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_refused_without_samples),
        cmocka_unit_test(the_whole_answer_or_its_first_token),
        cmocka_unit_test(waiting_helps_when_others_are_in_the_way),
        cmocka_unit_test(long_waits_say_for_how_long),
        cmocka_unit_test(a_queue_without_end),
        cmocka_unit_test(the_doomed_get_no_slot),
        cmocka_unit_test(probes_are_taken_and_counted),
        cmocka_unit_test(the_margin_learns),
        cmocka_unit_test(a_long_job_needs_more_room),
        cmocka_unit_test(a_prefix_is_expected),
        cmocka_unit_test(what_came_will_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
