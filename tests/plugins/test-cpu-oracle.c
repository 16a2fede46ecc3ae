/* Shapes that the tiny files lack, on long prompts, against the textbook forward pass. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/golden.h"
#include "tests/oracle/oracle.h"
#include "tests/plugins/cpu-rig.h"
#include "tests/plugins/cpu-tiny.h"

#ifdef RIG_CUDA
#define N_TOKENS 72 /* each costs much */
#else
#define N_TOKENS 300
#endif
#define N_CTX 512

struct variant {
    const char *name;
    struct tiny t;
    uint32_t n_tokens, n_ctx; /* 0: N_TOKENS and N_CTX */
};

/* clang-format off */
static const struct variant variants[] = {
    {.name = "llama, rope_freqs, GQA 7:1, tied", .t = {.arch = "llama", .n_layers = 2, .n_embd = 224, .n_heads = 14,
        .n_kv_heads = 2, .head_dim = 16, .n_ff = 416, .n_vocab = 300, .type = "F32", .rope_freqs = true}},
    {.name = "llama, head 8, MQA, untied, linear rope", .t = {.arch = "llama", .n_layers = 2, .n_embd = 64, .n_heads = 8,
        .n_kv_heads = 1, .head_dim = 8, .n_ff = 96, .n_vocab = 257, .type = "F32", .untied = true, .rope_factor = 4}},
    {.name = "llama, head 80, all biases, part of a head rotates", .t = {.arch = "llama", .n_layers = 2, .n_embd = 160,
        .n_heads = 4, .n_kv_heads = 2, .head_dim = 80, .n_ff = 200, .n_vocab = 129, .type = "F16", .biases = true, .rope_dims = 20}},
    {.name = "qwen2, head 96", .t = {.arch = "qwen2", .n_layers = 2, .n_embd = 192, .n_heads = 4, .n_kv_heads = 4,
        .head_dim = 96, .n_ff = 100, .n_vocab = 64, .type = "F16"}},
    {.name = "qwen3, head 128, width below heads", .t = {.arch = "qwen3", .n_layers = 3, .n_embd = 96, .n_heads = 6,
        .n_kv_heads = 2, .head_dim = 128, .n_ff = 160, .n_vocab = 100, .type = "BF16"}},
    {.name = "qwen2, Q8_0, rows no multiple of 256", .t = {.arch = "qwen2", .n_layers = 2, .n_embd = 224, .n_heads = 14,
        .n_kv_heads = 2, .head_dim = 64, .n_ff = 608, .n_vocab = 333, .type = "Q8_0"}},
    {.name = "llama, Q5_0 and Q6_K", .t = {.arch = "llama", .n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 64, .n_ff = 288, .n_vocab = 500, .type = "Q5_0", .embd_type = "Q6_K"}},
    {.name = "llama, Q4_K", .t = {.arch = "llama", .n_layers = 2, .n_embd = 256, .n_heads = 2, .n_kv_heads = 1,
        .head_dim = 128, .n_ff = 512, .n_vocab = 400, .type = "Q4_K", .untied = true}},
    {.name = "llama, window shorter than the prompt", .t = {.arch = "llama", .n_layers = 2, .n_embd = 96, .n_heads = 4,
        .n_kv_heads = 2, .head_dim = 24, .n_ff = 96, .n_vocab = 100, .type = "F16", .window = 33}},
    {.name = "qwen3, window in two of three layers", .t = {.arch = "qwen3", .n_layers = 3, .n_embd = 96, .n_heads = 4,
        .n_kv_heads = 2, .head_dim = 32, .n_ff = 96, .n_vocab = 100, .type = "F16", .window = 64, .period = 3}},
    {.name = "qwen2, yarn", .t = {.arch = "qwen2", .n_layers = 2, .n_embd = 96, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 64, .n_ff = 96, .n_vocab = 100, .type = "F16", .yarn = 8}},
    {.name = "phi3, head 96", .t = {.arch = "phi3", .n_layers = 2, .n_embd = 192, .n_heads = 2, .n_kv_heads = 2,
        .head_dim = 96, .n_ff = 200, .n_vocab = 300, .type = "F16", .untied = true, .window = 40}},
    {.name = "phi3, GQA, tied, Q8_0", .t = {.arch = "phi3", .n_layers = 2, .n_embd = 224, .n_heads = 6, .n_kv_heads = 2,
        .head_dim = 32, .n_ff = 416, .n_vocab = 111, .type = "Q8_0"}},
    {.name = "phi3, long rope", .t = {.arch = "phi3", .n_layers = 2, .n_embd = 128, .n_heads = 4, .n_kv_heads = 4,
        .head_dim = 32, .n_ff = 96, .n_vocab = 100, .type = "F16", .long_rope = true}},
    {.name = "phi3, long rope in a short context", .t = {.arch = "phi3", .n_layers = 2, .n_embd = 128, .n_heads = 4, .n_kv_heads = 4,
        .head_dim = 32, .n_ff = 96, .n_vocab = 100, .type = "F16", .long_rope = true}, .n_tokens = 200, .n_ctx = 256},
    {.name = "gpt2, tied", .t = {.arch = "gpt2", .n_layers = 2, .n_embd = 96, .n_heads = 4, .n_kv_heads = 4,
        .head_dim = 24, .n_ff = 384, .n_vocab = 200, .type = "F16"}},
    {.name = "gpt2, untied, Q5_0", .t = {.arch = "gpt2", .n_layers = 2, .n_embd = 224, .n_heads = 7, .n_kv_heads = 7,
        .head_dim = 32, .n_ff = 896, .n_vocab = 200, .type = "Q5_0", .untied = true}},
    {.name = "llama with experts", .t = {.arch = "llama", .n_layers = 2, .n_embd = 96, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 24, .n_ff = 72, .n_vocab = 200, .type = "F16", .n_experts = 8, .n_experts_used = 2}},
    {.name = "llama, all experts used", .t = {.arch = "llama", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 16, .n_ff = 40, .n_vocab = 200, .type = "F32", .n_experts = 3, .n_experts_used = 3}},
    {.name = "qwen3moe, Q8_0", .t = {.arch = "qwen3moe", .n_layers = 2, .n_embd = 96, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 32, .n_ff = 64, .n_vocab = 200, .type = "Q8_0", .n_experts = 32, .n_experts_used = 4}},
    {.name = "gpt-oss", .t = {.arch = "gpt-oss", .n_layers = 4, .n_embd = 96, .n_heads = 8, .n_kv_heads = 2,
        .head_dim = 32, .n_ff = 80, .n_vocab = 200, .type = "F16", .untied = true, .n_experts = 8,
        .n_experts_used = 4, .window = 32, .yarn = 16}},
    {.name = "gpt-oss, Q8_0", .t = {.arch = "gpt-oss", .n_layers = 3, .n_embd = 128, .n_heads = 8, .n_kv_heads = 1,
        .head_dim = 32, .n_ff = 96, .n_vocab = 200, .type = "Q8_0", .untied = true, .n_experts = 16,
        .n_experts_used = 4, .window = 50, .yarn = 32}},
    {.name = "gpt-oss, MXFP4", .t = {.arch = "gpt-oss", .n_layers = 3, .n_embd = 96, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 32, .n_ff = 160, .n_vocab = 200, .type = "MXFP4", .untied = true, .n_experts = 8,
        .n_experts_used = 4, .window = 40, .yarn = 8}},
    {.name = "qwen2, Q2_K and Q3_K", .t = {.arch = "qwen2", .n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 64, .n_ff = 512, .n_vocab = 300, .type = "Q2_K", .embd_type = "Q3_K"}},
    {.name = "llama, IQ4_XS and IQ4_NL", .t = {.arch = "llama", .n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 1,
        .head_dim = 64, .n_ff = 768, .n_vocab = 350, .type = "IQ4_XS", .embd_type = "IQ4_NL"}},
    {.name = "llama, MXFP4, rows no multiple of 256", .t = {.arch = "llama", .n_layers = 2, .n_embd = 160, .n_heads = 5,
        .n_kv_heads = 1, .head_dim = 32, .n_ff = 352, .n_vocab = 200, .type = "MXFP4", .untied = true}},
    {.name = "qwen2moe", .t = {.arch = "qwen2moe", .n_layers = 2, .n_embd = 96, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 24, .n_ff = 56, .n_vocab = 200, .type = "F16", .untied = true, .n_experts = 12, .n_experts_used = 3,
        .n_ff_shared = 248}},
    {.name = "qwen2moe, Q8_0, narrow shared expert", .t = {.arch = "qwen2moe", .n_layers = 2, .n_embd = 128, .n_heads = 4,
        .n_kv_heads = 4, .head_dim = 32, .n_ff = 96, .n_vocab = 200, .type = "Q8_0", .n_experts = 8, .n_experts_used = 2,
        .n_ff_shared = 64}},
    {.name = "qwen2moe, Q4_K", .t = {.arch = "qwen2moe", .n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 4,
        .head_dim = 64, .n_ff = 256, .n_vocab = 200, .type = "Q4_K", .untied = true, .n_experts = 4, .n_experts_used = 2,
        .n_ff_shared = 1024}},
    {.name = "gemma, head wider than its share, MQA", .t = {.arch = "gemma", .n_layers = 2, .n_embd = 96, .n_heads = 4,
        .n_kv_heads = 1, .head_dim = 48, .n_ff = 200, .n_vocab = 300, .type = "F16"}},
    {.name = "gemma, Q8_0", .t = {.arch = "gemma", .n_layers = 3, .n_embd = 160, .n_heads = 4, .n_kv_heads = 4,
        .head_dim = 64, .n_ff = 352, .n_vocab = 111, .type = "Q8_0"}},
    {.name = "gemma2, low caps, window", .t = {.arch = "gemma2", .n_layers = 4, .n_embd = 96, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 32, .n_ff = 160, .n_vocab = 200, .type = "F16", .window = 40, .attn_cap = 1.5f, .logit_cap = 2.5f}},
    {.name = "gemma2, caps as usual", .t = {.arch = "gemma2", .n_layers = 3, .n_embd = 128, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 64, .n_ff = 96, .n_vocab = 200, .type = "F32", .window = 64}},
    {.name = "gemma2, Q8_0", .t = {.arch = "gemma2", .n_layers = 2, .n_embd = 128, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 64, .n_ff = 416, .n_vocab = 200, .type = "Q8_0", .window = 100, .attn_cap = 5}},
    {.name = "gemma2, queries scaled by width, 46 layers", .t = {.arch = "gemma2", .n_layers = 46, .n_embd = 48, .n_heads = 4,
        .n_kv_heads = 2, .head_dim = 24, .n_ff = 40, .n_vocab = 60, .type = "BF16"}, .n_tokens = 40},
    {.name = "gemma3, two rope bases, scaled, window", .t = {.arch = "gemma3", .n_layers = 7, .n_embd = 96, .n_heads = 4,
        .n_kv_heads = 1, .head_dim = 32, .n_ff = 160, .n_vocab = 200, .type = "F16", .window = 48, .rope_base = 1e6f,
        .rope_factor = 8}},
    {.name = "gemma3, window as long as the context", .t = {.arch = "gemma3", .n_layers = 3, .n_embd = 96, .n_heads = 4,
        .n_kv_heads = 2, .head_dim = 32, .n_ff = 96, .n_vocab = 200, .type = "F16", .window = 4096, .period = 2,
        .rope_base = 1e6f, .logit_cap = 4}},
    {.name = "gemma3, Q8_0, without window", .t = {.arch = "gemma3", .n_layers = 2, .n_embd = 128, .n_heads = 4,
        .n_kv_heads = 2, .head_dim = 64, .n_ff = 96, .n_vocab = 200, .type = "Q8_0", .rope_base = 1e6f, .logit_cap = 4}},
};
/* clang-format on */

