/* Rounds of the engine thread, run on this thread, with the host's checks and a plugin that computes
 * nothing: what a token costs besides its computation. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/micro/jobs.h"
#include "engine/engine-internal.h"
#include "plugin/internal.h"

#define ROWS 8
#define CONTEXT 4096
#define VOCAB 258 /* of bytes */
#define WARM_UP 4 /* rounds until all rows decode */

/* --- the plugin: any token is followed by 'e' ------------------------------------------ */

static _Alignas(64) float logits[VOCAB];
static uint32_t lengths[ROWS];
static struct {
    uint64_t ticket;
    uint32_t n_rows, seq[ROWS], n[ROWS], want[ROWS];
} flying;
static char handle; /* the device's, the model's and the context's address */

static int32_t device_count(uint32_t *count, struct orcd_error *err)
{
    (void)err;
    *count = 1;
    return 0;
}

static int32_t device_info(uint32_t index, struct orcd_device_info *info, struct orcd_error *err)
{
    (void)index;
    (void)info;
    (void)err;
    return 0;
}

static int32_t device_open(uint32_t index, struct orcd_device **device, struct orcd_error *err)
{
    (void)index;
    (void)err;
    *device = (struct orcd_device *)&handle;
    return 0;
}

static int32_t model_load(struct orcd_device *device, const struct orcd_model_source *source,
    struct orcd_model **model, struct orcd_error *err)
{
    (void)device;
    (void)source;
    (void)err;
    *model = (struct orcd_model *)&handle;
    return 0;
}

static int32_t model_info(struct orcd_model *model, struct orcd_model_info *info, struct orcd_error *err)
{
    (void)model;
    (void)err;
    info->max_sequences = ROWS;
    info->max_batch_tokens = CONTEXT;
    info->n_vocab = VOCAB;
    info->n_ctx = CONTEXT;
    return 0;
}

static int32_t ctx_new(struct orcd_model *model, const struct orcd_ctx_params *params, struct orcd_ctx **ctx,
    struct orcd_error *err)
{
    (void)model;
    (void)params;
    (void)err;
    *ctx = (struct orcd_ctx *)&handle;
    return 0;
}

static int32_t seq_open(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    (void)ctx;
    (void)max_tokens;
    (void)err;
    lengths[seq] = 0;
    return 0;
}

static int32_t seq_reserve(struct orcd_ctx *ctx, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    (void)ctx;
    (void)seq;
    (void)max_tokens;
    (void)err;
    return 0;
}

static int32_t seq_close(struct orcd_ctx *ctx, uint32_t seq, struct orcd_error *err)
{
    (void)ctx;
    (void)seq;
    (void)err;
    return 0;
}

static int32_t seq_trim(
    struct orcd_ctx *ctx, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err)
{
    (void)ctx;
    (void)err;
    lengths[seq] = lengths[seq] < n ? lengths[seq] : n;
    *kept = lengths[seq];
    return 0;
}

static int32_t submit(struct orcd_ctx *ctx, const struct orcd_batch *batch, struct orcd_error *err)
{
    (void)ctx;
    (void)err;
    flying.ticket = batch->ticket;
    flying.n_rows = batch->n_rows;
    memcpy(flying.seq, batch->seq, batch->n_rows * sizeof(*batch->seq));
    memcpy(flying.n, batch->n_tokens, batch->n_rows * sizeof(*batch->n_tokens));
    memcpy(flying.want, batch->want, batch->n_rows * sizeof(*batch->want));
    return 0;
}

static int32_t wait_step(struct orcd_ctx *ctx, struct orcd_result *result, struct orcd_error *err)
{
    (void)ctx;
    (void)err;
    result->ticket = flying.ticket;
    result->n_rows = flying.n_rows;
    for (uint32_t r = 0; r < flying.n_rows; r++) {
        bool wanted = flying.want[r] == ORCD_WANT_LAST;
        result->status[r] = 0;
        result->kept[r] = lengths[flying.seq[r]] += flying.n[r];
        result->logits[r] = wanted ? logits : NULL;
        result->n_logits[r] = wanted;
    }
    return 0;
}

static void abort_rows(struct orcd_ctx *ctx, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs)
{
    (void)ctx;
    (void)ticket;
    (void)seqs;
    (void)n_seqs;
}

static struct plugin plugin = {
    .table =
        {
            .size = sizeof(struct orcd_plugin),
            .max_inflight = 1,
            .name = "nothing",
            .device_count = device_count,
            .device_info = device_info,
            .device_open = device_open,
            .model_load = model_load,
            .model_info = model_info,
            .ctx_new = ctx_new,
            .seq_open = seq_open,
            .seq_reserve = seq_reserve,
            .seq_close = seq_close,
            .seq_trim = seq_trim,
            .submit = submit,
            .wait = wait_step,
            .abort = abort_rows,
        },
    .started = true,
};

/* --- the case -------------------------------------------------------------------------- */

static struct engine *engine;

static int open_backend(struct backend **out, struct orcd_error *err)
{
    const struct orcd_ctx_params params = {
        .size = sizeof(params),
        .n_sequences = ROWS,
        .n_ctx = CONTEXT,
        .max_batch_tokens = CONTEXT,
        .kv_tokens = (uint64_t)ROWS * CONTEXT,
        .max_batch_rows = ROWS,
        .max_logits = ROWS,
    };
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i == 'e' ? 1 : 0;
    int rc = backend_open_device(out, &plugin, 0, err);
    if (!rc)
        rc = backend_load(*out, NULL, err);
    return rc ? rc : backend_new_context(*out, &params, err);
}

static int submit_jobs(struct orcd_error *err)
{
    for (int i = 0; i < ROWS; i++) {
        struct job *j;
        struct engine_refusal refusal;
        int rc = micro_job(&j, 16, CONTEXT - 16, err);
        if (rc)
            return rc;
        j->request.job_id[0] = (char)('a' + i);
        j->request.arrived_ns = clock_mono_ns();
        j->request.deadline_ns = j->request.arrived_ns + 3600 * NS_PER_S; /* this is over before */
        enum api_code code = engine_submit(engine, j, &refusal);
        job_unref(j);
        if (code)
            return error_set(err, ORCD_E_INTERNAL, "the engine refused a job: %s", refusal.message);
    }
    return 0;
}

MICRO_SETUP(engine_step)
{
    (void)model;
    const struct engine_params params = {
        .n_slots = ROWS,
        .n_ctx = CONTEXT,
        .max_batch_tokens = CONTEXT,
        .queue_capacity = ROWS,
        .check_every_tokens = 1, /* every row at every step: the same work whatever the time */
        .check_every_ms = 1000,
        .prefill_slice_ms = 20,
        .admission = ADMISSION_OFF,
    };
    struct backend *backend;
    const struct tokenizer *t = micro_bytes(err);
    int rc = t ? open_backend(&backend, err) : err->code;
    if (!rc)
        rc = engine_new(&engine, &params, err);
    if (!rc)
        rc = engine_prepare(engine, backend, t, err);
    if (rc)
        return rc;
    atomic_store(&engine->ready, true);
    rc = submit_jobs(err);
    for (int i = 0; i < WARM_UP && !rc; i++)
        engine_turn(engine);
    return rc;
}

MICRO_RUN(engine_step)
{
    uint64_t steps = 0;
    for (uint64_t i = 0; i < n; i++)
        steps += engine_turn(engine);
    micro_sink = steps;
    if (steps != n)
        abort(); /* the jobs are at their end: this counts nothing */
}
