/* What the engine learns about its own speed, and what it predicts from it: it learns from made-up steps, and
 * its predictions are compared with a step-by-step simulation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/simulate.h"

#define MS (1e6)

static uint64_t seed;

static uint32_t random_below(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((seed >> 33) % n);
}

static void assert_near(double got, double wanted, double part)
{
    if (!(fabs(got - wanted) <= part * fabs(wanted)))
        fail_msg("%g is not within %g of %g", got, part, wanted);
}

/* A step of the made-up device, directly after the step before. */
static void learn(struct rates *r, uint32_t n_decode, uint32_t n_prefill, double ms)
{
    uint64_t from = r->finished_ns ? r->finished_ns : NS_PER_S;
    rates_learn_step(r, n_decode, n_prefill, from, from + (uint64_t)(ms * MS));
}

static double decode_ms(const struct rates *r, uint32_t rows)
{
    struct rates_view v;
    rates_read(r, &v);
    return rates_step_ns(&v, rows, 0) / MS;
}

/* --- rates ------------------------------------------------------------------------------ */

static void rates_converge(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    seed = 1;
    for (int i = 0; i < 400; i++) {
        uint32_t rows = 1 + random_below(8);
        double noise = 0.9 + 0.2 * random_below(1000) / 1000;
        learn(r, rows, 0, (4 + rows) * noise);
        learn(r, rows, 64, (4 + rows) * noise + 64 * 0.1);
        learn(r, 0, 256, 256 * 0.05);
    }
    for (uint32_t rows = 1; rows <= 8; rows++)
        assert_near(decode_ms(r, rows), 4 + rows, rows < 5 ? 0.06 : 0.12);
    struct rates_view v;
    rates_read(r, &v);
    assert_true(v.decode.n && v.mixed.n && v.alone.n);
    assert_near(rates_step_ns(&v, 4, 64) / MS, 8 + 6.4, 0.1);
    assert_near(rates_step_ns(&v, 0, 256) / MS, 12.8, 0.01);
    r->max_rows = 4; /* a round of eight is two steps */
    rates_read(r, &v);
    assert_near(rates_step_ns(&v, 8, 0) / MS, 2 * 8, 0.1);
    assert_near(rates_step_ns(&v, 3, 0) / MS, 4 + 3, 0.1);
    free(r);
}

/* Row numbers without samples lie on the line of those with samples. */
static void gaps_are_filled(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    assert_true(decode_ms(r, 3) == 0);
    for (int i = 0; i < 20; i++)
        learn(r, 2, 0, 6);
    assert_near(decode_ms(r, 1), 6, 1e-6);
    assert_near(decode_ms(r, 100), 6, 1e-6); /* one point: no slope */
    for (int i = 0; i < 20; i++)
        learn(r, 4, 0, 8);
    assert_near(decode_ms(r, 3), 7, 1e-6);
    assert_near(decode_ms(r, 7), 11, 1e-6);
    assert_true(decode_ms(r, 4096) <= 4096 * 2.01);
    free(r);
}

static void outliers_change_nothing(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    for (int i = 0; i < 50; i++)
        learn(r, 4, 0, 10);
    learn(r, 4, 0, 1000);
    assert_near(decode_ms(r, 4), 10, 0.02);
    for (int i = 0; i < 3; i++)
        learn(r, 4, 0, 1000);
    assert_near(decode_ms(r, 4), 10, 0.07);
    for (int i = 0; i < 20; i++)
        learn(r, 4, 0, 10);
    assert_near(decode_ms(r, 4), 10, 0.02);
    /* The first sample of a count may be an outlier, too: it is limited by the neighbours. */
    learn(r, 3, 0, 1000);
    assert_true(decode_ms(r, 3) <= 40.5);
    for (int i = 0; i < 40; i++)
        learn(r, 3, 0, 9);
    assert_near(decode_ms(r, 3), 9, 0.05);
    /* So may the first sample of all. */
    struct rates *first = calloc(1, sizeof(*first));
    learn(first, 1, 0, 1000);
    for (int i = 0; i < 16; i++)
        learn(first, 1, 0, 10);
    assert_near(decode_ms(first, 1), 10, 0.02);
    free(first);
    free(r);
}

