/*
 * One stream with a token every 10 ms, and beside it a thousand clients per second that connect and
 * hang up: before they send anything, after the head of a request whose body never arrives, and after
 * the POST of a job, by close and by reset. Quiet and noisy phases take turns in one run, so that both
 * see the same machine. The p99 of the time between the stream's tokens must at most double.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/bench.h"
#include "lib/fleet.h"
#include "lib/stats.h"

#define PER_SECOND 1000

enum flavour { BEFORE_SENDING, HALF_A_REQUEST, AFTER_THE_POST, N_FLAVOURS };

struct noise {
    struct load *load;
    const struct bench_run *bench;
    struct target *target;
    uint64_t next_ns, until_ns, n_begun, n_connected;
    unsigned n_open;
    char failed[200];
};

/* One that will hang up. Freed when its call and its timer are through. */
struct caller {
    struct noise *noise;
    struct load_call *call;
    enum flavour flavour;
    bool timer;
};

static void caller_free(struct caller *c)
{
    if (!c->call && !c->timer)
        free(c);
}

static void hang_up(void *arg)
{
    struct caller *c = arg;
    c->timer = false;
    if (c->call)
        load_call_close(c->call, c->noise->n_begun & 8 ? LOAD_RESET : LOAD_CLOSE);
    caller_free(c);
}

static void on_connected(struct load_call *call, uint64_t at_ns)
{
    struct caller *c = load_call_arg(call);
    c->noise->n_connected++;
    if (c->flavour == BEFORE_SENDING) {
        load_call_close(call, LOAD_CLOSE);
    } else {
        c->timer = load_at(c->noise->load, at_ns + NS_PER_MS, hang_up, c) == 0;
    }
}

static void on_done(struct load_call *call, enum load_outcome how, const char *body, size_t n_body)
{
    struct caller *c = load_call_arg(call);
    (void)body, (void)n_body;
    if (how == LOAD_REFUSED)
        snprintf(c->noise->failed, sizeof(c->noise->failed), "the server refused a connection");
    c->noise->n_open--;
    c->call = NULL;
    caller_free(c);
}

static const struct load_handlers handlers = {.connected = on_connected, .done = on_done};

static int begin_call(struct noise *n, struct orcd_error *err)
{
    char id[32];
    struct target_request request = {.body = NULL};
    struct caller *c = calloc(1, sizeof(*c));
    if (!c)
        return error_set(err, ORCD_E_NOMEM, "out of memory");
    c->noise = n;
    c->flavour = (enum flavour)(n->n_begun % N_FLAVOURS);
    struct load_spec spec = {.url = target_url(n->target),
        .method = "POST",
        .path = "/v2/execute",
        .headers = "Content-Type: application/json\r\nContent-Length: 500\r\n",
        .handlers = &handlers,
        .arg = c};
    int rc = 0;
    if (c->flavour == AFTER_THE_POST) {
        snprintf(id, sizeof(id), "noise-%llu", (unsigned long long)n->n_begun);
        struct target_prompt prompt = {
            .job_id = id, .n_tokens = 32, .salt = n->n_begun, .max_tokens = 1000, .stream = true};
        rc = target_request(&request, n->target, &prompt, err);
        spec.headers = NULL;
        spec.body = request.body;
        spec.n_body = request.n_body;
    }
    n->n_begun++;
    rc = rc ? rc : load_call(n->load, &spec, &c->call, err);
    target_request_release(&request);
    if (rc)
        free(c);
    else
        n->n_open++;
    return rc;
}

static void begin_next(void *arg)
{
    struct noise *n = arg;
    struct orcd_error err = ORCD_ERROR_INIT;
    if (n->next_ns >= n->until_ns)
        return;
    n->next_ns += NS_PER_S / PER_SECOND;
    if (begin_call(n, &err) || load_at(n->load, n->next_ns, begin_next, n))
        snprintf(n->failed, sizeof(n->failed), "a client failed to start: %.150s", err.msg);
}

/* --- the stream ----------------------------------------------------------------------- */

struct phase {
    struct bench_measure *between, *ready;
};

