/*
 * Aborts at chosen points of a step: what was kept is exact and usable, what others get
 * is unchanged. The hook of the named point RIG_LAYER decides when; nothing sleeps.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/plugins/cpu-rig.h"
#include "tests/plugins/cpu-tiny.h"

#define N_TOKENS 100
#define SUB_BATCH 32
#define N_LAYERS 3
/* Of the layers at which an abort comes, how many are passed over. */
#ifdef RIG_CUDA
#define STRIDE 5
#define THREADS 1u
#define FIRST_ROW ((N_TOKENS + SUB_BATCH - 1) / SUB_BATCH * SUB_BATCH) /* cells before the second row's */
#else
#define STRIDE 1
#define THREADS 2u
#define FIRST_ROW N_TOKENS
#endif

/* Dense, or of another kind: the tests that say so. */
static const struct tiny dense = {.arch = "llama",
    .n_layers = N_LAYERS,
    .n_embd = 128,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_dim = 32,
    .n_ff = 160,
    .n_vocab = 97,
    .type = "Q8_0"};

static struct tiny model;
static uint32_t sub_batch = SUB_BATCH;
static char *path;
static int32_t tokens[2][N_TOKENS];
static float *expected[2];

/* The hook: at the abort_at-th layer, dooms abort_seqs of steps up to abort_ticket. */
static struct {
    struct rig *rig;
    atomic_int layers; /* that began */
    int abort_at;      /* 0: never */
    uint64_t ticket;
    uint32_t seqs[2], n_seqs;
    int32_t fail_with;
} hook;

static int32_t at_layer(const char *point)
{
    if (strcmp(point, RIG_LAYER) != 0)
        return 0;
    if (atomic_fetch_add(&hook.layers, 1) + 1 != hook.abort_at)
        return 0;
    if (hook.fail_with)
        return hook.fail_with;
    hook.rig->p->abort(hook.rig->ctx, hook.ticket, hook.seqs, hook.n_seqs);
    return 0;
}

static void open_rig(struct rig *r, uint32_t threads)
{
    rig_open(r, path, &(struct rig_options){.threads = threads, .sub_batch = sub_batch});
    struct orcd_error err = ORCD_ERROR_INIT;
    for (uint32_t s = 0; s < 2; s++)
        assert_int_equal(r->p->seq_open(r->ctx, s, N_TOKENS, &err), 0);
    memset(&hook, 0, sizeof(hook));
    hook.rig = r;
    rig_host.fault = at_layer;
}

static void close_rig(struct rig *r)
{
    rig_host.fault = NULL;
    rig_close(r);
}

static uint32_t length(struct rig *r, uint32_t seq)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    uint32_t n = UINT32_MAX;
    assert_int_equal(r->p->seq_len(r->ctx, seq, &n, &err), 0);
    return n;
}

static struct rig_row row_from(uint32_t seq, uint32_t from, uint32_t to, uint32_t want)
{
    return (struct rig_row){.seq = seq, .n = to - from, .tokens = tokens[seq] + from, .want = want};
}

static void check_same(uint32_t seq, uint32_t first, uint32_t n, const float *got)
{
    assert_memory_equal(got, expected[seq] + first * model.n_vocab, n * model.n_vocab * sizeof(float));
}

/* What is left of the sequence, in one step, gives what a cold run gives. */
static void finish(struct rig *r, uint32_t seq)
{
    struct rig_out out;
    const uint32_t from = length(r, seq);
    const struct rig_row row = row_from(seq, from, N_TOKENS, ORCD_WANT_ALL);
    rig_step(r, &row, 1, &out);
    check_same(seq, from, N_TOKENS - from, out.logits[0]);
}

