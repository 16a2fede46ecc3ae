/*
 * What deadlines are worth: answers that are complete in time, of those that were asked
 * for, at loads up to twice what the worker can do. The same requests at the same moments
 * for each policy:
 *
 *   orcd         the deadline is sent: earliest first, infeasible work refused, doomed
 *                work dropped or aborted
 *   FIFO         nobody tells: first come first served, late answers count as lost
 *   FIFO, clients hang up   the same, but a client closes at its deadline
 *
 * Capacity is measured first: jobs a second, with twice as many clients as slots.
 *
 * Doomed admissions: jobs that were taken and then ended by their deadline, in the queue
 * or later, of all that were taken.
 *
 * False refusals: what would have become of a refused request can only be seen by taking
 * it. A run of its own takes a fifth of them (deadlines.probe_percent; the worker treats
 * such a job like any other, but never drops it before its deadline) and counts how many
 * of these ended in time. That share of all refusals, of all requests, is the figure; the
 * share of the refusals themselves is given beside it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases/deadline_load.h"

#define SLOTS 8
#define MAX_LOADS 8

struct mix {
    const char *name;
    bool by_itself;
};
static const struct mix mixes[] = {
    {"lengths known", false},
    {"lengths learnt", true},
};

struct setting {
    const struct bench_run *b;
    struct bench_result *r;
    const struct mix *mix;
    double per_s; /* capacity */
    size_t n;
    const double *loads;
    size_t n_loads;
};

static int worker(const struct setting *s, bool probes, struct target **t, struct orcd_error *err)
{
    const char *settings[] = {"model.slots=8", "plugin.options.token_ms=5",
        "plugin.options.prefill_us_per_token=100", "log.level=error",
        probes ? "deadlines.probe_percent=20" : "deadlines.probe_percent=0", NULL};
    struct target_params p = {.settings = settings};
    return target_start(t, s->b->target, &p, err);
}

static int play(const struct setting *s, const struct target *t, double load, enum deadline_policy policy,
    size_t n, size_t together, struct deadline_outcome *out, struct orcd_error *err)
{
    struct deadline_request *r =
        deadline_requests(n, load * s->per_s, s->mix->by_itself, s->b->seed + (uint64_t)(load * 1000));
    int rc = r ? deadline_play(t, r, n, policy, together, out, err)
               : error_set(err, ORCD_E_NOMEM, "out of memory");
    free(r);
    return rc;
}

/* Also teaches the worker its rates, as any worker knows them after its first minute. */
static int warm_up(struct setting *s, const struct target *t, size_t n, struct orcd_error *err)
{
    struct deadline_outcome out;
    s->per_s = 0;
    int rc = play(s, t, 0, DEADLINE_UNSAID, n, 2 * SLOTS, &out, err);
    if (!rc)
        s->per_s = (double)n / out.seconds;
    return rc;
}

static int run_once(struct setting *s, double load, enum deadline_policy policy, bool probes,
    struct deadline_outcome *out, double *probed, double *probed_in_time, struct orcd_error *err)
{
    struct target *t;
    double per_s = s->per_s;
    int rc = worker(s, probes, &t, err);
    if (rc)
        return rc;
    rc = warm_up(s, t, 6 * SLOTS, err);
    s->per_s = per_s;
    rc = rc ? rc : play(s, t, load, policy, s->n, 0, out, err);
    double in_time = target_metric(t, "orcd_prediction_probes_total{result=\"in_time\"}");
    double late = target_metric(t, "orcd_prediction_probes_total{result=\"late\"}");
    if (probed) {
        *probed = in_time + late;
        *probed_in_time = in_time;
    }
    int status = target_stop(t);
    return rc || status == 0 ? rc
                             : error_set(err, ORCD_E_INTERNAL, "the worker ended with status %d", status);
}

static void add(struct setting *s, const char *id, double load, const char *policy, double x, double limit)
{
    char variant[64];
    bool better = limit == 0;
    snprintf(variant, sizeof(variant), "%s, load %.0f %%%s%s", s->mix->name, load * 100, *policy ? ", " : "",
        policy);
    struct bench_measure *m = bench_measure_new(s->r, s->b->target->name, id, variant, "1");
    m->higher_is_better = better;
    bench_add(m, x);
    if (limit > 0)
        bench_bar(m, BENCH_MAX, limit, "bar");
}