static void slower_is_learnt_in_sixteen_steps(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    for (int i = 0; i < 300; i++)
        learn(r, i % 2 ? 1 : 8, 0, i % 2 ? 5 : 12);
    for (int i = 0; i < CURVE_RING; i++)
        learn(r, 8, 0, 36);
    assert_near(decode_ms(r, 8), 36, 0.05);
    assert_near(decode_ms(r, 1), 15, 0.25); /* it got no sample since */
    for (int i = 0; i < CURVE_RING; i++)
        learn(r, 8, 0, 12);
    assert_near(decode_ms(r, 8), 12, 0.05);
    assert_near(decode_ms(r, 1), 5, 0.25);
    free(r);
}

static void a_pause_is_no_work(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    uint64_t at = NS_PER_S;
    for (int i = 0; i < 40; i++) { /* 10 ms on the device, then 1 ms on the host */
        rates_learn_step(r, 1, 0, at, at + 10 * NS_PER_MS);
        at += 11 * NS_PER_MS;
    }
    assert_near(decode_ms(r, 1), 11, 0.02);
    for (int i = 0; i < 40; i++) { /* with pauses without work */
        rates_learn_step(r, 1, 0, at, at + 10 * NS_PER_MS);
        at += 60 * NS_PER_MS;
    }
    assert_near(decode_ms(r, 1), 10, 0.02);
    rates_learn_step(r, 1, 0, at, at - 5); /* a step that ends before it starts is ignored */
    rates_learn_step(r, 0, 0, at, at + 5);
    assert_near(decode_ms(r, 1), 10, 0.02);
    free(r);
}

static void slices_keep_a_step_short(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    struct rates_view v;
    for (int i = 0; i < 40; i++) {
        learn(r, 4, 0, 5);
        learn(r, 4, 100, 5 + 100 * 0.2);
    }
    rates_read(r, &v);
    assert_in_range(rates_budget(&v, 4, 20 * MS), 70, 80); /* 15 ms */
    assert_in_range(rates_budget(&v, 4, 1 * MS), 32, 32);  /* 5 ms: 25 */
    assert_int_equal(rates_prefill_budget(r, 4, 1000, 20 * NS_PER_MS), rates_budget(&v, 4, 20 * MS));
    assert_int_equal(rates_prefill_budget(r, 4, 50, 20 * NS_PER_MS), 50);
    assert_int_equal(rates_prefill_budget(r, 0, 1000, 20 * NS_PER_MS), 1000);
    free(r);
}

/* A slice costs the same however few tokens are in it, so steps have whole slices, at least one. */
static void steps_have_whole_slices(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    struct rates_view v;
    r->granule = 256;
    for (int i = 0; i < 40; i++) {
        learn(r, 4, 0, 2);
        learn(r, 4, 8, 2 + 6);
        learn(r, 0, 8, 5);
    }
    rates_read(r, &v);
    assert_near(rates_step_ns(&v, 0, 1) / MS, 5, 0.01);
    assert_near(rates_step_ns(&v, 0, 256) / MS, 5, 0.01);
    assert_near(rates_step_ns(&v, 0, 257) / MS, 2 * 5, 0.01);
    assert_near(rates_step_ns(&v, 4, 512) / MS, 2 + 2 * 6, 0.01);
    assert_near(rates_busy_step_ns(&v, 4) / MS, 2 + 6 * v.beside, 0.01);
    assert_int_equal(rates_budget(&v, 4, 5 * MS), 256);  /* 3 ms: none would fit */
    assert_int_equal(rates_budget(&v, 4, 21 * MS), 768); /* 19 ms */
    assert_int_equal(rates_prefill_budget(r, 4, 767, 21 * NS_PER_MS), 512);
    assert_int_equal(rates_prefill_budget(r, 4, 255, 21 * NS_PER_MS), 255);
    assert_int_equal(rates_prefill_budget(r, 0, 1000, 21 * NS_PER_MS), 768);
    r->granule = 20; /* 32 tokens are the least */
    rates_read(r, &v);
    assert_int_equal(rates_budget(&v, 4, 5 * MS), 40);
    assert_int_equal(rates_prefill_budget(r, 4, 39, 5 * NS_PER_MS), 20);
    free(r);
}

