/*
 * A slot: one sequence of the plugin, and the job that runs in it.
 *
 * An idle slot keeps what its last job left in the KV cache, as a prefix to reuse (`history`). A
 * slot whose job has ended while rows of it are in flight is free only when those are through.
 *
 * Life cycle of all slots: slots_new() before the first step, slots_free() after the last. The
 * plugin opens a slot's sequence when a job first needs it and closes it when its prefix makes room
 * for another job.
 *
 * Threads: the engine thread alone has the slots. What other threads may know of a slot, they
 * learn from the predictor (predict_slot()) and from the job (`started`, `phase`, `slot`).
 *
 * Order of calls for one job:
 *  1. slot_open(): the sequence holds the shared prefix, and there is room for the rest.
 *  2. registry_take(); then slot_begin(): the job runs here. If registry_take() fails, the slot
 *     stays idle and open.
 *  3. Steps (step.h) and tokens (publish.h), until the job has ended; slot_doom(), if it ended
 *     with rows in flight that nobody wants any more. An abort does that by itself.
 *  4. slot_release(), once no row is in flight: counts, and the slot is idle.
 */
#ifndef ORCD_ENGINE_SLOT_H
#define ORCD_ENGINE_SLOT_H

#include "engine/job.h"
#include "engine/outtext.h"
#include "sample/sampler.h"

struct engine;

struct slot {
    uint32_t id;
    struct job *job;  /* own reference; NULL: idle, its history is a prefix to reuse */
    bool open;        /* the plugin has the sequence */
    int32_t *history; /* tokens whose KV the plugin holds; room for n_ctx */
    uint32_t n_history;
    uint32_t rows_in_flight; /* in steps that were not collected, at most one a step */
    uint32_t n_fed;          /* n_history, once those are through */
    uint64_t row_ticket;     /* of the last of them */
    uint64_t last_used_ns;

    struct sampler *sampler;
    struct outtext text;
    bool on_device;     /* the plugin samples for this job */
    bool chained;       /* a row in flight will sample on the device, so that the next can follow it */
    int32_t next_token; /* sampled last; -1: none */
    uint32_t n_sampled;
    uint32_t n_text; /* bytes of job->text written */
    uint32_t n_top;
    uint32_t n_held;    /* bytes of job->held written */
    uint32_t unchecked; /* tokens since the last deadline check */
    uint64_t checked_ns;
    uint64_t seen_ns;   /* when it was seen that the job is to stop; 0: it goes on */
    uint32_t n_dropped; /* rows computed for a token that came too late to be sampled */
};

/* e->slots, e->params.n_slots of them. On failure slots_free() frees what there is. */
int slots_new(struct engine *e, struct orcd_error *err);
void slots_free(struct engine *e);

/* Opens the sequence of an idle slot or rewinds it to its first `shared` tokens, and reserves all
 * the KV that the request can need. Idle slots make room, the one used least recently first. */
int slot_open(
    struct engine *e, struct slot *s, const struct request *r, uint32_t shared, struct orcd_error *err);
void slot_close(struct engine *e, struct slot *s); /* its prefix is gone; takes one that is closed */
/* The job has this slot: prepares sampling and text, and tells the consumer that it started. It may
 * end the job, or find that it has ended. */
void slot_begin(struct engine *e, struct slot *s, struct job *j);
/* Nobody wants the slot's rows in flight any more. */
void slot_doom(struct engine *e, struct slot *s);
/* The job has ended and no row of it is in flight: the slot is idle. */
void slot_release(struct engine *e, struct slot *s);
/* How far the slot's job is, for predictions: after each step, and when a job comes or goes. */
void slot_report(struct engine *e, const struct slot *s);

#endif
