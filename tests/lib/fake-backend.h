/* A backend for engine tests, in place of core/plugin/backend.c: byte tokens, logits that depend only on the
 * history of a sequence, steps that wait at a gate. */
#ifndef TESTS_FAKE_BACKEND_H
#define TESTS_FAKE_BACKEND_H

#include "engine/engine.h"

#define FAKE_VOCAB 258
#define FAKE_EOS 257

struct backend *fake_backend_new(uint32_t n_sequences, uint32_t n_ctx, uint64_t kv_tokens);
void fake_backend_free(struct backend *b);

/* Called before the engine starts: two steps in flight, and the backend samples for greedy jobs. */
void fake_pipeline(struct backend *b);

/* Scripted output: greedy answers follow `text` (byte i is the token at position prompt length + i). NULL:
 * letters that depend on the history. */
void fake_script(struct backend *b, const char *text);

/* While closed, steps wait (before they compute) until the gate opens, or until all
 * their rows are doomed. fake_gate_reached() returns when a step waits there. */
void fake_gate_close(struct backend *b);
void fake_gate_open(struct backend *b);
void fake_gate_reached(struct backend *b);
void fake_gate_pass(struct backend *b); /* lets one step through */
/* A hung device: even aborted steps do not end until the gate opens. */
void fake_hang(struct backend *b, bool hang);

/* Runs fn on the engine thread in each of the next calls of this kind, before the call has any effect
 * (WAITED: after all its effects), until fn is NULL. May be called while the engine is idle, or from fn. */
enum fake_point { FAKE_SEQ_OPEN, FAKE_SUBMIT, FAKE_WAIT, FAKE_WAITED, FAKE_POINTS };
void fake_on(struct backend *b, enum fake_point point, void (*fn)(void *arg), void *arg);

/* Steps report that they finished this much later than now. */
void fake_finish_ahead(struct backend *b, uint64_t ns);

/* Called before the engine starts: a device with a clock of its own. A step reports that it took
 * ns(decode rows, prompt tokens), and the model's granule is that. */
typedef uint64_t fake_cost(uint32_t n_decode, uint32_t n_prefill);
void fake_device(struct backend *b, fake_cost *ns, uint32_t granule);
/* The time on that clock of all steps with prompt tokens so far. */
uint64_t fake_prefill_ns(struct backend *b);

/* Doomed rows keep this many of their tokens. */
void fake_kept_on_abort(struct backend *b, uint32_t n);
void fake_fail_next_wait(struct backend *b, int code);
void fake_fail_next_row(struct backend *b, int code);
void fake_nan_logits(struct backend *b, bool nan);

uint64_t fake_tokens_computed(struct backend *b);
uint32_t fake_most_rows(struct backend *b);         /* of any step */
uint32_t fake_most_tokens(struct backend *b);       /* of any step */
uint32_t fake_most_mixed_tokens(struct backend *b); /* of a step with decode rows beside prefill */
uint32_t fake_most_steps(struct backend *b);        /* in flight at once */
uint32_t fake_steps_in_flight(struct backend *b);
uint32_t fake_open_sequences(struct backend *b);

#endif