/* 8 ms for the weights, 12 for 512 tokens. */
static void a_slice_that_is_not_full_may_cost_less(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    struct rates_view v;
    r->granule = 512;
    for (int i = 0; i < 400; i++) {
        learn(r, 4, 0, 2);
        learn(r, 4, 32, 2 + 8.75);
        learn(r, 0, 32, 8.75);
        learn(r, 0, 500, 20);
    }
    rates_read(r, &v);
    assert_near(rates_step_ns(&v, 0, 8) / MS, 8.75, 0.01);
    assert_near(rates_step_ns(&v, 0, 160) / MS, 11.75, 0.1);
    assert_near(rates_step_ns(&v, 0, 320) / MS, 15.5, 0.1);
    assert_near(rates_step_ns(&v, 0, 512) / MS, 20, 0.01);
    assert_near(rates_step_ns(&v, 0, 1024) / MS, 40, 0.01);
    assert_near(v.beside, 0.5, 0.02);
    assert_near(v.beside_tokens, 16, 0.02);
    assert_near(rates_busy_step_ns(&v, 4) / MS, 2 + 0.5 * 8.75, 0.02);
    free(r);
}

/* Prompts beside 4 rows, in steps with place for 500 tokens. Returns how many tokens the last step had. */
static uint32_t prompts(
    struct rates *r, uint32_t steps, double decode_ms, double (*prefill_ms)(uint32_t n), uint32_t *largest)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < steps; i++) {
        n = rates_prefill_budget(r, 4, 500, 20 * NS_PER_MS);
        rates_composed(r, n);
        learn(r, 4, n, decode_ms + prefill_ms(n));
        learn(r, 4, 0, decode_ms);
        *largest = n > *largest ? n : *largest;
    }
    return n;
}

static double one_slice_ms(uint32_t n)
{
    (void)n;
    return 27;
}

static double linear_ms(uint32_t n)
{
    return 0.2 * n;
}

/* Costs of more tokens than a step ever gets are not learnt, so now and then a step gets more. */
static void a_larger_budget_is_tried(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    uint32_t largest = 0;
    learn(r, 4, 0, 2);
    learn(r, 0, 8, 27);
    assert_int_equal(prompts(r, 4, 2, one_slice_ms, &largest), 32);
    prompts(r, 36, 2, one_slice_ms, &largest);
    assert_int_equal(prompts(r, 1, 2, one_slice_ms, &largest), 500);
    /* Where that was no mistake, it is rare, and never more than twice. */
    memset(r, 0, sizeof(*r));
    learn(r, 4, 0, 2);
    uint32_t tried = 0, budget = prompts(r, 100, 2, linear_ms, &largest);
    assert_in_range(budget, 85, 95); /* 18 ms */
    for (uint32_t i = 0; i < 2000; i++) {
        largest = 0;
        prompts(r, 1, 2, linear_ms, &largest);
        assert_true(largest <= 2 * 95);
        tried += largest > 95;
    }
    assert_in_range(tried, 10, 20);
    /* Steps that did not spend their budget do not count. */
    for (uint32_t i = 0; i < 1000; i++) {
        assert_in_range(rates_prefill_budget(r, 4, 500, 20 * NS_PER_MS), 85, 95);
        rates_composed(r, 8);
    }
    free(r);
}

/* Where more tokens hardly cost more than the least, there is no reason to take so few. */
static void tokens_that_cost_nothing_are_taken(void **state)
{
    (void)state;
    struct rates *r = calloc(1, sizeof(*r));
    struct rates_view v;
    for (int i = 0; i < 40; i++) {
        learn(r, 4, 0, 2);
        learn(r, 4, 32, 2 + 27);
        learn(r, 4, 256, 2 + 28);
        learn(r, 4, 512, 2 + 54);
    }
    rates_read(r, &v);
    assert_int_equal(rates_budget(&v, 4, 20 * MS), 256);
    assert_in_range(rates_budget(&v, 4, 62 * MS), 512, 640);
    free(r);
}

/* --- lengths ------------------------------------------------------------------------------ */

