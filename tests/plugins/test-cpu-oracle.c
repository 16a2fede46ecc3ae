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

#define N_TOKENS 300

struct variant {
    const char *name;
    struct tiny t;
};

/* clang-format off */
static const struct variant variants[] = {
    {"llama, rope_freqs, GQA 7:1, tied", {.arch = "llama", .n_layers = 2, .n_embd = 224, .n_heads = 14,
        .n_kv_heads = 2, .head_dim = 16, .n_ff = 416, .n_vocab = 300, .type = "F32", .rope_freqs = true}},
    {"llama, head 8, MQA, untied, linear rope", {.arch = "llama", .n_layers = 2, .n_embd = 64, .n_heads = 8,
        .n_kv_heads = 1, .head_dim = 8, .n_ff = 96, .n_vocab = 257, .type = "F32", .untied = true, .rope_factor = 4}},
    {"llama, head 80, all biases, part of a head rotates", {.arch = "llama", .n_layers = 2, .n_embd = 160,
        .n_heads = 4, .n_kv_heads = 2, .head_dim = 80, .n_ff = 200, .n_vocab = 129, .type = "F16", .biases = true, .rope_dims = 20}},
    {"qwen2, head 96", {.arch = "qwen2", .n_layers = 2, .n_embd = 192, .n_heads = 4, .n_kv_heads = 4,
        .head_dim = 96, .n_ff = 100, .n_vocab = 64, .type = "F16"}},
    {"qwen3, head 128, width below heads", {.arch = "qwen3", .n_layers = 3, .n_embd = 96, .n_heads = 6,
        .n_kv_heads = 2, .head_dim = 128, .n_ff = 160, .n_vocab = 100, .type = "BF16"}},
    {"qwen2, Q8_0, rows no multiple of 256", {.arch = "qwen2", .n_layers = 2, .n_embd = 224, .n_heads = 14,
        .n_kv_heads = 2, .head_dim = 64, .n_ff = 608, .n_vocab = 333, .type = "Q8_0"}},
    {"llama, Q5_0 and Q6_K", {.arch = "llama", .n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2,
        .head_dim = 64, .n_ff = 288, .n_vocab = 500, .type = "Q5_0", .embd_type = "Q6_K"}},
    {"llama, Q4_K", {.arch = "llama", .n_layers = 2, .n_embd = 256, .n_heads = 2, .n_kv_heads = 1,
        .head_dim = 128, .n_ff = 512, .n_vocab = 400, .type = "Q4_K", .untied = true}},
};
/* clang-format on */

/* What remains: FP16 keys and values, and 8-bit activations where the type has them. */
static double allowed(const char *type)
{
    if (strcmp(type, "F32") == 0 || strcmp(type, "F16") == 0)
        return 1e-6;
    return strcmp(type, "BF16") == 0 ? 1e-4 : 1e-3;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_variant(void **state)
{
    const struct variant *v = *state;
    const size_t n_vocab = v->t.n_vocab;
    int32_t tokens[N_TOKENS];
    tiny_tokens(&v->t, 7, tokens, N_TOKENS);
    char *path = tiny_write(&v->t);
    float *want = malloc(N_TOKENS * n_vocab * sizeof(*want)),
          *got = malloc(N_TOKENS * n_vocab * sizeof(*got));
    assert_non_null(want);
    assert_non_null(got);
    struct oracle *o = oracle_open(path);
    assert_non_null(o);
    oracle_logits(o, tokens, N_TOKENS, want);
    oracle_close(o);

    struct rig r;
    rig_open(&r, path, NULL);
    assert_int_equal(r.n_vocab, n_vocab);
    rig_logits(&r, tokens, N_TOKENS, 0, got);
    rig_close(&r);
    unlink(path);
    free(path);

    double nmse[N_TOKENS];
    for (size_t t = 0; t < N_TOKENS; t++)
        nmse[t] = golden_nmse(got + t * n_vocab, want + t * n_vocab, n_vocab);
    qsort(nmse, N_TOKENS, sizeof(*nmse), compare);
    printf("# %s: median NMSE %.2e, worst %.2e\n", v->name, nmse[N_TOKENS / 2], nmse[N_TOKENS - 1]);
    fflush(stdout);
    assert_true(nmse[N_TOKENS / 2] <= allowed(v->t.type));
    assert_true(nmse[N_TOKENS - 1] <= 20 * allowed(v->t.type));
    free(want);
    free(got);
}

int main(void)
{
    enum { N = sizeof(variants) / sizeof(variants[0]) };
    struct CMUnitTest tests[N];
    memset(tests, 0, sizeof(tests));
    for (size_t i = 0; i < N; i++) {
        tests[i].name = variants[i].name;
        tests[i].test_func = test_variant;
        tests[i].initial_state = (void *)(uintptr_t)&variants[i];
    }
    return cmocka_run_group_tests_name("cpu plugin, oracle", tests, NULL, NULL);
}
