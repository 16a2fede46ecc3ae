/*
 * The cuda plugin on the CPU when the device fails it: every allocation, launch, copy, event, capture
 * in turn, a lost device, too little memory, no driver. An answer each time, nothing left behind.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"
#include "plugins/cuda/simt/rt.h"
#include "tests/lib/golden.h"
#include "tests/plugins/cpu-rig.h"
#include "tests/plugins/cpu-tiny.h"

#define N_TOKENS 20

static const struct tiny model = {.arch = "llama",
    .n_layers = 2,
    .n_embd = 64,
    .n_heads = 2,
    .n_kv_heads = 1,
    .head_dim = 32,
    .n_ff = 64,
    .n_vocab = 50,
    .type = "Q4_0"};

static char *path;
static struct model *file;
static int32_t tokens[N_TOKENS + 1];

static enum simt_status (*knobs)(const char *words);
static void (*usage_get)(struct simt_usage *out);

static int setup(void **state)
{
    (void)state;
    struct orcd_error err = ORCD_ERROR_INIT;
    const struct orcd_plugin *p = rig_plugin();
    *(void **)&knobs = p->get_proc("x_simt_knobs");
    *(void **)&usage_get = p->get_proc("x_simt_usage");
    assert_non_null(knobs);
    assert_non_null(usage_get);
    assert_null(p->get_proc("x_no_such_thing"));
    path = tiny_write(&model);
    tiny_tokens(&model, 5, tokens, N_TOKENS + 1);
    return model_open(&file, path, &err);
}

static int teardown(void **state)
{
    (void)state;
    model_close(file);
    unlink(path);
    free(path);
    return 0;
}

static const struct orcd_ctx_params params = {.size = sizeof(params),
    .n_sequences = 2,
    .n_ctx = 64,
    .max_batch_tokens = 32,
    .kv_tokens = 100,
    .max_batch_rows = 2,
    .max_logits = 2};

struct all {
    struct orcd_device *device;
    struct orcd_model *model;
    struct orcd_ctx *ctx;
    float logits[64]; /* of the last step */
};

static int one_step(struct all *a, uint32_t first, uint32_t n, uint64_t ticket, struct orcd_error *err)
{
    const struct orcd_plugin *p = rig_plugin();
    static const uint32_t zero, last = ORCD_WANT_LAST;
    const struct orcd_batch batch = {.size = sizeof(batch),
        .n_rows = 1,
        .ticket = ticket,
        .seq = &zero,
        .first_pos = &first,
        .n_tokens = &n,
        .token_start = &zero,
        .tokens = tokens + first % N_TOKENS,
        .want = &last,
        .kind = &zero};
    int32_t status = 1, token;
    uint32_t kept, n_logits;
    const float *logits = NULL;
    struct orcd_result result = {.size = sizeof(result),
        .row_capacity = 1,
        .status = &status,
        .kept = &kept,
        .logits = &logits,
        .n_logits = &n_logits,
        .token = &token};
    int rc = p->submit(a->ctx, &batch, err);
    if (rc == 0)
        rc = p->wait(a->ctx, &result, err);
    if (rc)
        return rc;
    assert_int_equal(status, 0);
    assert_non_null(logits);
    memcpy(a->logits, logits, model.n_vocab * sizeof(*logits));
    return 0;
}

/* Device, model, context, a prompt, a token; the first code that is not 0. */
static int whole_way(struct all *a, struct orcd_error *err)
{
    const struct orcd_plugin *p = rig_plugin();
    memset(a, 0, sizeof(*a));
    int rc = p->device_open(0, &a->device, err);
    if (rc == 0)
        rc = p->model_load(a->device, model_source(file), &a->model, err);
    if (rc == 0)
        rc = p->ctx_new(a->model, &params, &a->ctx, err);
    if (rc == 0)
        rc = p->seq_open(a->ctx, 0, 64, err);
    if (rc == 0)
        rc = one_step(a, 0, N_TOKENS, 1, err);
    return rc == 0 ? one_step(a, N_TOKENS, 1, 2, err) : rc;
}

static void free_all(struct all *a)
{
    const struct orcd_plugin *p = rig_plugin();
    if (a->ctx)
        p->ctx_free(a->ctx);
    if (a->model)
        p->model_free(a->model);
    if (a->device)
        p->device_close(a->device);
}

static void expect_nothing_left(void)
{
    struct simt_usage u;
    usage_get(&u);
    assert_int_equal(u.device_bytes, 0);
    assert_int_equal(u.device_blocks, 0);
    assert_int_equal(u.pinned_blocks, 0);
    assert_int_equal(u.streams, 0);
    assert_int_equal(u.events, 0);
    assert_int_equal(u.graphs, 0);
    assert_int_equal(u.graph_execs, 0);
    assert_int_equal(u.blas, 0);
    assert_int_equal(u.misuses, 0);
}

