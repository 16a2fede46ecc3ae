/* From a configuration to a running engine: preparation before the worker listens, the rest
 * on the loader thread. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "config/secrets.h"
#include "metrics.h"
#include "worker-parts.h"

#define CONTEXT_WITHOUT_MODEL 4096
#define PROGRESS_EVERY_NS (50 * NS_PER_MS)

static bool name_is_auto(const struct worker *w)
{
    return strcmp(w->config->plugin.name, "auto") == 0;
}

static const char *plugin_dir(const struct worker *w)
{
    return w->config->plugin.dir ? w->config->plugin.dir : plugin_default_dir();
}

static int open_plugin(struct worker *w, const char *name, struct orcd_error *err)
{
    return plugin_open(&w->plugin, plugin_dir(w), name, false, err);
}

/* auto: a missing cuda plugin is the usual case; a broken one is logged. */
static int open_chosen_plugin(struct worker *w, struct orcd_error *err)
{
    if (!name_is_auto(w))
        return open_plugin(w, w->config->plugin.name, err);
    struct orcd_error why = ORCD_ERROR_INIT;
    int rc = open_plugin(w, "cuda", &why);
    if (rc == 0)
        return 0;
    if (rc != ORCD_E_NOT_FOUND)
        log_warn("plugin cuda: %s; using cpu", why.msg);
    return open_plugin(w, "cpu", err);
}

static int open_model(struct worker *w, struct orcd_error *err)
{
    int64_t want = w->config->model.context;
    if (!(plugin_table(w->plugin)->flags & ORCD_PLUGIN_NEEDS_MODEL)) {
        w->n_ctx = (uint32_t)(want ? want : CONTEXT_WITHOUT_MODEL);
        return EX_OK;
    }
    if (!w->config->model.path) {
        error_set(err, ORCD_E_INVALID, "no model: name a GGUF file on the command line or in model.path");
        return EX_CONFIG;
    }
    int rc = model_open(&w->model, w->config->model.path, err);
    if (rc)
        return error_exit_status(rc);
    uint32_t own = model_source(w->model)->hparams->n_ctx_train;
    w->n_ctx = want == 0 || want > own ? own : (uint32_t)want;
    if (want > own)
        log_info("model.context: %lld exceeds the model's context; using %u", (long long)want, own);
    return EX_OK;
}

static int read_secrets(struct worker *w, struct orcd_error *err)
{
    const char *secret = w->config->worker.callback_secret_file;
    int rc = worker_keys_read(w, &w->keys_text, &w->keys_bytes, err);
    if (rc || !secret)
        return rc;
    char **list = NULL;
    size_t n = 0;
    rc = secrets_read(secret, &list, &n, err);
    if (rc)
        error_prefix(err, "worker.callback_secret_file");
    else if (!(w->callback_secret = strdup(list[0])))
        rc = error_set(err, ORCD_E_NOMEM, "out of memory");
    secrets_free(list, n);
    return rc;
}

int worker_prepare(struct worker *w, struct orcd_error *err)
{
    int rc = read_secrets(w, err);
    rc = rc ? rc : open_chosen_plugin(w, err);
    if (rc)
        return error_exit_status(rc);
    return open_model(w, err);
}

static int32_t progress(uint64_t done, uint64_t total, void *arg)
{
    struct worker *w = arg;
    if (total == 0 || done > total)
        done = total = 1;
    uint64_t now = clock_mono_ns();
    atomic_store(&w->load_moved_ns, now);
    if (now - w->progress_told_ns >= PROGRESS_EVERY_NS || done == total) {
        double fraction = (double)done / (double)total;
        w->progress_told_ns = now;
        atomic_store(&w->load_permille, (unsigned)(fraction * 1000));
        health_set_progress(w->health, fraction);
        if (w->hooks && w->hooks->progress)
            w->hooks->progress(fraction, w->hooks->arg);
    }
    return atomic_load(&w->load_stop) || atomic_load(&w->vocab_failed);
}

static int stopped(struct worker *w, struct orcd_error *err)
{
    return atomic_load(&w->load_stop) ? error_set(err, ORCD_E_STOPPED, "stopped while loading") : 0;
}

/* plugin.options.device, which --gpu-device sets too. */
static int device_index(const struct worker *w, uint32_t *index, struct orcd_error *err)
{
    *index = 0;
    for (size_t i = 0; i < w->config->plugin.n_options; i++) {
        const struct plugin_setting *s = &w->config->plugin.options[i];
        if (strcmp(s->key, "device") != 0)
            continue;
        char *end;
        errno = 0;
        unsigned long v = strtoul(s->value, &end, 10);
        if (errno || *end || *s->value < '0' || *s->value > '9' || v > 1024)
            return error_set(
                err, ORCD_E_INVALID, "plugin.options.device: '%.40s': must be a device number", s->value);
        *index = (uint32_t)v;
    }
    return 0;
}

