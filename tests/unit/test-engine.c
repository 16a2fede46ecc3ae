/* The engine's answers: texts, batching, prefix reuse, limits, stop strings. */
#include "lib/engine-harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static void run_alone(const char *prompt, uint32_t n, float temperature, uint64_t seed, char *text)
{
    struct harness h;
    harness_start(&h, NULL);
    struct request r = harness_request("alone", prompt, n);
    r.sampling.temperature = temperature;
    r.sampling.seed = seed;
    struct job *j = harness_submit(&h, r);
    harness_wait_end(j);
    strcpy(text, harness_text(j));
    job_unref(j);
    harness_stop(&h);
}

static void answers_to_the_length(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    uint64_t before = harness_outcomes();
    struct job *j = harness_submit(&h, harness_request("a", "hello", 20));
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_OK);
    assert_int_equal(j->end.finish, FINISH_LENGTH);
    assert_int_equal(j->end.tokens_out, 20);
    assert_int_equal(strlen(harness_text(j)), 20);
    assert_int_equal(harness_outcomes() - before, 1);
    job_unref(j);
    harness_stop(&h);
}

static void an_idle_engine_turns_when_asked(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    for (int i = 0; i < 3; i++)
        while (!engine_turned(h.engine)) {} /* each call wakes it for the next */
    harness_stop(&h);
}

static void a_queued_job_that_is_withdrawn_leaves_no_trace(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    harness_start(&h, &(struct harness_params){.slots = 1, .queue = 2});
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 5));
    fake_gate_reached(h.backend);
    uint64_t before = harness_outcomes();
    assert_int_equal(engine_has_room(h.engine, 2, &why), API_OK);
    assert_int_equal(engine_has_room(h.engine, 3, &why), API_QUEUE_FULL);
    struct job *queued = harness_submit(&h, harness_request("q", "x", 5));
    assert_true(engine_withdraw(h.engine, queued));
    assert_false(engine_withdraw(h.engine, queued));
    assert_false(engine_withdraw(h.engine, running));
    assert_int_equal(harness_outcomes(), before);
    assert_int_equal(engine_has_room(h.engine, 2, &why), API_OK);
    job_unref(queued);
    fake_gate_open(h.backend);
    harness_wait_end(running);
    assert_int_equal(running->end.code, API_OK);
    job_unref(running);
    assert_true(engine_wait_idle(h.engine, 10000));
    harness_stop(&h);
}

static void ends_at_eos_unless_ignored(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_script(h.backend, "abc");
    struct job *j = harness_submit(&h, harness_request("a", "x|", 20));
    harness_wait_end(j);
    assert_int_equal(j->end.finish, FINISH_STOP);
    assert_string_equal(harness_text(j), "abc");
    assert_int_equal(j->end.tokens_out, 3);
    job_unref(j);
    struct request r = harness_request("b", "x|", 6);
    r.ignore_eos = true;
    j = harness_submit(&h, r);
    harness_wait_end(j);
    assert_int_equal(j->end.finish, FINISH_LENGTH);
    assert_int_equal(j->end.tokens_out, 6);
    job_unref(j);
    harness_stop(&h);
}

static void together_as_alone(void **state)
{
    (void)state;
    char alone[6][128], id[16], prompt[32];
    struct job *jobs[6];
    for (int i = 0; i < 6; i++) {
        snprintf(prompt, sizeof(prompt), "prompt number %d", i);
        run_alone(prompt, 40, i % 2 ? 1.0f : 0.0f, 1000 + (uint64_t)i, alone[i]);
    }
    struct harness h;
    harness_start(&h, NULL);
    fake_gate_close(h.backend);
    for (int i = 0; i < 6; i++) {
        snprintf(prompt, sizeof(prompt), "prompt number %d", i);
        snprintf(id, sizeof(id), "j%d", i);
        struct request r = harness_request(id, prompt, 40);
        r.sampling.temperature = i % 2 ? 1.0f : 0.0f;
        r.sampling.seed = 1000 + (uint64_t)i;
        jobs[i] = harness_submit(&h, r);
    }
    fake_gate_open(h.backend);
    for (int i = 0; i < 6; i++) {
        harness_wait_end(jobs[i]);
        assert_string_equal(harness_text(jobs[i]), alone[i]);
        job_unref(jobs[i]);
    }
    assert_int_equal(fake_most_rows(h.backend), 4);
    harness_stop(&h);
}

