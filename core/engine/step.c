#include "engine/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/check.h"
#include "engine/device.h"
#include "engine/end.h"
#include "engine/engine-internal.h"
#include "engine/publish.h"
#include "metrics.h"

#define WARM_UP_TOKENS 8 /* enough for a first rate, and fast even on a slow device */

int step_init(struct step *st, uint32_t n_rows, uint32_t n_tokens)
{
    uint32_t **words[] = {&st->seq, &st->first_pos, &st->row_tokens, &st->token_start, &st->want, &st->kind,
        &st->kept, &st->n_logits};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!(*words[i] = calloc(n_rows, sizeof(uint32_t))))
            return -1;
    st->tokens = calloc(n_tokens, sizeof(int32_t));
    st->status = calloc(n_rows, sizeof(int32_t));
    st->sampled = calloc(n_rows, sizeof(int32_t));
    st->logits = calloc(n_rows, sizeof(*st->logits));
    st->top_ids = calloc(n_rows, sizeof(*st->top_ids));
    st->top_logprobs = calloc(n_rows, sizeof(*st->top_logprobs));
    return st->tokens && st->status && st->sampled && st->logits && st->top_ids && st->top_logprobs ? 0 : -1;
}

void step_release(struct step *st)
{
    void *all[] = {st->seq, st->first_pos, st->row_tokens, st->token_start, st->want, st->kind, st->kept,
        st->n_logits, st->tokens, st->status, st->sampled, st->logits, st->top_ids, st->top_logprobs};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        free(all[i]);
    memset(st, 0, sizeof(*st));
}

/* The step that is composed next. */
static struct step *step_next(struct engine *e)
{
    return &e->steps[(e->first_step + e->n_steps) % e->max_steps];
}

static void step_begin(struct engine *e)
{
    struct step *st = step_next(e);
    st->ticket = e->next_ticket;
    st->n_rows = st->n_tokens = st->n_decode = st->n_prefill = 0;
}

static void step_add(struct step *st, const struct slot *s, const int32_t *tokens, uint32_t n, bool last)
{
    uint32_t r = st->n_rows++;
    st->seq[r] = s->id;
    st->first_pos[r] = s->n_fed;
    st->row_tokens[r] = n;
    st->token_start[r] = st->n_tokens;
    st->want[r] = last ? ORCD_WANT_LAST : ORCD_WANT_NONE;
    st->kind[r] = s->on_device ? ORCD_KIND_TOKEN : ORCD_KIND_LOGITS;
    memcpy(st->tokens + st->n_tokens, tokens, n * sizeof(*tokens));
    st->n_tokens += n;
}

static int step_start(struct engine *e, struct orcd_error *err)
{
    const struct step *st = step_next(e);
    struct orcd_batch batch = {
        .size = sizeof(batch),
        .n_rows = st->n_rows,
        .ticket = st->ticket,
        .seq = st->seq,
        .first_pos = st->first_pos,
        .n_tokens = st->row_tokens,
        .token_start = st->token_start,
        .tokens = st->tokens,
        .want = st->want,
        .kind = st->kind,
    };
    e->next_ticket++;
    if (!e->n_steps) {
        e->pace.from_ns = clock_mono_ns();
        atomic_store(&e->pending_since_ns, e->pace.from_ns);
    }
    int rc = backend_submit(e->backend, &batch, err);
    if (!rc)
        e->n_steps++;
    else if (!e->n_steps)
        atomic_store(&e->pending_since_ns, 0);
    return rc;
}

/* Waits for the oldest step in flight and removes it from the ring. */
static int step_wait(struct engine *e, struct orcd_result *result, struct orcd_error *err)
{
    struct step *st = &e->steps[e->first_step];
    *result = (struct orcd_result){
        .size = sizeof(*result),
        .row_capacity = e->params.n_slots,
        .status = st->status,
        .kept = st->kept,
        .logits = st->logits,
        .n_logits = st->n_logits,
        .token = st->sampled,
        .top_ids = st->top_ids,
        .top_logprobs = st->top_logprobs,
    };
    int rc = backend_wait(e->backend, result, err);
    e->first_step = (e->first_step + 1) % e->max_steps;
    e->n_steps--;
    return rc;
}

static uint64_t step_duration(const struct orcd_result *r)
{
    return r->finished_ns > r->started_ns ? r->finished_ns - r->started_ns : 0;
}

