/*
 * Steps of the cuda plugin, on the CPU: chained tokens with two steps in flight, sampling on the
 * device against core/sample, rows that are the same bits in any company, aborts between steps.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sample/sampler.h"
#include "tests/lib/golden.h"
#include "tests/plugins/cpu-rig.h"
#include "tests/plugins/cpu-tiny.h"

#define N_PROMPT 40
#define N_DRAWN 12
#define N_SEQS 14

static const struct tiny model = {.arch = "qwen2",
    .n_layers = 2,
    .n_embd = 64,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_dim = 32,
    .n_ff = 96,
    .n_vocab = 197,
    .type = "Q8_0"};

static char *path;
static int32_t prompt[N_SEQS][N_PROMPT];

static int setup(void **state)
{
    (void)state;
    path = tiny_write(&model);
    for (uint32_t s = 0; s < N_SEQS; s++)
        tiny_tokens(&model, 20 + s, prompt[s], N_PROMPT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    free(path);
    return 0;
}

static void open_rig(struct rig *r)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    rig_open(r, path,
        &(struct rig_options){
            .sub_batch = 16, .n_sequences = N_SEQS, .n_ctx = 128, .settings = {"max_inflight", "2"}});
    for (uint32_t s = 0; s < N_SEQS; s++)
        assert_int_equal(r->p->seq_open(r->ctx, s, 128, &err), 0);
}

/* A row as the test describes it. */
struct row {
    uint32_t seq, first, n;
    const int32_t *tokens;
    uint32_t want, kind, top_n;
};

struct out {
    int32_t status[N_SEQS], token[N_SEQS];
    uint32_t kept[N_SEQS], n_logits[N_SEQS];
    const float *logits[N_SEQS];
    const int32_t *top_ids[N_SEQS];
    const float *top_logprobs[N_SEQS];
};

static int submit(struct rig *r, const struct row *rows, uint32_t n)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    uint32_t seq[N_SEQS], first[N_SEQS], count[N_SEQS], start[N_SEQS], want[N_SEQS], kind[N_SEQS],
        top[N_SEQS];
    int32_t tokens[N_SEQS * N_PROMPT];
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        seq[i] = rows[i].seq;
        first[i] = rows[i].first;
        count[i] = rows[i].n;
        start[i] = at;
        want[i] = rows[i].want;
        kind[i] = rows[i].kind;
        top[i] = rows[i].top_n;
        memcpy(tokens + at, rows[i].tokens, rows[i].n * sizeof(*tokens));
        at += rows[i].n;
    }
    const struct orcd_batch batch = {.size = sizeof(batch),
        .n_rows = n,
        .ticket = ++r->ticket,
        .seq = seq,
        .first_pos = first,
        .n_tokens = count,
        .token_start = start,
        .tokens = tokens,
        .want = want,
        .kind = kind,
        .top_n = top};
    return r->p->submit(r->ctx, &batch, &err);
}

static int collect(struct rig *r, struct out *o)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct orcd_result result = {.size = sizeof(result),
        .row_capacity = N_SEQS,
        .status = o->status,
        .kept = o->kept,
        .logits = o->logits,
        .n_logits = o->n_logits,
        .token = o->token,
        .top_ids = o->top_ids,
        .top_logprobs = o->top_logprobs};
    return r->p->wait(r->ctx, &result, &err);
}

static void step(struct rig *r, const struct row *rows, uint32_t n, struct out *o)
{
    assert_int_equal(submit(r, rows, n), 0);
    assert_int_equal(collect(r, o), 0);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(o->status[i], 0);
}

/* Tokens by the device's own choice, the second step always submitted before the first is
 * collected. */
static void draw_chained(struct rig *r, uint32_t seq, const struct orcd_sampler *sampler, int32_t *drawn)
{
    static const int32_t chained = ORCD_TOKEN_CHAINED;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct out o;
    assert_int_equal(r->p->seq_sampler(r->ctx, seq, sampler, &err), 0);
    struct row row = {
        .seq = seq, .n = N_PROMPT, .tokens = prompt[seq], .want = ORCD_WANT_LAST, .kind = ORCD_KIND_TOKEN};
    assert_int_equal(submit(r, &row, 1), 0);
    row.first = N_PROMPT;
    row.n = 1;
    row.tokens = &chained;
    for (int i = 0; i < N_DRAWN; i++) {
        if (i + 1 < N_DRAWN)
            assert_int_equal(submit(r, &row, 1), 0);
        row.first++;
        assert_int_equal(collect(r, &o), 0);
        assert_int_equal(o.status[0], 0);
        assert_null(o.logits[0]);
        assert_int_equal(o.kept[0], N_PROMPT + i);
        drawn[i] = o.token[0];
    }
}