static void prefix_is_reused(void **state)
{
    (void)state;
    struct harness h;
    char prompt[1011], cold[128];
    for (int i = 0; i < 1010; i++)
        prompt[i] = (char)('A' + i * 7 % 26);
    prompt[1010] = 0;
    memcpy(prompt + 1000, "0123456789", 10);
    run_alone(prompt, 5, 0, 0, cold);
    memcpy(prompt + 1000, "other tail", 10);
    harness_start(&h, NULL);
    struct job *j = harness_submit(&h, harness_request("a", prompt, 5));
    harness_wait_end(j);
    assert_int_equal(j->started.cached_tokens, 0);
    job_unref(j);
    assert_true(engine_wait_idle(h.engine, 10000));
    uint64_t before = fake_tokens_computed(h.backend);
    memcpy(prompt + 1000, "0123456789", 10);
    j = harness_submit(&h, harness_request("b", prompt, 5));
    harness_wait_end(j);
    assert_int_equal(j->started.cached_tokens, 1000);
    assert_string_equal(harness_text(j), cold);
    /* 10 of the prompt, then 4 generated tokens were fed. */
    assert_true(fake_tokens_computed(h.backend) - before <= 11 + 4);
    job_unref(j);
    /* The same prompt again: only its last token is computed. */
    assert_true(engine_wait_idle(h.engine, 10000));
    j = harness_submit(&h, harness_request("c", prompt, 5));
    harness_wait_end(j);
    assert_int_equal(j->started.cached_tokens, 1009);
    assert_string_equal(harness_text(j), cold);
    job_unref(j);
    harness_stop(&h);
}

static void prefill_is_sliced_beside_decode(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, &(struct harness_params){.batch = 128});
    char longer[1501];
    memset(longer, 'q', 1500);
    longer[1500] = 0;
    struct job *a = harness_submit(&h, harness_request("a", "first", 200));
    harness_wait_tokens(a, 2);
    struct job *b = harness_submit(&h, harness_request("b", longer, 4));
    harness_wait_end(b);
    assert_true(fake_most_tokens(h.backend) <= 128);
    assert_int_equal(b->end.tokens_out, 4);
    harness_wait_end(a);
    assert_int_equal(a->end.tokens_out, 200);
    job_unref(a);
    job_unref(b);
    harness_stop(&h);
}

static struct request with_stop(const char *id, uint32_t n_stop, const char *const *stops)
{
    struct request r = harness_request(id, "x|", 60);
    for (uint32_t i = 0; i < n_stop; i++) {
        r.stop[i].n = (uint32_t)strlen(stops[i]);
        memcpy(r.stop[i].text, stops[i], r.stop[i].n);
    }
    r.n_stop = n_stop;
    return r;
}

static void stop_strings_are_never_shown(void **state)
{
    (void)state;
    static const struct {
        const char *script, *stops[2], *shown;
        enum finish_reason finish;
    } cases[] = {
        {"one two three", {"two", NULL}, "one ", FINISH_STOP_SEQUENCE},
        {"one twx three", {"two", NULL}, "one twx three", FINISH_STOP},
        {"aaab", {"aab", NULL}, "a", FINISH_STOP_SEQUENCE},
        {"abcabd", {"abd", "zz"}, "abc", FINISH_STOP_SEQUENCE},
        {"ends in a sto", {"stop", NULL}, "ends in a sto", FINISH_STOP}, /* held-back text is flushed */
        {"\xc3\xa9t\xc3\xa9!", {"t\xc3\xa9", NULL}, "\xc3\xa9", FINISH_STOP_SEQUENCE},
        {"now", {"now", NULL}, "", FINISH_STOP_SEQUENCE},
    };
    struct harness h;
    harness_start(&h, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_script(h.backend, cases[i].script);
        struct job *j = harness_submit(&h, with_stop("s", cases[i].stops[1] ? 2 : 1, cases[i].stops));
        harness_wait_end(j);
        assert_string_equal(harness_text(j), cases[i].shown);
        assert_int_equal(j->end.finish, cases[i].finish);
        job_unref(j);
        assert_true(engine_wait_idle(h.engine, 10000));
    }
    harness_stop(&h);
}

static void every_event_is_whole_utf8(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_script(h.backend, "a\xe2\x82\xac\xff z\xf0\x9f\x98");
    struct job *j = harness_submit(&h, harness_request("u", "x|", 60));
    harness_wait_end(j);
    assert_string_equal(harness_text(j), "a\xe2\x82\xac\xef\xbf\xbd z\xef\xbf\xbd");
    assert_int_equal(j->tokens[1].n_text, 0); /* held */
    assert_int_equal(j->tokens[2].n_text, 0);
    assert_int_equal(j->tokens[3].n_text, 3);
    assert_int_equal(j->tokens[j->end.n_published - 1].id, -1);
    assert_int_equal(j->end.tokens_out, j->end.n_published - 1);
    job_unref(j);
    harness_stop(&h);
}

