/* The tiny models against exact arithmetic: no worse than the better of two engines. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/golden.h"
#include "tests/plugins/cpu-rig.h"

/* Below this distance of the first two logits rounding may swap them. */
#define CLEAR_MARGIN 0.05
/* Of the better engine's error, how much is allowed. */
#ifdef RIG_CUDA
#define BAR 3.0
#else
#define BAR 1.5
#endif
/* The same along a dozen tokens of our own, with 8-bit activations. */
#define GREEDY_MARGIN 0.1
#define GREEDY_MARGIN_F16 0.001

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check_prompt(const struct golden *g, const float *got, const float *want)
{
    const size_t v = (size_t)g->n_vocab;
    double nmse[64];
    size_t other = 0;
    assert_true(g->n_prompt <= 64);
    for (size_t t = 0; t < g->n_prompt; t++) {
        nmse[t] = golden_nmse(got + t * v, want + t * v, v);
        if (golden_margin(want + t * v, v) > CLEAR_MARGIN)
            other += golden_argmax(got + t * v, v) != golden_argmax(want + t * v, v);
    }
    /* Of experts that are nearly as good, rounding may choose another at one position. */
    assert_in_range(other, 0, strncmp(g->model, "gpt-oss", 7) == 0);
    qsort(nmse, g->n_prompt, sizeof(*nmse), compare);
    const double median = nmse[g->n_prompt / 2], best = golden_best_median(g, 0);
    const double bar = BAR * best > 1e-6 ? BAR * best : 1e-6;
    printf(
        "# %s: median NMSE %.2e, worst %.2e; allowed %.2e\n", g->model, median, nmse[g->n_prompt - 1], bar);
    fflush(stdout);
    assert_true(median <= bar);
}

/* The prompt at once, then token by token along the reference's own choice. */
static void check_greedy(struct rig *r, const struct golden *g)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct rig_out out;
    assert_int_equal(r->p->seq_open(r->ctx, 1, 128, &err), 0);
    struct rig_row row = {.seq = 1, .n = (uint32_t)g->n_prompt, .tokens = g->prompt, .want = ORCD_WANT_LAST};
    for (size_t i = 0; i < g->n_greedy; i++) {
        rig_step(r, &row, 1, &out);
        assert_int_equal(golden_argmax(out.logits[0], (size_t)g->n_vocab), g->greedy[i]);
        row = (struct rig_row){.seq = 1, .n = 1, .tokens = &g->greedy[i], .want = ORCD_WANT_LAST};
    }
    assert_int_equal(r->p->seq_close(r->ctx, 1, &err), 0);
}

static void test_model(void **state)
{
    const struct golden *g = *state;
    char path[4300];
    snprintf(path, sizeof(path), "%s/%s", golden_dir(), g->model);
    struct rig r;
    rig_open(&r, path, NULL);
    assert_int_equal(r.n_vocab, g->n_vocab);
    float *want = golden_logits(g), *got = malloc(g->n_prompt * r.n_vocab * sizeof(*got));
    assert_non_null(want);
    assert_non_null(got);
    rig_logits(&r, g->prompt, (uint32_t)g->n_prompt, 0, got);
    check_prompt(g, got, want);
#ifdef RIG_CUDA
    /* Prompts go through other kernels than single tokens. */
    rig_logits(&r, g->prompt, (uint32_t)g->n_prompt, 1, got);
    check_prompt(g, got, want);
#endif
    if (g->least_margin > (strstr(g->model, "-f16") ? GREEDY_MARGIN_F16 : GREEDY_MARGIN))
        check_greedy(&r, g);
    free(got);
    free(want);
    rig_close(&r);
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
    for (size_t i = 0; tests && i < n; i++) {
        tests[used++] =
            (struct CMUnitTest){.name = all[i].model, .test_func = test_model, .initial_state = &all[i]};
    }
    int rc = _cmocka_run_group_tests(RIG_PLUGIN " plugin, golden files", tests, used, NULL, NULL);
    free(tests);
    free(all);
    return rc;
}
