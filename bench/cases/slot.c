#include "cases/slot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PATIENCE_MS 60000
#define MAX_SETTINGS 24

double slot_random(struct slot *s)
{
    s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(s->random >> 11) / 9007199254740992.0;
}

struct ask *slot_holder(struct slot *s)
{
    return &s->jobs[s->holder];
}

struct ask *slot_waiting(struct slot *s)
{
    return &s->jobs[!s->holder];
}

static int begin_job(struct slot *s, struct ask *a, bool whole, uint32_t prompt_tokens, uint32_t max_tokens,
    struct orcd_error *err)
{
    char id[32];
    snprintf(id, sizeof(id), "slot-%u", ++s->serial);
    struct target_prompt p = {.job_id = id,
        .n_tokens = prompt_tokens,
        .salt = s->b->seed + s->serial,
        .max_tokens = max_tokens,
        .stream = !whole};
    return ask_job(a, s->load, s->target, &p, NULL, err);
}

static int start_beside(struct slot *s, struct orcd_error *err)
{
    for (uint32_t i = 0; i < s->params.beside; i++) {
        int rc = begin_job(s, &s->beside[i], false, 8, 30000, err);
        if (rc)
            return rc;
        if (!ask_until(&s->beside[i], ASK_TOKEN, 1, PATIENCE_MS))
            return error_set(err, ORCD_E_BUSY, "a stream beside the job did not start (status %d %s)",
                s->beside[i].status, s->beside[i].code);
    }
    return 0;
}

int slot_start(struct slot *s, const struct bench_run *b, const struct slot_params *p, struct orcd_error *err)
{
    const char *settings[MAX_SETTINGS], slots[32] = "";
    size_t n = 0;
    *s = (struct slot){.b = b, .params = *p, .random = b->seed};
    snprintf((char *)(uintptr_t)slots, sizeof(slots), "model.slots=%u", p->beside + 1);
    settings[n++] = slots;
    for (const char *const *x = p->settings; x && *x && n + 1 < MAX_SETTINGS; x++)
        settings[n++] = *x;
    settings[n] = NULL;
    bool ours = b->target->api == TARGET_ORCD;
    bool mock = b->target->plugin && strcmp(b->target->plugin, "mock") == 0;
    struct target_params tp = {.settings = ours ? settings : NULL, .model = mock ? NULL : b->model};
    int rc = target_start(&s->target, b->target, &tp, err);
    if (!rc)
        rc = load_new(&s->load, err);
    return rc ? rc : start_beside(s, err);
}

void slot_stop(struct slot *s)
{
    load_free(s->load);
    target_stop(s->target);
    s->load = NULL;
    s->target = NULL;
}

static void pass_ms(struct slot *s, double ms)
{
    ask_pass(s->load, clock_mono_ns() + (uint64_t)(ms * 1e6));
}

static int failed(const struct ask *a, const char *what, struct orcd_error *err)
{
    return error_set(err, ORCD_E_BUSY, "%s (status %d, %s %s, %u tokens)", what, a->status,
        a->done ? "done" : "open", a->code, a->n_tokens);
}

/* A peer's response may begin with its first token, so that its prefill does not show:
 * it gets time instead, and must not have said anything after it. */
static int await_prefill(struct slot *s, struct ask *a, struct orcd_error *err)
{
    bool shows = target_api(s->target) == TARGET_ORCD && !s->params.whole;
    if (shows && !ask_until(a, ASK_STARTED, 0, PATIENCE_MS))
        return failed(a, "the job did not get its slot", err);
    if (!shows)
        pass_ms(s, target_api(s->target) == TARGET_ORCD ? 20 : 200);
    return 0;
}

static int await_decode(struct slot *s, struct ask *a, uint32_t more, struct orcd_error *err)
{
    if (s->params.whole) /* its tokens do not show */
        pass_ms(s, 10 + 10 * more);
    else if (!ask_until(a, ASK_TOKEN, a->n_tokens + more, PATIENCE_MS))
        return failed(a, "the job sent no further tokens", err);
    return 0;
}

/* A peer may send the head of a response whose job still waits. There, the one that waits
 * is short, and its first token tells. */
static bool head_tells(const struct slot *s)
{
    return target_api(s->target) == TARGET_ORCD;
}

static bool next_is_short(const struct slot *s)
{
    return s->params.whole || !head_tells(s);
}

int slot_ready(struct slot *s, struct orcd_error *err)
{
    struct ask *a = slot_holder(s), *next = slot_waiting(s);
    const struct slot_params *p = &s->params;
    int rc = 0;
    if (!a->load)
        rc = begin_job(s, a, p->whole, p->prompt_tokens, p->max_tokens, err);
    if (!rc)
        rc = p->prefill ? await_prefill(s, a, err) : await_decode(s, a, 1, err);
    if (!rc)
        rc = next_is_short(s) ? begin_job(s, next, false, 8, 1, err)
                              : begin_job(s, next, false, p->prompt_tokens, p->max_tokens, err);
    if (rc)
        return rc;
    if (p->prefill)
        pass_ms(s, 5);
    else
        rc = await_decode(s, a, 2, err);
    pass_ms(s, slot_random(s) * p->phase_ms);
    if (rc)
        return rc;
    if (a->done || a->end_ns || (p->prefill && a->n_tokens))
        return failed(a, "the job left the phase to be measured too early", err);
    if ((head_tells(s) && next->head_ns) || next->first_ns || next->done)
        return failed(next, "the waiting job did not wait", err);
    return 0;
}

int slot_freed(struct slot *s, uint64_t *at_ns, struct orcd_error *err)
{
    struct ask *next = slot_waiting(s);
    bool head = head_tells(s);
    if (!ask_until(next, head ? ASK_HEAD : ASK_TOKEN, head ? 0 : 1, PATIENCE_MS) || next->status != 200)
        return failed(next, "the slot was not freed", err);
    *at_ns = head ? next->head_ns : next->first_ns;
    return 0;
}

void slot_pass(struct slot *s)
{
    ask_reset(slot_holder(s));
    if (next_is_short(s)) {
        ask_until(slot_waiting(s), ASK_DONE, 0, PATIENCE_MS);
        ask_reset(slot_waiting(s));
    } else {
        s->holder = !s->holder;
    }
}

void slot_add_histogram(struct bench_measure *m, const char *before, const char *after, const char *name)
{
    char prefix[128];
    int n = snprintf(prefix, sizeof(prefix), "%s_bucket{le=\"", name);
    double below = 0, last = 0;
    for (const char *line = after; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, prefix, (size_t)n) != 0)
            continue;
        char bucket[192];
        size_t k = strcspn(line, "}") + 1;
        if (k >= sizeof(bucket))
            continue;
        memcpy(bucket, line, k);
        bucket[k] = 0;
        double was = target_metric_of(before, bucket), is = target_metric_of(after, bucket);
        double le = strtod(line + n, NULL), count = is - (isnan(was) ? 0 : was);
        last = isinf(le) ? last : le;
        for (; below < count; below++)
            bench_add(m, last);
    }
}
