/* Cancels at every point of a job's life, each made deterministic by a hook in the fake backend or in the
 * job's `ready`; who may cancel; and what is counted. */
#include "lib/engine-harness.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/ids.h"
#include "metrics.h"

#define IDLE_MS 60000

static pthread_mutex_t struck_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t struck = PTHREAD_COND_INITIALIZER;

/* A cancel from a hook, on its n-th call. */
struct strike {
    struct harness *h;
    const char *id;
    unsigned calls, at;
    enum cancel_answer answer;
    bool done;
};

static void strike(void *arg)
{
    struct strike *s = arg;
    if (++s->calls != s->at)
        return;
    s->answer = engine_cancel(s->h->engine, s->id);
    pthread_mutex_lock(&struck_lock);
    s->done = true;
    pthread_cond_signal(&struck);
    pthread_mutex_unlock(&struck_lock);
}

/* The job's end is published before the cancel returns. */
static void wait_struck(struct strike *s)
{
    pthread_mutex_lock(&struck_lock);
    while (!s->done)
        pthread_cond_wait(&struck, &struck_lock);
    pthread_mutex_unlock(&struck_lock);
}

static void assert_idle(struct harness *h)
{
    assert_true(engine_wait_idle(h->engine, IDLE_MS));
    struct engine_state st;
    engine_state(h->engine, &st);
    assert_int_equal(st.slots_busy, 0);
    assert_int_equal(st.queue_depth, 0);
}

/* The next job is served as usual. */
static void assert_serves(struct harness *h)
{
    struct job *j = harness_submit(h, harness_request("after", "after", 3));
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_OK);
    assert_int_equal(j->end.tokens_out, 3);
    job_unref(j);
    assert_idle(h);
}

static struct job *run_with(
    struct harness *h, struct strike *s, enum fake_point point, const char *prompt, uint32_t max_tokens)
{
    fake_on(h->backend, point, strike, s);
    struct job *j = harness_submit(h, harness_request(s->id, prompt, max_tokens));
    harness_wait_end(j);
    wait_struck(s);
    assert_idle(h);
    fake_on(h->backend, point, NULL, NULL);
    return j;
}

static void between_queue_and_slot(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, &(struct harness_params){.slots = 1});
    uint64_t computed = fake_tokens_computed(h.backend);
    struct strike s = {.h = &h, .id = "a", .at = 1};
    struct job *j = run_with(&h, &s, FAKE_SEQ_OPEN, "prompt", 5);
    assert_int_equal(s.answer, CANCEL_CANCELLING);
    assert_int_equal(j->end.code, API_CANCELLED);
    assert_int_equal(j->end.phase, JOB_QUEUED);
    assert_false(atomic_load(&j->has_started));
    assert_int_equal(fake_tokens_computed(h.backend), computed);
    job_unref(j);
    assert_serves(&h);
    harness_stop(&h);
}

struct strike_on_news {
    struct strike s;
    enum { AT_START, AT_TOKEN, AT_END } when;
};

static void strike_on_news(struct job *j, void *arg)
{
    struct strike_on_news *n = arg;
    bool there = n->when == AT_START   ? atomic_load(&j->has_started) && job_published(j) == 0
                 : n->when == AT_TOKEN ? job_published(j) == 2
                                       : job_ended(j);
    if (there && !n->s.calls)
        strike(&n->s);
}

static struct job *run_with_news(struct harness *h, struct strike_on_news *n)
{
    harness_on_news(strike_on_news, n);
    struct job *j = harness_submit(h, harness_request(n->s.id, "prompt", 5));
    harness_wait_end(j);
    wait_struck(&n->s);
    assert_idle(h);
    harness_on_news(NULL, NULL);
    return j;
}

static void as_the_slot_is_got(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    uint64_t computed = fake_tokens_computed(h.backend);
    struct strike_on_news n = {{.h = &h, .id = "a", .at = 1}, AT_START};
    struct job *j = run_with_news(&h, &n);
    assert_int_equal(n.s.answer, CANCEL_CANCELLING);
    assert_int_equal(j->end.code, API_CANCELLED);
    assert_int_equal(j->end.phase, JOB_PREFILL);
    assert_int_equal(fake_tokens_computed(h.backend), computed); /* no row was submitted */
    job_unref(j);
    assert_serves(&h);
    harness_stop(&h);
}

