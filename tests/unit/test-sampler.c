/*
 * The sampler against published vectors, against a naive implementation that sorts and
 * uses libm in double, and at its edges.
 */
#include <math.h>
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sample/philox.h"
#include "sample/sampler.h"
#include "sample/select.h"

#define MAX_VOCAB 5000

/* ------------------------------------------------------------------- philox */

static void philox_published(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
            {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
            {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint32_t out[4];
        philox4x32_10(known[i].key, known[i].counter, out);
        assert_memory_equal(out, known[i].out, sizeof(out));
    }
}

static void uniform_range(void **state)
{
    (void)state;
    /* Word 0 of the first vector, its upper 24 bits. */
    assert_true(sampler_uniform(0, 0) == (float)(0x6627e8d5 >> 8) / 16777216.0f);
    double sum = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        float u = sampler_uniform(7, i);
        assert_true(u >= 0 && u < 1);
        sum += (double)u;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 0.005);
    assert_true(sampler_uniform(1, 0) != sampler_uniform(2, 0));
    /* Seed and position count with all their bits. */
    assert_true(sampler_uniform(UINT64_C(1) << 40, 5) != sampler_uniform(0, 5));
    assert_true(sampler_uniform(3, UINT64_C(1) << 40) != sampler_uniform(3, 0));
}

/* -------------------------------------------------------------- naive sampler */

struct item {
    int32_t id;
    float x;  /* logit */
    double w; /* unnormalized */
    float score;
};

static int by_x(const void *a, const void *b)
{
    const struct item *p = a, *q = b;
    return p->x != q->x ? (p->x < q->x) - (p->x > q->x) : (p->id > q->id) - (p->id < q->id);
}

static int by_score(const void *a, const void *b)
{
    const struct item *p = a, *q = b;
    return p->score != q->score ? (p->score > q->score) - (p->score < q->score)
                                : (p->id > q->id) - (p->id < q->id);
}

static int by_id(const void *a, const void *b)
{
    const struct item *p = a, *q = b;
    return (p->id > q->id) - (p->id < q->id);
}

struct naive {
    struct item items[MAX_VOCAB];
    size_t n;
    /* how near the choice was to another one: a rounding may turn those */
    double slack;
};

static void note(struct naive *v, double a, double b)
{
    double d = fabs(a - b) / (fabs(b) + 1e-300);
    v->slack = d < v->slack ? d : v->slack;
}

static size_t until(struct naive *v, double target, int strict)
{
    double sum = 0;
    for (size_t i = 0; i < v->n; i++) {
        sum += v->items[i].w;
        note(v, sum, target);
        if (strict ? sum > target : sum >= target)
            return i + 1;
    }
    return v->n;
}

static double total(const struct naive *v)
{
    double sum = 0;
    for (size_t i = 0; i < v->n; i++)
        sum += v->items[i].w;
    return sum;
}

