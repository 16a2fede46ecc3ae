/*
 * The host's side of the plugin ABI: finds, checks and opens a plugin, and calls it.
 *
 * A plugin is opened by its bare name ([a-z0-9-]+) from the plugin directory, or from a path if the
 * caller allows that. The file and its directory must be owned by root or by the user that orcd runs as,
 * and no other user may write to them.
 *
 * Life cycle: a plugin is opened, started and stopped; it is never unloaded, so a struct plugin lives
 * until the process ends. A backend lives from backend_open_device() to backend_close().
 *
 * Threads: OWNER, HEALTH and ANY are the threads of orcd/plugin.h. One thread at a time opens and starts
 * plugins and builds a backend: main, then the loader thread. Then the engine thread makes the OWNER calls,
 * one at a time; the health thread makes the HEALTH calls; any thread may make the ANY calls. After the
 * load any thread may call the functions that only read (plugin_table(), backend_model() ..).
 *
 * Order of calls: plugin_open(), plugin_start(); backend_open_device(), backend_load(),
 * backend_new_context(); the OWNER, ANY and HEALTH calls; backend_close() when no other thread makes a
 * call any more; plugin_stop().
 */
#ifndef ORCD_PLUGIN_HOST_H
#define ORCD_PLUGIN_HOST_H

#include <stdbool.h>

#include "base/error.h"

struct plugin;

struct plugin_setting { /* one of plugin.options */
    const char *key, *value;
};

/* The directory that is searched if none is configured: beside the program in a build tree,
 * $exe/../lib/orcd/plugins in a relocated tree, else the compiled-in one. */
const char *plugin_default_dir(void);

/* Opens and checks a plugin, without configuring or initializing it. A name with a '/' is a path and
 * needs allow_path. Errors: NOT_FOUND (lists the plugins in the directory), PERMISSION, ABI, INVALID. */
int plugin_open(
    struct plugin **out, const char *dir, const char *name, bool allow_path, struct orcd_error *err);

/* Checks the settings against the plugin's table of options (unknown name, type, range), passes all
 * values and defaults to configure(), then calls init(). May be called once. */
int plugin_start(
    struct plugin *p, const struct plugin_setting *settings, size_t n_settings, struct orcd_error *err);

/* Calls fini(); the object stays mapped. Accepts NULL. */
void plugin_stop(struct plugin *p);

/* The host's copy of the plugin's table; slots that the plugin does not have are NULL. */
const struct orcd_plugin *plugin_table(const struct plugin *p);
const char *plugin_path(const struct plugin *p);

/* The names of the plugins in dir, sorted. The caller frees each name and the array. */
int plugin_list(const char *dir, char ***names, size_t *n, struct orcd_error *err);

/* The function to which the progress of model_load is reported, in units that the plugin chooses. Any
 * thread of the plugin may call it; if it returns non-zero, the load stops. */
typedef int32_t (*plugin_progress_fn)(uint64_t done, uint64_t total, void *arg);
/* Called on the loader thread, while no plugin loads a model. NULL: progress is not reported. */
void plugin_set_progress(plugin_progress_fn fn, void *arg);

/*
 * A backend is one device, one model and one context of a plugin, with the calls that the engine makes.
 * Each wrapper checks the plugin's answer (counts, ranges, pointers) before it is used; with
 * --enable-debug it also asserts the thread rules.
 */
struct backend;

/* source is NULL for a plugin without NEEDS_MODEL. The caller finds device_index, for example from the
 * plugin's option "device". */
int backend_open_device(
    struct backend **out, struct plugin *p, uint32_t device_index, struct orcd_error *err);
int backend_load(struct backend *b, const struct orcd_model_source *source, struct orcd_error *err);
int backend_new_context(struct backend *b, const struct orcd_ctx_params *params, struct orcd_error *err);
void backend_close(struct backend *b); /* frees context, model and device; accepts NULL */

const struct orcd_plugin *backend_plugin(const struct backend *b);
const struct orcd_device_info *backend_device(const struct backend *b);
const struct orcd_model_info *backend_model(const struct backend *b); /* after load */

/* OWNER. */
int backend_seq_open(struct backend *b, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
int backend_seq_reserve(struct backend *b, uint32_t seq, uint32_t max_tokens, struct orcd_error *err);
int backend_seq_close(struct backend *b, uint32_t seq, struct orcd_error *err);
int backend_seq_len(struct backend *b, uint32_t seq, uint32_t *len, struct orcd_error *err);
int backend_seq_trim(struct backend *b, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err);
int backend_submit(struct backend *b, const struct orcd_batch *batch, struct orcd_error *err);
int backend_wait(struct backend *b, struct orcd_result *result, struct orcd_error *err);
/* These four return UNSUPPORTED if the plugin lacks the slot, and backend_seq_sampler() also if it lacks
 * a rule that the sampler needs: the host samples then. sampler NULL: none, the host samples. */
int backend_seq_sampler(
    struct backend *b, uint32_t seq, const struct orcd_sampler *sampler, struct orcd_error *err);
/* Copies the first n tokens of `from` to `to`, which must be open and empty. */
int backend_seq_fork(struct backend *b, uint32_t from, uint32_t to, uint32_t n, struct orcd_error *err);
/* With buf NULL, sets *bytes to the size that is needed. Otherwise *bytes is the size of buf, and is set
 * to the bytes written. */
int backend_seq_save(struct backend *b, uint32_t seq, void *buf, uint64_t *bytes, struct orcd_error *err);
/* Loads into an open sequence. */
int backend_seq_load(
    struct backend *b, uint32_t seq, const void *buf, uint64_t bytes, struct orcd_error *err);
/* ANY. */
void backend_abort(struct backend *b, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs);
void backend_stats(struct backend *b, struct orcd_stats *stats);
/* HEALTH. */
int backend_memory(struct backend *b, struct orcd_memory *memory, struct orcd_error *err);
int backend_residency(struct backend *b, struct orcd_residency *residency,
    struct orcd_error *err); /* UNSUPPORTED if the plugin lacks the slot */

#endif
