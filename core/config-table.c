#include "config-table.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define AT(field) offsetof(struct config, field)
#define TEXT(name, fallback, help, field)                                                                    \
    {                                                                                                        \
        name, CONFIG_STRING, 0, 4096, NULL, fallback, "", help, AT(field), NULL                              \
    }
#define CHOICE(name, choices, fallback, help, field)                                                         \
    {                                                                                                        \
        name, CONFIG_CHOICE, 0, 0, choices, fallback, "", help, AT(field), NULL                              \
    }
#define INT(name, min, max, fallback, unit, help, field)                                                     \
    {                                                                                                        \
        name, CONFIG_INT, min, max, NULL, fallback, unit, help, AT(field), NULL                              \
    }
#define BOOL(name, fallback, help, field)                                                                    \
    {                                                                                                        \
        name, CONFIG_BOOL, 0, 0, NULL, fallback, "", help, AT(field), NULL                                   \
    }

#define OPEN(name, fallback, help, open)                                                                     \
    {                                                                                                        \
        name, CONFIG_OPEN, 0, 0, NULL, fallback, "", help, 0, open                                           \
    }

#define DAY_MS 86400000

static const struct config_section sections[] = {
    {"plugin", "The plugin that runs the model."},
    {"model", "The model that is served."},
    {"deadlines", "Deadlines of requests, and which requests are refused at once."},
    {"checks", "How often a running job is checked, in addition to the events that end it."},
    {"health", "The health cache."},
    {"http", "The listener."},
    {"queue", "Jobs that wait for a slot."},
    {"shutdown", "What SIGTERM, SIGINT and POST /v2/shutdown do."},
    {"worker", "Name and callback of this worker, for a supervisor."},
    {"log", "Lines on standard error."},
};

