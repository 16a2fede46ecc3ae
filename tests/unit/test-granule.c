/* A device that computes prompts in slices, each of which takes the same time however few tokens are in it:
 * the budgets of steps and the predictions of an engine over it. The device has a clock of its own
 * (fake_device()). */
#include "lib/engine-harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/engine-internal.h"

#define SLICE 512
#define STREAMS 4

/* The device, in ms. */
static struct {
    uint64_t slice, decode;
    uint64_t first; /* on top of the first step */
} device;

static uint64_t cost(uint32_t n_decode, uint32_t n_prefill)
{
    uint64_t ms = (n_prefill + SLICE - 1) / SLICE * device.slice + (n_decode ? device.decode : 0);
    ms += device.first;
    device.first = 0;
    return ms * NS_PER_MS;
}

static void start(
    struct harness *h, uint32_t granule, uint64_t slice_ms, uint64_t decode_ms, uint64_t first_ms)
{
    device.slice = slice_ms;
    device.decode = decode_ms;
    device.first = first_ms;
    harness_start(
        h, &(struct harness_params){
               .slots = STREAMS + 1, .ctx = 8192, .batch = SLICE, .cost = cost, .granule = granule});
}

static struct request prompt_of(const char *id, uint32_t n, uint32_t max_tokens)
{
    static char text[8192];
    memset(text, 'p', n);
    text[n] = 0;
    memcpy(text, id, strlen(id)); /* no prefix of another one */
    return harness_request(id, text, max_tokens);
}

/* Streams that decode; the step that they are in waits at the gate. */
static void decode_all(struct harness *h, struct job **streams)
{
    fake_gate_close(h->backend);
    for (uint32_t i = 0; i < STREAMS; i++) {
        struct request r = prompt_of((const char[]){(char)('a' + i), 0}, 8, 5000);
        r.ignore_eos = true;
        streams[i] = harness_submit(h, r);
    }
    for (uint32_t i = 0; i < STREAMS;) {
        fake_gate_reached(h->backend);
        if (job_published(streams[i]) > 1)
            i++;
        else
            fake_gate_pass(h->backend);
    }
}

/* The ms of the steps that compute a prompt of n tokens, unlike the others before, beside four streams. */
static uint64_t beside_streams(struct harness *h, const char *id, uint32_t n)
{
    struct job *streams[STREAMS];
    decode_all(h, streams);
    uint64_t before = fake_prefill_ns(h->backend);
    struct job *j = harness_submit(h, prompt_of(id, n, 1));
    fake_gate_open(h->backend);
    harness_wait_end(j);
    uint64_t ns = fake_prefill_ns(h->backend) - before;
    job_unref(j);
    engine_abort_all(h->engine, ABORT_CANCEL);
    for (uint32_t i = 0; i < STREAMS; i++) {
        harness_wait_end(streams[i]);
        assert_int_equal(streams[i]->end.code, API_CANCELLED); /* it ran all the time */
        job_unref(streams[i]);
    }
    assert_true(engine_wait_idle(h->engine, 10000));
    return ns / NS_PER_MS;
}

/* Four steps have place for 508 tokens beside the streams, the fifth has the rest. */
static void a_prompt_beside_streams_takes_whole_slices(void **state)
{
    (void)state;
    struct harness h;
    start(&h, SLICE, 27, 2, 0);
    assert_int_equal(beside_streams(&h, "A", 2048), 5 * (27 + 2));
    harness_stop(&h);
    start(&h, SLICE, 100, 7, 0);
    assert_int_equal(beside_streams(&h, "A", 2048), 5 * (100 + 7));
    harness_stop(&h);
    start(&h, UINT32_MAX, 27, 2, 0); /* a slice is no larger than a step */
    assert_int_equal(beside_streams(&h, "A", 2048), 5 * (27 + 2));
    harness_stop(&h);
}

/* The plugin does not say that it has slices. In pieces of 32 tokens the first prompt would take 1856 ms. */
static void a_wrong_belief_heals(void **state)
{
    (void)state;
    struct harness h;
    start(&h, 0, 27, 2, 0);
    assert_in_range(beside_streams(&h, "A", 2048), 145, 600);
    beside_streams(&h, "B", 2048);
    assert_int_equal(beside_streams(&h, "C", 2048), 5 * (27 + 2));
    harness_stop(&h);
}

/* Enough for predictions; no prompt is longer than the warm-up's. */
static void teach(struct harness *h)
{
    h->engine->params.admission = ADMISSION_PREDICTIVE;
    atomic_store(&h->engine->predict.margin, 0);
    for (int i = 0; i < 4; i++) {
        struct job *j = harness_submit(h, prompt_of((const char[]){(char)('0' + i), 0}, 8, 6));
        harness_wait_end(j);
        job_unref(j);
    }
    assert_true(engine_wait_idle(h->engine, 10000));
}

/* The device's clock is its own; on the real one the deadline is too far away to pass meanwhile. */
static double predicted_ms(struct harness *h, uint32_t n)
{
    struct engine_refusal why;
    struct request r = prompt_of("late", n, 1);
    r.deadline_ns = clock_mono_ns() + 20 * NS_PER_S;
    assert_int_equal(harness_try(h, r, &why), API_DEADLINE_EXCEEDED);
    assert_true(why.predicted);
    return why.predicted_ms;
}

static void a_prompt_is_predicted_by_its_slices(void **state)
{
    (void)state;
    struct harness h;
    start(&h, SLICE, 27000, 2000, 0);
    teach(&h);
    assert_true(fabs(predicted_ms(&h, 128) - 27000) < 0.1);
    assert_true(fabs(predicted_ms(&h, SLICE) - 27000) < 0.1);
    assert_true(fabs(predicted_ms(&h, SLICE + 1) - 2 * 27000) < 0.1);
    assert_true(fabs(predicted_ms(&h, 2048) - 4 * 27000) < 0.1);
    harness_stop(&h);
}

/* A library that is loaded when it is first called, say. */
static void the_first_step_teaches_nothing(void **state)
{
    (void)state;
    struct harness h;
    struct rates_view v;
    start(&h, SLICE, 27000, 2000, 300000);
    rates_read(&h.engine->rates, &v);
    assert_true(fabs(rates_step_ns(&v, 0, 128) / NS_PER_MS - 27000) < 0.1);
    assert_true(fabs(rates_step_ns(&v, 1, 0) / NS_PER_MS - 2000) < 0.1);
    assert_int_equal(fake_tokens_computed(h.backend), 2 * (8 + 1));
    teach(&h);
    assert_true(fabs(predicted_ms(&h, 128) - 27000) < 0.1);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_beside_streams_takes_whole_slices),
        cmocka_unit_test(a_wrong_belief_heals),
        cmocka_unit_test(a_prompt_is_predicted_by_its_slices),
        cmocka_unit_test(the_first_step_teaches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