/* What remains: FP16 keys and values, and 8-bit activations where the type has them. On tensor cores
 * activations are FP16, in each layer. */
static double allowed(const struct tiny *t)
{
    const bool exact = strcmp(t->type, "F32") == 0 || strcmp(t->type, "F16") == 0;
    const double bar = exact ? 1e-6 : strcmp(t->type, "BF16") == 0 ? 1e-4 : 1e-3;
#ifdef RIG_CUDA
    return bar + 3e-6 * t->n_layers;
#else
    return bar;
#endif
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Logits of n tokens by the plugin and by the oracle. */
static void both(
    const struct tiny *t, const int32_t *tokens, uint32_t n, uint32_t n_ctx, float *got, float *want)
{
    char *path = tiny_write(t);
    struct oracle *o = oracle_open(path);
    assert_non_null(o);
    oracle_set_context(o, n_ctx);
    oracle_logits(o, tokens, n, want);
    oracle_close(o);

    struct rig r;
    rig_open(&r, path, &(struct rig_options){.n_ctx = n_ctx});
    assert_int_equal(r.n_vocab, t->n_vocab);
    rig_logits(&r, tokens, n, 0, got);
    rig_close(&r);
    unlink(path);
    free(path);
}

static void test_variant(void **state)
{
    const struct variant *v = *state;
    const size_t n_vocab = v->t.n_vocab;
    const uint32_t n = v->n_tokens && v->n_tokens < N_TOKENS ? v->n_tokens : N_TOKENS;
    int32_t tokens[N_TOKENS];
    tiny_tokens(&v->t, 7, tokens, n);
    float *want = malloc(n * n_vocab * sizeof(*want)), *got = malloc(n * n_vocab * sizeof(*got));
    assert_non_null(want);
    assert_non_null(got);
    both(&v->t, tokens, n, v->n_ctx ? v->n_ctx : N_CTX, got, want);

    double nmse[N_TOKENS];
    for (size_t t = 0; t < n; t++)
        nmse[t] = golden_nmse(got + t * n_vocab, want + t * n_vocab, n_vocab);
    qsort(nmse, n, sizeof(*nmse), compare);
    printf("# %s: median NMSE %.2e, worst %.2e\n", v->name, nmse[n / 2], nmse[n - 1]);
    fflush(stdout);
    assert_true(nmse[n / 2] <= allowed(&v->t));
    /* Of experts that are nearly as good, rounding may choose another. */
    assert_true(nmse[v->t.n_experts ? n * 3 / 4 : n - 1] <= 20 * allowed(&v->t));
    free(want);
    free(got);
}

/* What the variants say is about something: the same weights give other logits without it,
 * from the first position on that it reaches. */
static void check_matters(const struct tiny *plain)
{
    struct tiny window = *plain, yarn = *plain;
    window.window = 33;
    yarn.yarn = 8;
    enum { N = 80 };
    int32_t tokens[N];
    const size_t v = plain->n_vocab;
    float *got = malloc(N * v * sizeof(*got)), *want = malloc(N * v * sizeof(*want)),
          *with = malloc(N * v * sizeof(*with));
    assert_non_null(got);
    assert_non_null(want);
    assert_non_null(with);
    tiny_tokens(plain, 3, tokens, N);
    both(plain, tokens, N, N_CTX, got, want);
    both(&window, tokens, N, N_CTX, with, want);
    assert_memory_equal(got, with, 33 * v * sizeof(*got));
    for (size_t t = 33; t < N; t++)
        assert_true(golden_nmse(with + t * v, got + t * v, v) > 1e-6);
    both(&yarn, tokens, N, N_CTX, with, want);
    for (size_t t = 1; t < N; t++)
        assert_true(golden_nmse(with + t * v, got + t * v, v) > 1e-6);
    free(got);
    free(want);
    free(with);
}

static void test_matters(void **state)
{
    (void)state;
    struct tiny t = {.arch = "llama",
        .n_layers = 2,
        .n_embd = 96,
        .n_heads = 4,
        .n_kv_heads = 2,
        .head_dim = 24,
        .n_ff = 96,
        .n_vocab = 100,
        .type = "F16"};
    check_matters(&t);
    t.arch = "gpt-oss";
    t.n_experts = 8;
    t.n_experts_used = 2;
    check_matters(&t);
}

int main(void)
{
    enum { N = sizeof(variants) / sizeof(variants[0]) };
    struct CMUnitTest tests[N + 1];
    memset(tests, 0, sizeof(tests));
    for (size_t i = 0; i < N; i++) {
        tests[i].name = variants[i].name;
        tests[i].test_func = test_variant;
        tests[i].initial_state = (void *)(uintptr_t)&variants[i];
    }
    tests[N] = (struct CMUnitTest)cmocka_unit_test(test_matters);
    return cmocka_run_group_tests_name(RIG_PLUGIN " plugin, oracle", tests, NULL, NULL);
}