static int start_plugin(struct worker *w, struct orcd_error *err)
{
    return plugin_start(w->plugin, w->config->plugin.options, w->config->plugin.n_options, err);
}

/* Starts the plugin and opens the device. auto: if the cuda plugin cannot start or finds no
 * device, the cpu plugin takes its place. *config_fault is set if a value of the
 * configuration is at fault. */
static int open_device(struct worker *w, bool *config_fault, struct orcd_error *err)
{
    uint32_t index = 0;
    int rc = device_index(w, &index, err);
    *config_fault = rc != 0;
    if (rc)
        return rc;
    struct orcd_error first = ORCD_ERROR_INIT;
    rc = start_plugin(w, &first);
    *config_fault = rc == ORCD_E_INVALID;
    if (rc == 0)
        rc = backend_open_device(&w->backend, w->plugin, index, &first);
    if (rc == 0)
        return 0;
    if (!name_is_auto(w) || strcmp(plugin_table(w->plugin)->name, "cpu") == 0) {
        *err = first;
        return rc;
    }
    log_info("plugin cuda: %s; using cpu", first.msg);
    plugin_stop(w->plugin);
    w->plugin = NULL;
    rc = open_plugin(w, "cpu", err);
    if (rc == 0)
        rc = start_plugin(w, err);
    *config_fault = rc == ORCD_E_INVALID;
    return rc ? rc : backend_open_device(&w->backend, w->plugin, index, err);
}

static int check_limits(struct worker *w, struct orcd_error *err)
{
    const struct orcd_model_info *info = backend_model(w->backend);
    const char *name = plugin_table(w->plugin)->name;
    if (info->n_ctx && w->n_ctx > info->n_ctx)
        return error_set(err, ORCD_E_INVALID, "model.context: '%u': must be at most %u with plugin %s",
            w->n_ctx, info->n_ctx, name);
    if (info->max_sequences && w->config->model.slots > info->max_sequences)
        return error_set(err, ORCD_E_INVALID, "model.slots: '%lld': must be at most %u with plugin %s",
            (long long)w->config->model.slots, info->max_sequences, name);
    return 0;
}

static int new_context(struct worker *w, struct orcd_error *err)
{
    uint32_t slots = (uint32_t)w->config->model.slots, most = backend_model(w->backend)->max_batch_tokens;
    uint64_t batch = (uint64_t)w->config->model.max_batch_tokens;
    struct orcd_ctx_params params = {
        .size = sizeof(params),
        .n_sequences = slots,
        .n_ctx = w->n_ctx,
        .max_batch_tokens = (uint32_t)(most ? min_u64(batch, most) : batch),
        .kv_tokens = (uint64_t)slots * w->n_ctx,
        .max_batch_rows = slots,
        .max_logits = slots,
    };
    return backend_new_context(w->backend, &params, err);
}

static double ms_since(uint64_t ns)
{
    return (double)(clock_mono_ns() - ns) / NS_PER_MS;
}

static void publish(struct worker *w)
{
    const struct orcd_plugin *p = plugin_table(w->plugin);
    const struct orcd_device_info *d = backend_device(w->backend);
    const struct orcd_model_info *info = backend_model(w->backend);
    const char *name = w->model ? model_name(w->model) : p->name;
    const char *ref = w->config->model.ref ? w->config->model.ref : name;
    const char *quant = w->model ? model_quant_kind(w->model) : "";
    char sm[32] = "", plugin[96];
    snprintf(plugin, sizeof(plugin), "%s %s", p->name, p->version ? p->version : "");
    if (d->compute_major)
        snprintf(sm, sizeof(sm), "%u.%u", d->compute_major, d->compute_minor);
    struct api_model hm = {
        .tokenizer = w->tokenizer,
        .chat = w->chat,
        .name = name,
        .ref = ref,
        .quant_kind = quant,
        .arch = w->model ? model_arch(w->model) : p->name,
        .n_ctx = w->n_ctx,
        .n_vocab = info->n_vocab,
        .weight_bytes = info->weight_bytes,
        .plugin = plugin,
    };
    api_set_model(w->api, &hm);
    struct health_facts facts = {
        .model = name,
        .model_ref = ref,
        .plugin = p->name,
        .plugin_version = p->version,
        .device = d->name,
        .quant_kind = quant,
        .tokenizer_kind = tokenizer_kind(w->tokenizer),
        .memory_architecture = p->flags & ORCD_PLUGIN_VRAM_ONLY ? "vram-only" : "ram",
        .sm = sm,
        .runtime_version = d->runtime,
        .vocab_size = info->n_vocab,
        .context_length = w->n_ctx,
    };
    health_set_ready(w->health, &facts, w->backend);
}