static void on_token(void *arg, const struct fleet_token *t)
{
    struct phase *const *now = arg;
    if (t->before_ns && (*now)->between)
        bench_add((*now)->between, (double)(t->event->recv_ns - t->before_ns) / 1e6);
    if ((*now)->ready && t->event->sampled_ns && t->event->recv_ns > t->event->sampled_ns)
        bench_add((*now)->ready, (double)(t->event->recv_ns - t->event->sampled_ns) / 1e3);
}

static int noisy(struct noise *n, struct fleet *f, uint64_t ns, struct orcd_error *err)
{
    uint64_t begun = n->n_begun, wanted = ns * PER_SECOND / NS_PER_S;
    n->next_ns = clock_mono_ns();
    n->until_ns = n->next_ns + ns;
    begin_next(n);
    int rc = fleet_go_on(f, ns, err);
    if (rc)
        return rc;
    if (n->failed[0])
        return error_set(err, ORCD_E_IO, "%s", n->failed);
    if (n->n_begun - begun < wanted * 9 / 10)
        return error_set(err, ORCD_E_IO, "only %llu of %llu clients were started in time",
            (unsigned long long)(n->n_begun - begun), (unsigned long long)wanted);
    return 0;
}

static int phases(const struct bench_run *b, struct bench_result *r, struct noise *n, struct orcd_error *err)
{
    const char *name = b->target->name;
    struct phase quiet = {bench_measure_new(r, name, "between_tokens", "quiet", "ms"),
        bench_measure_new(r, name, "ready_to_recv", "quiet", "us")};
    struct phase loud = {bench_measure_new(r, name, "between_tokens", "1000 hang-ups/s", "ms"),
        bench_measure_new(r, name, "ready_to_recv", "1000 hang-ups/s", "us")};
    struct bench_measure *ratio = bench_measure_new(r, name, "p99_noisy_over_quiet", "", "1");
    struct phase neither = {NULL, NULL};
    struct phase *now = &neither;
    struct fleet_spec spec = {.target = n->target,
        .n_streams = 1,
        .prompt_tokens = 8,
        .max_tokens = 30000,
        .salt = b->seed,
        .timestamps = true,
        .token = on_token,
        .arg = &now};
    struct fleet *f = NULL;
    size_t pairs = bench_count(b, 2, 12);
    uint64_t each = (b->quick ? 1 : 2) * NS_PER_S;
    int rc = fleet_start(&f, n->load, &spec, err);
    rc = rc ? rc : fleet_run(f, 200 * NS_PER_MS, 0, err);
    for (size_t i = 0; rc == 0 && i < pairs; i++) {
        now = &quiet;
        rc = fleet_go_on(f, each, err);
        now = &loud;
        rc = rc ? rc : noisy(n, f, each, err);
        now = &neither;
        rc = rc ? rc : fleet_go_on(f, 100 * NS_PER_MS, err); /* the last of them leave */
        bench_progress(b, "noisy_neighbour", (double)(i + 1) / (double)pairs);
    }
    fleet_stop(f);
    if (rc)
        return rc;
    struct bench_summary with, without;
    bench_summarize(loud.between->x, loud.between->n, &with);
    bench_summarize(quiet.between->x, quiet.between->n, &without);
    bench_add(ratio, with.p99 / without.p99);
    bench_bar(ratio, BENCH_MAX, 2, "bar");
    return 0;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    static const char *const settings[] = {
        "model.slots=4", "model.context=32768", "plugin.options.token_ms=10", "log.level=warn", NULL};
    struct target_params params = {.settings = settings};
    struct noise n = {.bench = b};
    int rc = target_start(&n.target, b->target, &params, err);
    if (rc)
        return rc;
    rc = load_new(&n.load, err);
    if (rc == 0) {
        rc = phases(b, r, &n, err);
        while (n.n_open && load_run(n.load, clock_mono_ns() + NS_PER_S))
            ;
        load_free(n.load);
    }
    target_stop(n.target);
    return rc;
}

const struct bench_case bench_noisy_neighbour = {
    "noisy_neighbour", "one stream beside 1000 clients a second that connect and hang up", BENCH_MOCK, run};
