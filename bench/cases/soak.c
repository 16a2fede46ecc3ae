/*
 * Everything at once for a long time: valid and broken requests, cancels, clients that disconnect in
 * every way, deadlines, slow readers, and a plugin in which steps fail, rows fail, memory runs out and
 * kernels hang again and again. At the end no slot may be stuck, memory and descriptors must be what
 * they were, and every request must be in exactly one count.
 */
#include "cases/soak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/ask.h"

#define CLIENTS 40
#define SHORT_S 30 /* a shorter run tells nothing about memory growth */
#define QUIET_MS 10000

static const char *const settings[] = {"model.slots=8", "model.context=2048", "queue.capacity=16",
    "deadlines.min_remaining_ms=2", "deadlines.admission=simple", "http.write_stall_ms=500",
    "http.request_read_ms=500", "http.ping_ms=100", "http.metrics_event_ms=50", "health.refresh_ms=200",
    "log.level=warn", "plugin.options.token_ms=2", "plugin.options.jitter_ms=2",
    "plugin.options.prefill_us_per_token=20", "plugin.options.hang_ms=120",
    "plugin.options.fault=wait.row_fail/151 wait.fail/499 wait.hang/997 logits.nan/701 seq_open.oom/307 "
    "seq_reserve.out_of_kv/211 submit.fail/1499 memory.slow/7",
    NULL};

static const char *const outcomes[] = {
    "stop", "length", "deadline_partial", "deadline", "cancelled", "disconnected", "error", "rejected"};
#define N_OUTCOMES (sizeof(outcomes) / sizeof(outcomes[0]))

struct soak {
    const struct bench_run *b;
    struct bench_result *r;
    struct target *target;
    struct load *load;
    struct soak_clients *clients;
    uint64_t from_ns, until_ns, every_ns;
    bool dead;
    double last[N_OUTCOMES], last_s;
    struct bench_series *rates[N_OUTCOMES], *rss, *own_rss, *fds;
};