/* What core/sample draws from the plugin's logits of the same tokens. */
static void draw_here(struct rig *r, uint32_t seq, const int32_t *tokens, const struct sample_params *params,
    const int32_t *drawn, int32_t *expected)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct sampler *s;
    struct sample_result result;
    struct out o;
    assert_int_equal(sampler_new(&s, r->n_vocab, &err), 0);
    assert_int_equal(sampler_begin(s, params, tokens, N_PROMPT, &err), 0);
    struct row row = {.seq = seq, .n = N_PROMPT, .tokens = tokens, .want = ORCD_WANT_LAST};
    for (int i = 0; i < N_DRAWN; i++) {
        step(r, &row, 1, &o);
        assert_int_equal(sampler_draw(s, o.logits[0], (uint64_t)(N_PROMPT + i), &result, &err), 0);
        expected[i] = result.id;
        row = (struct row){.seq = seq,
            .first = (uint32_t)(N_PROMPT + i),
            .n = 1,
            .tokens = &drawn[i],
            .want = ORCD_WANT_LAST};
    }
    sampler_free(s);
}

struct setting {
    const char *name;
    struct sample_params p;
};

/* clang-format off */
#define BASE .top_p = 1, .typical_p = 1, .repetition_penalty = 1
#define ALL .typical_p = 1
static const struct setting settings[] = {
    {"greedy", {.temperature = 0, BASE}},
    {"temperature 1", {.temperature = 1, .seed = 7, BASE}},
    {"temperature 2", {.temperature = 2, .seed = UINT64_MAX, BASE}},
    {"top-k 5", {.temperature = 1, .seed = 3, .top_k = 5, BASE}},
    {"top-k 1", {.temperature = 1, .seed = 3, .top_k = 1, BASE}},
    {"top-k above the vocabulary", {.temperature = 1.5F, .seed = 4, .top_k = 5000, BASE}},
    {"top-p 0.5", {.temperature = 1, .seed = 9, .top_p = 0.5F, .repetition_penalty = 1, ALL}},
    {"top-p 0.95", {.temperature = 1.7F, .seed = 10, .top_p = 0.95F, .repetition_penalty = 1, ALL}},
    {"top-p 0", {.temperature = 1, .seed = 10, .top_p = 0, .repetition_penalty = 1, ALL}},
    {"min-p", {.temperature = 1.3F, .seed = 11, .min_p = 0.2F, BASE}},
    {"all three", {.temperature = 1.2F, .seed = 12, .top_k = 40, .top_p = 0.8F, .min_p = 0.05F, .repetition_penalty = 1, ALL}},
    {"repetition", {.temperature = 0, .repeat_last_n = 64, .repetition_penalty = 1.5F, .top_p = 1, ALL}},
    {"a short window", {.temperature = 1, .seed = 13, .repeat_last_n = 3, .repetition_penalty = 1.9F, .top_p = 1, ALL}},
    {"counts", {.temperature = 0, .frequency_penalty = 1.5F, .presence_penalty = 0.7F, BASE}},
    {"everything", {.temperature = 0.9F, .seed = 14, .top_k = 30, .top_p = 0.9F, .min_p = 0.01F, .repeat_last_n = 20,
        .repetition_penalty = 1.2F, .frequency_penalty = 0.5F, .presence_penalty = -0.5F, ALL}},
};
/* clang-format on */

static struct orcd_sampler device_sampler(const struct sample_params *p, const int32_t *history)
{
    const bool counts = p->frequency_penalty != 0 || p->presence_penalty != 0;
    return (struct orcd_sampler){.size = sizeof(struct orcd_sampler),
        .required_features = (p->top_k ? ORCD_S_TOP_K : 0) | (p->top_p < 1 ? ORCD_S_TOP_P : 0) |
                             (p->min_p > 0 ? ORCD_S_MIN_P : 0) | (p->repeat_last_n ? ORCD_S_REPETITION : 0) |
                             (counts ? ORCD_S_COUNTS : 0),
        .seed = p->seed,
        .temperature = p->temperature,
        .top_p = p->top_p,
        .min_p = p->min_p,
        .typical_p = p->typical_p,
        .top_k = p->top_k,
        .repeat_last_n = p->repeat_last_n,
        .repetition_penalty = p->repetition_penalty,
        .frequency_penalty = p->frequency_penalty,
        .presence_penalty = p->presence_penalty,
        .history = history,
        .n_history = N_PROMPT};
}