static void lengths_of_answers(void **state)
{
    (void)state;
    struct lengths *l = calloc(1, sizeof(*l));
    struct lengths_view v;
    lengths_read(l, &v);
    assert_int_equal(lengths_median(&v, 0, 500), 500);
    assert_int_equal(lengths_least(&v, 0, 500), 1);
    for (uint32_t i = 1; i <= 9; i++)
        lengths_learn(l, 10 * i, true);
    lengths_read(l, &v);
    assert_int_equal(lengths_median(&v, 0, 500), 50);
    assert_int_equal(lengths_median(&v, 0, 30), 30);
    assert_int_equal(lengths_least(&v, 0, 500), 10);
    assert_int_equal(lengths_median(&v, 55, 500), 70); /* of 60, 70, 80, 90 */
    assert_int_equal(lengths_median(&v, 90, 500), 180);
    assert_int_equal(lengths_median(&v, 499, 500), 500);
    /* Answers cut at 20 are longer than 20, so nothing is learnt about 50. */
    for (uint32_t i = 0; i < 40; i++)
        lengths_learn(l, 20, false);
    lengths_read(l, &v);
    assert_int_equal(lengths_median(&v, 0, 500), 60);
    /* All answers were cut: the estimate is the limit, but not beyond the longest answer. */
    for (uint32_t i = 0; i < LENGTHS_RING; i++)
        lengths_learn(l, 20 + i, false);
    lengths_read(l, &v);
    assert_int_equal(v.n, LENGTHS_RING);
    assert_int_equal(lengths_median(&v, 0, 60), 60);
    assert_int_equal(lengths_median(&v, 0, 5000), 20 + LENGTHS_RING - 1);
    free(l);
}

/* --- the simulation ------------------------------------------------------------------------- */

#define JOBS 60

struct brute {
    double first, end, slot;
    uint32_t prompt, tokens;
    double until; /* decode steps left before its deadline ends it; INFINITY */
    bool in_slot, waits, over;
};

