#include <config.h>

#include "lib/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"

static void read_cpu(char *buf, size_t size)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "re");
    snprintf(buf, size, "unknown");
    while (f && fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon)
            continue;
        colon += strspn(colon, ": \t");
        colon[strcspn(colon, "\n")] = 0;
        snprintf(buf, size, "%s", colon);
        break;
    }
    if (f)
        fclose(f);
}

static void join(struct bench_report *p, int n, const char *const *words)
{
    size_t size = 0;
    FILE *f = open_memstream(&p->command, &size);
    if (!f)
        exit(EX_OSERR);
    fputs("orcd bench", f);
    for (int i = 0; i < n; i++) {
        bool plain =
            *words[i] && !words[i][strspn(words[i], "abcdefghijklmnopqrstuvwxyz"
                                                    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%")];
        fprintf(f, plain ? " %s" : " '%s'", words[i]);
    }
    if (fclose(f))
        exit(EX_OSERR);
}

void bench_report_begin(struct bench_report *p, const char *mode, int n_words, const char *const *words)
{
    struct utsname u;
    memset(p, 0, sizeof(*p));
    p->mode = mode;
    p->noise = 0.02;
    read_cpu(p->cpu, sizeof(p->cpu));
    if (uname(&u) == 0)
        snprintf(p->kernel, sizeof(p->kernel), "%s %s", u.sysname, u.release);
    p->cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    clock_format_rfc3339(clock_real_ns(), p->date, sizeof(p->date));
    snprintf(p->version, sizeof(p->version), "%s", PACKAGE_VERSION);
    join(p, n_words, words);
}

void bench_report_release(struct bench_report *p)
{
    bench_result_free(p->results);
    bench_baseline_free(p->baseline);
    free(p->command);
    memset(p, 0, sizeof(*p));
}

bool bench_report_change(const struct bench_report *p, const char *case_name, const struct bench_measure *m,
    struct bench_change *out)
{
    const struct bench_measure *before = bench_baseline_find(p->baseline, case_name, m);
    if (!before || before->n == 0 || m->n == 0)
        return false;
    bench_compare(before->x, before->n, m->x, m->n, p->noise, out);
    return true;
}

void bench_report_totals(const struct bench_report *p, struct bench_totals *out)
{
    struct bench_totals t = {0};
    for (const struct bench_result *r = p->results; r; r = r->next) {
        t.cases++;
        t.skipped += *r->skipped != 0;
        t.failed_cases += *r->failed != 0;
        for (const struct bench_measure *m = r->measures; m; m = m->next)
            for (unsigned i = 0; i < m->n_bars; i++) {
                enum bench_verdict v = bench_bar_verdict(m, &m->bars[i]);
                t.bars++;
                t.held += v == BENCH_HOLDS;
                t.by_echo += v == BENCH_HOLDS_BY_ECHO;
                t.failed_bars += v == BENCH_FAILS;
            }
    }
    *out = t;
}

const char *bench_statistic_name(enum bench_statistic of)
{
    static const char *const names[] = {
        [BENCH_MEDIAN] = "median",
        [BENCH_P95] = "p95",
        [BENCH_P99] = "p99",
        [BENCH_P999] = "p99.9",
        [BENCH_MAX] = "max",
        [BENCH_MEAN] = "mean",
        [BENCH_MIN] = "min",
    };
    return names[of];
}

void bench_number_text(double v, char *buf, size_t size)
{
    double a = fabs(v);
    if (!isfinite(v))
        snprintf(buf, size, "-");
    else if (a >= 1e7 || (a > 0 && a < 1e-3))
        snprintf(buf, size, "%.2e", v);
    else if (a >= 100 || v == 0)
        snprintf(buf, size, "%.0f", v);
    else
        snprintf(buf, size, "%.*f", a >= 10 ? 1 : a >= 1 ? 2 : 3, v);
}

void bench_bar_text(const struct bench_measure *m, const struct bench_bar *bar, char *buf, size_t size)
{
    bool plain = strcmp(m->unit, "1") == 0;
    snprintf(buf, size, "%s %s %.6g%s%s", bench_statistic_name(bar->of),
        m->higher_is_better ? ">=" : "<=", bar->limit, plain ? "" : " ", plain ? "" : m->unit);
}

const struct bench_result *bench_next_case(const struct bench_result *r)
{
    const struct bench_case *bench = r->bench;
    while (r && r->bench == bench)
        r = r->next;
    return r;
}