static void test_sampling(void **state)
{
    (void)state;
    struct rig r;
    struct orcd_error err = ORCD_ERROR_INIT;
    open_rig(&r);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const struct orcd_sampler sampler = device_sampler(&settings[i].p, prompt[0]);
        int32_t drawn[N_DRAWN], expected[N_DRAWN];
        uint32_t kept;
        draw_chained(&r, 0, &sampler, drawn);
        draw_here(&r, 1, prompt[0], &settings[i].p, drawn, expected);
        for (int t = 0; t < N_DRAWN; t++)
            if (drawn[t] != expected[t])
                fail_msg("%s: token %d is %d, not %d", settings[i].name, t, drawn[t], expected[t]);
        for (uint32_t s = 0; s < 2; s++)
            assert_int_equal(r.p->seq_trim(r.ctx, s, 0, &kept, &err), 0);
    }
    rig_close(&r);
}

static void test_unsupported(void **state)
{
    (void)state;
    struct rig r;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct orcd_sampler s = {.size = sizeof(s), .temperature = 1, .required_features = ORCD_S_TYPICAL};
    open_rig(&r);
    assert_int_equal(r.p->seq_sampler(r.ctx, 0, &s, &err), ORCD_E_UNSUPPORTED);
    s.required_features = ORCD_S_BIAS;
    assert_int_equal(r.p->seq_sampler(r.ctx, 0, &s, &err), ORCD_E_UNSUPPORTED);
    s.required_features = UINT32_C(1) << 31;
    assert_int_equal(r.p->seq_sampler(r.ctx, 0, &s, &err), ORCD_E_UNSUPPORTED);
    s.required_features = 0;
    s.temperature = NAN;
    assert_int_equal(r.p->seq_sampler(r.ctx, 0, &s, &err), ORCD_E_INVALID);
    s.temperature = 1;
    s.size = 16;
    assert_int_equal(r.p->seq_sampler(r.ctx, 0, &s, &err), ORCD_E_INVALID);
    assert_int_equal(r.p->seq_sampler(r.ctx, N_SEQS, &s, &err), ORCD_E_INVALID);
    assert_int_equal(r.p->seq_sampler(r.ctx, 0, NULL, &err), 0);
    rig_close(&r);
}

static void test_top(void **state)
{
    (void)state;
    struct rig r;
    struct out o;
    open_rig(&r);
    struct row row = {.seq = 0, .n = N_PROMPT, .tokens = prompt[0], .want = ORCD_WANT_LAST};
    step(&r, &row, 1, &o);
    const uint32_t v = r.n_vocab;
    float logits[512];
    assert_true(v <= 512);
    memcpy(logits, o.logits[0], v * sizeof(*logits));
    row.seq = 1;
    row.kind = ORCD_KIND_TOP_LOGPROBS;
    row.top_n = 20;
    step(&r, &row, 1, &o);
    double sum = 0;
    for (uint32_t i = 0; i < v; i++)
        sum += exp((double)logits[i]);
    for (uint32_t k = 0; k < 20; k++) {
        const size_t best = golden_argmax(logits, v);
        assert_int_equal(o.top_ids[0][k], best);
        assert_true(fabs((double)o.top_logprobs[0][k] - ((double)logits[best] - log(sum))) < 1e-4);
        logits[best] = -INFINITY;
    }
    row.top_n = 21;
    row.first = N_PROMPT;
    assert_int_equal(submit(&r, &row, 1), ORCD_E_INVALID);
    rig_close(&r);
}

/* Logits of sequence s: a prompt, then a token, alone. */
static void alone(struct rig *r, uint32_t s, float *of_prompt, float *of_token)
{
    struct out o;
    const uint32_t n = 20 + s;
    const size_t bytes = r->n_vocab * sizeof(float);
    struct row row = {.seq = s, .n = n, .tokens = prompt[s], .want = ORCD_WANT_LAST};
    step(r, &row, 1, &o);
    memcpy(of_prompt, o.logits[0], bytes);
    row = (struct row){.seq = s, .first = n, .n = 1, .tokens = prompt[s] + n, .want = ORCD_WANT_LAST};
    step(r, &row, 1, &o);
    memcpy(of_token, o.logits[0], bytes);
}

