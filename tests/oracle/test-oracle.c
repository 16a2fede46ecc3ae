/* The oracle against logits that were computed apart from it, for every tiny model of a
 * family it knows. Without those files there is nothing to compare with: skipped. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/golden.h"
#include "tests/oracle/oracle.h"

/* The references come from float32 arithmetic; the oracle adds next to nothing. */
#define MAX_NMSE 1e-10

static struct oracle *open_model(const struct golden *g)
{
    char path[4300];
    snprintf(path, sizeof(path), "%s/%s", golden_dir(), g->model);
    struct oracle *o = oracle_open(path);
    assert_non_null(o);
    assert_int_equal(oracle_n_vocab(o), g->n_vocab);
    return o;
}

static void check_logits(const struct golden *g, const struct oracle *o)
{
    size_t v = (size_t)g->n_vocab;
    float *want = golden_logits(g), *got = malloc(g->n_prompt * v * sizeof(*got));
    assert_non_null(want);
    assert_non_null(got);
    oracle_logits(o, g->prompt, g->n_prompt, got);
    double worst = 0, sum = 0;
    for (size_t t = 0; t < g->n_prompt; t++) {
        double e = golden_nmse(got + t * v, want + t * v, v);
        worst = e > worst ? e : worst;
        sum += e;
    }
    printf("# %s: NMSE mean %.2e, worst %.2e\n", g->model, sum / (double)g->n_prompt, worst);
    fflush(stdout);
    assert_true(worst < MAX_NMSE);
    free(want);
    free(got);
}

static void check_greedy(const struct golden *g, const struct oracle *o)
{
    int32_t tokens[128];
    size_t n = g->n_prompt;
    float *logits = malloc((size_t)g->n_vocab * sizeof(*logits));
    assert_non_null(logits);
    memcpy(tokens, g->prompt, n * sizeof(*tokens));
    for (size_t i = 0; i < g->n_greedy; i++) {
        oracle_logits_last(o, tokens, n, logits);
        int32_t best = (int32_t)golden_argmax(logits, (size_t)g->n_vocab);
        assert_int_equal(best, g->greedy[i]);
        tokens[n++] = best;
    }
    free(logits);
}

static void test_model(void **state)
{
    const struct golden *g = *state;
    struct oracle *o = open_model(g);
    check_logits(g, o);
    check_greedy(g, o);
    oracle_close(o);
}

int main(void)
{
    size_t n, used = 0;
    struct golden *all = golden_load(&n);
    if (!all) {
        puts("1..0 # SKIP no reference logits (ORCD_SHARED)");
        return 0;
    }
    struct CMUnitTest *tests = calloc(n, sizeof(*tests));
    for (size_t i = 0; i < n; i++)
        if (strncmp(all[i].model, "llama-", 6) == 0 || strncmp(all[i].model, "qwen", 4) == 0)
            tests[used++] =
                (struct CMUnitTest){.name = all[i].model, .test_func = test_model, .initial_state = &all[i]};
    int rc = _cmocka_run_group_tests("oracle", tests, used, NULL, NULL);
    free(tests);
    free(all);
    return rc;
}
