#include "engine/publish.h"

#include <string.h>

#include "base/clock.h"
#include "engine/end.h"
#include "engine/engine-internal.h"
#include "metrics.h"

static bool ends_generation(const struct engine *e, const struct slot *s, int32_t id)
{
    const struct request *r = &s->job->request;
    for (uint32_t i = 0; i < r->n_stop_ids; i++)
        if (r->stop_ids[i] == id)
            return true;
    return tokenizer_is_eog(e->tokenizer, id) && !r->ignore_eos;
}

static void entry_fill(struct slot *s, struct job_token *t, int32_t id, uint32_t n_text)
{
    *t = (struct job_token){.id = id, .text_at = s->n_text, .n_text = n_text, .top_at = s->n_top};
    s->n_text += n_text;
}

/* Publishes held-back text, before an end that was not caused by a stop string. True: its end is one. */
static bool slot_flush_text(struct slot *s)
{
    struct job *j = s->job;
    bool stopped;
    size_t n = outtext_flush(&s->text, j->text + s->n_text, &stopped);
    if (!n)
        return stopped;
    struct job_token *t = &j->tokens[job_published(j)];
    entry_fill(s, t, -1, (uint32_t)n);
    t->sampled_ns = clock_mono_ns();
    job_publish(j);
    return stopped;
}

/* The answer is complete. */
static void answer_finish(struct engine *e, struct slot *s, enum finish_reason why)
{
    if (why != FINISH_STOP_SEQUENCE && slot_flush_text(s))
        why = FINISH_STOP_SEQUENCE;
    engine_end_job(e, s->job, API_OK, why, "%s", "");
    slot_doom(e, s);
}

/* Appends the drawn token as an event, and ends the job if it was the last token. */
static void append(struct engine *e, struct slot *s, const struct sample_result *drawn, uint64_t now)
{
    struct job *j = s->job;
    bool stopped = false;
    if (j->request.prompt_only) {
        answer_finish(e, s, FINISH_LENGTH);
        return;
    }
    if (ends_generation(e, s, drawn->id)) {
        answer_finish(e, s, FINISH_STOP);
        return;
    }
    struct job_token *t = &j->tokens[job_published(j)];
    size_t n = outtext_push(&s->text, drawn->id, j->text + s->n_text, &stopped);
    entry_fill(s, t, drawn->id, (uint32_t)n);
    t->logprob = drawn->logprob;
    t->sampled_ns = now;
    t->n_top = drawn->n_top;
    for (uint32_t i = 0; i < t->n_top; i++)
        j->top[s->n_top++] = (struct job_top){drawn->top_ids[i], drawn->top_logprobs[i]};
    if (j->held && !stopped) {
        size_t most = (j->request.n_stop ? JOB_STOP_BYTES : 0) + JOB_HELD_CHARACTER;
        t->held_at = s->n_held;
        t->n_held = (uint32_t)outtext_peek(&s->text, j->held + s->n_held, most);
        s->n_held += t->n_held;
    }
    if (!job_publish(j))
        return;
    if (stopped)
        answer_finish(e, s, FINISH_STOP_SEQUENCE);
    else if (s->n_sampled == j->request.max_tokens)
        answer_finish(e, s, FINISH_LENGTH);
    else if (j->ready)
        j->ready(j, e->may_send_now);
}

/* A token was sampled at sampled_ns, by the plugin or by publish_logits(). */
static void publish(struct engine *e, struct slot *s, const struct sample_result *drawn, uint64_t sampled_ns)
{
    struct job *j = s->job;
    uint64_t last = atomic_load(&j->last_token_ns);
    if (!last) {
        int prefill = JOB_PREFILL;
        atomic_store(&j->first_token_ns, sampled_ns);
        predict_first_token(j, sampled_ns);
        atomic_compare_exchange_strong(&j->phase, &prefill, JOB_DECODE);
    } else {
        metric_observe(MH_ITL, (double)(sampled_ns - last) / NS_PER_S);
    }
    atomic_store(&j->last_token_ns, sampled_ns);
    if (atomic_load_explicit(&e->failed_in_row, memory_order_relaxed))
        atomic_store(&e->failed_in_row, 0);
    s->n_sampled++;
    metric_add(MC_GENERATION_TOKENS, 1);
    s->next_token = drawn->id;
    append(e, s, drawn, sampled_ns);
    uint64_t now = clock_mono_ns();
    if (now - e->flushed_ns > ENGINE_FLUSH_NS) {
        engine_flush(e);
        e->flushed_ns = now;
    }
}

void publish_logits(struct engine *e, struct slot *s, const float *logits)
{
    struct orcd_error err = ORCD_ERROR_INIT;
    struct sample_result drawn;
    if (sampler_draw(s->sampler, logits, s->n_history, &drawn, &err))
        engine_end_job(e, s->job, API_BACKEND_ERROR, FINISH_NONE, "%.140s", err.msg);
    else
        publish(e, s, &drawn, clock_mono_ns());
}

void publish_token(struct engine *e, struct slot *s, int32_t token, uint64_t sampled_ns)
{
    struct sample_result drawn = {.id = token};
    publish(e, s, &drawn, sampled_ns);
}