/* The vocabulary is built on a thread of its own while the weights are loaded. */
struct vocabulary {
    pthread_t thread;
    struct worker *worker;
    int status;
    struct orcd_error error;
};

static void *vocabulary_main(void *arg)
{
    struct vocabulary *v = arg;
    struct worker *w = v->worker;
    const struct gguf *g = w->model ? model_gguf(w->model) : NULL;
    const char *path = w->config->model.path;
    if (g)
        v->status = tokenizer_open(&w->tokenizer, g, path, w->config->model.tokenizer, &v->error);
    else
        v->status = tokenizer_new_bytes(&w->tokenizer, &v->error);
    if (!v->status)
        v->status = chat_template_new(&w->chat, g, w->tokenizer, w->config->model.chat_template, &v->error);
    if (v->status && g) {
        error_prefix(&v->error, "%s", path);
        atomic_store(&w->vocab_failed, true);
    }
    return NULL;
}

/* *config_fault is set if a value of the configuration is at fault. */
static int load_weights(struct worker *w, bool *config_fault, struct orcd_error *err)
{
    uint64_t began = clock_mono_ns();
    int rc = open_device(w, config_fault, err);
    if (rc)
        return rc;
    w->device_ms = ms_since(began);
    atomic_store(&w->load_moved_ns, clock_mono_ns());
    metric_set(MG_DEVICE_INIT_MS, w->device_ms);
    metric_set(MG_CUDA_INIT_MS, w->device_ms);
    metric_build_info(PACKAGE_VERSION, ORCD_ABI_MAJOR, plugin_table(w->plugin)->name);
    rc = stopped(w, err);
    began = clock_mono_ns();
    plugin_set_progress(progress, w);
    rc = rc ? rc : backend_load(w->backend, w->model ? model_source(w->model) : NULL, err);
    if (rc == 0) {
        rc = check_limits(w, err);
        *config_fault = rc != 0;
    }
    rc = rc ? rc : new_context(w, err);
    w->load_ms = ms_since(began);
    metric_set(MG_MODEL_LOAD_MS, w->load_ms);
    return rc ? rc : stopped(w, err);
}

static int load(struct worker *w, bool *config_fault, struct orcd_error *err)
{
    struct vocabulary v = {.worker = w, .error = ORCD_ERROR_INIT};
    if (pthread_create(&v.thread, NULL, vocabulary_main, &v))
        return error_set(err, ORCD_E_NOMEM, "cannot start a thread for the vocabulary");
    int rc = load_weights(w, config_fault, err);
    pthread_join(v.thread, NULL);
    if (v.status) {
        *config_fault = false;
        *err = v.error;
        return v.status;
    }
    uint64_t began = clock_mono_ns();
    rc = rc ? rc : engine_start(w->engine, w->backend, w->tokenizer, err);
    w->warm_up_ms = ms_since(began);
    if (rc)
        return rc;
    publish(w);
    log_event(ORCD_LOG_INFO, "ready", LOG_T("plugin", plugin_table(w->plugin)->name),
        LOG_T("device", backend_device(w->backend)->name),
        LOG_T("model", w->model ? model_name(w->model) : plugin_table(w->plugin)->name),
        LOG_T("chat_template", chat_family(w->chat)), LOG_I("context", w->n_ctx),
        LOG_I("slots", w->config->model.slots), LOG_F("device_ms", w->device_ms),
        LOG_F("load_ms", w->load_ms), LOG_F("warm_up_ms", w->warm_up_ms), (struct log_field *)NULL);
    return 0;
}

static void *loader_main(void *arg)
{
    struct worker *w = arg;
    bool config_fault = false;
    int rc = load(w, &config_fault, &w->load_error);
    w->load_status = rc && config_fault ? EX_CONFIG : error_exit_status(rc);
    atomic_store(&w->load_done, true);
    uint64_t one = 1;
    (void)!write(w->wake_fd, &one, sizeof(one));
    return NULL;
}

int worker_load_start(struct worker *w, struct orcd_error *err)
{
    w->load_started_ns = clock_mono_ns();
    atomic_store(&w->load_moved_ns, w->load_started_ns);
    int rc = pthread_create(&w->loader, NULL, loader_main, w);
    if (rc)
        return error_set_errno(err, ORCD_E_NOMEM, rc, "cannot start the loader thread");
    w->loader_running = true;
    return 0;
}