/* Computes n tokens of one sequence in a step of their own. */
static int lone_row(struct engine *e, uint32_t seq, uint32_t first_pos, uint32_t n,
    struct orcd_result *result, struct orcd_error *err)
{
    int32_t tokens[WARM_UP_TOKENS] = {0};
    struct step *st = step_next(e);
    struct slot s = {.id = seq, .n_fed = first_pos};
    step_begin(e);
    step_add(st, &s, tokens, n, true);
    int rc = step_start(e, err);
    if (!rc)
        rc = step_wait(e, result, err);
    if (!rc && st->status[0])
        rc =
            error_set(err, st->status[0], "a step of the engine's own failed: %s", error_name(st->status[0]));
    atomic_store(&e->pending_since_ns, 0);
    return rc;
}

/* Computes n tokens of the empty sequence 0 as a prompt, then one more. */
static int warm_up_run(struct engine *e, uint32_t n, bool learns, struct orcd_error *err)
{
    struct orcd_result prompt, decode;
    int rc = lone_row(e, 0, 0, n, &prompt, err);
    if (!rc)
        rc = lone_row(e, 0, n, 1, &decode, err);
    if (rc || !learns)
        return rc;
    rates_learn_step(&e->rates, 0, n, prompt.started_ns, prompt.finished_ns);
    rates_learn_step(&e->rates, 1, 0, decode.started_ns, decode.finished_ns);
    return 0;
}

int engine_warm_up(struct engine *e, struct orcd_error *err)
{
    uint32_t n = WARM_UP_TOKENS, kept;
    n = n < e->params.max_batch_tokens ? n : e->params.max_batch_tokens;
    n = n < e->params.n_ctx ? n : e->params.n_ctx - 1;
    int rc = n ? backend_seq_open(e->backend, 0, n + 1, err) : 0;
    if (rc || !n)
        return rc;
    /* The first run pays for what is set up when it is first needed, a library or a kernel. */
    rc = warm_up_run(e, n, false, err);
    if (!rc)
        rc = backend_seq_trim(e->backend, 0, 0, &kept, err);
    if (!rc)
        rc = warm_up_run(e, n, true, err);
    int closed = backend_seq_close(e->backend, 0, rc ? NULL : err);
    return rc ? rc : closed;
}

static struct slot *idle_slot(struct engine *e)
{
    for (uint32_t i = 0; i < e->params.n_slots; i++)
        if (!e->slots[i].job)
            return &e->slots[i];
    return NULL;
}

void step_probe(struct engine *e)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct orcd_result result;
    struct slot *s = e->n_steps ? NULL : idle_slot(e);
    if (!s || clock_mono_ns() < device_probe_due(e))
        return;
    slot_close(e, s);
    int rc = backend_seq_open(e->backend, s->id, 2, &err);
    if (!rc) {
        const struct step *st = step_next(e);
        rc = lone_row(e, s->id, 0, 1, &result, &err);
        for (uint32_t i = 0; !rc && st->logits[0] && i < st->n_logits[0]; i++)
            rc = isnan(st->logits[0][i]) ? ORCD_E_INTERNAL : 0;
        backend_seq_close(e->backend, s->id, NULL);
    }
    if (rc == ORCD_E_DEVICE_LOST)
        device_lost(e, &err);
    device_probed(e, rc);
}

static bool is_prefilling(const struct slot *s)
{
    return s->n_fed < s->job->request.n_tokens;
}

/* The slot's next row depends on a token that the host samples from the row in flight. */
static bool waits_for_host(const struct slot *s)
{
    return s->job && s->rows_in_flight && !s->chained && !is_prefilling(s) && !job_is_stopping(s->job);
}

/* Whether the slot may have a row in this step. The ticket is stored before the abort reason is read:
 * see engine_job_abort_noticed(). */
static bool may_run(const struct step *st, struct slot *s)
{
    if (!s->job || job_is_stopping(s->job))
        return false;
    if (s->chained && s->n_sampled + 1 >= s->job->request.max_tokens)
        return false; /* the row of its last token is in flight */
    atomic_store(&s->job->ticket, st->ticket);
    return !job_is_stopping(s->job);
}

static void row_add(struct step *st, struct slot *s, const int32_t *tokens, uint32_t n, bool last)
{
    step_add(st, s, tokens, n, last);
    s->rows_in_flight++;
    s->row_ticket = st->ticket;
    s->n_fed += n;
    s->chained = last && s->on_device;
}

