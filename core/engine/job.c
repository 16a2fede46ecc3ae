#include "engine/job.h"

#include <stdlib.h>
#include <string.h>

#include "metrics.h"

void request_release(struct request *r)
{
    free(r->tokens);
    free(r->sampling.bias);
    r->tokens = NULL;
    r->sampling.bias = NULL;
    r->sampling.n_bias = 0;
}

/* The most bytes of text that max_tokens tokens can become: every byte of a piece may become U+FFFD, and
 * held text comes last. Pages that are never written cost nothing. */
static bool text_capacity(const struct request *r, size_t max_piece, size_t *bytes)
{
    size_t per_token;
    return !__builtin_mul_overflow(max_piece + 4, (size_t)3, &per_token) &&
           !__builtin_mul_overflow(per_token, (size_t)r->max_tokens + 2, bytes) && *bytes <= UINT32_MAX;
}

/* The held text of an entry is shorter than a stop string and an incomplete character together. */
static bool held_capacity(const struct request *r, size_t *bytes)
{
    size_t per_token = (r->n_stop ? JOB_STOP_BYTES : 0) + JOB_HELD_CHARACTER;
    return !__builtin_mul_overflow(per_token, (size_t)r->max_tokens, bytes) && *bytes <= UINT32_MAX;
}

int job_new(struct job **out, struct request *r, const struct tokenizer *t, struct orcd_error *err)
{
    size_t text_bytes, held_bytes;
    if (r->max_tokens >= JOB_CLOSED - 2 || !text_capacity(r, tokenizer_max_piece_bytes(t), &text_bytes) ||
        !held_capacity(r, &held_bytes))
        return error_set(err, ORCD_E_NOMEM, "max_tokens %u is too large for one job", r->max_tokens);
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return error_set(err, ORCD_E_NOMEM, "out of memory for a job");
    /* One entry more than tokens: held-back text may follow the last token. */
    j->tokens = malloc(((size_t)r->max_tokens + 1) * sizeof(*j->tokens));
    j->text = malloc(text_bytes);
    j->top = malloc((size_t)r->max_tokens * (r->sampling.n_logprobs + 1) * sizeof(*j->top));
    j->held = r->deadline_partial ? malloc(held_bytes) : NULL;
    if (!j->tokens || !j->text || !j->top || (r->deadline_partial && !j->held)) {
        free(j->tokens);
        free(j->text);
        free(j->top);
        free(j->held);
        free(j);
        return error_set(err, ORCD_E_NOMEM, "out of memory for a job of %u tokens", r->max_tokens);
    }
    atomic_init(&j->refs, 1);
    atomic_init(&j->slot, UINT32_MAX);
    j->request = *r;
    memset(r, 0, sizeof(*r));
    *out = j;
    return 0;
}

struct job *job_ref(struct job *j)
{
    atomic_fetch_add_explicit(&j->refs, 1, memory_order_relaxed);
    return j;
}

/* Counts tokens that were computed and never delivered. No other thread has a reference any more, so the
 * engine adds no tokens and the consumer delivers none. */
static void count_wasted(const struct job *j)
{
    const struct job_end *end = &j->end;
    uint32_t out = end->tokens_out, got = atomic_load(&j->delivered);
    uint32_t late = j->n_generated > out ? j->n_generated - out : 0; /* after the last event */
    uint32_t unread = out > got ? out - got : 0;
    enum metric_wasted why = WASTED_ERROR;
    if (end->code == API_OK && end->finish != FINISH_DEADLINE) {
        metric_add_labelled(MC_WASTED_TOKENS, WASTED_STOP_SEQUENCE, late);
        metric_add_labelled(MC_WASTED_TOKENS, WASTED_DISCONNECTED, unread);
        return;
    }
    if (end->code == API_OK || end->code == API_DEADLINE_EXCEEDED)
        why = WASTED_DEADLINE;
    else if (end->code == API_CANCELLED)
        why = WASTED_CANCELLED;
    else if (end->code == API_CLIENT_DISCONNECTED)
        why = WASTED_DISCONNECTED;
    metric_add_labelled(MC_WASTED_TOKENS, why, late + unread);
}

void job_unref(struct job *j)
{
    if (!j || atomic_fetch_sub_explicit(&j->refs, 1, memory_order_acq_rel) != 1)
        return;
    count_wasted(j);
    if (j->release)
        j->release(j->consumer);
    request_release(&j->request);
    free(j->tokens);
    free(j->text);
    free(j->top);
    free(j->held);
    free(j);
}

uint32_t job_published(const struct job *j)
{
    return atomic_load_explicit(&j->progress, memory_order_acquire) & ~JOB_CLOSED;
}

bool job_publish(struct job *j)
{
    unsigned have = atomic_load_explicit(&j->progress, memory_order_relaxed);
    return !(have & JOB_CLOSED) && atomic_compare_exchange_strong_explicit(&j->progress, &have, have + 1,
                                       memory_order_release, memory_order_relaxed);
}

bool job_end_claim(struct job *j)
{
    unsigned had = atomic_fetch_or_explicit(&j->progress, JOB_CLOSED, memory_order_acq_rel);
    if (had & JOB_CLOSED)
        return false;
    j->end.n_published = had;
    return true;
}

void job_end_publish(struct job *j)
{
    atomic_store_explicit(&j->end_published, true, memory_order_release);
}

bool job_ended(const struct job *j)
{
    return atomic_load_explicit(&j->end_published, memory_order_acquire);
}
