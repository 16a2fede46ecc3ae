/*
 * The worker's configuration: the struct that its keys fill, and their table, one row per
 * key. config/config.h says how the struct is filled, in which order, and by which thread;
 * its calls get &config.head.
 */
#ifndef ORCD_WORKER_CONFIG_TABLE_H
#define ORCD_WORKER_CONFIG_TABLE_H

#include "config/config.h"
#include "plugin/host.h"

#define CONFIG_OPTIONS "plugin.options"
#define CONFIG_MAX_OPTIONS 64

struct config {
    struct config_head head;
    struct {
        char *name, *dir;               /* dir NULL: plugin_default_dir() */
        struct plugin_setting *options; /* plugin.options.* as text, in order */
        char *option_origins[CONFIG_MAX_OPTIONS];
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
        int64_t refresh_ms, residency_ms, stall_ms, max_failures;
    } health;
    struct {
        char *listen, *socket_mode, *socket_group, *api_keys_file, *cors_origins;
        int64_t threads;
        bool allow_unauthenticated;
        int64_t keep_alive_ms, write_stall_ms, ping_ms, metrics_event_ms, max_body_kb, max_connections,
            max_connections_per_peer, buffer_mb, request_read_ms, wrong_key_delay_ms;
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
};

extern const struct config_table worker_config_table;

/* plugin.options as a row of the table. */
extern const struct config_open config_plugin_options;

#endif