static void between_ticket_and_submit(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    for (unsigned at = 1; at <= 3; at++) { /* in prefill, in decode */
        uint64_t computed = fake_tokens_computed(h.backend);
        struct strike s = {.h = &h, .id = "a", .at = at};
        struct job *j = run_with(&h, &s, FAKE_SUBMIT, "12345", 9);
        assert_int_equal(s.answer, CANCEL_CANCELLING);
        assert_int_equal(j->end.code, API_CANCELLED);
        /* With two steps in flight, the second is submitted before the first gave a token. */
        assert_int_equal(j->end.phase, at <= (harness_pipeline ? 2 : 1) ? JOB_PREFILL : JOB_DECODE);
        /* The row of this step was doomed before the plugin had it: nothing of it was
         * computed. (The first round finds no prefix, the others keep its last tokens.) */
        uint64_t most = at == 1 ? 0 : 5 + at - 2;
        assert_true(fake_tokens_computed(h.backend) - computed <= most);
        job_unref(j);
    }
    assert_serves(&h);
    harness_stop(&h);
}

static void in_the_last_step(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    struct strike s = {.h = &h, .id = "a", .at = 4};
    struct job *j = run_with(&h, &s, FAKE_WAIT, "x", 4); /* its 4th step gives the last token */
    assert_int_equal(s.answer, CANCEL_CANCELLING);
    assert_int_equal(j->end.code, API_CANCELLED);
    assert_true(j->end.tokens_out < 4);
    job_unref(j);
    assert_serves(&h);
    harness_stop(&h);
}

static void at_a_token_and_after_the_end(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    struct strike_on_news n = {{.h = &h, .id = "a", .at = 1}, AT_TOKEN};
    struct job *j = run_with_news(&h, &n);
    assert_int_equal(n.s.answer, CANCEL_CANCELLING);
    assert_int_equal(j->end.code, API_CANCELLED);
    assert_int_equal(j->end.tokens_out, 2);
    job_unref(j);
    double stopped = harness_metric("orcd_cancellation_stop_ms_count");
    n = (struct strike_on_news){{.h = &h, .id = "b", .at = 1}, AT_END};
    j = run_with_news(&h, &n);
    assert_int_equal(n.s.answer, CANCEL_FINISHED);
    assert_int_equal(j->end.code, API_OK);
    assert_int_equal(j->end.tokens_out, 5);
    job_unref(j);
    /* An abort that comes too late changes nothing and is not counted. */
    j = harness_submit(&h, harness_request("c", "x", 2));
    harness_wait_end(j);
    engine_job_abort(h.engine, j, ABORT_CANCEL);
    assert_int_equal(j->end.code, API_OK);
    job_unref(j);
    assert_idle(&h);
    assert_true(harness_metric("orcd_cancellation_stop_ms_count") == stopped);
    harness_stop(&h);
}

struct client {
    pthread_t thread;
    pthread_barrier_t *start;
    struct harness *h;
    enum cancel_answer answer;
};

static void *client_main(void *arg)
{
    struct client *c = arg;
    pthread_barrier_wait(c->start);
    c->answer = engine_cancel(c->h->engine, "a");
    return NULL;
}

static void by_two_clients_and_twice(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    for (int round = 0; round < 50; round++) {
        fake_gate_close(h.backend);
        uint64_t before = harness_outcomes();
        struct job *j = harness_submit(&h, harness_request("a", "x", 5));
        fake_gate_reached(h.backend);
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, 2);
        struct client c[2];
        for (int i = 0; i < 2; i++) {
            c[i] = (struct client){.start = &start, .h = &h};
            pthread_create(&c[i].thread, NULL, client_main, &c[i]);
        }
        for (int i = 0; i < 2; i++)
            pthread_join(c[i].thread, NULL);
        harness_wait_end(j);
        assert_int_equal(j->end.code, API_CANCELLED);
        assert_true(c[0].answer == CANCEL_CANCELLING || c[1].answer == CANCEL_CANCELLING);
        assert_true(c[0].answer != CANCEL_UNKNOWN && c[1].answer != CANCEL_UNKNOWN);
        assert_int_equal(engine_cancel(h.engine, "a"), CANCEL_FINISHED);
        assert_idle(&h);
        assert_int_equal(harness_outcomes() - before, 1);
        pthread_barrier_destroy(&start);
        job_unref(j);
        fake_gate_open(h.backend);
    }
    harness_stop(&h);
}

