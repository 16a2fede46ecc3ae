/*
 * GET /health while the server is busy: with 300 streams, with a memory query that takes 500 ms, and
 * with a model that uses all cores and prompts of 4 MB. Requests start on a fixed schedule, whether or
 * not the earlier ones have been answered, each on a new connection or on a free one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/ask.h"
#include "lib/bench.h"
#include "lib/echo.h"

#define PATIENCE_MS 60000
#define MAX_STREAMS 300
#define MAX_OPEN 700

struct variant {
    const char *name;
    const char *const *settings;
    unsigned streams;
    uint32_t prompt_tokens, max_tokens;
    bool fresh;         /* a new connection for each request */
    bool large_prompts; /* of 4 MB, ten a second */
    double interval_ms, bar_ms;
};

#define STREAMS                                                                                              \
    "model.slots=300", "plugin.options.memory_mb=4096", "plugin.options.token_ms=20", "queue.capacity=400"
static const struct variant mock_variants[] = {
    {"idle", NULL, 0, 0, 0, false, false, 2, 1},
    {"300 streams", (const char *const[]){STREAMS, NULL}, 300, 8, 4000, false, false, 2, 1},
    {"300 streams, a new connection each time", (const char *const[]){STREAMS, NULL}, 300, 8, 4000, true,
        false, 2, 1},
    {"300 streams, a memory query takes 500 ms",
        (const char *const[]){STREAMS, "health.refresh_ms=10", "plugin.options.fault=memory.slow!", NULL},
        300, 8, 4000, false, false, 2, 1},
};
static const struct variant model_variants[] = {
    {"4 streams", (const char *const[]){"model.slots=4", NULL}, 4, 64, 2000, false, false, 20, 10},
    {"4 streams, 4 MB prompts at 10/s", (const char *const[]){"model.slots=4", "http.max_body_kb=8192", NULL},
        4, 64, 2000, false, true, 20, 10},
};
static const struct variant peer_variants[] = {
    {"4 streams", NULL, 4, 64, 2000, false, false, 20, 0},
};

struct rig {
    const struct bench_run *b;
    const struct variant *v;
    const char *url; /* of the server, or of an echo server with the same streams */
    struct target *target;
    struct load *load;
    struct ask streams[MAX_STREAMS];
    unsigned serial;
    struct load_conn *idle[MAX_OPEN]; /* connections that nobody uses now */
    unsigned n_idle, n_open;
    size_t left; /* health requests still to begin */
    uint64_t next_ns, next_prompt_ns, prompts_answered;
    char *prompt;
    size_t n_prompt;
    struct bench_measure *m;
    bool failed;
};

/* --- the streams that go on meanwhile ----------------------------------------------------- */

static int stream_begin(struct rig *g, struct ask *a, struct orcd_error *err)
{
    char id[32];
    snprintf(id, sizeof(id), "stream-%u", ++g->serial);
    struct target_prompt p = {.job_id = id,
        .n_tokens = g->v->prompt_tokens,
        .salt = g->b->seed + g->serial,
        .max_tokens = g->v->max_tokens,
        .stream = true};
    return ask_job(a, g->load, g->target, &p, NULL, err);
}

static int streams_begin(struct rig *g, struct orcd_error *err)
{
    int rc = 0;
    for (unsigned i = 0; i < g->v->streams && !rc; i++)
        rc = stream_begin(g, &g->streams[i], err);
    for (unsigned i = 0; i < g->v->streams && !rc; i++)
        if (!ask_until(&g->streams[i], ASK_TOKEN, 2, PATIENCE_MS))
            rc = error_set(err, ORCD_E_BUSY, "a stream did not start (status %d %s)", g->streams[i].status,
                g->streams[i].code);
    return rc;
}

/* --- health ---------------------------------------------------------------------------------- */

static void health_head(struct load_call *c, int status, uint64_t kernel_ns)
{
    struct rig *g = load_call_arg(c);
    uint64_t sent = load_call_sent_ns(c);
    g->failed |= status != 200;
    bench_add(g->m, kernel_ns > sent ? (double)(kernel_ns - sent) / 1e6 : 0);
}