static int32_t naive_draw(struct naive *v, const float *logits, size_t n, const struct sample_params *p,
    const int32_t *history, size_t n_prompt, size_t n_history, uint64_t position)
{
    v->n = n;
    v->slack = 1;
    for (size_t i = 0; i < n; i++)
        v->items[i] = (struct item){.id = (int32_t)i, .x = isnan(logits[i]) ? -INFINITY : logits[i]};
    for (uint32_t i = 0; i < p->n_bias; i++)
        v->items[p->bias[i].id].x += p->bias[i].value;
    size_t from = n_history > p->repeat_last_n ? n_history - p->repeat_last_n : 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t in_window = 0, in_output = 0;
        for (size_t j = 0; j < n_history; j++) {
            in_window += j >= from && history[j] == (int32_t)i;
            in_output += j >= n_prompt && history[j] == (int32_t)i;
        }
        float *x = &v->items[i].x;
        if (in_window && p->repetition_penalty != 1)
            *x = *x <= 0 ? *x * p->repetition_penalty : *x / p->repetition_penalty;
        if (in_output)
            *x -= (float)in_output * p->frequency_penalty + p->presence_penalty;
    }
    qsort(v->items, v->n, sizeof(v->items[0]), by_x);
    if (p->temperature == 0)
        return v->items[0].id;
    if (p->top_k && p->top_k < v->n)
        v->n = p->top_k;
    double max = (double)v->items[0].x, scale = 1 / (double)p->temperature;
    size_t weighty = 0;
    for (size_t i = 0; i < v->n; i++) {
        float z = (float)(((double)v->items[i].x - max) * scale);
        v->items[i].w = z >= -87 ? exp((double)z) : 0;
        if (v->items[i].w > 0)
            v->items[weighty++] = v->items[i];
    }
    v->n = weighty;
    if (p->typical_p < 1) {
        double sum = total(v), entropy = 0;
        for (size_t i = 0; i < v->n; i++)
            entropy -= v->items[i].w / sum * log(v->items[i].w / sum);
        for (size_t i = 0; i < v->n; i++)
            v->items[i].score = (float)fabs(-log(v->items[i].w / sum) - entropy);
        qsort(v->items, v->n, sizeof(v->items[0]), by_score);
        v->n = until(v, (double)p->typical_p * sum, 1);
        if (v->n > 1 && v->n < n) /* the last one in and the first one out nearly tie */
            for (size_t i = 1; i < v->n + 1 && i < n; i++)
                note(v, (double)v->items[i].score, (double)v->items[i - 1].score);
        qsort(v->items, v->n, sizeof(v->items[0]), by_x);
    }
    if (p->top_p < 1)
        v->n = until(v, (double)p->top_p * total(v), 0);
    if (p->min_p > 0) {
        size_t kept = 0;
        double least = log((double)p->min_p);
        for (size_t i = 0; i < v->n; i++) {
            double z = ((double)v->items[i].x - (double)v->items[0].x) * scale;
            kept += z >= least;
        }
        v->n = kept;
    }
    qsort(v->items, v->n, sizeof(v->items[0]), by_id);
    double target = (double)sampler_uniform(p->seed, position) * total(v);
    size_t at = until(v, target, 1);
    return v->items[at - 1].id;
}

/* ------------------------------------------------------------------- helpers */

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % n);
}

static float random_float(float lo, float hi)
{
    return lo + (hi - lo) * (float)random_below(1 << 20) / (float)(1 << 20);
}

static int32_t draw_one(
    const float *logits, uint32_t n, const struct sample_params *p, uint64_t position, size_t *n_kept)
{
    struct sampler *s;
    struct sample_result r;
    const int32_t *ids;
    assert_int_equal(sampler_new(&s, n, NULL), 0);
    assert_int_equal(sampler_begin(s, p, NULL, 0, NULL), 0);
    int rc = sampler_draw(s, logits, position, &r, NULL);
    if (n_kept)
        *n_kept = sampler_kept(s, &ids);
    sampler_free(s);
    return rc ? rc - 1000 : r.id;
}

/* ---------------------------------------------------------- against the naive one */

static void random_params(struct sample_params *p, uint32_t n, uint64_t seed)
{
    sample_params_default(p);
    p->seed = seed;
    p->temperature = random_below(8) == 0 ? 0 : random_float(0.05f, 2);
    if (random_below(2))
        p->top_k = 1 + random_below(random_below(2) ? n : 50);
    if (random_below(2))
        p->top_p = random_float(0, 1);
    if (random_below(2))
        p->min_p = random_float(0, 0.3f);
    if (random_below(3) == 0)
        p->typical_p = random_float(0, 1);
    if (random_below(3) == 0) {
        p->repetition_penalty = random_float(0.5f, 2);
        p->repeat_last_n = random_below(30);
    }
    if (random_below(3) == 0) {
        p->frequency_penalty = random_float(-2, 2);
        p->presence_penalty = random_float(-2, 2);
    }
}

