/* The worker's metrics: id, name, labels or buckets, help. Constant; metrics.h makes enums of
 * these lists, metrics.c the table. */
#ifndef ORCD_METRICS_TABLE_H
#define ORCD_METRICS_TABLE_H

/* Label values, in the order of the index given to metric_add_labelled(). Codes of
 * rejections are those of http/codes.h. */
enum metric_outcome {
    OUTCOME_STOP,
    OUTCOME_LENGTH,
    OUTCOME_DEADLINE_PARTIAL,
    OUTCOME_DEADLINE,
    OUTCOME_CANCELLED,
    OUTCOME_DISCONNECTED,
    OUTCOME_ERROR,
    OUTCOME_REJECTED,
    OUTCOME_COUNT
};
enum metric_wasted {
    WASTED_CANCELLED,
    WASTED_DISCONNECTED,
    WASTED_DEADLINE,
    WASTED_ERROR,
    WASTED_STOP_SEQUENCE,
    WASTED_COUNT
};
enum metric_probe { PROBE_IN_TIME, PROBE_LATE, PROBE_COUNT };
enum metric_when { WHEN_ARRIVAL, WHEN_QUEUE, WHEN_PREDICTED, WHEN_COUNT };

#define METRIC_COUNTERS(X)                                                                                   \
    X(REQUESTS, "orcd_requests_total", LABEL("outcome", outcomes), "Requests by how they ended")             \
    X(REJECTIONS, "orcd_rejections_total", LABEL("code", codes),                                             \
        "Requests refused before they got a slot, by code")                                                  \
    X(PROMPT_TOKENS, "orcd_prompt_tokens_total", NO_LABEL, "Prompt tokens of admitted requests")             \
    X(GENERATION_TOKENS, "orcd_generation_tokens_total", NO_LABEL, "Tokens generated")                       \
    X(WASTED_TOKENS, "orcd_wasted_tokens_total", LABEL("reason", wasted),                                    \
        "Tokens generated but never delivered")                                                              \
    X(PREFIX_QUERIES, "orcd_prefix_cache_queries_total", NO_LABEL,                                           \
        "Prompt tokens looked up in kept prefixes")                                                          \
    X(PREFIX_HITS, "orcd_prefix_cache_hits_total", NO_LABEL, "Prompt tokens found in kept prefixes")         \
    X(DEADLINE_REJECTIONS, "orcd_deadline_rejections_total", LABEL("when", whens),                           \
        "Requests refused for their deadline")                                                               \
    X(PREDICTION_PROBES, "orcd_prediction_probes_total", LABEL("result", probes),                            \
        "Requests accepted though they were predicted late")                                                 \
    X(LOG_LINES_DROPPED, "orcd_log_lines_dropped_total", NO_LABEL,                                           \
        "Log lines that were dropped because standard error was not read or was full")

