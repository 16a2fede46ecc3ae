/* An engine over the fake backend, and jobs whose end a test can wait for. */
#ifndef TESTS_ENGINE_HARNESS_H
#define TESTS_ENGINE_HARNESS_H

#include "lib/fake-backend.h"

struct harness {
    struct engine *engine;
    struct backend *backend;
    struct tokenizer *tokenizer;
};

/* What a test can change; zeros mean 4 slots, context 2048, 256 batch tokens, a queue of 16, KV for all. */
struct harness_params {
    uint32_t slots, ctx, batch, queue, step_rows, send_now_rows;
    uint64_t kv_tokens;
    fake_cost *cost; /* with granule: fake_device(); NULL: none */
    uint32_t granule;
};

/* Two steps in flight, see fake_pipeline(). Off at first, unless compiled with
 * -DHARNESS_TWO_STEPS. */
extern bool harness_pipeline;

void harness_start(struct harness *h, const struct harness_params *p);
void harness_stop(struct harness *h);

struct request harness_request(const char *id, const char *prompt, uint32_t max_tokens);
/* Creates and submits a job; fails the test if it is refused. The caller owns a reference. */
struct job *harness_submit(struct harness *h, struct request r);
enum api_code harness_try(struct harness *h, struct request r, struct engine_refusal *refusal);

/* Sets the function that is called on each news of any job, on the thread that calls `ready`. NULL: none. */
void harness_on_news(void (*fn)(struct job *j, void *arg), void *arg);
/* How often consumers were allowed to send tokens at once so far, and how often they were not. */
extern atomic_uint harness_send_now, harness_send_later;
/* The current value of a metric, from the exposition. */
double harness_metric(const char *series);

void harness_wait_end(struct job *j);
/* Waits for this or the job's end, whichever comes first. */
void harness_wait_started(struct job *j);
void harness_wait_tokens(struct job *j, uint32_t n);
uint64_t harness_outcomes(void); /* terminal events of all jobs so far, by the metrics */
/* All text of an ended job, NUL-terminated, in a buffer that the next call reuses. */
const char *harness_text(const struct job *j);

#endif
