/*
 * The time in which the server receives, checks, parses and tokenizes a prompt of 32 KB: from the
 * last send() of the request to the head of the answer, as stamped by the kernel. Once for a job that
 * is accepted (the head is sent when it gets its slot, before the prefill), once for a job that is
 * refused with 504 because the worker predicts that it would miss its deadline. An echo server, which
 * reads the same requests and answers, takes turns with the worker, round by round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/bench.h"
#include "lib/echo.h"

#define PROMPT_BYTES 32768
#define WARM_UP 40
#define ROUND 200 /* requests */

struct ask {
    uint64_t head_ns;
    int status;
    bool complete;
    char said[160];
};

static void on_head(struct load_call *c, int status, uint64_t kernel_ns)
{
    struct ask *a = load_call_arg(c);
    a->status = status;
    a->head_ns = kernel_ns > load_call_sent_ns(c) ? kernel_ns - load_call_sent_ns(c) : 0;
}

static void on_done(struct load_call *c, enum load_outcome how, const char *body, size_t n_body)
{
    struct ask *a = load_call_arg(c);
    (void)n_body;
    a->complete = how == LOAD_COMPLETE;
    snprintf(a->said, sizeof(a->said), "%s", body);
}

static const struct load_handlers handlers = {.head = on_head, .done = on_done};

/* echo: in place of the worker; NULL: none. */
static int ask_once(struct load *l, const struct target *t, const char *echo, const char *text, uint64_t n,
    uint32_t max_tokens, const char *headers, struct ask *a, struct orcd_error *err)
{
    char id[32];
    snprintf(id, sizeof(id), "admission-%llu", (unsigned long long)n);
    struct target_prompt prompt = {.job_id = id, .text = text, .max_tokens = max_tokens, .stream = true};
    struct target_request request;
    int rc = target_request(&request, t, &prompt, err);
    if (rc)
        return rc;
    struct load_spec spec = {.url = echo ? echo : target_url(t),
        .method = "POST",
        .path = echo ? "/read" : request.path,
        .headers = headers,
        .body = request.body,
        .n_body = request.n_body,
        .handlers = &handlers,
        .arg = a};
    memset(a, 0, sizeof(*a));
    rc = load_call(l, &spec, NULL, err);
    target_request_release(&request);
    if (rc)
        return rc;
    if (!load_run(l, clock_mono_ns() + 60 * NS_PER_S) || !a->complete)
        return error_set(err, ORCD_E_IO, "a request was not answered: status %d, %s", a->status, a->said);
    return 0;
}

/* Letters and spaces, never the same twice at its beginning. */
static void write_prompt(char *text, uint64_t n)
{
    for (size_t i = 0; i < PROMPT_BYTES; i++)
        text[i] = i % 6 == 5 ? ' ' : (char)('a' + (i * 7 + i / 6) % 26);
    for (int i = 0; i < 5; i++, n /= 26)
        text[i] = (char)('a' + n % 26);
    text[PROMPT_BYTES] = 0;
}

/* Request i of a round. */
static int sample(struct load *l, const struct target *t, const char *echo, uint64_t i, bool refused,
    struct bench_measure *m, struct orcd_error *err)
{
    char text[PROMPT_BYTES + 1];
    struct ask a;
    write_prompt(text, i);
    int rc =
        ask_once(l, t, echo, text, WARM_UP + i, 1, refused ? "Request-Timeout-Ms: 1000\r\n" : NULL, &a, err);
    if (rc == 0 && a.status != (refused && !echo ? 504 : 200))
        rc = error_set(err, ORCD_E_IO, "unexpected answer: status %d, %s", a.status, a.said);
    if (rc == 0 && a.head_ns)
        bench_add(m, (double)a.head_ns / 1e6);
    return rc;
}

/* Requests at .. end of a round. */
static int round_of(struct load *l, const struct target *t, const char *echo, uint64_t at, uint64_t end,
    bool refused, struct bench_measure *m, struct orcd_error *err)
{
    int rc = 0;
    bench_round(m);
    for (uint64_t i = at; rc == 0 && i < end; i++)
        rc = sample(l, t, echo, i, refused, m, err);
    return rc;
}

static int measure(const struct bench_run *b, struct target *t, const struct echo *echo, bool refused,
    struct bench_measure *m, struct bench_measure *plain, struct orcd_error *err)
{
    char text[PROMPT_BYTES + 1];
    struct load *l;
    struct ask a;
    size_t n = bench_count(b, 300, 3000);
    int rc = load_new(&l, err);
    if (rc)
        return rc;
    /* The worker learns its rates from short prompts, 1 ms a token. */
    for (size_t i = 0; rc == 0 && i < WARM_UP; i++) {
        write_prompt(text, i);
        text[refused ? 20 : PROMPT_BYTES] = 0;
        rc = ask_once(l, t, NULL, text, i, 4, NULL, &a, err);
    }
    for (size_t at = 0; rc == 0 && at < n; at += ROUND) {
        size_t end = at + ROUND < n ? at + ROUND : n;
        rc = round_of(l, t, NULL, at, end, refused, m, err);
        rc = rc ? rc : round_of(l, t, echo_url(echo), at, end, refused, plain, err);
        bench_progress(b, "admission", (double)end / (double)n);
    }
    load_free(l);
    return rc;
}

static int run_variant(
    const struct bench_run *b, struct bench_result *r, bool refused, struct orcd_error *err)
{
    const char *const settings[] = {"model.slots=4", "model.context=65536",
        refused ? "plugin.options.prefill_us_per_token=1000" : "plugin.options.prefill_us_per_token=0",
        "model.max_batch_tokens=65536", "plugin.options.context=65536", "log.level=warn", NULL};
    static const struct echo_pattern no_streams = {.n_streams = 1, .interval_ns = NS_PER_S, .groups = 1};
    const char *variant = refused ? "32 KB, refused" : "32 KB, taken";
    struct target_params params = {.settings = settings};
    struct target *t;
    struct echo *echo;
    struct bench_measure *m = bench_measure_new(r, b->target->name, "sent_to_head", variant, "ms"),
                         *plain = bench_measure_new(r, "echo", "sent_to_head", variant, "ms");
    bench_bar(m, BENCH_P99, 1, "bar");
    m->echo = plain;
    int rc = echo_start(&echo, &no_streams, err);
    if (rc)
        return rc;
    rc = target_start(&t, b->target, &params, err);
    if (!rc) {
        rc = measure(b, t, echo, refused, m, plain, err);
        target_stop(t);
    }
    echo_stop(echo);
    return rc;
}

static int run(const struct bench_run *b, struct bench_result *r, struct orcd_error *err)
{
    int rc = run_variant(b, r, false, err);
    return rc ? rc : run_variant(b, r, true, err);
}

const struct bench_case bench_admission = {"admission",
    "receive, parse and tokenize a prompt of 32 KB: last send() to the head of the answer", BENCH_MOCK, run};