static void add_decode_rows(struct engine *e)
{
    static const int32_t chained = ORCD_TOKEN_CHAINED;
    struct step *st = step_next(e);
    uint32_t n = e->params.n_slots, most = e->params.max_step_rows ? e->params.max_step_rows : n;
    uint32_t first = most < n ? e->turn % n : 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = first + i < n ? first + i : first + i - n;
        struct slot *s = &e->slots[at];
        /* Each slot that may run gets the ticket: next_prefill() finds it by that. */
        if (!may_run(st, s) || is_prefilling(s) || st->n_decode == most)
            continue;
        row_add(st, s, s->rows_in_flight ? &chained : &s->next_token, 1, true);
        st->n_decode++;
        e->turn = at + 1;
    }
}

/* The most urgent slot that prefills and has no row in this step yet. NULL: none. */
static struct slot *next_prefill(struct engine *e, const struct step *st)
{
    struct slot *best = NULL;
    for (uint32_t i = 0; i < e->params.n_slots; i++) {
        struct slot *s = &e->slots[i];
        if (s->job && atomic_load(&s->job->ticket) == st->ticket && s->row_ticket != st->ticket &&
            is_prefilling(s) &&
            (!best || s->job->rank_ns < best->job->rank_ns ||
                (s->job->rank_ns == best->job->rank_ns && s->job->order < best->job->order)))
            best = s;
    }
    return best;
}

static void add_prefill_rows(struct engine *e)
{
    struct step *st = step_next(e);
    struct slot *s = next_prefill(e, st);
    if (!s)
        return;
    uint32_t budget = rates_prefill_budget(&e->rates, st->n_decode, e->params.max_batch_tokens - st->n_tokens,
        e->params.prefill_slice_ms * NS_PER_MS);
    for (; s && budget; s = next_prefill(e, st)) {
        const struct request *r = &s->job->request;
        uint32_t n = r->n_tokens - s->n_fed;
        n = n < budget ? n : budget;
        row_add(st, s, r->tokens + s->n_fed, n, s->n_fed + n == r->n_tokens);
        st->n_prefill += n;
        budget -= n;
    }
    rates_composed(&e->rates, st->n_prefill);
}

static enum api_code code_of(int rc)
{
    switch (rc) {
    case ORCD_E_DEVICE_MEMORY:
    case ORCD_E_OUT_OF_KV:
    case ORCD_E_NOMEM:
        return API_VRAM_OOM;
    case ORCD_E_DEVICE_LOST:
        return API_DEVICE_LOST;
    default:
        return API_BACKEND_ERROR;
    }
}

static void row_through(struct slot *s)
{
    if (--s->rows_in_flight == 0)
        s->chained = false;
}

/* After an error of a whole step no sequence has changed: its jobs end, their KV stays. The step behind
 * it in the pipeline then fails with ABORTED, which is not the fault of its jobs: those that have not
 * ended get their rows again. */
static void step_failed(struct engine *e, const struct step *st, int rc, const struct orcd_error *err)
{
    bool again = rc == ORCD_E_ABORTED && e->poisoned;
    e->poisoned = e->n_steps > 0;
    if (!again)
        log_event(ORCD_LOG_ERROR, "a step failed", LOG_T("code", error_name(rc)), LOG_T("error", err->msg),
            (struct log_field *)NULL);
    for (uint32_t r = 0; r < st->n_rows; r++) {
        struct slot *s = &e->slots[st->seq[r]];
        row_through(s);
        s->n_fed = s->rows_in_flight ? st->first_pos[r] : s->n_history;
        if (!again && rc != ORCD_E_DEVICE_LOST)
            engine_end_job(e, s->job, code_of(rc), FINISH_NONE, "%.140s", err->msg);
    }
    if (rc == ORCD_E_DEVICE_LOST)
        device_lost(e, err);
}

/* With one step in flight, the next one is submitted only if every running slot can have a row in it: a
 * slot that the host samples for would miss it, and would then run in every other step only. It is also
 * not submitted if all jobs of the step in flight are stopping, because that step will end very soon. */
