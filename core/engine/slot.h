/*
 * A slot: one sequence of the plugin, and the job that runs in it.
 *
 * An idle slot keeps the tokens that its last job left in the KV cache, as a prefix to reuse
 * (`history`). If a job ends while rows of it are in flight, its slot is free only when those rows have
 * been collected.
 *
 * Life cycle: slots_new() allocates all slots before the first step, slots_free() frees them after the
 * last. The plugin opens a slot's sequence when a job first needs it, and closes it when its prefix must
 * make room for another job.
 *
 * Threads: the engine thread owns the slots, and no other thread accesses them. Other threads learn
 * about a slot from the predictor (predict_slot()) and from its job (`started`, `phase`, `slot`).
 *
 * Order of calls for one job:
 *  1. slot_open(): the sequence holds the shared prefix, and the KV for the rest is reserved.
 *  2. registry_take(), then slot_begin(): the job runs in the slot. If registry_take() fails, the slot
 *     stays idle and open.
 *  3. Steps (step.h) and tokens (publish.h), until the job has ended. slot_doom(), if it ended with rows
 *     in flight; an abort dooms them by itself.
 *  4. slot_release(), when no row is in flight: counts the job, and the slot is idle.
 */
#ifndef ORCD_ENGINE_SLOT_H
#define ORCD_ENGINE_SLOT_H

#include "engine/job.h"
#include "engine/outtext.h"
#include "sample/sampler.h"

struct engine;

struct slot {
    uint32_t id;
    struct job *job;  /* own reference; NULL: the slot is idle, its history is a prefix to reuse */
    bool open;        /* the plugin has the sequence open */
    int32_t *history; /* tokens whose KV the plugin holds; room for n_ctx */
    uint32_t n_history;
    uint32_t rows_in_flight; /* rows in steps that were not collected yet, at most one a step */
    uint32_t n_fed;          /* what n_history will be when those rows are collected */
    uint64_t row_ticket;     /* the ticket of the last of those rows */
    uint64_t last_used_ns;

    struct sampler *sampler;
    struct outtext text;
    bool on_device;     /* the plugin samples for this job */
    bool chained;       /* a row in flight samples on the device, so another row can follow it */
    int32_t next_token; /* the token sampled last; -1: none */
    uint32_t n_sampled;
    uint32_t n_text; /* bytes of job->text written */
    uint32_t n_top;
    uint32_t n_held;    /* bytes of job->held written */
    uint32_t unchecked; /* tokens since the last deadline check */
    uint64_t checked_ns;
    uint64_t seen_ns;   /* when the engine thread saw that the job must stop; 0: it goes on */
    uint32_t n_dropped; /* rows that computed a token after the job had stopped */
};

/* Allocates e->slots, e->params.n_slots of them. After a failure, slots_free() frees what was allocated. */
int slots_new(struct engine *e, struct orcd_error *err);
void slots_free(struct engine *e);

/* Opens the sequence of an idle slot, or rewinds it to its first `shared` tokens, and reserves all the
 * KV that the request can need. If the KV is full, closes other idle slots, least recently used first. */
int slot_open(
    struct engine *e, struct slot *s, const struct request *r, uint32_t shared, struct orcd_error *err);
void slot_close(struct engine *e, struct slot *s); /* drops its prefix; the slot may be closed already */
/* Gives the slot to the job: prepares sampling and text, and notifies the consumer that it started. The
 * job may have ended already, or this call may end it. */
void slot_begin(struct engine *e, struct slot *s, struct job *j);
/* Dooms the slot's rows in flight. */
void slot_doom(struct engine *e, struct slot *s);
/* Makes the slot idle. Its job must have ended, with no row in flight. */
void slot_release(struct engine *e, struct slot *s);
/* Reports the progress of the slot's job to the predictor: after each step, and when a job begins or
 * leaves. */
void slot_report(struct engine *e, const struct slot *s);

#endif