static void health_done(struct load_call *c, enum load_outcome how, const char *body, size_t n_body)
{
    struct rig *g = load_call_arg(c);
    (void)body, (void)n_body;
    g->failed |= how != LOAD_COMPLETE;
    g->n_open--;
    struct load_conn *conn = g->v->fresh ? NULL : load_call_keep(c);
    if (conn && g->n_idle < MAX_OPEN)
        g->idle[g->n_idle++] = conn;
    else
        load_conn_close(conn);
    if (!g->left && !g->n_open)
        load_stop(g->load);
}

static void health_begin(void *arg)
{
    static const struct load_handlers handlers = {.head = health_head, .done = health_done};
    struct rig *g = arg;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct load_spec spec = {.url = g->url,
        .method = "GET",
        .path = "/health",
        .headers = g->v->fresh ? "Connection: close\r\n" : NULL,
        .handlers = &handlers,
        .arg = g,
        .conn = g->n_idle ? g->idle[--g->n_idle] : NULL};
    g->left--;
    if (g->n_open == MAX_OPEN || load_call(g->load, &spec, NULL, &err))
        g->failed = true;
    else
        g->n_open++;
    g->next_ns += (uint64_t)(g->v->interval_ms * 1e6);
    if (g->failed || (g->left && load_at(g->load, g->next_ns, health_begin, g)))
        g->left = 0;
    if (!g->left && !g->n_open)
        load_stop(g->load);
}

/* --- prompts of 4 MB, which are tokenized and then refused for their length ------------------- */

static void prompt_done(struct load_call *c, enum load_outcome how, const char *body, size_t n_body)
{
    struct rig *g = load_call_arg(c);
    (void)body, (void)n_body;
    g->prompts_answered += how == LOAD_COMPLETE;
}

static void prompt_begin(void *arg)
{
    static const struct load_handlers handlers = {.done = prompt_done};
    struct rig *g = arg;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct load_spec spec = {.url = target_url(g->target),
        .method = "POST",
        .path = "/v2/execute",
        .handlers = &handlers,
        .arg = g,
        .body = g->prompt,
        .n_body = g->n_prompt};
    load_call(g->load, &spec, NULL, &err);
    g->next_prompt_ns += NS_PER_S / 10;
    if (g->left)
        load_at(g->load, g->next_prompt_ns, prompt_begin, g);
}

static bool prompt_make(struct rig *g)
{
    static const char head[] = "{\"job_id\":\"large\",\"prompt\":\"", tail[] = "\"}";
    static const char *const words[] = {"measure ", "the quick brown fox ", "of all that ", "1234 ", "Zeit "};
    size_t n = 4 << 20;
    g->prompt = malloc(n + 64);
    if (!g->prompt)
        return false;
    char *p = stpcpy(g->prompt, head);
    for (uint64_t k = g->b->seed; (size_t)(p - g->prompt) < n - 32;) {
        k = k * UINT64_C(6364136223846793005) + 1;
        p = stpcpy(p, words[(k >> 33) % 5]);
    }
    g->n_prompt = (size_t)(stpcpy(p, tail) - g->prompt);
    return true;
}

static int measure(struct rig *g, size_t n, struct orcd_error *err)
{
    uint64_t now = clock_mono_ns();
    g->left = n;
    g->next_ns = now + NS_PER_MS;
    int rc = load_at(g->load, g->next_ns, health_begin, g);
    if (!rc && g->v->large_prompts) {
        if (!prompt_make(g))
            return error_set(err, ORCD_E_NOMEM, "out of memory");
        g->next_prompt_ns = now;
        rc = load_at(g->load, now, prompt_begin, g);
    }
    if (rc)
        return error_set(err, ORCD_E_NOMEM, "out of memory for a timer");
    uint64_t until = now + (uint64_t)((double)n * g->v->interval_ms * 1e6) + PATIENCE_MS * NS_PER_MS;
    while ((g->left || g->n_open) && clock_mono_ns() < until) {
        load_run(g->load, until);
        for (unsigned i = 0; i < g->v->streams; i++) /* one that came to its end goes on anew */
            if (g->streams[i].done && stream_begin(g, &g->streams[i], err))
                return -1;
    }
    while (g->n_idle)
        load_conn_close(g->idle[--g->n_idle]);
    if (g->failed || g->left || g->n_open)
        return error_set(err, ORCD_E_BUSY, "%s: /health did not answer with status 200", g->v->name);
    return 0;
}

