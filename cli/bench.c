/* orcd bench: chooses the benchmarks (cases) and the targets, and runs each case on each target. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli.h"
#include "lib/report.h"

#define MAX_TARGETS 16
#define MAX_CASES 64

struct plan {
    struct bench_run run;
    struct target_kind targets[MAX_TARGETS];
    size_t n_targets;
    const struct bench_case *cases[MAX_CASES];
    size_t n_cases;
};

static void list_cases(void)
{
    for (const struct bench_case *const *c = bench_cases; *c; c++)
        printf("%-28s %s%s\n", (*c)->name, (*c)->title,
            (*c)->flags & BENCH_LONG ? " (runs only when named)" : "");
}

static const struct bench_case *find_case(const char *name)
{
    for (const struct bench_case *const *c = bench_cases; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

static int choose_cases(const struct cli_args *a, struct plan *p)
{
    const char *name;
    for (int i = 0; (name = cli_positional(a, i)); i++) {
        const struct bench_case *c = find_case(name);
        if (!c)
            return cli_fail(EX_USAGE, "no such benchmark: '%s'; 'orcd bench --list' lists them", name);
        p->cases[p->n_cases++] = c;
    }
    if (p->n_cases)
        return 0;
    for (const struct bench_case *const *c = bench_cases; *c && p->n_cases < MAX_CASES; c++)
        if (!((*c)->flags & BENCH_LONG))
            p->cases[p->n_cases++] = *c;
    return 0;
}

static int add_target(struct plan *p, const char *text)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    if (p->n_targets == MAX_TARGETS)
        return cli_fail(EX_USAGE, "too many targets: at most %d are allowed", MAX_TARGETS);
    struct target_kind *k = &p->targets[p->n_targets];
    if (target_parse(k, text, &err))
        return cli_fail(EX_USAGE, "%s", err.msg);
    for (size_t i = 0; i < p->n_targets; i++)
        if (strcmp(p->targets[i].name, k->name) == 0)
            return cli_fail(EX_USAGE, "two targets have the name %s", k->name);
    bool wants = (k->plugin && strcmp(k->plugin, "mock")) || (k->command && strstr(k->command, "{model}"));
    if (wants && !p->run.model)
        return cli_fail(EX_USAGE, "target %s needs a model: --model FILE", k->name);
    p->n_targets++;
    return 0;
}

static int choose_targets(const struct cli_args *a, struct plan *p)
{
    for (int i = 0; i < a->n_given; i++)
        if (strcmp(a->given[i].option->name, "target") == 0) {
            int rc = add_target(p, a->given[i].value);
            if (rc)
                return rc;
        }
    if (p->n_targets)
        return 0;
    int rc = add_target(p, "orcd-mock");
    return rc || !p->run.model ? rc : add_target(p, "orcd-cpu");
}

/* Why a case does not apply to a target; NULL: it applies. */
static const char *unfit(const struct bench_case *c, const struct target_kind *k)
{
    if (c->flags & BENCH_LOCAL)
        return NULL;
    if (!k->plugin && !(c->flags & BENCH_PEERS))
        return "only for a worker of orcd";
    if ((c->flags & BENCH_MOCK) && (!k->plugin || strcmp(k->plugin, "mock")))
        return "needs the delays of the mock plugin";
    return NULL;
}

static struct bench_result *run_one(struct plan *p, const struct bench_case *c, const struct target_kind *k)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct bench_result *r = calloc(1, sizeof(*r));
    if (!r)
        exit(EX_OSERR);
    r->bench = c;
    if (!(c->flags & BENCH_LOCAL))
        snprintf(r->target, sizeof(r->target), "%s", k->name);
    const char *why = unfit(c, k);
    if (why) {
        snprintf(r->skipped, sizeof(r->skipped), "%s", why);
        return r;
    }
    p->run.target = k;
    bench_progress(&p->run, c->name, -1);
    uint64_t from = clock_mono_ns();
    if (c->run(&p->run, r, &err))
        snprintf(r->failed, sizeof(r->failed), "%.*s", (int)sizeof(r->failed) - 1, err.msg);
    else if (!r->measures && !*r->skipped && !*r->failed)
        snprintf(r->failed, sizeof(r->failed), "the benchmark measured nothing");
    r->seconds = (double)(clock_mono_ns() - from) / NS_PER_S;
    bench_progress(&p->run, NULL, -1);
    return r;
}

