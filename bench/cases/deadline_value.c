/*
 * The value of deadlines: the share of requests whose answer is complete in time, at loads up to twice
 * the capacity of the worker. Each policy gets the same requests at the same times:
 *
 *   orcd                    the deadline is sent: earliest first; infeasible work is refused, doomed
 *                           work is dropped or aborted
 *   orcd, nothing refused   the same with deadlines.admission: simple
 *   FIFO                    the deadline is not sent: first come, first served; late answers are lost
 *   FIFO, clients hang up   the same, but a client disconnects at its deadline
 *
 * Capacity is measured first: jobs per second, with twice as many clients as slots.
 *
 * Doomed admissions: the share of accepted jobs that were ended by their deadline, in the queue or
 * later.
 *
 * False refusals: the share of requests that were refused although "nothing refused" answers them in
 * time. Next to it, without a bar, is the share of refused requests that would have been answered in
 * time if the worker had accepted them one at a time: a separate run accepts a fifth of them
 * (deadlines.probe_percent) and counts. Above capacity nearly any single one could be answered, at
 * the cost of another one; therefore this figure has no bar.
 *
 * If answers end by themselves, their length cannot be known in advance; of the figures of that mix
 * only goodput has a bar.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases/deadline_load.h"

#define SLOTS 8
#define ABOVE 1.5 /* capacity: from there on goodput is held to FIFO's */

static const struct mix {
    const char *name;
    bool by_itself;
    double loads[6]; /* of a full run; ended by 0 */
} mixes[] = {
    {"lengths known", false, {0.5, 1, 1.25, 1.5, 2}},
    {"lengths learnt", true, {1, 1.5}},
};
static const double quick_loads[] = {1.5, 0};

static const struct policy {
    const char *name;
    enum deadline_policy how;
    const char *setting;
} policies[] = {
    {"orcd", DEADLINE_SENT, NULL},
    {"orcd, nothing refused", DEADLINE_SENT, "deadlines.admission=simple"},
    {"FIFO", DEADLINE_UNSAID, NULL},
    {"FIFO, clients hang up", DEADLINE_HANG_UP, NULL},
};
enum { ORCD, NOTHING_REFUSED, FIFO, HANG_UP, POLICIES };

struct setting {
    const struct bench_run *b;
    struct bench_result *r;
    const struct mix *mix;
    double per_s; /* capacity */
    size_t n;
    const double *loads; /* ended by 0 */
    enum deadline_fate *fates[POLICIES];
    struct bench_series *series[POLICIES];
};

static int play(const struct setting *s, const struct target *t, double load, enum deadline_policy how,
    size_t n, size_t together, enum deadline_fate *fates, struct deadline_outcome *out,
    struct orcd_error *err)
{
    struct deadline_request *r =
        deadline_requests(n, load * s->per_s, s->mix->by_itself, s->b->seed + (uint64_t)(load * 1000));
    int rc = r ? deadline_play(t, r, n, how, together, fates, out, err)
               : error_set(err, ORCD_E_NOMEM, "out of memory");
    free(r);
    return rc;
}

static int worker(const struct setting *s, const char *setting, struct target **t, struct orcd_error *err)
{
    const char *settings[] = {"model.slots=8", "plugin.options.token_ms=5",
        "plugin.options.prefill_us_per_token=100", "log.level=error", setting, NULL};
    struct target_params p = {.settings = settings};
    return target_start(t, s->b->target, &p, err);
}

/* All at once, twice as many as there are slots: jobs a second. It also teaches a worker
 * its rates, which any worker knows after its first minute. */
static int saturate(
    const struct setting *s, const struct target *t, size_t n, double *per_s, struct orcd_error *err)
{
    struct deadline_outcome out;
    struct setting none = *s;
    none.per_s = 0;
    int rc = play(&none, t, 0, DEADLINE_UNSAID, n, 2 * SLOTS, NULL, &out, err);
    if (!rc)
        *per_s = out.per_s;
    return rc;
}

/* A fresh worker plays the load. */
static int run_once(const struct setting *s, double load, const struct policy *policy,
    enum deadline_fate *fates, struct deadline_outcome *out, double probes[2], struct orcd_error *err)
{
    struct target *t;
    double per_s;
    int rc = worker(s, probes ? "deadlines.probe_percent=20" : policy->setting, &t, err);
    if (rc)
        return rc;
    rc = saturate(s, t, 6 * SLOTS, &per_s, err);
    rc = rc ? rc : play(s, t, load, policy->how, s->n, 0, fates, out, err);
    if (!rc && probes) {
        probes[0] = target_metric(t, "orcd_prediction_probes_total{result=\"in_time\"}");
        probes[1] = target_metric(t, "orcd_prediction_probes_total{result=\"late\"}");
    }
    int status = target_stop(t);
    return rc || status == 0 ? rc : error_set(err, ORCD_E_INTERNAL, "a worker ended with status %d", status);
}

