/* Memory and descriptors of a server: idle, and after thousands of requests, some of which their
 * clients abandon. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "lib/bench.h"

#define TOGETHER 8 /* requests at once */
#define GIVE_UP_EVERY 4
#define SETTLE_MS 1000 /* the caches of the allocator, the first health refresh */
#define IDLE_MS 2000
#define POINTS 100
#define WARM 5000 /* requests before memory is compared: ids of the last 4096 are remembered */

struct crowd {
    struct load *load;
    struct target *target;
    uint64_t salt;
    size_t begun, ended, want;
    size_t failed;
    char why[80];
    uint32_t max_tokens;
};

static void next(struct crowd *c);

static void on_event(struct load_call *call, const struct load_event *e)
{
    struct crowd *c = load_call_arg(call);
    if (e->kind == LOAD_TOKEN && c->begun % GIVE_UP_EVERY == 0 && load_call_status(call) == 200)
        load_call_close(call, LOAD_CLOSE);
}

static void on_done(struct load_call *call, enum load_outcome how, const char *body, size_t n_body)
{
    struct crowd *c = load_call_arg(call);
    (void)n_body;
    if ((how != LOAD_COMPLETE && how != LOAD_CLOSED) || load_call_status(call) != 200) {
        c->failed++;
        snprintf(
            c->why, sizeof(c->why), "outcome %d, status %d: %.40s", (int)how, load_call_status(call), body);
    }
    c->ended++;
    next(c);
}

static void next(struct crowd *c)
{
    static const struct load_handlers handlers = {.event = on_event, .done = on_done};
    char id[40];
    struct target_request req;
    struct orcd_error err = ORCD_ERROR_INIT;
    if (c->begun >= c->want) {
        if (c->ended >= c->want)
            load_stop(c->load);
        return;
    }
    snprintf(id, sizeof(id), "job-%zu", c->begun++);
    struct target_prompt p = {.job_id = id,
        .n_tokens = 16,
        .salt = c->salt + c->begun,
        .max_tokens = c->max_tokens,
        .stream = true};
    struct load_call *call;
    int rc = target_request(&req, c->target, &p, &err);
    if (!rc) {
        struct load_spec spec = {.url = target_url(c->target),
            .method = "POST",
            .path = req.path,
            .body = req.body,
            .n_body = req.n_body,
            .handlers = &handlers,
            .arg = c};
        rc = load_call(c->load, &spec, &call, &err);
        target_request_release(&req);
    }
    if (rc) {
        c->failed++;
        snprintf(c->why, sizeof(c->why), "%.79s", err.msg);
        c->ended++;
        if (c->ended >= c->want)
            load_stop(c->load);
    }
}

/* So many more requests, to their ends. */
static int go(struct crowd *c, size_t n, struct orcd_error *err)
{
    c->want += n;
    for (int i = 0; i < TOGETHER; i++)
        next(c);
    while (c->ended < c->want)
        load_run(c->load, 0);
    return c->failed
               ? error_set(err, ORCD_E_IO, "%zu of %zu requests failed; %s", c->failed, c->ended, c->why)
               : 0;
}

static double mb(uint64_t bytes)
{
    return (double)bytes / 1e6;
}

static double once(struct bench_measure *m, double x)
{
    bench_add(m, x);
    return x;
}

static void measure_idle(const struct bench_run *b, struct bench_result *r, struct target *t, bool mock)
{
    const char *name = b->target->name;
    poll(NULL, 0, SETTLE_MS);
    struct bench_measure *idle = bench_measure_new(r, name, "idle_memory", "", "MB");
    bench_add(idle, mb(target_rss_bytes(t)));
    if (mock)
        bench_bar(idle, BENCH_MAX, 15, "bar");
    uint64_t cpu = target_cpu_ns(t), from = clock_mono_ns();
    poll(NULL, 0, IDLE_MS);
    once(bench_measure_new(r, name, "idle_processor_share", "", "1"),
        (double)(target_cpu_ns(t) - cpu) / (double)(clock_mono_ns() - from));
}

static int measure_growth(
    const struct bench_run *b, struct bench_result *r, struct crowd *c, size_t n, struct orcd_error *err)
{
    const char *name = b->target->name;
    bool mock = b->target->plugin && strcmp(b->target->plugin, "mock") == 0;
    size_t warm = mock ? WARM : n, done = 0, step = n / POINTS + 1;
    unsigned fds = target_fds(c->target);
    struct bench_plot *p =
        bench_plot_new(r, BENCH_LINES, "Memory over requests", "requests", "resident memory, MB");
    struct bench_series *line = bench_series_new(p, name);
    int rc = go(c, warm, err);
    uint64_t before = target_rss_bytes(c->target);
    bench_point(line, (double)c->ended, mb(before));
    for (; done < n && !rc; done += step) {
        rc = go(c, min_u64(step, n - done), err);
        bench_point(line, (double)c->ended, mb(target_rss_bytes(c->target)));
        bench_progress(b, "requests", (double)done / (double)n);
    }
    if (rc)
        return rc;
    char variant[64];
    snprintf(variant, sizeof(variant), "over %zu requests", n);
    struct bench_measure *grown = bench_measure_new(r, name, "memory_growth", variant, "MB");
    bench_add(grown, mb(target_rss_bytes(c->target)) - mb(before));
    poll(NULL, 0, SETTLE_MS); /* closed connections are noticed */
    struct bench_measure *left = bench_measure_new(r, name, "descriptors_left", variant, "fds");
    bench_add(left, (double)target_fds(c->target) - (double)fds);
    if (b->target->plugin) {
        bench_bar(grown, BENCH_MAX, 0.5, "bar");
        bench_bar(left, BENCH_MAX, 0, "bar");
    }
    return 0;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    bool mock = b->target->plugin && strcmp(b->target->plugin, "mock") == 0;
    struct target_params p = {.model = mock ? NULL : b->model};
    struct crowd c = {.salt = b->seed << 32, .max_tokens = mock ? 16 : 4};
    if (b->target->url) {
        snprintf(r->skipped, sizeof(r->skipped), "the server was not started by this benchmark");
        return 0;
    }
    int rc = target_start(&c.target, b->target, &p, err);
    if (rc)
        return rc;
    measure_idle(b, r, c.target, mock);
    rc = load_new(&c.load, err);
    rc =
        rc ? rc : measure_growth(b, r, &c, mock ? bench_count(b, 2000, 10000) : bench_count(b, 50, 500), err);
    load_free(c.load);
    target_stop(c.target);
    return rc;
}

const struct bench_case bench_footprint = {
    "footprint", "memory and descriptors, idle and after many requests", BENCH_PEERS, run};
