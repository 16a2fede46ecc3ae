/*
 * Turns the result of a row into an event: samples the token if the plugin did not, detokenizes it,
 * appends it to the job's array (job.h) and notifies the consumer. Ends an answer that is complete: by
 * an end-of-generation token, a stop string, or max_tokens.
 *
 * Life cycle: this module has no state; the state of a job is in its slot, from slot_begin() to
 * slot_release().
 * Threads: only the engine thread.
 * Order of calls: step_collect() makes one call for each row that returned logits or a token, unless the
 * job has ended. step_collect() flushes at its end; these calls also flush after ENGINE_FLUSH_NS.
 */
#ifndef ORCD_ENGINE_PUBLISH_H
#define ORCD_ENGINE_PUBLISH_H

#include <stdint.h>

struct engine;
struct slot;

/* Sampled tokens wait for no more than this before the HTTP loops are woken. */
#define ENGINE_FLUSH_NS 50000

/* The slot's row returned logits: samples a token from them. */
void publish_logits(struct engine *e, struct slot *s, const float *logits);
/* The plugin sampled the token of the slot's row; its step was collected at sampled_ns. */
void publish_token(struct engine *e, struct slot *s, int32_t token, uint64_t sampled_ns);

#endif