static struct bench_measure *add(
    const struct setting *s, const char *id, double load, const char *more, double x)
{
    char variant[64];
    snprintf(variant, sizeof(variant), "%s, %.0f %%%s%s", s->mix->name, load * 100, *more ? ": " : "", more);
    struct bench_measure *m = bench_measure_new(s->r, s->b->target->name, id, variant, "1");
    bench_add(m, x);
    return m;
}

static double share(size_t n, size_t of)
{
    return of ? (double)n / (double)of : 0;
}

/* What the refusals of one load were worth. */
static int judge(
    const struct setting *s, double load, const struct deadline_outcome *o, struct orcd_error *err)
{
    size_t refused = o->n[DEADLINE_REFUSED], wrong = 0;
    add(s, "refused", load, "", share(refused, o->offered));
    struct bench_measure *doomed = add(s, "doomed_admissions", load, "",
        share(o->n[DEADLINE_DOOMED], o->offered - refused - o->n[DEADLINE_REJECTED]));
    for (size_t i = s->n / 20; i < s->n - s->n / 4; i++)
        wrong += s->fates[ORCD][i] == DEADLINE_REFUSED && s->fates[NOTHING_REFUSED][i] == DEADLINE_IN_TIME;
    struct bench_measure *lost = add(s, "false_refusals", load, "", share(wrong, o->offered));
    if (!s->mix->by_itself && !s->b->quick) { /* of 140 requests, a percent is one */
        bench_bar(doomed, BENCH_MAX, 0.05, "bar");
        bench_bar(lost, BENCH_MAX, 0.02, "bar");
    }
    if (!refused || s->b->quick)
        return 0;
    double probes[2];
    struct deadline_outcome probed;
    int rc = run_once(s, load, &policies[ORCD], NULL, &probed, probes, err);
    if (!rc && probes[0] + probes[1] > 0)
        add(s, "refused_could_be_had", load, "each alone, of the refused",
            probes[0] / (probes[0] + probes[1]));
    return rc;
}

static int run_load(const struct setting *s, double load, double done, double part, struct orcd_error *err)
{
    double good[POLICIES];
    struct deadline_outcome out[POLICIES];
    for (int i = 0; i < POLICIES; i++) {
        int rc = run_once(s, load, &policies[i], s->fates[i], &out[i], NULL, err);
        if (rc)
            return rc;
        good[i] = share(out[i].n[DEADLINE_IN_TIME], out[i].offered);
        bench_point(s->series[i], load * 100, good[i] * 100);
        add(s, "goodput", load, policies[i].name, good[i])->higher_is_better = true;
        bench_progress(s->b, s->mix->name, done + part * (i + 1) / (POLICIES + 1));
    }
    if (load >= ABOVE) {
        struct bench_measure *m =
            add(s, "goodput_over_fifo", load, "", good[ORCD] / fmax(good[FIFO], 1 / (double)s->n));
        m->higher_is_better = true;
        bench_bar(m, BENCH_MIN, 1, "bar");
    }
    return judge(s, load, &out[ORCD], err);
}

static int run_mix(struct setting *s, struct orcd_error *err)
{
    char title[96];
    struct target *t;
    int rc = worker(s, NULL, &t, err);
    if (rc)
        return rc;
    rc = saturate(s, t, bench_count(s->b, 100, 400), &s->per_s, err);
    target_stop(t);
    if (rc)
        return rc;
    struct bench_measure *m = bench_measure_new(s->r, s->b->target->name, "capacity", s->mix->name, "jobs/s");
    m->higher_is_better = true;
    bench_add(m, s->per_s);
    snprintf(title, sizeof(title), "Answers in time, of those asked for (%s)", s->mix->name);
    struct bench_plot *plot =
        bench_plot_new(s->r, BENCH_LINES, title, "offered load, % of capacity", "% in time");
    for (int i = 0; i < POLICIES; i++)
        s->series[i] = bench_series_new(plot, policies[i].name);
    size_t n_loads = 0;
    while (s->loads[n_loads] > 0)
        n_loads++;
    for (size_t l = 0; l < n_loads && !rc; l++)
        rc = run_load(s, s->loads[l], (double)l / (double)n_loads, 1 / (double)n_loads, err);
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    size_t n_mixes = b->quick ? 1 : sizeof(mixes) / sizeof(mixes[0]);
    struct setting s = {.b = b, .r = r, .n = bench_count(b, 200, 800)};
    int rc = 0;
    for (int i = 0; i < POLICIES && !rc; i++)
        if (!(s.fates[i] = calloc(s.n, sizeof(*s.fates[i]))))
            rc = error_set(err, ORCD_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n_mixes && !rc; i++) {
        s.mix = &mixes[i];
        s.loads = b->quick ? quick_loads : mixes[i].loads;
        rc = run_mix(&s, err);
    }
    for (int i = 0; i < POLICIES; i++)
        free(s.fates[i]);
    return rc;
}

const struct bench_case bench_deadline_value = {
    "deadline_value", "answers in time under load, with and without deadlines", BENCH_MOCK, run};
