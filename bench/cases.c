/* The table of benchmarks, one row each: declare a case here and add it to the list below. */
#include "lib/bench.h"

#include <stddef.h>

extern const struct bench_case bench_admission;
extern const struct bench_case bench_cancellation_latency;
extern const struct bench_case bench_client_disconnect_detection;
extern const struct bench_case bench_deadline_abort;
extern const struct bench_case bench_deadline_check_overhead;
extern const struct bench_case bench_deadline_value;
extern const struct bench_case bench_first_token_latency;
extern const struct bench_case bench_footprint;
extern const struct bench_case bench_graceful_shutdown;
extern const struct bench_case bench_health_endpoint;
extern const struct bench_case bench_model_loading;
extern const struct bench_case bench_noisy_neighbour;
extern const struct bench_case bench_per_token_latency;
extern const struct bench_case bench_soak;
extern const struct bench_case bench_streams;

const struct bench_case *const bench_cases[] = {
    &bench_first_token_latency,
    &bench_per_token_latency,
    &bench_cancellation_latency,
    &bench_client_disconnect_detection,
    &bench_deadline_abort,
    &bench_deadline_check_overhead,
    &bench_health_endpoint,
    &bench_deadline_value,
    &bench_model_loading,
    &bench_graceful_shutdown,
    &bench_footprint,
    &bench_streams,
    &bench_noisy_neighbour,
    &bench_admission,
    &bench_soak,
    NULL,
};
