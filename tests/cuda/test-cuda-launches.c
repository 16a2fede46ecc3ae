/*
 * What the cuda plugin launches for a step, as the layer that runs it on the CPU counts it.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/cuda/simt/rt.h"
#include "tests/plugins/cpu-rig.h"
#include "tests/plugins/cpu-tiny.h"

#define N_TOKENS 40
#define N_LAYERS 2

static const struct tiny dense = {.arch = "llama",
    .n_layers = N_LAYERS,
    .n_embd = 64,
    .n_heads = 2,
    .n_kv_heads = 1,
    .head_dim = 32,
    .n_ff = 64,
    .n_vocab = 50,
    .type = "Q4_0"};

static int32_t tokens[N_TOKENS];

static struct simt_usage usage(void)
{
    static void (*get)(struct simt_usage * out);
    struct simt_usage u;
    if (!get)
        *(void **)&get = rig_plugin()->get_proc("x_simt_usage");
    get(&u);
    return u;
}

static void open_model(struct rig *r, const struct tiny *t, const struct rig_options *o)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    char *path = tiny_write(t);
    tiny_tokens(t, 3, tokens, N_TOKENS);
    rig_open(r, path, o);
    unlink(path);
    free(path);
    for (uint32_t s = 0; s < r->options.n_sequences; s++)
        assert_int_equal(r->p->seq_open(r->ctx, s, 64, &err), 0);
}

/* A step of n rows of so many tokens each; how many kernels that launches. */
static uint64_t launches(struct rig *r, uint32_t n, uint32_t n_tokens, struct rig_out *out)
{
    struct rig_row rows[RIG_MAX_ROWS];
    const uint64_t before = usage().launches;
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (struct rig_row){.seq = i, .n = n_tokens, .tokens = tokens + i, .want = ORCD_WANT_LAST};
    rig_step(r, rows, n, out);
    return usage().launches - before;
}

/* The experts of one token all differ, so nobody needs the list of its pairs by expert. */
static void test_one_token_lists_no_pairs(void **state)
{
    (void)state;
    struct rig r;
    struct rig_out out;
    struct tiny t = dense;
    t.arch = "qwen3moe";
    t.n_experts = 8;
    t.n_experts_used = 3;
    open_model(&r, &t, &(struct rig_options){.sub_batch = 16, .n_ctx = 64});
    const uint64_t one = launches(&r, 1, 1, &out), two = launches(&r, 2, 1, &out);
    assert_int_equal(two - one, N_LAYERS);
    rig_close(&r);
}

/* Logits of a prompt and a token, and how many launches of these may start early. */
static uint64_t early(const char *pdl, float *logits, uint64_t *all)
{
    struct rig r;
    struct rig_out out;
    open_model(&r, &dense, &(struct rig_options){.sub_batch = 16, .n_ctx = 64, .settings = {"pdl", pdl}});
    const uint64_t before = usage().early;
    *all = launches(&r, 1, 20, &out) + launches(&r, 1, 1, &out);
    memcpy(logits, out.logits[0], dense.n_vocab * sizeof(*logits));
    const uint64_t n = usage().early - before;
    rig_close(&r);
    return n;
}

static void test_pdl_is_an_option(void **state)
{
    (void)state;
    float with[64], without[64];
    uint64_t n, n_without;
    const uint64_t n_early = early("true", with, &n), without_early = early("false", without, &n_without);
    assert_true(n_early > 0);
    assert_int_equal(n_early, n);
    assert_int_equal(without_early, 0);
    assert_int_equal(n_without, n);
    assert_memory_equal(with, without, dense.n_vocab * sizeof(*with));
    early("true", with, &n); /* the plugin keeps what was set */
}

/* A step of one token of each of n sequences. */
static void decode_rows(struct rig *r, uint32_t n, struct rig_out *out)
{
    struct rig_row rows[RIG_MAX_ROWS];
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (struct rig_row){.seq = i, .n = 1, .tokens = tokens + i, .want = ORCD_WANT_LAST};
    rig_step(r, rows, n, out);
}

#define N_SEQS 12
#define N_COUNTS 9
/* Numbers of rows of one step after the other. */
static const uint32_t counts[N_COUNTS] = {1, 2, 3, 4, 6, 8, 12, 5, 7};
#define N_CAPTURED 7 /* of these when the context is made */

static void open_many(struct rig *r, const char *graphs)
{
    open_model(r, &dense,
        &(struct rig_options){
            .sub_batch = 16, .n_sequences = N_SEQS, .n_ctx = 200, .settings = {"graphs", graphs}});
}

/* Nothing is captured in the middle of traffic for the numbers of rows that it comes by most; for others a
 * graph that is there gets new parameters. */
static void test_graphs_are_there_before_traffic(void **state)
{
    (void)state;
    struct rig r;
    struct rig_out out;
    open_many(&r, "true");
    const struct simt_usage before = usage();
    assert_true(before.graph_execs > 0);
    for (int i = 0; i < N_CAPTURED; i++)
        decode_rows(&r, counts[i], &out);
    /* Beyond 128 tokens keys are split. */
    static int32_t many[140];
    const struct rig_row prompt = {.seq = 0, .n = 140, .tokens = many, .want = ORCD_WANT_NONE};
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(r.p->seq_reserve(r.ctx, 0, 200, &err), 0);
    rig_step(&r, &prompt, 1, &out);
    for (int i = 0; i < 4; i++)
        decode_rows(&r, UINT32_C(1) << i, &out);
    const struct simt_usage after = usage();
    assert_int_equal(after.captures, before.captures);
    assert_int_equal(after.instantiations, before.instantiations);

    decode_rows(&r, 5, &out);
    decode_rows(&r, 7, &out);
    decode_rows(&r, 5, &out);
    const struct simt_usage others = usage();
    assert_int_equal(others.captures - after.captures, 2);
    assert_int_equal(others.updates - after.updates, 2);
    assert_int_equal(others.instantiations, after.instantiations);
    assert_int_equal(others.graph_execs, before.graph_execs);
    rig_close(&r);
}

/* Graphs that got other parameters compute what launches do, also when their own numbers of rows come again.
 */
static void test_graphs_that_were_updated(void **state)
{
    (void)state;
    struct rig r[2];
    struct rig_out out[2];
    open_many(&r[0], "true");
    open_many(&r[1], "false");
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < N_COUNTS; i++) {
            decode_rows(&r[0], counts[i], &out[0]);
            decode_rows(&r[1], counts[i], &out[1]);
            for (uint32_t s = 0; s < counts[i]; s++)
                assert_memory_equal(out[0].logits[s], out[1].logits[s], dense.n_vocab * sizeof(float));
        }
    rig_close(&r[1]);
    rig_close(&r[0]);
    open_many(&r[0], "true"); /* the plugin keeps what was set */
    rig_close(&r[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_token_lists_no_pairs),
        cmocka_unit_test(test_pdl_is_an_option),
        cmocka_unit_test(test_graphs_are_there_before_traffic),
        cmocka_unit_test(test_graphs_that_were_updated),
    };
    return cmocka_run_group_tests_name("cuda-simt plugin, launches", tests, NULL, NULL);
}