/* The N-th such call fails, for every N from first on (by strides where there are many). */
static void each_fails(const char *what, int code, unsigned first, unsigned stride)
{
    struct rig r;
    struct all a;
    float expected[64];
    rig_open_device(&r, &(struct rig_options){.sub_batch = 16});
    r.p->device_close(r.device);
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(whole_way(&a, &err), 0);
    memcpy(expected, a.logits, sizeof(expected));
    free_all(&a);
    const int64_t live = rig_live_allocations();
    int rc = -1;
    unsigned n = first, failures = 0;
    for (; rc; n += stride) {
        char words[64];
        struct orcd_error why = ORCD_ERROR_INIT;
        snprintf(words, sizeof(words), "fail=%s:%u", what, n);
        assert_int_equal(knobs(words), SIMT_OK);
        rc = whole_way(&a, &why);
        if (rc) {
            failures++;
            assert_int_equal(why.code, rc);
            if (rc != code && rc != ORCD_E_DEVICE)
                fail_msg("%s %u: %d (%s), not %d", what, n, rc, why.msg, code);
        }
        free_all(&a);
        assert_int_equal(knobs("reset"), SIMT_OK);
        expect_nothing_left();
        assert_int_equal(rig_live_allocations(), live);
        assert_true(n < 5000);
    }
    assert_true(failures > 0);
    /* And all is well again. */
    assert_int_equal(whole_way(&a, &err), 0);
    assert_memory_equal(a.logits, expected, sizeof(expected));
    free_all(&a);
    printf("# %s: %u failures\n", what, failures);
}

static void test_device_memory(void **state)
{
    (void)state;
    each_fails("malloc", ORCD_E_DEVICE_MEMORY, 1, 1);
}

static void test_pinned(void **state)
{
    (void)state;
    each_fails("host_alloc", ORCD_E_NOMEM, 1, 1);
}

static void test_launch(void **state)
{
    (void)state;
    each_fails("launch", ORCD_E_DEVICE, 1, 5);
}

static void test_copy(void **state)
{
    (void)state;
    each_fails("copy", ORCD_E_DEVICE, 1, 2);
}

static void test_stream(void **state)
{
    (void)state;
    each_fails("stream", ORCD_E_NOMEM, 1, 1);
}

static void test_event(void **state)
{
    (void)state;
    each_fails("event", ORCD_E_NOMEM, 1, 2);
}

static void test_graph(void **state)
{
    (void)state;
    each_fails("graph", ORCD_E_DEVICE_MEMORY, 1, 1);
}

static void test_blas(void **state)
{
    (void)state;
    each_fails("blas", ORCD_E_DEVICE, 2, 3);
}

/* A lost device is told as such, by every call from then on, and the rest is teardown. */
static void test_lost(void **state)
{
    (void)state;
    struct rig r;
    struct all a;
    rig_open_device(&r, &(struct rig_options){.sub_batch = 16});
    for (unsigned n = 1; n < 100; n += 17) {
        char words[64];
        struct orcd_error err = ORCD_ERROR_INIT;
        assert_int_equal(whole_way(&a, &err), 0);
        snprintf(words, sizeof(words), "lose=any:%u", n);
        assert_int_equal(knobs(words), SIMT_OK);
        int rc = 0;
        for (uint32_t i = 0; rc == 0; i++)
            rc = one_step(&a, N_TOKENS + 1 + i, 1, 3 + i, &err);
        assert_int_equal(rc, ORCD_E_DEVICE_LOST);
        assert_int_equal(one_step(&a, N_TOKENS + 1, 1, 1000, &err), ORCD_E_DEVICE_LOST);
        struct orcd_residency where = {.size = sizeof(where)};
        assert_int_equal(r.p->residency(a.model, &where, &err), 0);
        assert_int_equal(where.device_lost, 1);
        assert_int_equal(where.resident_bytes, 0);
        free_all(&a);
        assert_int_equal(knobs("reset"), SIMT_OK);
    }
    r.p->device_close(r.device);
}

/* A device that was there and is not found any more, or whose driver is not, is lost, not missing. */
static void test_vanished(void **state)
{
    (void)state;
    static const char *const ways[] = {"driver=0", "devices=0"};
    struct all a;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct orcd_error err = ORCD_ERROR_INIT;
        assert_int_equal(whole_way(&a, &err), 0);
        assert_int_equal(knobs(ways[i]), SIMT_OK);
        assert_int_equal(one_step(&a, N_TOKENS + 1, 1, 3, &err), ORCD_E_DEVICE_LOST);
        free_all(&a);
        assert_int_equal(knobs("reset"), SIMT_OK);
    }
}

