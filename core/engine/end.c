#include "engine/end.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "engine/engine-internal.h"
#include "metrics.h"

static enum metric_outcome outcome_of(const struct job_end *end)
{
    switch (end->code) {
    case API_OK:
        return end->finish == FINISH_LENGTH     ? OUTCOME_LENGTH
               : end->finish == FINISH_DEADLINE ? OUTCOME_DEADLINE_PARTIAL
                                                : OUTCOME_STOP;
    case API_DEADLINE_EXCEEDED:
        return OUTCOME_DEADLINE;
    case API_CANCELLED:
        return OUTCOME_CANCELLED;
    case API_CLIENT_DISCONNECTED:
        return OUTCOME_DISCONNECTED;
    default:
        return OUTCOME_ERROR;
    }
}

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / NS_PER_S : 0;
}

/* Every job that was queued is counted in every per-request histogram. A job that ended before it
 * reached a phase spent its time in the phase before that one. */
static void count(const struct job *j, uint64_t now)
{
    uint64_t arrived = j->request.arrived_ns, admitted = atomic_load(&j->admitted_ns);
    uint64_t first = atomic_load(&j->first_token_ns);
    metric_add_labelled(MC_REQUESTS, outcome_of(&j->end), 1);
    if (j->end.code == API_DEADLINE_EXCEEDED && j->end.phase == JOB_QUEUED)
        metric_add_labelled(MC_DEADLINE_REJECTIONS, WHEN_QUEUE, 1);
    metric_observe(MH_QUEUE_TIME, seconds_between(arrived, admitted ? admitted : now));
    metric_observe(MH_PREFILL_TIME, admitted ? seconds_between(admitted, first ? first : now) : 0);
    metric_observe(MH_TTFT, seconds_between(arrived, first ? first : now));
    metric_observe(MH_DECODE_TIME, first ? seconds_between(first, now) : 0);
    metric_observe(MH_E2E, seconds_between(arrived, now));
    if (j->end.code == API_CLIENT_DISCONNECTED)
        metric_observe(MH_DISCONNECT_DETECTION,
            seconds_between(atomic_load(&j->noticed_ns), atomic_load(&j->abort_ns)) * 1e3);
}

void engine_count_stopped(const struct job *j, uint64_t seen_ns)
{
    uint64_t noticed = atomic_load(&j->noticed_ns), now = clock_mono_ns();
    if (j->end.code == API_CANCELLED) {
        metric_observe(MH_CANCEL_DETECTION, seconds_between(noticed, seen_ns) * 1e3);
        metric_observe(MH_CANCEL_STOP, seconds_between(noticed, now) * 1e3);
    } else if (j->end.code == API_CLIENT_DISCONNECTED) {
        metric_observe(MH_DISCONNECT_STOP, seconds_between(noticed, now) * 1e3);
    }
}

bool engine_end_job(
    struct engine *e, struct job *j, enum api_code code, enum finish_reason finish, const char *fmt, ...)
{
    if (!job_end_claim(j))
        return false;
    if (code == API_VRAM_OOM || code == API_BACKEND_ERROR)
        atomic_fetch_add(&e->failed_in_row, 1);
    uint64_t now = clock_mono_ns(), first = atomic_load(&j->first_token_ns);
    struct job_end *end = &j->end;
    end->code = code;
    end->finish = finish;
    end->phase = (enum job_phase)atomic_exchange(&j->phase, JOB_DONE);
    end->tokens_out = end->n_published;
    const struct job_token *last = end->n_published ? &j->tokens[end->n_published - 1] : NULL;
    if (last && last->id < 0)
        end->tokens_out--;                   /* an entry of flushed text is not a token */
    if (last && finish == FINISH_DEADLINE) { /* any thread may read it: it belongs to the last entry */
        end->held = j->held + last->held_at;
        end->n_held = last->n_held;
    }
    end->decode_ms = first ? seconds_between(first, now) * 1e3 : 0;
    end->ttft_ms = first ? seconds_between(j->request.arrived_ns, first) * 1e3 : 0;
    va_list args;
    va_start(args, fmt);
    vsnprintf(end->message, sizeof(end->message), fmt, args);
    va_end(args);
    bool never_ran = registry_unlist(&e->registry, j);
    count(j, now);
    predict_ended(&e->predict, j);
    if (never_ran)
        engine_count_stopped(j, now);
    job_end_publish(j);
    if (j->ready)
        j->ready(j, false);
    job_unref(j); /* the registry's */
    return true;
}

