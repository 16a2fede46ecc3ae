/*
 * A token's logits are the same bits whatever else is in the step, wherever steps end,
 * however the cache came to be, on any number of threads and any kernel set.
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
#include "tests/lib/gguf-edit.h"
#include "tests/plugins/cpu-rig.h"
#include "tests/plugins/cpu-tiny.h"

#define N_TOKENS 200
#define N_SEQS 4
#define N_ROUNDS 200

static const struct tiny models[] = {
    {.arch = "qwen2",
        .n_layers = 2,
        .n_embd = 224,
        .n_heads = 14,
        .n_kv_heads = 2,
        .head_dim = 16,
        .n_ff = 416,
        .n_vocab = 133,
        .type = "Q8_0"},
    {.arch = "llama",
        .n_layers = 2,
        .n_embd = 256,
        .n_heads = 4,
        .n_kv_heads = 2,
        .head_dim = 64,
        .n_ff = 512,
        .n_vocab = 130,
        .type = "Q4_K",
        .embd_type = "Q6_K"},
    {.arch = "qwen3",
        .n_layers = 2,
        .n_embd = 96,
        .n_heads = 4,
        .n_kv_heads = 1,
        .head_dim = 40,
        .n_ff = 100,
        .n_vocab = 64,
        .type = "F16"},
    {.arch = "phi3",
        .n_layers = 2,
        .n_embd = 96,
        .n_heads = 4,
        .n_kv_heads = 2,
        .head_dim = 24,
        .n_ff = 96,
        .n_vocab = 70,
        .type = "F16",
        .window = 41},
    {.arch = "gpt2",
        .n_layers = 2,
        .n_embd = 96,
        .n_heads = 3,
        .n_kv_heads = 3,
        .head_dim = 32,
        .n_ff = 160,
        .n_vocab = 70,
        .type = "Q8_0"},
    {.arch = "gpt-oss",
        .n_layers = 3,
        .n_embd = 96,
        .n_heads = 4,
        .n_kv_heads = 2,
        .head_dim = 32,
        .n_ff = 64,
        .n_vocab = 70,
        .type = "Q8_0",
        .window = 33,
        .yarn = 8,
        .n_experts = 16,
        .n_experts_used = 3},
    {.arch = "llama",
        .n_layers = 2,
        .n_embd = 64,
        .n_heads = 2,
        .n_kv_heads = 2,
        .head_dim = 32,
        .n_ff = 48,
        .n_vocab = 70,
        .type = "F16",
        .n_experts = 4,
        .n_experts_used = 2},
    {.arch = "llama",
        .n_layers = 1,
        .n_embd = 256,
        .n_heads = 4,
        .n_kv_heads = 2,
        .head_dim = 64,
        .n_ff = 256,
        .n_vocab = 70,
        .type = "Q2_K",
        .embd_type = "IQ4_XS"},
    {.arch = "qwen2",
        .n_layers = 1,
        .n_embd = 256,
        .n_heads = 4,
        .n_kv_heads = 1,
        .head_dim = 32,
        .n_ff = 512,
        .n_vocab = 50,
        .type = "Q3_K",
        .embd_type = "MXFP4"},
    {.arch = "qwen3",
        .n_layers = 1,
        .n_embd = 96,
        .n_heads = 2,
        .n_kv_heads = 1,
        .head_dim = 48,
        .n_ff = 160,
        .n_vocab = 40,
        .type = "IQ4_NL"},
    {.arch = "qwen2moe",
        .n_layers = 2,
        .n_embd = 96,
        .n_heads = 4,
        .n_kv_heads = 2,
        .head_dim = 24,
        .n_ff = 64,
        .n_vocab = 60,
        .type = "Q8_0",
        .n_experts = 8,
        .n_experts_used = 2,
        .n_ff_shared = 224},
    {.arch = "gemma2",
        .n_layers = 2,
        .n_embd = 96,
        .n_heads = 4,
        .n_kv_heads = 2,
        .head_dim = 32,
        .n_ff = 96,
        .n_vocab = 75,
        .type = "F16",
        .window = 37,
        .attn_cap = 2,
        .logit_cap = 3},
    {.arch = "gemma3",
        .n_layers = 3,
        .n_embd = 96,
        .n_heads = 4,
        .n_kv_heads = 1,
        .head_dim = 32,
        .n_ff = 96,
        .n_vocab = 70,
        .type = "Q8_0",
        .window = 29,
        .period = 2,
        .rope_base = 1e6f},
};
#define N_MODELS (sizeof(models) / sizeof(models[0]))

static char *paths[N_MODELS];
static int32_t tokens[N_MODELS][N_SEQS][N_TOKENS];
/* What one prefill of all tokens with two threads gives; the reference of this file. */
static float *expected[N_MODELS][N_SEQS];

static int setup(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODELS; m++) {
        paths[m] = tiny_write(&models[m]);
        struct rig r;
        rig_open(&r, paths[m], NULL);
        for (uint32_t s = 0; s < N_SEQS; s++) {
            tiny_tokens(&models[m], s + 1, tokens[m][s], N_TOKENS);
            expected[m][s] = malloc((size_t)N_TOKENS * models[m].n_vocab * sizeof(float));
            assert_non_null(expected[m][s]);
            rig_logits(&r, tokens[m][s], N_TOKENS, 0, expected[m][s]);
        }
        rig_close(&r);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODELS; m++) {
        unlink(paths[m]);
        free(paths[m]);
        for (uint32_t s = 0; s < N_SEQS; s++)
            free(expected[m][s]);
    }
    return 0;
}

