/*
 * The host's side of the plugin ABI: finds, checks and opens a plugin, and calls it.
 *
 * A plugin is taken only from the plugin directory by bare name ([a-z0-9-]+), or from
 * a path when the caller says so. File and directory must belong to root or to us and
 * be writable by nobody else. It is never dlclosed.
 */
#ifndef ORCD_PLUGIN_HOST_H
#define ORCD_PLUGIN_HOST_H

#include <stdbool.h>

#include "base/error.h"

struct plugin;

struct plugin_setting { /* one of plugin.options */
    const char *key, *value;
};

/* The directory searched when none is configured: beside the program in a build tree,
 * $exe/../lib/orcd/plugins in a relocated tree, else the compiled-in one. */
const char *plugin_default_dir(void);

/* Opens and checks one; neither configures nor initializes it. name with a '/' is a
 * path and needs allow_path. Errors: NOT_FOUND (names the directory and what is
 * there), PERMISSION, ABI, INVALID. */
int plugin_open(
    struct plugin **out, const char *dir, const char *name, bool allow_path, struct orcd_error *err);

/* Checks settings against the plugin's table (unknown: did you mean; type; range),
 * passes defaults and values, then calls init. Once. */
int plugin_start(
    struct plugin *p, const struct plugin_setting *settings, size_t n_settings, struct orcd_error *err);

/* fini; the object stays mapped. Takes NULL. */
void plugin_stop(struct plugin *p);

/* Our copy of its table: slots beyond what it offers are NULL. */
const struct orcd_plugin *plugin_table(const struct plugin *p);
const char *plugin_path(const struct plugin *p);

/* Names of plugins in dir, sorted; each malloc'ed, as the array is. */
int plugin_list(const char *dir, char ***names, size_t *n, struct orcd_error *err);

/* What model_load's progress calls, in units of the plugin's choice. Any thread of the
 * plugin may call it; non-zero stops the load. */
typedef int32_t (*plugin_progress_fn)(uint64_t done, uint64_t total, void *arg);
/* Loader thread, while no plugin loads. NULL: nobody is told. */
void plugin_set_progress(plugin_progress_fn fn, void *arg);

/*
 * A backend is one device, one model and one context of a plugin, with the calls that
 * the engine makes. Every wrapper checks the plugin's answer (counts, ranges, pointers)
 * before anybody uses it; with --enable-debug it asserts the thread rules.
 */
struct backend;

/* source is NULL for a plugin without NEEDS_MODEL. device_index from plugin option
 * "device" is the caller's business. */
int backend_open_device(
    struct backend **out, struct plugin *p, uint32_t device_index, struct orcd_error *err);
int backend_load(struct backend *b, const struct orcd_model_source *source, struct orcd_error *err);
int backend_new_context(struct backend *b, const struct orcd_ctx_params *params, struct orcd_error *err);
void backend_close(struct backend *b); /* context, model, device; takes NULL */

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
/* What a plugin may lack is UNSUPPORTED. NULL sampler: none. */
int backend_seq_sampler(
    struct backend *b, uint32_t seq, const struct orcd_sampler *sampler, struct orcd_error *err);
/* The first n tokens of `from` into `to`, which is open and empty. */
int backend_seq_fork(struct backend *b, uint32_t from, uint32_t to, uint32_t n, struct orcd_error *err);
/* buf NULL: *bytes becomes what is needed; else it is what buf holds, then what was used. */
int backend_seq_save(struct backend *b, uint32_t seq, void *buf, uint64_t *bytes, struct orcd_error *err);
/* Into an open sequence. */
int backend_seq_load(
    struct backend *b, uint32_t seq, const void *buf, uint64_t bytes, struct orcd_error *err);
/* ANY. */
void backend_abort(struct backend *b, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs);
void backend_stats(struct backend *b, struct orcd_stats *stats);
/* HEALTH. */
int backend_memory(struct backend *b, struct orcd_memory *memory, struct orcd_error *err);
int backend_residency(struct backend *b, struct orcd_residency *residency,
    struct orcd_error *err); /* UNSUPPORTED if it has none */

#endif