static int run_variant(struct rig *g, struct bench_result *r, size_t n, struct orcd_error *err)
{
    bool mock = g->b->target->plugin && strcmp(g->b->target->plugin, "mock") == 0;
    struct target_params tp = {
        .settings = g->b->target->plugin ? g->v->settings : NULL, .model = mock ? NULL : g->b->model};
    g->m = bench_measure_new(r, g->b->target->name, "health", g->v->name, "ms");
    bench_bar(g->m, BENCH_P99, 10, "specification");
    if (g->v->bar_ms > 0 && g->v->bar_ms < 10)
        bench_bar(g->m, BENCH_P99, g->v->bar_ms, "bar");
    int rc = target_start(&g->target, g->b->target, &tp, err);
    g->url = rc ? "" : target_url(g->target);
    rc = rc ? rc : load_new(&g->load, err);
    rc = rc ? rc : streams_begin(g, err);
    rc = rc ? rc : measure(g, n, err);
    load_free(g->load);
    g->load = NULL;
    target_stop(g->target);
    free(g->prompt);
    return rc;
}

/* The same requests to a plain server with the same streams, all of them in step. */
static int run_echo(struct rig *g, struct bench_result *r, size_t n, struct orcd_error *err)
{
    struct echo_pattern pattern = {.n_streams = g->v->streams, .interval_ns = 20 * NS_PER_MS, .groups = 1};
    struct echo *e = NULL;
    struct bench_measure *of = g->m;
    memset(g->streams, 0, sizeof(g->streams));
    g->m = bench_measure_new(r, "echo", "health", g->v->name, "ms");
    of->echo = g->m;
    int rc = echo_start(&e, &pattern, err);
    rc = rc ? rc : load_new(&g->load, err);
    if (!rc)
        g->url = echo_url(e);
    for (unsigned i = 0; i < g->v->streams && !rc; i++)
        rc = ask_url(&g->streams[i], g->load, g->url, "POST", "/v2/execute", "{}", err);
    for (unsigned i = 0; i < g->v->streams && !rc; i++)
        if (!ask_until(&g->streams[i], ASK_TOKEN, 2, PATIENCE_MS))
            rc = error_set(err, ORCD_E_BUSY, "a stream of the echo server did not start");
    rc = rc ? rc : measure(g, n, err);
    load_free(g->load);
    echo_stop(e);
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    bool ours = b->target->plugin != NULL, mock = ours && strcmp(b->target->plugin, "mock") == 0;
    const struct variant *v = mock ? mock_variants : ours ? model_variants : peer_variants;
    size_t n_variants = mock   ? sizeof(mock_variants) / sizeof(*v)
                        : ours ? sizeof(model_variants) / sizeof(*v)
                               : sizeof(peer_variants) / sizeof(*v);
    size_t n = mock ? bench_count(b, 1000, 20000) : bench_count(b, 200, 1500);
    int rc = 0;
    for (size_t i = 0; i < n_variants && !rc; i++) {
        struct rig *g = calloc(1, sizeof(*g));
        if (!g)
            return error_set(err, ORCD_E_NOMEM, "out of memory");
        g->b = b;
        g->v = &v[i];
        rc = run_variant(g, r, n, err);
        if (!rc && mock && g->v->streams)
            rc = run_echo(g, r, n, err);
        free(g);
    }
    return rc;
}

const struct bench_case bench_health_endpoint = {
    "health_endpoint", "GET /health while the server is busy", BENCH_PEERS | BENCH_NAMED, run};