/* Sets and draws agree over sequences of several tokens. */
static void agrees_with_naive(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 5, 63, 64, 65, 127, 300, 1000, MAX_VOCAB};
    static struct naive v;
    static float logits[MAX_VOCAB];
    size_t near = 0, compared = 0, sets = 0;
    for (size_t c = 0; c < 400; c++) {
        uint32_t n = sizes[c % (sizeof(sizes) / sizeof(sizes[0]))];
        struct sample_params p;
        random_params(&p, n, c * 977);
        struct sample_bias bias[3];
        if (random_below(3) == 0 && n > 3) {
            for (int i = 0; i < 3; i++)
                bias[i] = (struct sample_bias){(int32_t)random_below(n), random_float(-100, 100)};
            p.bias = bias;
            p.n_bias = 3;
        }
        int32_t history[64];
        size_t n_prompt = random_below(40), n_history = n_prompt;
        for (size_t i = 0; i < n_prompt; i++)
            history[i] = (int32_t)random_below(n < 8 ? n : 8);
        struct sampler *s;
        assert_int_equal(sampler_new(&s, n, NULL), 0);
        assert_int_equal(sampler_begin(s, &p, history, n_prompt, NULL), 0);
        for (size_t step = 0; step < 10; step++) {
            for (uint32_t i = 0; i < n; i++) {
                logits[i] = random_float(-6, 6) + (random_below(50) == 0 ? 6 : 0);
                if (random_below(100) == 0)
                    logits[i] = random_below(2) ? -INFINITY : NAN;
            }
            logits[random_below(n)] = 7; /* one is always there */
            struct sample_result r;
            assert_int_equal(sampler_draw(s, logits, 100 + step, &r, NULL), 0);
            int32_t want = naive_draw(&v, logits, n, &p, history, n_prompt, n_history, 100 + step);
            if (v.slack < 2e-6) {
                near++; /* a border within a rounding: either answer is right */
            } else {
                const int32_t *ids;
                size_t kept = sampler_kept(s, &ids);
                assert_int_equal(r.id, want);
                compared++;
                if (p.temperature != 0 && kept) {
                    sets++;
                    assert_int_equal(kept, v.n);
                    for (size_t i = 0; i < kept; i++)
                        assert_int_equal(ids[i], v.items[i].id);
                }
            }
            history[n_history++] = r.id;
        }
        sampler_free(s);
    }
    assert_true(near * 20 < compared); /* few may be excused */
    assert_true(sets > 1000);
}

/* ---------------------------------------------------------------- distribution */

static void chi_square(const struct sample_params *params, const float *logits, uint32_t n, const double *p)
{
    enum { DRAWS = 40000 };
    uint32_t count[16] = {0};
    struct sampler *s;
    struct sample_result r;
    assert_int_equal(sampler_new(&s, n, NULL), 0);
    assert_int_equal(sampler_begin(s, params, NULL, 0, NULL), 0);
    for (uint64_t i = 0; i < DRAWS; i++) {
        assert_int_equal(sampler_draw(s, logits, i, &r, NULL), 0);
        count[r.id]++;
    }
    sampler_free(s);
    double chi = 0;
    unsigned freedom = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (p[i] == 0) {
            assert_int_equal(count[i], 0);
            continue;
        }
        chi += (count[i] - p[i] * DRAWS) * (count[i] - p[i] * DRAWS) / (p[i] * DRAWS);
        freedom++;
    }
    /* 0.1 % points for 1 to 5 degrees of freedom */
    static const double limit[] = {0, 0, 10.83, 13.82, 16.27, 18.47, 20.52};
    assert_true(chi < limit[freedom]);
}

static void distribution(void **state)
{
    (void)state;
    const double p[6] = {0.4, 0.05, 0.25, 0.2, 0.06, 0.04};
    float logits[6];
    struct sample_params params;
    for (int i = 0; i < 6; i++)
        logits[i] = (float)log(p[i]);
    sample_params_default(&params);
    params.seed = 12345;
    chi_square(&params, logits, 6, p);
    params.top_k = 3;
    chi_square(&params, logits, 6, (double[6]){0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85, 0, 0});
    params.top_k = 0;
    params.top_p = 0.6f; /* 0.4 + 0.25 is enough */
    chi_square(&params, logits, 6, (double[6]){0.4 / 0.65, 0, 0.25 / 0.65, 0, 0, 0});
    params.top_p = 1;
    params.temperature = 0.5f; /* squares */
    double sum = 0, q[6];
    for (int i = 0; i < 6; i++)
        sum += p[i] * p[i];
    for (int i = 0; i < 6; i++)
        q[i] = p[i] * p[i] / sum;
    chi_square(&params, logits, 6, q);
}

/* ------------------------------------------------------------------------ edges */

static void greedy_takes_lowest_of_ties(void **state)
{
    (void)state;
    static float logits[200];
    struct sample_params p;
    sample_params_default(&p);
    p.temperature = 0;
    for (int i = 0; i < 200; i++)
        logits[i] = -1;
    logits[70] = logits[71] = logits[199] = 3;
    assert_int_equal(draw_one(logits, 200, &p, 0, NULL), 70);
    logits[3] = NAN;
    logits[5] = INFINITY;
    assert_int_equal(draw_one(logits, 200, &p, 0, NULL), 5);
    logits[4] = INFINITY;
    assert_int_equal(draw_one(logits, 200, &p, 0, NULL), 4);
    p.temperature = 1;
    p.top_k = 1;
    assert_int_equal(draw_one(logits, 200, &p, 0, NULL), 4);
}