static void the_last_ended_ids_are_remembered(void **state)
{
    (void)state;
    struct harness h;
    char id[16];
    harness_start(&h, &(struct harness_params){.slots = 1});
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("running", "x", 2));
    fake_gate_reached(h.backend);
    for (int i = 0; i <= IDS_ENDED_KEPT; i++) {
        snprintf(id, sizeof(id), "j%d", i);
        struct job *j = harness_submit(&h, harness_request(id, "x", 1));
        assert_int_equal(engine_cancel(h.engine, id), CANCEL_CANCELLING);
        job_unref(j);
    }
    assert_int_equal(engine_cancel(h.engine, "j0"), CANCEL_UNKNOWN);
    assert_int_equal(engine_cancel(h.engine, "j1"), CANCEL_FINISHED);
    snprintf(id, sizeof(id), "j%d", IDS_ENDED_KEPT);
    assert_int_equal(engine_cancel(h.engine, id), CANCEL_FINISHED);
    fake_gate_open(h.backend);
    harness_wait_end(running);
    job_unref(running);
    harness_stop(&h);
}

static struct request of_owner(uint32_t owner, const char *id)
{
    struct request r = harness_request(id, "x", 4);
    r.owner = owner;
    return r;
}

static enum cancel_answer cancel_of(struct harness *h, uint32_t owner, const char *id)
{
    return engine_cancel_of(h->engine, id, owner, clock_mono_ns());
}

static void ids_belong_to_their_owner(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    harness_start(&h, NULL);
    fake_gate_close(h.backend);
    struct job *a = harness_submit(&h, of_owner(1, "a"));
    fake_gate_reached(h.backend);
    assert_int_equal(cancel_of(&h, 2, "a"), CANCEL_UNKNOWN);
    assert_int_equal(cancel_of(&h, 0, "a"), CANCEL_UNKNOWN);
    assert_false(job_ended(a));
    struct job *b = harness_submit(&h, of_owner(2, "a"));
    assert_int_equal(harness_try(&h, of_owner(1, "a"), &why), API_DUPLICATE_JOB);
    assert_int_equal(cancel_of(&h, 2, "a"), CANCEL_CANCELLING);
    assert_true(job_ended(b));
    assert_false(job_ended(a));
    assert_int_equal(cancel_of(&h, 2, "a"), CANCEL_FINISHED);
    assert_int_equal(cancel_of(&h, 3, "a"), CANCEL_UNKNOWN);
    fake_gate_open(h.backend);
    harness_wait_end(a);
    assert_int_equal(a->end.code, API_OK);
    assert_int_equal(cancel_of(&h, 1, "a"), CANCEL_FINISHED);
    assert_int_equal(cancel_of(&h, 3, "a"), CANCEL_UNKNOWN);
    job_unref(a);
    job_unref(b);
    harness_stop(&h);
}

/* --- what is counted --- */

static double wasted(enum metric_wasted why)
{
    return (double)metric_value(MC_WASTED_TOKENS, why);
}

static double wasted_in_all(void)
{
    double sum = 0;
    for (unsigned i = 0; i < WASTED_COUNT; i++)
        sum += wasted((enum metric_wasted)i);
    return sum;
}

/* Drops a job of which the client got this many tokens. Returns how many tokens were wasted for this reason,
 * and checks that none were wasted for others. */