static double own_rss_mib(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static double outcome(const char *text, const char *name)
{
    char metric[64];
    snprintf(metric, sizeof(metric), "orcd_requests_total{outcome=\"%s\"}", name);
    double x = target_metric_of(text, metric);
    return isnan(x) ? 0 : x;
}

/* --- over time ------------------------------------------------------------------------------ */

static void plots_new(struct soak *s)
{
    struct bench_plot *memory = bench_plot_new(s->r, BENCH_LINES, "Resident memory", "seconds", "MiB");
    s->rss = bench_series_new(memory, "server");
    s->own_rss = bench_series_new(memory, "load generator");
    s->fds = bench_series_new(
        bench_plot_new(s->r, BENCH_LINES, "Descriptors of the server", "seconds", "open"), "descriptors");
    struct bench_plot *rates =
        bench_plot_new(s->r, BENCH_LINES, "Requests by outcome", "seconds", "per second");
    for (size_t i = 0; i < N_OUTCOMES; i++)
        s->rates[i] = bench_series_new(rates, outcomes[i]);
}

static void look(void *arg)
{
    struct soak *s = arg;
    uint64_t now = clock_mono_ns();
    double at_s = (double)(now - s->from_ns) / 1e9;
    s->dead = target_fds(s->target) == 0;
    if (s->dead) {
        load_stop(s->load);
        return;
    }
    char *text = target_metrics(s->target);
    bench_point(s->rss, at_s, (double)target_rss_bytes(s->target) / 1048576);
    bench_point(s->own_rss, at_s, own_rss_mib());
    bench_point(s->fds, at_s, target_fds(s->target));
    for (size_t i = 0; text && i < N_OUTCOMES; i++) {
        double x = outcome(text, outcomes[i]);
        if (at_s > s->last_s)
            bench_point(s->rates[i], at_s, (x - s->last[i]) / (at_s - s->last_s));
        s->last[i] = x;
    }
    s->last_s = at_s;
    free(text);
    bench_progress(s->b, "soak", (double)(now - s->from_ns) / (double)(s->until_ns - s->from_ns));
    if (now < s->until_ns)
        load_at(s->load, now + s->every_ns, look, s);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the last quarter less that of the second: what grew after the warm-up. */
static double growth(const struct bench_series *s)
{
    double part[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        size_t from = k ? s->n * 3 / 4 : s->n / 4, to = k ? s->n : s->n / 2;
        if (from >= to)
            return 0;
        double *y = malloc((to - from) * sizeof(*y));
        if (!y)
            return INFINITY;
        memcpy(y, s->y + from, (to - from) * sizeof(*y));
        qsort(y, to - from, sizeof(*y), by_size);
        part[k] = y[(to - from) / 2];
        free(y);
    }
    return part[1] - part[0];
}

/* --- the end ---------------------------------------------------------------------------------- */

static void at_most(struct soak *s, const char *id, const char *unit, double x, double limit)
{
    struct bench_measure *m = bench_measure_new(s->r, s->b->target->name, id, "", unit);
    bench_add(m, x);
    if (!isnan(limit))
        bench_bar(m, BENCH_MAX, limit, "bar");
}

/* Waits until no job runs, none is queued and no connection of the clients is left, at most QUIET_MS. */
static int quieten(
    struct soak *s, unsigned fds_before, double *busy, double *queued, double *fds, struct orcd_error *err)
{
    uint64_t until = clock_mono_ns() + QUIET_MS * NS_PER_MS;
    do {
        static struct ask health;
        int rc = ask_path(&health, s->load, s->target, "GET", "/health", NULL, err);
        if (rc)
            return rc;
        if (!ask_until(&health, ASK_DONE, 0, QUIET_MS))
            return error_set(err, ORCD_E_BUSY, "/health did not answer after the soak");
        const char *b = strstr(health.body, "\"busy\":"), *q = strstr(health.body, "\"queue_depth\":");
        *busy = b ? atof(b + 7) : NAN;
        *queued = q ? atof(q + 14) : NAN;
        *fds = (double)target_fds(s->target) - fds_before;
    } while ((*busy > 0 || *queued > 0 || *fds > 0) && clock_mono_ns() < until);
    return 0;
}

/* The largest difference between the count of a per-request histogram and the number of jobs. */
static double histograms_off(const char *text, double jobs)
{
    static const char *const names[] = {"orcd_request_queue_time_seconds",
        "orcd_request_prefill_time_seconds", "orcd_time_to_first_token_seconds",
        "orcd_request_decode_time_seconds", "orcd_e2e_request_latency_seconds"};
    double most = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char metric[80];
        snprintf(metric, sizeof(metric), "%s_count", names[i]);
        double off = fabs(target_metric_of(text, metric) - jobs);
        most = isnan(off) || off > most ? off : most;
    }
    return most;
}

/* The sum of orcd_rejections_total over all codes. */
static double rejections(const char *text)
{
    double sum = 0;
    static const char name[] = "orcd_rejections_total{code=\"";
    for (const char *p = text; (p = strstr(p, name)); p++) {
        const char *end = strchr(p, '}');
        sum += end ? atof(end + 1) : 0;
    }
    return sum;
}

static void account(struct soak *s, const char *text)
{
    struct soak_counts c;
    double total = 0, rejected = outcome(text, "rejected");
    soak_clients_counts(s->clients, &c);
    for (size_t i = 0; i < N_OUTCOMES; i++) {
        char id[48];
        double x = outcome(text, outcomes[i]);
        snprintf(id, sizeof(id), "outcome_%s", outcomes[i]);
        at_most(s, id, "1", x, NAN);
        total += x;
    }
    at_most(s, "requests_sent", "1", (double)c.jobs_sent, NAN);
    at_most(s, "requests_unaccounted", "1", fabs((double)c.jobs_sent - total), 0);
    at_most(s, "rejections_unaccounted", "1", fabs(rejected - rejections(text)), 0);
    at_most(s, "histogram_counts_off", "1", histograms_off(text, total - rejected), 0);
    at_most(s, "answers_wrong", "1", (double)c.wrong, 0);
    at_most(s, "calls_without_an_end", "1", (double)c.open, 0);
    if (c.wrong)
        snprintf(s->r->failed, sizeof(s->r->failed), "%llu wrong answers, the first: %s",
            (unsigned long long)c.wrong, c.first_wrong);
}

static int server_died(struct soak *s, struct orcd_error *err)
{
    char line[160] = "";
    const char *log = target_log(s->target);
    size_t n = strlen(log);
    while (n && log[n - 1] == '\n')
        n--;
    size_t from = n;
    while (from && log[from - 1] != '\n' && n - from < sizeof(line) - 1)
        from--;
    memcpy(line, log + from, n - from);
    int status = target_stop(s->target);
    s->target = NULL;
    return error_set(err, ORCD_E_STOPPED, "the server ended after %.0f s with status %d; its last line: %s",
        (double)(clock_mono_ns() - s->from_ns) / 1e9, status, line);
}

static int run_load(struct soak *s, double seconds, struct orcd_error *err)
{
    int rc = soak_clients_new(&s->clients, s->load, s->target, CLIENTS, s->b->seed, err);
    if (rc)
        return rc;
    s->from_ns = clock_mono_ns();
    s->until_ns = s->from_ns + (uint64_t)(seconds * 1e9);
    s->every_ns = (s->until_ns - s->from_ns) / 300;
    s->every_ns = s->every_ns < NS_PER_S / 5 ? NS_PER_S / 5 : s->every_ns;
    look(s);
    while (clock_mono_ns() < s->until_ns && !s->dead)
        load_run(s->load, s->until_ns);
    if (s->dead)
        return server_died(s, err);
    soak_clients_stop(s->clients);
    load_run(s->load, clock_mono_ns() + 3 * QUIET_MS * NS_PER_MS); /* all calls and timers end */
    return 0;
}

static int soak(struct soak *s, double seconds, struct orcd_error *err)
{
    double busy = NAN, queued = NAN, fds = NAN;
    ask_pass(s->load, clock_mono_ns() + 100 * NS_PER_MS); /* until the connections of its start are closed */
    unsigned fds_before = target_fds(s->target);
    int rc = run_load(s, seconds, err);
    rc = rc ? rc : quieten(s, fds_before, &busy, &queued, &fds, err);
    if (rc)
        return rc;
    char *text = target_metrics(s->target);
    if (!text)
        return error_set(err, ORCD_E_IO, "/metrics did not answer after the soak");
    at_most(s, "slots_stuck", "1", busy, 0);
    at_most(s, "queue_stuck", "1", queued, 0);
    at_most(s, "descriptors_left_open", "1", fds, 0);
    account(s, text);
    free(text);
    bool tells = seconds >= SHORT_S;
    at_most(s, "memory_growth", "MiB", growth(s->rss), tells ? 2 : NAN);
    at_most(s, "memory_growth_of_the_load_generator", "MiB", growth(s->own_rss), tells ? 2 : NAN);
    at_most(s, "descriptor_growth", "1", growth(s->fds), tells ? 8 : NAN);
    int status = target_stop(s->target);
    s->target = NULL;
    at_most(s, "exit_status", "1", status, 0);
    return 0;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    struct soak s = {.b = b, .r = r};
    struct target_params tp = {.settings = settings, .keep_log = true};
    double seconds = (b->quick ? 60 : 1800) * b->scale;
    plots_new(&s);
    int rc = target_start(&s.target, b->target, &tp, err);
    rc = rc ? rc : load_new(&s.load, err);
    rc = rc ? rc : soak(&s, seconds, err);
    load_free(s.load);
    soak_clients_free(s.clients);
    target_stop(s.target);
    return rc;
}

const struct bench_case bench_soak = {
    "soak", "half an hour of requests, faults and disconnects of every kind", BENCH_MOCK | BENCH_LONG, run};