bool step_can_follow(const struct engine *e)
{
    bool wanted = false;
    for (uint32_t i = 0; i < e->params.n_slots; i++) {
        const struct slot *s = &e->slots[i];
        if (waits_for_host(s))
            return false;
        wanted = wanted || (s->job && s->rows_in_flight && !job_is_stopping(s->job));
    }
    return wanted && !e->poisoned;
}

bool step_submit(struct engine *e)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    const struct step *st = step_next(e);
    step_begin(e);
    add_decode_rows(e);
    add_prefill_rows(e);
    if (st->n_rows == 0)
        return false;
    metric_observe(MH_STEP_ROWS, st->n_rows);
    int rc = step_start(e, &err);
    if (!rc)
        return true;
    step_failed(e, st, rc, &err);
    return false;
}

/* Records which of this row's tokens the plugin now holds. */
static void row_keep(struct slot *s, const struct step *st, uint32_t r)
{
    uint32_t first = st->first_pos[r], n = st->kept[r] > first ? st->kept[r] - first : 0;
    int32_t *tokens = st->tokens + st->token_start[r];
    if (tokens[0] == ORCD_TOKEN_CHAINED)
        tokens[0] = s->next_token;
    memcpy(s->history + first, tokens, n * sizeof(*s->history));
    s->n_history = st->kept[r];
}

static void row_collect(struct engine *e, const struct step *st, uint32_t r, uint64_t now)
{
    struct slot *s = &e->slots[st->seq[r]];
    struct job *j = s->job;
    int rc = st->status[r];
    row_through(s);
    row_keep(s, st, r);
    if (!rc && s->n_history != st->first_pos[r] + st->row_tokens[r])
        rc = ORCD_E_INTERNAL;
    bool wanted = !rc && st->want[r] == ORCD_WANT_LAST;
    s->next_token = wanted && s->on_device ? st->sampled[r] : -1;
    if (job_is_stopping(j)) {
        s->n_dropped += wanted;
        return; /* engine_reap() handles it before the next step */
    }
    if (rc) {
        engine_end_job(e, j, code_of(rc), FINISH_NONE, "the plugin failed to compute a row of this job (%s)",
            error_name(rc));
        slot_doom(e, s);
        return;
    }
    s->unchecked += st->row_tokens[r];
    if (wanted && s->on_device)
        publish_token(e, s, st->sampled[r], now);
    else if (wanted)
        publish_logits(e, s, st->logits[r]);
}

/* If no step is in flight, the next one is submitted at once, so it counts as begun. A step behind one
 * in flight is composed late (pace.h), so a job that arrives now can still join it. */
static void report_slots(struct engine *e)
{
    predict_in_flight(&e->predict, e->n_steps ? e->n_steps : 1);
    for (uint32_t i = 0; i < e->params.n_slots; i++)
        if (e->slots[i].job)
            slot_report(e, &e->slots[i]);
}

static void learn(struct engine *e, const struct step *st, const struct orcd_result *result)
{
    uint64_t ns = step_duration(result), used = 0;
    for (uint32_t i = 0; i < e->params.n_slots; i++)
        used += e->slots[i].n_history;
    atomic_store(&e->kv_tokens_used, used);
    for (uint32_t r = 0; r < st->n_rows; r++)
        if (st->status[r])
            return;
    rates_learn_step(&e->rates, st->n_decode, st->n_prefill, result->started_ns, result->finished_ns);
    if (!st->n_prefill)
        pace_learn(&e->pace, ns);
    metric_observe(st->n_prefill ? MH_STEP_PREFILL : MH_STEP_DECODE, (double)ns / NS_PER_S);
}

void step_collect(struct engine *e)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct orcd_result result;
    const struct step *st = &e->steps[e->first_step];
    int rc = step_wait(e, &result, &err);
    uint64_t now = clock_mono_ns();
    atomic_store(&e->last_step_ns, now);
    atomic_store(&e->pending_since_ns, e->n_steps ? now : 0);
    if (rc) {
        step_failed(e, st, rc, &err);
        return;
    }
    e->poisoned = false;
    e->flushed_ns = now;
    e->may_send_now =
        st->n_rows <= ENGINE_SEND_NOW_ROWS || (e->n_steps && st->n_rows <= e->params.send_now_rows);
    e->pace.from_ns = result.finished_ns;
    for (uint32_t r = 0; r < st->n_rows; r++)
        row_collect(e, st, r, now);
    engine_flush(e);
    report_slots(e);
    learn(e, st, &result);
}
