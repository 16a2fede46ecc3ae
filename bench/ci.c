#include "bench/ci.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "bench/ci-baseline.h"
#include "bench/ci-count.h"

#define MAX_CASES 64

/* counts[0] is the calibration. */
struct run {
    struct ci_count counts[MAX_CASES];
    size_t n;
    json_object *build, *file, *cases;
};

static int fail(int status, const char *text)
{
    fprintf(stderr, "orcd bench: %s\n", text);
    return status;
}

static int choose(struct run *r, const struct bench_ci *o)
{
    char text[256];
    r->counts[r->n++].micro = &micro_calibration;
    for (const struct micro_case *c = micro_cases; c->name && !o->n_only && r->n < MAX_CASES; c++)
        r->counts[r->n++].micro = c;
    for (int i = 0; i < o->n_only && r->n < MAX_CASES; i++) {
        const struct micro_case *c = micro_find(o->only[i]);
        if (!c || c == &micro_calibration) {
            snprintf(text, sizeof(text), "--ci: no such case: '%.100s'; 'orcd bench --ci --list' lists them",
                o->only[i]);
            return fail(EX_USAGE, text);
        }
        r->counts[r->n++].micro = c;
    }
    return 0;
}

static double ratio_of(const struct run *r, size_t i)
{
    return r->counts[i].instructions / r->counts[0].instructions;
}

/* Prints the cases whose count failed. False: none did. */
static bool report_failed(const struct run *r, FILE *out)
{
    bool failed = false;
    for (size_t i = 0; i < r->n; i++) {
        if (!r->counts[i].failed[0])
            continue;
        failed = true;
        fprintf(out, "FAILED %s: %s\n", r->counts[i].micro->name, r->counts[i].failed);
    }
    return failed;
}

static void print_head(FILE *out)
{
    fprintf(out, "%-20s %14s %12s %12s %9s\n", "case", "instructions", "ratio", "baseline", "change");
}

static int compare(const struct run *r, const struct bench_ci *o, FILE *out)
{
    size_t slower = 0, faster = 0, unknown = 0;
    print_head(out);
    for (size_t i = 1; i < r->n; i++) {
        const char *name = r->counts[i].micro->name;
        double before, now = ratio_of(r, i);
        if (!ci_baseline_ratio(r->cases, name, &before)) {
            fprintf(out, "%-20s %14.1f %12.3f %12s\n", name, r->counts[i].instructions, now, "-");
            unknown++;
            continue;
        }
        double change = now / before - 1;
        slower += change > BENCH_CI_LIMIT;
        faster += change < -BENCH_CI_LIMIT;
        fprintf(out, "%-20s %14.1f %12.3f %12.3f %+8.2f%%\n", name, r->counts[i].instructions, now, before,
            100 * change);
    }
    for (size_t i = 1; i < r->n; i++) {
        const struct micro_case *c = r->counts[i].micro;
        double before, now = ratio_of(r, i);
        if (!ci_baseline_ratio(r->cases, c->name, &before))
            fprintf(out, "FAILED %s: not in the baseline\n", c->name);
        else if (now / before - 1 > BENCH_CI_LIMIT)
            fprintf(out, "FAILED %s (%s): ratio %.3f before, %.3f now, %+.1f%%; at most %+.0f%% is allowed\n",
                c->name, c->title, before, now, 100 * (now / before - 1), 100 * BENCH_CI_LIMIT);
    }
    if (faster)
        fprintf(out, "%zu case%s faster by more than %.0f%%: save a new baseline to keep the gain\n", faster,
            faster == 1 ? " is" : "s are", 100 * BENCH_CI_LIMIT);
    if (!slower && !unknown)
        return 0;
    fprintf(out,
        "If the cost is justified: run orcd bench --ci --ci-save, and commit %s\n"
        "with the reason in the message.\n",
        o->baseline);
    return 1;
}

static int save(struct run *r, const struct bench_ci *o, FILE *out)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    json_object *cases = ci_baseline_add(r->file, r->build, !o->n_only);
    print_head(out);
    for (size_t i = 0; i < r->n; i++) {
        const struct ci_count *c = &r->counts[i];
        fprintf(out, "%-20s %14.1f %12.3f\n", c->micro->name, c->instructions, ratio_of(r, i));
        ci_baseline_set(cases, c->micro->name, c->instructions, ratio_of(r, i));
    }
    if (ci_baseline_write(r->file, o->baseline, &err))
        return fail(error_exit_status(err.code), err.msg);
    fprintf(out, "saved to %s\n", o->baseline);
    return 0;
}

/* Opens the baseline and finds the counts for this build. Returns 0, 77 or another exit status. */
static int open_baseline(struct run *r, const struct bench_ci *o, FILE *out)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    if (!o->baseline)
        return fail(EX_NOINPUT, "--ci needs a baseline: --ci-baseline FILE");
    if (ci_baseline_read(&r->file, o->baseline, o->save, &err))
        return fail(error_exit_status(err.code), err.msg);
    r->build = ci_build();
    if (!r->build)
        return fail(EX_OSERR, "out of memory");
    if (strstr(json_object_get_string(json_object_object_get(r->build, "flags")), "-fsanitize")) {
        fprintf(out, "skipped: a program with sanitizers does not run under valgrind\n");
        return BENCH_CI_SKIPPED;
    }
    r->cases = ci_baseline_cases(r->file, r->build);
    if (r->cases || o->save)
        return 0;
    fprintf(out, "skipped: %s has no counts for this build, and counts of other builds cannot be compared\n",
        o->baseline);
    ci_baseline_explain(r->file, r->build, out);
    fprintf(out, "'orcd bench --ci --ci-save' adds counts for this build\n");
    return BENCH_CI_SKIPPED;
}

int bench_ci(const struct bench_ci *o, FILE *out)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct run r = {.n = 0};
    int rc = choose(&r, o);
    if (!rc)
        rc = open_baseline(&r, o, out);
    if (!rc && ci_count(r.counts, r.n, o->model, &err)) {
        fprintf(out, "skipped: %s\n", err.msg);
        rc = err.code == ORCD_E_NOT_FOUND ? BENCH_CI_SKIPPED : error_exit_status(err.code);
    } else if (!rc) {
        rc = report_failed(&r, out) ? 1 : o->save ? save(&r, o, out) : compare(&r, o, out);
    }
    json_object_put(r.file);
    json_object_put(r.build);
    return rc;
}

int bench_ci_case(const char *name, const char *runs, const char *model)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const struct micro_case *c = micro_find(name);
    char *end;
    unsigned long long n = strtoull(runs, &end, 10);
    if (!c || *end || !n)
        return fail(EX_USAGE, "no such case, or an invalid number of runs");
    if (c->setup && c->setup(model, &err))
        return fail(error_exit_status(err.code), err.msg);
    c->run(n);
    return 0;
}
