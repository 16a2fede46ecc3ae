/*
 * Prefill of the cuda plugin, on the CPU: how high the products of a prompt's tokens are, and that its
 * results are the same bits in any company all the same.
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

#define N_LAYERS 2

static const struct tiny model = {.arch = "llama",
    .n_layers = N_LAYERS,
    .n_embd = 64,
    .n_heads = 2,
    .n_kv_heads = 1,
    .head_dim = 32,
    .n_ff = 96,
    .n_vocab = 50,
    .type = "Q8_0"};

static char *path;
static enum simt_status (*knobs)(const char *words);
static void (*usage_get)(struct simt_usage *out);

static int setup(void **state)
{
    (void)state;
    *(void **)&knobs = rig_plugin()->get_proc("x_simt_knobs");
    *(void **)&usage_get = rig_plugin()->get_proc("x_simt_usage");
    path = tiny_write(&model);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    free(path);
    return 0;
}

static uint64_t gemm_rows(void)
{
    struct simt_usage u;
    usage_get(&u);
    return u.gemm_rows;
}

static uint64_t gemm_shapes(void)
{
    struct simt_usage u;
    usage_get(&u);
    return u.gemm_shapes;
}

/* Rows of products that a step of prompts of these lengths computes, for each product of a layer. */
static uint64_t computed_rows(struct rig *r, const uint32_t *lengths, uint32_t n)
{
    static int32_t text[2100];
    struct rig_row rows[RIG_MAX_ROWS];
    struct rig_out out;
    uint32_t kept;
    struct orcd_error err = ORCD_ERROR_INIT;
    const uint64_t before = gemm_rows();
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (struct rig_row){.seq = i, .n = lengths[i], .tokens = text, .want = ORCD_WANT_LAST};
    rig_step(r, rows, n, &out);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(r->p->seq_trim(r->ctx, i, 0, &kept, &err), 0);
    return (gemm_rows() - before) / (7 * N_LAYERS); /* q, k, v, out, gate, up, down */
}

/* A prompt of 20 tokens costs 32 rows, not all of a slice. */
static void test_products_are_as_high_as_their_row_needs(void **state)
{
    (void)state;
    static const struct {
        uint32_t length, rows;
    } cases[] = {{2, 32}, {20, 32}, {33, 64}, {128, 128}, {129, 256}, {300, 512}, {600, 512 + 128},
        {700, 512 + 256}, {1537, 2048}, {2049, 2048 + 32}};
    struct rig r;
    struct orcd_error err = ORCD_ERROR_INIT;
    rig_open(&r, path,
        &(struct rig_options){.sub_batch = 2048, .n_ctx = 2100, .max_batch_tokens = 2100, .max_logits = 8});
    for (uint32_t s = 0; s < r.options.n_sequences; s++)
        assert_int_equal(r.p->seq_open(r.ctx, s, 2100, &err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(computed_rows(&r, &cases[i].length, 1), cases[i].rows);
    const uint32_t several[] = {20, 600, 100};
    assert_int_equal(computed_rows(&r, several, 3), 32 + 512 + 128 + 128);
    rig_close(&r);
}

/* Heights of products follow from a row's own tokens: where a library's algorithm, and the order of its sums,
 * follows from the height, a row is the same bits alone and among rows of other lengths, wherever it lies in
 * a slice. */
static void test_the_same_bits_in_any_company(void **state)
{
    (void)state;
    enum { ROWS = 5 };
    static const uint32_t lengths[ROWS] = {3, 40, 70, 33, 200};
    static int32_t text[200];
    struct rig r;
    struct orcd_error err = ORCD_ERROR_INIT;
    uint32_t kept;
    rig_open(&r, path, &(struct rig_options){.sub_batch = 150, .n_sequences = ROWS, .n_ctx = 256});
    assert_int_equal(knobs("heights=1"), SIMT_OK);
    tiny_tokens(&model, 50, text, 200);
    struct rig_row rows[ROWS];
    struct rig_out got;
    const size_t v = r.n_vocab;
    float *a = malloc(ROWS * v * sizeof(*a));
    assert_non_null(a);
    for (uint32_t s = 0; s < ROWS; s++) {
        assert_int_equal(r.p->seq_open(r.ctx, s, 256, &err), 0);
        rows[s] = (struct rig_row){.seq = s, .n = lengths[s], .tokens = text, .want = ORCD_WANT_LAST};
        rig_step(&r, &rows[s], 1, &got);
        memcpy(a + s * v, got.logits[0], v * sizeof(*a));
        assert_int_equal(r.p->seq_trim(r.ctx, s, 0, &kept, &err), 0);
    }
    for (uint32_t turn = 0; turn < ROWS; turn++) {
        struct rig_row turned[ROWS];
        for (uint32_t i = 0; i < ROWS; i++)
            turned[i] = rows[(i + turn) % ROWS];
        rig_step(&r, turned, ROWS, &got);
        for (uint32_t i = 0; i < ROWS; i++) {
            assert_memory_equal(got.logits[i], a + turned[i].seq * v, v * sizeof(*a));
            assert_int_equal(r.p->seq_trim(r.ctx, i, 0, &kept, &err), 0);
        }
    }
    assert_int_equal(knobs("reset"), SIMT_OK);
    free(a);
    rig_close(&r);
}

/* A library takes long when it multiplies a shape for the first time: no prompt is the first. */
static void test_no_prompt_has_the_first_product_of_a_shape(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {20, 40, 300, 600};
    struct rig r;
    struct orcd_error err = ORCD_ERROR_INIT;
    rig_open(&r, path,
        &(struct rig_options){.sub_batch = 2048, .n_ctx = 2100, .max_batch_tokens = 2100, .max_logits = 8});
    assert_int_equal(r.p->seq_open(r.ctx, 0, 2100, &err), 0);
    const uint64_t before = gemm_shapes();
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        computed_rows(&r, &lengths[i], 1);
    assert_int_equal(gemm_shapes(), before);
    rig_close(&r);
}

static uint32_t granule(const struct rig_options *o)
{
    struct rig r;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct orcd_model_info info = {.size = sizeof(info)};
    rig_open(&r, path, o);
    assert_int_equal(r.p->model_info(r.model, &info, &err), 0);
    rig_close(&r);
    return info.prefill_granule;
}

/* What the host reckons as one slice: 512 tokens, however many a slice may have. */
static void test_the_granule_is_what_costs_by_tokens(void **state)
{
    (void)state;
    assert_int_equal(granule(&(struct rig_options){.sub_batch = 2048}), 512);
    assert_int_equal(granule(&(struct rig_options){.sub_batch = 512}), 512);
    assert_int_equal(granule(&(struct rig_options){.sub_batch = 128}), 128);
    assert_int_equal(
        granule(&(struct rig_options){.sub_batch = 512, .settings = {"fixed_height", "false"}}), 1);
    /* the plugin keeps what was set */
    assert_int_equal(
        granule(&(struct rig_options){.sub_batch = 512, .settings = {"fixed_height", "true"}}), 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_are_as_high_as_their_row_needs),
        cmocka_unit_test(test_the_same_bits_in_any_company),
        cmocka_unit_test(test_no_prompt_has_the_first_product_of_a_shape),
        cmocka_unit_test(test_the_granule_is_what_costs_by_tokens),
    };
    return cmocka_run_group_tests_name("cuda-simt plugin, heights", tests, setup, teardown);
}
