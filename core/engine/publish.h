/*
 * From what a row gave to events: draws the token where the plugin did not, makes text of it,
 * appends it to the job's array (job.h) and tells the consumer. It ends the answers that are
 * complete: by an end-of-generation token, a stop string, or max_tokens.
 *
 * Life cycle: it has no state of its own; what a job needs lies in its slot, from slot_begin() to
 * slot_release().
 * Threads: the engine thread.
 * Order of calls: step_collect() makes one call for each row that gave a token, if the job had not
 * ended before. It flushes at the end; after ENGINE_FLUSH_NS these calls do, too.
 */
#ifndef ORCD_ENGINE_PUBLISH_H
#define ORCD_ENGINE_PUBLISH_H

#include <stdint.h>

struct engine;
struct slot;

/* Sampled tokens wait for no more than this before the HTTP loops are woken. */
#define ENGINE_FLUSH_NS 50000

/* The slot's row gave logits: samples here. */
void publish_logits(struct engine *e, struct slot *s, const float *logits);
/* The plugin sampled for the slot's row, and was through at sampled_ns. */
void publish_token(struct engine *e, struct slot *s, int32_t token, uint64_t sampled_ns);

#endif
