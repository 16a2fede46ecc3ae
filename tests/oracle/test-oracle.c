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

static void check_nmse(const struct golden *g, const float *got)
{
    size_t v = (size_t)g->n_vocab;
    float *want = golden_logits(g);
    double worst = 0, sum = 0;
    assert_non_null(want);
    for (size_t t = 0; t < g->n_prompt; t++) {
        double e = golden_nmse(got + t * v, want + t * v, v);
        worst = e > worst ? e : worst;
        sum += e;
    }
    printf("# %s: NMSE mean %.2e, worst %.2e\n", g->model, sum / (double)g->n_prompt, worst);
    fflush(stdout);
    assert_true(worst < MAX_NMSE);
    free(want);
}

/* One pass over prompt and greedy tokens shows both: the logits of the prompt, and, since each
 * next token is the best one after those before it, the greedy continuation. */
static void test_model(void **state)
{
    const struct golden *g = *state;
    struct oracle *o = open_model(g);
    int32_t tokens[128];
    size_t v = (size_t)g->n_vocab, n = g->n_prompt + g->n_greedy;
    float *logits = malloc(n * v * sizeof(*logits));
    assert_non_null(logits);
    memcpy(tokens, g->prompt, g->n_prompt * sizeof(*tokens));
    memcpy(tokens + g->n_prompt, g->greedy, g->n_greedy * sizeof(*tokens));
    oracle_logits(o, tokens, n, logits);
    check_nmse(g, logits);
    for (size_t i = 0; i < g->n_greedy; i++)
        assert_int_equal(golden_argmax(logits + (g->n_prompt + i - 1) * v, v), g->greedy[i]);
    free(logits);
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
        tests[used++] =
            (struct CMUnitTest){.name = all[i].model, .test_func = test_model, .initial_state = &all[i]};
    int rc = _cmocka_run_group_tests("oracle", tests, used, NULL, NULL);
    free(tests);
    free(all);
    return rc;
}