/* Simulates one step at a time, by the rules in simulate.h. */
static void brute_force(const struct sim_params *p, const struct sim_job *jobs, struct sim_times *out)
{
    struct brute b[JOBS];
    uint32_t here = p->n_running + p->n_queued, n = here + p->n_later, in_flight = p->in_flight;
    double now = p->n_running && in_flight ? -p->elapsed_ns : 0;
    in_flight = p->n_running ? in_flight : 0;
    for (uint32_t i = 0; i < n; i++)
        b[i] = (struct brute){.prompt = jobs[i].prompt,
            .tokens = jobs[i].tokens,
            .until = INFINITY,
            .in_slot = i < p->n_running,
            .waits = i >= p->n_running};
    uint32_t n_start = 0;
    for (uint32_t i = 0; i < p->n_running; i++) {
        if (b[i].prompt)
            continue;
        if (i != p->job && jobs[i].deadline_ns < INFINITY)
            b[i].until =
                fmax(1, ceil((jobs[i].deadline_ns - now) / curve_at(&p->rates->decode, n_start + 1)));
        n_start++;
    }
    while (!b[p->job].over) {
        uint32_t busy = 0, rows = 0, n_prefill = 0, room = p->max_batch_tokens;
        for (uint32_t i = 0; i < n; i++)
            busy += b[i].in_slot;
        if (!busy && in_flight) {
            in_flight = 0;
            now = now > 0 ? now : 0;
        }
        while (!in_flight && busy < p->n_slots) {
            uint32_t best = UINT32_MAX;
            for (uint32_t i = 0; i < n; i++)
                if (b[i].waits && jobs[i].arrives_ns <= now &&
                    (best == UINT32_MAX || jobs[i].rank_ns < jobs[best].rank_ns))
                    best = i;
            if (best == UINT32_MAX)
                break;
            const struct sim_job *j = &jobs[best];
            double left = j->deadline_ns - now;
            b[best].waits = false;
            uint32_t others = 0;
            for (uint32_t i = 0; i < n; i++)
                others += b[i].waits && jobs[i].arrives_ns <= now;
            uint32_t full = others && busy + 1 == p->n_slots ? p->n_slots : 0;
            if (best != p->job && left < INFINITY &&
                (left <= 0 || (j->least && sim_is_doomed(p->rates, p->max_batch_tokens, full, j->prompt,
                                               j->least, left))))
                continue;
            b[best].in_slot = true;
            b[best].slot = now;
            busy++;
        }
        for (uint32_t i = 0; i < n; i++)
            rows += b[i].in_slot && !b[i].prompt;
        room -= rows < room ? rows : room;
        room = room > p->rates->granule ? room / p->rates->granule * p->rates->granule : room;
        if (rows) {
            uint32_t slice = rates_budget(p->rates, rows, p->slice_ns);
            room = room < slice ? room : slice;
        }
        bool ready[JOBS] = {false}, decodes[JOBS];
        for (uint32_t i = 0; i < n; i++)
            decodes[i] = b[i].in_slot && !b[i].prompt;
        while (room) {
            uint32_t best = UINT32_MAX;
            for (uint32_t i = 0; i < n; i++)
                if (b[i].in_slot && b[i].prompt &&
                    (best == UINT32_MAX || jobs[i].rank_ns < jobs[best].rank_ns))
                    best = i;
            if (best == UINT32_MAX)
                break;
            uint32_t take = b[best].prompt < room ? b[best].prompt : room;
            b[best].prompt -= take;
            room -= take;
            n_prefill += take;
            ready[best] = b[best].prompt == 0;
        }
        uint32_t n_slices = (n_prefill + p->rates->granule - 1) / p->rates->granule;
        if (!n_prefill)
            now += curve_at(&p->rates->decode, rows);
        else if (rows)
            now += curve_at(&p->rates->decode, rows) + curve_at(&p->rates->mixed, n_prefill) * n_slices;
        else
            now += curve_at(&p->rates->alone, n_prefill) * n_slices;
        if (in_flight && --in_flight == 0 && now < 0)
            now = 0;
        uint32_t still = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (!decodes[i])
                continue;
            b[i].until -= 1;
            if (--b[i].tokens == 0 || b[i].until <= 0) {
                b[i].in_slot = false;
                b[i].over = true;
                b[i].end = now;
            }
            still += b[i].in_slot;
        }
        /* In the order of their ranks, as they were taken. */
        for (;;) {
            uint32_t best = UINT32_MAX;
            for (uint32_t i = 0; i < n; i++)
                if (ready[i] && (best == UINT32_MAX || jobs[i].rank_ns < jobs[best].rank_ns))
                    best = i;
            if (best == UINT32_MAX)
                break;
            ready[best] = false;
            b[best].first = now;
            if (--b[best].tokens == 0) {
                b[best].in_slot = false;
                b[best].over = true;
                b[best].end = now;
                continue;
            }
            if (best != p->job && jobs[best].deadline_ns < INFINITY)
                b[best].until =
                    fmax(1, ceil((jobs[best].deadline_ns - now) / curve_at(&p->rates->decode, still + 1)));
            still++;
        }
    }
    *out = (struct sim_times){b[p->job].slot, b[p->job].first, b[p->job].end};
}

static void learnt_rates(struct rates_view *v, uint32_t granule)
{
    struct rates *r = calloc(1, sizeof(*r));
    r->granule = granule;
    for (int i = 0; i < 40; i++)
        for (uint32_t rows = 1; rows <= 8; rows++) {
            learn(r, rows, 0, 4 + rows * 0.5);
            learn(r, rows, 64, 4 + rows * 0.5 + 64 * 0.11);
            learn(r, 0, 32 * rows, 32 * rows * 0.07);
        }
    rates_read(r, v);
    free(r);
}

static int by_rank(const void *a, const void *b)
{
    const struct sim_job *x = a, *y = b;
    return (x->rank_ns > y->rank_ns) - (x->rank_ns < y->rank_ns);
}

