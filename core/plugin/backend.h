/*
 * The state of a backend, for the files of core/plugin only; all other code includes host.h.
 *
 * Life cycle: backend_open_device() allocates it; backend_load() and backend_new_context() add the model
 * and the context; backend_close() frees it.
 *
 * Threads: the thread that makes the OWNER calls owns all fields but the atomics. device, model and ctx
 * are published with release by the thread that created them, for HEALTH and ANY calls. They become NULL
 * again only in backend_close(), after which no call is allowed.
 *
 * Order of calls, in each OWNER call: backend_enter(), the plugin's slot, backend_answer(), checks of
 * the answer (backend_bad_answer()), backend_leave().
 */
#ifndef ORCD_PLUGIN_BACKEND_H
#define ORCD_PLUGIN_BACKEND_H

#include <pthread.h>
#include <stdatomic.h>

#include "plugin/internal.h"

/* What the host remembers of a row until its step is collected. */
struct backend_row {
    uint32_t seq, first_pos, n_tokens, want, kind, top_n;
};

struct backend_step {
    uint64_t ticket;
    uint32_t n_rows;
    struct backend_row *rows; /* [max_batch_rows] */
};

struct backend {
    struct plugin *plugin;
    _Atomic(struct orcd_device *) device;
    _Atomic(struct orcd_model *) model;
    _Atomic(struct orcd_ctx *) ctx;
    atomic_bool lost; /* relaxed: only a hint; the plugin's own answer counts */
    atomic_bool owner_busy, health_busy;
    struct orcd_device_info device_info;
    struct orcd_model_info model_info;
    struct orcd_ctx_params params;

    uint32_t *len;       /* [n_sequences] tokens held, as last collected */
    uint32_t *in_flight; /* [n_sequences] rows in steps that were not collected yet */
    uint32_t *fed;       /* [n_sequences] the position at which the last of those rows ends */
    uint64_t *checked;   /* [n_sequences] the number of the last batch check that saw a row of it */
    uint64_t n_checks;
    bool *open;
    uint64_t last_ticket;
    struct backend_step steps[PLUGIN_MAX_INFLIGHT]; /* a ring; the oldest is at first_step */
    uint32_t first_step, n_steps;
#ifdef ORCD_DEBUG
    pthread_t health_thread;
    bool health_known;
#endif
};

/* Around each OWNER call. backend_enter() fails if the device is lost. */
int backend_enter(struct backend *b, struct orcd_error *err);
void backend_leave(struct backend *b);
/* plugin_answer() that also notes the loss of the device. */
int backend_answer(
    struct backend *b, const char *what, int32_t rc, struct orcd_error *theirs, struct orcd_error *err);
/* ORCD_E_INTERNAL: "plugin NAME: WHAT WHY". */
int backend_bad_answer(struct backend *b, const char *what, const char *why, struct orcd_error *err);

#endif
