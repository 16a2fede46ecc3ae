/* The worker's routes, and what its HTTP server is given. */
#include "api/api.h"
#include "api/compat.h"
#include "api/error-openai.h"
#include "api/native.h"
#include "api/openai.h"
#include "base/log-limit.h"
#include "base/log.h"
#include "base/util.h"
#include "http/keys.h"
#include "http/peer.h"
#include "metrics.h"

#define MAX_REFUSALS_A_SECOND 20 /* lines; more are counted in the next one */

static const struct route routes[] = {
    {"GET", "/health", ROUTE_OPEN, NULL, native_health},
    {"GET", "/health/live", ROUTE_OPEN, NULL, native_health_live},
    {"GET", "/health/ready", ROUTE_OPEN, NULL, native_health},
    {"GET", "/metrics", 0, NULL, native_metrics},
    {"GET", "/v2/model", 0, NULL, native_model},
    {"POST", "/v2/execute", ROUTE_BODY | ROUTE_WORK, native_execute_parse, native_execute},
    {"POST", "/execute", ROUTE_BODY | ROUTE_WORK, native_execute_parse, native_execute},
    {"POST", "/v2/cancel", ROUTE_BODY, native_cancel_parse, native_cancel},
    {"POST", "/cancel", ROUTE_BODY, native_cancel_parse, native_cancel},
    {"DELETE", "/v2/jobs/", ROUTE_PREFIX, NULL, native_cancel_by_path},
    {"POST", "/v2/tokenize", ROUTE_BODY, native_tokenize, NULL},
    {"POST", "/v2/detokenize", ROUTE_BODY, native_detokenize, NULL},
    {"POST", "/v2/shutdown", ROUTE_ADMIN, NULL, native_shutdown},
    {"GET", "/v1/models", 0, NULL, openai_models},
    {"GET", "/v1/models/", ROUTE_PREFIX | ROUTE_SLASHES, NULL, openai_model},
    {"POST", "/v1/completions", ROUTE_BODY | ROUTE_WORK, openai_completions_parse, openai_run},
    {"POST", "/v1/chat/completions", ROUTE_BODY | ROUTE_WORK, openai_chat_parse, openai_run},
    /* what clients of other servers ask */
    {"GET", "/version", 0, NULL, compat_version},
    {"GET", "/ping", ROUTE_OPEN, NULL, native_health},
    {"GET", "/props", 0, NULL, compat_props},
    {"POST", "/tokenize", ROUTE_BODY, compat_tokenize, NULL},
    {"POST", "/detokenize", ROUTE_BODY, compat_detokenize, NULL},
    {"POST", "/apply-template", ROUTE_BODY, compat_apply_template, NULL},
    /* the same where the client's base URL lacks /v1 */
    {"GET", "/models", 0, NULL, openai_models},
    {"GET", "/models/", ROUTE_PREFIX | ROUTE_SLASHES, NULL, openai_model},
    {"POST", "/completions", ROUTE_BODY | ROUTE_WORK, openai_completions_parse, openai_run},
    {"POST", "/chat/completions", ROUTE_BODY | ROUTE_WORK, openai_chat_parse, openai_run},
};

/* A request for a job that did not become one counts as rejected. */
static void refused(const struct exchange *x)
{
    metric_add_labelled(MC_REQUESTS, OUTCOME_REJECTED, 1);
    metric_add_labelled(MC_REJECTIONS, x->error.code, 1);
    if (x->late)
        metric_add_labelled(MC_DEADLINE_REJECTIONS, WHEN_ARRIVAL, 1);
    static struct log_limit limit;
    char peer[PEER_BYTES];
    uint64_t left_out;
    if (x->error.code == API_UNAUTHORIZED || !log_limit_allows(&limit, MAX_REFUSALS_A_SECOND, &left_out))
        return; /* wrong keys are logged by the gate, of all routes */
    peer_text(x, peer);
    log_event(ORCD_LOG_INFO, "job rejected", LOG_T("correlation_id", x->correlation_id),
        LOG_T("code", api_code_name(x->error.code)), LOG_T("client", peer),
        x->key ? LOG_T("key", x->key->name) : LOG_NONE, left_out ? LOG_I("not_logged", left_out) : LOG_NONE,
        NULL);
}

const struct http_service *api_service(struct api *a)
{
    a->service = (struct http_service){
        .name = "worker",
        .routes = routes,
        .n_routes = ARRAY_LEN(routes),
        .shapes = error_shapes_openai,
        .n_shapes = N_ERROR_SHAPES_OPENAI,
        .refused = refused,
        .arg = a,
    };
    return &a->service;
}
