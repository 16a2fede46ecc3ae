#include "cases/deadline_load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "json/out.h"

static double uniform(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* As many between 10 and 20 as between 100 and 200. */
static double between(uint64_t *state, double low, double high)
{
    return low * pow(high / low, uniform(state));
}

struct deadline_request *deadline_requests(size_t n, double per_s, bool by_itself, uint64_t seed)
{
    struct deadline_request *r = calloc(n, sizeof(*r));
    double at_ms = 0;
    for (size_t i = 0; r && i < n; i++) {
        at_ms += per_s > 0 ? -log(1 - uniform(&seed)) / per_s * 1e3 : 0;
        r[i].at_ms = at_ms;
        r[i].prompt = (uint32_t)between(&seed, 16, 400);
        r[i].tokens = (uint32_t)between(&seed, 8, 160);
        r[i].by_itself = by_itself;
        r[i].counted = i >= n / 20 && i < n - n / 4;
        /* Two in five have little time, two more some, the fifth plenty. */
        double alone_ms = r[i].prompt * DEADLINE_PREFILL_MS + r[i].tokens * DEADLINE_TOKEN_MS;
        double kind = uniform(&seed);
        double times = kind < 0.4   ? between(&seed, 1.5, 3)
                       : kind < 0.8 ? between(&seed, 3, 8)
                                    : between(&seed, 8, 20);
        r[i].budget_ms = 100 + times * alone_ms;
    }
    return r;
}

/* --- playing ------------------------------------------------------------------------------ */

struct play;

struct one {
    struct play *play;
    const struct deadline_request *request;
    struct load_call *call;
    uint64_t deadline_ns, end_ns;
    char code[40];
    bool ended, hung_up;
    enum deadline_fate fate;
};

struct play {
    struct load *load;
    const struct target *target;
    enum deadline_policy policy;
    struct one *ones;
    size_t n, next, done;
    size_t together; /* the next when one ends */
    uint64_t start_ns;
    double per_s;
    struct orcd_error *err;
    int rc;
};

static char *make_body(const struct one *o, size_t index, size_t *n)
{
    struct json_out j;
    char id[32];
    uint64_t salt = index * 1000003;
    snprintf(id, sizeof(id), "load-%zu", index);
    json_out_growing(&j);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "job_id", id);
    json_out_open(&j, "tokens", '[');
    for (uint32_t i = 0; i < o->request->prompt; i++)
        json_out_u64(&j, NULL, 32 + (uint64_t)(uniform(&salt) * 224));
    json_out_close(&j, ']');
    json_out_bool(&j, "stream", true);
    json_out_open(&j, "params", '{');
    json_out_u64(&j, "max_tokens", o->request->tokens);
    json_out_u64(&j, "seed", index);
    if (o->request->by_itself) {
        /* The mock's end of text, made as likely as to end every fiftieth token or so. */
        json_out_u64(&j, "temperature", 1);
        json_out_open(&j, "logit_bias", '{');
        json_out_u64(&j, "257", 41);
        json_out_close(&j, '}');
    } else {
        json_out_u64(&j, "temperature", 0);
        json_out_bool(&j, "ignore_eos", true);
    }
    json_out_close(&j, '}');
    json_out_close(&j, '}');
    return json_out_take(&j, n);
}

static void start(struct play *p);

static void on_event(struct load_call *c, const struct load_event *e)
{
    struct one *o = load_call_arg(c);
    if (e->kind == LOAD_END) {
        o->ended = true;
        o->end_ns = e->kernel_ns;
    } else if (e->kind == LOAD_ERROR) {
        const char *at = strstr(e->data, "\"code\":\"");
        if (at)
            snprintf(o->code, sizeof(o->code), "%.*s", (int)strcspn(at + 8, "\""), at + 8);
    }
}

static void on_done(struct load_call *c, enum load_outcome how, const char *body, size_t n_body)
{
    struct one *o = load_call_arg(c);
    struct play *p = o->play;
    int status = load_call_status(c);
    (void)n_body;
    o->call = NULL;
    if (o->ended && how == LOAD_COMPLETE)
        o->fate = o->end_ns <= o->deadline_ns ? DEADLINE_IN_TIME : DEADLINE_LATE;
    else if (o->hung_up)
        o->fate = DEADLINE_HUNG_UP;
    else if (status == 429)
        o->fate = DEADLINE_REJECTED;
    else if (status == 504 && body && !strstr(body, "\"phase\":\"queue\""))
        o->fate = DEADLINE_REFUSED;
    else if (status == 504 || strcmp(o->code, "DEADLINE_EXCEEDED") == 0)
        o->fate = DEADLINE_DOOMED;
    /* While all clients are busy. */
    if (++p->done + p->together == p->n)
        p->per_s = (double)p->done / ((double)(clock_mono_ns() - p->start_ns) / NS_PER_S);
    if (p->together && p->next < p->n)
        start(p);
}

