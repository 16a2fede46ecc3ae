#include "config-table.h"

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
    {"plugin", "Which backend runs the model."},
    {"model", "What is served."},
    {"deadlines", "What a request may ask for, and what is refused at once."},
    {"checks", "How often a running job is looked at besides the events that end it."},
    {"health", "The health cache."},
    {"http", "The listener."},
    {"queue", "Jobs that wait for a slot."},
    {"shutdown", "What SIGTERM, SIGINT and POST /v2/shutdown do."},
    {"worker", "How a supervisor knows this worker."},
    {"log", "Lines on standard error."},
};

static const struct config_key keys[] = {
    TEXT("plugin.name", "auto",
        "cuda, cpu, mock or any plugin in plugin.dir; auto: cuda if it is there and finds a device, else cpu",
        plugin.name),
    TEXT("plugin.dir", NULL, "where plugins are; null: where they were installed", plugin.dir),

    TEXT("model.path", NULL, "the GGUF file; not needed by a plugin without one (mock)", model.path),
    TEXT("model.ref", NULL, "what requests may name; null: the file's general.name", model.ref),
    CHOICE("model.tokenizer", "auto|gguf|hf-json", "auto",
        "gguf: the model file's own; hf-json: the file tokenizer.json in the model's folder; auto: that file "
        "only where the model file has no tokenizer that is known",
        model.tokenizer),
    CHOICE("model.chat_template",
        "auto|none|chatml|qwen2.5|qwen3|llama3|llama3.1|llama3.2|llama2|phi3|zephyr|gpt-oss|mistral-v1|"
        "mistral-v1-system|mistral-v3|mistral-tekken|mistral-v7|gemma|gemma3",
        "auto", "how conversations become prompts; auto: as the file's template, if it is a known one",
        model.chat_template),
    INT("model.context", 0, 1 << 20, "4096", "tokens",
        "of a slot, clamped to the model's; 0: the model's own", model.context),
    INT("model.slots", 1, 1024, "4", "", "sequences decoded together", model.slots),
    INT("model.max_step_rows", 0, 1024, "0", "sequences",
        "decoded in one step at most, the others take turns; 0: all", model.max_step_rows),
    INT("model.max_batch_tokens", 1, 65536, "512", "tokens", "of a step at most", model.max_batch_tokens),

    INT("deadlines.default_ms", 0, DAY_MS, "0", "ms", "when a request names none; 0: none",
        deadlines.default_ms),
    INT("deadlines.max_ms", 1, DAY_MS, "1800000", "ms", "later deadlines are clamped to this",
        deadlines.max_ms),
    INT("deadlines.min_remaining_ms", 0, DAY_MS, "100", "ms", "less than this left at the start is refused",
        deadlines.min_remaining_ms),
    CHOICE("deadlines.admission", "predictive|simple|off", "predictive",
        "predictive: also refuse what is predicted to be late; simple: only what is late already; off: "
        "neither",
        deadlines.admission),
    INT("deadlines.probe_percent", 0, 100, "0", "%",
        "of the requests predicted to be late, so many are taken all the same, to see how often that is "
        "wrong",
        deadlines.probe_percent),

    INT("checks.every_tokens", 1, 10000, "10", "tokens",
        "cancel, deadline and connection are checked this often at least", checks.every_tokens),
    INT("checks.every_ms", 1, 10000, "20", "ms", "or this often, whichever comes first", checks.every_ms),
    INT("checks.prefill_slice_ms", 1, 10000, "20", "ms",
        "how long prefill may hold up the next token of other streams", checks.prefill_slice_ms),

    INT("health.refresh_ms", 10, 60000, "1000", "ms", "how often the cache is renewed", health.refresh_ms),
    INT("health.residency_ms", 1000, DAY_MS, "60000", "ms",
        "how often it is checked that the weights are still on the device", health.residency_ms),
    INT("health.stall_ms", 100, DAY_MS, "30000", "ms",
        "work pending without a step for this long is unhealthy", health.stall_ms),

    TEXT("http.listen", "127.0.0.1:8001",
        "host:port, [v6]:port or unix:/path; port 0: any. Beyond loopback keys are needed", http.listen),
    INT("http.threads", 1, 64, "1", "", "event loops", http.threads),
    TEXT(
        "http.api_keys_file", NULL, "one key a line; others must not be able to read it", http.api_keys_file),
    BOOL("http.allow_unauthenticated", "false", "listen beyond loopback without keys",
        http.allow_unauthenticated),
    INT("http.keep_alive_ms", 1000, DAY_MS, "75000", "ms", "how long an idle connection lives",
        http.keep_alive_ms),
    INT("http.write_stall_ms", 100, DAY_MS, "30000", "ms",
        "a client that accepts nothing for this long is dropped", http.write_stall_ms),
    INT("http.ping_ms", 100, DAY_MS, "5000", "ms", "a comment on a stream that was silent this long",
        http.ping_ms),
    INT("http.metrics_event_ms", 0, DAY_MS, "0", "ms", "least distance of metrics events on a stream; 0: off",
        http.metrics_event_ms),
    INT("http.max_body_kb", 1, 65536, "4096", "KiB", "of a request body at most", http.max_body_kb),
    INT("http.max_connections", 1, 65536, "1024", "", "at once; more are answered with 503",
        http.max_connections),
    INT("http.request_read_ms", 100, DAY_MS, "10000", "ms", "for a whole request, head and body",
        http.request_read_ms),
    TEXT("http.tls.cert", NULL,
        "not in this version: must stay null; put a proxy that speaks TLS in front of the worker",
        http.tls_cert),
    TEXT("http.tls.key", NULL, "not in this version: must stay null", http.tls_key),

    INT("queue.capacity", 0, 100000, "100", "jobs", "more are refused with 429", queue.capacity),

    INT("shutdown.drain_ms", 0, 600000, "3000", "ms", "running jobs may go on for this long",
        shutdown.drain_ms),
    INT("shutdown.grace_ms", 100, 600000, "5000", "ms", "the process has ended by then, come what may",
        shutdown.grace_ms),

    TEXT("worker.id", NULL, "name of this worker; null: a random one", worker.id),
    TEXT("worker.callback_url", NULL, "http:// address that is told when the worker is ready",
        worker.callback_url),
    TEXT("worker.callback_secret_file", NULL,
        "sent with the callback as a bearer token; others must not be able to read it",
        worker.callback_secret_file),

    CHOICE("log.level", "error|warn|info|debug", "info", "lines of this level and above", log.level),
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
            "%s: %s: TLS is not in this version; must be null, with a proxy that speaks TLS in front",
            config_origin(head, tls), tls);
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
            "%s: worker.callback_secret_file: '%s': means nothing without worker.callback_url",
            config_origin(head, "worker.callback_secret_file"), c->worker.callback_secret_file);
    if (c->worker.callback_url && strncmp(c->worker.callback_url, "http://", 7) != 0)
        return error_set(err, ORCD_E_INVALID, "%s: worker.callback_url: '%s': must begin with http://",
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
        "# orcd.yaml: configuration of an orcd worker; orcd.yaml(5) says more.\n"
        "# Every key is shown with its default. The command line goes before the environment\n"
        "# (ORCD_HTTP_LISTEN is http.listen), that before this file. Check: orcd config --check FILE\n",
    .validate = validate,
};