static void all_nan_is_the_device(void **state)
{
    (void)state;
    float logits[100];
    struct sample_params p;
    sample_params_default(&p);
    for (int i = 0; i < 100; i++)
        logits[i] = i % 2 ? NAN : -INFINITY;
    assert_int_equal(draw_one(logits, 100, &p, 0, NULL), ORCD_E_DEVICE - 1000);
    p.temperature = 0;
    assert_int_equal(draw_one(logits, 100, &p, 0, NULL), ORCD_E_DEVICE - 1000);
    logits[41] = -3e38f; /* one finite is enough */
    assert_int_equal(draw_one(logits, 100, &p, 0, NULL), 41);
    p.temperature = 1;
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(draw_one(logits, 100, &p, i, NULL), 41);
}

/* The set never becomes empty, and ties at its border go by lowest id. */
static void borders(void **state)
{
    (void)state;
    float flat[100];
    struct sample_params p;
    size_t kept;
    for (int i = 0; i < 100; i++)
        flat[i] = 2;
    sample_params_default(&p);
    for (uint64_t i = 0; i < 50; i++) {
        p.top_p = 0.1f;
        assert_true(draw_one(flat, 100, &p, i, &kept) < 11);
        assert_in_range(kept, 10, 11);
        p.top_p = 0;
        assert_int_equal(draw_one(flat, 100, &p, i, &kept), 0);
        assert_int_equal(kept, 1);
        p.top_p = 1;
        p.typical_p = 0;
        assert_int_equal(draw_one(flat, 100, &p, i, &kept), 0);
        assert_int_equal(kept, 1);
        p.typical_p = 1;
        p.top_k = 7;
        assert_true(draw_one(flat, 100, &p, i, &kept) < 7);
        assert_int_equal(kept, 7);
        p.top_k = 0;
        p.min_p = 1; /* all are as likely as the best */
        draw_one(flat, 100, &p, i, &kept);
        assert_int_equal(kept, 100);
        p.min_p = 0;
    }
    flat[60] = 2.5f;
    p.min_p = 1;
    assert_int_equal(draw_one(flat, 100, &p, 9, &kept), 60);
    assert_int_equal(kept, 1);
    p.min_p = 0;
    p.top_p = 0;
    assert_int_equal(draw_one(flat, 100, &p, 9, &kept), 60);
    p.top_p = 1;
    p.top_k = 1000; /* more than there are: off */
    draw_one(flat, 100, &p, 9, &kept);
    assert_int_equal(kept, 0);
}

static void extreme_numbers(void **state)
{
    (void)state;
    float x[70];
    struct sample_params p;
    sample_params_default(&p);
    for (int i = 0; i < 70; i++)
        x[i] = (float)i * 1e-3f;
    p.temperature = 1e-6f; /* a thousandth apart is certain */
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(draw_one(x, 70, &p, i, NULL), 69);
    p.temperature = FLT_TRUE_MIN;
    p.top_p = 0.5f;
    p.min_p = 0.5f;
    p.typical_p = 0.5f;
    assert_int_equal(draw_one(x, 70, &p, 1, NULL), 69);
    sample_params_default(&p);
    for (int i = 0; i < 70; i++)
        x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(draw_one(x, 70, &p, i, NULL) % 2, 1);
    p.repetition_penalty = 0.01f; /* makes a positive logit overflow */
    p.repeat_last_n = 5;
    struct sampler *s;
    struct sample_result r;
    const int32_t prompt[] = {1, 2};
    assert_int_equal(sampler_new(&s, 70, NULL), 0);
    assert_int_equal(sampler_begin(s, &p, prompt, 2, NULL), 0);
    assert_int_equal(sampler_draw(s, x, 0, &r, NULL), 0);
    assert_int_equal(r.id % 2, 1);
    sampler_free(s);
}