static int setup(void **state)
{
    (void)state;
    struct rig r;
    path = tiny_write(&model);
    rig_open(&r, path, NULL);
    for (uint32_t s = 0; s < 2; s++) {
        tiny_tokens(&model, 10 + s, tokens[s], N_TOKENS);
        expected[s] = malloc((size_t)N_TOKENS * model.n_vocab * sizeof(float));
        assert_non_null(expected[s]);
        rig_logits(&r, tokens[s], N_TOKENS, 0, expected[s]);
    }
    rig_close(&r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    free(path);
    free(expected[0]);
    free(expected[1]);
    return 0;
}

static int with_experts(void **state)
{
    teardown(state);
    model.n_experts = 8;
    model.n_experts_used = 3;
    return setup(state);
}

static int dense_again(void **state)
{
    teardown(state);
    model = dense;
    return setup(state);
}

#ifndef RIG_CUDA
/* Beside them one that all tokens share. */
static int with_shared(void **state)
{
    model.arch = "qwen2moe";
    model.n_ff_shared = 224;
    return with_experts(state);
}

/* Both rows in one sub-batch, so large that all threads take part in what is done with its cells. */
static int in_one(void **state)
{
    (void)state;
    sub_batch = 2 * N_TOKENS;
    return 0;
}

static int in_several(void **state)
{
    (void)state;
    sub_batch = SUB_BATCH;
    return 0;
}

/* Two rope bases, norms behind each block. */
static int with_windows(void **state)
{
    teardown(state);
    model.arch = "gemma3";
    model.window = 24;
    model.period = 2;
    return setup(state);
}
#endif

/* In every layer of every sub-batch: complete sub-batches are kept, the step ends there. */
static void test_everywhere(void **state)
{
    (void)state;
    for (uint32_t threads = 1; threads <= THREADS; threads++)
        for (int at = 1; at <= 4 * N_LAYERS; at += STRIDE) {
            struct rig r;
            struct rig_out out;
            open_rig(&r, threads);
            hook.abort_at = at;
            hook.ticket = 1;
            hook.n_seqs = 1;
            const struct rig_row row = row_from(0, 0, N_TOKENS, ORCD_WANT_LAST);
            rig_submit(&r, &row, 1);
            assert_int_equal(rig_wait(&r, &out), 0);
            assert_int_equal(out.status[0], ORCD_E_ABORTED);
            assert_int_equal(out.kept[0], (at - 1) / N_LAYERS * SUB_BATCH);
            assert_int_equal(length(&r, 0), out.kept[0]);
            assert_null(out.logits[0]);
            assert_int_equal(out.n_logits[0], 0);
            assert_int_equal(atomic_load(&hook.layers), at);
            finish(&r, 0);
            close_rig(&r);
        }
}

/* An abort that comes before its step, and one of older steps. */
static void test_tickets(void **state)
{
    (void)state;
    struct rig r;
    struct rig_out out;
    const uint32_t seq = 0;
    open_rig(&r, 2);
    r.p->abort(r.ctx, 1, &seq, 1);
    const struct rig_row row = row_from(0, 0, N_TOKENS, ORCD_WANT_LAST);
    rig_submit(&r, &row, 1);
    assert_int_equal(rig_wait(&r, &out), 0);
    assert_int_equal(out.status[0], ORCD_E_ABORTED);
    assert_int_equal(out.kept[0], 0);
    assert_int_equal(atomic_load(&hook.layers), 0);
    r.p->abort(r.ctx, 1, &seq, 1);
    rig_step(&r, &row, 1, &out);
    check_same(0, N_TOKENS - 1, 1, out.logits[0]);
    close_rig(&r);
}

/* The other row goes on, at the same bits; both orders. */
static void test_one_of_two(void **state)
{
    (void)state;
    for (uint32_t doomed = 0; doomed < 2; doomed++)
        for (int at = 1; at <= 7 * N_LAYERS; at += STRIDE) {
            struct rig r;
            struct rig_out out;
            open_rig(&r, 2);
            hook.abort_at = at;
            hook.ticket = 1;
            hook.n_seqs = 1;
            hook.seqs[0] = doomed;
            const struct rig_row rows[2] = {
                row_from(0, 0, N_TOKENS, ORCD_WANT_ALL), row_from(1, 0, N_TOKENS, ORCD_WANT_ALL)};
            rig_submit(&r, rows, 2);
            assert_int_equal(rig_wait(&r, &out), 0);
            const uint32_t other = 1 - doomed;
            assert_int_equal(out.status[other], 0);
            assert_int_equal(out.kept[other], N_TOKENS);
            check_same(other, 0, N_TOKENS, out.logits[other]);
            assert_int_equal(out.kept[doomed], length(&r, doomed));
            /* Sub-batches are cut from the rows in their order, on tensor cores from each row by itself. */
            const uint32_t done = (uint32_t)(at - 1) / N_LAYERS * sub_batch;
            const uint32_t before = doomed ? FIRST_ROW : 0;
            const uint32_t kept = done < before ? 0 : done - before > N_TOKENS ? N_TOKENS : done - before;
            assert_int_equal(out.kept[doomed], kept);
            assert_int_equal(out.status[doomed], kept == N_TOKENS ? 0 : ORCD_E_ABORTED);
            if (kept < N_TOKENS)
                finish(&r, doomed);
            close_rig(&r);
        }
}

/* From another thread, while the step waits in a layer for it. */
static sem_t reached, go_on;

static int32_t at_layer_wait(const char *point)
{
    if (strcmp(point, RIG_LAYER) != 0 || atomic_fetch_add(&hook.layers, 1) + 1 != hook.abort_at)
        return 0;
    sem_post(&reached);
    while (sem_wait(&go_on) != 0)
        ;
    return 0;
}

static void *aborter(void *arg)
{
    struct rig *r = arg;
    const uint32_t seqs[3] = {0, 1, 99}; /* one that is not there */
    while (sem_wait(&reached) != 0)
        ;
    r->p->abort(r->ctx, 1, seqs, 3);
    sem_post(&go_on);
    return NULL;
}

static void test_other_thread(void **state)
{
    (void)state;
    struct rig r;
    struct rig_out out;
    pthread_t id;
    open_rig(&r, 2);
    rig_host.fault = at_layer_wait;
    hook.abort_at = N_LAYERS + 2;
    sem_init(&reached, 0, 0);
    sem_init(&go_on, 0, 0);
    assert_int_equal(pthread_create(&id, NULL, aborter, &r), 0);
    const struct rig_row rows[2] = {row_from(0, 0, 60, ORCD_WANT_LAST), row_from(1, 0, 60, ORCD_WANT_LAST)};
    rig_submit(&r, rows, 2);
    assert_int_equal(rig_wait(&r, &out), 0);
    pthread_join(id, NULL);
    assert_int_equal(out.status[0], ORCD_E_ABORTED);
    assert_int_equal(out.status[1], ORCD_E_ABORTED);
    assert_int_equal(out.kept[0], SUB_BATCH);
    assert_int_equal(out.kept[1], 0);
    assert_int_equal(atomic_load(&hook.layers), N_LAYERS + 2);
    struct orcd_stats stats = {.size = sizeof(stats)};
    r.p->stats(r.device, &stats);
    assert_int_equal(stats.rows_aborted, 2);
    assert_int_equal(stats.tokens, SUB_BATCH);
    rig_host.fault = NULL;
    finish(&r, 0);
    finish(&r, 1);
    sem_destroy(&reached);
    sem_destroy(&go_on);
    close_rig(&r);
}

/* A step's error changes no sequence. */
static void test_step_error(void **state)
{
    (void)state;
    struct rig r;
    struct rig_out out;
    open_rig(&r, 2);
    struct rig_row row = row_from(0, 0, 40, ORCD_WANT_LAST);
    rig_step(&r, &row, 1, &out);
    hook.abort_at = atomic_load(&hook.layers) + N_LAYERS + 1;
    hook.fail_with = ORCD_E_DEVICE;
    row = row_from(0, 40, N_TOKENS, ORCD_WANT_LAST);
    rig_submit(&r, &row, 1);
    assert_int_equal(rig_wait(&r, &out), ORCD_E_DEVICE);
    assert_int_equal(length(&r, 0), 40);
    finish(&r, 0);
    close_rig(&r);
}

/* A context may go while its step runs. */
static void test_free_in_flight(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r, 2);
    const struct rig_row row = row_from(0, 0, N_TOKENS, ORCD_WANT_LAST);
    rig_submit(&r, &row, 1);
    rig_close(&r); /* the hook stays: the step may be in it */
    rig_host.fault = NULL;
    assert_int_equal(rig_live_allocations(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everywhere),
        cmocka_unit_test(test_tickets),
        cmocka_unit_test(test_one_of_two),
        cmocka_unit_test(test_other_thread),
        cmocka_unit_test(test_step_error),
        cmocka_unit_test(test_free_in_flight),
        cmocka_unit_test_setup_teardown(test_everywhere, with_experts, dense_again),
#ifndef RIG_CUDA
        cmocka_unit_test_setup_teardown(test_one_of_two, in_one, in_several),
        cmocka_unit_test_setup_teardown(test_one_of_two, with_experts, dense_again),
        cmocka_unit_test_setup_teardown(test_step_error, with_experts, dense_again),
        cmocka_unit_test_setup_teardown(test_everywhere, with_shared, dense_again),
        cmocka_unit_test_setup_teardown(test_one_of_two, with_shared, dense_again),
        cmocka_unit_test_setup_teardown(test_one_of_two, with_windows, dense_again),
#endif
    };
    model = dense;
    return cmocka_run_group_tests_name(RIG_PLUGIN " plugin, aborts", tests, setup, teardown);
}
