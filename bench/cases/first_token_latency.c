/*
 * The time from the last byte of POST /v2/execute to the first token event, one request at a time,
 * each with a new prompt of 40 tokens. The mock takes no time, so what remains is the time of the
 * server itself; both bars apply to that. With a model, the time includes its prefill and is to be
 * compared with other servers of the same model.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "lib/bench.h"

#define PROMPT_TOKENS 40
#define WARM_UP 20

struct ask {
    struct load *load;
    struct load_conn *kept;
    bool keep;
    uint64_t first_ns, sent_ns;
    bool complete;
    char said[160];
};

static void on_event(struct load_call *c, const struct load_event *e)
{
    struct ask *a = load_call_arg(c);
    if (e->kind == LOAD_TOKEN && !a->first_ns) {
        a->first_ns = e->recv_ns;
        a->sent_ns = load_call_sent_ns(c);
    } else if (e->kind == LOAD_END) {
        a->complete = true;
    } else if (e->kind == LOAD_ERROR) {
        snprintf(a->said, sizeof(a->said), "%s", e->data);
    }
}

static void on_done(struct load_call *c, enum load_outcome how, const char *body, size_t n_body)
{
    struct ask *a = load_call_arg(c);
    if (how != LOAD_COMPLETE)
        a->complete = false;
    if (n_body)
        snprintf(a->said, sizeof(a->said), "%s", body);
    if (a->keep)
        a->kept = load_call_keep(c);
}

static const struct load_handlers handlers = {.event = on_event, .done = on_done};

static int ask_once(
    const struct bench_run *b, struct target *t, struct ask *a, uint64_t n, struct orcd_error *err)
{
    char id[32];
    snprintf(id, sizeof(id), "first-%llu", (unsigned long long)n);
    struct target_prompt prompt = {.job_id = id,
        .n_tokens = PROMPT_TOKENS,
        .salt = b->seed + n * UINT64_C(7919),
        .max_tokens = 4,
        .stream = true};
    struct target_request request;
    int rc = target_request(&request, t, &prompt, err);
    if (rc)
        return rc;
    struct load_spec spec = {.url = target_url(t),
        .method = "POST",
        .path = request.path,
        .body = request.body,
        .n_body = request.n_body,
        .handlers = &handlers,
        .arg = a,
        .conn = a->kept};
    a->kept = NULL;
    a->first_ns = 0;
    a->complete = false;
    rc = load_call(a->load, &spec, NULL, err);
    target_request_release(&request);
    if (rc)
        return rc;
    if (!load_run(a->load, clock_mono_ns() + 120 * NS_PER_S) || !a->complete || !a->first_ns)
        return error_set(err, ORCD_E_IO, "a request got no token: %s", a->said);
    return 0;
}

static int measure(
    const struct bench_run *b, struct target *t, bool keep, struct bench_measure *m, struct orcd_error *err)
{
    struct ask a = {.keep = keep};
    bool mock = b->target->plugin && strcmp(b->target->plugin, "mock") == 0;
    size_t n = mock ? bench_count(b, 500, 5000) : bench_count(b, 5, 40), warm = mock ? WARM_UP : 1;
    int rc = load_new(&a.load, err);
    for (size_t i = 0; rc == 0 && i < warm + n; i++) {
        rc = ask_once(b, t, &a, i + (keep ? 0 : UINT64_C(1000000)), err);
        if (rc == 0 && i >= warm)
            bench_add(m, (double)(a.first_ns - a.sent_ns) / 1e6);
        bench_progress(b, "first_token_latency", (double)i / (double)(warm + n));
    }
    load_free(a.load);
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    static const char *const settings[] = {"log.level=warn", NULL};
    bool ours = b->target->plugin, mock = ours && strcmp(b->target->plugin, "mock") == 0;
    struct target_params params = {.settings = ours ? settings : NULL, .model = mock ? NULL : b->model};
    struct target *t;
    int rc = target_start(&t, b->target, &params, err);
    if (rc)
        return rc;
    /* llama.cpp announces that it keeps a connection, and closes it after a stream. */
    for (int keep = ours; keep >= 0 && rc == 0; keep--) {
        struct bench_measure *m = bench_measure_new(
            r, b->target->name, "first_token", keep ? "kept connection" : "new connection", "ms");
        if (mock) {
            bench_bar(m, BENCH_P95, 1, "bar");
            bench_bar(m, BENCH_P95, 100, "specification");
        }
        rc = measure(b, t, keep, m, err);
    }
    target_stop(t);
    return rc;
}

const struct bench_case bench_first_token_latency = {
    "first_token_latency", "POST /v2/execute to the first token event", BENCH_PEERS | BENCH_NAMED, run};
