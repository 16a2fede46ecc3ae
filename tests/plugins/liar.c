/* Returns impossible answers; its option selects which. */
#include "base.h"

static char lie[64];

static int is(const char *what)
{
    return strcmp(lie, what) == 0;
}

static const struct orcd_option options[] = {BASE_OPTION("lie", ORCD_OPT_STRING, "", 0, 0)};

static int32_t configure(const char *key, const char *value, struct orcd_error *err)
{
    (void)err;
    if (key)
        snprintf(lie, sizeof(lie), "%s", value);
    return 0;
}

static int32_t init(struct orcd_error *err)
{
    if (is("init-text")) /* not terminated, not one line */
        memset(err->msg, '\n', sizeof(err->msg));
    if (is("init-text"))
        return ORCD_E_DEVICE;
    return is("init-unknown") ? -4711 : is("init-positive") ? 1 : is("init-silent") ? ORCD_E_DEVICE : 0;
}

static int32_t device_count(uint32_t *count, struct orcd_error *err)
{
    (void)err;
    *count = is("no-device") ? 0 : 1;
    return 0;
}

static int32_t device_info(uint32_t index, struct orcd_device_info *info, struct orcd_error *err)
{
    (void)index;
    (void)err;
    memset(info->name, is("device-name") ? '\x01' : 'x', sizeof(info->name));
    return 0;
}

static int32_t device_open(uint32_t index, struct orcd_device **device, struct orcd_error *err)
{
    return is("device-null") ? 0 : base_device_open(index, device, err);
}

static int32_t device_memory(struct orcd_device *device, struct orcd_memory *m, struct orcd_error *err)
{
    base_device_memory(device, m, err);
    if (is("memory"))
        m->free_bytes = 101;
    return 0;
}

static int32_t model_load(struct orcd_device *device, const struct orcd_model_source *source,
    struct orcd_model **model, struct orcd_error *err)
{
    return is("model-null") ? 0 : base_model_load(device, source, model, err);
}

static int32_t model_info(struct orcd_model *model, struct orcd_model_info *info, struct orcd_error *err)
{
    base_model_info(model, info, err);
    if (is("vocab"))
        info->n_vocab = UINT32_MAX;
    return 0;
}

static int32_t ctx_new(struct orcd_model *model, const struct orcd_ctx_params *params, struct orcd_ctx **ctx,
    struct orcd_error *err)
{
    return is("ctx-null") ? 0 : base_ctx_new(model, params, ctx, err);
}

static int32_t seq_len(struct orcd_ctx *ctx, uint32_t seq, uint32_t *len, struct orcd_error *err)
{
    base_seq_len(ctx, seq, len, err);
    *len += is("len");
    return 0;
}

static int32_t seq_trim(
    struct orcd_ctx *ctx, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err)
{
    base_seq_trim(ctx, seq, n, kept, err);
    *kept += is("trim");
    return 0;
}

static int32_t wait(struct orcd_ctx *ctx, struct orcd_result *res, struct orcd_error *err)
{
    static int32_t ids[] = {BASE_VOCAB};
    static float logprobs[] = {0};
    base_wait(ctx, res, err);
    if (is("rows"))
        res->n_rows = UINT32_MAX;
    if (is("fewer-rows"))
        res->n_rows = 0;
    if (is("ticket"))
        res->ticket++;
    if (is("status"))
        res->status[0] = -4711;
    if (is("positive-status"))
        res->status[0] = 1;
    if (is("kept-more"))
        res->kept[0]++;
    if (is("kept-less"))
        res->kept[0]--;
    if (is("kept-beyond")) {
        res->status[0] = ORCD_E_ABORTED;
        res->kept[0]++;
    }
    if (is("kept-below") && res->kept[0] > 2) { /* from the second step on */
        res->status[0] = ORCD_E_ABORTED;
        res->kept[0] = 1;
    }
    if (is("misaligned"))
        res->logits[0] = base_logits + 1;
    if (is("no-logits"))
        res->logits[0] = NULL;
    if (is("n-logits"))
        res->n_logits[0] = 2;
    if (is("token"))
        res->token[0] = BASE_VOCAB;
    if (is("negative-token"))
        res->token[0] = -1;
    if (res->top_ids && res->top_logprobs) {
        res->top_ids[0] = is("top-null") ? NULL : ids;
        res->top_logprobs[0] = logprobs;
    }
    if (is("future"))
        res->finished_ns = UINT64_MAX;
    if (is("arrays")) { /* must not change the host's own pointers */
        res->status = NULL;
        res->kept = NULL;
        res->row_capacity = 0;
    }
    return is("wait-lost") ? ORCD_E_DEVICE_LOST : 0;
}

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    lie[0] = 0;
    base_options(options, 1);
    base_table.configure = configure;
    base_table.init = init;
    base_table.device_count = device_count;
    base_table.device_info = device_info;
    base_table.device_open = device_open;
    base_table.device_memory = device_memory;
    base_table.model_load = model_load;
    base_table.model_info = model_info;
    base_table.ctx_new = ctx_new;
    base_table.seq_len = seq_len;
    base_table.seq_trim = seq_trim;
    base_table.wait = wait;
    return &base_table;
}