static void on_late(void *arg)
{
    struct one *o = arg;
    if (!o->call)
        return;
    o->hung_up = true;
    load_call_close(o->call, LOAD_CLOSE);
}

static void send_request(struct play *p, struct one *o)
{
    static const struct load_handlers handlers = {.event = on_event, .done = on_done};
    size_t n_body = 0;
    char *body = make_body(o, (size_t)(o - p->ones), &n_body), headers[80] = "", time[40];
    uint64_t now = clock_mono_ns(), real_ns = clock_real_ns() + o->deadline_ns - now;
    clock_format_rfc3339(real_ns, time, sizeof(time));
    if (p->policy == DEADLINE_SENT)
        snprintf(headers, sizeof(headers), "X-Deadline: %s\r\n", time);
    struct load_spec spec = {.url = target_url(p->target),
        .method = "POST",
        .path = "/v2/execute",
        .headers = headers,
        .body = body,
        .n_body = n_body,
        .handlers = &handlers,
        .arg = o};
    p->rc =
        body ? load_call(p->load, &spec, &o->call, p->err) : error_set(p->err, ORCD_E_NOMEM, "out of memory");
    free(body);
    if (!p->rc && p->policy == DEADLINE_HANG_UP)
        p->rc = load_at(p->load, o->deadline_ns, on_late, o);
    if (p->rc)
        load_stop(p->load);
}

static void on_arrival(void *arg)
{
    start(arg);
}

static uint64_t arrival_ns(const struct play *p, size_t i)
{
    return p->start_ns + (uint64_t)(p->ones[i].request->at_ms * 1e6);
}

/* The next one, and a timer for the one after it. */
static void start(struct play *p)
{
    struct one *o = &p->ones[p->next];
    uint64_t arrival = p->together ? clock_mono_ns() : arrival_ns(p, p->next);
    p->next++;
    o->deadline_ns = arrival + (uint64_t)(o->request->budget_ms * 1e6);
    send_request(p, o);
    if (!p->rc && !p->together && p->next < p->n)
        p->rc = load_at(p->load, arrival_ns(p, p->next), on_arrival, p);
}

static void count(const struct play *p, enum deadline_fate *fates, struct deadline_outcome *out)
{
    memset(out, 0, sizeof(*out));
    out->per_s = p->per_s;
    for (size_t i = 0; i < p->n; i++) {
        if (fates)
            fates[i] = p->ones[i].fate;
        out->offered += p->ones[i].request->counted;
        out->n[p->ones[i].fate] += p->ones[i].request->counted;
    }
}

int deadline_play(const struct target *t, const struct deadline_request *requests, size_t n,
    enum deadline_policy policy, size_t together, enum deadline_fate *fates, struct deadline_outcome *out,
    struct orcd_error *err)
{
    struct play p = {.target = t, .policy = policy, .n = n, .together = together, .err = err};
    p.ones = calloc(n, sizeof(*p.ones));
    p.rc = p.ones ? load_new(&p.load, err) : error_set(err, ORCD_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n && !p.rc; i++) {
        p.ones[i].play = &p;
        p.ones[i].request = &requests[i];
    }
    p.start_ns = clock_mono_ns();
    for (size_t i = 0; i < together && p.next < n && !p.rc; i++)
        start(&p);
    if (!together && !p.rc)
        p.rc = load_at(p.load, arrival_ns(&p, 0), on_arrival, &p);
    if (!p.rc) {
        load_run(p.load, 0);
        count(&p, fates, out);
    }
    load_free(p.load);
    free(p.ones);
    if (!p.rc && out->n[DEADLINE_FAILED])
        return error_set(err, ORCD_E_INTERNAL,
            "%zu of %zu requests failed for another reason than their deadline", out->n[DEADLINE_FAILED], n);
    return p.rc;
}
