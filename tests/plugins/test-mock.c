/*
 * The mock against the sentences of the plugin contract about tickets and steps; each
 * test begins with the sentence that it holds the mock to.
 */
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/backend.h"
#include "rig.h"
#include "sample/sampler.h"

static struct rig r;
static struct orcd_error err = ORCD_ERROR_INIT;

#define START(...)                                                                                           \
    do {                                                                                                     \
        const char *settings_[] = {__VA_ARGS__, NULL};                                                       \
        assert_int_equal(rig_start(&r, getenv("ORCD_PLUGINS"), "mock", settings_), 0);                       \
        assert_int_equal(rig_context(&r, 4, 4096, 8192), 0);                                                 \
    } while (0)
#define OPEN(seq) assert_int_equal(backend_seq_open(r.backend, seq, 2048, &err), 0)
#define OK(call) assert_int_equal(call, 0)

static void abort_one(uint64_t ticket, uint32_t seq)
{
    backend_abort(r.backend, ticket, &seq, 1);
}

static uint32_t length(uint32_t seq)
{
    uint32_t n = UINT32_MAX;
    OK(backend_seq_len(r.backend, seq, &n, &err));
    return n;
}

static const char *letters(uint32_t n)
{
    static char text[RIG_TOKENS + 1];
    for (uint32_t i = 0; i < n; i++)
        text[i] = (char)('a' + (i * 7 + i / 26) % 26);
    text[n] = 0;
    return text;
}

/* Until the device has ended n steps; nobody needs to have collected them. */
static void await_steps(uint64_t n)
{
    struct orcd_stats s;
    do {
        sched_yield();
        backend_stats(r.backend, &s);
    } while (s.steps < n);
}

/* The bytes that greedy decoding says after a prompt, in a context of its own. */
static void fresh_text(const char *prompt, uint32_t n, char *out)
{
    START("seed=5");
    OPEN(0);
    OK(rig_say(&r, 0, prompt, n, out));
    rig_end(&r);
}

/* ------------------------------------------------------------------ what it says */

static void text_is_a_function_of_seed_and_tokens(void **state)
{
    (void)state;
    char a[101], b[101], c[101];
    fresh_text("Tell me", 100, a);
    fresh_text("Tell me", 100, b);
    assert_string_equal(a, b);
    for (const char *p = a; *p; p++)
        assert_true(*p == ' ' || (*p >= 'a' && *p <= 'z'));
    fresh_text("Tell you", 100, c);
    assert_string_not_equal(a, c);
    START("seed=6");
    OPEN(0);
    OK(rig_say(&r, 0, "Tell me", 100, c));
    assert_string_not_equal(a, c);
    rig_end(&r);
}