/* What is needed is told before anything is taken. */
static void test_refused(void **state)
{
    (void)state;
    struct rig r;
    struct all a = {0};
    struct orcd_error err = ORCD_ERROR_INIT;
    struct simt_usage u;
    assert_int_equal(knobs("memory=1M"), SIMT_OK);
    rig_open_device(&r, NULL);
    assert_int_equal(r.p->model_load(r.device, model_source(file), &a.model, &err), ORCD_E_DEVICE_MEMORY);
    assert_non_null(strstr(err.msg, "INSUFFICIENT_VRAM"));
    assert_non_null(strstr(err.msg, "required"));
    assert_non_null(strstr(err.msg, "available"));
    usage_get(&u);
    assert_int_equal(u.device_peak_bytes > 1 << 20 ? u.device_bytes : 0, 0);
    assert_int_equal(u.device_blocks, 0);
    r.p->device_close(r.device);
    assert_int_equal(knobs("reset"), SIMT_OK);

    struct orcd_ctx_params much = params;
    much.kv_tokens = UINT64_C(1) << 34;
    rig_open_device(&r, NULL);
    assert_int_equal(r.p->model_load(r.device, model_source(file), &a.model, &err), 0);
    usage_get(&u);
    const size_t blocks = u.device_blocks;
    assert_int_equal(r.p->ctx_new(a.model, &much, &a.ctx, &err), ORCD_E_DEVICE_MEMORY);
    assert_non_null(strstr(err.msg, "INSUFFICIENT_VRAM"));
    usage_get(&u);
    assert_int_equal(u.device_blocks, blocks);

    struct orcd_residency where = {.size = sizeof(where)};
    struct orcd_memory memory = {.size = sizeof(memory)};
    assert_int_equal(r.p->residency(a.model, &where, &err), 0);
    assert_int_equal(where.device_lost, 0);
    assert_int_equal(where.host_pointers, 0);
    assert_true(where.expected_bytes > 0);
    assert_int_equal(where.resident_bytes, where.expected_bytes);
    assert_int_equal(r.p->device_memory(r.device, &memory, &err), 0);
    assert_int_equal(memory.ours_bytes, where.expected_bytes);
    assert_true(memory.free_bytes + memory.ours_bytes <= memory.total_bytes);
    r.p->model_free(a.model);
    r.p->device_close(r.device);
    expect_nothing_left();
}

static void test_no_device(void **state)
{
    (void)state;
    const struct orcd_plugin *p = rig_plugin();
    struct orcd_error err = ORCD_ERROR_INIT;
    uint32_t n = 99;
    assert_int_equal(knobs("driver=0"), SIMT_OK);
    assert_int_equal(p->device_count(&n, &err), ORCD_E_NOT_FOUND);
    assert_int_equal(n, 99);
    assert_non_null(strstr(err.msg, "driver"));
    assert_int_equal(knobs("reset"), SIMT_OK);
    assert_int_equal(knobs("devices=0"), SIMT_OK);
    assert_int_equal(p->device_count(&n, &err), ORCD_E_NOT_FOUND);
    assert_int_equal(knobs("reset"), SIMT_OK);
    assert_int_equal(p->device_count(&n, &err), 0);
    assert_int_equal(n, 1);
    struct orcd_device *d;
    assert_int_equal(p->device_open(1, &d, &err), ORCD_E_NOT_FOUND);
}

/* Without cuBLASLt prompts go through decode's products. */
static void test_no_blas(void **state)
{
    (void)state;
    struct rig r;
    struct all a;
    float with[64];
    struct orcd_error err = ORCD_ERROR_INIT;
    rig_open_device(&r, &(struct rig_options){.sub_batch = 16});
    r.p->device_close(r.device);
    assert_int_equal(whole_way(&a, &err), 0);
    memcpy(with, a.logits, sizeof(with));
    free_all(&a);
    assert_int_equal(knobs("blas=0"), SIMT_OK);
    assert_int_equal(whole_way(&a, &err), 0);
    const double nmse = golden_nmse(a.logits, with, model.n_vocab);
    assert_true(nmse > 0 && nmse < 1e-3);
    free_all(&a);
    assert_int_equal(knobs("reset"), SIMT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_memory),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_launch),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_graph),
        cmocka_unit_test(test_blas),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_vanished),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_device),
        cmocka_unit_test(test_no_blas),
    };
    return cmocka_run_group_tests_name("cuda-simt plugin, faults", tests, setup, teardown);
}