static const struct config_key keys[] = {
    TEXT("plugin.name", "auto",
        "cuda, cpu, mock or any plugin in plugin.dir; auto: cuda if it exists and finds a device, else cpu",
        plugin.name),
    TEXT("plugin.dir", NULL, "folder of the plugins; null: where they were installed", plugin.dir),

    TEXT("model.path", NULL, "the GGUF file; not needed by plugins without a model file (mock)", model.path),
    TEXT("model.ref", NULL, "name of the model in requests; null: general.name of the file", model.ref),
    CHOICE("model.tokenizer", "auto|gguf|hf-json", "auto",
        "gguf: of the model file; hf-json: the file tokenizer.json in the folder of the model file; auto: "
        "gguf, or hf-json where the model file has no known tokenizer",
        model.tokenizer),
    CHOICE("model.chat_template",
        "auto|none|chatml|qwen2.5|qwen3|llama3|llama3.1|llama3.2|llama2|phi3|zephyr|gpt-oss|mistral-v1|"
        "mistral-v1-system|mistral-v3|mistral-tekken|mistral-v7|gemma|gemma3",
        "auto",
        "how conversations become prompts; auto: as the template in the file, if it is known; none: messages "
        "are refused",
        model.chat_template),
    INT("model.context", 0, 1 << 20, "4096", "tokens",
        "context of a slot, at most that of the model; 0: that of the model", model.context),
    INT("model.slots", 1, 1024, "4", "", "sequences that are decoded together", model.slots),
    INT("model.max_step_rows", 0, 1024, "0", "sequences",
        "decoded in one step; the others wait their turn; 0: all", model.max_step_rows),
    INT("model.max_batch_tokens", 1, 65536, "512", "tokens", "largest step", model.max_batch_tokens),

    INT("deadlines.default_ms", 0, DAY_MS, "0", "ms", "deadline of requests that name none; 0: none",
        deadlines.default_ms),
    INT("deadlines.max_ms", 1, DAY_MS, "1800000", "ms", "later deadlines are clamped to this",
        deadlines.max_ms),
    INT("deadlines.min_remaining_ms", 0, DAY_MS, "100", "ms",
        "requests with less time left on arrival are refused", deadlines.min_remaining_ms),
    CHOICE("deadlines.admission", "predictive|simple|off", "predictive",
        "predictive: also refuse requests that are predicted to be late; simple or off: only those that "
        "arrive late",
        deadlines.admission),
    INT("deadlines.probe_percent", 0, 100, "0", "%",
        "share of the requests predicted to be late that is accepted nevertheless, to measure how often "
        "predictions are wrong",
        deadlines.probe_percent),

    INT("checks.every_tokens", 1, 10000, "10", "tokens",
        "a job is checked for cancel, deadline and connection at least this often", checks.every_tokens),
    INT("checks.every_ms", 1, 10000, "20", "ms", "or this often, whichever comes first", checks.every_ms),
    INT("checks.prefill_slice_ms", 1, 10000, "20", "ms",
        "how long prefill may delay the next token of other streams", checks.prefill_slice_ms),

    INT("health.refresh_ms", 10, 60000, "1000", "ms", "how often the health cache is refreshed",
        health.refresh_ms),
    INT("health.residency_ms", 1000, DAY_MS, "60000", "ms",
        "how often the worker checks that the weights are still on the device", health.residency_ms),
    INT("health.stall_ms", 100, DAY_MS, "30000", "ms",
        "pending work without a completed step, or a query of the device, for this long is unhealthy",
        health.stall_ms),
    INT("health.max_failures", 0, 1000000, "5", "",
        "so many jobs in a row that the device fails are unhealthy, until a probe or a job succeeds; 0: "
        "never",
        health.max_failures),

    TEXT("http.listen", "127.0.0.1:8001",
        "host:port, [v6]:port or unix:/path; port 0: any free port; beyond loopback API keys are needed",
        http.listen),
    TEXT("http.socket_mode", "0660", "mode of the socket of unix:/path, in octal digits", http.socket_mode),
    TEXT("http.socket_group", NULL, "group that owns the socket of unix:/path; null: the process's",
        http.socket_group),
    INT("http.threads", 1, 64, "1", "", "event loops", http.threads),
    TEXT("http.api_keys_file", NULL,
        "file with one API key a line; only its owner may read it; orcd.yaml(5) says what may stand behind a "
        "key",
        http.api_keys_file),
    INT("http.wrong_key_delay_ms", 0, 60000, "1000", "ms",
        "longest time that an answer to a wrong API key is delayed, for who sends one after the other",
        http.wrong_key_delay_ms),
    TEXT("http.cors_origins", NULL,
        "web pages that may read answers: origins separated by commas, or *; null: none", http.cors_origins),
    BOOL("http.allow_unauthenticated", "false", "allow to listen beyond loopback without API keys",
        http.allow_unauthenticated),
    INT("http.keep_alive_ms", 1000, DAY_MS, "75000", "ms", "how long an idle connection stays open",
        http.keep_alive_ms),
    INT("http.write_stall_ms", 100, DAY_MS, "30000", "ms",
        "a client that accepts no data for this long is disconnected", http.write_stall_ms),
    INT("http.ping_ms", 100, DAY_MS, "5000", "ms", "a stream that was silent for this long gets a comment",
        http.ping_ms),
    INT("http.metrics_event_ms", 0, DAY_MS, "0", "ms",
        "shortest time between metrics events on a stream; 0: off", http.metrics_event_ms),
    INT("http.max_body_kb", 1, 65536, "4096", "KiB", "largest request body", http.max_body_kb),
    INT("http.max_connections", 1, 65536, "1024", "",
        "open connections; at the limit the one that was idle longest is closed, and without an idle one "
        "more get 503",
        http.max_connections),
    INT("http.max_connections_per_peer", 0, 65536, "0", "",
        "open connections of one address (IPv6: of one /64); more get 503; 0: no limit of its own",
        http.max_connections_per_peer),
    INT("http.buffer_mb", 16, 1048576, "256", "MiB",
        "memory for request bodies and answers above 16 KiB that wait for their clients, at least four "
        "bodies; one "
        "client may hold a quarter",
        http.buffer_mb),
    INT("http.request_read_ms", 100, DAY_MS, "10000", "ms",
        "time for a whole request, head and body, to arrive", http.request_read_ms),
    TEXT("http.tls.cert", NULL,
        "not supported in this version: must be null; put a TLS proxy in front of the worker", http.tls_cert),
    TEXT("http.tls.key", NULL, "not supported in this version: must be null", http.tls_key),

    INT("queue.capacity", 0, 100000, "100", "jobs",
        "jobs that may wait for a slot; more are refused with 429", queue.capacity),

    INT("shutdown.drain_ms", 0, 600000, "3000", "ms", "how long running jobs may go on", shutdown.drain_ms),
    INT("shutdown.grace_ms", 100, 600000, "5000", "ms", "the process ends by then in any case",
        shutdown.grace_ms),

    TEXT("worker.id", NULL, "name of this worker; null: a random name", worker.id),
    TEXT("worker.callback_url", NULL,
        "http:// or https:// address to which the worker sends a POST when it is ready", worker.callback_url),
    TEXT("worker.callback_secret_file", NULL,
        "file with the bearer token of the callback; only its owner may read it",
        worker.callback_secret_file),

    CHOICE("log.level", "error|warn|info|debug", "info", "log lines of this level and above", log.level),
    CHOICE("log.format", "auto|text|json", "auto", "auto: text on a terminal or under journald, else JSON",
        log.format),

    OPEN(CONFIG_OPTIONS, "the plugin's", "an option of the plugin (orcd plugins NAME lists them)",
        &config_plugin_options),
};

