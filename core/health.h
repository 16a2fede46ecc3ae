/*
 * The health cache: its own thread refreshes it; any thread reads it without a lock and
 * without a device call.
 *
 * Main thread: health_start(); health_set_draining() when the shutdown begins; health_stop()
 * before the backend is closed; health_free(). In between the loader thread reports with the
 * other health_set_ functions.
 */
#ifndef ORCD_HEALTH_H
#define ORCD_HEALTH_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"

struct health;

struct health_params {
    uint32_t refresh_ms, residency_ms, stall_ms;
    uint32_t max_failures; /* jobs that the device fails in a row until it is unhealthy; 0: any number */
};

/* Facts that don't change once they are known; strings are copied. */
struct health_facts {
    const char *model, *model_ref, *plugin, *plugin_version, *device, *quant_kind, *tokenizer_kind;
    const char *memory_architecture;  /* "vram-only" or "ram" */
    const char *sm, *runtime_version; /* "" : null */
    uint32_t vocab_size, context_length;
};

/* Starts the thread; status is "loading". engine is borrowed. */
int health_start(
    struct health **out, const struct health_params *params, struct engine *engine, struct orcd_error *err);
void health_set_progress(struct health *h, double fraction); /* any thread; 0..1 */
/* The model is loaded: the facts are known, and the thread may call the backend from now on. */
void health_set_ready(struct health *h, const struct health_facts *facts, struct backend *backend);
void health_set_draining(struct health *h);
/* Logs that it became unhealthy, and why, or that it no longer is. The main thread, several times a second.
 */
void health_watch(struct health *h);
/* Ends the thread: after that it makes no device call. False: a device call hangs, so the
 * thread has not ended within timeout_ms. */
bool health_stop(struct health *h, uint64_t timeout_ms);
void health_free(struct health *h);

/* For metrics and events, from the cache. */
double health_age_s(const struct health *h);
uint64_t health_memory_used(const struct health *h); /* bytes; 0: unknown */

enum health_probe { HEALTH_READY, HEALTH_LIVE };
/* Writes the JSON body (NUL-terminated); returns the HTTP status. */
int health_render(const struct health *h, enum health_probe probe, char *buf, size_t size, size_t *n);

#endif