static const char *const names[] = {"orcd", "FIFO", "FIFO, clients hang up"};

static int run_policies(struct setting *s, struct orcd_error *err)
{
    char title[96];
    snprintf(title, sizeof(title), "Answers in time of those offered (%s)", s->mix->name);
    struct bench_plot *plot =
        bench_plot_new(s->r, BENCH_LINES, title, "offered load, % of capacity", "% in time");
    struct bench_series *series[3];
    for (int i = 0; i < 3; i++)
        series[i] = bench_series_new(plot, names[i]);
    for (size_t l = 0; l < s->n_loads; l++) {
        double load = s->loads[l], good[3];
        for (int i = 0; i < 3; i++) {
            struct deadline_outcome out;
            int rc = run_once(s, load, (enum deadline_policy)i, false, &out, NULL, NULL, err);
            if (rc)
                return rc;
            good[i] = (double)out.in_time / (double)out.offered;
            bench_point(series[i], load * 100, good[i] * 100);
            add(s, "goodput", load, names[i], good[i], 0);
            if (i == DEADLINE_SENT) {
                size_t taken = out.offered - out.refused - out.rejected;
                add(s, "doomed_admissions", load, "", taken ? (double)out.doomed / (double)taken : 0, 0.05);
                add(s, "refused", load, "", (double)out.refused / (double)out.offered, -1);
            }
            bench_progress(s->b, s->mix->name, ((double)l + (i + 1) / 3.0) / (double)s->n_loads);
        }
        if (load < 1.5)
            continue;
        /* One answer stands for none, so that there is a ratio. */
        char variant[64];
        double least = 1 / (double)s->n;
        snprintf(variant, sizeof(variant), "%s, load %.0f %%", s->mix->name, load * 100);
        struct bench_measure *m =
            bench_measure_new(s->r, s->b->target->name, "goodput_over_fifo", variant, "x");
        m->higher_is_better = true;
        bench_add(m, good[0] / fmax(good[1], least));
        bench_bar(m, BENCH_MIN, 1, "bar");
    }
    return 0;
}

static int run_probes(struct setting *s, struct orcd_error *err)
{
    for (size_t l = 0; l < s->n_loads; l++) {
        double load = s->loads[l], probed, in_time;
        struct deadline_outcome out;
        int rc = run_once(s, load, DEADLINE_SENT, true, &out, &probed, &in_time, err);
        if (rc)
            return rc;
        double wrong = probed > 0 ? in_time / probed : 0;
        double refusals = (double)out.refused + probed;
        add(s, "false_refusals", load, "", wrong * refusals / (double)out.offered, 0.02);
        add(s, "false_refusals", load, "of the refusals", wrong, -1);
        bench_progress(s->b, "false refusals", (double)(l + 1) / (double)s->n_loads);
    }
    return 0;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    static const double quick[] = {1.5}, full[] = {0.5, 0.75, 1, 1.25, 1.5, 2};
    int rc = 0;
    for (size_t i = 0; i < (b->quick ? 1 : sizeof(mixes) / sizeof(mixes[0])) && !rc; i++) {
        struct setting s = {.b = b,
            .r = r,
            .mix = &mixes[i],
            .n = bench_count(b, 250, 1000),
            .loads = b->quick ? quick : full,
            .n_loads = b->quick ? 1 : sizeof(full) / sizeof(full[0])};
        struct target *t;
        rc = worker(&s, false, &t, err);
        if (rc)
            return rc;
        rc = warm_up(&s, t, bench_count(b, 120, 400), err);
        target_stop(t);
        if (rc)
            return rc;
        struct bench_measure *m = bench_measure_new(r, b->target->name, "capacity", s.mix->name, "jobs/s");
        m->higher_is_better = true;
        bench_add(m, s.per_s);
        rc = run_policies(&s, err);
        rc = rc ? rc : run_probes(&s, err);
    }
    return rc;
}

const struct bench_case bench_deadline_value = {
    "deadline_value", "answers in time under load, with and without deadlines", BENCH_MOCK, run};