static void test_company(void **state)
{
    (void)state;
    struct rig r;
    struct out o;
    struct orcd_error err = ORCD_ERROR_INIT;
    uint32_t kept;
    open_rig(&r);
    const size_t v = r.n_vocab;
    float *a = malloc(2 * N_SEQS * v * sizeof(*a));
    assert_non_null(a);
    for (uint32_t s = 0; s < N_SEQS; s++) {
        alone(&r, s, a + 2 * s * v, a + (2 * s + 1) * v);
        assert_int_equal(r.p->seq_trim(r.ctx, s, 0, &kept, &err), 0);
    }
    /* All prompts in one step, whose slices hold parts of several; then all tokens in one, beside
     * a prompt. */
    struct row rows[N_SEQS];
    for (uint32_t s = 0; s < N_SEQS; s++)
        rows[s] = (struct row){.seq = s, .n = 20 + s, .tokens = prompt[s], .want = ORCD_WANT_LAST};
    step(&r, rows, N_SEQS, &o);
    for (uint32_t s = 0; s < N_SEQS; s++)
        assert_memory_equal(o.logits[s], a + 2 * s * v, v * sizeof(*a));
    assert_int_equal(r.p->seq_trim(r.ctx, 3, 0, &kept, &err), 0);
    for (uint32_t s = 0; s < N_SEQS; s++)
        if (s != 3)
            rows[s] = (struct row){
                .seq = s, .first = 20 + s, .n = 1, .tokens = prompt[s] + 20 + s, .want = ORCD_WANT_LAST};
    step(&r, rows, N_SEQS, &o);
    for (uint32_t s = 0; s < N_SEQS; s++)
        assert_memory_equal(o.logits[s], a + (2 * s + (s != 3)) * v, v * sizeof(*a));
    free(a);
    rig_close(&r);
}

/* The row after an aborted one ends with it, and the sequence goes on from what was kept. */
static void test_abort_chain(void **state)
{
    (void)state;
    static const int32_t chained = ORCD_TOKEN_CHAINED;
    struct rig r;
    struct out o;
    struct orcd_error err = ORCD_ERROR_INIT;
    const uint32_t seq = 0;
    const struct orcd_sampler sampler = {.size = sizeof(sampler)};
    open_rig(&r);
    assert_int_equal(r.p->seq_sampler(r.ctx, 0, &sampler, &err), 0);
    struct row rows[2] = {
        {.seq = 0, .n = 20, .tokens = prompt[0], .want = ORCD_WANT_LAST, .kind = ORCD_KIND_TOKEN},
        {.seq = 1, .n = 20, .tokens = prompt[1], .want = ORCD_WANT_LAST}};
    step(&r, rows, 2, &o);
    for (int i = 0; i < 2; i++) {
        rows[i].first = 20;
        rows[i].n = 1;
    }
    rows[0].tokens = &chained;
    r.p->abort(r.ctx, r.ticket + 1, &seq, 1);
    assert_int_equal(submit(&r, rows, 2), 0);
    rows[0].first = rows[1].first = 21;
    assert_int_equal(submit(&r, rows, 2), 0);
    assert_int_equal(submit(&r, rows, 2), ORCD_E_BUSY);
    r.ticket--;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(collect(&r, &o), 0);
        assert_int_equal(o.status[0], ORCD_E_ABORTED);
        assert_int_equal(o.kept[0], 20);
        assert_int_equal(o.token[0], -1);
        assert_int_equal(o.status[1], 0);
        assert_int_equal(o.kept[1], 21 + i);
    }
    /* No chain is left, but the sequence is. */
    rows[0].first = 20;
    assert_int_equal(submit(&r, rows, 1), ORCD_E_INVALID);
    rows[0].tokens = prompt[0];
    step(&r, rows, 1, &o);
    assert_true(o.token[0] >= 0);
    rig_close(&r);
}

/* A step that fails takes those with it that were submitted before it was collected. */
static int32_t fail_once(const char *point)
{
    if (strcmp(point, "cuda.decode") != 0)
        return 0;
    rig_host.fault = NULL;
    return ORCD_E_DEVICE;
}

static void test_failed_step(void **state)
{
    (void)state;
    struct rig r;
    struct out o;
    open_rig(&r);
    struct row row = {.seq = 0, .n = 20, .tokens = prompt[0], .want = ORCD_WANT_LAST};
    step(&r, &row, 1, &o);
    rig_host.fault = fail_once;
    row.first = 20;
    row.n = 1;
    assert_int_equal(submit(&r, &row, 1), 0);
    row.first = 21;
    assert_int_equal(submit(&r, &row, 1), 0);
    assert_int_equal(collect(&r, &o), ORCD_E_DEVICE);
    assert_int_equal(collect(&r, &o), ORCD_E_ABORTED);
    row.first = 20;
    step(&r, &row, 1, &o);
    assert_int_equal(o.kept[0], 21);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_top),
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_abort_chain),
        cmocka_unit_test(test_failed_step),
    };
    return cmocka_run_group_tests_name("cuda-simt plugin, steps", tests, setup, teardown);
}