static double wasted_by(struct harness *h, struct job *j, uint32_t delivered, enum metric_wasted why)
{
    assert_idle(h);
    double before = wasted(why), in_all = wasted_in_all();
    atomic_store(&j->delivered, delivered);
    job_unref(j);
    double n = wasted(why) - before;
    assert_true(wasted_in_all() - in_all == n);
    return n;
}

/* A job with three tokens published, whose next step waits at the gate. */
static struct job *three_tokens(struct harness *h, struct request r)
{
    fake_gate_close(h->backend);
    struct job *j = harness_submit(h, r);
    for (int i = 0; i < 3; i++) {
        fake_gate_reached(h->backend);
        fake_gate_pass(h->backend);
    }
    fake_gate_reached(h->backend);
    harness_wait_tokens(j, 3);
    return j;
}

static void wasted_tokens_are_exact(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    struct job *j = three_tokens(&h, harness_request("a", "x", 20));
    engine_cancel(h.engine, "a");
    assert_true(wasted_by(&h, j, 3, WASTED_CANCELLED) == 0); /* its row was cut short */
    j = three_tokens(&h, harness_request("a", "x", 20));
    engine_cancel(h.engine, "a");
    assert_true(wasted_by(&h, j, 0, WASTED_CANCELLED) == 3);
    j = three_tokens(&h, harness_request("a", "x", 20));
    engine_job_abort(h.engine, j, ABORT_DISCONNECT);
    assert_true(wasted_by(&h, j, 1, WASTED_DISCONNECTED) == 2);
    j = three_tokens(&h, harness_request("a", "x", 20));
    engine_job_abort(h.engine, j, ABORT_DEADLINE);
    assert_true(wasted_by(&h, j, 2, WASTED_DEADLINE) == 1);
    j = three_tokens(&h, harness_request("a", "x", 20));
    fake_fail_next_wait(h.backend, ORCD_E_DEVICE);
    fake_gate_open(h.backend);
    harness_wait_end(j);
    assert_true(wasted_by(&h, j, 0, WASTED_ERROR) == 3);
    j = harness_submit(&h, harness_request("a", "x", 7));
    harness_wait_end(j);
    assert_true(wasted_by(&h, j, 7, WASTED_STOP_SEQUENCE) == 0);
    j = harness_submit(&h, harness_request("a", "x", 7));
    harness_wait_end(j);
    assert_true(wasted_by(&h, j, 5, WASTED_DISCONNECTED) == 2);
    fake_script(h.backend, "ab"); /* then end of generation, which is not wasted */
    j = harness_submit(&h, harness_request("a", "y|", 7));
    harness_wait_end(j);
    assert_int_equal(j->end.finish, FINISH_STOP);
    assert_true(wasted_by(&h, j, 2, WASTED_STOP_SEQUENCE) == 0);
    fake_script(h.backend, "abcdefgh");
    struct request r = harness_request("a", "z|", 7);
    r.n_stop = 1;
    r.stop[0] = (struct stop_string){.n = 2, .text = "cd"};
    double generated = harness_metric("orcd_generation_tokens_total");
    j = harness_submit(&h, r);
    harness_wait_end(j);
    assert_int_equal(j->end.finish, FINISH_STOP_SEQUENCE);
    assert_int_equal(j->end.tokens_out, 4);
    /* A row that was in flight when the stop string was found was doomed in time. */
    assert_true(wasted_by(&h, j, 4, WASTED_STOP_SEQUENCE) == 0);
    assert_true(harness_metric("orcd_generation_tokens_total") - generated == 4);
    /* A row that was done when the cancel came: it was computed, but is not an event. */
    fake_script(h.backend, NULL);
    generated = harness_metric("orcd_generation_tokens_total");
    struct strike s = {.h = &h, .id = "w", .at = 4};
    j = run_with(&h, &s, FAKE_WAITED, "x", 9);
    assert_int_equal(j->end.tokens_out, 3);
    assert_true(wasted_by(&h, j, 3, WASTED_CANCELLED) == 1);
    assert_true(harness_metric("orcd_generation_tokens_total") - generated == 4);
    harness_stop(&h);
}