static void check_same(size_t m, uint32_t seq, uint32_t first, uint32_t n, const float *got)
{
    const size_t v = models[m].n_vocab;
    assert_memory_equal(got, expected[m][seq] + first * v, n * v * sizeof(float));
}

static void test_one_by_one(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODELS; m++) {
        struct rig r;
        float *got = malloc((size_t)N_TOKENS * models[m].n_vocab * sizeof(*got));
        assert_non_null(got);
        rig_open(&r, paths[m], NULL);
        rig_logits(&r, tokens[m][0], N_TOKENS, 1, got);
        check_same(m, 0, 0, N_TOKENS, got);
        rig_close(&r);
        free(got);
    }
}

/* A model in several files is the model. */
static void test_split_files(void **state)
{
    (void)state;
    char stem[64], first[128];
    struct rig r;
    float *got = malloc((size_t)N_TOKENS * models[0].n_vocab * sizeof(*got));
    assert_non_null(got);
    snprintf(stem, sizeof(stem), "%s-split", paths[0]);
    snprintf(first, sizeof(first), "%s-00001-of-00003.gguf", stem);
    gguf_split_file(paths[0], stem, 3, false);
    rig_open(&r, first, NULL);
    assert_int_equal(model_source(r.file)->n_files, 3);
    rig_logits(&r, tokens[0][0], N_TOKENS, 0, got);
    check_same(0, 0, 0, N_TOKENS, got);
    rig_close(&r);
    gguf_split_unlink(stem, 3);
    free(got);
}

static void test_threads_and_kernels(void **state)
{
    (void)state;
    const char *isa;
    for (unsigned i = 0; (isa = rig_isa(i)); i++)
        for (uint32_t threads = 1; threads <= 3; threads++)
            for (size_t m = 0; m < N_MODELS; m++) {
                struct rig r;
                float *got = malloc((size_t)N_TOKENS * models[m].n_vocab * sizeof(*got));
                assert_non_null(got);
                rig_open(&r, paths[m],
                    &(struct rig_options){.isa = isa, .threads = threads, .sub_batch = 16 + 40 * threads});
                rig_logits(&r, tokens[m][1], N_TOKENS, 0, got);
                check_same(m, 1, 0, N_TOKENS, got);
                rig_close(&r);
                free(got);
            }
}

/* Random steps: any mix of rows of up to N_SEQS sequences, rewound and reopened at random. */
static void mix(size_t m, uint32_t threads, uint32_t rounds, uint64_t random)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct rig r;
    /* Room for fewer tokens than the sequences could hold: blocks change hands. */
    rig_open(&r, paths[m],
        &(struct rig_options){.threads = threads,
            .sub_batch = 24,
            .n_sequences = N_SEQS,
            .n_ctx = N_TOKENS,
            .max_batch_tokens = 128});
    bool open[N_SEQS] = {false};
    uint32_t len[N_SEQS] = {0}, steps = 0;
    while (steps < rounds) {
        struct rig_row rows[N_SEQS];
        struct rig_out out;
        uint32_t n = 0, left = 128;
        for (uint32_t s = 0; s < N_SEQS; s++) {
            const uint32_t what = tiny_random(&random) % 16;
            if (!open[s] || what == 0) {
                if (open[s])
                    assert_int_equal(r.p->seq_close(r.ctx, s, &err), 0);
                assert_int_equal(r.p->seq_open(r.ctx, s, N_TOKENS, &err), 0);
                open[s] = true;
                len[s] = 0;
            } else if (what < 4 || len[s] == N_TOKENS) {
                uint32_t kept, to = tiny_random(&random) % (len[s] + 1);
                assert_int_equal(r.p->seq_trim(r.ctx, s, to, &kept, &err), 0);
                assert_int_equal(kept, to);
                len[s] = to;
            }
            if (what == 15 || len[s] == N_TOKENS)
                continue;
            uint32_t most = N_TOKENS - len[s] < 40 ? N_TOKENS - len[s] : 40;
            uint32_t k = tiny_random(&random) % 2 ? 1 : 1 + tiny_random(&random) % most;
            k = k < left ? k : left;
            if (k == 0)
                continue;
            left -= k;
            rows[n++] = (struct rig_row){
                .seq = s, .n = k, .tokens = tokens[m][s] + len[s], .want = tiny_random(&random) % 3};
        }
        /* Rows in any order. */
        for (uint32_t i = n; i > 1; i--) {
            const uint32_t j = tiny_random(&random) % i;
            const struct rig_row t = rows[i - 1];
            rows[i - 1] = rows[j];
            rows[j] = t;
        }
        if (n == 0)
            continue;
        rig_step(&r, rows, n, &out);
        steps++;
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t s = rows[i].seq, first = len[s];
            len[s] += rows[i].n;
            assert_int_equal(out.kept[i], len[s]);
            if (rows[i].want == ORCD_WANT_ALL)
                check_same(m, s, first, rows[i].n, out.logits[i]);
            else if (rows[i].want == ORCD_WANT_LAST)
                check_same(m, s, len[s] - 1, 1, out.logits[i]);
            else
                assert_null(out.logits[i]);
        }
    }
    rig_close(&r);
}

static void test_mixes(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODELS; m++)
        for (uint32_t threads = 1; threads <= 3; threads++)
            mix(m, threads, N_ROUNDS / (3 * N_MODELS) + 1, 1000 * m + threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_split_files),
        cmocka_unit_test(test_threads_and_kernels),
        cmocka_unit_test(test_mixes),
    };
    return cmocka_run_group_tests_name("cpu plugin, same bits", tests, setup, teardown);
}
