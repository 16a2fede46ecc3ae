#include "lib/engine-harness.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "metrics.h"

#ifdef HARNESS_TWO_STEPS
bool harness_pipeline = true;
#else
bool harness_pipeline;
#endif

/* Signalled on news of any job; tests have few threads, so one condition is enough. */
static pthread_mutex_t news_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;

atomic_uint harness_send_now, harness_send_later;

struct watch {
    bool ended;
};

static void (*on_news)(struct job *j, void *arg);
static void *on_news_arg;

void harness_on_news(void (*fn)(struct job *j, void *arg), void *arg)
{
    pthread_mutex_lock(&news_lock);
    on_news = fn;
    on_news_arg = arg;
    pthread_mutex_unlock(&news_lock);
}

double harness_metric(const char *series)
{
    size_t n, length = strlen(series);
    char *text = metric_render(&n);
    double value = -1;
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, series, length) == 0 && line[length] == ' ')
            value = strtod(line + length, NULL);
    free(text);
    if (value < 0)
        fail_msg("no series %s", series);
    return value;
}

static void on_ready(struct job *j, bool may_send_now)
{
    if (job_published(j) && !job_ended(j))
        atomic_fetch_add(may_send_now ? &harness_send_now : &harness_send_later, 1);
    pthread_mutex_lock(&news_lock);
    void (*fn)(struct job * j, void *arg) = on_news;
    void *arg = on_news_arg;
    pthread_mutex_unlock(&news_lock);
    if (fn)
        fn(j, arg);
    pthread_mutex_lock(&news_lock);
    ((struct watch *)j->consumer)->ended = job_ended(j);
    pthread_cond_broadcast(&news);
    pthread_mutex_unlock(&news_lock);
}

void harness_start(struct harness *h, const struct harness_params *p)
{
    static const struct harness_params defaults;
    struct orcd_error err = ORCD_ERROR_INIT;
    p = p ? p : &defaults;
    struct engine_params params = {
        .n_slots = p->slots ? p->slots : 4,
        .n_ctx = p->ctx ? p->ctx : 2048,
        .max_batch_tokens = p->batch ? p->batch : 256,
        .max_step_rows = p->step_rows,
        .queue_capacity = p->queue ? p->queue : 16,
        .check_every_tokens = 10,
        .check_every_ms = 20,
        .prefill_slice_ms = 20,
        .min_remaining_ms = 0,
        .admission = ADMISSION_SIMPLE,
        .send_now_rows = p->send_now_rows,
    };
    assert_int_equal(tokenizer_new_bytes(&h->tokenizer, &err), 0);
    h->backend = fake_backend_new(
        params.n_slots, params.n_ctx, p->kv_tokens ? p->kv_tokens : (uint64_t)params.n_slots * params.n_ctx);
    if (harness_pipeline)
        fake_pipeline(h->backend);
    if (p->cost)
        fake_device(h->backend, p->cost, p->granule);
    assert_int_equal(engine_new(&h->engine, &params, &err), 0);
    assert_int_equal(engine_start(h->engine, h->backend, h->tokenizer, &err), 0);
}

void harness_stop(struct harness *h)
{
    engine_free(h->engine);
    fake_backend_free(h->backend);
    tokenizer_free(h->tokenizer);
}

struct request harness_request(const char *id, const char *prompt, uint32_t max_tokens)
{
    struct request r = {.max_tokens = max_tokens, .stream = true, .arrived_ns = clock_mono_ns()};
    strncpy(r.job_id, id, JOB_ID_MAX);
    r.n_tokens = (uint32_t)strlen(prompt);
    r.tokens = malloc((r.n_tokens + 1) * sizeof(int32_t));
    for (uint32_t i = 0; i < r.n_tokens; i++)
        r.tokens[i] = (unsigned char)prompt[i];
    sample_params_default(&r.sampling);
    r.sampling.temperature = 0;
    return r;
}

static struct job *make(struct harness *h, struct request *r)
{
    struct job *j;
    struct orcd_error err = ORCD_ERROR_INIT;
    assert_int_equal(job_new(&j, r, h->tokenizer, &err), 0);
    j->ready = on_ready;
    j->consumer = calloc(1, sizeof(struct watch));
    j->release = free;
    return j;
}

struct job *harness_submit(struct harness *h, struct request r)
{
    struct engine_refusal refusal;
    struct job *j = make(h, &r);
    enum api_code code = engine_submit(h->engine, j, &refusal);
    if (code)
        fail_msg("refused: %s: %s", api_code_name(code), refusal.message);
    return j;
}

enum api_code harness_try(struct harness *h, struct request r, struct engine_refusal *refusal)
{
    struct job *j = make(h, &r);
    enum api_code code = engine_submit(h->engine, j, refusal);
    job_unref(j);
    return code;
}

#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        pthread_mutex_lock(&news_lock);                                                                      \
        while (!(condition))                                                                                 \
            pthread_cond_wait(&news, &news_lock);                                                            \
        pthread_mutex_unlock(&news_lock);                                                                    \
    } while (0)

void harness_wait_end(struct job *j)
{
    WAIT_UNTIL(((struct watch *)j->consumer)->ended);
}

void harness_wait_started(struct job *j)
{
    WAIT_UNTIL(atomic_load(&j->has_started) || job_ended(j));
}

void harness_wait_tokens(struct job *j, uint32_t n)
{
    WAIT_UNTIL(job_published(j) >= n || job_ended(j));
}

uint64_t harness_outcomes(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < OUTCOME_COUNT; i++)
        sum += metric_value(MC_REQUESTS, i);
    return sum;
}

const char *harness_text(const struct job *j)
{
    static char buf[65536];
    size_t n = 0;
    for (uint32_t i = 0; i < j->end.n_published; i++) {
        const struct job_token *t = &j->tokens[i];
        assert_true(n + t->n_text < sizeof(buf));
        memcpy(buf + n, j->text + t->text_at, t->n_text);
        n += t->n_text;
    }
    assert_true(n + j->end.n_held < sizeof(buf));
    if (j->end.n_held)
        memcpy(buf + n, j->end.held, j->end.n_held);
    buf[n + j->end.n_held] = 0;
    return buf;
}