static void each_abort_is_counted_once(void **state)
{
    (void)state;
    static const char *const series[] = {"orcd_cancellation_detection_latency_ms_count",
        "orcd_cancellation_stop_ms_count", "orcd_client_disconnect_detection_ms_count",
        "orcd_client_disconnect_stop_ms_count", "orcd_e2e_request_latency_seconds_count",
        "orcd_request_queue_time_seconds_count", "orcd_request_prefill_time_seconds_count",
        "orcd_request_decode_time_seconds_count", "orcd_time_to_first_token_seconds_count"};
    enum { N = sizeof(series) / sizeof(series[0]) };
    struct harness h;
    double before[N];
    harness_start(&h, &(struct harness_params){.slots = 1});
    for (int round = 0; round < 6; round++) { /* {cancel, disconnect} in {queue, prefill, decode} */
        enum abort_reason reason = round % 2 ? ABORT_DISCONNECT : ABORT_CANCEL;
        for (int i = 0; i < N; i++)
            before[i] = harness_metric(series[i]);
        fake_gate_close(h.backend);
        struct job *running = harness_submit(&h, harness_request("r", "x", 50)), *queued = NULL;
        fake_gate_reached(h.backend);
        if (round >= 4) {
            fake_gate_pass(h.backend);
            fake_gate_reached(h.backend);
        }
        if (round < 2) {
            queued = harness_submit(&h, harness_request("q", "x", 50));
            engine_job_abort(h.engine, queued, reason);
            assert_true(harness_metric(series[round % 2 ? 3 : 1]) == before[round % 2 ? 3 : 1] + 1);
        }
        engine_job_abort(h.engine, running, reason);
        assert_idle(&h);
        for (int i = 0; i < N; i++) {
            int jobs = queued ? 2 : 1, own = i < 2 ? ABORT_CANCEL : ABORT_DISCONNECT;
            double n = harness_metric(series[i]) - before[i];
            if (n != (i < 4 && own != (int)reason ? 0 : jobs))
                fail_msg("round %d: %s rose by %g", round, series[i], n);
        }
        job_unref(running);
        job_unref(queued);
        fake_gate_open(h.backend);
    }
    harness_stop(&h);
}

/* --- a plugin that hangs outside a step --- */

struct hang {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool there, go;
};

static void hang(void *arg)
{
    struct hang *s = arg;
    pthread_mutex_lock(&s->lock);
    s->there = true;
    pthread_cond_broadcast(&s->changed);
    while (!s->go)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void a_hang_outside_a_step_is_pending_work(void **state)
{
    (void)state;
    struct harness h;
    struct hang s = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct engine_state st;
    harness_start(&h, NULL);
    fake_on(h.backend, FAKE_SEQ_OPEN, hang, &s);
    struct job *j = harness_submit(&h, harness_request("a", "x", 3));
    pthread_mutex_lock(&s.lock);
    while (!s.there)
        pthread_cond_wait(&s.changed, &s.lock);
    pthread_mutex_unlock(&s.lock);
    engine_state(h.engine, &st);
    assert_true(st.work_pending && st.pending_since_ns);
    assert_int_equal(engine_cancel(h.engine, "a"), CANCEL_CANCELLING);
    assert_true(job_ended(j)); /* without the plugin's help */
    pthread_mutex_lock(&s.lock);
    s.go = true;
    pthread_cond_broadcast(&s.changed);
    pthread_mutex_unlock(&s.lock);
    fake_on(h.backend, FAKE_SEQ_OPEN, NULL, NULL);
    job_unref(j);
    assert_serves(&h);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_queue_and_slot),
        cmocka_unit_test(as_the_slot_is_got),
        cmocka_unit_test(between_ticket_and_submit),
        cmocka_unit_test(in_the_last_step),
        cmocka_unit_test(at_a_token_and_after_the_end),
        cmocka_unit_test(by_two_clients_and_twice),
        cmocka_unit_test(the_last_ended_ids_are_remembered),
        cmocka_unit_test(ids_belong_to_their_owner),
        cmocka_unit_test(wasted_tokens_are_exact),
        cmocka_unit_test(each_abort_is_counted_once),
        cmocka_unit_test(a_hang_outside_a_step_is_pending_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