#define METRIC_GAUGES(X)                                                                                     \
    X(REQUESTS_RUNNING, "orcd_requests_running", "Jobs in a slot")                                           \
    X(REQUESTS_WAITING, "orcd_requests_waiting", "Jobs in the queue")                                        \
    X(MODEL_LOAD_MS, "orcd_model_load_duration_ms", "Duration of the model load")                            \
    X(DEVICE_INIT_MS, "orcd_device_init_duration_ms", "Duration of the device's initialization")             \
    X(CUDA_INIT_MS, "orcd_cuda_init_duration_ms", "The same, under the name that is asked for with GPUs")    \
    X(HTTP_START_MS, "orcd_http_server_start_duration_ms", "From process start to listening")                \
    X(DEVICE_UTILIZATION, "orcd_device_utilization",                                                         \
        "Share of the last health.refresh_ms with the device busy, 0 to 1")                                  \
    X(STREAM_UTILIZATION, "orcd_cuda_stream_utilization",                                                    \
        "The same, under the name that is asked for with GPUs")                                              \
    X(PREDICTION_MARGIN, "orcd_prediction_margin_ratio",                                                     \
        "Margin added to a prediction, in units of the time that a usual job takes alone")                   \
    X(HTTP_CONNECTIONS, "orcd_http_connections", "Open connections")                                         \
    X(HTTP_HELD, "orcd_http_held_bytes",                                                                     \
        "Large request bodies and unread answers that wait for their clients, of http.buffer_mb")            \
    X(KV_USAGE, "orcd_kv_cache_usage_ratio", "KV tokens held over KV tokens in the pool, 0 to 1")            \
    X(VRAM_WEIGHTS, "orcd_vram_used_bytes{kind=\"weights\"}", "Device memory that this worker holds")        \
    X(VRAM_KV, "orcd_vram_used_bytes{kind=\"kv\"}", "Device memory that this worker holds")                  \
    X(VRAM_SCRATCH, "orcd_vram_used_bytes{kind=\"scratch\"}", "Device memory that this worker holds")        \
    X(VRAM_OTHER, "orcd_vram_used_bytes{kind=\"other\"}", "Device memory that this worker holds")            \
    X(VRAM_TOTAL, "orcd_vram_total_bytes", "Total device memory")                                            \
    X(HEALTH_AGE, "orcd_health_cache_age_seconds", "Age of the health cache")                                \
    X(UPTIME, "orcd_uptime_seconds", "Seconds since the process started")                                    \
    X(PROCESS_CPU, "process_cpu_seconds_total", "Processor time of the process, user and system")            \
    X(PROCESS_START, "process_start_time_seconds", "When the process started, in seconds since 1970")        \
    X(PROCESS_RESIDENT, "process_resident_memory_bytes", "Memory of the process that is in RAM")             \
    X(PROCESS_VIRTUAL, "process_virtual_memory_bytes", "Address space of the process")                       \
    X(PROCESS_FDS, "process_open_fds", "Open file descriptors")                                              \
    X(PROCESS_MAX_FDS, "process_max_fds", "Limit of open file descriptors")

/* Bucket sets, upper bounds ascending; defined in metrics.c. */
#define METRIC_HISTOGRAMS(X)                                                                                 \
    X(DEADLINE_CHECK, "orcd_deadline_check_duration_us", BUCKETS_TINY_US,                                    \
        "Deadline check of a row: its share of the pass over all rows, which reads the time once")           \
    X(DISCONNECT_DETECTION, "orcd_client_disconnect_detection_ms", BUCKETS_MS, "Disconnect event to abort")  \
    X(DISCONNECT_STOP, "orcd_client_disconnect_stop_ms", BUCKETS_MS, "Disconnect event to slot free")        \
    X(EMISSION, "orcd_per_token_emission_latency_us", BUCKETS_US,                                            \
        "Token sampled to token sent to the kernel")                                                         \
    X(CANCEL_DETECTION, "orcd_cancellation_detection_latency_ms", BUCKETS_MS,                                \
        "Cancel received to cancel seen by the engine")                                                      \
    X(CANCEL_STOP, "orcd_cancellation_stop_ms", BUCKETS_MS, "Cancel received to slot free")                  \
    X(TTFT, "orcd_time_to_first_token_seconds", BUCKETS_S, "Arrival to first token")                         \
    X(ITL, "orcd_inter_token_latency_seconds", BUCKETS_SHORT_S, "Between tokens of a request")               \
    X(E2E, "orcd_e2e_request_latency_seconds", BUCKETS_S, "Arrival to terminal event")                       \
    X(QUEUE_TIME, "orcd_request_queue_time_seconds", BUCKETS_S, "Arrival to slot")                           \
    X(PREFILL_TIME, "orcd_request_prefill_time_seconds", BUCKETS_S, "Slot to first token")                   \
    X(DECODE_TIME, "orcd_request_decode_time_seconds", BUCKETS_S, "First token to terminal event")           \
    X(STEP_PREFILL, "orcd_step_duration_seconds{phase=\"prefill\"}", BUCKETS_SHORT_S, "Duration of a step")  \
    X(STEP_DECODE, "orcd_step_duration_seconds{phase=\"decode\"}", BUCKETS_SHORT_S, "Duration of a step")    \
    X(STEP_ROWS, "orcd_step_rows", BUCKETS_ROWS, "Rows of a step")                                           \
    X(PREDICTION_ERROR, "orcd_prediction_error_seconds", BUCKETS_SHORT_S,                                    \
        "Absolute error of a predicted first token")

#endif