static void equals_brute_force(void **state)
{
    (void)state;
    static const uint32_t granules[] = {0, 16, 100, 512};
    struct rates_view views[4];
    struct sim_scratch s;
    for (uint32_t i = 0; i < 4; i++)
        learnt_rates(&views[i], granules[i]);
    assert_int_equal(sim_scratch_init(&s, JOBS), 0);
    uint32_t with_wait = 0, with_deadline = 0;
    for (uint32_t round = 0; round < 4000; round++) {
        struct sim_job jobs[JOBS];
        struct sim_times got, wanted;
        seed = round * 77 + 5;
        struct sim_params p = {.rates = &views[round % 4],
            .n_slots = 1 + random_below(10),
            .max_batch_tokens = 32 + random_below(500),
            .slice_ns = (1 + random_below(30)) * MS};
        p.n_running = random_below(p.n_slots + 1);
        p.n_queued = 1 + random_below(30);
        p.n_later = random_below(2) ? random_below(20) : 0;
        p.in_flight = random_below(3);
        p.elapsed_ns = random_below(12) * MS;
        double arrives = 0;
        for (uint32_t i = 0; i < p.n_running + p.n_queued + p.n_later; i++) {
            bool late = random_below(4) == 0;
            jobs[i] = (struct sim_job){
                .rank_ns = (uint64_t)random_below(1000000) * JOBS + i,
                .prompt = i < p.n_running && random_below(2) ? 0 : 1 + random_below(700),
                .tokens = 1 + random_below(60),
                .deadline_ns = late ? (1 + random_below(2000)) * MS : INFINITY,
            };
            if (i >= p.n_running + p.n_queued)
                jobs[i].arrives_ns = arrives += random_below(1000000) * 1e-4 * MS + 0.5;
            jobs[i].least = random_below(2) ? 1 + random_below(jobs[i].tokens) : 0;
        }
        qsort(jobs + p.n_running, p.n_queued, sizeof(*jobs), by_rank);
        p.job = p.n_running + random_below(p.n_queued);
        memcpy(s.jobs, jobs, sizeof(jobs));
        sim_run(&p, &s, &got);
        brute_force(&p, jobs, &wanted);
        assert_near(got.slot_ns, wanted.slot_ns, 1e-9);
        assert_near(got.first_ns, wanted.first_ns, 1e-9);
        assert_near(got.end_ns, wanted.end_ns, 1e-9);
        with_wait += got.slot_ns > 100 * MS;
        with_deadline += jobs[p.job].deadline_ns < got.end_ns;
    }
    assert_true(with_wait > 500 && with_deadline > 100);
    sim_scratch_release(&s);
}

static void alone_is_an_empty_machine(void **state)
{
    (void)state;
    struct rates_view v;
    struct sim_scratch s;
    struct sim_times got;
    double first, end;
    learnt_rates(&v, 1);
    assert_int_equal(sim_scratch_init(&s, 2), 0);
    struct sim_params p = {
        .rates = &v, .n_slots = 4, .max_batch_tokens = 100, .slice_ns = 20 * MS, .n_queued = 1};
    s.jobs[0] = (struct sim_job){.prompt = 230, .tokens = 41, .deadline_ns = INFINITY};
    sim_run(&p, &s, &got);
    sim_alone(&v, 100, 230, 41, &first, &end);
    assert_near(got.first_ns, first, 1e-9);
    assert_near(got.end_ns, end, 1e-9);
    assert_near(end - first, 40 * 4.5 * MS, 0.05);
    assert_true(!sim_is_doomed(&v, 100, 0, 230, 41, end) && sim_is_doomed(&v, 100, 0, 230, 41, 0.94 * end));
    /* Beside other jobs and their prompts a step takes longer. */
    double crowded = first + 40 * rates_busy_step_ns(&v, 4);
    assert_true(crowded > 1.2 * end);
    assert_true(!sim_is_doomed(&v, 100, 4, 230, 41, 0.96 * crowded));
    assert_true(sim_is_doomed(&v, 100, 4, 230, 41, 0.94 * crowded));
    sim_scratch_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_converge),
        cmocka_unit_test(gaps_are_filled),
        cmocka_unit_test(outliers_change_nothing),
        cmocka_unit_test(slower_is_learnt_in_sixteen_steps),
        cmocka_unit_test(a_pause_is_no_work),
        cmocka_unit_test(slices_keep_a_step_short),
        cmocka_unit_test(steps_have_whole_slices),
        cmocka_unit_test(a_slice_that_is_not_full_may_cost_less),
        cmocka_unit_test(a_larger_budget_is_tried),
        cmocka_unit_test(tokens_that_cost_nothing_are_taken),
        cmocka_unit_test(lengths_of_answers),
        cmocka_unit_test(equals_brute_force),
        cmocka_unit_test(alone_is_an_empty_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