static void limits_are_refused(void **state)
{
    (void)state;
    struct harness h;
    struct engine_refusal why;
    harness_start(&h, &(struct harness_params){.slots = 1, .ctx = 64, .batch = 32, .queue = 2});
    char prompt[80];
    memset(prompt, 'p', sizeof(prompt));
    prompt[60] = 0;
    assert_int_equal(harness_try(&h, harness_request("a", prompt, 6), &why), API_CONTEXT_LENGTH_EXCEEDED);
    struct job *j = harness_submit(&h, harness_request("a", prompt, 5)); /* exactly full */
    harness_wait_end(j);
    assert_int_equal(j->end.tokens_out, 5);
    job_unref(j);
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 5));
    fake_gate_reached(h.backend);
    struct job *q1 = harness_submit(&h, harness_request("q1", "x", 5));
    assert_int_equal(harness_try(&h, harness_request("q1", "x", 5), &why), API_DUPLICATE_JOB);
    assert_int_equal(harness_try(&h, harness_request("r", "x", 5), &why), API_DUPLICATE_JOB);
    struct job *q2 = harness_submit(&h, harness_request("q2", "x", 5));
    assert_int_equal(harness_try(&h, harness_request("q3", "x", 5), &why), API_QUEUE_FULL);
    assert_true(why.retry_after_s > 0);
    fake_gate_open(h.backend);
    harness_wait_end(running);
    harness_wait_end(q1);
    harness_wait_end(q2);
    job_unref(running);
    job_unref(q1);
    job_unref(q2);
    harness_stop(&h);
}

static void earliest_deadline_first(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, &(struct harness_params){.slots = 1});
    fake_gate_close(h.backend);
    struct job *running = harness_submit(&h, harness_request("r", "x", 2));
    fake_gate_reached(h.backend);
    struct job *jobs[4];
    static const uint64_t seconds[] = {0, 400, 100, 50}; /* none ranks as 300 s */
    static const int order[] = {3, 2, 0, 1};
    for (int i = 0; i < 4; i++) {
        char id[2] = {(char)('a' + i), 0};
        struct request r = harness_request(id, "x", 2);
        r.deadline_ns = seconds[i] ? r.arrived_ns + seconds[i] * NS_PER_S : 0;
        jobs[i] = harness_submit(&h, r);
    }
    fake_gate_open(h.backend);
    for (int i = 0; i < 4; i++)
        harness_wait_end(jobs[i]);
    for (int i = 1; i < 4; i++)
        assert_true(
            atomic_load(&jobs[order[i - 1]]->admitted_ns) < atomic_load(&jobs[order[i]]->admitted_ns));
    for (int i = 0; i < 4; i++)
        job_unref(jobs[i]);
    harness_wait_end(running);
    job_unref(running);
    harness_stop(&h);
}

static void out_of_kv(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, &(struct harness_params){.kv_tokens = 300});
    char prompt[201];
    memset(prompt, 'k', 200);
    prompt[200] = 0;
    struct job *j = harness_submit(&h, harness_request("a", prompt, 10));
    harness_wait_end(j);
    job_unref(j);
    assert_true(engine_wait_idle(h.engine, 10000));
    /* The kept prefix of 209 tokens makes room. */
    prompt[0] = 'o';
    j = harness_submit(&h, harness_request("b", prompt, 90));
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_OK);
    job_unref(j);
    /* More than the KV can hold: an error at once, not a wait. */
    char big[401];
    memset(big, 'b', 400);
    big[400] = 0;
    j = harness_submit(&h, harness_request("c", big, 10));
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_VRAM_OOM);
    job_unref(j);
    /* Two jobs that do not fit together run one after the other. */
    struct job *p = harness_submit(&h, harness_request("p", prompt, 50));
    struct job *q = harness_submit(&h, harness_request("q", prompt + 1, 60));
    harness_wait_end(p);
    harness_wait_end(q);
    assert_int_equal(p->end.tokens_out, 50);
    assert_int_equal(q->end.tokens_out, 60);
    job_unref(p);
    job_unref(q);
    harness_stop(&h);
}