bool engine_end_aborted(struct engine *e, struct job *j)
{
    switch ((enum abort_reason)atomic_load(&j->abort_reason)) {
    case ABORT_CANCEL:
        return engine_end_job(e, j, API_CANCELLED, FINISH_NONE, "cancelled");
    case ABORT_DISCONNECT:
        return engine_end_job(e, j, API_CLIENT_DISCONNECTED, FINISH_NONE, "the client disconnected");
    case ABORT_DEADLINE:
        if (j->request.deadline_partial && atomic_load(&j->admitted_ns))
            return engine_end_job(e, j, API_OK, FINISH_DEADLINE, "%s", "");
        return engine_end_job(e, j, API_DEADLINE_EXCEEDED, FINISH_NONE, "the deadline passed");
    case ABORT_SHUTDOWN:
        return engine_end_job(e, j, API_SHUTTING_DOWN, FINISH_NONE, "the worker is shutting down");
    case ABORT_NONE:
        break;
    }
    return engine_end_job(e, j, API_INTERNAL, FINISH_NONE, "aborted without a reason");
}

void engine_job_abort_noticed(struct engine *e, struct job *j, enum abort_reason reason, uint64_t noticed_ns)
{
    int none = ABORT_NONE;
    uint64_t never = 0;
    atomic_compare_exchange_strong(&j->noticed_ns, &never, noticed_ns);
    never = 0;
    atomic_compare_exchange_strong(&j->abort_ns, &never, clock_mono_ns());
    if (!atomic_compare_exchange_strong(&j->abort_reason, &none, (int)reason))
        return;
    /* This thread stores the reason, then reads the ticket. The engine thread stores the ticket,
     * then reads the reason (all seq_cst). So either the engine thread sees the reason and submits
     * no row, or this thread sees the ticket and dooms the row. */
    uint64_t ticket = atomic_load(&j->ticket);
    uint32_t seq = atomic_load(&j->slot);
    if (ticket && seq != UINT32_MAX)
        backend_abort(e->backend, ticket, &seq, 1);
    engine_end_aborted(e, j);
    registry_wake(&e->registry);
    engine_flush(e);
}

void engine_job_abort(struct engine *e, struct job *j, enum abort_reason reason)
{
    engine_job_abort_noticed(e, j, reason, clock_mono_ns());
}

enum cancel_answer engine_cancel_of(struct engine *e, const char *job_id, uint32_t owner, uint64_t noticed_ns)
{
    bool ended;
    struct job *j = registry_find(&e->registry, job_id, owner, &ended);
    if (!j)
        return ended ? CANCEL_FINISHED : CANCEL_UNKNOWN;
    engine_job_abort_noticed(e, j, ABORT_CANCEL, noticed_ns);
    job_unref(j);
    return CANCEL_CANCELLING;
}

enum cancel_answer engine_cancel(struct engine *e, const char *job_id)
{
    return engine_cancel_of(e, job_id, 0, clock_mono_ns());
}

static bool is_any(const struct job *j)
{
    (void)j;
    return true;
}

static bool is_queued(const struct job *j)
{
    return j->queued;
}

static bool is_not_aborted(const struct job *j)
{
    return atomic_load(&j->abort_reason) == ABORT_NONE;
}

static void abort_picked(struct engine *e, bool (*pick)(const struct job *j), enum abort_reason reason)
{
    for (struct job *j; (j = registry_pick(&e->registry, pick));) {
        engine_job_abort(e, j, reason);
        /* Another thread may have set its reason first and not have ended the job yet. */
        engine_end_aborted(e, j);
        job_unref(j);
    }
}

void engine_drain(struct engine *e)
{
    registry_drain(&e->registry);
    atomic_store(&e->is_draining, true);
    abort_picked(e, is_queued, ABORT_SHUTDOWN);
    engine_flush(e);
}

void engine_abort_all(struct engine *e, enum abort_reason reason)
{
    abort_picked(e, is_not_aborted, reason);
    engine_flush(e);
}

void engine_end_all(struct engine *e, enum api_code code, const char *message)
{
    for (struct job *j; (j = registry_pick(&e->registry, is_any));) {
        engine_end_job(e, j, code, FINISH_NONE, "%.140s", message);
        job_unref(j);
    }
}