static int validate(const struct config_head *head, struct orcd_error *err)
{
    const struct config *c = (const struct config *)head;
    const char *tls = c->http.tls_cert ? "http.tls.cert" : c->http.tls_key ? "http.tls.key" : NULL;
    if (tls)
        return error_set(err, ORCD_E_UNSUPPORTED,
            "%s: %s: must be null: this version does not support TLS; put a proxy with TLS in front",
            config_origin(head, tls), tls);
    const char *mode = c->http.socket_mode;
    if (!*mode || mode[strspn(mode, "01234567")] || strlen(mode) > 4 || strtoul(mode, NULL, 8) > 0777)
        return error_set(err, ORCD_E_INVALID,
            "%s: http.socket_mode: '%s': must be octal digits, such as 0660; at most 0777",
            config_origin(head, "http.socket_mode"), mode);
    if (c->shutdown.drain_ms >= c->shutdown.grace_ms)
        return error_set(err, ORCD_E_INVALID,
            "%s: shutdown.drain_ms: '%lld': must be less than shutdown.grace_ms (%lld)",
            config_origin(head, "shutdown.drain_ms"), (long long)c->shutdown.drain_ms,
            (long long)c->shutdown.grace_ms);
    if (c->deadlines.default_ms > c->deadlines.max_ms)
        return error_set(err, ORCD_E_INVALID,
            "%s: deadlines.default_ms: '%lld': must be at most deadlines.max_ms (%lld)",
            config_origin(head, "deadlines.default_ms"), (long long)c->deadlines.default_ms,
            (long long)c->deadlines.max_ms);
    if (c->deadlines.min_remaining_ms > c->deadlines.max_ms)
        return error_set(err, ORCD_E_INVALID,
            "%s: deadlines.min_remaining_ms: '%lld': must be at most deadlines.max_ms (%lld)",
            config_origin(head, "deadlines.min_remaining_ms"), (long long)c->deadlines.min_remaining_ms,
            (long long)c->deadlines.max_ms);
    if (c->model.max_batch_tokens < c->model.slots)
        return error_set(err, ORCD_E_INVALID,
            "%s: model.max_batch_tokens: '%lld': must be at least model.slots (%lld)",
            config_origin(head, "model.max_batch_tokens"), (long long)c->model.max_batch_tokens,
            (long long)c->model.slots);
    if (c->worker.callback_secret_file && !c->worker.callback_url)
        return error_set(err, ORCD_E_INVALID,
            "%s: worker.callback_secret_file: '%s': must be null without worker.callback_url",
            config_origin(head, "worker.callback_secret_file"), c->worker.callback_secret_file);
    if (c->worker.callback_url && strncmp(c->worker.callback_url, "http://", 7) != 0 &&
        strncmp(c->worker.callback_url, "https://", 8) != 0)
        return error_set(err, ORCD_E_INVALID,
            "%s: worker.callback_url: '%s': must begin with http:// or https://",
            config_origin(head, "worker.callback_url"), c->worker.callback_url);
    return 0;
}

const struct config_table worker_config_table = {
    .size = sizeof(struct config),
    .keys = keys,
    .n_keys = ARRAY_LEN(keys),
    .sections = sections,
    .n_sections = ARRAY_LEN(sections),
    .annotated_head =
        "# orcd.yaml: configuration of an orcd worker, described in orcd.yaml(5).\n"
        "# Every key is shown with its default. The command line overrides the environment\n"
        "# (ORCD_HTTP_LISTEN is http.listen), which overrides this file. Check: orcd config --check FILE\n",
    .validate = validate,
};