static void failed_steps(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    fake_fail_next_wait(h.backend, ORCD_E_DEVICE);
    struct job *j = harness_submit(&h, harness_request("a", "x", 5));
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_BACKEND_ERROR);
    job_unref(j);
    fake_fail_next_row(h.backend, ORCD_E_DEVICE_MEMORY);
    j = harness_submit(&h, harness_request("b", "x", 5));
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_VRAM_OOM);
    job_unref(j);
    fake_nan_logits(h.backend, true);
    j = harness_submit(&h, harness_request("c", "x", 5));
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_BACKEND_ERROR);
    job_unref(j);
    fake_nan_logits(h.backend, false);
    j = harness_submit(&h, harness_request("d", "x", 5));
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_OK);
    job_unref(j);
    fake_fail_next_wait(h.backend, ORCD_E_DEVICE_LOST);
    j = harness_submit(&h, harness_request("e", "x", 5));
    harness_wait_end(j);
    assert_int_equal(j->end.code, API_DEVICE_LOST);
    job_unref(j);
    struct engine_refusal why;
    assert_int_equal(harness_try(&h, harness_request("f", "x", 5), &why), API_DEVICE_LOST);
    harness_stop(&h);
}

static void logprobs_come_with_tokens(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h, NULL);
    struct request r = harness_request("l", "x", 4);
    r.sampling.want_logprob = true;
    r.sampling.n_logprobs = 3;
    struct job *j = harness_submit(&h, r);
    harness_wait_end(j);
    for (uint32_t i = 0; i < 4; i++) {
        const struct job_token *t = &j->tokens[i];
        assert_int_equal(t->n_top, 3);
        assert_int_equal(j->top[t->top_at].id, t->id); /* greedy */
        assert_true(t->logprob <= 0 && j->top[t->top_at].logprob == t->logprob);
        assert_true(j->top[t->top_at + 1].logprob <= t->logprob);
    }
    job_unref(j);
    harness_stop(&h);
}

#define TURNS 4

struct turns {
    struct job *jobs[TURNS];
    uint32_t from[TURNS]; /* tokens when all had begun; 0: not yet */
    uint32_t most_apart;
};

/* The largest difference in tokens between two jobs since all of them had a token. */
static void on_turn(struct job *j, void *arg)
{
    struct turns *t = arg;
    uint32_t least = UINT32_MAX, most = 0;
    (void)j;
    for (int i = 0; i < TURNS; i++)
        if (!t->jobs[i] || !job_published(t->jobs[i]) || job_ended(t->jobs[i]))
            return;
    for (int i = 0; i < TURNS; i++) {
        uint32_t n = job_published(t->jobs[i]);
        t->from[i] = t->from[i] ? t->from[i] : n;
        least = n - t->from[i] < least ? n - t->from[i] : least;
        most = n - t->from[i] > most ? n - t->from[i] : most;
    }
    t->most_apart = most - least > t->most_apart ? most - least : t->most_apart;
}

/* Fewer rows per step than slots: the slots take turns, and a prompt is not delayed. */
static void slots_take_turns(void **state)
{
    (void)state;
    static const char *const prompts[TURNS] = {"abcd", "bcde", "cdef", "defg"};
    struct harness h;
    struct turns t = {.most_apart = 0};
    harness_start(&h, &(struct harness_params){.batch = TURNS, .step_rows = 1});
    fake_gate_close(h.backend);
    for (int i = 0; i < TURNS; i++)
        t.jobs[i] = harness_submit(&h, harness_request(prompts[i], prompts[i], 60));
    harness_on_news(on_turn, &t);
    fake_gate_open(h.backend);
    for (int i = 0; i < TURNS; i++) {
        harness_wait_end(t.jobs[i]);
        assert_int_equal(t.jobs[i]->end.tokens_out, 60);
    }
    harness_on_news(NULL, NULL);
    assert_in_range(fake_most_rows(h.backend), 1, 3); /* one decode row, parts of two prompts */
    assert_in_range(t.most_apart, 1, 2);
    for (int i = 0; i < TURNS; i++)
        job_unref(t.jobs[i]);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_to_the_length),
        cmocka_unit_test(an_idle_engine_turns_when_asked),
        cmocka_unit_test(a_queued_job_that_is_withdrawn_leaves_no_trace),
        cmocka_unit_test(ends_at_eos_unless_ignored),
        cmocka_unit_test(together_as_alone),
        cmocka_unit_test(prefix_is_reused),
        cmocka_unit_test(prefill_is_sliced_beside_decode),
        cmocka_unit_test(stop_strings_are_never_shown),
        cmocka_unit_test(every_event_is_whole_utf8),
        cmocka_unit_test(limits_are_refused),
        cmocka_unit_test(earliest_deadline_first),
        cmocka_unit_test(out_of_kv),
        cmocka_unit_test(failed_steps),
        cmocka_unit_test(logprobs_come_with_tokens),
        cmocka_unit_test(slots_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