static void run_all(struct plan *p, struct bench_report *report)
{
    struct bench_result **end = &report->results;
    for (size_t i = 0; i < p->n_cases; i++) {
        struct bench_result **first = end;
        size_t n = p->cases[i]->flags & BENCH_LOCAL ? 1 : p->n_targets;
        for (size_t j = 0; j < n; j++) {
            *end = run_one(p, p->cases[i], &p->targets[j]);
            end = &(*end)->next;
        }
        bench_table(report, *first, stdout);
    }
}

/* A thousand streams need more than a thousand descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

struct output {
    const char *option;
    void (*write)(const struct bench_report *p, FILE *out);
    bool only_whole; /* not written if a case could not run */
};
static const struct output outputs[] = {
    {"json", bench_report_json, false},
    {"html", bench_report_html, false},
    {"save", bench_report_json, true},
};

/* Checks that the output files can be written, before a run that takes minutes. Files that exist keep
 * their content for now; others are removed again. */
static int probe_outputs(const struct cli_args *a)
{
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        const char *path = cli_value(a, outputs[i].option);
        if (!path)
            continue;
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        bool made = fd >= 0;
        if (fd < 0 && errno == EEXIST)
            fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            return cli_fail(EX_CANTCREAT, "--%s %s: %s", outputs[i].option, path, strerror(errno));
        close(fd);
        if (made)
            unlink(path);
    }
    return 0;
}

static int write_outputs(const struct cli_args *a, const struct bench_report *p, bool whole)
{
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        const char *path = cli_value(a, outputs[i].option);
        if (!path || (outputs[i].only_whole && !whole))
            continue;
        FILE *f = fopen(path, "we");
        if (!f)
            return cli_fail(EX_CANTCREAT, "%s: %s", path, strerror(errno));
        outputs[i].write(p, f);
        bool bad = ferror(f);
        if (fclose(f) || bad)
            return cli_fail(EX_IOERR, "%s: %s", path, strerror(errno));
    }
    return 0;
}

static int load_baseline(const struct cli_args *a, struct bench_report *p)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const char *path = cli_value(a, "baseline");
    int rc = path ? bench_baseline_load(&p->baseline, path, &err) : 0;
    return rc ? cli_fail(error_exit_status(rc), "--baseline: %s", err.msg) : 0;
}

static void print_totals(const struct bench_totals *t)
{
    printf("%u of %u bars hold", t->held + t->by_echo, t->bars);
    if (t->by_echo)
        printf(" (%u by the echo server's figure)", t->by_echo);
    if (t->failed_cases)
        printf("; %u could not run", t->failed_cases);
    if (t->skipped)
        printf("; %u skipped", t->skipped);
    putchar('\n');
    fflush(stdout);
}

int verb_bench(const struct cli_args *a)
{
    static struct plan p;
    double scale = 1, seed = 1;
    if (cli_flag(a, "ci") || cli_value(a, "ci-case"))
        return cli_bench_ci(a);
    if (cli_flag(a, "list")) {
        list_cases();
        return EX_OK;
    }
    p.run.model = cli_value(a, "model");
    p.run.quick = cli_flag(a, "quick");
    int rc = cli_number(a, "scale", 0.001, 1000, &scale);
    rc = rc ? rc : cli_number(a, "seed", 0, 1e15, &seed);
    rc = rc ? rc : choose_cases(a, &p);
    rc = rc ? rc : choose_targets(a, &p);
    if (rc)
        return rc;
    p.run.scale = scale;
    p.run.seed = (uint64_t)seed;
    struct bench_report report;
    bench_report_begin(&report, p.run.quick ? "quick" : "full", a->n_words, a->words);
    rc = load_baseline(a, &report);
    rc = rc ? rc : probe_outputs(a);
    if (rc == 0) {
        struct bench_totals t;
        raise_descriptor_limit();
        signal(SIGPIPE, SIG_IGN);
        run_all(&p, &report);
        bench_report_totals(&report, &t);
        print_totals(&t);
        bool good = !t.failed_bars && !t.failed_cases;
        rc = write_outputs(a, &report, !t.failed_cases);
        rc = rc ? rc : good ? EX_OK : 1;
    }
    bench_report_release(&report);
    return rc;
}