static void refuses_bad_parameters(void **state)
{
    (void)state;
    struct sampler *s;
    struct sample_params p;
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(sampler_new(&s, 0, &err), ORCD_E_INVALID);
    assert_int_equal(sampler_new(&s, 10, &err), 0);
#define REFUSED(field, value)                                                                                \
    sample_params_default(&p);                                                                               \
    p.field = value;                                                                                         \
    assert_int_equal(sampler_begin(s, &p, NULL, 0, &err), ORCD_E_INVALID)
    REFUSED(temperature, NAN);
    REFUSED(temperature, -1);
    REFUSED(top_p, 1.5f);
    REFUSED(min_p, -0.1f);
    REFUSED(typical_p, NAN);
    REFUSED(repetition_penalty, 0);
    REFUSED(frequency_penalty, INFINITY);
    REFUSED(n_logprobs, 21);
    sample_params_default(&p);
    struct sample_bias bias = {10, 1};
    p.bias = &bias;
    p.n_bias = 1;
    assert_int_equal(sampler_begin(s, &p, NULL, 0, &err), ORCD_E_INVALID);
    p.n_bias = 0;
    assert_int_equal(sampler_begin(s, &p, (int32_t[]){-1}, 1, &err), ORCD_E_INVALID);
    p.repeat_last_n = UINT32_MAX; /* without a penalty no window is kept */
    assert_int_equal(sampler_begin(s, &p, (int32_t[]){3}, 1, &err), 0);
    sampler_free(s);
}

/* --------------------------------------------------------------------- logprobs */

static void logprobs_are_of_the_raw_logits(void **state)
{
    (void)state;
    static float x[500];
    struct sample_params p;
    struct sample_result r;
    struct sampler *s;
    double sum = 0;
    for (int i = 0; i < 500; i++) {
        x[i] = random_float(-5, 5);
        sum += exp((double)x[i]);
    }
    x[17] = NAN;
    sum = 0;
    for (int i = 0; i < 500; i++)
        sum += i == 17 ? 0 : exp((double)x[i]);
    struct sample_bias bias = {4, 50};
    sample_params_default(&p);
    p.bias = &bias;
    p.n_bias = 1;
    p.temperature = 0;
    p.n_logprobs = 20;
    assert_int_equal(sampler_new(&s, 500, NULL), 0);
    assert_int_equal(sampler_begin(s, &p, NULL, 0, NULL), 0);
    assert_int_equal(sampler_draw(s, x, 3, &r, NULL), 0);
    assert_int_equal(r.id, 4); /* the bias decides, the logprob does not know of it */
    assert_true(fabs((double)r.logprob - ((double)x[4] - log(sum))) < 1e-5);
    assert_int_equal(r.n_top, 20);
    for (uint32_t i = 0; i < 20; i++) {
        assert_true(fabs((double)r.top_logprobs[i] - ((double)x[r.top_ids[i]] - log(sum))) < 1e-5);
        uint32_t better = 0;
        for (int j = 0; j < 500; j++)
            better += x[j] > x[r.top_ids[i]];
        assert_int_equal(better, i);
    }
    /* Fewer than asked for when fewer can be. */
    for (int i = 0; i < 500; i++)
        x[i] = -INFINITY;
    x[9] = 1;
    x[8] = 1;
    assert_int_equal(sampler_draw(s, x, 3, &r, NULL), 0);
    assert_int_equal(r.n_top, 2);
    assert_int_equal(r.top_ids[0], 8);
    assert_int_equal(r.top_ids[1], 9);
    assert_true(fabs((double)r.top_logprobs[1] + log(2)) < 1e-6);
    sampler_free(s);
}

/* A sampler is used again: nothing of the sequence before is left. */
static void begin_forgets(void **state)
{
    (void)state;
    float x[4] = {1, 0.9f, 0, 0};
    struct sample_params p;
    struct sample_result r;
    struct sampler *s;
    sample_params_default(&p);
    p.temperature = 0;
    p.presence_penalty = 0.5f;
    assert_int_equal(sampler_new(&s, 4, NULL), 0);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(sampler_begin(s, &p, NULL, 0, NULL), 0);
        assert_int_equal(sampler_draw(s, x, 0, &r, NULL), 0);
        assert_int_equal(r.id, 0);
        assert_int_equal(sampler_draw(s, x, 1, &r, NULL), 0);
        assert_int_equal(r.id, 1);
        sampler_accept(s, 3);
        sampler_accept(s, -5);
        sampler_accept(s, 4);
    }
    sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_published),
        cmocka_unit_test(uniform_range),
        cmocka_unit_test(agrees_with_naive),
        cmocka_unit_test(distribution),
        cmocka_unit_test(greedy_takes_lowest_of_ties),
        cmocka_unit_test(all_nan_is_the_device),
        cmocka_unit_test(borders),
        cmocka_unit_test(extreme_numbers),
        cmocka_unit_test(refuses_bad_parameters),
        cmocka_unit_test(logprobs_are_of_the_raw_logits),
        cmocka_unit_test(begin_forgets),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
