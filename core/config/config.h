/*
 * Configuration: defaults < file < environment < command line, merged, then
 * validated. Every key is one row of config-table.c; parser, listing, documentation
 * and the annotated default file are made from that table.
 */
#ifndef ORCD_CONFIG_CONFIG_H
#define ORCD_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "plugin/host.h"

struct config {
    struct {
        char *name, *dir;               /* dir NULL: plugin_default_dir() */
        struct plugin_setting *options; /* plugin.options.* as text, in order */
        size_t n_options;
    } plugin;
    struct {
        char *path, *ref, *tokenizer, *chat_template;
        int64_t context, slots, max_step_rows, max_batch_tokens;
    } model;
    struct {
        int64_t default_ms, max_ms, min_remaining_ms;
        char *admission;
        int64_t probe_percent;
    } deadlines;
    struct {
        int64_t every_tokens, every_ms, prefill_slice_ms;
    } checks;
    struct {
        int64_t refresh_ms, residency_ms, stall_ms;
    } health;
    struct {
        char *listen, *api_keys_file;
        int64_t threads;
        bool allow_unauthenticated;
        int64_t keep_alive_ms, write_stall_ms, ping_ms, metrics_event_ms, max_body_kb, max_connections,
            request_read_ms;
        char *tls_cert, *tls_key;
    } http;
    struct {
        int64_t capacity;
    } queue;
    struct {
        int64_t drain_ms, grace_ms;
    } shutdown;
    struct {
        char *id, *callback_url, *callback_secret_file;
    } worker;
    struct {
        char *level, *format;
    } log;
    struct config_origin *origins; /* where each value came from; see config_show */
};

void config_init(struct config *c); /* defaults */
void config_release(struct config *c);
/* key is dotted ("http.listen", "plugin.options.device"); origin is shown to users
 * ("--set", "ORCD_HTTP_LISTEN", "/etc/orcd.yaml:12"). */
int config_set(
    struct config *c, const char *key, const char *value, const char *origin, struct orcd_error *err);
int config_load_file(struct config *c, const char *path, struct orcd_error *err);
int config_load_environment(struct config *c, char *const *envp, struct orcd_error *err);
/* The file that is used without --config: ORCD_CONFIG, sysconfdir, /etc; NULL: none. */
const char *config_default_path(void);
/* Ranges were checked by config_set; this checks what involves several keys. */
int config_validate(const struct config *c, struct orcd_error *err);

void config_list(FILE *out);                         /* every key: type, range, default, text */
void config_list_pod(FILE *out);                     /* the same for orcd.yaml(5) */
void config_annotated(FILE *out);                    /* the annotated default file */
void config_show(const struct config *c, FILE *out); /* merged values and their origins */

#endif