static void text_option_is_said_exactly(void **state)
{
    (void)state;
    const char *text = "Gr\xc3\xbc\xc3\x9f dich, \xf0\x9f\x8c\x8d!";
    char out[101], setting[64];
    snprintf(setting, sizeof(setting), "text=%s", text);
    START(setting);
    OPEN(0);
    OPEN(1);
    OK(rig_say(&r, 0, "Say it", 100, out)); /* ends by EOS, not by the limit */
    assert_string_equal(out, text);
    OK(rig_say(&r, 1, "G", 5, out));
    assert_memory_equal(out, text, 5);
    /* Trimmed to its prompt and reserved anew it is a new job. */
    uint32_t kept;
    OK(backend_seq_trim(r.backend, 0, 5, &kept, &err));
    assert_int_equal(kept, 5);
    OK(backend_seq_reserve(r.backend, 0, 100, &err));
    rig_text(&r, 0, 5, "xyz", ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_int_equal(rig_best(r.logits[0]), 'G');
    rig_end(&r);
}

static void length_option_ends_it(void **state)
{
    (void)state;
    char out[101];
    START("length=7");
    OPEN(0);
    OK(rig_say(&r, 0, "Count", 100, out));
    assert_int_equal(strlen(out), 7);
    rig_end(&r);
}

/* ------------------------------------------------------------------ determinism */

/* "A row's result is bit-identical for every batch composition and step boundary." */
static void batch_composition_changes_nothing(void **state)
{
    (void)state;
    static float want[RIG_VOCAB * 3];
    START("seed=9");
    OPEN(0);
    rig_text(&r, 0, 0, letters(300), ORCD_WANT_LAST);
    OK(rig_step(&r));
    memcpy(want, r.logits[0], sizeof(float) * RIG_VOCAB);
    rig_end(&r);

    START("seed=9");
    OPEN(0);
    OPEN(1);
    OPEN(2);
    rig_text(&r, 1, 0, "others", ORCD_WANT_LAST);
    rig_text(&r, 2, 0, letters(100), ORCD_WANT_NONE);
    rig_text(&r, 0, 0, "x", ORCD_WANT_ALL);
    r.tokens[r.start[2]] = letters(1)[0];
    OK(rig_step(&r));
    rig_text(&r, 2, 100, letters(300) + 100, ORCD_WANT_NONE);
    r.row_tokens[0] = 100;
    r.n_tokens = 100;
    rig_text(&r, 0, 1, letters(300) + 1, ORCD_WANT_ALL);
    r.row_tokens[1] = 100;
    r.n_tokens = 200;
    rig_text(&r, 1, 6, "z", ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_int_equal(r.n_logits[1], 100);
    rig_text(&r, 0, 101, letters(300) + 101, ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_memory_equal(r.logits[0], want, sizeof(float) * RIG_VOCAB);
    rig_end(&r);
}

/* ------------------------------------------------------------------- in flight */

/* "Steps complete in order, one wait per submit." "BUSY when max_inflight steps are in
 * flight." */
static void steps_complete_in_order(void **state)
{
    (void)state;
    START("token_ms=2");
    for (uint32_t seq = 0; seq < 4; seq++)
        OPEN(seq);
    assert_int_equal(plugin_table(r.plugin)->max_inflight, 2);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    rig_text(&r, 1, 0, "b", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    const struct orcd_plugin *t = plugin_table(r.plugin);
    const uint32_t two = 2, zero = 0, one = 1;
    const int32_t token = 'c';
    struct orcd_batch b = {.size = sizeof(b),
        .n_rows = 1,
        .ticket = 3,
        .seq = &two,
        .first_pos = &zero,
        .n_tokens = &one,
        .token_start = &zero,
        .tokens = &token,
        .want = &one,
        .kind = &zero};
    assert_int_equal(t->submit(r.backend->ctx, &b, &err), ORCD_E_BUSY);
    OK(rig_wait(&r));
    assert_int_equal(r.result.ticket, 1);
    uint64_t end = r.result.finished_ns;
    OK(rig_wait(&r));
    assert_int_equal(r.result.ticket, 2);
    assert_true(r.result.finished_ns >= end);
    assert_true(r.result.finished_ns - r.result.submitted_ns >= 2 * NS_PER_MS);
    struct orcd_result res = r.result;
    assert_int_equal(t->wait(r.backend->ctx, &res, &err), ORCD_E_INVALID);
    rig_end(&r);
}

/* "max_inflight: 1: synchronous" - an option may lower it. */
static void one_in_flight(void **state)
{
    (void)state;
    START("max_inflight=1", "seed=5");
    assert_int_equal(plugin_table(r.plugin)->max_inflight, 1);
    char out[21], want[21];
    OPEN(0);
    OK(rig_say(&r, 0, "One", 20, out));
    rig_end(&r);
    fresh_text("One", 20, want);
    assert_string_equal(out, want);
}

/* "submit never computes on the caller's thread." */
static void submit_returns_at_once(void **state)
{
    (void)state;
    START("token_ms=60000", "prefill_us_per_token=1000000");
    OPEN(0);
    rig_text(&r, 0, 0, letters(2000), ORCD_WANT_LAST); /* 2000 seconds of computing */
    OK(rig_submit(&r));
    abort_one(r.ticket, 0);
    OK(rig_wait(&r));
    assert_int_equal(r.status[0], ORCD_E_ABORTED);
    rig_end(&r);
}

/* "Logits ... valid until the max_inflight-th later submit." */
static void logits_stay_valid(void **state)
{
    (void)state;
    float copy[RIG_VOCAB];
    START("seed=5");
    OPEN(0);
    OPEN(1);
    rig_text(&r, 0, 0, "first", ORCD_WANT_LAST);
    OK(rig_step(&r));
    const float *first = r.logits[0];
    memcpy(copy, first, sizeof(copy));
    rig_text(&r, 1, 0, "second, of another kind", ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_memory_equal(first, copy, sizeof(copy));
    rig_end(&r);
}

/* "open/close/trim/reserve/sampler on a sequence with rows in flight is ORCD_E_BUSY; on
 * any other they are allowed at once." */
static void busy_sequences(void **state)
{
    (void)state;
    START("token_ms=60000");
    OPEN(0);
    OPEN(1);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    const struct orcd_plugin *t = plugin_table(r.plugin);
    struct orcd_ctx *ctx = r.backend->ctx;
    uint32_t n;
    uint64_t bytes = 0;
    assert_int_equal(t->seq_close(ctx, 0, &err), ORCD_E_BUSY);
    assert_int_equal(t->seq_trim(ctx, 0, 0, &n, &err), ORCD_E_BUSY);
    assert_int_equal(t->seq_reserve(ctx, 0, 100, &err), ORCD_E_BUSY);
    assert_int_equal(t->seq_sampler(ctx, 0, NULL, &err), ORCD_E_BUSY);
    assert_int_equal(t->seq_len(ctx, 0, &n, &err), ORCD_E_BUSY);
    assert_int_equal(t->seq_fork(ctx, 0, 1, 0, &err), ORCD_E_BUSY);
    assert_int_equal(t->seq_save(ctx, 0, NULL, &bytes, &err), ORCD_E_BUSY);
    OK(t->seq_trim(ctx, 1, 0, &n, &err));
    OK(t->seq_reserve(ctx, 1, 100, &err));
    OK(t->seq_sampler(ctx, 1, NULL, &err));
    OK(t->seq_close(ctx, 1, &err));
    OK(t->seq_open(ctx, 2, 10, &err));
    abort_one(r.ticket, 0);
    OK(rig_wait(&r));
    OK(backend_seq_close(r.backend, 0, &err));
    rig_end(&r);
}

/* -------------------------------------------------------------------- errors */

/* "After a step-level error all later steps end ABORTED." "A step-level error changes no
 * sequence." */
static void step_error_aborts_later_steps(void **state)
{
    (void)state;
    char out[31], want[31];
    START("fault=wait.fail@2", "seed=5");
    OPEN(0);
    OPEN(1);
    rig_text(&r, 0, 0, "Tel", ORCD_WANT_NONE);
    OK(rig_step(&r));
    rig_text(&r, 0, 3, "l me", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    rig_text(&r, 0, 7, "?", ORCD_WANT_LAST);
    rig_text(&r, 1, 0, "other", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    assert_int_equal(rig_wait(&r), ORCD_E_DEVICE);
    assert_int_equal(rig_wait(&r), ORCD_E_ABORTED);
    assert_int_equal(length(0), 3);
    assert_int_equal(length(1), 0);
    /* What is submitted after that is a new step, and the sequences are as they were. */
    rig_text(&r, 0, 3, "l me", ORCD_WANT_NONE);
    OK(rig_step(&r));
    assert_int_equal(r.status[0], 0);
    uint32_t kept;
    OK(backend_seq_trim(r.backend, 0, 0, &kept, &err));
    OK(rig_say(&r, 0, "Tell me", 30, out));
    rig_end(&r);
    fresh_text("Tell me", 30, want);
    assert_string_equal(out, want);
}

/* The same when the second step is submitted after the first has failed, unknown to the
 * host. */
static void step_error_aborts_until_collected(void **state)
{
    (void)state;
    START("fault=wait.oom");
    OPEN(0);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    await_steps(1);
    rig_text(&r, 0, 1, "b", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    assert_int_equal(rig_wait(&r), ORCD_E_DEVICE_MEMORY);
    assert_int_equal(rig_wait(&r), ORCD_E_ABORTED);
    assert_int_equal(length(0), 0);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    OK(rig_step(&r));
    rig_end(&r);
}

/* "Device lost is its own code: after it only free/close/fini are called." */
static void device_lost_stays_lost(void **state)
{
    (void)state;
    START("fault=wait.device_lost");
    OPEN(0);
    const struct orcd_plugin *t = plugin_table(r.plugin);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    assert_int_equal(rig_step(&r), ORCD_E_DEVICE_LOST);
    struct orcd_memory m = {.size = sizeof(m)};
    struct orcd_residency res = {.size = sizeof(res)};
    uint32_t n;
    assert_int_equal(t->device_memory(r.backend->device, &m, &err), ORCD_E_DEVICE_LOST);
    assert_int_equal(t->seq_len(r.backend->ctx, 0, &n, &err), ORCD_E_DEVICE_LOST);
    OK(t->residency(r.backend->model, &res, &err));
    assert_int_equal(res.device_lost, 1);
    rig_end(&r);
}

/* A row may fail alone. */
static void row_failure_is_one_rows(void **state)
{
    (void)state;
    START("fault=wait.row_fail,logits.nan@3");
    OPEN(0);
    OPEN(1);
    rig_text(&r, 0, 0, "ab", ORCD_WANT_LAST);
    rig_text(&r, 1, 0, "cd", ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_int_equal(r.status[0], ORCD_E_DEVICE);
    assert_null(r.logits[0]);
    assert_int_equal(r.status[1], 0);
    rig_text(&r, 1, 2, "e", ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_true(isnan(r.logits[0][0]) && isnan(r.logits[0][RIG_VOCAB - 1]));
    rig_text(&r, 1, 3, "f", ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_false(isnan(r.logits[0][0]));
    rig_end(&r);
}

/* --------------------------------------------------------------------- abort */

/* "(ticket, sequences): their rows in steps <= ticket are doomed" - "whether the step was
 * submitted yet or not"; "never lost, whenever it comes". */
static void abort_before_submit(void **state)
{
    (void)state;
    START("token_ms=60000");
    OPEN(0);
    abort_one(2, 0);
    abort_one(1, 0); /* an earlier ticket takes nothing back */
    for (int i = 0; i < 2; i++) {
        rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
        OK(rig_step(&r)); /* would take a minute */
        assert_int_equal(r.status[0], ORCD_E_ABORTED);
        assert_int_equal(r.kept[0], 0);
    }
    rig_end(&r);
    START("token_ms=1");
    OPEN(0);
    OPEN(1);
    abort_one(1, 0);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    rig_text(&r, 1, 0, "b", ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_int_equal(r.status[0], ORCD_E_ABORTED);
    assert_int_equal(r.status[1], 0);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST); /* a later ticket is not meant */
    OK(rig_step(&r));
    assert_int_equal(r.status[0], 0);
    rig_end(&r);
}

/* "the step ends early only when all its rows are, else the others complete". */
static void abort_one_of_two(void **state)
{
    (void)state;
    START("token_ms=40", "seed=5");
    OPEN(0);
    OPEN(1);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    rig_text(&r, 1, 0, "b", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    abort_one(r.ticket, 0);
    OK(rig_wait(&r));
    assert_int_equal(r.status[0], ORCD_E_ABORTED);
    assert_int_equal(r.kept[0], 0);
    assert_null(r.logits[0]);
    assert_int_equal(r.status[1], 0);
    assert_int_equal(r.kept[1], 1);
    assert_non_null(r.logits[1]);
    assert_true(r.result.finished_ns - r.result.submitted_ns >= 40 * NS_PER_MS); /* not early */
    rig_end(&r);
}

static void abort_all_ends_early(void **state)
{
    (void)state;
    START("token_ms=60000", "prefill_us_per_token=1000000");
    OPEN(0);
    OPEN(1);
    OPEN(2);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    rig_text(&r, 1, 0, "b", ORCD_WANT_LAST);
    rig_text(&r, 2, 0, letters(1000), ORCD_WANT_LAST);
    OK(rig_submit(&r));
    const uint32_t all[] = {0, 1, 2, 99};
    plugin_table(r.plugin)->abort(r.backend->ctx, r.ticket, all, 4); /* 99 is nobody */
    OK(rig_wait(&r));
    for (int i = 0; i < 3; i++)
        assert_int_equal(r.status[i], ORCD_E_ABORTED);
    struct orcd_stats s;
    backend_stats(r.backend, &s);
    assert_int_equal(s.rows_aborted, 3);
    rig_end(&r);
}

/* "they end ABORTED ..., or OK if they are done by then." */
static void abort_after_the_step(void **state)
{
    (void)state;
    START("token_ms=1");
    OPEN(0);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    await_steps(1);
    abort_one(r.ticket, 0);
    OK(rig_wait(&r));
    assert_int_equal(r.status[0], 0);
    assert_int_equal(r.kept[0], 1);
    rig_end(&r);
}

/* "on abort `kept` is exact, so the KV prefix survives a cancel and a retry is cheap." */
static void kept_is_exact(void **state)
{
    (void)state;
    char want[31], out[31];
    char prompt[2001];
    strcpy(prompt, letters(2000));
    fresh_text(prompt, 30, want);
    START("prefill_us_per_token=500", "seed=5"); /* a second of it */
    OPEN(0);
    rig_text(&r, 0, 0, prompt, ORCD_WANT_LAST);
    uint64_t before = clock_mono_ns();
    OK(rig_submit(&r));
    while (clock_mono_ns() < before + 20 * NS_PER_MS)
        sched_yield();
    uint64_t aborted = clock_mono_ns();
    abort_one(r.ticket, 0);
    OK(rig_wait(&r));
    assert_int_equal(r.status[0], ORCD_E_ABORTED);
    /* By the delays' own model: a token each half millisecond from the start to the end. */
    uint64_t least = (aborted - r.result.started_ns) / 500000;
    uint64_t most = (r.result.finished_ns - r.result.started_ns) / 500000;
    assert_in_range(r.kept[0], least < 2000 ? least : 1999, most);
    assert_int_equal(length(0), r.kept[0]);
    /* The rest of the prompt on top of what was kept says the same as without abort. */
    uint32_t at = r.kept[0];
    rig_text(&r, 0, at, prompt + at, ORCD_WANT_LAST);
    OK(rig_step(&r));
    for (uint32_t i = 0; i < 30; i++) {
        int32_t token = rig_best(r.logits[0]);
        out[i] = (char)token;
        rig_row(&r, 0, 2000 + i, &token, 1, ORCD_WANT_LAST, 0);
        OK(rig_step(&r));
    }
    out[30] = 0;
    assert_string_equal(out, want);
    rig_end(&r);
}

/* "Prompt tokens of a step are computed in slices of this many, and a slice costs the same however few
 * tokens are in it." */
static void a_slice_costs_the_same_however_full(void **state)
{
    (void)state;
    START("seed=5");
    assert_int_equal(backend_model(r.backend)->prefill_granule, 1);
    rig_end(&r);
    START("slice_tokens=512", "slice_ms=20");
    assert_int_equal(backend_model(r.backend)->prefill_granule, 512);
    OPEN(0);
    rig_text(&r, 0, 0, letters(8), ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_true(r.result.finished_ns - r.result.started_ns >= 20 * NS_PER_MS);
    rig_text(&r, 0, 8, letters(513), ORCD_WANT_LAST);
    OK(rig_step(&r));
    assert_true(r.result.finished_ns - r.result.started_ns >= 40 * NS_PER_MS);
    rig_end(&r);
}

/* Slices hold tokens of several rows, so a row that begins none takes no time. */
static void rows_share_a_slice(void **state)
{
    (void)state;
    START("slice_tokens=512", "slice_ms=60000");
    OPEN(0);
    OPEN(1);
    OPEN(2);
    rig_text(&r, 0, 0, letters(100), ORCD_WANT_LAST);
    rig_text(&r, 1, 0, letters(412), ORCD_WANT_LAST); /* the rest of the slice */
    rig_text(&r, 2, 0, letters(2), ORCD_WANT_LAST);   /* a minute of its own */
    OK(rig_submit(&r));
    abort_one(1, 0);
    abort_one(1, 2);
    OK(rig_wait(&r));
    assert_int_equal(r.status[0], ORCD_E_ABORTED);
    assert_int_equal(r.status[1], 0);
    assert_int_equal(r.status[2], ORCD_E_ABORTED);
    assert_int_equal(r.kept[2], 0);
    rig_end(&r);
}

/* "After a row is aborted, its sequence's later rows end ABORTED with `kept` unchanged." */
static void later_rows_of_an_aborted_one(void **state)
{
    (void)state;
    START("prefill_us_per_token=1000000");
    OPEN(0);
    OPEN(1);
    rig_text(&r, 0, 0, letters(1000), ORCD_WANT_NONE);
    OK(rig_submit(&r));
    rig_text(&r, 0, 1000, "z", ORCD_WANT_LAST);
    rig_text(&r, 1, 0, "z", ORCD_WANT_LAST);
    OK(rig_submit(&r));
    abort_one(1, 0); /* the first step's row alone is meant */
    OK(rig_wait(&r));
    assert_int_equal(r.status[0], ORCD_E_ABORTED);
    uint32_t kept = r.kept[0];
    OK(rig_wait(&r));
    assert_int_equal(r.status[0], ORCD_E_ABORTED);
    assert_int_equal(r.kept[0], kept);
    assert_int_equal(r.status[1], 0); /* the other sequence is alive */
    assert_int_equal(length(0), kept);
    rig_end(&r);
}

/* "the plugin looks at the ticket within a step": every look_ms from the step's beginning. */
static void looks_at_the_abort_in_time(void **state)
{
    (void)state;
    START("prefill_us_per_token=5000", "look_ms=150"); /* ten seconds of prefill */
    OPEN(0);
    do { /* again if the device took the step up only after the abort */
        rig_text(&r, 0, 0, letters(2000), ORCD_WANT_LAST);
        uint64_t before = clock_mono_ns();
        OK(rig_submit(&r));
        while (clock_mono_ns() < before + 20 * NS_PER_MS)
            sched_yield();
        abort_one(r.ticket, 0);
        OK(rig_wait(&r));
        assert_int_equal(r.status[0], ORCD_E_ABORTED);
    } while (r.kept[0] == 0);
    assert_true(r.result.finished_ns - r.result.started_ns >= 150 * NS_PER_MS);
    assert_true(r.kept[0] < 2000);
    rig_end(&r);
}

/* A hang is deaf to abort, as a hung kernel is. */
static void hang_ignores_abort(void **state)
{
    (void)state;
    START("fault=wait.hang", "hang_ms=50");
    OPEN(0);
    rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
    uint64_t before = clock_mono_ns();
    OK(rig_submit(&r));
    abort_one(r.ticket, 0);
    OK(rig_wait(&r));
    assert_true(clock_mono_ns() - before >= 50 * NS_PER_MS);
    assert_int_equal(r.status[0], ORCD_E_ABORTED);
    rig_end(&r);
}

/* -------------------------------------------------------------------- sampling */

static void set_sampler(uint32_t seq, uint64_t seed, const int32_t *history, uint32_t n_history)
{
    struct orcd_sampler s = {
        .size = sizeof(s),
        .required_features = ORCD_S_TOP_P | ORCD_S_REPETITION | ORCD_S_COUNTS,
        .seed = seed,
        .temperature = 1.2f,
        .top_p = 0.95f,
        .typical_p = 1,
        .repeat_last_n = 32,
        .repetition_penalty = 1.2f,
        .frequency_penalty = 0.1f,
        .presence_penalty = 0.2f,
        .history = history,
        .n_history = n_history,
    };
    OK(backend_seq_sampler(r.backend, seq, &s, &err));
}

/* What the host's own sampler draws from the mock's logits. */
static void host_sampled(const int32_t *prompt, uint32_t n_prompt, uint64_t seed, uint32_t n, int32_t *out)
{
    struct sampler *s;
    struct sample_params p;
    struct sample_result res;
    sample_params_default(&p);
    p.seed = seed;
    p.temperature = 1.2f;
    p.top_p = 0.95f;
    p.repeat_last_n = 32;
    p.repetition_penalty = 1.2f;
    p.frequency_penalty = 0.1f;
    p.presence_penalty = 0.2f;
    START("seed=5");
    OPEN(0);
    OK(sampler_new(&s, RIG_VOCAB, &err));
    OK(sampler_begin(s, &p, prompt, n_prompt, &err));
    rig_row(&r, 0, 0, prompt, n_prompt, ORCD_WANT_LAST, 0);
    OK(rig_step(&r));
    for (uint32_t i = 0; i < n; i++) {
        OK(sampler_draw(s, r.logits[0], n_prompt + i, &res, &err));
        out[i] = res.id;
        rig_row(&r, 0, n_prompt + i, &res.id, 1, ORCD_WANT_LAST, 0);
        OK(rig_step(&r));
    }
    sampler_free(s);
    rig_end(&r);
}

/* "2: the host may submit step k+1 before waiting for step k, naming the token just
 * sampled by ORCD_TOKEN_CHAINED" - the tokens are those that the host would have drawn. */
static void chained_tokens_are_the_hosts(void **state)
{
    (void)state;
    const int32_t prompt[] = {'O', 'n', 'c', 'e'}, chained = ORCD_TOKEN_CHAINED;
    int32_t want[60];
    host_sampled(prompt, 4, 77, 60, want);
    START("seed=5", "jitter_ms=0.2");
    OPEN(0);
    set_sampler(0, 77, prompt, 4);
    rig_row(&r, 0, 0, prompt, 4, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
    OK(rig_submit(&r));
    for (uint32_t i = 0; i < 60; i++) {
        rig_row(&r, 0, 4 + i, &chained, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
        OK(rig_submit(&r)); /* two in flight now */
        OK(rig_wait(&r));
        assert_int_equal(r.status[0], 0);
        assert_int_equal(r.token[0], want[i]);
        assert_null(r.logits[0]);
    }
    OK(rig_wait(&r));
    rig_end(&r);
}

/* "CHAINED is valid only if that sequence's row in k was sampled by the plugin." */
static void chained_needs_a_sampled_row(void **state)
{
    (void)state;
    const int32_t a[] = {'a', 'b'}, chained = ORCD_TOKEN_CHAINED;
    START("seed=5");
    OPEN(0);
    OPEN(1);
    set_sampler(0, 1, NULL, 0);
    rig_row(&r, 0, 0, &chained, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN); /* nothing before it */
    assert_int_equal(rig_submit(&r), ORCD_E_INVALID);
    rig_row(&r, 0, 0, a, 2, ORCD_WANT_LAST, ORCD_KIND_LOGITS);
    OK(rig_submit(&r));
    rig_row(&r, 0, 2, &chained, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN); /* the host was to sample */
    assert_int_equal(rig_submit(&r), ORCD_E_INVALID);
    OK(rig_wait(&r));
    rig_row(&r, 0, 2, a, 1, ORCD_WANT_NONE, ORCD_KIND_TOKEN);
    OK(rig_submit(&r));
    rig_row(&r, 0, 3, &chained, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN); /* wanted nothing */
    assert_int_equal(rig_submit(&r), ORCD_E_INVALID);
    OK(rig_wait(&r));
    rig_row(&r, 1, 0, a, 2, ORCD_WANT_LAST, ORCD_KIND_TOKEN); /* no sampler */
    assert_int_equal(rig_submit(&r), ORCD_E_INVALID);
    /* "rows that need logits on the host are not chained, the others still are" */
    rig_row(&r, 0, 3, a, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
    rig_row(&r, 1, 0, a, 2, ORCD_WANT_LAST, ORCD_KIND_LOGITS);
    OK(rig_submit(&r));
    rig_row(&r, 0, 4, &chained, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
    OK(rig_submit(&r));
    OK(rig_wait(&r));
    OK(rig_wait(&r));
    assert_int_equal(r.status[0], 0);
    rig_end(&r);
}

/* "If step k shows that a sequence ended, the host collects k+1, drops its row, then
 * trims." */
static void collect_drop_trim(void **state)
{
    (void)state;
    const int32_t prompt[] = {'O', 'n', 'c', 'e'}, chained = ORCD_TOKEN_CHAINED;
    int32_t want[2];
    host_sampled(prompt, 4, 77, 2, want);
    START("seed=5");
    OPEN(0);
    set_sampler(0, 77, prompt, 4);
    rig_row(&r, 0, 0, prompt, 4, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
    OK(rig_submit(&r));
    rig_row(&r, 0, 4, &chained, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
    OK(rig_submit(&r));
    OK(rig_wait(&r));
    OK(rig_wait(&r));
    assert_int_equal(length(0), 5);
    uint32_t kept;
    OK(backend_seq_trim(r.backend, 0, 4, &kept, &err));
    assert_int_equal(kept, 4);
    rig_row(&r, 0, 4, &chained, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN); /* what it named is gone */
    assert_int_equal(rig_submit(&r), ORCD_E_INVALID);
    rig_row(&r, 0, 4, want, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
    OK(rig_step(&r));
    assert_int_equal(r.token[0], want[1]); /* position and history are as before */
    rig_end(&r);
}

/* "a plugin that sees an unknown bit returns ORCD_E_UNSUPPORTED" and names it; so does one
 * that never samples. */
static void unknown_rules_are_refused(void **state)
{
    (void)state;
    struct orcd_sampler s = {.size = sizeof(s), .required_features = UINT32_C(1) << 20};
    START("seed=5");
    OPEN(0);
    assert_int_equal(backend_seq_sampler(r.backend, 0, &s, &err), ORCD_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "0x100000"));
    rig_end(&r);
    START("sampling=false");
    OPEN(0);
    s.required_features = 0;
    assert_int_equal(backend_seq_sampler(r.backend, 0, &s, &err), ORCD_E_UNSUPPORTED);
    rig_end(&r);
}

static void top_logprobs_are_sorted(void **state)
{
    (void)state;
    START("seed=5");
    OPEN(0);
    rig_text(&r, 0, 0, "abc", ORCD_WANT_LAST);
    r.kind[0] = ORCD_KIND_TOP_LOGPROBS;
    r.top_n[0] = RIG_VOCAB;
    OK(rig_step(&r));
    double sum = 0;
    for (int i = 0; i < RIG_VOCAB; i++) {
        sum += exp((double)r.top_logprobs[0][i]);
        assert_true(i == 0 || r.top_logprobs[0][i] <= r.top_logprobs[0][i - 1]);
    }
    assert_true(fabs(sum - 1) < 1e-5);
    assert_int_equal(r.token[0], -1);
    rig_end(&r);
}

/* ------------------------------------------------------------------------- KV */

/* "seq_open: reserve KV for max_tokens, so that out-of-memory is an admission answer." */
static void out_of_kv(void **state)
{
    (void)state;
    START("fault=seq_open.out_of_kv@5"); /* 8192 tokens of KV, 4096 a sequence */
    OK(backend_seq_open(r.backend, 0, 4096, &err));
    OK(backend_seq_open(r.backend, 1, 4000, &err));
    assert_int_equal(backend_seq_open(r.backend, 2, 97, &err), ORCD_E_OUT_OF_KV);
    OK(backend_seq_open(r.backend, 2, 96, &err));
    assert_int_equal(backend_seq_reserve(r.backend, 1, 4001, &err), ORCD_E_OUT_OF_KV);
    assert_int_equal(backend_seq_reserve(r.backend, 1, 4097, &err), ORCD_E_INVALID);
    OK(backend_seq_close(r.backend, 2, &err));
    OK(backend_seq_reserve(r.backend, 1, 4001, &err));
    assert_int_equal(backend_seq_open(r.backend, 2, 1, &err), ORCD_E_OUT_OF_KV); /* by the fault */
    OK(backend_seq_open(r.backend, 2, 95, &err));
    /* Nothing goes beyond what was reserved. */
    rig_text(&r, 2, 0, letters(96), ORCD_WANT_NONE);
    assert_int_equal(rig_submit(&r), ORCD_E_INVALID);
    rig_text(&r, 2, 0, letters(95), ORCD_WANT_NONE);
    OK(rig_step(&r));
    assert_int_equal(backend_seq_reserve(r.backend, 2, 94, &err), ORCD_E_INVALID); /* below its length */
    struct orcd_memory m;
    OK(backend_memory(r.backend, &m, &err));
    assert_int_equal(m.total_bytes, UINT64_C(1024) << 20);
    assert_int_equal(m.ours_bytes, (UINT64_C(256) << 20) + 8192 * 1024);
    assert_int_equal(m.free_bytes, m.total_bytes - m.ours_bytes);
    rig_end(&r);
    const char *small[] = {"memory_mb=16", NULL};
    OK(rig_start(&r, getenv("ORCD_PLUGINS"), "mock", small));
    assert_int_equal(rig_context(&r, 4, 4096, 12 * 1024 + 1), ORCD_E_DEVICE_MEMORY);
    OK(rig_context(&r, 4, 4096, 12 * 1024));
    rig_end(&r);
}

/* "share a prefix; spill KV to a host buffer"; "trim, fork and save carry" the history. */
static void fork_save_load(void **state)
{
    (void)state;
    const int32_t prompt[] = {'O', 'n', 'c', 'e'};
    int32_t want[10];
    host_sampled(prompt, 4, 77, 10, want);
    START("seed=5");
    for (uint32_t seq = 0; seq < 3; seq++)
        OPEN(seq);
    set_sampler(0, 77, prompt, 4);
    rig_row(&r, 0, 0, prompt, 4, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
    OK(rig_step(&r));
    rig_row(&r, 0, 4, want, 5, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
    OK(rig_step(&r));
    assert_int_equal(r.token[0], want[5]);
    OK(backend_seq_fork(r.backend, 0, 1, 7, &err));
    assert_int_equal(length(1), 7);
    rig_row(&r, 1, 7, want + 3, 2, ORCD_WANT_LAST, ORCD_KIND_TOKEN); /* with the sampler it had */
    OK(rig_step(&r));
    assert_int_equal(r.token[0], want[5]);
    uint64_t bytes;
    char buf[256];
    OK(backend_seq_save(r.backend, 0, NULL, &bytes, &err));
    assert_true(bytes <= sizeof(buf));
    uint64_t less = bytes - 1;
    assert_int_equal(backend_seq_save(r.backend, 0, buf, &less, &err), ORCD_E_INVALID);
    OK(backend_seq_save(r.backend, 0, buf, &bytes, &err));
    assert_int_equal(backend_seq_load(r.backend, 2, buf, bytes - 1, &err), ORCD_E_INVALID);
    assert_int_equal(backend_seq_load(r.backend, 2, buf, 3, &err), ORCD_E_INVALID);
    buf[0] ^= 1;
    assert_int_equal(backend_seq_load(r.backend, 2, buf, bytes, &err), ORCD_E_INVALID);
    buf[0] ^= 1;
    OK(backend_seq_load(r.backend, 2, buf, bytes, &err));
    assert_int_equal(length(2), 9);
    set_sampler(2, 77, prompt, 4);
    rig_row(&r, 2, 9, want + 5, 1, ORCD_WANT_LAST, ORCD_KIND_TOKEN);
    OK(rig_step(&r));
    assert_int_equal(r.token[0], want[6]);
    rig_end(&r);
}

/* ---------------------------------------------------------------------- faults */

static void faults_at_each_nth_call(void **state)
{
    (void)state;
    START("fault=seq_reserve.fail/3");
    OPEN(0);
    for (int i = 1; i <= 10; i++)
        assert_int_equal(backend_seq_reserve(r.backend, 0, 10, &err), i % 3 ? 0 : ORCD_E_DEVICE);
    rig_end(&r);
}

static void faults_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {"wait", "wait.", ".fail", "wait.what", "nowhere.fail", "wait.fail@",
        "wait.fail@0", "wait.fail@x", "wait.fail@1x", "wait.fail!!", "wait.fail!@2",
        "wait.fail@99999999999999", "wait.fail/", "wait.fail/0", "wait.fail/2!", "wait.fail@2/2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char setting[64];
        snprintf(setting, sizeof(setting), "fault=%s", bad[i]);
        const char *set[] = {setting, NULL};
        assert_int_equal(rig_start(&r, getenv("ORCD_PLUGINS"), "mock", set), ORCD_E_INVALID);
        assert_non_null(strstr(r.err.msg, "fault"));
        rig_end(&r);
    }
    static const struct {
        const char *fault;
        int code;
    } at_start[] = {{"fault=init.fail", ORCD_E_DEVICE}, {"fault=device_open.busy", ORCD_E_BUSY},
        {"fault=load.oom", ORCD_E_DEVICE_MEMORY}, {"fault=load.oom/1", ORCD_E_DEVICE_MEMORY}};
    for (size_t i = 0; i < sizeof(at_start) / sizeof(at_start[0]); i++) {
        const char *set[] = {at_start[i].fault, NULL};
        assert_int_equal(rig_start(&r, getenv("ORCD_PLUGINS"), "mock", set), at_start[i].code);
        rig_end(&r);
    }
    START("fault=submit.fail@2! residency.lost, seq_reserve.fail");
    OPEN(0);
    for (int i = 0; i < 3; i++) {
        rig_text(&r, 0, 0, "ab", ORCD_WANT_NONE);
        assert_int_equal(rig_submit(&r), i ? ORCD_E_DEVICE : 0);
        if (i == 0)
            abort_one(r.ticket, 0);
        if (i == 0)
            OK(rig_wait(&r));
        if (i == 0 && r.kept[0]) {
            uint32_t kept;
            OK(backend_seq_trim(r.backend, 0, 0, &kept, &err));
        }
    }
    struct orcd_residency res;
    OK(backend_residency(r.backend, &res, &err));
    assert_int_equal(res.resident_bytes * 2, res.expected_bytes);
    assert_int_equal(res.host_pointers, 1);
    OK(backend_residency(r.backend, &res, &err)); /* once */
    assert_int_equal(res.resident_bytes, res.expected_bytes);
    assert_int_equal(backend_seq_reserve(r.backend, 0, 10, &err), ORCD_E_DEVICE);
    rig_end(&r);
}

static void crash_is_a_crash(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        const char *set[] = {"fault=wait.crash", NULL};
        rig_start(&r, getenv("ORCD_PLUGINS"), "mock", set);
        rig_context(&r, 4, 4096, 8192);
        backend_seq_open(r.backend, 0, 64, &err);
        rig_text(&r, 0, 0, "a", ORCD_WANT_LAST);
        rig_step(&r);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static int32_t count_progress(uint64_t done, uint64_t total, void *arg)
{
    ++*(uint64_t *)arg;
    assert_true(done <= total);
    return 0;
}

static int32_t stop_progress(uint64_t done, uint64_t total, void *arg)
{
    (void)total, (void)arg;
    return done >= 3;
}

/* "progress(done, total) -> nonzero means stop." */
static void load_tells_progress_and_stops(void **state)
{
    (void)state;
    uint64_t progress_calls = 0;
    plugin_set_progress(count_progress, &progress_calls);
    START("load_ms=1");
    assert_int_equal(progress_calls, 20);
    rig_end(&r);
    plugin_set_progress(stop_progress, NULL);
    assert_int_equal(rig_start(&r, getenv("ORCD_PLUGINS"), "mock", NULL), ORCD_E_STOPPED);
    rig_end(&r);
    plugin_set_progress(NULL, NULL);
}

/* The build that claims minor 0 has no later slots and says the same. */
static void older_minor_works(void **state)
{
    (void)state;
    char want[41], out[41], path[512];
    fresh_text("Old", 40, want);
    snprintf(path, sizeof(path), "%s/tests/plugins/mock-minor-0.so", getenv("ORCD_BUILDDIR"));
    const char *dir = rig_copy(path, "mock-minor-0");
    assert_non_null(dir);
    const char *set[] = {"seed=5", NULL};
    OK(rig_start(&r, dir, "mock-minor-0", set));
    assert_int_equal(plugin_table(r.plugin)->minor, 0);
    assert_null(plugin_table(r.plugin)->seq_sampler);
    OK(rig_context(&r, 4, 4096, 8192));
    OPEN(0);
    assert_int_equal(backend_seq_sampler(r.backend, 0, NULL, &err), ORCD_E_UNSUPPORTED);
    OK(rig_say(&r, 0, "Old", 40, out));
    assert_string_equal(out, want);
    rig_end(&r);
    char command[600];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    OK(system(command));
}

/* ------------------------------------------------------------------------ races */

static _Atomic(bool) racing;

static void *abort_again_and_again(void *arg)
{
    (void)arg;
    for (uint64_t ticket = 1; racing; ticket += 3) {
        struct orcd_stats s;
        abort_one(ticket, (uint32_t)(ticket % 4));
        backend_stats(r.backend, &s);
        sched_yield();
    }
    return NULL;
}

static void *ask_health(void *arg)
{
    (void)arg;
    struct orcd_error e = ORCD_ERROR_INIT;
    while (racing) {
        struct orcd_memory m;
        struct orcd_residency res;
        if (backend_memory(r.backend, &m, &e) || backend_residency(r.backend, &res, &e))
            return (void *)1;
    }
    return NULL;
}

/* ANY and HEALTH calls from other threads while steps run; for ThreadSanitizer. Whatever
 * comes out, lengths add up. */
static void any_and_health_from_other_threads(void **state)
{
    (void)state;
    pthread_t a, h;
    void *failed;
    START("token_ms=0.05", "prefill_us_per_token=5", "jitter_ms=0.05");
    uint32_t len[4] = {0};
    for (uint32_t seq = 0; seq < 4; seq++)
        OPEN(seq);
    racing = true;
    OK(pthread_create(&a, NULL, abort_again_and_again, NULL));
    OK(pthread_create(&h, NULL, ask_health, NULL));
    for (uint32_t i = 0; i < 300; i++) {
        for (uint32_t seq = 0; seq < 4; seq++) {
            if (len[seq] > 1900) {
                OK(backend_seq_trim(r.backend, seq, 10, &len[seq], &err));
            }
            rig_text(&r, seq, len[seq], seq < 2 ? "x" : letters(20), ORCD_WANT_LAST);
        }
        OK(rig_step(&r));
        for (uint32_t seq = 0; seq < 4; seq++) {
            assert_true(r.status[seq] == 0 || r.status[seq] == ORCD_E_ABORTED);
            len[seq] = r.kept[seq];
            assert_int_equal(length(seq), len[seq]);
        }
    }
    racing = false;
    OK(pthread_join(a, NULL));
    OK(pthread_join(h, &failed));
    assert_null(failed);
    rig_end(&r);
}

int main(void)
{
    log_setup(ORCD_LOG_ERROR, LOG_FORMAT_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_a_function_of_seed_and_tokens),
        cmocka_unit_test(text_option_is_said_exactly),
        cmocka_unit_test(length_option_ends_it),
        cmocka_unit_test(batch_composition_changes_nothing),
        cmocka_unit_test(steps_complete_in_order),
        cmocka_unit_test(one_in_flight),
        cmocka_unit_test(submit_returns_at_once),
        cmocka_unit_test(logits_stay_valid),
        cmocka_unit_test(busy_sequences),
        cmocka_unit_test(step_error_aborts_later_steps),
        cmocka_unit_test(step_error_aborts_until_collected),
        cmocka_unit_test(device_lost_stays_lost),
        cmocka_unit_test(row_failure_is_one_rows),
        cmocka_unit_test(abort_before_submit),
        cmocka_unit_test(abort_one_of_two),
        cmocka_unit_test(abort_all_ends_early),
        cmocka_unit_test(abort_after_the_step),
        cmocka_unit_test(kept_is_exact),
        cmocka_unit_test(looks_at_the_abort_in_time),
        cmocka_unit_test(a_slice_costs_the_same_however_full),
        cmocka_unit_test(rows_share_a_slice),
        cmocka_unit_test(later_rows_of_an_aborted_one),
        cmocka_unit_test(hang_ignores_abort),
        cmocka_unit_test(chained_tokens_are_the_hosts),
        cmocka_unit_test(chained_needs_a_sampled_row),
        cmocka_unit_test(collect_drop_trim),
        cmocka_unit_test(unknown_rules_are_refused),
        cmocka_unit_test(top_logprobs_are_sorted),
        cmocka_unit_test(out_of_kv),
        cmocka_unit_test(fork_save_load),
        cmocka_unit_test(faults_at_each_nth_call),
        cmocka_unit_test(faults_by_name),
        cmocka_unit_test(crash_is_a_crash),
        cmocka_unit_test(load_tells_progress_and_stops),
        cmocka_unit_test(older_minor_works),
        cmocka_unit_test(any_and_health_from_other_threads),
    };
    return cmocka_run_group_tests_name("mock", tests, NULL, NULL);
}
