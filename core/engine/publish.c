/* From logits to events. Engine thread only. */
#include "engine/engine-internal.h"

#include <string.h>

#include "base/clock.h"
#include "observe/metrics.h"

static bool ends_generation(const struct engine *e, const struct slot *s)
{
    return tokenizer_is_eog(e->tokenizer, s->drawn.id) && !s->job->request.ignore_eos;
}

static void entry_fill(struct slot *s, struct job_token *t, int32_t id, uint32_t n_text)
{
    *t = (struct job_token){.id = id, .text_at = s->n_text, .n_text = n_text, .top_at = s->n_top};
    s->n_text += n_text;
}

void slot_flush_text(struct slot *s)
{
    struct job *j = s->job;
    size_t n = outtext_flush(&s->text, j->text + s->n_text);
    if (!n)
        return;
    struct job_token *t = &j->tokens[job_published(j)];
    entry_fill(s, t, -1, (uint32_t)n);
    t->sampled_ns = clock_mono_ns();
    job_publish(j);
}

static void finish(struct engine *e, struct slot *s, enum finish_reason why)
{
    if (why != FINISH_STOP_SEQUENCE)
        slot_flush_text(s);
    engine_finish(e, s->job, API_OK, why, "%s", "");
}

/* The drawn token becomes an event; ends the job where that was its last. */
static void slot_publish(struct engine *e, struct slot *s)
{
    struct job *j = s->job;
    bool stopped = false;
    s->pending = false;
    if (job_ended(j))
        return;
    if (ends_generation(e, s)) {
        finish(e, s, FINISH_STOP);
        return;
    }
    struct job_token *t = &j->tokens[job_published(j)];
    size_t n = outtext_push(&s->text, s->drawn.id, j->text + s->n_text, &stopped);
    entry_fill(s, t, s->drawn.id, (uint32_t)n);
    t->logprob = s->drawn.logprob;
    t->sampled_ns = s->drawn_ns;
    t->n_top = s->drawn.n_top;
    for (uint32_t i = 0; i < t->n_top; i++)
        j->top[s->n_top++] = (struct job_top){s->drawn.top_ids[i], s->drawn.top_logprobs[i]};
    if (!job_publish(j))
        return;
    if (stopped)
        finish(e, s, FINISH_STOP_SEQUENCE);
    else if (s->n_sampled == j->request.max_tokens)
        finish(e, s, FINISH_LENGTH);
    else if (j->ready)
        j->ready(j);
}

void slot_sample(struct engine *e, struct slot *s, const float *logits)
{
    struct job *j = s->job;
    struct orcd_error err = ORCD_ERROR_INIT;
    if (sampler_draw(s->sampler, logits, s->n_history, &s->drawn, &err)) {
        engine_finish(e, j, API_BACKEND_ERROR, FINISH_NONE, "%.140s", err.msg);
        return;
    }
    uint64_t now = clock_mono_ns(), last = atomic_load(&j->last_token_ns);
    if (!last) {
        int prefill = JOB_PREFILL;
        atomic_store(&j->first_token_ns, now);
        atomic_compare_exchange_strong(&j->phase, &prefill, JOB_DECODE);
    } else {
        metric_observe(MH_ITL, (double)(now - last) / NS_PER_S);
    }
    atomic_store(&j->last_token_ns, now);
    s->n_sampled++;
    metric_add(MC_GENERATION_TOKENS, 1);
    s->drawn_ns = now;
    s->next_token = s->drawn.id;
    s->pending = true;
    /* A last token is published before the next admission, so that its slot is free
     * then; any other after the next step was submitted, beside the computation. */
    if (s->n_sampled == j->request.max_tokens || ends_generation(e, s))
        slot_publish(e, s);
}

void engine_publish(struct engine *e)
{
    for (uint32_t i = 0; i < e->params.n_slots; i++)
        if (e->slots[i].pending)
            slot_publish(e, &e->slots[i]);
}
